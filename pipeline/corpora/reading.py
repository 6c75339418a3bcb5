"""Reads a corpus of any layout: recognises the layout, or takes its name."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.corpora.corpus import Corpus, Reader, TableReader, audio_path
from ns2.pipeline.corpora.fields import Fields, refuse_fields
from ns2.pipeline.corpora.folders import AUDIO_SUFFIXES, UNDECODED, first_names, list_folder
from ns2.pipeline.corpora.layouts.audiofolder import AudioFolder
from ns2.pipeline.corpora.layouts.commonvoice import CommonVoice
from ns2.pipeline.corpora.layouts.kaldi import Kaldi
from ns2.pipeline.corpora.layouts.lhotse import Lhotse
from ns2.pipeline.corpora.layouts.librispeech import LibriSpeech
from ns2.pipeline.corpora.layouts.libritts import LibriTTS
from ns2.pipeline.corpora.layouts.ljspeech import LJSpeech
from ns2.pipeline.corpora.layouts.manifest import Manifest, is_manifest
from ns2.pipeline.corpora.layouts.mls import MLS
from ns2.pipeline.corpora.layouts.pairs import Pairs
from ns2.pipeline.corpora.layouts.parquet import Parquet
from ns2.pipeline.corpora.layouts.vctk import VCTK
from ns2.pipeline.corpora.layouts.webdataset import WebDataset

_TABLES: tuple[TableReader, ...] = (
    LJSpeech(), CommonVoice(), Manifest(), Parquet(), WebDataset(), AudioFolder(),
)  # fmt: skip
_LJSPEECH, _COMMONVOICE, _MANIFEST, _PARQUET, _WEBDATASET, _AUDIOFOLDER = _TABLES
_READERS: tuple[Reader, ...] = (
    _LJSPEECH,
    LibriTTS(),
    LibriSpeech(),
    VCTK(),
    MLS(),
    _COMMONVOICE,
    Pairs(),
    _PARQUET,
    _WEBDATASET,
    _AUDIOFOLDER,
    Lhotse(),
    Kaldi(),
    _MANIFEST,
)

LAYOUTS: dict[str, Reader] = {reader.name: reader for reader in _READERS}
"""All layouts by name."""

HOLDING = frozenset({_PARQUET.name, _WEBDATASET.name})
"""Layouts whose files hold recordings, so that a source may be no path of a file."""

_HINTS = 50  # most folders that are searched for a corpus one level deeper


def read_corpus(path: Path, layout: str | None = None, fields: str | None = None) -> Corpus:
    """Find all utterances of a corpus.

    Args:
        path: the folder of the corpus, or the file of a manifest.
        layout: a name in `LAYOUTS`; None to recognise the layout.
        fields: which columns of tables hold what, see `Fields.parse`.

    Raises:
        UserError: the path does not exist, its layout is unknown or ambiguous, what its columns
            hold is open, or no utterance is found.
        OptionError: no layout has the name, or `fields` has another form.
    """
    chosen = Fields.parse(fields)
    if layout is not None and layout not in LAYOUTS:
        near = difflib.get_close_matches(layout, LAYOUTS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise OptionError(f"no layout has the name {layout!r}{meant}\n{_known()}")
    if not path.exists():
        raise UserError(f"there is no corpus at {path}: no such file or folder")
    reader = recognised(path) if layout is None else LAYOUTS[layout]
    table = next((one for one in _TABLES if one is reader), None)
    if table is None:
        refuse_fields(chosen, reader.name)
        corpus = reader.read(path)
    else:
        corpus = table.read(path, chosen)
    if not corpus.found:
        raise UserError(
            f"{path} defines no utterance; the layout {reader.name} is {reader.looks_like}"
        )
    return _with_undecoded(corpus)


def _with_undecoded(corpus: Corpus) -> Corpus:
    """The corpus with a warning where recordings are of a kind that is not decoded."""
    count = sum(u.source.lower().endswith(UNDECODED) for u in corpus.utterances)
    if not count:
        return corpus
    warning = (
        f"{count} recordings are {UNDECODED}, which is not decoded, and will be rejected: convert "
        'them first, in each folder: for f in *.m4a; do ffmpeg -i "$f" "${f%.m4a}.flac"; done '
        "(a manifest has to name the new files)"
    )
    return replace(corpus, warnings=(*corpus.warnings, warning))


def recognised(path: Path) -> Reader:
    """The reader of a corpus by a quick look at it.

    Raises:
        UserError: its layout is unknown or ambiguous.
    """
    matching = [reader for reader in LAYOUTS.values() if reader.matches(path)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = " and ".join(reader.name for reader in matching)
        choices = " or ".join(f"--layout {reader.name}" for reader in matching)
        raise UserError(f"{path} looks like {names}; choose one: {choices}\n{_known()}")
    likely = [reader for reader in _TABLES if reader.resembles(path)]
    if likely:
        return likely[0]
    if path.is_dir() and not any(path.iterdir()):
        raise UserError(f"{path} is an empty folder")
    raise UserError(f"{path} has no known layout{_deeper(path)}\n{_known()}")


def _deeper(path: Path) -> str:
    """A hint at a folder or manifest inside that has a known layout, or ""."""
    if not path.is_dir():
        return ""
    inside = list_folder(path, "")
    for name in inside.folders[:_HINTS]:
        for reader in LAYOUTS.values():
            if reader.matches(path / name):
                return f"; but {path / name} looks like {reader.name}: give that path"
    tables = sorted(name for name in inside.files if is_manifest(path / name))
    return f"; but {first_names(tables)} may be manifests: give the path of one" if tables else ""


def _known() -> str:
    lines = [f"  {name:12}{reader.looks_like}" for name, reader in LAYOUTS.items()]
    return "These layouts are known (choose one with --layout NAME):\n" + "\n".join(lines)


__all__ = ["AUDIO_SUFFIXES", "LAYOUTS", "Corpus", "Reader", "audio_path", "read_corpus"]
