"""Confidence of borders, held against enumeration of every path."""

from __future__ import annotations

import numpy as np
import torch

from ns2.model.aligner.hmm import Aligner, AlignerConfig, align
from tests.model.aligner.test_monotonic import every_path, path_score


def random_aligner(rng: np.random.Generator, config: AlignerConfig) -> Aligner:
    """Six symbols, of which the first two are silence; random classes close to each other."""
    aligner = Aligner(config, 6, 6)
    aligner.class_of = torch.tensor([0, 0, 2, 3, 4, 5])
    aligner.optional = torch.arange(6) < 2
    means = torch.from_numpy(rng.normal(size=aligner.gaussians.means.shape))
    aligner.gaussians.means = means.float() * 0.5
    return aligner


def enumerated(aligner: Aligner, mel: torch.Tensor, tokens: torch.Tensor) -> np.ndarray:
    """By every path: the probability that each token starts within a frame of the best path."""
    config = aligner.config
    likelihoods = aligner.log_likelihoods(aligner.features(mel, None)).double().numpy()
    # A phone has two states; the first may be skipped at a price, which its presence gives back.
    token, optional, entry = [], [], []
    for n, symbol in enumerate(tokens.tolist()):
        silent = symbol < 2
        token += [n] if silent else [n, n]
        optional += [True] if silent else [True, False]
        entry += [0.0] if silent else [config.short_cost, -config.short_cost]
    scores = likelihoods[:, aligner.class_of[tokens].numpy()[token]]
    paths = every_path(mel.shape[1], np.array(optional))
    values = np.array([path_score(scores, path, np.array(entry)) for path in paths])
    weights = np.exp(config.temper * (values - values.max()))
    durations = np.zeros((len(paths), len(tokens)), int)
    np.add.at(durations, (slice(None), token), paths)
    starts = np.cumsum(durations, axis=1) - durations
    near = np.abs(starts - starts[values.argmax()]) <= 1
    return np.asarray(weights @ near / weights.sum())


def test_confidence_equals_enumeration() -> None:
    rng = np.random.default_rng(0)
    config = AlignerConfig(mels=8, cepstra=4, short_cost=3.0, temper=0.3)
    unsure = 0
    for case in range(150):
        aligner = random_aligner(rng, config)
        tokens = torch.from_numpy(rng.integers(0, 6, int(rng.integers(1, 5))))
        phones = int((tokens >= 2).sum())
        mel = torch.from_numpy(rng.normal(size=(8, int(rng.integers(max(1, phones), 9))))).float()
        found = align(aligner, mel, tokens, confidence=True).confidence
        assert found is not None and found.dtype == torch.float64 and found[0] == 1.0
        np.testing.assert_allclose(
            found, enumerated(aligner, mel, tokens), atol=1e-6, err_msg=str(case)
        )
        unsure += int((found < 0.9).sum())
        assert align(aligner, mel, tokens).confidence is None
    assert unsure > 100
