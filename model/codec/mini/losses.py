"""The spectral loss that a codec is trained with: differences of spectra of several sizes.

Letters for shapes: B batch, S samples, N frames of a spectrum, K bins.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks

SIZES = ((2048, 1024, 128), (1024, 256, 80), (512, 256, 48), (256, 128, 24))
"""(window, hop, mel bins) of each spectrum, in samples at 24 kHz."""

_FLOOR = 1e-5


class _Spectrum(torch.autograd.Function):
    """Maps windowed frames (B, N, size) to real and imaginary parts of spectra, (2, B, N, K).

    torch's own gradient of rfft computes a complex transform of twice the size; the inverse real
    transform is the transpose up to a weight of the bins, and takes a third of the time.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor) -> Tensor:
        ctx.size = frames.shape[-1]
        return _planes(frames)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        half = torch.complex(gradients[0][0], gradients[0][1]) * (ctx.size / 2)
        half[..., 0] *= 2
        half[..., -1] *= 2
        return torch.fft.irfft(half, ctx.size)


def _planes(frames: Tensor) -> Tensor:
    """Return real and imaginary parts in planes, which halves the time of what follows."""
    spectrum = torch.fft.rfft(frames)
    return torch.stack([spectrum.real, spectrum.imag])


class SpectralLoss:
    """The spectral energy distance of a signal to one that is made with noise.

    Where the wanted signal is noise, no signal comes near it: among all that could be made, the
    mean distance is the smallest for one without noise. So the distance between two signals that
    were made of the same codes with different noise is subtracted, half of it: then the smallest
    loss is that of the right amount of noise (Gritsenko et al. 2020, arXiv:2008.01160).
    """

    def __init__(self, sample_rate: int = 24_000, device: str = "cpu") -> None:
        """Make windows and filters for audio of a sample rate in Hz, on a torch device."""
        self._windows = [torch.hann_window(size).to(device) for size, _, _ in SIZES]
        self._filters = [
            melscale_fbanks(
                size // 2 + 1, 0.0, sample_rate / 2, bins, sample_rate, "slaney", "slaney"
            ).to(device)
            for size, _, bins in SIZES
        ]

    def __call__(
        self, made: Tensor, other: Tensor, wanted: Tensor, repulsion: float = 1.0
    ) -> dict[str, Tensor]:
        """Compute the mean distances over all sizes.

        Args:
            made, other: (B, S) the codec's audio with two kinds of noise; gradients flow to both.
            wanted: (B, S) the original audio.
            repulsion: the share of the distance between `made` and `other` that is subtracted, 0
                to 1. A network that has not learned yet takes voices for noise with 1.

        Returns:
            () each by name: "mel" and "magnitude".
        """
        totals = {name: torch.zeros((), device=made.device) for name in ("mel", "magnitude")}
        both = torch.cat([made, other])
        for (size, hop, _), window, filters in zip(
            SIZES, self._windows, self._filters, strict=True
        ):
            found = _logarithms(_Spectrum.apply(both.unfold(1, size, hop) * window), filters)
            with torch.no_grad():
                goal = _logarithms(_planes(wanted.unfold(1, size, hop) * window), filters)
            for name, value in found.items():
                totals[name] = totals[name] + _energy_distance(value, goal[name], repulsion)
        return {name: value / len(SIZES) for name, value in totals.items()}


def _logarithms(planes: Tensor, filters: Tensor) -> dict[str, Tensor]:
    """Compute log-mels and log magnitudes (B, N, ...) of spectra (2, B, N, K)."""
    magnitude = (planes.square().sum(0) + _FLOOR**2).sqrt()
    return {
        "mel": (magnitude @ filters).clamp(min=_FLOOR).log(),
        "magnitude": (magnitude + 1e-3).log(),
    }


def _energy_distance(found: Tensor, goal: Tensor, repulsion: float) -> Tensor:
    """Compute the distance of found (2 B, ...), two of each, to goal (B, ...)."""
    one, two = found.chunk(2)
    near = (one - goal).abs().mean() + (two - goal).abs().mean()
    return (near - repulsion * (one - two).abs().mean()) / 2
