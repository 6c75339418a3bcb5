"""The sentences of the zero-shot protocol, and the prompts that they are spoken with.

The prompt of a sentence is a stretch of another utterance of its speaker, in the same split; where
none is long enough several are joined. Nothing is drawn but by hashes of keys and the seed.

Letters for shapes: Q quantizers, T frames, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.evaluation.held_out import HeldOut, positions_of, utterance_at


@dataclass(frozen=True, kw_only=True)
class Part:
    """Frames [first, end) of an utterance, which are a prompt or a part of one."""

    giver: HeldOut
    first: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A sentence that is spoken.

    Attributes:
        utterance: as the dataset holds it.
        prompts: the parts of its prompt, by the prompt's seconds.
    """

    utterance: HeldOut
    prompts: dict[float, tuple[Part, ...]]


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """The sentences of a split.

    Attributes:
        chosen: those that are spoken; one of each speaker, then another of each.
        left_out: keys of utterances whose speaker has not enough other speech for a prompt.
    """

    chosen: list[Sentence]
    left_out: list[str]


def frames_of(seconds: Sequence[float], frame_rate: float, longest: int) -> dict[float, int]:
    """The frames of prompts, by their seconds.

    Args:
        longest: the most frames of a prompt that the run was trained with.

    Raises:
        OptionError: a prompt is longer than that.
    """
    frames = {one: round(one * frame_rate) for one in seconds}
    for one, count in frames.items():
        if count > longest:
            raise OptionError(
                f"--prompt-seconds {one:g}: the run was trained with prompts of "
                f"{longest / frame_rate:.2f} s at most (model.prompt.longest={longest} frames), "
                "and would speak with longer ones as it never learned to. Name fewer seconds, or "
                "train with a larger model.prompt.longest."
            )
        if count < 1:
            raise OptionError(f"--prompt-seconds {one:g} is less than a frame")
    return frames


def sentences(
    dataset: Dataset, split: str, limit: int, seed: int, frames: dict[float, int]
) -> Sentences:
    """Choose sentences of a split, of all speakers in turn, each with its prompts.

    Args:
        limit: the most sentences.
        seed: decides which are drawn, and which prompts.
        frames: of the prompts, by their seconds.

    Raises:
        UserError: a column is missing, the split is empty or damaged, or no speaker has enough
            other speech.
    """
    there = positions_of(dataset, split)
    lengths = np.asarray(dataset.fields(["frames"])["frames"].to_numpy())
    speakers, speaker_of = dataset.names("speaker")
    most = max(frames.values())
    turns: list[tuple[int, str, int]] = []
    left_out = []
    for speaker in np.unique(speaker_of[there]).tolist():
        own = there[speaker_of[there] == speaker]
        keys = {int(i): dataset.key(int(i)) for i in own}
        order = sorted(keys, key=lambda i: unit_interval(keys[i], f"take {seed}"))
        spoken = int(lengths[own].sum())
        enough = [i for i in order if spoken - int(lengths[i]) >= most]
        left_out += [keys[i] for i in order if i not in enough]
        turns += [(turn, speakers[speaker], i) for turn, i in enumerate(enough)]
    if not turns:
        raise UserError(
            f"{dataset.root}: no speaker of split {split!r} has {most / dataset.grid.frame_rate:g} "
            "s of other utterances beside a sentence, which the prompt is taken of. Hold out more "
            "utterances of each speaker, or name fewer --prompt-seconds."
        )
    drawn = [position for _, _, position in sorted(turns)[:limit]]
    try:
        found = [
            _sentence(dataset, i, there[speaker_of[there] == speaker_of[i]], seed, frames)
            for i in drawn
        ]
    except (ValueError, OSError) as error:
        raise UserError(
            f"{dataset.root}: {error}; `ns2 verify` finds all that is damaged"
        ) from error
    return Sentences(chosen=found, left_out=sorted(left_out))


def _sentence(
    dataset: Dataset, position: int, own: np.ndarray, seed: int, frames: dict[float, int]
) -> Sentence:
    """A sentence with its prompts; `own` are the positions of its speaker's utterances."""
    utterance = _read(dataset, position)
    key = utterance.key
    others = {dataset.key(i): i for i in own.tolist() if i != position}
    order = sorted(others, key=lambda other: unit_interval(key, f"prompt {seed} {other}"))
    lengths = dict(zip(order, _lengths(dataset, [others[one] for one in order]), strict=True))
    prompts = {}
    for seconds, count in frames.items():
        picked = stretches(lengths, count, f"{key} {seed}")
        prompts[seconds] = tuple(
            Part(giver=_read(dataset, others[giver]), first=first, end=end)
            for giver, first, end in picked
        )
    return Sentence(utterance=utterance, prompts=prompts)


def _lengths(dataset: Dataset, positions: list[int]) -> list[int]:
    frames = dataset.fields(["frames"])["frames"].to_numpy()
    return [int(frames[i]) for i in positions]


def _read(dataset: Dataset, position: int) -> HeldOut:
    quantizers = int(dataset.card.config("codes")["quantizers"])
    return utterance_at(dataset, position, np.zeros((quantizers, 0), np.int64), "")


def stretches(lengths: Mapping[str, int], frames: int, seed: str) -> list[tuple[str, int, int]]:
    """The stretches that are a prompt of so many frames together: key, first frame, end.

    It is one stretch of the first utterance that is long enough; where none is, utterances are
    joined in their order until there is enough.

    Args:
        lengths: frames of other utterances of the speaker, which together have enough, by key.
        seed: decides where a stretch begins.
    """
    long = [key for key, length in lengths.items() if length >= frames][:1]
    found: list[tuple[str, int, int]] = []
    left = frames
    for key in long or lengths:
        length = min(left, lengths[key])
        first = int(unit_interval(key, f"cut {seed}") * (lengths[key] - length + 1))
        found.append((key, first, first + length))
        left -= length
        if not left:
            break
    return found
