"""Durations: rounded without drift, spread over frames, and what is generated has their length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.choices import Choices
from ns2.model.tts.duration_frames import expand_to_frames, phoneme_of_frame, round_durations
from ns2.model.tts.generation import Request, generate
from ns2.model.tts.ns2 import NS2
from tests.support.model_factories import make_batch, make_model, narrow

QUICK = SamplerConfig(steps=2)


def logs(*rows: list[float]) -> tuple[Tensor, Tensor]:
    """log(1 + d) of rows of real-valued durations, padded with junk, and their mask."""
    size = max(map(len, rows))
    padded = torch.tensor([row + [40.0] * (size - len(row)) for row in rows])
    mask = torch.arange(size) < torch.tensor([[len(row)] for row in rows])
    return padded.double().log1p(), mask


@pytest.mark.parametrize("speed", [0.5, 0.73, 1.0, 1.1, 1.9, 3.0])
def test_rounding_does_not_drift(speed: float) -> None:
    """After any number of phonemes the end is within half a frame of the real-valued one."""
    real = np.random.default_rng(0).uniform(0.05, 6, (3, 400))
    found = round_durations(
        torch.from_numpy(real).log1p(), torch.ones(3, 400, dtype=torch.bool), speed=speed
    )
    assert found.dtype == torch.int64 and (found >= 0).all()
    ends = np.cumsum(real / speed, axis=1)
    assert np.abs(found.cumsum(1).numpy() - ends).max() <= 0.5 + 1e-6
    # phoneme by phoneme, errors add up: this is what it is good for
    if speed == 3.0:
        each = np.floor(real / speed).cumsum(1)
        assert np.abs(each - ends).max() > 100


def test_whole_durations_stay_as_they_are() -> None:
    rows = [[3.0, 0.0, 1.0, 12.0, 7.0], [5.0, 2.0]]
    found = round_durations(*logs(*rows))
    assert found.tolist() == [[3, 0, 1, 12, 7], [5, 2, 0, 0, 0]]
    assert round_durations(*logs(*rows), speed=0.5).tolist() == [
        [6, 0, 2, 24, 14],
        [10, 4, 0, 0, 0],
    ]
    with pytest.raises(ValueError, match="speed"):
        round_durations(*logs(*rows), speed=0)


def test_nothing_but_zeros_lasts_a_frame() -> None:
    found = round_durations(*logs([0.0, 0.0, 0.0], [0.1], [2.0, 1.0]))
    assert found.sum(1).tolist() == [1, 1, 3]
    assert not found[1, 1:].any()
    below = torch.full((1, 4), -3.0)  # a predictor without a ReLU may say less than nothing
    assert round_durations(below, torch.ones(1, 4, dtype=torch.bool)).sum() == 1
    above = torch.full((1, 2), 90.0)
    assert round_durations(above, torch.ones(1, 2, dtype=torch.bool), longest=50).sum() == 100


def test_frames_belong_to_phonemes_as_repeat_says() -> None:
    rng = np.random.default_rng(1)
    durations = rng.integers(0, 5, (6, 9))
    durations[:, 0] += 1
    longest = int(durations.sum(1).max())
    found = phoneme_of_frame(torch.from_numpy(durations), longest)
    states = torch.randn(6, 9, 3)
    at_frames = expand_to_frames(states, torch.from_numpy(durations), longest)
    for i, row in enumerate(durations):
        wanted = np.repeat(np.arange(9), row)
        assert found[i, : len(wanted)].tolist() == wanted.tolist()
        assert torch.equal(at_frames[i, : len(wanted)], states[i, wanted])


def test_text_passes_at_full_speed() -> None:
    """Content at frame t is the phoneme of frame t: not half of the text over all frames."""
    model, batch = make_model(narrow("tiny"), training=False), make_batch()
    seen: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Tensor, ...], given: dict[str, Tensor]) -> None:
        seen.append(given["content"])

    model.denoiser.register_forward_pre_hook(keep, with_kwargs=True)
    states = model.text(batch.phonemes, batch.token_mask)
    with torch.no_grad():
        model.pitch.weight.zero_()
        draws = model.draw(batch, self_condition=False)
        model(batch, replace(draws, drop_content=torch.zeros(len(batch), dtype=torch.bool)))
    for i, frames in enumerate(batch.frames.tolist()):
        tokens = int(batch.tokens[i])
        assert frames == int(batch.durations[i].sum())
        wanted = states[i, :tokens].repeat_interleave(batch.durations[i, :tokens], 0)
        torch.testing.assert_close(seen[0][i, :frames], wanted)


def say(model: NS2, log_durations: list[float]) -> None:
    """Let the predictor say these durations, whatever it is asked."""
    values = torch.tensor(log_durations)
    model.duration_predictor.forward = (  # type: ignore[method-assign]
        lambda x, *_: values.expand(len(x), -1)[..., None]
    )


def request(count: int = 2, tokens: int = 5) -> Request:
    return Request(
        phonemes=torch.arange(5, 5 + tokens).expand(count, -1),
        tokens=torch.full((count,), tokens),
        seeds=torch.arange(count),
    )


@pytest.mark.parametrize("speed", [1.0, 1.7])
def test_the_length_is_that_of_the_predicted_durations(speed: float) -> None:
    model = make_model(narrow("tiny"))
    real = np.array([1.3, 4.4, 0.2, 7.45, 3.4])
    say(model, np.log1p(real).tolist())
    made = generate(model, request(), Choices(sampler=QUICK, speed=speed))
    assert made.durations is not None and made.f0 is not None
    wanted = round(real.sum() / speed)
    assert made.frames.tolist() == [wanted] * 2
    assert made.durations.sum(1).tolist() == [wanted] * 2
    assert made.latents.shape == (2, model.sizes.latent_dim, wanted)
    assert made.f0.shape == (2, wanted) and made.latents.abs().amin(1).gt(0).all()
    assert model.training  # as before


def test_all_zero_durations_do_not_crash() -> None:
    model = make_model(narrow("tiny"))
    say(model, [-1.0] * 5)
    made = generate(model, request(), Choices(sampler=QUICK, guidance=2.0, rescale=0.5))
    assert made.frames.tolist() == [1, 1] and made.latents.isfinite().all()


def test_given_durations_and_pitch_are_kept() -> None:
    model = make_model(narrow("tiny"))
    durations = torch.tensor([[3, 0, 2, 4, 1], [1, 1, 1, 1, 1]])
    f0 = torch.full((2, 10), 200.0)
    given = replace(request(), durations=durations, f0=f0)
    made = generate(model, given, Choices(sampler=QUICK, semitones=12))
    assert made.durations is not None and made.f0 is not None
    assert torch.equal(made.durations, durations)
    assert made.frames.tolist() == [10, 5]
    assert made.f0[0].tolist() == pytest.approx([400.0] * 10)  # an octave above
    assert not made.f0[1, 5:].any()
    with pytest.raises(ValueError, match="given pitch needs"):
        generate(model, given, Choices(sampler=QUICK, speed=2.0))
    short = replace(request(), durations=durations[:, :3])
    with pytest.raises(ValueError, match="durations"):
        generate(model, short, Choices(sampler=QUICK))
