"""A dataset's durations compared with known truth.

Errors are those of the starts of phones, except the first of an utterance; silence, word borders
and punctuation are not counted. Phones are matched by their order alone, so an utterance counts
only if its number of phones is that of the truth.

Letters for shapes: K pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import FrameGrid, make_key
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.align_eval.compared import Aligned, Compared, compare
from ns2.pipeline.tools.align_eval.error_figures import CONFIDENCE, FIGURES, figures, intervals
from ns2.pipeline.tools.align_eval.truth import Truth, read_truth

SKIPPED_LIMIT = 0.03
"""A larger share of skipped utterances leads to a warning."""
PAUSES = (20, 200)
"""Shortest pauses, in ms, of which figures are given."""
COVERED = 0.7
"""The share of a pause that must lie in silent tokens for it to count as found."""


def evaluate(dataset: Dataset, path: Path) -> dict[str, Any]:
    """Compare a dataset's durations with a truth file.

    Returns:
        JSON values, see `report`, and where they come from.

    Raises:
        UserError: the dataset has no durations or is damaged, the truth file is malformed, or the
            two have no utterance in common.
    """
    lacking = [name for name in ("phonemes", "durations") if name not in dataset.columns]
    if lacking:
        raise UserError(
            f"{dataset.root} has no {' and no '.join(lacking)}: run `ns2 preprocess` with "
            "--columns durations (and all other columns that it is to have)"
        )
    truths = read_truth(path)
    table = dataset.phoneme_table

    def read(key: str) -> Aligned | None:
        name = key if key in dataset else make_key(key)
        if name not in dataset:
            return None
        try:
            ids = dataset.read("phonemes", name, check=True)
            return table.symbols(ids), dataset.read("durations", name, check=True)
        except ValueError as error:
            raise UserError(f"{error}; `ns2 verify {dataset.root}` says more") from error

    found = report(truths, read, table.optional, dataset.grid)
    counts = found["utterances"]
    if counts["missing"] == counts["truth"]:
        raise UserError(
            f"{path} has no key in common with {dataset.root}: the truth has "
            f"{_examples(row.key for row in truths)}, the dataset {_examples(dataset.keys)}"
        )
    return {
        "dataset": str(dataset.root),
        "digest": dataset.card.digest,
        "truth": str(path),
    } | found


def _examples(names: Iterable[str]) -> str:
    few = [name for name, _ in zip(names, range(2), strict=False)]
    return ", ".join(map(repr, few)) + " ..." if few else "none"


def report(
    truths: Iterable[Truth],
    aligned: Callable[[str], Aligned | None] | Mapping[str, Aligned],
    optional: Iterable[str],
    grid: FrameGrid | None = None,
) -> dict[str, Any]:
    """All figures, as JSON values.

    `utterances` counts the rows of the truth: compared; skipped, for their phones differ in
    number; missing in the dataset; and of another length. `overall` and each of `voices` has the
    figures, their `intervals`, the number of utterances and of errors (`phones`), and the figures
    of utterances cut evenly (`even`). `agreeing_parts` has those of skipped utterances where the
    symbols are the same. `pauses` counts the true pauses that lie in silent tokens.

    Args:
        truths: rows of a truth file.
        aligned: tokens and durations by key.
        optional: tokens that are not phones.
        grid: the frame grid of the durations.
    """
    look_up = aligned.get if isinstance(aligned, Mapping) else aligned
    grid, silent = grid or FrameGrid(), frozenset(optional)
    counts = dict.fromkeys(("truth", "compared", "skipped", "missing", "other_length"), 0)
    whole: list[Compared] = []
    partial: list[Compared] = []
    for truth in truths:
        counts["truth"] += 1
        found = look_up(truth.key)
        utterance = None if found is None else compare(truth, found, silent, grid)
        if utterance is None:
            counts["missing" if found is None else "other_length"] += 1
            continue
        counts["compared" if utterance.agrees else "skipped"] += 1
        (whole if utterance.agrees else partial).append(utterance)
    pauses = np.concatenate([np.zeros((0, 2)), *(u.pauses for u in whole + partial)])
    same = np.concatenate([np.zeros(0, bool), *(u.same for u in whole)])
    share = counts["skipped"] / max(len(whole) + len(partial), 1)
    return {
        "utterances": counts,
        "skipped_share": share,
        "confidence": CONFIDENCE,
        "overall": _group(whole),
        "voices": {
            voice: _group([u for u in whole if u.voice == voice])
            for voice in sorted({u.voice for u in whole})
        },
        "agreeing_parts": _group(partial),
        "same_symbols": float(same.mean()) if len(same) else None,
        "pauses": {str(ms): _pauses_found(pauses[pauses[:, 0] >= ms]) for ms in PAUSES},
        "warnings": _warnings(counts, share),
    }


def _group(utterances: Sequence[Compared]) -> dict[str, Any]:
    """Figures of all errors of these utterances, with their intervals."""
    errors = [utterance.errors for utterance in utterances]
    joined = np.concatenate([np.zeros(0), *errors])
    return {
        "utterances": len(utterances),
        "phones": len(joined),
        **(figures(joined) or dict.fromkeys(FIGURES)),
        "intervals": intervals(errors),
        "even": figures(np.concatenate([np.zeros(0), *(u.even for u in utterances)])),
    }


def _pauses_found(pauses: np.ndarray) -> dict[str, Any]:
    """How many of (K, 2) pauses there are, the share found in silent tokens, the mean share."""
    shares = pauses[:, 1]
    return {
        "count": len(shares),
        "found": float((shares >= COVERED - 1e-9).mean()) if len(shares) else None,
        "mean_share": float(shares.mean()) if len(shares) else None,
    }


def _warnings(counts: Mapping[str, int], skipped_share: float) -> list[str]:
    warnings = []
    if skipped_share > SKIPPED_LIMIT:
        warnings.append(
            f"{skipped_share:.1%} of the utterances are skipped since their phones differ in "
            f"number, more than {SKIPPED_LIMIT:.0%}: the figures hold for the rest only"
        )
    if counts["other_length"]:
        warnings.append(
            f"{counts['other_length']} utterances are not as long as the truth says and are left "
            "out: were they trimmed (--trim), or is this the truth of other recordings?"
        )
    return warnings
