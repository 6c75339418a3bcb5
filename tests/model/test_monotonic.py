"""The search and the forward sum, held against enumeration of every path."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import torch

from ns2.model.monotonic import (
    NoPathError,
    forward_sum,
    forward_sum_loss,
    longest_run,
    monotonic_search,
    path_posteriors,
)


def every_path(frames: int, optional: np.ndarray) -> np.ndarray:
    """All (P, N) durations, by plain enumeration of borders."""
    n = len(optional)
    found = []
    for cuts in itertools.combinations_with_replacement(range(frames + 1), n - 1):
        durations = np.diff([0, *cuts, frames])
        if ((durations > 0) | optional).all():
            found.append(durations)
    return np.array(found).reshape(-1, n)


def path_score(log_probs: np.ndarray, durations: np.ndarray, entry: np.ndarray) -> float:
    tokens = np.repeat(np.arange(len(durations)), durations)
    return float(log_probs[np.arange(len(tokens)), tokens].sum() + entry[durations > 0].sum())


Case = tuple[np.ndarray, np.ndarray, np.ndarray]


def random_case(rng: np.random.Generator) -> Case:
    """Scores, optional, entry: up to 7 frames and 6 tokens, often with long optional runs."""
    frames, n = int(rng.integers(1, 8)), int(rng.integers(1, 7))
    optional = rng.random(n) < rng.choice([0.0, 0.3, 0.7, 1.0], p=[0.1, 0.4, 0.4, 0.1])
    log_probs = rng.normal(size=(frames, n)) * rng.choice([0.1, 3.0, 100.0])
    if rng.random() < 0.2:  # forbidden cells
        log_probs[rng.random((frames, n)) < 0.2] = -np.inf
    entry = rng.normal(size=n) * rng.choice([0.0, 5.0])
    return log_probs, optional, entry


def test_search_equals_brute_force_on_1000_cases() -> None:
    rng = np.random.default_rng(1)
    paths_seen = impossible = skipped_runs = 0
    for _ in range(1000):
        log_probs, optional, entry = random_case(rng)
        paths = every_path(len(log_probs), optional)
        scores = np.array([path_score(log_probs, p, entry) for p in paths])
        if not len(paths) or scores.max() == -np.inf:
            with pytest.raises(NoPathError):
                monotonic_search(log_probs, optional, entry)
            impossible += 1
            continue
        durations = monotonic_search(log_probs, optional, entry)
        assert durations.dtype == np.int64
        assert durations.sum() == len(log_probs)
        assert ((durations > 0) | optional).all()
        assert path_score(log_probs, durations, entry) == pytest.approx(scores.max(), abs=1e-9)
        paths_seen += 1
        skipped_runs += longest_run(durations == 0) > 1
    assert paths_seen > 700 and impossible > 50 and skipped_runs > 100


def test_search_maximises_log_probabilities_not_probabilities() -> None:
    # The sum of probabilities favours a late border (1.82), their product an early one (0.27).
    probs = np.array([[0.90, 0.10], [0.02, 0.01], [0.001, 0.9]])
    sums = {1: 0.90 + 0.01 + 0.9, 2: 0.90 + 0.02 + 0.9}
    assert max(sums, key=lambda k: sums[k]) == 2
    assert monotonic_search(np.log(probs), np.zeros(2, bool)).tolist() == [2, 1]


def test_search_breaks_ties_one_way() -> None:
    assert monotonic_search(np.zeros((5, 3)), np.zeros(3, bool)).tolist() == [1, 1, 3]


def test_search_is_linear_in_memory() -> None:
    rng = np.random.default_rng(2)
    log_probs = rng.normal(size=(3000, 400)).astype(np.float32)
    optional = np.arange(400) % 5 == 0
    tracemalloc.start()
    durations = monotonic_search(log_probs, optional)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert durations.sum() == 3000
    assert peak < 50e6


def test_search_refuses_what_it_cannot_do() -> None:
    with pytest.raises(NoPathError, match="2 frames through 3 tokens"):
        monotonic_search(np.zeros((2, 3)), np.zeros(3, bool))
    with pytest.raises(ValueError, match="NaN"):
        monotonic_search(np.full((2, 2), np.nan), np.zeros(2, bool))
    with pytest.raises(ValueError, match="expected log_probs"):
        monotonic_search(np.zeros((2, 2)), np.zeros(3, bool))


def ragged(rng: np.random.Generator, count: int) -> list[Case]:
    cases: list[Case] = []
    while len(cases) < count:
        case = random_case(rng)
        if np.isfinite(case[0]).all() and len(every_path(len(case[0]), case[1])):
            cases.append(case)
    return cases


def batched(cases: list[Case], junk: float) -> tuple[torch.Tensor, ...]:
    frames = max(len(p) for p, _, _ in cases)
    tokens = max(len(o) for _, o, _ in cases)
    log_probs = torch.full((len(cases), frames, tokens), junk, dtype=torch.float64)
    optional = torch.ones(len(cases), tokens, dtype=torch.bool)
    entry = torch.full((len(cases), tokens), junk, dtype=torch.float64)
    for b, (p, o, e) in enumerate(cases):
        entry[b, : len(o)] = torch.from_numpy(e)
        log_probs[b, : p.shape[0], : p.shape[1]] = torch.from_numpy(p)
        optional[b, : len(o)] = torch.from_numpy(o)
    lengths = torch.tensor([p.shape for p, _, _ in cases])
    return log_probs, optional, lengths[:, 0], lengths[:, 1], entry


@pytest.mark.parametrize("junk", [0.0, 50.0, -np.inf])
def test_forward_sum_and_posteriors_equal_enumeration(junk: float) -> None:
    cases = ragged(np.random.default_rng(3), 100)
    log_probs, optional, frames, tokens, entry = batched(cases, junk)
    log_probs.requires_grad_()
    log_sum = forward_sum(log_probs, optional, frames, tokens, entry)
    log_sum.sum().backward()
    assert log_probs.grad is not None
    again, posteriors = path_posteriors(log_probs, optional, frames, tokens, entry)
    assert torch.equal(posteriors, log_probs.grad) and torch.equal(again, log_sum)
    for b, (p, o, e) in enumerate(cases):
        paths = every_path(len(p), o)
        scores = np.array([path_score(p, d, e) for d in paths])
        expected = np.logaddexp.reduce(scores)
        assert log_sum[b].item() == pytest.approx(expected, abs=1e-9)
        posterior = np.zeros(log_probs.shape[1:])
        for durations, score in zip(paths, scores, strict=True):
            owner = np.repeat(np.arange(len(o)), durations)
            posterior[np.arange(len(owner)), owner] += np.exp(score - expected)
        np.testing.assert_allclose(log_probs.grad[b].numpy(), posterior, atol=1e-9)


def test_gradient_is_exact() -> None:
    log_probs, *rest = batched(ragged(np.random.default_rng(4), 6), 0.0)
    assert torch.autograd.gradcheck(
        lambda x: forward_sum_loss(x, *rest), log_probs.requires_grad_()
    )


def test_forward_sum_survives_long_and_extreme_input() -> None:
    # 2,000 frames of scores around -300: no underflow, and close to the best path's score.
    rng = np.random.default_rng(5)
    p = rng.normal(size=(2000, 150)) * 100 - 300
    o = np.arange(150) % 6 == 0
    e = np.zeros(150)
    total = forward_sum(*batched([(p, o, e)], 0.0)).item()
    best = path_score(p, monotonic_search(p, o), e)
    assert best <= total < best + 2000


def test_no_path_names_the_rows() -> None:
    cases = [(np.zeros((t, n)), np.zeros(n, bool), np.zeros(n)) for t, n in ((4, 2), (2, 3))]
    with pytest.raises(NoPathError, match=r"\[1\]"):
        forward_sum(*batched(cases, 0.0))
