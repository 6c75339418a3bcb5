"""Which TextGrid belongs to which utterance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.core.schema import Kind, Reason, Rejection, Utterance
from ns2.pipeline.corpora.folders import nfc, split_suffix, walk

SUFFIX = ".textgrid"  # in any case
STAGE = "textgrids"
"""The stage that `rejected.parquet` names for an utterance without a TextGrid."""


def find_textgrids(
    folder: Path, utterances: Sequence[Utterance]
) -> tuple[dict[str, Path], list[Rejection]]:
    """Find the TextGrids of utterances below a folder.

    An utterance's file is, by preference, `<id>.TextGrid`, `<key>.TextGrid`,
    `<speaker>/<id>.TextGrid`, `<speaker>/<the audio's name>.TextGrid`, or named as its audio below
    the corpus with any number of outer folders left out (`train/mary/a.wav`: `train/mary/a`,
    `mary/a`, `a`). A file that several utterances would take in the same way is none's.

    Returns:
        files by key, and the utterances that have none.

    Raises:
        OptionError: the folder can't be read, or not one utterance has a TextGrid in it.
    """
    if not folder.is_dir():
        raise OptionError(f"--textgrids {folder} is not a folder")
    files: dict[str, Path] = {}
    for below in walk(folder):
        for name in below.files.values():
            stem, suffix = split_suffix(name)
            if suffix == SUFFIX:
                files.setdefault(nfc(below.source(stem)), folder / below.source(name))
    claims: dict[str, list[tuple[int, Utterance]]] = defaultdict(list)
    missing: list[Rejection] = []
    for utterance in utterances:
        rank, name = next(
            ((i, name) for i, name in enumerate(_names(utterance)) if name in files), (0, "")
        )
        if name:
            claims[name].append((rank, utterance))
        else:
            missing.append(_missing(utterance, f"no TextGrid {_looked_for(utterance)}"))
    found: dict[str, Path] = {}
    for name, some in claims.items():
        best = min(rank for rank, _ in some)
        owners = [utterance for rank, utterance in some if rank == best]
        if len(owners) == 1:
            found[owners[0].key] = files[name]
        for utterance in (one for _, one in some if len(owners) > 1 or one is not owners[0]):
            rivals = ", ".join(sorted(repr(one.id) for _, one in some)[:3])
            message = (
                f"{name}.TextGrid fits several utterances ({rivals}); put each speaker's into a "
                "folder of its own"
            )
            missing.append(_missing(utterance, message))
    if utterances and not found:
        raise OptionError(
            f"--textgrids {folder}: {len(files)} TextGrids are there and none is of an utterance "
            f"of this corpus. For the first one they looked for {_looked_for(utterances[0])}"
        )
    return found, missing


def _names(utterance: Utterance) -> Iterator[str]:
    """What its TextGrid may be called, relative to their folder and without suffix."""
    stem, _ = split_suffix(utterance.source)
    yield nfc(utterance.id)
    yield utterance.key
    yield nfc(f"{utterance.speaker}/{utterance.id}")
    parts = nfc(stem).split("/")
    yield nfc(f"{utterance.speaker}/{parts[-1]}")
    for i in range(len(parts)):
        yield "/".join(parts[i:])


def _looked_for(utterance: Utterance) -> str:
    names = list(dict.fromkeys(_names(utterance)))
    return " or ".join(f"{name}.TextGrid" for name in names)


def _missing(utterance: Utterance, message: str) -> Rejection:
    return Rejection(
        id=utterance.id,
        key=utterance.key,
        source=utterance.source,
        kind=Kind.REJECTED,
        stage=STAGE,
        reason=Reason.TEXTGRID_MISSING,
        message=message,
    )
