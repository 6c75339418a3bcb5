"""Multilingual LibriSpeech: `<split>/transcripts.txt`, `<split>/audio/<speaker>/<book>/<id>.flac`.

Pratap et al. 2020, "MLS: A Large-Scale Multilingual Dataset for Speech Research",
https://www.openslr.org/94. The table has lines `<speaker>_<book>_<number>`, a tab, and the text;
a folder such as `mls_german` or `mls_german_opus` is one language.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.corpus import Corpus, Find, check_rows, reject, settle, split_of
from ns2.pipeline.corpora.folders import Lookup, first_names, id_and_text, list_folder, table_lines

TABLE = "transcripts.txt"
AUDIO = "audio"

VOICES = {
    "dutch": "nl", "english": "en-us", "french": "fr-fr", "german": "de", "italian": "it",
    "polish": "pl", "portuguese": "pt-br", "spanish": "es",
}  # fmt: skip
"""espeak-ng's voices by the language in the name of a folder. Most of the Portuguese is Brazilian
(Gris et al. 2021, arXiv:2107.11414)."""

_ID = re.compile(r"([^\W_]{1,64})_([^\W_]{1,64})_[\w.-]{1,128}")  # it becomes a path: no "/"


class MLS:
    """Reader of the layout of Multilingual LibriSpeech: a language, or a folder of several `mls_*`.

    Utterances are the rows of the tables. The language is the one in the name of the folder; if
    there is none, `--language` of the run is used, with a warning. The splits are train, dev (val)
    and test.
    """

    name = "mls"
    looks_like = (
        f"{{train,dev,test}}/{TABLE} and {{train,dev,test}}/{AUDIO}/<speaker>/<book>/<id>.flac"
    )

    def matches(self, root: Path) -> bool:
        """Whether the path has a split with a table and audio, or is a folder of such folders."""
        return root.is_dir() and bool(_languages(root))

    def read(self, root: Path) -> Corpus:
        """Find all rows of all tables.

        Raises:
            UserError: there is no split, a table cannot be read, or no line has the form of a row.
        """
        folders = _languages(root) if root.is_dir() else []
        if not folders:
            raise UserError(f"{root} does not have the layout of MLS ({self.looks_like})")
        lookup = Lookup(root)
        finds: list[Find] = []
        warnings = []
        for folder in folders:
            name = folder or Path(os.path.abspath(root)).name  # noqa: PTH100 - keeps links
            voice = next((VOICES[part] for part in _parts(name) if part in VOICES), "")
            if not voice:
                warnings.append(
                    f"the name of the folder {name!r} has none of {', '.join(VOICES)}; "
                    "--language of the run is used"
                )
            for split in _splits(root, folder):
                finds += _rows(root, f"{folder}/{split}" if folder else split, voice, lookup)
        check_rows(finds, root, "<speaker>_<book>_<number>, a tab, and the text")
        unused = lookup.unused()
        if unused:
            warnings.append(f"audio without a row in {TABLE}: {first_names(unused)}")
        return settle(self.name, root, finds, warnings)


def _parts(name: str) -> list[str]:
    return re.split(r"[-_. ]", name.lower())


def _splits(root: Path, folder: str) -> list[str]:
    def fits(path: str) -> bool:
        inside = list_folder(root, path)
        return TABLE in inside.files and AUDIO in inside.folders

    here = list_folder(root, folder)
    return [name for name in here.folders if split_of(name) and fits(here.source(name))]


def _languages(root: Path) -> list[str]:
    """Folders of languages relative to root: root itself, or the folders `mls_*` in it."""
    if _splits(root, ""):
        return [""]
    folders = list_folder(root, "").folders
    if not all(name.startswith("mls_") for name in folders):
        return []
    return [name for name in folders if _splits(root, name)]


def _rows(root: Path, folder: str, voice: str, lookup: Lookup) -> Iterator[Find]:
    split = split_of(folder.rpartition("/")[2]) or ""
    for number, line in table_lines(root / folder / TABLE):
        where = f"{folder}/{TABLE}:{number}"
        yield _row(line, where, folder, split, voice, lookup)


def _row(line: bytes, where: str, folder: str, split: str, voice: str, lookup: Lookup) -> Find:
    utterance_id, text = id_and_text(line, where, "\t")
    parts = _ID.fullmatch(utterance_id)
    source = ""
    try:
        if isinstance(text, UtteranceError):
            raise text
        if not parts or b"\t" not in line:
            form = "<speaker>_<book>_<number>, a tab, and the text"
            raise UtteranceError(Reason.BAD_ROW, f"{where} is not {form}")
        speaker, book = parts.groups()
        source, there = lookup.audio(f"{folder}/{AUDIO}/{speaker}/{book}/{utterance_id}")
        if not there:
            message = f"{where}: no audio {source} (or another format)"
            raise UtteranceError(Reason.AUDIO_MISSING, message)
        if not text:
            raise UtteranceError(Reason.EMPTY_TRANSCRIPT, f"{where} has no text")
    except UtteranceError as error:
        return reject(utterance_id if parts else where, source, error.reason, error.message)
    return Utterance(
        id=utterance_id, source=source, text=text, speaker=speaker, language=voice, split=split
    )
