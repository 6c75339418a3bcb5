"""What a step computes: the lengths of its targets and prompts after the cut, and their padding.

The index knows how long utterances are. Where prompts are cut out of them, the words decide within
a few frames, so the plan knows lengths only nearly (`expected_lengths`); with the durations of the
phonemes they are exact (`cut_lengths`).

Letters for shapes: n utterances of a step, R ranks, A parts of a rank's share, N phonemes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ns2.model.tts.prompts import PromptConfig, cut_prompt
from ns2.train.data.epochs import EpochPlan, Lengths


def expected_lengths(plan: EpochPlan, config: PromptConfig) -> Lengths:
    """Lengths of all utterances of an epoch, in its order, as far as its plan knows them.

    In plan 1 each target and each prompt is as long as chance can make it.
    """
    if plan.lengths is not None:
        return plan.lengths
    cut = plan.frames >= config.whole_below
    least, most = (config.wanted(plan.frames, share) for share in (0.0, 1 - 2**-53))
    return Lengths(np.where(cut, plan.frames - least, plan.frames), np.where(cut, most, 0))


def cut_lengths(
    frames: np.ndarray,
    others: np.ndarray,
    seeds: np.ndarray,
    share: float | None,
    tokens: Iterable[tuple[np.ndarray, np.ndarray]],
    config: PromptConfig,
) -> Lengths:
    """Lengths of utterances, cut as they are for a batch.

    Args:
        frames: (n,), of the utterances.
        others: (n,), frames of prompts from other utterances.
        seeds: (n,), of the utterances in this epoch.
        share: by which the step cuts prompts; None in plan 1.
        tokens: of each utterance durations (N,), and (N,) bool, what is no phone.
    """
    found = np.zeros((2, len(frames)), np.int64)
    each = zip(frames.tolist(), others.tolist(), seeds.tolist(), tokens, strict=True)
    for i, (whole, other, seed, (durations, border)) in enumerate(each):
        run = cut_prompt(durations, border, config, np.random.default_rng(seed), share)
        prompt = other if run is None else int(durations[run[0] : run[1]].sum(dtype=np.int64))
        found[:, i] = (whole if run is None else whole - prompt), prompt
    return Lengths(found[0], found[1])


def computed(
    lengths: Lengths, rank_of: np.ndarray, ranks: int, *, multiple: int, parts: int = 1
) -> np.ndarray:
    """Frames that are computed, padding included, by each rank in each part of its share.

    Args:
        rank_of: (n,), the rank of each utterance.
        multiple: what the frames of a batch are padded to.
        parts: A, into which a rank splits its share, as `Trainer.batches` does.

    Returns:
        (R, A) int64; 0 where a rank has fewer parts.
    """
    found = np.zeros((ranks, parts), np.int64)
    for rank in range(ranks):
        own = np.flatnonzero(rank_of == rank)
        size = max(1, -(-len(own) // parts))
        for part, first in enumerate(range(0, len(own), size)):
            batch = own[first : first + size]
            found[rank, part] = len(batch) * (
                padded(int(lengths.targets[batch].max()), multiple)
                + padded(int(lengths.prompts[batch].max()), multiple)
            )
    return found


def padded(frames: int, multiple: int) -> int:
    """The frames of a batch whose longest row has so many."""
    return max(1, -(-frames // multiple)) * multiple
