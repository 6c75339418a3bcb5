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

COHERENT_HZ = 1_500.0
"""Up to this frequency spectra are compared with their phases, so that voices keep their periods,
whose strongest partials lie there. Above it a frame has too few bits for phases."""

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
    """Distances of two signals' log-mels, log magnitudes and low complex spectra.

    One transform per size serves all three.
    """

    def __init__(self, sample_rate: int = 24_000, device: str = "cpu") -> None:
        """Make windows and filters for audio of a sample rate in Hz, on a torch device."""
        self._low = [1 + round(size * COHERENT_HZ / sample_rate) for size, _, _ in SIZES]
        self._windows = [torch.hann_window(size).to(device) for size, _, _ in SIZES]
        self._filters = [
            melscale_fbanks(
                size // 2 + 1, 0.0, sample_rate / 2, bins, sample_rate, "slaney", "slaney"
            ).to(device)
            for size, _, bins in SIZES
        ]

    def __call__(self, made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """Compute the mean distances over all sizes.

        Args:
            made: (B, S) the codec's audio, which gradients flow to.
            wanted: (B, S) the original audio.

        Returns:
            () each by name: "mel", "magnitude", and "complex", the last of bins up to
            `COHERENT_HZ`.
        """
        totals: dict[str, Tensor] = {}
        for (size, hop, _), window, filters, low in zip(
            SIZES, self._windows, self._filters, self._low, strict=True
        ):
            found = _Spectrum.apply(made.unfold(1, size, hop) * window)
            with torch.no_grad():
                goal = _planes(wanted.unfold(1, size, hop) * window)
                goal_power = goal.square().sum(0)
            power = found.square().sum(0)
            parts = _distances(found, power, goal, goal_power, filters, low)
            for name, value in parts.items():
                totals[name] = totals.get(name, torch.zeros((), device=made.device)) + value
        return {name: value / len(SIZES) for name, value in totals.items()}


def _distances(
    found: Tensor, power: Tensor, goal: Tensor, goal_power: Tensor, filters: Tensor, low: int
) -> dict[str, Tensor]:
    """Return the distances of one size.

    Args:
        found, goal: spectra (2, B, N, K).
        power, goal_power: their power (B, N, K).
        filters: the mel filters.
        low: the number of lowest bins that are compared with their phases.
    """
    tiny = _FLOOR**2
    magnitude, goal_magnitude = (power + tiny).sqrt(), (goal_power + tiny).sqrt()
    mel = (magnitude @ filters).clamp(min=_FLOOR).log()
    goal_mel = (goal_magnitude @ filters).clamp(min=_FLOOR).log()
    log, goal_log = (magnitude + 1e-3).log(), (goal_magnitude + 1e-3).log()
    shrink = (magnitude[..., :low] + 1e-3).rsqrt()  # makes loud and quiet sounds comparable
    goal_shrink = (goal_magnitude[..., :low] + 1e-3).rsqrt()
    return {
        "mel": (mel - goal_mel).abs().mean(),
        "magnitude": (log - goal_log).abs().mean(),
        "complex": (found[..., :low] * shrink - goal[..., :low] * goal_shrink).abs().mean(),
    }
