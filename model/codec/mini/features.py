"""What the encoder of `mini` hears: log-mels, and autocorrelation for F0 and voicing.

Letters for shapes: B batch, S samples, T frames, F features, L lags.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ns2.model.codec.mini.mini_config import HOP_LENGTH, SAMPLE_RATE, MiniConfig
from ns2.model.log_mel import LogMel, MelConfig

_FINE = 4
"""The number of short spectra per frame."""
_WINDOW = 1920
"""The length in samples of the window of the autocorrelation: four periods of 50 Hz."""
_FFT = 4096
_FINER = 2
"""How many times finer than a sample the autocorrelation is computed."""
_TOGETHER = 64
"""Frames whose autocorrelation a CPU computes at a time: what they need stays in its cache."""


class Features:
    """Maps audio (B, S) to the encoder's input (B, S / hop, F).

    Features are a log-mel, a log-mel of each quarter of a frame, for the time of events within it,
    and the normalised autocorrelation at lags of equal steps of pitch. In each, frame i is centred
    on sample hop * i + hop / 2.
    """

    def __init__(self, config: MiniConfig) -> None:
        self._mel = LogMel(MelConfig(bins=config.mels))
        self._fine = LogMel(
            MelConfig(hop_length=HOP_LENGTH // _FINE, n_fft=256, bins=config.fine_mels)
        )
        self._lags = SAMPLE_RATE / pitch_classes(config).exp() * _FINER
        self._window = torch.hann_window(_WINDOW, periodic=True)
        own = torch.fft.irfft(torch.fft.rfft(self._window, _FFT).abs().square(), _FFT * _FINER)
        self._fade = own[: _WINDOW * _FINER] / own[0]
        self.width = config.mels + _FINE * config.fine_mels + config.lags
        self.mels = config.mels

    def __call__(self, waves: Tensor) -> Tensor:
        """Compute features, about -2 to 2, of audio whose length is a multiple of the hop."""
        batch, frames = waves.shape[0], waves.shape[1] // HOP_LENGTH
        mel = self._mel(waves).transpose(1, 2)
        fine = self._fine(waves).transpose(1, 2).reshape(batch, frames, -1)
        return torch.cat([mel / 4 + 1, fine / 4 + 1, self._autocorrelation(waves)], dim=2)

    def _autocorrelation(self, waves: Tensor) -> Tensor:
        """Compute the autocorrelation (B, T, L), 1 for a lag after which the signal repeats."""
        if self._window.device != waves.device:
            for name in ("_window", "_fade", "_lags"):
                setattr(self, name, getattr(self, name).to(waves.device))
        side = (_WINDOW - HOP_LENGTH) // 2
        cut = functional.pad(waves, (side, side)).unfold(1, _WINDOW, HOP_LENGTH)
        together = _TOGETHER if waves.device.type == "cpu" else max(1, cut.shape[1])
        return torch.cat([self._repeating(part) for part in cut.split(together, 1)], 1)

    def _repeating(self, cut: Tensor) -> Tensor:
        """Compute the autocorrelation (B, T, L) of frames (B, T, W) of the audio."""
        power = torch.fft.rfft(cut * self._window, _FFT).abs().square()
        found = torch.fft.irfft(power, _FFT * _FINER)[..., : _WINDOW * _FINER]
        found = found / (found[..., :1] + 1e-6)
        below = self._lags.floor().long()
        part = self._lags - below
        raw = found[..., below] * (1 - part) + found[..., below + 1] * part
        fade = self._fade[below] * (1 - part) + self._fade[below + 1] * part
        return (raw / fade.clamp(min=1e-2)).clamp(-1.5, 1.5)


def pitch_classes(config: MiniConfig) -> Tensor:
    """Compute the natural logarithm (L,) of the F0 in Hz of each lag, rising."""
    return torch.linspace(math.log(config.f0_min), math.log(config.f0_max), config.lags)
