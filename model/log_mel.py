"""The log-mel spectrogram on the codec's frame grid.

Only `LogMel` loads torch, so that `MelConfig` can be used without it.

Letters for shapes: B batch, S samples, T frames, M mel bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """Settings of a log-mel spectrogram."""

    sample_rate: int = 24_000
    """The sample rate in Hz."""

    hop_length: int = 320
    """The hop length: samples per frame."""

    n_fft: int = 1024
    """The length in samples of the window and of its Fourier transform."""

    bins: int = 80
    """M, the number of mel bins."""

    fmin: float = 0.0
    """The frequency in Hz at which the lowest bin begins."""

    fmax: float = 12_000.0
    """The frequency in Hz at which the highest bin ends."""

    floor: float = 1e-5
    """The smallest magnitude; smaller ones are raised to it before the logarithm."""

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.hop_length, self.bins) < 1:
            raise ValueError("sample_rate, hop_length and bins must be at least 1")
        if self.n_fft < self.hop_length or (self.n_fft - self.hop_length) % 2:
            raise ValueError(
                f"n_fft - hop_length must be even and not negative, so that a frame's window is "
                f"centred on it: {self.n_fft} - {self.hop_length}"
            )
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(
                f"fmin and fmax must satisfy 0 <= fmin < fmax <= {self.sample_rate / 2:g}, "
                f"got {self.fmin:g} and {self.fmax:g}"
            )
        if self.floor <= 0:
            raise ValueError(f"floor must be above 0, got {self.floor}")

    def frames(self, samples: int) -> int:
        """Return the number of frames of S samples, T = ceil(S / hop)."""
        return -(-samples // self.hop_length)


class LogMel:
    """Maps audio to a log-mel; frame i's window is centred on sample hop * i + hop / 2.

    The audio is padded with zeros to hop * T samples, then by reflection with (n_fft - hop) / 2
    samples on both sides. Then follow a periodic Hann window, the magnitude of the Fourier
    transform, triangular filters of unit area on Slaney's mel scale (Slaney 1998, Auditory
    Toolbox), and the natural logarithm of the magnitude, or of the floor if that is larger.

    Window and filters are made once and moved to the audio's device.
    """

    def __init__(self, config: MelConfig | None = None) -> None:
        import torch
        from torchaudio.functional import melscale_fbanks

        self.config = config = config or MelConfig()
        self._window = torch.hann_window(config.n_fft, periodic=True)
        filters: Tensor = melscale_fbanks(
            n_freqs=config.n_fft // 2 + 1,
            f_min=config.fmin,
            f_max=config.fmax,
            n_mels=config.bins,
            sample_rate=config.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        self._filters = filters.T.contiguous()  # (M, n_fft / 2 + 1)

    def __call__(self, wave: Tensor) -> Tensor:
        """Compute the natural log of mel magnitudes.

        Args:
            wave: (S,) or (B, S) float32, S > 0.

        Returns:
            (M, T) or (B, M, T) float32, T = ceil(S / hop).

        Raises:
            ValueError: the audio is empty.
        """
        import torch

        if wave.shape[-1] == 0:
            raise ValueError("expected audio, got 0 samples")
        if self._window.device != wave.device:
            self._window = self._window.to(wave.device)
            self._filters = self._filters.to(wave.device)
        config = self.config
        spectrum = torch.stft(
            self._padded(wave),
            config.n_fft,
            config.hop_length,
            window=self._window,
            center=False,
            return_complex=True,
        )
        return (self._filters @ spectrum.abs()).clamp(min=config.floor).log()

    def _padded(self, wave: Tensor) -> Tensor:
        """Pad with zeros to whole frames, then by repeated reflection on both sides.

        Torch reflects only once, but the shortest audio, one frame of 320 samples, is shorter than
        the padding of 352 samples on either side; it is indexed.
        """
        import torch
        from torch.nn import functional

        config = self.config
        length = config.hop_length * config.frames(wave.shape[-1])
        wave = functional.pad(wave, (0, length - wave.shape[-1]))
        side = (config.n_fft - config.hop_length) // 2
        if side < length:
            rows = wave.reshape(-1, length)
            return functional.pad(rows, (side, side), "reflect").reshape(*wave.shape[:-1], -1)
        period = max(2 * (length - 1), 1)  # of the infinitely reflected signal
        index = torch.arange(-side, length + side, device=wave.device) % period
        return wave[..., torch.minimum(index, period - index)]
