"""Reads a corpus of any layout: recognises the layout, or takes its name."""

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

_HINTS = 50  # most folders that are searched for a corpus one level deeper


def read_corpus(path: Path, layout: str | None = None) -> Corpus:
    """Find all utterances of a corpus.

    Args:
        path: the folder of the corpus, or the file of a manifest.
        layout: a name in `LAYOUTS`; None to recognise the layout.

    Raises:
        UserError: the path does not exist, its layout is unknown or ambiguous, or no utterance is
            found.
        OptionError: no layout has the name.
    """
    if layout is not None and layout not in LAYOUTS:
        near = difflib.get_close_matches(layout, LAYOUTS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise OptionError(f"no layout has the name {layout!r}{meant}\n{_known()}")
    if not path.exists():
        raise UserError(f"there is no corpus at {path}: no such file or folder")
    reader = _recognise(path) if layout is None else LAYOUTS[layout]
    corpus = reader.read(path)
    if not corpus.found:
        raise UserError(
            f"{path} defines no utterance; the layout {reader.name} is {reader.looks_like}"
        )
    return corpus


def _recognise(path: Path) -> Reader:
    matching = [reader for reader in LAYOUTS.values() if reader.matches(path)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = " and ".join(reader.name for reader in matching)
        choices = " or ".join(f"--layout {reader.name}" for reader in matching)
        raise UserError(f"{path} looks like {names}; choose one: {choices}\n{_known()}")
    if path.is_dir() and not any(path.iterdir()):
        raise UserError(f"{path} is an empty folder")
    raise UserError(f"{path} has no known layout{_deeper(path)}\n{_known()}")


def _deeper(path: Path) -> str:
    """A hint at a folder inside that has a known layout, or ""."""
    if path.is_dir():
        for name in list_folder(path, "").folders[:_HINTS]:
            for reader in LAYOUTS.values():
                if reader.matches(path / name):
                    return f"; but {path / name} looks like {reader.name}: give that path"
    return ""


def _known() -> str:
    lines = [f"  {name:12}{reader.looks_like}" for name, reader in LAYOUTS.items()]
    return "These layouts are known (choose one with --layout NAME):\n" + "\n".join(lines)


__all__ = ["AUDIO_SUFFIXES", "LAYOUTS", "Corpus", "Reader", "audio_path", "read_corpus"]
