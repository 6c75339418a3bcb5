"""Generation of latents from phonemes and a voice: durations, pitch, then the sampler.

Every utterance has its own seed and padding is masked, so the result does not depend on the rest of
the batch.

Letters for shapes: B batch, T frames, N phonemes, P prompt frames, C width, D latent width, Q
quantisers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ns2.model.blocks.layers import length_mask
from ns2.model.diffusion.guidance import guide, rescale
from ns2.model.diffusion.samplers import sample
from ns2.model.tts.choices import Choices
from ns2.model.tts.draws import latent_noise
from ns2.model.tts.duration_frames import expand_to_frames, round_durations
from ns2.model.tts.ns2 import NS2, Voice
from ns2.model.tts.predictors import predicted_f0

NEAR = 0.25
"""Semitones between the median of predicted F0 and that of the voice that are left as they are."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to speak: phonemes, a prompt, and optionally durations and pitch."""

    phonemes: Tensor
    """(B, N) int64: phoneme ids."""

    tokens: Tensor
    """(B,) the number of phonemes of each utterance."""

    seeds: Tensor
    """(B,) int64: the seed of each utterance."""

    prompt_codes: Tensor | None = None
    """(B, Q, P) codes of the prompts; None for no prompt."""

    prompt_frames: Tensor | None = None
    """(B,) frames of each prompt, 0 for no prompt; None if all prompts are P frames long."""

    voice: Voice | None = None
    """The encoded prompts of all utterances, instead of their codes; see `NS2.voice`."""

    durations: Tensor | None = None
    """(B, N) frames of each phoneme; None predicts them."""

    f0: Tensor | None = None
    """(B, T) F0 in Hz, 0 where unvoiced, T of the longest utterance; None predicts it."""

    voice_pitch: Tensor | None = None
    """(B, 2) the median F0 of each voice in Hz, 0 where it is not known, and how far the median of
    predicted F0 is moved there, from 0 to 1, less `NEAR`. None leaves F0 as it is predicted."""


@dataclass(frozen=True, kw_only=True)
class Generated:
    """The latents that were generated, with the durations and pitch that were used."""

    latents: Tensor
    """(B, D, T) latents as the codec's decoder takes them; zeros where padded."""

    frames: Tensor
    """(B,) frames of each utterance."""

    durations: Tensor | None = None
    """(B, N) frames of each phoneme; None for an unconditional model."""

    f0: Tensor | None = None
    """(B, T) F0 in Hz; None for an unconditional model."""


@torch.no_grad()
def generate(model: NS2, request: Request, choices: Choices | None = None) -> Generated:
    """Generate the latents of a request; the model's mode (training or not) stays the same.

    Raises:
        ValueError: the model is unconditional, or given durations and pitch do not fit.
    """
    choices = choices or Choices()
    if not model.config.conditional:
        raise ValueError("this model knows no text; use `generate_latents` to sample from it")
    training = model.training
    model.eval()
    try:
        return _generate(model, request, choices)
    finally:
        model.train(training)


def _generate(model: NS2, request: Request, choices: Choices) -> Generated:
    """Predict durations and pitch where they are not given, then sample."""
    token_mask = length_mask(request.tokens, request.phonemes.shape[1])
    voice = encoded_prompt(model, request) if request.voice is None else request.voice
    states = model.text(request.phonemes, token_mask)
    durations = _durations(model, request, choices, states, token_mask, voice)
    frames = durations.sum(1)
    size = int(frames.max())
    mask = length_mask(frames, size)
    at_frames = expand_to_frames(states, durations, size)
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
    """Sample from an unconditional model.

    Args:
        model: the model.
        frames: (B,) the frames of each utterance.
        seeds: (B,) int64, the seed of each utterance.
        choices: the sampler; None for the defaults.

    Raises:
        ValueError: the model is conditional.
    """
    if model.config.conditional:
        raise ValueError("this model needs text; use `generate` to sample from it")
    training = model.training
    model.eval()
    try:
        latents = _latents(model, choices or Choices(), seeds, frames, content=None, voice=None)
    finally:
        model.train(training)
    return Generated(latents=latents, frames=frames)


def encoded_prompt(model: NS2, request: Request) -> Voice:
    """Return the voices of a request's prompts; without prompts the null prompt."""
    if request.prompt_codes is None:
        shape = (len(request.tokens), model.sizes.quantizers, 1)
        codes = request.phonemes.new_zeros(shape, dtype=torch.int32)
        return model.voice(codes, torch.zeros_like(request.tokens))
    frames = request.prompt_frames
    if frames is None:
        frames = torch.full_like(request.tokens, request.prompt_codes.shape[2])
    return model.voice(request.prompt_codes, frames)


