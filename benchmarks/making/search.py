"""The aligner's monotonic search beside other searches, on the scores of real utterances.

    python -m benchmarks.search --corpus DIR --dataset DIR --seconds 600

It runs on one thread and prints one JSON object. These searches are compared:

- `ns2.model.aligner.monotonic.monotonic_search`;
- torchaudio's `forced_align` on the same frames: the mandatory states are its targets, and its
  blank, which may stand between any two of them, gets the scores of silence;
- the recursion in plain numpy with a loop over frames, on a few utterances. Its paths must have the
  same scores as those of the search.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.command import arguments
from benchmarks.support.corpus import Spoken
from benchmarks.support.memory import peak_growth

PASSES = 3
FEW = 20
LARGE = (3000, 400)
"""Frames and tokens of the case whose memory is measured: 40 s of speech."""
Scores = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""The arguments of the search: log_probs (T, K), optional (N,), entry (N,), columns (N,)."""
Wide = tuple[np.ndarray, np.ndarray, np.ndarray]
"""The same for searches without columns: log_probs (T, N), optional (N,), entry (N,)."""


def wide(scores: Scores) -> Wide:
    """Return scores with one column per token."""
    log_probs, optional, entry, columns = scores
    return np.ascontiguousarray(log_probs[:, columns]), optional, entry


def recorded(corpus: Spoken, dataset: Path, seconds: float) -> tuple[list[Scores], list[float]]:
    """Record what `align` passes to its search for the first utterances, and their seconds."""
    import torch

    from ns2.model.aligner import hmm as module
    from ns2.pipeline.align.aligner_file import load_aligner
    from ns2.pipeline.dataset.reader import Dataset

    opened = Dataset(dataset)
    trained, search = load_aligner(opened.asset("aligner")), vars(module)["monotonic_search"]
    seen: list[Scores] = []

    def listen(*scores: np.ndarray) -> np.ndarray:
        log_probs, optional, entry, columns = (np.array(array) for array in scores)
        seen.append((log_probs, optional, entry, columns))
        return search(*scores)

    lengths: list[float] = []
    vars(module)["monotonic_search"] = listen
    try:
        for key, *_ in corpus.rows():
            if sum(lengths) >= seconds:
                break
            mel = torch.tensor(opened.read("mel", key))
            module.align(trained, mel, torch.tensor(opened.read("phonemes", key).astype(np.int64)))
            lengths.append(mel.shape[1] / opened.grid.frame_rate)
    finally:
        vars(module)["monotonic_search"] = search
    if len(seen) != len(lengths):
        raise SystemExit(f"{len(lengths)} utterances were aligned by {len(seen)} searches")
    return seen, lengths


def plain(log_probs: np.ndarray, optional: np.ndarray, entry: np.ndarray) -> np.ndarray:
    """Run Viterbi with a loop over frames and over the number of skipped optional tokens."""
    frames, tokens = log_probs.shape
    run = longest = 0
    for skippable in optional:
        run = run + 1 if skippable else 0
        longest = max(longest, run)
    allowed = np.full((longest + 2, tokens), -np.inf)
    allowed[:2] = 0.0
    for step in range(2, longest + 2):
        skips = np.where(optional[step - 1 : -1], 0.0, -np.inf)
        allowed[step, step:] = allowed[step - 1, step - 1 : -1] + skips
    allowed[1:] += entry
    begins = np.concatenate([[True], np.logical_and.accumulate(optional)[:-1]])
    best = np.where(begins, entry, -np.inf) + log_probs[0]
    back = np.zeros((frames, tokens), np.int64)
    for t in range(1, frames):
        arrivals = allowed.copy()
        for step in range(longest + 2):
            arrivals[step, step:] += best[: tokens - step]
            arrivals[step, :step] = -np.inf
        back[t] = arrivals.argmax(0)
        best = arrivals.max(0) + log_probs[t]
    ends = np.logical_and.accumulate(np.concatenate([[True], optional[:0:-1]]))[::-1]
    token = int(np.where(ends, best, -np.inf).argmax())
    durations = np.zeros(tokens, np.int64)
    for t in range(frames - 1, -1, -1):
        durations[token] += 1
        token -= int(back[t, token])
    return durations


