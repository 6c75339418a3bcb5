"""NaturalSpeech 2: a batch in, named losses out; and text with a voice in, latents out.

Shen et al. 2023, arXiv:2304.09116. Phoneme states are spread over frames by their durations and get
the pitch; a WaveNet turns noised latents back into clean ones, given these and the speech prompt.
Latents are sums of the codec's codebook vectors, normalised per channel.

Letters for shapes: B batch, T frames, N phonemes, P prompt frames, D latent width, Q quantizers, E
entries, C width, M prompt tokens, V phoneme ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ns2.model.blocks.encoder import Encoder
from ns2.model.blocks.layers import length_mask
from ns2.model.codec.interface import codes_to_latents
from ns2.model.diffusion.objectives import (
    Objective,
    min_snr_weight,
    noised,
    score_weight,
    target,
    to_eps,
    to_x0,
)
from ns2.model.diffusion.rvq import rvq_cross_entropy, rvq_cross_entropy_of_all
from ns2.model.diffusion.schedules import Levels, Schedule
from ns2.model.tts.batch import Batch, Counts
from ns2.model.tts.denoiser import Denoiser
from ns2.model.tts.draws import Draws, draw
from ns2.model.tts.durations import spread
from ns2.model.tts.ns2_config import NS2Config, Sizes
from ns2.model.tts.predictors import Predictor, duration_error, pitch_errors

_FARTHEST = 10.0
"""Deviations from the mean that no latent exceeds."""
_LEAST_VARIANCE = 0.01
"""Added to that of each direction before whitening, or hardly anything would be made large."""


@dataclass(frozen=True)
class Voice:
    """An encoded speech prompt, or the null prompt where there is none."""

    states: Tensor
    """(B, P, C) states of the prompt encoder."""

    mask: Tensor
    """(B, P) bool: frames of the prompt."""

    tokens: Tensor
    """(B, M, hidden) the resampled prompt, which is what the denoiser sees."""


class NS2(nn.Module):
    """The model, with all that a dataset gives it: codebooks, latent statistics, phones."""

    codebooks: Tensor
    latent_mean: Tensor
    latent_std: Tensor
    whitening: Tensor | None
    colouring: Tensor | None
    phone_of: Tensor
    stress_of: Tensor

    def __init__(self, config: NS2Config, sizes: Sizes) -> None:
        """Take sizes; `fit_to` then gives the dataset's own values."""
        super().__init__()
        self.config, self.sizes = config, sizes
        width = config.width
        self.schedule = Schedule(config.diffusion.schedule)
        shape = (sizes.quantizers, sizes.entries, sizes.latent_dim)
        self.register_buffer("codebooks", torch.zeros(shape))
        self.register_buffer("latent_mean", torch.zeros(sizes.latent_dim))
        self.register_buffer("latent_std", torch.ones(sizes.latent_dim))
        if config.diffusion.latents == "whitened":
            self.register_buffer("whitening", torch.eye(sizes.latent_dim))
            self.register_buffer("colouring", torch.eye(sizes.latent_dim))
        else:
            self.whitening = self.colouring = None
        self.register_buffer("phone_of", torch.arange(sizes.phonemes) % sizes.phones)
        self.register_buffer("stress_of", torch.zeros(sizes.phonemes, dtype=torch.int64))
        self.denoiser = Denoiser(
            config.denoiser,
            latent_dim=sizes.latent_dim,
            width=width,
            conditional=config.conditional,
        )
        if not config.conditional:
            return
        self.phone = nn.Embedding(sizes.phones, width)
        self.stress = nn.Embedding(3, width)
        self.phoneme_encoder = Encoder(config.phoneme_encoder, width)
        self.prompt_enter = nn.Linear(sizes.latent_dim, width)
        self.prompt_encoder = Encoder(config.prompt_encoder, width)
        self.null_prompt = nn.Parameter(torch.randn(width))
        self.null_content = nn.Parameter(torch.randn(width))
        self.duration_predictor = Predictor(config.duration, width, outputs=1)
        self.pitch_predictor = Predictor(config.pitch, width, outputs=2)
        self.pitch = nn.Embedding.from_pretrained(
            config.pitch_bins.embeddings(width, sizes.frame_rate), freeze=False
        )

    def fit_to(
        self,
        *,
        codebooks: Tensor,
        latent_mean: Tensor,
        latent_std: Tensor,
        latent_correlation: Tensor | None = None,
        phone_of: Tensor | None = None,
        stress_of: Tensor | None = None,
    ) -> NS2:
        """Take what a dataset decides; returns the model itself.

        Args:
            codebooks: (Q, E, D).
            latent_mean, latent_std: per channel, (D,), of the dataset's latents.
            latent_correlation: of channels, (D, D); for whitened latents alone.
            phone_of, stress_of: phone and stress (0 to 2) of each phoneme id, (V,).

        Raises:
            ValueError: a value has another shape than the model's, a deviation is not above 0, or
                the correlation of latents that are to be whitened is missing.
        """
        given = {
            "codebooks": codebooks,
            "latent_mean": latent_mean,
            "latent_std": latent_std,
            "phone_of": phone_of,
            "stress_of": stress_of,
        }
        for name, value in given.items():
            if value is None:
                continue
            buffer = getattr(self, name)
            if value.shape != buffer.shape:
                raise ValueError(
                    f"{name}: the model is for {tuple(buffer.shape)}, got {tuple(value.shape)}"
                )
            buffer.copy_(value)
        if not bool((self.latent_std > 0).all()):
            raise ValueError("a channel of the latents never varies: its deviation is 0")
        if self.whitening is not None and self.colouring is not None:
            if latent_correlation is None:
                raise ValueError("latents are to be whitened: give their correlation")
            values, vectors = torch.linalg.eigh(latent_correlation.double())
            scale = (values.clamp(min=0) + _LEAST_VARIANCE).sqrt()
            self.whitening.copy_(vectors / scale @ vectors.T)
            self.colouring.copy_(vectors * scale @ vectors.T)
        return self

    # -- latents ---------------------------------------------------------------------------------

    def normalised(self, latents: Tensor) -> Tensor:
        """Latents of the codec (B, D, T) with mean 0 and deviation 1 a channel, or whitened."""
        latents = (latents - self.latent_mean[:, None]) / self.latent_std[:, None]
        return latents if self.whitening is None else _turned(self.whitening, latents)

    def denormalised(self, latents: Tensor) -> Tensor:
        """Latents as the codec knows them, (B, D, T)."""
        if self.colouring is not None:
            latents = _turned(self.colouring, latents)
        return latents * self.latent_std[:, None] + self.latent_mean[:, None]

    def latents_of(self, codes: Tensor) -> Tensor:
        """Normalised latents (B, D, T) of codes (B, Q, T)."""
        return self.normalised(codes_to_latents(codes, self.codebooks))

    # -- conditions ------------------------------------------------------------------------------

    def voice(self, codes: Tensor, frames: Tensor, drop: Tensor | None = None) -> Voice:
        """Encode speech prompts.

        Args:
            codes: (B, Q, P).
            frames: (B,); 0 is the null prompt.
            drop: who gets the null prompt all the same, (B,) bool.
        """
        mask = length_mask(frames, codes.shape[2])
        null = frames == 0 if drop is None else (frames == 0) | drop
        first = torch.arange(codes.shape[2], device=codes.device) == 0
        seen = mask | (null[:, None] & first)  # attention needs something to look at
        states = self.prompt_enter(self.latents_of(codes).transpose(1, 2))
        states = self.prompt_encoder(states * mask[..., None], seen)
        states = torch.where(null[:, None, None], self.null_prompt.to(states.dtype), states)
        mask = torch.where(null[:, None], first, mask)
        tokens = self.denoiser.tokens(states, mask)
        assert tokens is not None
        return Voice(states, mask, tokens)

    def text(self, phonemes: Tensor, mask: Tensor) -> Tensor:
        """States of phonemes: ids (B, N), mask (B, N), to (B, N, C)."""
        x = self.phone(self.phone_of[phonemes]) + self.stress(self.stress_of[phonemes])
        out: Tensor = self.phoneme_encoder(x, mask)
        return out

    def content(self, states: Tensor, f0: Tensor) -> Tensor:
        """What is said at each frame: states at frames (B, T, C) and their F0 (B, T) in Hz."""
        pitch: Tensor = self.pitch(self.config.pitch_bins.bins(f0))
        return states + pitch

    def without_content(self, content: Tensor, drop: Tensor) -> Tensor:
        """Content (B, T, C) with the learned null in the place of those dropped, (B,) bool."""
        return torch.where(drop[:, None, None], self.null_content.to(content.dtype), content)

    # -- training --------------------------------------------------------------------------------

    def draw(self, batch: Batch, *, self_condition: bool) -> Draws:
        """The random numbers of a step, from the seeds of its utterances; on the batch's device."""
        drawn = draw(
            batch.seeds,
            batch.frames,
            batch.codes.shape[2],
            self.sizes,
            self.config.diffusion,
            self_condition=self_condition,
        )
        return drawn.to(batch.codes.device)

    def forward(
        self, batch: Batch, draws: Draws | None = None, counts: Counts | None = None
    ) -> dict[str, Tensor]:
        """The named losses of a batch, not yet weighted.

        Args:
            draws: random numbers of the step; None draws them, and whether to self-condition from
                torch's own generator.
            counts: what losses are divided by; None for the batch's own. Those of the whole step
                make losses of parts of it add up to its own.

        Returns:
            () float32 each: diffusion (a frame and channel), score (likewise), ce_rvq (nats a
            frame; 0 where its weight is), and unless the model is unconditional duration (log
            frames a phoneme), pitch (log F0 a voiced frame), voicing (nats a frame).
        """
        share = self.config.diffusion.self_condition
        if draws is None:
            draws = self.draw(batch, self_condition=bool(torch.rand(()) < share))
        if counts is None:
            counts = Counts.of(batch)
        if not self.config.conditional:
            return self._diffusion(batch, draws, counts, None, None)
        mask, token_mask = batch.frame_mask, batch.token_mask
        voice = self.voice(batch.prompt_codes, batch.prompt_frames, draws.drop_prompt)
        states = self.text(batch.phonemes, token_mask)
        at_frames = spread(states, batch.durations, batch.codes.shape[2])
        durations = self.duration_predictor(states, token_mask, voice.states, voice.mask)[..., 0]
        pitch = self.pitch_predictor(at_frames, mask, voice.states, voice.mask)
        duration = duration_error(durations, batch.durations, token_mask)
        log_f0, voicing = pitch_errors(pitch, batch.f0, mask)
        content = self.without_content(self.content(at_frames, batch.f0), draws.drop_content)
        return {
            **self._diffusion(batch, draws, counts, content, voice.tokens),
            "duration": duration.sum() / counts.tokens,
            "pitch": log_f0.sum() / counts.voiced,
            "voicing": voicing.sum() / counts.frames,
        }

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The sum of named losses by their weights."""
        weights = self.config.losses
        return torch.stack([getattr(weights, name) * loss for name, loss in losses.items()]).sum()

    def estimate(self, raw: Tensor, x_t: Tensor, level: Levels) -> Tensor:
        """Normalised latents (B, D, T) that the denoiser's output (B, D, T) stands for.

        Where the objective is eps the network's own output is v, and eps is made of it and x_t:
        of a plain eps, whose error grows by sigma / alpha, hardly anything of x0 would be left
        where there is little data (preconditioning, Karras et al. 2022, arXiv:2206.00364).
        """
        return bounded(to_x0(self._output, raw, x_t, level.alpha, level.sigma))

    @property
    def _output(self) -> Objective:
        objective = self.config.diffusion.objective
        return "v" if objective == "eps" else objective

    def _diffusion(
        self,
        batch: Batch,
        draws: Draws,
        counts: Counts,
        content: Tensor | None,
        tokens: Tensor | None,
    ) -> dict[str, Tensor]:
        config, mask = self.config.diffusion, batch.frame_mask
        x0 = self.latents_of(batch.codes) * mask[:, None]
        time = self.schedule.times(draws.uniform)
        level = self.schedule.at(time)
        x_t = noised(x0, draws.noise, level.alpha, level.sigma)
        estimate = None
        if draws.self_condition:
            with torch.no_grad():
                raw = self.denoiser(x_t, time, mask, content=content, tokens=tokens)
                estimate = self.estimate(raw, x_t, level)
        raw = self.denoiser(x_t, time, mask, content=content, tokens=tokens, estimate=estimate)
        answer = raw
        if config.objective == "eps":
            answer = to_eps(self._output, raw, x_t, level.alpha, level.sigma)
        wanted = target(config.objective, x0, draws.noise, level.alpha, level.sigma)
        error = _squares(answer - wanted, mask)
        if config.min_snr:
            error = error * min_snr_weight(
                config.objective, level.alpha, level.sigma, config.min_snr
            )
        guess = to_x0(self._output, raw, x_t, level.alpha, level.sigma)
        score = _squares(guess - x0, mask)
        score = score * score_weight(level.alpha, level.sigma, config.score_clip)
        cells = counts.frames * self.sizes.latent_dim
        return {
            "diffusion": error.sum() / cells,
            "score": score.sum() / cells,
            "ce_rvq": (
                self._cross_entropy(batch, draws, guess).sum() / counts.frames
                if self.config.losses.ce_rvq
                else counts.frames.new_zeros(())
            ),
        }

    def _cross_entropy(self, batch: Batch, draws: Draws, guess: Tensor) -> Tensor:
        config, mask = self.config.diffusion, batch.frame_mask
        latents = self.denormalised(guess)
        if config.ce_quantizers == "all":
            return rvq_cross_entropy_of_all(latents, batch.codes, self.codebooks, mask)
        return rvq_cross_entropy(latents, batch.codes, self.codebooks, draws.quantizer, mask)


def bounded(estimate: Tensor) -> Tensor:
    """An estimate of normalised latents, kept to what data can be."""
    return estimate.clamp(-_FARTHEST, _FARTHEST)


def _turned(matrix: Tensor, latents: Tensor) -> Tensor:
    """A matrix (D, D) times latents (B, D, T), in float32 whatever autocast says."""
    with torch.autocast(latents.device.type, enabled=False):
        return matrix @ latents.float()


def _squares(error: Tensor, mask: Tensor) -> Tensor:
    """Squares of (B, D, T) added up over an utterance's own frames: (B,)."""
    return (error.square() * mask[:, None]).sum((1, 2))
