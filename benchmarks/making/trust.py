"""Trust against truth: are borders as often right as is said, and are wrong texts found?

Truth is spoken by voices of espeak-ng that trained nothing, and by flite where it is installed, in
corpora that are drawn anew several times; each recording is aligned with its text and with texts
that are wrong. In the corpora of people some texts belong to other recordings, and in what is held
out of them one word is exchanged for another; they go the whole way of `ns2 preprocess`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.codecs.copy_groups import AGREED, LJ, Clip, corpus_group, lj_group
from benchmarks.making.known_borders import UNHEARD, flite
from ns2.pipeline.align.border_confidence import border_net
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.executors.inline import InlineExecutor
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.run import preprocess
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.text.pronunciation import pronounce
from ns2.pipeline.tools.inspection.one_utterance import describe
from ns2.train.bundled.aligner_people.surroundings import worn
from ns2.train.bundled.border_trust.fitting import borders_of, reliability
from ns2.train.bundled.border_trust.judged import Corpus, Judged
from ns2.train.bundled.border_trust.told import Told, words_drawn
from ns2.train.bundled.labelled_speech import SAMPLE_RATE
from ns2.train.bundled.make_border_confidence import Spec, spoken

SWAPPED = 0.05
"""The share of the texts of people that belong to another recording."""
SEED = 500
_FEWEST_LETTERS, _FEWEST_PHONES = 4, 3
_FEWEST = 100
"""Bins of fewer borders say nothing."""
_DRAWS, _BETWEEN = 6, 10
"""How often each corpus is drawn, and how far the seeds of draws lie apart."""

Confidences = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Confidence, whether wrong, and weight of borders (B,)."""


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure both, as the arguments of `benchmarks.truth` say."""
    found: dict[str, Any] = {"borders": known(args.utterances)}
    if args.real is not None or args.lj is not None:
        found["texts"] = {
            name: texts(clips, held, args.most or len(clips))
            for name, clips, held in _people(args.real, args.lj)
        }
    return found


def known(count: int) -> dict[str, Any]:
    """Confidence against truth: bins of all corpora, and each corpus's share of wrong borders.

    How far the bins of one draw are off is luck, in part: a voice or a noise that an aligner takes
    amiss decides those in the middle. So there are several draws.
    """
    draws, rows = list[list[Confidences]](), list[dict[str, Any]]()
    for draw in range(_DRAWS):
        draws.append([])
        for name, told in _known_corpora(count, SEED + _BETWEEN * draw):
            judged = [*Corpus(told, "bundled", SEED + draw).judged()]
            evidence, wrong, weight = borders_of(judged)
            confidence = border_net().confidence(evidence)
            draws[-1].append((confidence, wrong, weight))
            shares = {"said": float(weight @ (1 - confidence)), "true": float(weight @ wrong)}
            rows.append({"corpus": name, "draw": draw, **shares})
            print(f"{name:<18}" + _shares(shares), _by_kind(judged), flush=True)
    bins = _bins([part for parts in draws for part in parts])
    for row in bins:
        print(f"  confidence {row['said']:.3f}  right {row['true']:.3f}  of {row['borders']}")
    gap, alone = _largest(bins), [_largest(_bins(parts)) for parts in draws]
    each = ", ".join(f"{value:.3f}" for value in alone)
    print(f"  largest difference {gap:.3f} (of each draw alone {each})")
    return {"corpora": rows, "bins": bins, "largest difference": gap, "of each draw": alone}


def _known_corpora(count: int, seed: int) -> Iterator[tuple[str, list[Told]]]:
    made: dict[str, Callable[[], Iterator[Told]]] = {
        "espeak-ng": lambda: spoken(Spec("en-us", None, utterances=count), seed, UNHEARD),
        "espeak-ng, noise": lambda: spoken(
            Spec("en-us", worn, utterances=count), seed + 1, UNHEARD
        ),
        "Italian, noise": lambda: spoken(Spec("it", worn, utterances=count), seed + 2, UNHEARD),
        "flite": lambda: _flite(count, seed + 3, noisy=False),
        "flite, noise": lambda: _flite(count, seed + 4, noisy=True),
    }
    for name, speak in made.items():
        if told := [*speak()]:
            yield name, told
        else:
            print(f"{name}: nothing is there to measure")


def _bins(parts: Sequence[Confidences]) -> list[dict[str, float]]:
    """What is said and what is true in each tenth, each corpus counting as much."""
    confidence, wrong, weight = (np.concatenate(values) for values in zip(*parts, strict=True))
    return [
        {"borders": int(_inside(confidence, said)), "said": said, "true": true}
        for _, said, true in reliability(confidence, wrong, weight)
    ]


def _largest(bins: Sequence[Mapping[str, float]]) -> float:
    return max(abs(row["said"] - row["true"]) for row in bins if row["borders"] >= _FEWEST)


def _inside(confidence: np.ndarray, said: float) -> int:
    """The number of confidences in the same tenth as one."""
    return int((np.minimum(confidence * 10, 9).astype(int) == min(int(said * 10), 9)).sum())


def _shares(found: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.1%}" for name, value in found.items())


def _by_kind(judged: Sequence[Judged]) -> str:
    """The expected and the true shares of wrong borders for right texts."""
    right = [one for one in judged if one.kind == "right"]
    said = np.concatenate([1 - border_net().confidence(one.evidence)[one.phone] for one in right])
    true = np.concatenate([one.wrong[one.phone] for one in right])
    known = np.isfinite(true)
    return f"(right texts: said {said[known].mean():.1%}, true {true[known].mean():.1%})"


def _flite(count: int, seed: int, *, noisy: bool) -> Iterator[Told]:
    """Sentences of flite, which tells no words."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    for one in flite(count, seed):
        wave = resample(one.wave, one.rate, SAMPLE_RATE).astype(np.float32)
        wave = worn(wave, noise) if noisy else wave
        yield Told(wave, tuple(words_drawn(one.sounds, len(wave) / SAMPLE_RATE, rng)))


