"""Borders against truth: each corpus of `known_borders` goes the whole way, for each aligner.

An aligner is trained on each corpus, with the phones given by its manifest. Counted are the starts
of phones, but for the first of an utterance, and apart from these the edges: the begin of an
utterance's first phone and the end of its last, and of the words where a TextGrid has them. Stories
and joined and stretched recordings have figures of their own. Of LJSpeech no border is known; there
stretches that are quiet should be silence, and silence should not be loud.

Letters for shapes: P phones, T frames.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.codecs.copy_groups import AGREED, LJ, corpus_group, real_groups
from benchmarks.making.known_borders import (
    Known,
    Spoken,
    as_read,
    festival,
    festival_alone,
    flite,
    joined,
    pages,
    sentences,
    stretched,
    words,
    written,
)
from benchmarks.making.labels import labelled
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.executors.inline import InlineExecutor
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.run import preprocess

FRAMES = 75
READ, PAUSE_FRAMES = 32, 10
"""The recordings of LJSpeech, and the frames of a stretch that is long enough for a pause."""
FLOOR, LOUDEST, QUIET, LOUD = 0.03, 0.9, 0.35, 0.5
"""The quantiles of a recording's levels between which it speaks, and the shares of the way between
them up to which a frame is quiet and from which it is loud."""
NEAR, WIDE, FAR = 20.0, 50.0, 150.0
STORY_SECONDS, GAP_SECONDS = 90.0, 0.5
SEED = 11
_UNITS = re.compile("^(edges|words) ")


def corpora(
    utterances: int,
    real: Path | None,
    textgrids: Path | None,
    tiers: tuple[str | None, str | None],
    lj: Path | None = None,
) -> dict[str, Callable[[], Iterator[Spoken]]]:
    """The corpora that can be made, by name.

    Args:
        utterances: of each engine.
        real: the folder of the corpora of people, if there is one.
        textgrids: a folder of recordings with TextGrids, if there is one.
        tiers: the TextGrids' tiers of phones and of words; None for the usual ones.
        lj: the folder of LJSpeech, if there is one.
    """
    found: dict[str, Callable[[], Iterator[Spoken]]] = {
        "sentences": lambda: sentences(utterances, SEED),
        "flite": lambda: flite(utterances, SEED),
        "festival": lambda: festival(utterances, SEED),
        "words": lambda: words(utterances, SEED, noisy=False),
        "words in noise": lambda: words(2 * utterances, SEED, noisy=True),
        "festival words": lambda: festival_alone(2 * utterances, SEED, noisy=False),
        "festival, noise": lambda: festival_alone(2 * utterances, SEED, noisy=True),
    }
    if real is not None:
        groups = real_groups(real)
        libri = groups.get("librispeech-250", [])
        people = [clip for name in AGREED for clip in groups.get(name, [])]
        found["joined"] = lambda: joined(libri, GAP_SECONDS, SEED)
        found["stretched"] = lambda: stretched(people[::3])
        found["stories"] = lambda: pages(real / "english-reader-long", STORY_SECONDS)
    if lj is not None:
        found["pauses"] = lambda: as_read(corpus_group(LJ, lj)[:READ])
    if textgrids is not None:
        found["textgrids"] = lambda: labelled(textgrids, *tiers, STORY_SECONDS)
    return found


def measured(
    made: Mapping[str, Callable[[], Iterator[Spoken]]], inits: Sequence[str]
) -> dict[str, Any]:
    """Make each corpus and measure each aligner on it: figures by corpus and aligner."""
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ns2-") as scratch:
        for name, speech in made.items():
            folder = Path(scratch) / name.replace(" ", "-")
            truth = written(folder, speech())
            if not truth:
                print(f"{name}: nothing is there to measure")
                continue
            extra = _new_symbols(folder)
            for init in inits:
                out = folder / f"dataset-{init}"
                dataset = _aligned(folder / "manifest.jsonl", out, init, extra)
                figures = _figures(name, dataset, truth)
                table.setdefault(name, {})[init] = figures
                print(f"{name:<16}{init:<11}{_shown(figures)}", flush=True)
    return table


def _new_symbols(folder: Path) -> Path | None:
    """A file of the manifest's phones that the table lacks, if there are any."""
    table, lines = PhonemeTable.default(), (folder / "manifest.jsonl").read_text("utf-8")
    used = {p for line in lines.splitlines() for p in json.loads(line)["phonemes"].split()}
    lacking = sorted(symbol for symbol in used if symbol not in table)
    (folder / "symbols.txt").write_text("\n".join([*lacking, ""]), "utf-8")
    return folder / "symbols.txt" if lacking else None


