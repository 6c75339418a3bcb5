"""The search and the forward sum, held against enumeration of every path."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ns2.model.aligner import monotonic
from ns2.model.aligner.monotonic import NoPathError, monotonic_search, path_posteriors


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


def longest_run(flags: np.ndarray) -> int:
    return max((len(list(g)) for flag, g in itertools.groupby(flags) if flag), default=0)


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


def peak_memory(statement: str) -> int:
    """By how many bytes a call raises a process's peak of resident memory; compiled beforehand."""
    program = (
        "import numpy as np, resource\n"
        "from ns2.model.aligner.monotonic import monotonic_search, path_posteriors\n"
        "scores = np.random.default_rng(2).normal(size=(3000, 400))\n"
        "optional = np.arange(400) % 5 == 0\n"
        "for f in (monotonic_search, path_posteriors): f(scores[:600], optional)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"before = peak(); {statement}; print(1024 * (peak() - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_is_linear_and_small() -> None:
    # The scores are 9.6 MB; a table of every pair of tokens at every frame would be 480 MB.
    assert peak_memory("assert monotonic_search(scores, optional).sum() == 3000") < 10e6
    assert peak_memory("assert np.isfinite(path_posteriors(scores, optional)[1])") < 80e6


def test_search_refuses_what_it_cannot_do() -> None:
    with pytest.raises(NoPathError, match="2 frames through 3 tokens"):
        monotonic_search(np.zeros((2, 3)), np.zeros(3, bool))
    with pytest.raises(ValueError, match="NaN"):
        monotonic_search(np.full((2, 2), np.nan), np.zeros(2, bool))
    with pytest.raises(ValueError, match="expected log_probs"):
        monotonic_search(np.zeros((2, 2)), np.zeros(3, bool))
    with pytest.raises(ValueError, match="expected log_probs"):
        path_posteriors(np.zeros((2, 2)), np.zeros(2, bool), np.zeros(3))
    with pytest.raises(ValueError, match=r"columns must lie in \[0, 2\)"):
        path_posteriors(np.zeros((2, 2)), np.zeros(1, bool), columns=np.array([2]))
    with pytest.raises(ValueError, match="entry"):
        monotonic_search(np.zeros((2, 1)), np.zeros(1, bool), np.array([np.inf]))


def enumerated(case: Case) -> tuple[np.ndarray, float]:
    """Posteriors (T, N) and the log of the sum of all paths, from every single path."""
    log_probs, optional, entry = case
    paths = every_path(len(log_probs), optional)
    scores = np.array([path_score(log_probs, durations, entry) for durations in paths])
    log_sum = np.logaddexp.reduce(scores, initial=-np.inf)
    posteriors = np.zeros(log_probs.shape)
    for durations, score in zip(paths, scores, strict=True):
        if score > -np.inf:
            owner = np.repeat(np.arange(len(optional)), durations)
            posteriors[np.arange(len(owner)), owner] += np.exp(score - log_sum)
    return posteriors, float(log_sum)


def test_posteriors_equal_enumeration_on_1000_cases() -> None:
    rng = np.random.default_rng(3)
    impossible = 0
    for _ in range(1000):
        case = random_case(rng)
        expected, log_sum = enumerated(case)
        if log_sum == -np.inf:
            with pytest.raises(NoPathError):
                path_posteriors(*case)
            impossible += 1
            continue
        posteriors, found = path_posteriors(*case)
        assert found == pytest.approx(log_sum, rel=1e-12, abs=1e-9)
        np.testing.assert_allclose(posteriors, expected, atol=1e-9)
    assert 50 < impossible < 400


def test_tokens_may_share_a_column() -> None:
    rng = np.random.default_rng(4)
    optional = rng.random(40) < 0.5
    entry, columns = rng.normal(size=40), rng.integers(0, 9, 40)
    scores = rng.normal(size=(100, 9))
    posteriors, log_sum = path_posteriors(scores, optional, entry, columns)
    wide, wide_sum = path_posteriors(scores[:, columns], optional, entry)
    gathered = np.zeros_like(posteriors)
    np.add.at(gathered, (slice(None), columns), wide)
    assert log_sum == pytest.approx(wide_sum, rel=1e-12)
    np.testing.assert_allclose(posteriors, gathered, atol=1e-12)
    best = monotonic_search(scores, optional, entry, columns)
    np.testing.assert_array_equal(best, monotonic_search(scores[:, columns], optional, entry))


def autograd_posteriors(case: Case) -> tuple[np.ndarray, float]:
    """The same by torch: logarithms in float64, the posteriors as the gradient of the sum."""
    log_probs, optional, entry = (torch.from_numpy(x) for x in case)
    log_probs.requires_grad_()
    n = len(optional)
    # allowed[i, j]: the weight of a step from token i to token j.
    never = -1e9  # the gradient of -inf is NaN
    allowed = torch.full((n, n), never, dtype=torch.float64)
    for i in range(n):
        allowed[i, i] = 0.0
        for j in range(i + 1, n):
            allowed[i, j] = entry[j]
            if not optional[j]:
                break
    first = torch.full((n,), never, dtype=torch.float64)
    last = first.clone()
    for j in range(n):
        if optional[:j].all():
            first[j] = entry[j]
        if optional[j + 1 :].all():
            last[j] = 0.0
    alpha = first + log_probs[0]
    for row in log_probs[1:]:
        alpha = torch.logsumexp(alpha[:, None] + allowed, 0) + row
    log_sum = torch.logsumexp(alpha + last, 0)
    log_sum.backward()
    assert log_probs.grad is not None
    return log_probs.grad.numpy(), log_sum.item()


@pytest.mark.parametrize("spread", [1.0, 30.0, 3000.0])
def test_posteriors_equal_autograd_on_long_input(spread: float) -> None:
    # With a spread of 3,000 single frames already lie beyond what a float64 holds, e^-745.
    rng = np.random.default_rng(5)
    optional = np.arange(30) % 4 == 0
    case = (rng.normal(size=(200, 30)) * spread - 300, optional, rng.normal(size=30) * 5)
    posteriors, found = path_posteriors(*case)
    expected, log_sum = autograd_posteriors(case)
    assert found == pytest.approx(log_sum, rel=1e-12)
    np.testing.assert_allclose(posteriors, expected, atol=1e-7)
    np.testing.assert_allclose(posteriors.sum(1), 1.0, atol=1e-12)


def test_a_path_that_is_forced_against_all_odds() -> None:
    # Each token's frame is known, and every other token would fit it e^2000 times better.
    frames = 300
    scores = np.full((frames, frames), 2000.0) - 2000.0 * np.eye(frames)
    posteriors, log_sum = path_posteriors(scores, np.zeros(frames, bool))
    np.testing.assert_allclose(posteriors, np.eye(frames), atol=1e-12)
    assert log_sum == pytest.approx(0.0, abs=1e-6)
    # One frame to spare: the path may stay once, anywhere, which is worth e^2000 for each frame
    # behind it; so it stays at once and at the end there is no doubt.
    posteriors, _ = path_posteriors(scores[:, :-1], np.zeros(frames - 1, bool))
    best = monotonic_search(scores[:, :-1], np.zeros(frames - 1, bool))
    assert posteriors[np.arange(frames), np.repeat(np.arange(frames - 1), best)].min() > 1 - 1e-9


def test_compiled_code_needs_no_folder_to_write_to(tmp_path: Path) -> None:
    # A read-only installation: numba can write neither beside the source nor into a home.
    package = tmp_path / "ns2" / "model" / "aligner"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    for name in ("__init__.py", "kernels.py", "monotonic.py"):
        shutil.copy(Path(monotonic.__file__).parent / name, package)
    (package / "__pycache__").write_text("in the way of the folder")
    program = (
        "from ns2.model.aligner import monotonic as m; import numpy as np\n"
        "print(m.__file__, m.monotonic_search(np.zeros((5, 3)), np.zeros(3, bool)).tolist())"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    for home in ("/proc/nowhere", str(tmp_path)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**environment, "HOME": home, "XDG_CACHE_HOME": home},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert str(package) in done.stdout and "[1, 1, 3]" in done.stdout
