"""`ns2 align-eval`: how far the phones of a dataset begin from where they truly begin.

Measured on the starts of phones, the first of an utterance excepted; silence, word borders and
punctuation are not counted. Phones are told apart by their order alone, so an utterance counts
only if its number of phones is that of the truth.

Letters for shapes: U utterances, E errors, N tokens, P phones, K pauses.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import FrameGrid, make_key
from ns2.pipeline.dataset.phoneme_table import STRESSES
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.align_truth import Truth, read_truth

WITHIN = (10, 20, 30, 50)
FIGURES = ("signed", "median", "mean", "p90", *(f"within{ms}" for ms in WITHIN))
"""Signed median, then median, mean and 90th percentile of the size in ms, then shares."""

RESAMPLES, CONFIDENCE, SEED = 1000, 0.95, 0
SKIPPED_LIMIT = 0.03
PAUSES = (20, 200)
"""Pauses from so many ms on are looked at."""
COVERED = 0.7
"""Share of a pause that must lie in silent tokens for it to count as found."""
_MARKS = frozenset("".join(STRESSES))
_LENGTH_TOLERANCE = 2  # frames: resampling rounds

Aligned = tuple[Sequence[str], np.ndarray]
"""N token strings and (N,) durations in frames."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One utterance held against its truth.

    Attributes:
        agrees: it has as many phones as the truth. Else `errors` has only those phones that
            have the same symbol in both, and the one before them too.
        errors: (E,) ms by which phones begin too late, the first excepted.
        even: (E,) the same when the utterance is cut evenly into its tokens.
        same: (P,) whether the symbols are the same but for stress; empty unless it agrees.
        pauses: (K, 2) ms of each true pause between phones, and its share in silent tokens.
    """

    voice: str
    agrees: bool
    errors: np.ndarray
    even: np.ndarray
    same: np.ndarray
    pauses: np.ndarray


def compare(
    truth: Truth, aligned: Aligned, optional: frozenset[str], grid: FrameGrid
) -> Compared | None:
    """Errors of one utterance, or None if the recording is not as long as the truth says.

    Args:
        optional: tokens that are no phones.
    """
    tokens, durations = aligned
    frame_ms = 1000.0 / grid.frame_rate
    edges = np.concatenate([[0], np.cumsum(durations, dtype=np.int64)])
    frames = int(edges[-1])
    last = truth.starts[-1] if len(truth.starts) else 0.0
    if truth.seconds is None:
        if last > frames * frame_ms:
            return None
    elif abs(truth.seconds * grid.frame_rate - frames) > _LENGTH_TOLERANCE:
        return None
    is_phone = np.array([token not in optional for token in tokens], bool)
    even = np.round(np.arange(len(tokens)) * frames / max(len(tokens), 1))
    mine = [_bare(token) for token in tokens if token not in optional]
    theirs = [_bare(phone) for phone in truth.phones]
    agrees = len(mine) == len(theirs)
    if agrees:
        here = there = np.arange(1, len(mine))
    else:
        here, there = _in_both(mine, theirs)
    target = truth.starts[there]
    return Compared(
        voice=truth.voice,
        agrees=agrees,
        errors=edges[:-1][is_phone][here] * frame_ms - target,
        even=even[is_phone][here] * frame_ms - target,
        same=np.array([m == t for m, t in zip(mine, theirs, strict=True)] if agrees else [], bool),
        pauses=_pauses(truth.pauses, edges * frame_ms, is_phone),
    )


def _bare(phone: str) -> str:
    """A phone without its stress."""
    return "".join(char for char in phone if char not in _MARKS)


def _in_both(mine: Sequence[str], theirs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Places of phones that are the same in both, as the phone before them is."""
    blocks = difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
    pairs = [(a + i, b + i) for a, b, size in blocks for i in range(1, size)]
    places = np.array(pairs, np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def _pauses(pauses: np.ndarray, edges_ms: np.ndarray, is_phone: np.ndarray) -> np.ndarray:
    """(K, 2) length in ms of each pause, and the share of it that lies in silent tokens."""
    begins, ends = edges_ms[:-1][~is_phone], edges_ms[1:][~is_phone]
    rows = []
    for begin, end in pauses:
        overlap = np.minimum(ends, end) - np.maximum(begins, begin)
        rows.append((end - begin, overlap.clip(0).sum() / max(end - begin, 1e-9)))
    return np.array(rows, np.float64).reshape(-1, 2)


def figures(errors: np.ndarray) -> dict[str, float] | None:
    """The `FIGURES` of (E,) signed errors in ms; None if there are none."""
    return _figures(np.sort(errors), np.sort(np.abs(errors))) if len(errors) else None


def _figures(signed: np.ndarray, size: np.ndarray) -> dict[str, float]:
    """The figures of errors and of their sizes, both sorted."""
    within = np.searchsorted(size, np.array(WITHIN) + 1e-9, side="right") / len(size)
    values = (
        _quantile(signed, 0.5), _quantile(size, 0.5), float(size.mean()), _quantile(size, 0.9),
        *within.tolist(),
    )  # fmt: skip
    return dict(zip(FIGURES, values, strict=True))


def _quantile(values: np.ndarray, share: float) -> float:
    """Of sorted values; `np.quantile` would look for an order that is there already."""
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (place - low) * (values[high] - values[low]))


