"""The network of the codec `mini`, first version: spectra to latents to samples, at 75 Hz.

The decoder is like Vocos (Siuzdak 2023, arXiv:2306.00814): ConvNeXt blocks at the frame rate, then
magnitude and phase of a short spectrum per frame, which are overlapped and added. The residual
quantiser is that of SoundStream (Zeghidour et al. 2021, arXiv:2107.03312).

Letters for shapes: B batch, S samples, T frames, C channels, Q quantisers, E entries, D latent
width, F features, N vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.codec.mini.blocks import add_up, make_blocks
from ns2.model.codec.mini.mini_config import HOP_LENGTH
from ns2.model.codec.mini_1.mini_1_config import Mini1Config
from ns2.model.log_mel import LogMel, MelConfig

_FINE = 4
"""The number of short spectra per frame."""
_PARTIAL_FFT = 2 * HOP_LENGTH
_COMPRESSION = 0.4
"""The exponent of the complex spectrum's magnitude, which makes loud and quiet comparable."""
_LOUDEST = 1e2
"""The upper bound of a magnitude that the decoder writes."""


class Features:
    """Maps audio (B, S) to the encoder's input (B, S / hop, F).

    Features are a log-mel, a log-mel of each quarter of a frame, for the time of events within it,
    and the lowest bins of the complex spectrum, for the phases of the strongest partials. In each,
    frame i is centred on sample hop * i + hop / 2.
    """

    def __init__(self, config: Mini1Config) -> None:
        self._mel = LogMel(MelConfig(bins=config.mels))
        self._fine = LogMel(
            MelConfig(hop_length=HOP_LENGTH // _FINE, n_fft=256, bins=config.fine_mels)
        )
        self._partials = config.partials
        self._window = torch.hann_window(_PARTIAL_FFT, periodic=True)
        self.width = config.mels + _FINE * config.fine_mels + 2 * config.partials

    def __call__(self, waves: Tensor) -> Tensor:
        """Compute features, about -2 to 2, of audio whose length is a multiple of the hop."""
        batch, frames = waves.shape[0], waves.shape[1] // HOP_LENGTH
        mel = self._mel(waves).transpose(1, 2)
        fine = self._fine(waves).transpose(1, 2).reshape(batch, frames, -1)
        self._window = self._window.to(waves.device)
        side = (_PARTIAL_FFT - HOP_LENGTH) // 2
        cut = functional.pad(waves, (side, side)).unfold(1, _PARTIAL_FFT, HOP_LENGTH)
        spectrum = torch.fft.rfft(cut * self._window)[..., 1 : 1 + self._partials]
        spectrum = spectrum * spectrum.abs().clamp(min=1e-5).pow(_COMPRESSION - 1)
        partials = torch.view_as_real(spectrum).flatten(2)
        return torch.cat([mel / 4 + 1, fine / 4 + 1, partials], dim=2)


class Encoder(nn.Module):
    """Maps features (B, T, F) to latents (B, T, D)."""

    def __init__(self, config: Mini1Config, features: int) -> None:
        super().__init__()
        width = config.encoder_width
        self.enter = nn.Linear(features, width)
        self.enter_norm = nn.LayerNorm(width)
        self.blocks = make_blocks(width, config.encoder_blocks, config.expansion, kernel=5)
        self.leave_norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, config.latent_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Compute latents (B, T, D) of features (B, T, F)."""
        x = self.blocks(self.enter_norm(self.enter(features)))
        out: Tensor = self.leave(self.leave_norm(x))
        return out


class Decoder(nn.Module):
    """Maps latents (B, T, D) to audio (B, T * hop)."""

    window: Tensor

    def __init__(self, config: Mini1Config) -> None:
        super().__init__()
        width = config.decoder_width
        self._n_fft, self._direct = config.n_fft, config.direct_bins
        self.enter = nn.Conv1d(config.latent_dim, width, 3, padding=1)
        self.enter_norm = nn.LayerNorm(width)
        self.blocks = make_blocks(width, config.decoder_blocks, config.expansion, kernel=7)
        self.leave_norm = nn.LayerNorm(width)
        self._bins = config.n_fft // 2 + 1
        self.leave = nn.Linear(width, 2 * self._bins + self._direct)
        window = torch.hann_window(config.n_fft, periodic=True)
        self.register_buffer("window", window, persistent=False)

    def forward(self, latents: Tensor) -> Tensor:
        """Compute audio (B, T * hop) of latents (B, T, D)."""
        x = self.enter(latents.transpose(1, 2)).transpose(1, 2)
        x = self.leave_norm(self.blocks(self.enter_norm(x)))
        sizes = (self._bins, self._direct, self._direct, self._bins - self._direct)
        level, real, imaginary, phase = self.leave(x).float().split(sizes, dim=-1)
        magnitude = level.exp().clamp(max=_LOUDEST)
        spectrum = magnitude * torch.complex(
            torch.cat([real, phase.cos()], -1), torch.cat([imaginary, phase.sin()], -1)
        )
        return self._overlap(torch.fft.irfft(spectrum, self._n_fft))

    def _overlap(self, frames: Tensor) -> Tensor:
        """Window frames (B, T, n_fft), overlap and add them, centred on their hops: (B, T * hop).

        The sum is divided by the sum of squared windows, also at the ends, where fewer overlap.
        """
        audio = add_up(frames * self.window, HOP_LENGTH)
        weight = add_up(self.window.square().expand(1, frames.shape[1], -1), HOP_LENGTH)
        side = (self._n_fft - HOP_LENGTH) // 2
        return (audio / weight.clamp(min=1e-3))[:, side:-side]


class Mini1Network(nn.Module):
    """The encoder, the codebooks (Q, E, D) and the decoder."""

    codebooks: Tensor

    def __init__(self, config: Mini1Config) -> None:
        super().__init__()
        self.config = config
        self.features = Features(config)
        self.encoder = Encoder(config, self.features.width)
        self.decoder = Decoder(config)
        shape = (config.quantizers, config.entries, config.latent_dim)
        self.register_buffer("codebooks", torch.zeros(shape))

    def encode(self, waves: Tensor) -> Tensor:
        """Compute latents (B, T, D), not yet quantised, of audio (B, T * hop)."""
        latents: Tensor = self.encoder(self.features(waves))
        return latents.float()
