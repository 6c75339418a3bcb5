"""NaturalSpeech 2 (Shen et al. 2023, arXiv:2304.09116): the model and its losses.

The states of phonemes are expanded to frames by their durations, and pitch is added; a WaveNet
predicts clean latents from noised ones, given these states and the speech prompt. Latents are sums
of the codec's codebook vectors, normalised per channel.

Letters for shapes: B batch, T frames, N phonemes, P prompt frames, D latent width, Q quantisers, E
entries, C width, M prompt tokens, V phoneme ids.
"""

from __future__ import annotations

from collections.abc import Callable
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
from ns2.model.tts.duration_frames import expand_to_frames
from ns2.model.tts.ns2_config import NS2Config, Sizes
from ns2.model.tts.predictors import Predictor, duration_error, pitch_errors

_FARTHEST = 10.0
"""The bound of estimates of normalised latents, in standard deviations from the mean."""
_LEAST_VARIANCE = 0.01
"""Added to the variance of each direction before whitening, so that directions with hardly any
variance are not amplified."""


@dataclass(frozen=True)
class Voice:
    """An encoded speech prompt, or the null prompt where there is none."""

    states: Tensor
    """(B, P, C) states of the prompt encoder."""

    mask: Tensor
    """(B, P) bool: frames of the prompt."""

    tokens: Tensor
    """(B, M, hidden) the resampled prompt, which is what the denoiser sees."""

    def of(self, count: int) -> Voice:
        """Return this voice of one utterance for so many utterances."""
        return Voice(*(part.expand(count, *part.shape[1:]) for part in self._parts))

    @property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.states, self.mask, self.tokens


