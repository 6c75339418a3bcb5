"""Predictors: what their errors are, and that no output is ever cut off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from ns2.model.tts.predictors import (
    MEAN_LOG_F0,
    Predictor,
    PredictorConfig,
    duration_error,
    pitch_errors,
    predicted_f0,
)
from tests.support.model_factories import make_batch, make_model, narrow

WIDTH = 8


def test_durations_are_compared_in_logarithms_of_real_phonemes_only() -> None:
    durations = np.array([[3, 0, 12], [5, 99, 99]])
    tokens = [3, 1]
    predicted = np.random.default_rng(0).normal(size=(2, 3))
    mask = torch.arange(3) < torch.tensor(tokens)[:, None]
    found = duration_error(torch.from_numpy(predicted), torch.from_numpy(durations), mask)
    for i, count in enumerate(tokens):
        wanted = np.abs(predicted[i, :count] - np.log(1 + durations[i, :count])).sum()
        assert float(found[i]) == pytest.approx(wanted, rel=1e-6)
    exact = torch.from_numpy(durations).float().log1p()
    assert duration_error(exact, torch.from_numpy(durations), mask).tolist() == [0, 0]


def test_pitch_is_compared_in_logarithms_of_voiced_frames_only() -> None:
    rng = np.random.default_rng(1)
    f0 = np.where(rng.random((2, 20)) < 0.5, rng.uniform(60, 500, (2, 20)), 0)
    predicted = torch.from_numpy(rng.normal(size=(2, 20, 2)))
    frames = [20, 9]
    mask = torch.arange(20) < torch.tensor(frames)[:, None]
    pitch, voicing = pitch_errors(predicted, torch.from_numpy(f0), mask)
    for i, length in enumerate(frames):
        own, log_f0 = f0[i, :length], predicted[i, :length, 0].numpy()
        voiced = own > 0
        wanted = np.abs(log_f0[voiced] + MEAN_LOG_F0 - np.log(own[voiced])).sum()
        assert float(pitch[i]) == pytest.approx(wanted)
        chance = 1 / (1 + np.exp(-predicted[i, :length, 1].numpy()))
        nats = -np.where(voiced, np.log(chance), np.log(1 - chance)).sum()
        assert float(voicing[i]) == pytest.approx(nats)


def test_silence_has_no_pitch_to_learn_and_nothing_is_infinite() -> None:
    """The logarithm of 0 Hz is nowhere: neither in a loss nor in a gradient."""
    predicted = torch.zeros(1, 6, 2, requires_grad=True)
    f0 = torch.tensor([[0.0, 0.0, 120.0, 0.0, 240.0, 0.0]])
    pitch, voicing = pitch_errors(predicted, f0, torch.ones(1, 6, dtype=torch.bool))
    assert pitch.isfinite() and voicing.isfinite()
    (gradient,) = torch.autograd.grad(pitch.sum(), predicted)
    assert gradient[0, :, 0].ne(0).tolist() == (f0[0] > 0).tolist()


def test_a_prediction_that_says_the_truth_gives_its_f0_back() -> None:
    f0 = torch.tensor([[0.0, 75.0, 164.0, 640.0]])
    said = torch.stack([f0.clamp(min=1).log() - MEAN_LOG_F0, torch.where(f0 > 0, 3.0, -3.0)], -1)
    torch.testing.assert_close(predicted_f0(said), f0, rtol=1e-5, atol=0)


@pytest.mark.parametrize("block", ["conv", "resnet"])
def test_no_output_is_cut_off(block: str) -> None:
    """About as many below zero as above, and each with a gradient: no ReLU behind the head."""
    config = PredictorConfig(layers=3, heads=2, block=block)  # type: ignore[arg-type]
    torch.manual_seed(0)
    predictor = Predictor(config, WIDTH, 2).eval()
    torch.nn.init.zeros_(predictor.head.bias)
    mask, prompt = torch.ones(40, 5, dtype=torch.bool), torch.randn(40, 4, WIDTH)
    x = torch.randn(40, 5, WIDTH, requires_grad=True)
    out = predictor(x, mask, prompt, torch.ones(40, 4, dtype=torch.bool))
    assert (out != 0).all()
    assert 0.1 < (out < 0).float().mean() < 0.9
    for place in range(5):
        (gradient,) = torch.autograd.grad(out[:, place, 0].sum(), x, retain_graph=True)
        assert gradient[:, place].any(1).all()
    assert functional.relu(out).eq(0).any()  # as the seed has it, some would be lost


def test_predictors_look_at_the_prompt() -> None:
    model, batch = make_model(narrow("tiny"), training=False), make_batch()
    states = model.text(batch.phonemes, batch.token_mask)
    found = [
        model.duration_predictor(states, batch.token_mask, voice.states, voice.mask)
        for voice in (
            model.voice(batch.prompt_codes, batch.prompt_frames),
            model.voice(batch.prompt_codes.flip(1), batch.prompt_frames),
        )
    ]
    spoken = batch.prompt_frames > 0
    assert spoken.tolist() == [True, True, True, False]
    same = [torch.allclose(a, b) for a, b in zip(*found, strict=True)]
    assert same == [False, False, False, True]


def test_configs_that_can_not_be() -> None:
    with pytest.raises(ValueError, match="see the prompt"):
        PredictorConfig(layers=2, attend_every=3)
    with pytest.raises(ValueError, match="odd"):
        PredictorConfig(kernel=2)
    with pytest.raises(ValueError, match="conv or resnet"):
        PredictorConfig(block="gru")  # type: ignore[arg-type]
