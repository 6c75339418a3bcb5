"""The epoch's plan: complete, independent of ranks, little padding, fair shares."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ns2.train.data.epochs import EpochPlan, mixed, plan_epoch, shares


def speech_like(rng: np.random.Generator, count: int) -> np.ndarray:
    """Frames of utterances between 1 and 20 s, log-normal around 6 s."""
    return np.clip(75 * rng.lognormal(np.log(6), 0.6, count), 75, 1500).astype(np.int32)


def corpus(
    seed: int, count: int = 5000, per_shard: int = 512, shards: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    where = np.arange(count) // per_shard if shards is None else rng.integers(0, shards, count)
    return where.astype(np.int32), speech_like(rng, count)


def steps(plan: EpochPlan) -> list[list[int]]:
    return [plan.step(i).tolist() for i in range(len(plan))]


@pytest.mark.parametrize("seed", range(6))
def test_every_utterance_is_in_one_step_and_none_is_too_large(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(10):
        count = int(rng.integers(1, 3000))
        where, frames = corpus(seed, count, shards=int(rng.integers(1, 80)))
        most = int(rng.integers(frames.max(), 60_000))
        plan = plan_epoch(where, frames, seed=seed, epoch=3, global_frames=most)
        assert sorted(plan.order.tolist()) == list(range(count))
        assert plan.starts[0] == 0 and plan.starts[-1] == count and (np.diff(plan.starts) > 0).all()
        np.testing.assert_array_equal(plan.frames, frames[plan.order])
        assert max(frames[one].sum() for one in steps(plan)) <= most


@pytest.mark.parametrize("shards", [1, 3, 40])
def test_ranks_share_the_same_steps(shards: int) -> None:
    where, frames = corpus(1, 1500, shards=shards)
    plan = plan_epoch(where, frames, seed=5, epoch=0, global_frames=20_000)
    for ranks in (1, 2, 3, 7, 8, 64):
        for number, whole in enumerate(steps(plan)):
            parts = [plan.share(number, rank, ranks).tolist() for rank in range(ranks)]
            assert sorted(itertools.chain(*parts)) == sorted(whole)
            loads = [int(frames[part].sum()) for part in parts]
            far = max(abs(load - sum(loads) / ranks) for load in loads)
            assert far <= max(frames[whole].max(), 0.05 * sum(loads) / ranks)
    with pytest.raises(ValueError, match="rank 2 of 2"):
        plan.share(0, 2, 2)


def test_shares_are_as_even_as_they_can_be() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        frames = rng.integers(50, 100, int(rng.integers(1, 8)))
        ranks = int(rng.integers(1, 4))
        loads = np.bincount(shares(frames, ranks), frames, ranks)
        best = min(
            max(np.bincount(dealt, frames, ranks))
            for dealt in itertools.product(range(ranks), repeat=len(frames))
        )
        assert loads.max() <= best * (4 / 3 - 1 / (3 * ranks)) + 1e-9  # Graham's bound


@pytest.mark.parametrize("ranks", [1, 8, 64])
def test_little_is_padding_and_shares_are_within_a_tenth(ranks: int) -> None:
    where, frames = corpus(2, 40_000)
    plan = plan_epoch(where, frames, seed=0, epoch=0, global_frames=20 * 1500 * ranks // 4 + 20_000)
    assert plan.padding(ranks, multiple=8) < 0.05
    full = [i for i in range(len(plan)) if len(plan.step(i)) >= 7 * ranks]
    assert full
    for number in full:
        loads = [int(frames[plan.share(number, r, ranks)].sum()) for r in range(ranks)]
        mean = sum(loads) / ranks
        assert max(loads) <= 1.1 * mean and min(loads) >= 0.9 * mean


def test_padding_is_what_batches_would_hold() -> None:
    plan = EpochPlan(
        order=np.arange(5), frames=np.array([10, 9, 8, 7, 3]), starts=np.array([0, 4, 5])
    )
    # one rank: 4 x 10 + 1 x 3; two: {10, 7}, {9, 8}, {3}; padded to multiples of 4 as well.
    # In runs {10, 9} and {8, 7} would be 19 and 15 frames, which is not even
    assert plan.padding() == pytest.approx(1 - 37 / 43)
    assert plan.padding(2) == pytest.approx(1 - 37 / (20 + 18 + 3))
    assert plan.padding(2, multiple=4) == pytest.approx(1 - 37 / (24 + 24 + 4))


def test_epochs_and_seeds_differ_and_the_same_is_the_same() -> None:
    where, frames = corpus(3)

    def made(seed: int, epoch: int) -> list[list[int]]:
        return steps(plan_epoch(where, frames, seed=seed, epoch=epoch, global_frames=30_000))

    first, again = made(0, 0), made(0, 0)
    assert first == again
    for other in (made(0, 1), made(1, 0)):
        assert {frozenset(one) for one in first}.isdisjoint(frozenset(one) for one in other)
    # without windows too, where all is sorted at once, steps are others in each epoch
    one = np.zeros_like(where)
    a, b = (plan_epoch(one, frames, seed=0, epoch=epoch, global_frames=30_000) for epoch in (0, 1))
    same = {frozenset(s) for s in steps(a)} & {frozenset(s) for s in steps(b)}
    assert len(same) <= 0.05 * len(a)


def test_a_step_stays_within_a_window_of_few_shards() -> None:
    where, frames = corpus(4, 40_000)
    plan = plan_epoch(where, frames, seed=0, epoch=0, global_frames=10_000, window_shards=4)
    touched, sets = [], [set(where[plan.step(i)].tolist()) for i in range(len(plan))]
    for i in range(0, len(sets) - 20, 20):
        touched.append(len(set().union(*sets[i : i + 20])))
    assert max(touched) <= 16 < len(set(where.tolist()))
    position = {shard: i for i, shard in enumerate(dict.fromkeys(where[plan.order].tolist()))}
    assert [position[s] for s in sorted(position)] != list(range(len(position)))


def test_what_can_not_be_planned_is_told() -> None:
    where, frames = corpus(5, 100)
    with pytest.raises(ValueError, match=r'1 utterances .* --where "frames <= \d+"'):
        plan_epoch(where, frames, seed=0, epoch=0, global_frames=int(np.sort(frames)[-2]))
    with pytest.raises(ValueError, match="no utterances"):
        plan_epoch(where[:0], frames[:0], seed=0, epoch=0, global_frames=1000)
    with pytest.raises(ValueError, match="no frames"):
        plan_epoch(where, frames * 0, seed=0, epoch=0, global_frames=1000)


def test_hashes_are_even_and_fixed() -> None:
    # computed in Python's whole numbers, apart from numpy
    def by_hand(*parts: int) -> int:
        state, mask = 0, 2**64 - 1
        for part in parts:
            state = ((state + 0x9E3779B97F4A7C15) & mask) ^ (part & mask)
            state = ((state + 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9) & mask
            state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
            state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
            state ^= state >> 31
        return state

    many = mixed(-3, 2**63, np.arange(1000))
    assert many.tolist() == [by_hand(-3, 2**63, i) for i in range(1000)]
    bits = (mixed(7, np.arange(20_000))[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(20_000)
