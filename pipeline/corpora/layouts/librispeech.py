"""LibriSpeech: `<subset>/<speaker>/<chapter>/<id>.flac`, with a table of texts in each chapter.

Panayotov et al. 2015, "Librispeech: an ASR corpus based on public domain audio books",
https://www.openslr.org/12. The table is `<speaker>-<chapter>.trans.txt` with lines `id TEXT`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.corpus import (
    DEFAULT_SPEAKER,
    Corpus,
    Find,
    Place,
    reject,
    settle,
    split_of,
)
from ns2.pipeline.corpora.folders import Folder, first_names, id_and_text, nfc, table_lines, walk

TABLE = ".trans.txt"
_GLANCE = 200  # most folders that are searched to recognise the layout


class LibriSpeech:
    """Reader of the layout of LibriSpeech; the path is the whole corpus or a subset.

    Utterances are the rows of the tables, which lie beside the audio. The speaker is the folder
    above the chapter. train-* is the split train, dev-* is val, test-* is test.

    The corpus is written in capitals, and espeak-ng spells some words in capitals: IT becomes "I T"
    and US "U S". So the texts of a table without any lower-case letter are put into lower case.
    """

    name = "librispeech"
    looks_like = f"<subset>/<speaker>/<chapter>/<id>.flac with <speaker>-<chapter>{TABLE} beside it"

    def matches(self, root: Path) -> bool:
        """Whether any audio has the table of its chapter beside it."""
        if not root.is_dir():
            return False
        return any(
            stem.startswith(table.removesuffix(TABLE) + "-")
            for folder in islice(walk(root), _GLANCE)
            for table in _tables(folder)
            for stem, _, _ in folder.audio()
        )

    def read(self, root: Path) -> Corpus:
        """Find all rows of all tables.

        Raises:
            UserError: the path is not a folder or cannot be listed, or a table cannot be read.
        """
        if not root.is_dir():
            raise UserError(f"{root} is not a folder, but the layout {self.name} needs one")
        own = Path(os.path.abspath(root)).name  # noqa: PTH100 - resolve() follows links
        finds: list[Find] = []
        unnamed: list[str] = []
        for folder in walk(root):
            place = _place([own, *nfc(folder.path).split("/")] if folder.path else [own])
            named = set()
            for table in _tables(folder):
                for find in _rows(root, folder, table, place):
                    named.add(find.id)
                    finds.append(find)
            unnamed += [
                folder.source(name) for stem, name, _ in folder.audio() if stem not in named
            ]
        warnings = []
        if unnamed:
            warnings.append(f"audio without a row in a {TABLE}: {first_names(sorted(unnamed))}")
        return settle(self.name, root, finds, warnings)


def _tables(folder: Folder) -> list[str]:
    return sorted(name for name in folder.files if name.endswith(TABLE))


def _place(parts: list[str]) -> Place:
    """Speaker and split of a chapter; of several splits in its path the one nearest to it."""
    splits = (split_of(part) for part in reversed(parts[:-1]))
    return Place(
        speaker=parts[-2] if len(parts) > 1 else DEFAULT_SPEAKER,
        split=next((split for split in splits if split), ""),
    )


def _rows(root: Path, folder: Folder, table: str, place: Place) -> Iterator[Find]:
    path = root / folder.source(folder.files[table])
    rows = []
    for number, line in table_lines(path):
        where = f"{table}:{number}"
        rows.append((where, *id_and_text(line, where, None)))
    texts = [text for _, _, text in rows if isinstance(text, str)]
    capitals = not any(char.islower() for text in texts for char in text)
    for where, utterance_id, text in rows:
        small = text.lower() if capitals and isinstance(text, str) else text
        yield _row(folder, utterance_id, small, where, place)


def _row(
    folder: Folder, utterance_id: str, text: str | UtteranceError, where: str, place: Place
) -> Find:
    if not utterance_id:
        return reject(where, "", Reason.BAD_ROW, f"{where} has no id")
    name = folder.find_audio(utterance_id)
    source = folder.source(name or f"{utterance_id}.flac")
    if isinstance(text, UtteranceError):
        return reject(utterance_id, source, text.reason, text.message)
    if name is None:
        message = f"{where}: no audio {utterance_id}.flac (or .wav, .mp3, .ogg, .opus) beside it"
        return reject(utterance_id, source, Reason.AUDIO_MISSING, message)
    if not text:
        return reject(utterance_id, source, Reason.EMPTY_TRANSCRIPT, f"{where} has no text")
    return Utterance(
        id=utterance_id, source=source, text=text, speaker=place.speaker, split=place.split
    )
