"""One reader a corpus layout.

`read_corpus` recognises the layout, or takes its name.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.corpora.corpus import Corpus, Reader, audio_path
from ns2.pipeline.corpora.folders import AUDIO_SUFFIXES, list_folder
from ns2.pipeline.corpora.layouts.commonvoice import CommonVoice
from ns2.pipeline.corpora.layouts.librispeech import LibriSpeech
from ns2.pipeline.corpora.layouts.libritts import LibriTTS
from ns2.pipeline.corpora.layouts.ljspeech import LJSpeech
from ns2.pipeline.corpora.layouts.manifest import Manifest
from ns2.pipeline.corpora.layouts.mls import MLS
from ns2.pipeline.corpora.layouts.pairs import Pairs
from ns2.pipeline.corpora.layouts.vctk import VCTK

_READERS: tuple[Reader, ...] = (
    LJSpeech(),
    LibriTTS(),
    LibriSpeech(),
    VCTK(),
    MLS(),
    CommonVoice(),
    Pairs(),
    Manifest(),
)

LAYOUTS: dict[str, Reader] = {reader.name: reader for reader in _READERS}
"""All layouts by name."""

_HINTS = 50  # folders looked into for a corpus that lies one level deeper


def read_corpus(path: Path, layout: str | None = None) -> Corpus:
    """Find all utterances of a corpus.

    Args:
        path: its folder, or the file of a manifest.
        layout: a name in `LAYOUTS`; None recognises it.

    Raises:
        UserError: there is nothing at the path, its layout is not known or not clear, or it
            defines no utterance at all.
    """
    if layout is not None and layout not in LAYOUTS:
        near = difflib.get_close_matches(layout, LAYOUTS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise OptionError(f"no layout is called {layout!r}{meant}\n{_known()}")
    if not path.exists():
        raise UserError(f"there is no corpus at {path}: no such file or folder")
    reader = _recognise(path) if layout is None else LAYOUTS[layout]
    corpus = reader.read(path)
    if not corpus.found:
        raise UserError(
            f"{path} defines no utterance in the layout {reader.name}: {_wants(reader)}"
        )
    return corpus


def _recognise(path: Path) -> Reader:
    matching = [reader for reader in LAYOUTS.values() if reader.matches(path)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = " and ".join(reader.name for reader in matching)
        choices = " or ".join(f"--layout {reader.name}" for reader in matching)
        raise UserError(f"{path} looks like {names}; say which is meant: {choices}\n{_known()}")
    if path.is_dir() and not any(path.iterdir()):
        raise UserError(f"{path} is an empty folder")
    raise UserError(f"the layout of {path} is not one that is known{_deeper(path)}\n{_known()}")


def _deeper(path: Path) -> str:
    """A hint at a folder inside that does have a known layout."""
    if path.is_dir():
        for name in list_folder(path, "").folders[:_HINTS]:
            for reader in LAYOUTS.values():
                if reader.matches(path / name):
                    return f"; but {path / name} looks like {reader.name}: give that folder"
    return ""


def _known() -> str:
    lines = [f"  {name:12}{reader.looks_like}" for name, reader in LAYOUTS.items()]
    return "Looked for these layouts (--layout NAME takes one without looking):\n" + "\n".join(
        lines
    )


def _wants(reader: Reader) -> str:
    return f"it wants {reader.looks_like}"


__all__ = ["AUDIO_SUFFIXES", "LAYOUTS", "Corpus", "Reader", "audio_path", "read_corpus"]