def intervals(utterances: Sequence[np.ndarray]) -> dict[str, tuple[float, float]] | None:
    """95 % intervals of all figures, by the percentiles of a bootstrap over utterances.

    Errors of one utterance hang together, so utterances are drawn, not errors. The same input
    gives the same intervals. None for fewer than two utterances.

    Args:
        utterances: (E,) errors of each.
    """
    count = len(utterances)
    if count < 2 or not sum(map(len, utterances)):
        return None
    errors = np.concatenate(utterances)
    owner = np.repeat(np.arange(count), [len(some) for some in utterances])
    # a sorted array whose elements are repeated is sorted again: no draw has to be sorted
    orders = np.argsort(errors, kind="stable"), np.argsort(np.abs(errors), kind="stable")
    signed, size = errors[orders[0]], np.abs(errors)[orders[1]]
    owners = owner[orders[0]], owner[orders[1]]
    rng = np.random.default_rng(SEED)
    draws = []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        drawn = np.repeat(signed, times[owners[0]]), np.repeat(size, times[owners[1]])
        if len(drawn[0]):
            draws.append(list(_figures(*drawn).values()))
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(FIGURES, low, high, strict=True)}


def evaluate(dataset: Dataset, path: Path) -> dict[str, Any]:
    """Hold a dataset's durations against a truth file.

    Returns:
        JSON values, see `report`, and where they come from.

    Raises:
        UserError: the dataset has no durations or is damaged, the truth file is not as it should
            be, or the two have no utterance in common.
    """
    lacking = [name for name in ("phonemes", "durations") if name not in dataset.columns]
    if lacking:
        raise UserError(
            f"{dataset.root} has no {' and no '.join(lacking)}: run `ns2 preprocess` with "
            "--columns durations (and all else that it shall have)"
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
            raise UserError(f"{error}; `ns2 verify {dataset.root}` tells more") from error

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

    `utterances` counts rows of the truth: compared; skipped, for their phones differ in number;
    missing in the dataset; and of another length. `overall` and each of `voices` has the
    figures, their `intervals`, the number of utterances and of errors (`phones`), and figures
    when cut evenly (`even`). `agreeing_parts` has those of skipped utterances where the symbols
    are the same. `pauses` tells how many true pauses lie in silent tokens.

    Args:
        aligned: tokens and durations by key.
        optional: tokens that are no phones.
        grid: of the durations.
    """
    look = aligned.get if isinstance(aligned, Mapping) else aligned
    grid, silent = grid or FrameGrid(), frozenset(optional)
    counts = dict.fromkeys(("truth", "compared", "skipped", "missing", "other_length"), 0)
    whole: list[Compared] = []
    partial: list[Compared] = []
    for truth in truths:
        counts["truth"] += 1
        found = look(truth.key)
        one = None if found is None else compare(truth, found, silent, grid)
        if one is None:
            counts["missing" if found is None else "other_length"] += 1
            continue
        counts["compared" if one.agrees else "skipped"] += 1
        (whole if one.agrees else partial).append(one)
    pauses = np.concatenate([np.zeros((0, 2)), *(one.pauses for one in whole + partial)])
    same = np.concatenate([np.zeros(0, bool), *(one.same for one in whole)])
    voices = sorted({one.voice for one in whole})
    share = counts["skipped"] / max(len(whole) + len(partial), 1)
    return {
        "utterances": counts,
        "skipped_share": share,
        "confidence": CONFIDENCE,
        "overall": _group(whole),
        "voices": {name: _group([o for o in whole if o.voice == name]) for name in voices},
        "agreeing_parts": _group(partial),
        "same_symbols": float(same.mean()) if len(same) else None,
        "pauses": {str(ms): _found(pauses[pauses[:, 0] >= ms]) for ms in PAUSES},
        "warnings": _warnings(counts, share),
    }


def _group(some: Sequence[Compared]) -> dict[str, Any]:
    errors = [one.errors for one in some]
    joined = np.concatenate([np.zeros(0), *errors])
    return {
        "utterances": len(some),
        "phones": len(joined),
        **(figures(joined) or dict.fromkeys(FIGURES)),
        "intervals": intervals(errors),
        "even": figures(np.concatenate([np.zeros(0), *(one.even for one in some)])),
    }


def _found(pauses: np.ndarray) -> dict[str, Any]:
    """Of (K, 2) pauses: how many, how many lie in silent tokens, and the mean share of them."""
    shares = pauses[:, 1]
    return {
        "count": len(shares),
        "found": float((shares >= COVERED - 1e-9).mean()) if len(shares) else None,
        "mean_share": float(shares.mean()) if len(shares) else None,
    }


def _warnings(counts: Mapping[str, int], skipped_share: float) -> list[str]:
    told = []
    if skipped_share > SKIPPED_LIMIT:
        told.append(
            f"{skipped_share:.1%} of the utterances are skipped since their phones differ in "
            f"number, more than {SKIPPED_LIMIT:.0%}: the figures hold for the rest only"
        )
    if counts["other_length"]:
        told.append(
            f"{counts['other_length']} utterances are not as long as the truth says and are left "
            "out: were they trimmed (--trim), or is this the truth of other recordings?"
        )
    return told


_HEADS = {
    "signed": "median, signed",
    "median": "median",
    "mean": "mean",
    "p90": "90th percentile",
    **{f"within{ms}": f"within {ms} ms" for ms in WITHIN},
}


def render(found: Mapping[str, Any]) -> str:
    """What `evaluate` found, as text; warnings are left to the caller."""
    counts, overall = found["utterances"], found["overall"]
    lines = [
        f"{counts['compared']} utterances compared, {overall['phones']} starts of phones; "
        f"{counts['skipped']} skipped ({found['skipped_share']:.1%}), since their phones differ in "
        f"number; {counts['missing']} not in the dataset"
    ]
    if found["same_symbols"] is not None:
        lines.append(
            f"symbols are those of the truth for {found['same_symbols']:.1%} of the phones"
        )
    if overall["phones"]:
        lines += ["", *_whole_table(overall), *_voice_table(found["voices"])]
    rest = found["agreeing_parts"]
    if rest["phones"]:
        lines += [
            "",
            f"of the skipped ones, {rest['phones']} starts between equal symbols: median "
            f"{rest['median']:.1f}, mean {rest['mean']:.1f} ms (not counted above)",
        ]
    for ms, told in found["pauses"].items():
        if told["count"]:
            lines.append(
                f"{told['found']:.1%} of {told['count']} pauses between phones of {ms} ms or more "
                f"lie for {COVERED:.0%} in silence, word borders and punctuation"
            )
    return "\n".join(lines)


def _cell(name: str, value: float) -> str:
    return f"{value:.1%}" if name.startswith("within") else f"{value:.1f}"


def _whole_table(overall: Mapping[str, Any]) -> list[str]:
    """A line a figure: its value, its interval, and that of cutting evenly."""
    lines = [f"{'all voices, ms':<18}{'':>8}{f'{CONFIDENCE:.0%} interval':>20}{'cut evenly':>14}"]
    for name in FIGURES:
        between = "-"
        if overall["intervals"] is not None:
            between = " to ".join(_cell(name, limit) for limit in overall["intervals"][name])
        lines.append(
            f"  {_HEADS[name]:<16}{_cell(name, overall[name]):>8}{between:>20}"
            f"{_cell(name, overall['even'][name]):>14}"
        )
    return lines


def _voice_table(voices: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line a voice, with half the width of each interval; nothing where no voice is told."""
    if not any(voices):
        return []
    heads = ("signed", "median", "mean", "p90", *(f"<={ms} ms" for ms in WITHIN))
    lines = ["", f"{'voice, ms':<14}{'utts':>6}" + "".join(f"{head:>11}" for head in heads)]
    for voice, told in voices.items():
        cells = []
        for name in FIGURES if told["phones"] else ():
            value, spread = _cell(name, told[name]), ""
            if told["intervals"] is not None:
                low, high = told["intervals"][name]
                spread = f" ±{(high - low) / 2 * (100 if name.startswith('within') else 1):.1f}"
            cells.append(f"{value.rstrip('%')}{spread:<5}")
        row = "".join(f"{cell:>11}" for cell in cells)
        lines.append(f"{voice or '(not told)':<14}{told['utterances']:>6}{row}".rstrip())
    return lines
