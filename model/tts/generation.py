"""From phonemes and a voice to latents: durations, pitch, then the sampler.

Every utterance has its own seed and padding is masked, so what is generated does not depend on
what else is in the batch.

Letters for shapes: B batch, T frames, N phonemes, P prompt frames, D latent width, Q quantizers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ns2.model.blocks.layers import length_mask
from ns2.model.diffusion.guidance import guide, rescale
from ns2.model.diffusion.samplers import SamplerConfig, sample
from ns2.model.tts.draws import latent_noise
from ns2.model.tts.durations import round_durations, spread
from ns2.model.tts.ns2 import NS2, Voice
from ns2.model.tts.predictors import predicted_f0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to speak.

    Attributes:
        phonemes: ids, (B, N) int64.
        tokens: (B,), of each utterance.
        prompt_codes: (B, Q, P); None for no prompt.
        prompt_frames: (B,); 0 for no prompt.
        durations: in frames, (B, N); None predicts them.
        f0: Hz, 0 where unvoiced, (B, T) with T of the longest; None predicts it.
        seeds: (B,) int64.
    """

    phonemes: Tensor
    tokens: Tensor
    seeds: Tensor
    prompt_codes: Tensor | None = None
    prompt_frames: Tensor | None = None
    durations: Tensor | None = None
    f0: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How an utterance is generated."""

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    """The sampler and its settings."""

    guidance: float = 1.0
    """The scale of classifier-free guidance; 1 guides nothing."""

    rescale: float = 0.0
    """How far the standard deviation of the guided estimate is brought back to that of the
    conditional one, from 0 (not at all) to 1 (wholly)."""

    speed: float = 1.0
    """The factor of the speaking rate: 2 is twice as fast."""

    semitones: float = 0.0
    """The number of semitones by which a predicted or given pitch is raised."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.speed, self.guidance, self.semitones))):
            raise ValueError(f"speed, guidance and semitones have to be finite: {self}")
        if not self.speed > 0:
            raise ValueError(f"speed has to be above 0, got {self.speed}")
        if self.guidance < 0:
            raise ValueError(f"guidance can't be negative, got {self.guidance}")
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale has to lie between 0 and 1, got {self.rescale}")


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was made.

    Attributes:
        latents: as the codec's decoder takes them, (B, D, T); zeros behind an utterance's end.
        frames: (B,).
        durations: (B, N); None of an unconditional model.
        f0: Hz, (B, T); likewise.
    """

    latents: Tensor
    frames: Tensor
    durations: Tensor | None = None
    f0: Tensor | None = None


@torch.no_grad()
def generate(model: NS2, request: Request, choices: Choices | None = None) -> Generated:
    """Speak; the model's mode (training or not) is what it was afterwards.

    Raises:
        ValueError: the model is unconditional, or given durations and pitch do not fit.
    """
    choices = choices or Choices()
    if not model.config.conditional:
        raise ValueError("this model knows no text; `generate_latents` samples from it")
    training = model.training
    model.eval()
    try:
        return _generate(model, request, choices)
    finally:
        model.train(training)


def _generate(model: NS2, request: Request, choices: Choices) -> Generated:
    token_mask = length_mask(request.tokens, request.phonemes.shape[1])
    voice = model.voice(*_prompt(model, request))
    states = model.text(request.phonemes, token_mask)
    durations = _durations(model, request, choices, states, token_mask, voice)
    frames = durations.sum(1)
    size = int(frames.max())
    mask = length_mask(frames, size)
    at_frames = spread(states, durations, size)
    f0 = _pitch(model, request, choices, at_frames, mask, voice)
    latents = _latents(
        model,
        choices,
        request.seeds,
        frames,
        content=model.content(at_frames, f0),
        voice=voice,
    )
    return Generated(latents=latents, frames=frames, durations=durations, f0=f0)


@torch.no_grad()
def generate_latents(
    model: NS2, frames: Tensor, seeds: Tensor, choices: Choices | None = None
) -> Generated:
    """Sample from an unconditional model: latents of so many frames, (B,)."""
    if model.config.conditional:
        raise ValueError("this model needs text; `generate` speaks it")
    training = model.training
    model.eval()
    try:
        latents = _latents(model, choices or Choices(), seeds, frames, content=None, voice=None)
    finally:
        model.train(training)
    return Generated(latents=latents, frames=frames)


def _prompt(model: NS2, request: Request) -> tuple[Tensor, Tensor]:
    if request.prompt_codes is None:
        shape = (len(request.tokens), model.sizes.quantizers, 1)
        codes = request.phonemes.new_zeros(shape, dtype=torch.int32)
        return codes, torch.zeros_like(request.tokens)
    frames = request.prompt_frames
    if frames is None:
        frames = torch.full_like(request.tokens, request.prompt_codes.shape[2])
    return request.prompt_codes, frames


def _durations(
    model: NS2,
    request: Request,
    choices: Choices,
    states: Tensor,
    mask: Tensor,
    voice: Voice,
) -> Tensor:
    if request.durations is not None:
        if request.durations.shape != request.phonemes.shape:
            raise ValueError(
                f"durations {tuple(request.durations.shape)} of phonemes "
                f"{tuple(request.phonemes.shape)}"
            )
        if choices.speed == 1:
            return request.durations.long() * mask
        log_durations = torch.log1p(request.durations.double())
    else:
        log_durations = model.duration_predictor(states, mask, voice.states, voice.mask)[..., 0]
    return round_durations(log_durations, mask, speed=choices.speed)


def _pitch(
    model: NS2, request: Request, choices: Choices, at_frames: Tensor, mask: Tensor, voice: Voice
) -> Tensor:
    if request.f0 is None:
        f0 = predicted_f0(model.pitch_predictor(at_frames, mask, voice.states, voice.mask))
    else:
        f0 = request.f0
        if f0.shape[1] != mask.shape[1]:
            raise ValueError(
                f"f0 of {f0.shape[1]} frames, durations of {mask.shape[1]}: given pitch needs "
                "given durations, and a speed of 1"
            )
    return f0 * 2 ** (choices.semitones / 12) * mask


def _latents(
    model: NS2,
    choices: Choices,
    seeds: Tensor,
    frames: Tensor,
    *,
    content: Tensor | None,
    voice: Voice | None,
) -> Tensor:
    size, device = int(frames.max()), model.codebooks.device
    mask = length_mask(frames, size)
    generators = [torch.Generator().manual_seed(s & (1 << 63) - 1) for s in seeds.tolist()]

    def noise(_: int) -> Tensor:
        drawn = torch.zeros(len(generators), model.sizes.latent_dim, size)
        for row, generator, length in zip(drawn, generators, frames.tolist(), strict=True):
            row[:, :length] = latent_noise(generator, model.sizes.latent_dim, length)
        return drawn.to(device)

    guided = choices.guidance != 1 and content is not None
    tokens = None if voice is None else voice.tokens
    if guided:
        assert content is not None and tokens is not None
        everyone = torch.ones(len(frames), dtype=torch.bool, device=device)
        nobody = model.voice(
            torch.zeros(len(frames), model.sizes.quantizers, 1, dtype=torch.int32, device=device),
            torch.zeros_like(frames),
        )
        content = torch.cat([model.without_content(content, everyone), content])
        tokens = torch.cat([nobody.tokens, tokens])

    def estimate(x: Tensor, time: Tensor, previous: Tensor | None) -> Tensor:
        copies = 2 if guided else 1
        answer = model.denoiser(
            x.repeat(copies, 1, 1),
            time.repeat(copies),
            mask.repeat(copies, 1),
            content=content,
            tokens=tokens,
            estimate=None if previous is None else previous.repeat(copies, 1, 1),
        )
        level = model.schedule.at(time.repeat(copies))
        x0 = model.estimate(answer, x.repeat(copies, 1, 1), level)
        if not guided:
            return x0
        plain, conditional = x0.chunk(2)
        mixed = guide([plain, conditional], [choices.guidance])
        return rescale(mixed, conditional, mask, choices.rescale) if choices.rescale else mixed

    latents = sample(estimate, noise(0), model.schedule, choices.sampler, noise)
    return model.denormalised(latents) * mask[:, None]
