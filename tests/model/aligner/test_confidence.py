"""The confidence in borders: its network, its evidence, and what utterances make of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ns2.model.aligner.alignment import align, evidence_of
from ns2.model.aligner.border_evidence import EVIDENCE, words_of
from ns2.model.aligner.confidence import BorderNet, doubt, token_confidence
from ns2.model.aligner.hmm import Aligner, AlignerConfig

SILENT = np.array([True, False, False, True, False, True])


def random_aligner(rng: np.random.Generator) -> Aligner:
    """Six symbols, of which the first two are silence; random classes."""
    aligner = Aligner(AlignerConfig(mels=8, cepstra=4, short_cost=3.0), 6, 6)
    aligner.class_of = torch.tensor([0, 0, 2, 3, 4, 5])
    aligner.optional = torch.arange(6) < 2
    aligner.gaussians.means = 3 * torch.from_numpy(rng.normal(size=(6, 8))).float()
    return aligner


def test_evidence_is_the_same_with_the_durations_given() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        aligner = random_aligner(rng)
        tokens = torch.from_numpy(rng.integers(0, 6, 7))
        mel = torch.from_numpy(rng.normal(size=(8, 40))).float()
        found = align(aligner, mel, tokens, evidence=True)
        assert found.evidence is not None and np.isfinite(found.evidence).all()
        assert found.evidence.shape == (int((found.durations > 0).sum()), len(EVIDENCE))
        again = evidence_of(aligner, mel, tokens, found.durations)
        np.testing.assert_array_equal(found.evidence, again)
        assert align(aligner, mel, tokens).evidence is None


def test_durations_must_belong_to_the_utterance() -> None:
    aligner = random_aligner(np.random.default_rng(2))
    with pytest.raises(ValueError, match="durations of 3 tokens and 9 frames"):
        evidence_of(aligner, torch.zeros(8, 9), torch.tensor([0, 2, 0]), torch.tensor([1, 7, 2]))


def test_the_network_is_the_formula() -> None:
    net = BorderNet(
        mean=np.array([1.0, 0.0]),
        scale=np.array([2.0, 1.0]),
        hidden=np.array([[1.0], [-1.0]]),
        hidden_bias=np.array([0.5]),
        out=np.array([2.0]),
        out_bias=-1.0,
    )
    expected = 1 / (1 + math.exp(-(2 * math.tanh(1.0 - 0.25 + 0.5) - 1)))
    assert net.confidence(np.array([[3.0, 0.25]])) == pytest.approx(expected)
    far = net.confidence(np.array([[1e9, 0.0], [1 + 2 * 4.0, 0.0]]))
    assert far[0] == far[1]  # what is beyond all that was seen says no more


def test_every_token_has_a_confidence() -> None:
    found = token_confidence(np.array([0.1, 0.6, 0.7]), np.array([0, 2, 0, 3, 1, 0]))
    assert found.tolist() == [1.0, 1.0, 0.6, 0.6, 0.7, 0.7]


def test_what_confidences_say_of_an_utterance() -> None:
    assert words_of(SILENT).tolist() == [-1, 0, 0, -1, 1, -1]
    found = doubt(np.array([1.0, 0.9, 0.5, 0.2, 0.7, 1.0]), SILENT)
    assert found is not None
    assert found.border_error == pytest.approx((0.5 + 0.3) / 2)  # not the first phone's start
    assert (found.word, found.word_error) == (1, pytest.approx(0.3))
    surer = doubt(np.array([1.0, 0.9, 0.9, 0.2, 0.4, 1.0]), SILENT)
    assert surer is not None and (surer.word, surer.word_error) == (4, pytest.approx(0.6))
    assert doubt(np.ones(2), np.ones(2, bool)) is None
    alone = doubt(np.array([1.0, 0.4]), np.array([True, False]))
    assert alone is not None and alone.border_error == pytest.approx(0.6)  # its only border