def _durations(
    model: NS2,
    request: Request,
    choices: Choices,
    states: Tensor,
    mask: Tensor,
    voice: Voice,
) -> Tensor:
    """Return durations (B, N) in frames, given or predicted, at the speed chosen."""
    if request.durations is not None:
        if request.durations.shape != request.phonemes.shape:
            raise ValueError(
                f"durations have the shape {tuple(request.durations.shape)}, phonemes "
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
    """Return F0 (B, T) in Hz, given or predicted, moved by the semitones chosen."""
    if request.f0 is None:
        f0 = predicted_f0(model.pitch_predictor(at_frames, mask, voice.states, voice.mask))
        if request.voice_pitch is not None:
            f0 = _near_the_voice(f0 * mask, request.voice_pitch)
    else:
        f0 = request.f0
        if f0.shape[1] != mask.shape[1]:
            raise ValueError(
                f"f0 has {f0.shape[1]} frames, durations {mask.shape[1]}: given pitch needs "
                "given durations, and a speed of 1"
            )
    return f0 * 2 ** (choices.semitones / 12) * mask


def _near_the_voice(f0: Tensor, pitch: Tensor) -> Tensor:
    """Move F0 (B, T) so that its median is near that of its voice, see `Request.voice_pitch`.

    A predictor knows the melody of a sentence better than the level of a voice that it has never
    heard, which the prompt shows.
    """
    rows = []
    for row, (hertz, weight) in zip(f0, pitch.tolist(), strict=True):
        voiced = row[row > 0]
        if hertz > 0 and len(voiced):
            away = weight * 12 * (hertz / voiced.median()).log2()
            row = row * 2 ** ((away - away.clamp(-NEAR, NEAR)) / 12)
        rows.append(row)
    return torch.stack(rows)


def _latents(
    model: NS2,
    choices: Choices,
    seeds: Tensor,
    frames: Tensor,
    *,
    content: Tensor | None,
    voice: Voice | None,
) -> Tensor:
    """Sample latents (B, D, T) of so many frames, on the codec's scale."""
    size = int(frames.max())
    mask = length_mask(frames, size)
    noise = _noise_function(model, seeds, frames, size)
    tokens = None if voice is None else voice.tokens
    guided = choices.guidance != 1 and content is not None
    if guided:
        assert content is not None and tokens is not None
        content, tokens = _with_unconditional(model, content, tokens)
    copies = 2 if guided else 1  # of the batch: without conditions, then with them
    conditions = model.denoiser.conditions(content, tokens)
    padded = bool((frames < size).any())
    seen = mask.repeat(copies, 1) if padded else None

    def estimate(x: Tensor, time: Tensor, previous: Tensor | None) -> Tensor:
        prediction = model.denoiser(
            x.repeat(copies, 1, 1),
            time.repeat(copies),
            seen,
            estimate=None if previous is None else previous.repeat(copies, 1, 1),
            conditions=conditions,
        )
        level = model.schedule.at(time.repeat(copies))
        x0 = model.estimate(prediction, x.repeat(copies, 1, 1), level)
        if not guided:
            return x0
        unconditional, conditional = x0.chunk(2)
        mixed = guide([unconditional, conditional], [choices.guidance])
        return rescale(mixed, conditional, mask, choices.rescale) if choices.rescale else mixed

    latents = sample(estimate, noise(0), model.schedule, choices.sampler, noise)
    return model.denormalised(latents) * mask[:, None]


def _noise_function(
    model: NS2, seeds: Tensor, frames: Tensor, size: int
) -> Callable[[int], Tensor]:
    """Return a function that draws noise (B, D, T), each utterance's from its own seed."""
    generators = [torch.Generator().manual_seed(s & (1 << 63) - 1) for s in seeds.tolist()]
    device = model.codebooks.device

    def noise(_: int) -> Tensor:
        drawn = torch.zeros(len(generators), model.sizes.latent_dim, size)
        for row, generator, length in zip(drawn, generators, frames.tolist(), strict=True):
            row[:, :length] = latent_noise(generator, model.sizes.latent_dim, length)
        return drawn.to(device)

    return noise


def _with_unconditional(model: NS2, content: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return null content and the null prompt's tokens in front of those given: (2 B, ...) each."""
    count, device = len(content), content.device
    null = model.voice(
        torch.zeros(count, model.sizes.quantizers, 1, dtype=torch.int32, device=device),
        torch.zeros(count, dtype=torch.int64, device=device),
    )
    everyone = torch.ones(count, dtype=torch.bool, device=device)
    null_content = model.without_content(content, everyone)
    return torch.cat([null_content, content]), torch.cat([null.tokens, tokens])