def _aligned(manifest: Path, out: Path, init: Any, extra: Path | None) -> Dataset:
    options = Options(
        columns=("durations",),
        aligner_init=init,
        extra_phonemes=extra,
        min_seconds=0.1,
        max_seconds=STORY_SECONDS,
        max_rejected=1.0,
    )
    preprocess(manifest, out, options, InlineExecutor(), Progress())
    return Dataset(out)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What an aligner found of an utterance: starts and ends of its phones (P,) in seconds, and
    which frames (T,) are silent."""

    starts: np.ndarray
    ends: np.ndarray
    silent: np.ndarray


def _found(dataset: Dataset, key: str) -> Found:
    symbols = dataset.phoneme_table.symbols(dataset.read("phonemes", key))
    durations = dataset.read("durations", key).astype(np.int64)
    silent = np.array([symbol in dataset.phoneme_table.optional for symbol in symbols])
    ends = np.cumsum(durations)
    return Found(
        starts=(ends - durations)[~silent] / FRAMES,
        ends=ends[~silent] / FRAMES,
        silent=np.repeat(silent, durations),
    )


def _figures(name: str, dataset: Dataset, truth: Sequence[Known]) -> dict[str, float]:
    found = {one.key: _found(dataset, one.key) for one in truth if one.key in dataset}
    pairs = [(one, found[one.key]) for one in truth if one.key in found]
    pairs = [(one, there) for one, there in pairs if len(one.starts) == len(there.starts)]
    counted = {"utterances": float(len(pairs)), "left out": float(len(truth) - len(pairs))}
    if not pairs:
        return counted
    if name == "stretched":
        return counted | _agreement({one.key: there.starts for one, there in pairs})
    if name == "joined":
        return counted | {"silence found": float(np.mean([*map(_gap, pairs)]))}
    if name == "pauses":
        return counted | _pauses(dataset, found)
    inner = np.concatenate([1000 * (there.starts - one.starts)[1:] for one, there in pairs])
    begins = np.array([1000 * (there.starts[0] - one.starts[0]) for one, there in pairs])
    ends = np.array([1000 * (there.ends[-1] - one.end) for one, there in pairs])
    words = np.concatenate([_word_edges(*pair) for pair in pairs])
    inner, edges = inner[np.isfinite(inner)], np.concatenate([begins, ends])
    if name == "stories":
        inner, edges = np.concatenate([inner, begins]), edges[:0]
    return counted | _errors("", inner) | _errors("edges ", edges) | _errors("words ", words)


def _gap(pair: tuple[Known, Found]) -> float:
    """The share of the silence between two joined recordings that is found."""
    one, there = pair
    at, frames = int(one.pause * FRAMES), round(GAP_SECONDS * FRAMES)
    return float(there.silent[at : at + frames].mean())


def _pauses(dataset: Dataset, found: Mapping[str, Found]) -> dict[str, float]:
    """How many pauses of three frames or more there are between phones, what share of the stretches
    that are quiet for `PAUSE_FRAMES` is silence, and what share of the silence is loud."""
    counts, quiet, loud = 0, list[bool](), list[np.ndarray]()
    for key, there in found.items():
        level = dataset.read("mel", key).astype(np.float64).mean(0)
        low, high = np.quantile(level, [FLOOR, LOUDEST])
        height = (level - low) / (high - low)
        counts += sum(end - begin >= 3 for begin, end in _inner_runs(there.silent))
        quiet += [
            bool(there.silent[begin:end].mean() >= 0.5)
            for begin, end in _inner_runs(height < QUIET)
            if end - begin >= PAUSE_FRAMES
        ]
        loud.append(height[there.silent] > LOUD)
    shares = {"silence in quiet": np.mean(quiet), "silence loud": np.mean(np.concatenate(loud))}
    return {"pauses": float(counts)} | {name: float(share) for name, share in shares.items()}


def _inner_runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """The begin and end of each run of True in flags (T,), but for one at either end."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(b, e) for b, e in edges.reshape(-1, 2).tolist() if b > 0 and e < len(flags)]


def _word_edges(one: Known, there: Found) -> np.ndarray:
    """Errors in ms of the begins and ends of words; none where words are not known."""
    if not len(one.words):
        return np.empty(0)
    first, last = one.words[:, 0], one.words[:, 1] - 1
    begins, ends = there.starts[first] - one.starts[first], there.ends[last] - one.ends[last]
    return np.asarray(1000 * np.concatenate([begins, ends]))


def _errors(of: str, errors: np.ndarray) -> dict[str, float]:
    """Median and mean of errors in ms, and the shares that are small; nothing of no errors."""
    if not len(errors):
        return {}
    off = np.abs(errors)
    figures = {"median": np.median(off), "mean": off.mean(), "within 20": np.mean(off <= NEAR)}
    figures |= {"within 50": np.mean(off <= WIDE), "within 150": np.mean(off <= FAR)}
    return {f"{of}{name}": float(value) for name, value in figures.items()}


def _agreement(starts: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Errors of the starts in stretched recordings, if those in the others are right."""
    errors = []
    for key, found in starts.items():
        name, _, factor = key.rpartition("-")
        if factor != "100" and f"{name}-100" in starts:
            expected = starts[f"{name}-100"] * int(factor) / 100
            errors.append(1000 * (found - expected)[1:])
    return _errors("", np.concatenate(errors)) if errors else {}


def _shown(figures: Mapping[str, float]) -> str:
    """A line of figures: milliseconds and shares."""
    forms = {"within": ".1%", "silence": ".1%", "utterances": ".0f", "left": ".0f", "pauses": ".0f"}
    return "  ".join(
        f"{name} {value:{forms.get(_UNITS.sub('', name).split()[0], '.1f')}}"
        for name, value in figures.items()
    )
