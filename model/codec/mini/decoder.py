"""The decoder of `mini`: a harmonic source and noise, filtered frame by frame.

No phase is in the latents: the decoder integrates F0 to the phase of its source, a band-limited
pulse train, and filters it by minimum phase. A model that samples latents then has no phases to
learn. Sources of the parts: pulse train in closed form (Stilson & Smith 1996, "Alias-free digital
synthesis of classic analog waveforms"), minimum phase by the cepstrum (Oppenheim & Schafer),
source and noise with filters that a network writes (Wang et al. 2019, arXiv:1904.12088).

Letters for shapes: B batch, T frames, D latent width, S samples (T * hop), K bands, N bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.codec.mini.blocks import add_up
from ns2.model.codec.mini.encoder import Trunk
from ns2.model.codec.mini.mini_config import HOP_LENGTH, PITCH_DIM, SAMPLE_RATE, MiniConfig
from ns2.model.codec.mini.pitch import advanced, read_pitch, sharpened

_QUIETEST, _LOUDEST = -14.0, 6.0
"""The bounds of natural logarithms of magnitudes."""
_FINE_TUNING = 0.06
"""How far F0 is corrected where channels contradict each other, a semitone."""
_LOW_LEVEL, _HIGH_LEVEL, _LESS_NOISE = -2.0, -7.5, 2.5
"""Levels at the lowest and the highest frequency, and of noise below them, before training."""
_SEED = 0
_CRISPER, _CRISP_BINS = 0.3, 81
"""How much of what spectra differ by from their means over 2 kHz is added when audio is made.
Losses leave them too smooth, which sounds dull (docs/codec.md has figures)."""
_CRISPEST, _FORMANTS = 0.6, ((1000.0, 200.0), (4000.0, 400.0))
"""The same for the source between two frequencies, where vowels differ most: each frequency and
the width of the step there, in Hz."""


@dataclass(frozen=True)
class Controls:
    """What the decoder writes for each frame.

    Attributes:
        log_f0: (B, T) the natural logarithm of F0 in Hz.
        harmonics, noise: (B, T, N) log magnitudes of the filters of source and noise.
        gains: (B, T * gains, 2) log gains of source and noise, whose mean over a frame is 0.
        breath: (B, T) how much the noise follows the source's periods, 0 to 1.
        voicing: (B, T) how much of the source there is, 0 in unvoiced frames to 1.
    """

    log_f0: Tensor
    harmonics: Tensor
    noise: Tensor
    gains: Tensor
    breath: Tensor
    voicing: Tensor


class Decoder(nn.Module):
    """Maps latents (B, T, D) to audio (B, T * hop)."""

    points: Tensor
    crisp_points: Tensor
    window: Tensor

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self._config, width = config, config.decoder_width
        self.enter = nn.Conv1d(config.latent_dim, config.latent_dim, 3, padding=1)
        self.trunk = Trunk(2 * config.latent_dim, width, config.decoder_blocks, config.expansion, 7)
        self.harmonics = nn.Linear(width, config.bands)
        self.noise = nn.Linear(width, config.bands)
        self.gains = nn.Linear(width, 2 * config.gains)
        self.source = nn.Linear(width, 2)
        # what a linear map of the latents does exactly, such as level, the trunk need not learn
        self._sizes = (config.bands, config.bands, 2 * config.gains)
        self.direct = nn.Linear(2 * config.latent_dim, sum(self._sizes), bias=False)
        # Learning begins with the slope of a voice, and less noise: a source that is much too
        # loud or quiet somewhere is turned off by the first steps, and the other one takes over.
        slope = torch.linspace(_LOW_LEVEL, _HIGH_LEVEL, config.bands)
        self.harmonics.bias.data.copy_(slope)
        self.noise.bias.data.copy_(slope - _LESS_NOISE)
        nn.init.constant_(self.source.bias, -3.0)
        self.register_buffer("points", band_points(config.bands, config.n_fft), persistent=False)
        self.register_buffer("crisp_points", crisp_points(self.points), persistent=False)
        window = torch.hann_window(config.n_fft, periodic=True)
        self.register_buffer("window", window, persistent=False)

    def forward(self, latents: Tensor) -> Tensor:
        """Compute audio (B, T * hop) of latents (B, T, D); its noise is always the same."""
        controls = self.controls(latents, crisp=True)
        shape = (1, latents.shape[1] * HOP_LENGTH)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(_SEED))
        return self.sound(controls, noise.to(latents.device))

    def controls(self, latents: Tensor, *, crisp: bool = False) -> Controls:
        """Compute what is written for each frame of latents (B, T, D).

        Args:
            crisp: some of the smoothing of F0 and of spectra, by the encoder and by losses, is
                undone, and a small lag of F0, as is good for hearing; training goes without.
        """
        points = self.crisp_points if crisp else torch.stack([self.points, self.points])
        around = self.enter(latents.transpose(1, 2)).transpose(1, 2)
        near = torch.cat([latents, around], dim=-1)
        x = self.trunk(near)
        harmonics, noise, gains = self.direct(near).float().split(self._sizes, dim=-1)
        log_f0, sign = read_pitch(latents[..., -PITCH_DIM:].float(), self._config)
        tuning, breath = self.source(x).float().unbind(-1)
        batch, frames = log_f0.shape
        log_f0 = log_f0 + _FINE_TUNING * torch.tanh(tuning)
        return Controls(
            log_f0=advanced(sharpened(log_f0, sign > 0)) if crisp else log_f0,
            harmonics=_bounded(self.harmonics(x) + harmonics) @ points[0],
            noise=_bounded(self.noise(x) + noise) @ points[1],
            gains=_about_their_mean((self.gains(x) + gains).float().reshape(batch, frames, -1, 2)),
            breath=breath.sigmoid(),
            voicing=(0.5 + sign).clamp(0, 1),  # exact also where a model left noise in the channel
        )

    def sound(self, controls: Controls, noise: Tensor, begin: Tensor | float = 0.0) -> Tensor:
        """Make audio (B, S) of controls; no gradient flows from it to F0.

        Unvoiced frames are of noise alone: a loss on spectra would rather have pulses there, which
        come nearer to any spectrum than noise does, and are heard as a voice.

        Args:
            noise: (B, S) or (1, S) of a standard normal distribution.
            begin: (B, 1) the phase of the source before the first sample, 0 to 1.
        """
        source, phase = self._pulses(controls.log_f0.detach(), begin)
        gains = functional.interpolate(
            controls.gains.exp().transpose(1, 2),
            scale_factor=HOP_LENGTH // self._config.gains,
            mode="linear",
        )
        source = source * _between(controls.voicing, HOP_LENGTH)
        rise = 1 + _between(controls.breath * controls.voicing, HOP_LENGTH) * phase.cos()
        voice = self._frames(source * gains[:, 0]) * self._filter(controls.harmonics)
        breath = self._frames(noise * rise * gains[:, 1]) * self._filter(controls.noise)
        return self._overlap(torch.fft.irfft(voice + breath, self._config.n_fft))

    def _pulses(self, log_f0: Tensor, begin: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Make the pulse train (B, S) of F0 (B, T), of equal power for any F0, and its phase."""
        f0 = _between(log_f0, HOP_LENGTH).exp()
        phase = begin + torch.cumsum(f0.double() / SAMPLE_RATE, dim=1)  # float32 would drift
        phase = ((phase - phase.floor()) * (2 * math.pi)).float()
        count = torch.floor(SAMPLE_RATE / 2 / f0)
        below = torch.sin(phase / 2)
        flat = below.abs() <= 1e-4
        above = torch.sin((count + 0.5) * phase)
        ratio = above / (2 * torch.where(flat, torch.ones_like(below), below)) - 0.5
        pulses = torch.where(flat, count, ratio)
        return pulses * (2 * f0 / (SAMPLE_RATE / 2)).sqrt(), phase

    def _frames(self, wave: Tensor) -> Tensor:
        """Compute spectra (B, T, N) of windowed frames of a wave (B, S)."""
        side = (self._config.n_fft - HOP_LENGTH) // 2
        cut = functional.pad(wave, (side, side)).unfold(1, self._config.n_fft, HOP_LENGTH)
        return torch.fft.rfft(cut * self.window)

    def _filter(self, level: Tensor) -> Tensor:
        """Compute the spectrum of minimum phase (B, T, N) of log magnitudes."""
        size = self._config.n_fft
        cepstrum = torch.fft.irfft(level.to(torch.complex64), size)
        fold = torch.zeros(size, device=level.device)
        fold[1 : size // 2] = 2
        fold[0] = fold[size // 2] = 1
        found = torch.fft.rfft(cepstrum * fold)
        return torch.polar(found.real.exp(), found.imag)  # a complex exp takes several times longer

    def _overlap(self, frames: Tensor) -> Tensor:
        """Overlap and add frames (B, T, n_fft), centred on their hops: (B, T * hop).

        The sum is divided by the sum of windows, also at the ends, where fewer overlap.
        """
        weight = add_up(self.window.expand(1, frames.shape[1], -1), HOP_LENGTH)
        side = (self._config.n_fft - HOP_LENGTH) // 2
        return (add_up(frames, HOP_LENGTH) / weight.clamp(min=1e-3))[:, side:-side]


def band_points(bands: int, n_fft: int) -> Tensor:
    """Compute the matrix (K, N) that interpolates mel-spaced points at the bins of a spectrum."""
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1)
    place = torch.log1p(frequencies / 700) / math.log1p(SAMPLE_RATE / 2 / 700) * (bands - 1)
    below = place.floor().clamp(max=bands - 2).long()
    part = place - below
    matrix = torch.zeros(bands, len(frequencies))
    bins = torch.arange(len(frequencies))
    matrix[below, bins] = 1 - part
    matrix[below + 1, bins] += part
    return matrix


def crisp_points(levels: Tensor) -> Tensor:
    """Raise what log magnitudes (..., N) differ by from their means around each bin.

    Returns:
        (2, ..., N), for the source and for the noise.
    """
    weights = torch.hann_window(_CRISP_BINS + 2, periodic=False)[1:-1]
    rows = levels.reshape(-1, 1, levels.shape[-1])
    side = _CRISP_BINS // 2
    means = functional.conv1d(
        functional.pad(rows, (side, side), mode="replicate"), (weights / weights.sum())[None, None]
    ).reshape(levels.shape)
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, levels.shape[-1])
    low, high = (torch.sigmoid((frequencies - edge) / width) for edge, width in _FORMANTS)
    source = _CRISPER + (_CRISPEST - _CRISPER) * low * (1 - high)
    noise = torch.full_like(source, _CRISPER)
    return levels + torch.stack([source, noise])[:, None] * (levels - means)


def _about_their_mean(gains: Tensor) -> Tensor:
    """Take the mean of each frame off log gains (B, T, gains, 2): (B, T * gains, 2)."""
    return (gains - gains.mean(2, keepdim=True)).clamp(-6, 6).flatten(1, 2)


def _bounded(level: Tensor) -> Tensor:
    return level.float().clamp(_QUIETEST, _LOUDEST)


def _between(values: Tensor, times: int) -> Tensor:
    """Interpolate values (B, T) at the centres of frames linearly: (B, T * times)."""
    return functional.interpolate(values[:, None], scale_factor=times, mode="linear")[:, 0]
