"""The spectral loss that a codec is trained with: differences of spectra of several sizes.

Letters for shapes: B batch, S samples, N frames of a spectrum, K bins.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchaudio.functional import melscale_fbanks

SIZES = ((2048, 1024, 128), (1024, 256, 80), (512, 256, 48), (256, 128, 24))
"""(window, hop, mel bins) of each spectrum, in samples at 24 kHz."""

_FLOOR = 1e-5
_POWER = 0.6
"""The power of a band's magnitude that is about its loudness (Stevens 1957)."""
_ENVELOPE_SIZE = 512
"""The size among `SIZES` whose bands' envelopes are compared."""
_SEGMENT, _STEP = 36, 9
"""Length and step in hops of the segments of envelopes, 384 and 96 ms."""
_QUIET = 1e-4
"""The share of the loudest segment's energy below which a segment is not heard."""


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
    """Differences of spectra: absolute ones of logarithms, and how envelopes of bands correlate.

    The latter is about what STOI measures (Taal et al. 2011, "An algorithm for intelligibility
    prediction of time-frequency weighted noisy speech").
    """

    def __init__(
        self, sample_rate: int = 24_000, device: str = "cpu", *, loud: bool = False
    ) -> None:
        """Make windows and filters.

        Args:
            sample_rate: of the audio, in Hz.
            device: a torch device.
            loud: also compare how loud bands are, so that what is loud counts most.
        """
        self._loud = loud
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
            () each by name: "mel", "magnitude", "envelope", and with `loud` "loud".
        """
        totals = {name: torch.zeros((), device=made.device) for name in ("mel", "magnitude")}
        envelope = totals["mel"]
        for (size, hop, _), window, filters in zip(
            SIZES, self._windows, self._filters, strict=True
        ):
            found = _logarithms(_Spectrum.apply(made.unfold(1, size, hop) * window), filters)
            with torch.no_grad():
                goal = _logarithms(_planes(wanted.unfold(1, size, hop) * window), filters)
            for name, value in found.items():
                totals[name] = totals[name] + (value - goal[name]).abs().mean()
            if self._loud:
                apart = loudness_distance(found["mel"], goal["mel"])
                totals["loud"] = totals.get("loud", 0) + apart
            if size == _ENVELOPE_SIZE:
                envelope = envelope_distance(found["mel"].exp(), goal["mel"].exp())
        return {name: value / len(SIZES) for name, value in totals.items()} | {"envelope": envelope}


def loudness_distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Compute the mean squared difference of loudness, relative to the mean loudness.

    Logarithms weigh all bands and frames alike, pauses too; people hear what is loud.

    Args:
        made, wanted: (B, N, K) log magnitudes of bands.
    """
    one, other = ((_POWER * each).exp() for each in (made, wanted))
    level = other.mean(dim=(1, 2), keepdim=True)
    return ((one - other) / level).square().mean()


def envelope_distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Compute 1 less the mean correlation of bands' envelopes in segments that are heard.

    Args:
        made, wanted: (B, N, K) magnitudes of bands.

    Returns:
        () 0 for the same envelopes but for the level of each band, to 2.
    """
    length = min(_SEGMENT, made.shape[1])

    def mean(values: Tensor) -> Tensor:  # over segments, (B, K, segments)
        return functional.avg_pool1d(values.transpose(1, 2), length, _STEP)

    one, two, power = mean(made), mean(wanted), mean(wanted.square())
    apart = (mean(made.square()) - one.square()).clamp(min=0) * (power - two.square()).clamp(min=0)
    near = (mean(made * wanted) - one * two) / (apart + 1e-6 * power.square() + _FLOOR**4).sqrt()
    loudness = power.sum(1)
    heard = (loudness > _QUIET * loudness.amax(1, keepdim=True)).to(made)
    return ((1 - near.mean(1)) * heard).sum() / heard.sum().clamp(min=1)


def _logarithms(planes: Tensor, filters: Tensor) -> dict[str, Tensor]:
    """Compute log-mels and log magnitudes (B, N, ...) of spectra (2, B, N, K)."""
    magnitude = (planes.square().sum(0) + _FLOOR**2).sqrt()
    return {
        "mel": (magnitude @ filters).clamp(min=_FLOOR).log(),
        "magnitude": (magnitude + 1e-3).log(),
    }