def path_score(scores: Wide, durations: np.ndarray) -> float:
    """Return the score of a path: its log-probabilities, and the entries of its tokens."""
    log_probs, _, entry = scores
    owner = np.repeat(np.arange(len(durations)), durations)
    return float(log_probs[np.arange(len(owner)), owner].sum() + entry[durations > 0].sum())


def for_torchaudio(scores: Wide) -> tuple[Any, Any] | None:
    """Return log-probabilities (1, T, 1 + L) and targets (1, L); None for too many targets."""
    import torch

    log_probs, optional, _ = scores
    mandatory, silent = np.flatnonzero(~optional), np.flatnonzero(optional)
    if not len(silent) or not 0 < len(mandatory) <= len(log_probs):
        return None
    columns = np.concatenate([log_probs[:, silent[:1]], log_probs[:, mandatory]], axis=1)
    targets = torch.arange(1, len(mandatory) + 1, dtype=torch.int32)[None]
    return torch.tensor(np.ascontiguousarray(columns[None], np.float32)), targets


def timed(
    work: Callable[..., object],
    cases: Sequence[tuple[Any, ...]],
    large: tuple[Any, ...],
    seconds: float,
) -> dict[str, Any]:
    """Measure the speed, the median of three passes over all cases, and memory of the large one."""
    work(*cases[0])  # functions may be compiled in the first call
    memory = peak_growth(lambda: work(*large))
    times = []
    for _ in range(PASSES):
        begin = time.perf_counter()
        for case in cases:
            work(*case)
        times.append(time.perf_counter() - begin)
    taken = statistics.median(times)
    return {
        "times_real_time": seconds / taken,
        "utterances": len(cases),
        "sample_seconds": seconds,
        "seconds": taken,
        "large_bytes": memory,
    }


def measure(corpus: Spoken, dataset: Path, seconds: float) -> dict[str, Any]:
    import torch
    from torchaudio.functional import forced_align

    from ns2.model.aligner.monotonic import monotonic_search

    torch.set_num_threads(1)
    cases, lengths = recorded(corpus, dataset, seconds)
    tokens = LARGE[1]
    scores = np.random.default_rng(0).normal(size=LARGE)
    large: Wide = (scores, np.arange(tokens) % 5 == 0, np.zeros(tokens))
    found: dict[str, Any] = {"ns2": timed(monotonic_search, cases, large, sum(lengths))}

    wides = [wide(case) for case in cases]
    pairs = [(for_torchaudio(case), length) for case, length in zip(wides, lengths, strict=True)]
    fit = [(pair, length) for pair, length in pairs if pair is not None]
    large_pair = for_torchaudio(large)
    if fit and large_pair is not None:
        with torch.inference_mode():
            found["torchaudio"] = timed(
                forced_align,
                [pair for pair, _ in fit],
                large_pair,
                sum(length for _, length in fit),
            )
    few = slice(0, FEW)
    found["numpy"] = timed(plain, wides[few], large, sum(lengths[few]))
    for case in wides[few]:
        ours, theirs = (path_score(case, way(*case)) for way in (monotonic_search, plain))
        if not np.isclose(ours, theirs, rtol=1e-9):
            raise SystemExit(
                f"the score of the search's path is {ours}, that of the plain one {theirs}"
            )

    states = np.array([case[0].shape for case in wides])
    found["mean_frames"], found["mean_states"] = states.mean(0).tolist()
    return found


def main() -> None:
    parser = arguments("benchmarks.search", __doc__)
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="The folder of a spoken corpus.")
    add("--dataset", type=Path, required=True, help="A dataset of that corpus with durations.")
    add(
        "--seconds",
        type=float,
        default=600.0,
        help="The seconds of speech that are searched.  [default: %(default)g]",
    )
    args = parser.parse_args()
    corpus = Spoken(root=args.corpus, **json.loads((args.corpus / "spoken.json").read_text()))
    print(json.dumps(measure(corpus, args.dataset, args.seconds)))


if __name__ == "__main__":
    main()
