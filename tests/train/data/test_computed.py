"""What steps compute is counted as batches hold it, and prompts are cut as the plan foresees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ns2.model.tts.batch import collate
from ns2.train.data.computed import computed, cut_lengths, expected_lengths
from ns2.train.data.epochs import EpochPlan, Lengths
from tests.support.model_factories import PROMPTS, border, make_example

FRAMES = (60, 45, 52, 70, 90, 17, 12)
OTHERS = (0, 0, 0, 0, 0, 25, 0)


@pytest.mark.parametrize("share", [None, 0.0, 0.4, 0.999])
@pytest.mark.parametrize("parts", [1, 3])
def test_counts_are_those_of_batches(share: float | None, parts: int) -> None:
    examples = [
        replace(make_example(frames, frames // 5, seed=i, other=other), share=share)
        for i, (frames, other) in enumerate(zip(FRAMES, OTHERS, strict=True))
    ]
    lengths = cut_lengths(
        np.array(FRAMES),
        np.array(OTHERS),
        np.array([one.seed for one in examples]),
        share,
        [(one.durations, border()[one.phonemes]) for one in examples],
        PROMPTS,
    )
    size = -(-len(examples) // parts)
    batches = [
        collate(examples[i : i + size], border(), PROMPTS, frame_multiple=8, prompt_multiple=8)
        for i in range(0, len(examples), size)
    ]
    frames = [int(n) for batch in batches for n in batch.frames]
    prompts = [int(n) for batch in batches for n in batch.prompt_frames]
    assert lengths.targets.tolist() == frames and lengths.prompts.tolist() == prompts
    assert lengths.work == sum(batch.work for batch in batches)
    alone = computed(lengths, np.zeros(7, int), 1, multiple=8, parts=parts)
    assert alone.tolist() == [[batch.computed for batch in batches]]
    # as tensors they have so many places
    assert alone.sum() == sum(b.f0.numel() + b.prompt_codes[:, 0].numel() for b in batches)


def test_ranks_and_the_parts_of_their_shares_are_counted_apart() -> None:
    lengths = Lengths(np.array([9, 8, 5, 4, 3]), np.array([2, 2, 0, 7, 1]))
    found = computed(lengths, np.array([0, 0, 1, 1, 1]), 3, multiple=4, parts=2)
    assert found.tolist() == [[12 + 4, 8 + 4], [2 * (8 + 8), 4 + 4], [0, 0]]


def test_plan_1_expects_the_longest_target_and_prompt_that_chance_can_make() -> None:
    plan = EpochPlan(order=np.arange(3), frames=np.array([60, 45, 12]), starts=np.array([0, 2, 3]))
    lengths = expected_lengths(plan, PROMPTS)
    assert lengths.targets.tolist() == [50, 35, 12] and lengths.prompts.tolist() == [30, 22, 0]
