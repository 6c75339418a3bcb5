"""The share of a step's work that is padding, once prompts are cut out of utterances.

Lengths are like those of LibriTTS, LJSpeech and the English part of MLS; what was said is made up.
Each utterance is cut as for a batch, by the durations of its made-up phonemes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ns2.model.tts.prompts import PromptConfig
from ns2.train.data.by_speaker import BySpeaker
from ns2.train.data.computed import Lengths, computed, cut_lengths
from ns2.train.data.epochs import EpochPlan, plan_epoch, utterance_seeds

RATE = 75
SHARD = 512
_PROMPT = PromptConfig()


@dataclass(frozen=True)
class Corpus:
    """Utterances as a plan sees them.

    Attributes:
        frames: (n,) their lengths.
        speaker: (n,) who speaks.
    """

    frames: np.ndarray
    speaker: np.ndarray


@dataclass(frozen=True)
class Wasted:
    """What an epoch computes in vain.

    Attributes:
        plan: 1 or 2.
        ranks: processes that share each step.
        steps: of the epoch.
        largest: frames of targets and prompts in its largest step, as a share of the budget.
        padding: the share of padding in all that is computed.
        idle: the share of padding and of waiting for the rank that has most to compute.
    """

    plan: int
    ranks: int
    steps: int
    largest: float
    padding: float
    idle: float


def librispeech_like(rng: np.random.Generator, count: int) -> np.ndarray:
    """Lengths like those of LibriTTS: log-normal around 5.3 s, between 0.5 and 30 s."""
    return _frames(np.clip(rng.lognormal(np.log(5.3), 0.65, count), 0.5, 30))


def ljspeech_like(rng: np.random.Generator, count: int) -> np.ndarray:
    """Lengths like those of LJSpeech: around 6.6 s, between 1.1 and 10.1 s."""
    return _frames(np.clip(rng.normal(6.6, 2.2, count), 1.1, 10.1))


def mls_like(rng: np.random.Generator, count: int) -> np.ndarray:
    """Lengths like those of MLS: between 10 and 20 s, most near 15 s."""
    return _frames(rng.triangular(10, 15, 20, count))


CORPORA: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], int, int]] = {
    "like LibriTTS": (librispeech_like, 150_000, 2300),
    "like LJSpeech": (ljspeech_like, 13_100, 1),
    "like MLS": (mls_like, 150_000, 5500),
}
"""The lengths, the number of utterances and the number of speakers."""


def corpus(name: str, count: int | None = None) -> Corpus:
    """Make up the utterances of a corpus; `count` is that of the corpus if None."""
    draw, usual, speakers = CORPORA[name]
    rng = np.random.default_rng(1)
    frames = draw(rng, count or usual)
    return Corpus(frames, rng.integers(0, speakers, len(frames)))


def wasted(
    made: Corpus, *, plan: int, ranks: int, rank_frames: int, multiple: int, looked_at: int
) -> Wasted:
    """Plan an epoch, and cut the utterances of some of its steps.

    Args:
        plan: 1 or 2.
        rank_frames: the frames of a step for each rank.
        multiple: what batches are padded to.
        looked_at: the number of utterances that are cut, about.
    """
    frames, budget = made.frames, ranks * rank_frames
    others = _prompts(made)
    found = plan_epoch(
        np.arange(len(frames)) // SHARD,
        frames,
        seed=0,
        epoch=0,
        global_frames=budget,
        others=others if plan == 2 else None,
        prompts=_PROMPT,
    )
    count = max(3, looked_at * len(found) // len(frames))
    work = spent = slowest = 0
    for number in np.unique(np.linspace(0, len(found) - 1, count).astype(int)).tolist():
        lengths = _cut(found, number, others)
        each = computed(lengths, found.rank_of(number, ranks), ranks, multiple=multiple).sum(1)
        work, spent = work + lengths.work, spent + int(each.sum())
        slowest += ranks * int(each.max())
    sums = np.add.reduceat((frames + others)[found.order].astype(np.int64), found.starts[:-1])
    return Wasted(
        plan=plan,
        ranks=ranks,
        steps=len(found),
        largest=float(sums.max() / budget),
        padding=1 - work / spent,
        idle=1 - work / slowest,
    )


def _frames(seconds: np.ndarray) -> np.ndarray:
    return np.ceil(RATE * seconds).astype(np.int32)


def _prompts(made: Corpus) -> np.ndarray:
    """Frames of prompts from other utterances, (n,)."""
    found = np.zeros(len(made.frames), np.int32)
    whole = np.flatnonzero(made.frames < _PROMPT.whole_below)
    others = BySpeaker(made.speaker).others(whole, utterance_seeds(0, 0, whole))
    found[whole] = np.where(others < 0, 0, np.minimum(made.frames[others], _PROMPT.longest))
    return found


def _cut(plan: EpochPlan, number: int, others: np.ndarray) -> Lengths:
    """The lengths of a step's utterances after the cut."""
    utterances = plan.step(number)
    rng = np.random.default_rng(number)
    frames = plan.frames_of(number)
    return cut_lengths(
        frames,
        others[utterances],
        utterance_seeds(0, 0, utterances),
        plan.prompt_share(number),
        _tokens(rng, frames),
        _PROMPT,
    )


def _tokens(
    rng: np.random.Generator, frames: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Durations of the phonemes of made-up utterances, and which of them are no phones.

    Words have about four phones of 5 to 6 frames, and one in ten is followed by a pause.
    """
    for length in frames.tolist():
        phones = np.clip(rng.poisson(3.9, 3 + length // 22), 1, 12)
        ends = np.cumsum(phones + 1)  # each word, and the border behind it
        border = np.zeros(int(ends[-1]) + 1, bool)
        border[0] = True
        border[ends] = True
        durations = np.maximum(1, rng.gamma(4, 1.4, len(border)))
        pauses = np.where(rng.random(len(ends)) < 0.1, rng.uniform(8, 30, len(ends)), 0)
        durations[ends] = pauses
        places = np.round(np.cumsum(durations) * length / durations.sum()).astype(np.int64)
        yield np.diff(places, prepend=0), border
