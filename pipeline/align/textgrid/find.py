"""Finds out which TextGrid belongs to which utterance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.core.schema import Kind, Reason, Rejection, Utterance
from ns2.pipeline.corpora.folders import nfc, split_suffix, walk

SUFFIX = ".textgrid"
"""The suffix of a TextGrid's file in lower case; any case is accepted."""

STAGE = "textgrids"
"""The stage that `rejected.parquet` names for an utterance without a TextGrid."""


def find_textgrids(
    folder: Path, utterances: Sequence[Utterance]
) -> tuple[dict[str, Path], list[Rejection]]:
    """Find the TextGrids of utterances below a folder.

    The file of an utterance is, in this order of preference, `<id>.TextGrid`, `<key>.TextGrid`,
    `<speaker>/<id>.TextGrid`, `<speaker>/<name of the audio>.TextGrid`, or the path of its audio
    below the corpus with any number of outer folders left out (for `train/mary/a.wav`:
    `train/mary/a`, `mary/a`, `a`). A file that fits several utterances equally well belongs to none
    of them.

    Returns:
        the files by key, and a rejection of each utterance without a file.

    Raises:
        OptionError: the folder cannot be read, or no utterance at all has a TextGrid in it.
    """
    files = _files(folder)
    # Every utterance claims the first of its names that is there, with the rank of that name.
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
    # A file goes to the claim of the best rank; two claims of one rank would be a guess.
    found: dict[str, Path] = {}
    for name, rivals in claims.items():
        best = min(rank for rank, _ in rivals)
        owners = [utterance for rank, utterance in rivals if rank == best]
        owner = owners[0] if len(owners) == 1 else None
        if owner:
            found[owner.key] = files[name]
        losers = [utterance for _, utterance in rivals if utterance is not owner]
        ids = ", ".join(sorted(repr(utterance.id) for _, utterance in rivals)[:3])
        message = (
            f"{name}.TextGrid fits several utterances ({ids}); put the TextGrids of each speaker "
            "into a folder of their own"
        )
        missing += [_missing(utterance, message) for utterance in losers]
    if utterances and not found:
        raise OptionError(
            f"--textgrids {folder}: none of its {len(files)} TextGrids belongs to an utterance of "
            f"this corpus. Expected for the first utterance: {_looked_for(utterances[0])}"
        )
    return found, missing


def _files(folder: Path) -> dict[str, Path]:
    """All TextGrids below a folder, by their relative paths in NFC without the suffix."""
    if not folder.is_dir():
        raise OptionError(f"--textgrids {folder} is not a folder")
    files: dict[str, Path] = {}
    for below in walk(folder):
        for name in below.files.values():
            stem, suffix = split_suffix(name)
            if suffix == SUFFIX:
                files.setdefault(nfc(below.source(stem)), folder / below.source(name))
    return files


def _names(utterance: Utterance) -> Iterator[str]:
    """Paths that its TextGrid may have, relative to the folder and without suffix, best first."""
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