def _people(real: Path | None, lj: Path | None) -> Iterator[tuple[str, list[Clip], set[str]]]:
    """Corpora with the ids of what is held out of them."""
    if lj is not None:
        yield LJ, corpus_group(LJ, lj), {clip.id for clip in lj_group(lj)}
    for name in AGREED if real is not None else ():
        assert real is not None
        if (folder := real / name).is_dir():
            held = {clip.id for clip in corpus_group(name, folder, AGREED[name])}
            yield name, corpus_group(name, folder), held


@dataclass(frozen=True)
class _Changed:
    """A recording with what is made of its text: the word that it got, or "" for another text."""

    clip: Clip
    word: str | None = None


def texts(clips: Sequence[Clip], held: set[str], most: int) -> dict[str, float]:
    """Change texts of a corpus, make a dataset of it, and see what is found.

    Args:
        held: ids of the recordings in which a word is exchanged.
        most: the most recordings; those that are held out come first.
    """
    chosen = sorted(clips, key=lambda clip: clip.id not in held)[:most]
    changed = _changes(chosen, held, random.Random(SEED))
    with tempfile.TemporaryDirectory(prefix="ns2-") as scratch:
        figures = figures_of(_dataset(Path(scratch), changed), changed)
    shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    print(f"{chosen[0].group:<18}{shown}", flush=True)
    return figures


def figures_of(dataset: Dataset, changed: Sequence[_Changed]) -> dict[str, float]:
    """What a dataset tells of its changed texts."""
    rows = {row["id"]: row for row in map(dataset.row, dataset.keys)}
    there = [one for one in changed if one.clip.id in rows]
    swapped = np.array([one.word == "" for one in there])
    right = np.array([one.word is None for one in there])
    figures = {"recordings": float(len(there)), "swapped": float(swapped.sum())}
    for name, sign in (("align_score", -1), ("border_error", 1)):
        values = np.array([rows[one.clip.id][name] for one in there])
        figures[f"area by {name}"] = area(sign * values[right], sign * values[swapped])
        figures[f"median {name}, right"] = float(np.median(values[right]))
        figures[f"median {name}, swapped"] = float(np.median(values[swapped]))
    hits = [
        describe(dataset, rows[one.clip.id]["key"])["worst_word"]["word"].lower() == one.word
        for one in there
        if one.word
    ]
    found = float(np.mean(hits)) if hits else math.nan
    return {**figures, "exchanged": float(len(hits)), "found": found}


def area(right: np.ndarray, wrong: np.ndarray) -> float:
    """The area under the curve: how often a wrong one has a larger value than a right one."""
    above = (wrong[:, None] > right).mean() + 0.5 * (wrong[:, None] == right).mean()
    return float(above)


def _changes(clips: Sequence[Clip], held: set[str], rng: random.Random) -> list[_Changed]:
    """Some texts swapped among texts of like length, and one word exchanged in what is held out."""
    rest = sorted((c for c in clips if c.id not in held), key=lambda c: len(c.text))
    pairs = rng.sample(range(0, len(rest) - 1, 2), max(1, round(SWAPPED * len(clips) / 2)))
    found = {clip.id: _Changed(clip) for clip in clips}
    for at in pairs:
        one, two = rest[at], rest[at + 1]
        found[one.id] = _Changed(replace(one, text=two.text), "")
        found[two.id] = _Changed(replace(two, text=one.text), "")
    sizes = _sizes(clips)
    for clip in clips:
        if clip.id in held and (new := _exchanged(clip, sizes, rng)) is not None:
            found[clip.id] = new
    return [*found.values()]


def _sizes(clips: Sequence[Clip]) -> dict[str, int]:
    """The number of phones of the longer words of a corpus that are said as one."""
    optional, sizes = PhonemeTable.default().optional, dict[str, int]()
    for clip in clips:
        said = pronounce(clip.text, clip.language)
        for word, first, behind in said.words:
            count = sum(token not in optional for token in said.tokens[first:behind])
            if count >= _FEWEST_PHONES and len(word) >= _FEWEST_LETTERS and word.isalpha():
                sizes[word.lower()] = count
    return sizes


def _exchanged(clip: Clip, sizes: Mapping[str, int], rng: random.Random) -> _Changed | None:
    """The text with another of its longer words; None if it has none."""
    words = clip.text.split()
    places = [i for i, word in enumerate(words) if word.lower() in sizes]
    if not places:
        return None
    place = rng.choice(places)
    old, said = words[place].lower(), {word.lower() for word in words}
    alike = [w for w, size in sizes.items() if abs(size - sizes[old]) <= 1 and w not in said]
    new = rng.choice(alike)
    text = " ".join(
        [*words[:place], new.upper() if clip.text.isupper() else new, *words[place + 1 :]]
    )
    return _Changed(replace(clip, text=text), new)


def _dataset(folder: Path, changed: Sequence[_Changed]) -> Dataset:
    rows = [
        {"id": c.id, "audio": str(c.path.absolute()), "text": c.text, "language": c.language}
        for c in (one.clip for one in changed)
    ]
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    options = Options(columns=("trust", "meta"), max_rejected=1.0)
    preprocess(manifest, folder / "out", options, InlineExecutor(), Progress())
    return Dataset(folder / "out")