class NS2(nn.Module):
    """The model, with the codebooks, latent statistics and phones of its dataset."""

    codebooks: Tensor
    latent_mean: Tensor
    latent_std: Tensor
    whitening: Tensor | None
    colouring: Tensor | None
    phone_of: Tensor
    stress_of: Tensor
    observe: Callable[[Tensor], None] | None = None
    """Gets the mean squared error of the latents of each utterance, (B,), in a pass."""

    def __init__(self, config: NS2Config, sizes: Sizes) -> None:
        """Make the layers; `fit_to` then sets the dataset's own values.

        Args:
            config: all choices about the model.
            sizes: the sizes that the dataset decides.
        """
        super().__init__()
        self.config, self.sizes = config, sizes
        width = config.width
        self.schedule = Schedule(config.diffusion.schedule)
        shape = (sizes.quantizers, sizes.entries, sizes.latent_dim)
        self.register_buffer("codebooks", torch.zeros(shape))
        self.register_buffer("latent_mean", torch.zeros(sizes.latent_dim))
        self.register_buffer("latent_std", torch.ones(sizes.latent_dim))
        if config.diffusion.latents == "whitened":
            self.register_buffer("whitening", _identity(sizes.latent_dim))
            self.register_buffer("colouring", _identity(sizes.latent_dim))
        else:
            self.whitening = self.colouring = None
        self.register_buffer("phone_of", torch.arange(sizes.phonemes) % sizes.phones)
        self.register_buffer("stress_of", torch.zeros(sizes.phonemes, dtype=torch.int64))
        # The order in which layers are made decides their random weights.
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
        """Set what a dataset decides, and return the model itself.

        Args:
            codebooks: (Q, E, D) the codec's codebooks.
            latent_mean, latent_std: (D,) statistics of the dataset's latents per channel.
            latent_correlation: (D, D) of channels; needed only for whitened latents.
            phone_of, stress_of: (V,) the phone and stress (0 to 2) of each phoneme id.

        Raises:
            ValueError: a tensor has the wrong shape, a standard deviation is not above 0, or the
                correlation is missing though latents are to be whitened.
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
                    f"{name} must have the shape {tuple(buffer.shape)}, got {tuple(value.shape)}"
                )
            buffer.copy_(value)
        if not bool((self.latent_std > 0).all()):
            raise ValueError("a channel of the latents never varies: its standard deviation is 0")
        if self.whitening is not None:
            if latent_correlation is None:
                raise ValueError("latents are to be whitened: give their correlation")
            self._set_whitening(latent_correlation)
        return self

    def _set_whitening(self, correlation: Tensor) -> None:
        """Set the whitening matrix of a correlation (D, D), and its inverse."""
        assert self.whitening is not None and self.colouring is not None
        values, vectors = torch.linalg.eigh(correlation.double())
        scale = (values.clamp(min=0) + _LEAST_VARIANCE).sqrt()
        self.whitening.copy_(vectors / scale @ vectors.T)
        self.colouring.copy_(vectors * scale @ vectors.T)

    # -- latents ---------------------------------------------------------------------------------

    def normalised(self, latents: Tensor) -> Tensor:
        """Normalise the codec's latents (B, D, T) per channel, or whiten them."""
        latents = (latents - self.latent_mean[:, None]) / self.latent_std[:, None]
        return latents if self.whitening is None else _product(self.whitening, latents)

    def denormalised(self, latents: Tensor) -> Tensor:
        """Undo `normalised`: return latents (B, D, T) on the codec's scale."""
        if self.colouring is not None:
            latents = _product(self.colouring, latents)
        return latents * self.latent_std[:, None] + self.latent_mean[:, None]

    def latents_of(self, codes: Tensor) -> Tensor:
        """Return normalised latents (B, D, T) of codes (B, Q, T)."""
        return self.normalised(codes_to_latents(codes, self.codebooks))

    # -- conditions ------------------------------------------------------------------------------

    def voice(self, codes: Tensor, frames: Tensor, drop: Tensor | None = None) -> Voice:
        """Encode speech prompts.

        Args:
            codes: (B, Q, P) codes of the prompts.
            frames: (B,) frames of each prompt; 0 gives the null prompt.
            drop: (B,) bool, utterances that get the null prompt in place of their own.
        """
        mask = length_mask(frames, codes.shape[2])
        null = frames == 0 if drop is None else (frames == 0) | drop
        first = torch.arange(codes.shape[2], device=codes.device) == 0
        seen = mask | (null[:, None] & first)  # attention needs at least one frame
        states = self.prompt_enter(self.latents_of(codes).transpose(1, 2))
        states = self.prompt_encoder(states * mask[..., None], seen)
        states = torch.where(null[:, None, None], self.null_prompt.to(states.dtype), states)
        mask = torch.where(null[:, None], first, mask)
        tokens = self.denoiser.tokens(states, mask)
        assert tokens is not None
        return Voice(states, mask, tokens)

    def text(self, phonemes: Tensor, mask: Tensor) -> Tensor:
        """Encode phoneme ids (B, N) with their mask (B, N) to states (B, N, C)."""
        x = self.phone(self.phone_of[phonemes]) + self.stress(self.stress_of[phonemes])
        out: Tensor = self.phoneme_encoder(x, mask)
        return out

    def content(self, states: Tensor, f0: Tensor) -> Tensor:
        """Add the embedding of F0 (B, T) in Hz to states at frames (B, T, C)."""
        pitch: Tensor = self.pitch(self.config.pitch_bins.bins(f0))
        return states + pitch

    def without_content(self, content: Tensor, drop: Tensor) -> Tensor:
        """Replace content (B, T, C) by the learned null where it is dropped, (B,) bool."""
        return torch.where(drop[:, None, None], self.null_content.to(content.dtype), content)

    # -- training --------------------------------------------------------------------------------

    def draw(self, batch: Batch, *, self_condition: bool) -> Draws:
        """Draw the random numbers of a step from its utterances' seeds, on the batch's device."""
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
        """Compute the named losses of a batch, not yet weighted.

        Args:
            batch: targets and prompts.
            draws: the random numbers of the step; None draws them, and whether to self-condition
                from torch's global generator.
            counts: the denominators of the losses; None for those of the batch. With those of a
                whole step the losses of its parts add up to the losses of the step.

        Returns:
            () float32 each: diffusion and score (squared error per frame and channel), ce_rvq (nats
            per frame; 0 if its weight is 0); and unless the model is unconditional duration (error
            of log frames per phoneme), pitch (error of log F0 per voiced frame) and voicing (nats
            per frame).
        """
        share = self.config.diffusion.self_condition
        if draws is None:
            draws = self.draw(batch, self_condition=bool(torch.rand(()) < share))
        if counts is None:
            counts = Counts.of(batch)
        if not self.config.conditional:
            return self._diffusion(batch, draws, counts, None, None)
        # Conditions: the prompt, and the states of phonemes at frames.
        mask, token_mask = batch.frame_mask, batch.token_mask
        voice = self.voice(batch.prompt_codes, batch.prompt_frames, draws.drop_prompt)
        states = self.text(batch.phonemes, token_mask)
        at_frames = expand_to_frames(states, batch.durations, batch.codes.shape[2])
        # Predictors.
        durations = self.duration_predictor(states, token_mask, voice.states, voice.mask)[..., 0]
        pitch = self.pitch_predictor(at_frames, mask, voice.states, voice.mask)
        duration = duration_error(durations, batch.durations, token_mask)
        log_f0, voicing = pitch_errors(pitch, batch.f0, mask)
        # The denoiser sees the true durations and pitch.
        content = self.without_content(self.content(at_frames, batch.f0), draws.drop_content)
        return {
            **self._diffusion(batch, draws, counts, content, voice.tokens),
            "duration": duration.sum() / counts.tokens,
            "pitch": log_f0.sum() / counts.voiced,
            "voicing": voicing.sum() / counts.frames,
        }

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """Return the weighted sum of named losses."""
        weights = self.config.losses
        return torch.stack([getattr(weights, name) * loss for name, loss in losses.items()]).sum()

    def estimate(self, raw: Tensor, x_t: Tensor, level: Levels) -> Tensor:
        """Convert the denoiser's output to an estimate of normalised latents.

        If the objective is eps, the network's output is v, and eps is computed from v and x_t:
        converting a predicted eps to x0 multiplies its error by sigma / alpha, which would leave
        hardly anything of x0 where there is little data (preconditioning, Karras et al. 2022,
        arXiv:2206.00364).

        Args:
            raw: (B, D, T) the output of the denoiser.
            x_t: (B, D, T) the noised latents.
            level: the schedule's levels at the times (B,).

        Returns:
            (B, D, T).
        """
        return bounded(to_x0(self._output, raw, x_t, level.alpha, level.sigma))

    @property
    def _output(self) -> Objective:
        """What the denoiser's output is: the objective, but v for eps."""
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
        """Compute the losses of the denoiser: diffusion, score and ce_rvq."""
        config, mask = self.config.diffusion, batch.frame_mask
        x0 = self.latents_of(batch.codes) * mask[:, None]
        time = self.schedule.times(draws.uniform)
        level = self.schedule.at(time)
        x_t = noised(x0, draws.noise, level.alpha, level.sigma)
        # Self-conditioning: a first estimate without gradient.
        estimate = None
        if draws.self_condition:
            with torch.no_grad():
                raw = self.denoiser(x_t, time, mask, content=content, tokens=tokens)
                estimate = self.estimate(raw, x_t, level)
        raw = self.denoiser(x_t, time, mask, content=content, tokens=tokens, estimate=estimate)
        # The squared error of the objective.
        prediction = raw
        if config.objective == "eps":
            prediction = to_eps(self._output, raw, x_t, level.alpha, level.sigma)
        wanted = target(config.objective, x0, draws.noise, level.alpha, level.sigma)
        error = _squares(prediction - wanted, mask)
        if config.min_snr:
            error = error * min_snr_weight(
                config.objective, level.alpha, level.sigma, config.min_snr
            )
        # The squared error of x0, weighted as that of the score.
        predicted_x0 = to_x0(self._output, raw, x_t, level.alpha, level.sigma)
        score = _squares(predicted_x0 - x0, mask)
        if self.observe is not None:
            self.observe(score.detach() / (batch.frames * self.sizes.latent_dim))
        score = score * score_weight(level.alpha, level.sigma, config.score_clip)
        cells = counts.frames * self.sizes.latent_dim
        return {
            "diffusion": error.sum() / cells,
            "score": score.sum() / cells,
            "ce_rvq": (
                self._cross_entropy(batch, draws, predicted_x0).sum() / counts.frames
                if self.config.losses.ce_rvq
                else counts.frames.new_zeros(())
            ),
        }

    def _cross_entropy(self, batch: Batch, draws: Draws, x0: Tensor) -> Tensor:
        """Return the cross-entropy (B,) of the residual quantiser, in nats."""
        config, mask = self.config.diffusion, batch.frame_mask
        latents = self.denormalised(x0)
        if config.ce_quantizers == "all":
            return rvq_cross_entropy_of_all(latents, batch.codes, self.codebooks, mask)
        return rvq_cross_entropy(latents, batch.codes, self.codebooks, draws.quantizer, mask)


def bounded(estimate: Tensor) -> Tensor:
    """Clamp an estimate of normalised latents to the range that data can have."""
    return estimate.clamp(-_FARTHEST, _FARTHEST)


def _identity(size: int) -> Tensor:
    """Return the identity (size, size); for tensors without memory `eye` loads torch's compiler."""
    return torch.zeros(size, size).fill_diagonal_(1.0)


def _product(matrix: Tensor, latents: Tensor) -> Tensor:
    """Multiply a matrix (D, D) by latents (B, D, T), in float32 also under autocast."""
    with torch.autocast(latents.device.type, enabled=False):
        return matrix @ latents.float()


def _squares(error: Tensor, mask: Tensor) -> Tensor:
    """Sum the squares of (B, D, T) over each utterance's own frames: (B,)."""
    return (error.square() * mask[:, None]).sum((1, 2))
