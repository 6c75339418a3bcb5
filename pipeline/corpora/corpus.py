"""The interface of corpus readers, and the parts that they share.

A new layout is a new file in `layouts/` with a class that has the methods of `Reader`, and a line
in `reading.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.names import encodable
from ns2.pipeline.core.schema import Kind, Reason, Rejection, Utterance, make_key
from ns2.pipeline.corpora.fields import Fields
from ns2.pipeline.corpora.folders import Folder, escaped, first_names, nfc, read_transcript, walk

STAGE = "corpus"
"""The stage in `rejected.parquet` of all that a reader rejects."""

DEFAULT_SPEAKER = "default"
"""The speaker of an utterance for which the corpus names none."""

Find = Utterance | Rejection
"""What a reader makes of a row or a file of a corpus: an utterance, or why it cannot be used."""

_OVERLAP = 0.05
"""Seconds that pieces may share before it is said."""

_SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "eval": "val",
    "test": "test",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All utterances of a corpus, usable or not, each exactly once.

    Attributes:
        layout: the name of the reader.
        root: the folder to which all sources are relative.
        utterances: the usable utterances, sorted by id.
        rejected: the utterances that cannot be used, sorted by id.
        warnings: sentences for the user, such as on audio that no table names.
        notes: sentences for the user on what was decided where the corpus left it open.
        table: of which each line is a row; None where rows lie otherwise.
        keys: of the rows of that table, in their order.
    """

    layout: str
    root: Path
    utterances: tuple[Utterance, ...]
    rejected: tuple[Rejection, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    table: Path | None = None
    keys: tuple[str, ...] = ()

    @property
    def found(self) -> int:
        """The number of utterances that were found, usable or not."""
        return len(self.utterances) + len(self.rejected)


class Reader(Protocol):
    """Reads corpora of one layout.

    A reader of tables is a `TableReader` besides.

    Attributes:
        name: the name of the layout, a value of `--layout`.
        looks_like: a description of the layout in a few words, for messages.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def looks_like(self) -> str: ...  # noqa: D102

    def matches(self, root: Path) -> bool:
        """Whether a path seems to have this layout, by a quick look at it."""
        ...

    def read(self, root: Path) -> Corpus:
        """Find all utterances of a corpus.

        Raises:
            UserError: the path does not have this layout, or cannot be read.
        """
        ...


class TableReader(Reader, Protocol):
    """Reads tables whose columns may differ, and whose names may be less telling."""

    def resembles(self, root: Path) -> bool:
        """Whether a path may have this layout; asked where no layout matches."""
        ...

    def read(self, root: Path, fields: Fields | None = None) -> Corpus:
        """Find all utterances of a corpus.

        Args:
            root: the path of the corpus.
            fields: which columns hold what; None leaves it to the table.

        Raises:
            UserError: the path does not have this layout, cannot be read, or leaves it open which
                column holds what.
        """
        ...


def split_of(name: str) -> str | None:
    """The split of a name, or None: "train-clean-100" is "train", "dev" is "val"."""
    return _SPLITS.get(re.split(r"[-_. ]", name.strip().lower(), maxsplit=1)[0])


def reject(utterance_id: str, source: str, reason: Reason, message: str) -> Rejection:
    """The row of `rejected.parquet` for an utterance that a reader cannot use."""
    shown = escaped(utterance_id)
    return Rejection(
        id=shown,
        key=make_key(shown),
        source=escaped(source),
        kind=Kind.REJECTED,
        stage=STAGE,
        reason=reason,
        message=escaped(message),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a folder tells about the audio in it.

    Attributes:
        prefix: the beginning of each id, before the name of the file without its suffix.
        speaker: the speaker of all audio in the folder.
        split: the split of all audio in the folder, or "".
    """

    prefix: str = ""
    speaker: str = DEFAULT_SPEAKER
    split: str = ""


def read_beside(
    layout: str, root: Path, transcripts: Sequence[str], place: Callable[[str], Place]
) -> Corpus:
    """Read a corpus that has a transcript beside each audio file; finds all audio below root.

    Args:
        layout: the name of the layout.
        root: the folder of the corpus.
        transcripts: endings that replace the audio's suffix in the name of its transcript, best
            first; the first transcript that is not blank is taken.
        place: gives the `Place` of a folder, by its path relative to root ("" for root) in NFC.

    Raises:
        UserError: root is not a folder, or cannot be listed.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder, but the layout {layout} needs one")
    finds: list[Find] = []
    orphans: set[str] = set()
    for folder in walk(root):
        here = place(nfc(folder.path))
        stems = set()
        for stem, name, openable in folder.audio():
            stems.add(stem)
            names = [stem + suffix for suffix in transcripts]
            source = folder.source(name)
            finds.append(pair(root, here.prefix + stem, source, openable, folder, names, here))
        for name in folder.files:
            suffix = next((text for text in transcripts if name.endswith(text)), None)
            if suffix and name.removesuffix(suffix) not in stems:
                orphans.add(folder.source(name.removesuffix(suffix)))
    # Sorted, so that of duplicates the same one is kept on every file system.
    finds.sort(key=lambda find: nfc(find.source))
    warnings = []
    if orphans:
        warnings.append(f"texts without audio beside them: {first_names(sorted(orphans))}")
    return settle(layout, root, finds, warnings)


def pair(
    root: Path,
    utterance_id: str,
    source: str,
    openable: bool,
    texts: Folder,
    names: Sequence[str],
    place: Place,
) -> Find:
    """Make an utterance of an audio file and a text file.

    Args:
        root: the folder of the corpus.
        utterance_id: the id of the utterance.
        source: the path of the audio on disk, relative to root.
        openable: whether the audio is a file that can be opened.
        texts: the folder of the text file.
        names: names that the text file may have, in NFC, best first.
        place: gives speaker and split.
    """
    if not encodable(source):
        message = "the name of the file or of its folder is not UTF-8; rename it"
        return reject(utterance_id, source, Reason.AUDIO_UNREADABLE, message)
    if not openable:
        message = "the audio is not a file that can be opened; is it a broken link?"
        return reject(utterance_id, source, Reason.AUDIO_MISSING, message)
    try:
        text = read_transcript(root, texts, names)
    except UtteranceError as error:
        return reject(utterance_id, source, error.reason, error.message)
    return Utterance(
        id=utterance_id, source=source, text=text, speaker=place.speaker, split=place.split
    )


def check_rows(finds: Sequence[Find], where: Path, form: str) -> None:
    """Check that at least one row of a table could be read; else it is another kind of file.

    Args:
        finds: what was made of the rows.
        where: the table or its folder, for the message.
        form: the form of a row in words, for the message.

    Raises:
        UserError: there are rows, but none has the form.
    """
    bad = [find for find in finds if getattr(find, "reason", None) is Reason.BAD_ROW]
    if bad and len(bad) == len(finds):
        first = getattr(bad[0], "message", "")
        raise UserError(f"{where}: no line has the form {form}; the first: {first}")


def settle(
    layout: str,
    root: Path,
    finds: Iterable[Find],
    warnings: Sequence[str],
    notes: Sequence[str] = (),
) -> Corpus:
    """Make a corpus of what a reader found: rejects duplicates, and sorts.

    The first find with an id is kept, usable or not; later ones are rejected. Two ids with the
    same key (by a collision of hashes, or an id that is made to look like a key) are duplicates.

    Args:
        layout: the name of the reader.
        root: the folder to which all sources are relative.
        finds: in an order in which of duplicates the first is kept.
        warnings, notes: sentences for the user.
    """
    owners: dict[str, str] = {}
    utterances: list[Utterance] = []
    rejected: list[Rejection] = []
    for find in finds:
        key = find.key
        if key in owners:
            owner = owners[key]
            same = f"the id {find.id!r}" if owner == find.id else f"the key {key!r} of {owner!r}"
            message = f"an earlier utterance has {same}"
            rejected.append(reject(find.id, find.source, Reason.DUPLICATE_ID, message))
            continue
        owners[key] = find.id
        if isinstance(find, Utterance):
            utterances.append(find)
        else:
            rejected.append(find)
    return Corpus(
        layout=layout,
        root=root,
        utterances=tuple(sorted(utterances, key=lambda utterance: utterance.id)),
        rejected=tuple(sorted(rejected, key=lambda rejection: rejection.id)),
        warnings=(*warnings, *_overlaps(utterances)),
        notes=tuple(notes),
    )


def _overlaps(utterances: Sequence[Utterance]) -> list[str]:
    """A sentence on pieces that overlap, if there are any; they may be in different splits."""
    pieces = sorted(
        (u.source, -1 if u.piece.channel is None else u.piece.channel, u.piece.offset,
         u.piece.offset + u.piece.duration, u.id)
        for u in utterances
        if u.piece is not None and u.piece.duration is not None and not u.piece.at_most
    )  # fmt: skip
    count, example = 0, ""
    for (*place, begins, _, name), (*before, _, ends, other) in zip(
        pieces[1:], pieces, strict=False
    ):
        if place == before and begins < ends - _OVERLAP:
            count += 1
            example = example or f"{other} and {name}"
    if not count:
        return []
    return [
        f"{count} pieces of recordings begin before the one before them ends, such as {example}: "
        "each is an utterance of its own"
    ]


def recording_of(corpus_root: Path, utterance: Utterance) -> Recording:
    """Where an utterance's recording lies."""
    return Recording.below(corpus_root, utterance.source, utterance.held)


def audio_path(corpus_root: Path, utterance: Utterance) -> Path:
    """The path of an utterance's audio, or of the file that holds it."""
    return recording_of(corpus_root, utterance).path
