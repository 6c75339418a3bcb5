"""What a corpus reader is and gives, and how duplicates are settled.

A new layout is one new file with one `Reader`, and a line in `pipeline/corpora/__init__.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ns2.pipeline.corpora.files import Folder, encodable, escaped, nfc, transcript
from ns2.pipeline.schema import Kind, Reason, Rejection, Utterance, UtteranceError, make_key

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


def beside(
    root: Path,
    folder: Folder,
    name: str,
    *,
    openable: bool,
    utterance_id: str,
    transcripts: Sequence[str],
    speaker: str,
    split: str = "",
) -> Find:
    """An audio file whose transcript lies beside it.

    Args:
        name: the audio's name on disk.
        openable: whether it is a file that can be opened.
        transcripts: NFC names of files that may hold the text, by preference.
    """
    source = folder.source(name)
    if not encodable(source):
        message = "the name of the file or of its folder is not UTF-8; rename it"
        return reject(utterance_id, source, Reason.AUDIO_UNREADABLE, message)
    if not openable:
        message = "not a file that can be opened (a link to nothing?)"
        return reject(utterance_id, source, Reason.AUDIO_MISSING, message)
    try:
        text = transcript(root, folder, transcripts)
    except UtteranceError as error:
        return reject(utterance_id, source, error.reason, error.message)
    return Utterance(
        id=utterance_id, source=source, text=text, speaker=nfc(speaker), split=split
    )


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
