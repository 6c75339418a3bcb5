"""What a corpus reader is and gives, and how duplicates are settled.

A new layout is one new file with one `Reader`, and a line in `pipeline/corpora/__init__.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Kind, Reason, Rejection, Utterance, make_key
from ns2.pipeline.corpora.folders import (
    Folder,
    encodable,
    escaped,
    nfc,
    read_transcript,
    some,
    walk,
)

STAGE = "corpus"
"""The stage that `rejected.parquet` names for what a reader rejects."""

DEFAULT_SPEAKER = "default"
"""The speaker where a corpus names none."""

Find = Utterance | Rejection
"""One thing that the corpus defines: it can be used, or it can't and why."""

_SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "eval": "val",
    "test": "test",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All that a corpus defines, each thing exactly once.

    Attributes:
        layout: name of the reader.
        root: the folder that all sources are relative to.
        utterances: sorted by id.
        rejected: what was found and can't be used, sorted by id.
        warnings: what the user should look at, such as audio that no table names.
    """

    layout: str
    root: Path
    utterances: tuple[Utterance, ...]
    rejected: tuple[Rejection, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def found(self) -> int:
        """Utterances found, usable or not."""
        return len(self.utterances) + len(self.rejected)


class Reader(Protocol):
    """One layout of a corpus on disk.

    Attributes:
        name: as `--layout` takes it.
        looks_like: the layout in a few words, for messages.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def looks_like(self) -> str: ...  # noqa: D102

    def matches(self, root: Path) -> bool:
        """Whether the path looks like this layout, by a glance at it."""
        ...

    def read(self, root: Path) -> Corpus:
        """Find all utterances.

        Raises:
            UserError: it does not have this layout, or can't be read.
        """
        ...


def split_of(name: str) -> str | None:
    """The split that a name stands for: "train-clean-100" is train, "dev" is val; else None."""
    return _SPLITS.get(re.split(r"[-_. ]", name.strip().lower(), maxsplit=1)[0])


def reject(utterance_id: str, source: str, reason: Reason, message: str) -> Rejection:
    """A row of `rejected.parquet` for what a reader can't use."""
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
    """What the folder that audio lies in says about it."""

    prefix: str = ""  # of the id; the rest is the file's name without its suffix
    speaker: str = DEFAULT_SPEAKER
    split: str = ""


def read_beside(
    layout: str, root: Path, transcripts: Sequence[str], place: Callable[[str], Place]
) -> Corpus:
    """Read a corpus whose transcripts lie beside the audio: all audio below root is found.

    Args:
        transcripts: what follows the audio's stem in the name of a text, by preference; a blank
            one gives way to the next.
        place: from a folder's path, relative to root ("" for root) and in NFC.

    Raises:
        UserError: root is not a folder, or can't be listed.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder, as the layout {layout} wants")
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
    # Not in the order of the folders: the same duplicate wins on every file system.
    finds.sort(key=lambda find: nfc(find.source))
    warnings = []
    if orphans:
        warnings.append(f"texts without audio beside them: {some(sorted(orphans))}")
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
    """An utterance of one audio file and one text file.

    Args:
        source: the audio's path on disk, relative to root.
        openable: whether it is a file that can be opened.
        texts: the folder that the text lies in.
        names: NFC names of the text, by preference.
        place: gives speaker and split.
    """
    if not encodable(source):
        message = "the name of the file or of its folder is not UTF-8; rename it"
        return reject(utterance_id, source, Reason.AUDIO_UNREADABLE, message)
    if not openable:
        message = "not a file that can be opened (a link to nothing?)"
        return reject(utterance_id, source, Reason.AUDIO_MISSING, message)
    try:
        text = read_transcript(root, texts, names)
    except UtteranceError as error:
        return reject(utterance_id, source, error.reason, error.message)
    return Utterance(
        id=utterance_id, source=source, text=text, speaker=place.speaker, split=place.split
    )


def check_rows(finds: Sequence[Find], where: Path, form: str) -> None:
    """Refuse a table in which nothing can be understood: it is something else.

    Raises:
        UserError: there are rows, and not one has the form.
    """
    bad = [find for find in finds if getattr(find, "reason", None) is Reason.BAD_ROW]
    if bad and len(bad) == len(finds):
        first = getattr(bad[0], "message", "")
        raise UserError(f"{where}: no line has the form {form}; the first: {first}")


def settle(layout: str, root: Path, finds: Iterable[Find], warnings: Sequence[str]) -> Corpus:
    """Settle duplicates and sort.

    The first find with an id owns it, usable or not; later ones are rejected. Two ids with one
    key (which takes a collision of hashes, or an id made to look like a key) count as duplicates.

    Args:
        finds: in the order in which the first counts.
    """
    owners: dict[str, str] = {}
    utterances: list[Utterance] = []
    rejected: list[Rejection] = []
    for find in finds:
        key = find.key
        if key in owners:
            owner = owners[key]
            same = f"the id {find.id!r}" if owner == find.id else f"the key {key!r} of {owner!r}"
            message = f"an earlier one has {same}"
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
        warnings=tuple(warnings),
    )


def audio_path(corpus_root: Path, utterance: Utterance) -> Path:
    """Where the audio of an utterance lies."""
    return corpus_root / utterance.source
