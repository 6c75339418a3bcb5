"""The epoch's plan: complete, independent of ranks, little padding, fair shares."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from ns2.model.tts.prompts import PromptConfig
from ns2.train.data.computed import computed, expected_lengths
from ns2.train.data.epochs import EpochPlan, Lengths, mixed, plan_epoch
from ns2.train.data.shares import even_runs, shares


def speech_like(rng: np.random.Generator, count: int) -> np.ndarray:
    """Frames of utterances between 1 and 20 s, log-normal around 6 s."""
    return np.clip(75 * rng.lognormal(np.log(6), 0.6, count), 75, 1500).astype(np.int32)


def corpus(
    seed: int, count: int = 5000, per_shard: int = 512, shards: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    where = np.arange(count) // per_shard if shards is None else rng.integers(0, shards, count)
    return where.astype(np.int32), speech_like(rng, count)


def padding(plan: EpochPlan, ranks: int, multiple: int = 1) -> float:
    """The share of padding where utterances stay whole."""
    whole = Lengths(plan.frames, np.zeros_like(plan.frames))
    padded = 0
    for number in range(len(plan)):
        of, rank_of = whole.part(plan.places(number)), plan.rank_of(number, ranks)
        each = computed(of, rank_of, ranks, multiple=multiple)
        # a batch without prompts computes one frame, or a multiple, of them
        padded += int(each.sum()) - multiple * len(of.targets)
    return 1 - plan.total_frames / padded


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
    assert padding(plan, ranks, multiple=8) < 0.05
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
    assert padding(plan, 1) == pytest.approx(1 - 37 / 43)
    assert padding(plan, 2) == pytest.approx(1 - 37 / (20 + 18 + 3))
    assert padding(plan, 2, multiple=4) == pytest.approx(1 - 37 / (24 + 24 + 4))


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


def test_plan_1_is_what_it_was() -> None:
    # digests of plans and shares that ns2 0.1 made of the same lengths
    for seed, expected in ((1, "5293833828dd8e0e"), (2, "1c88fe01d149e69f")):
        rng = np.random.default_rng(seed)
        frames = rng.integers(40, 1500, 3000).astype(np.int32)
        where = rng.integers(0, 20, 3000).astype(np.int32)
        digest = hashlib.sha256()
        for epoch in range(2):
            plan = plan_epoch(where, frames, seed=seed, epoch=epoch, global_frames=20_000)
            digest.update(plan.order.astype("<i8").tobytes() + plan.starts.astype("<i8").tobytes())
            for ranks in (2, 8):
                last = [plan.share(i, ranks - 1, ranks) for i in range(len(plan))]
                digest.update(np.concatenate(last).astype("<i8").tobytes())
        assert digest.hexdigest()[:16] == expected


CONFIG = PromptConfig()


def with_prompts(
    where: np.ndarray, frames: np.ndarray, *, most: int, seed: int = 0, epoch: int = 0
) -> tuple[EpochPlan, np.ndarray]:
    """A plan 2, and the frames of prompts from others: short utterances take any other's."""
    others = np.random.default_rng(seed).permutation(frames)
    others = np.where(frames < CONFIG.whole_below, np.minimum(others, CONFIG.longest), 0)
    plan = plan_epoch(
        where,
        frames,
        seed=seed,
        epoch=epoch,
        global_frames=most,
        others=others.astype(np.int32),
        prompts=CONFIG,
    )
    return plan, others


@pytest.mark.parametrize("seed", range(4))
def test_prompts_count_in_a_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(8):
        count = int(rng.integers(1, 3000))
        where, frames = corpus(seed, count, shards=int(rng.integers(1, 80)))
        most = int(rng.integers(frames.max(), 40_000))
        plan, others = with_prompts(where, frames, most=most, seed=seed)
        assert sorted(plan.order.tolist()) == list(range(count))
        np.testing.assert_array_equal(plan.frames, frames[plan.order])
        assert plan.lengths is not None and plan.prompt_shares is not None
        both = plan.lengths.targets + plan.lengths.prompts
        np.testing.assert_array_equal(both, (frames + others)[plan.order])
        for one in steps(plan):
            assert (frames + others)[one].sum() <= most or len(one) == 1
        for ranks in (2, 7):
            parts = [plan.share(i, r, ranks) for i in range(len(plan)) for r in range(ranks)]
            assert sorted(np.concatenate(parts).tolist()) == list(range(count))


def test_prompts_of_a_step_have_one_share_and_those_of_all_steps_every_length() -> None:
    where, frames = corpus(6, 30_000)
    plan, _ = with_prompts(where, frames, most=20_000)
    lengths, shares_of = expected_lengths(plan, CONFIG), plan.prompt_shares
    assert shares_of is not None
    cut = plan.frames >= CONFIG.whole_below
    most = np.minimum(CONFIG.longest, plan.frames // 2)
    place = (lengths.prompts - CONFIG.shortest) / np.maximum(most - CONFIG.shortest, 1)
    for number in range(len(plan)):
        own = plan.places(number)
        here = place[own][cut[own] & (most[own] > 200)]
        assert (np.abs(here - shares_of[number]) < 0.01).all()
    # shares are even: the largest distance of their distribution from an even one (Kolmogorov)
    ordered = np.sort(shares_of)
    distance = np.abs(ordered - (np.arange(len(ordered)) + 0.5) / len(ordered)).max()
    assert distance < 1.95 / np.sqrt(len(ordered)) + 0.5 / len(ordered)  # met by 99.9 % of them
    other, _ = with_prompts(where, frames, most=20_000, epoch=1)
    assert other.prompt_shares is not None
    assert set(shares_of.tolist()).isdisjoint(other.prompt_shares.tolist())


@pytest.mark.parametrize("ranks", [1, 4, 16])
def test_little_is_padding_after_the_cut(ranks: int) -> None:
    where, frames = corpus(7, 20_000)

    def share(plan: EpochPlan) -> float:
        lengths = expected_lengths(plan, CONFIG)
        work = spent = 0
        for number in range(len(plan)):
            own = lengths.part(plan.places(number))
            of = plan.rank_of(number, ranks)
            work, spent = work + own.work, spent + computed(own, of, ranks, multiple=8).sum()
        return 1 - work / spent

    plan, _ = with_prompts(where, frames, most=8_000 * ranks)
    assert share(plan) < 0.06


def test_runs_of_ranks_are_as_even_as_runs_can_be() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        count, ranks = int(rng.integers(1, 9)), int(rng.integers(1, 5))
        targets, prompts = rng.integers(1, 100, (2, count))
        if rng.random() < 0.5:
            targets, prompts = -np.sort(-targets), -np.sort(-prompts)

        def most(ends: tuple[int, ...], t: np.ndarray = targets, p: np.ndarray = prompts) -> int:
            runs = itertools.pairwise((0, *ends, len(t)))
            return max((b - a) * (t[a:b].max() + p[a:b].max()) for a, b in runs if a < b)

        best = min(
            most(ends)
            for ends in itertools.combinations_with_replacement(range(count + 1), ranks - 1)
        )
        found = even_runs(targets, prompts, ranks)
        assert (np.diff(found) >= 0).all() and found.max() < ranks
        ends = tuple(np.searchsorted(found, np.arange(1, ranks)).tolist())
        assert most(ends) <= best * (1 + 1 / 128) + 1


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
