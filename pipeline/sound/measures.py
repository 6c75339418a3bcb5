"""How far speech is from other speech: spectra, pitch, durations, and errors with their interval.

Letters for shapes: S samples, T frames, M mel bins, N phonemes, n utterances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ns2.pipeline.sound.pitch import PitchConfig, extract_f0

if TYPE_CHECKING:
    from ns2.model.log_mel import MelConfig


GROSS = 0.2
"""Share by which F0 is off before it counts as gross."""
SPECTRUM_DEPTH = 40.0
"""dB below the loudest frame, from where on a frame is no speech to average."""


def log_mel(wave: np.ndarray, config: MelConfig | None = None) -> np.ndarray:
    """Natural log of mel magnitudes (M, T) of a wave (S,), see `ns2.model.log_mel.LogMel`."""
    import torch

    from ns2.model.log_mel import LogMel

    made = LogMel(config)(torch.from_numpy(np.asarray(wave, np.float32)))
    return np.asarray(made.numpy())


def mel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two log-mels (M, T), in nepers.

    Raises:
        ValueError: they are not of one length.
    """
    if one.shape != other.shape:
        raise ValueError(f"log-mels of {one.shape} and {other.shape} can't be compared")
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).mean())


@dataclass(frozen=True, kw_only=True)
class PitchErrors:
    """What is wrong with the pitch of some speech.

    Attributes:
        cents: (K,) of each frame that is voiced in both, how far it lies above the truth.
        frames: T.
        misvoiced: frames that are voiced in one only.
    """

    cents: np.ndarray
    frames: int
    misvoiced: int

    @property
    def voicing(self) -> float:
        """Share of frames whose voicing differs."""
        return self.misvoiced / max(self.frames, 1)

    @property
    def semitones(self) -> float | None:
        """Root of the mean square, in semitones; None where no frame is voiced in both."""
        return float(np.sqrt(np.mean(self.cents**2)) / 100) if len(self.cents) else None

    @property
    def gross(self) -> float | None:
        """Share of the frames voiced in both that are off by more than `GROSS`."""
        if not len(self.cents):
            return None
        return float(np.mean(np.abs(2 ** (self.cents / 1200) - 1) > GROSS))

    @staticmethod
    def of(found: np.ndarray, truth: np.ndarray) -> PitchErrors:
        """Hold F0 (T,) in Hz, 0 where unvoiced, against the truth on the same frames.

        Raises:
            ValueError: they are not of one length.
        """
        if found.shape != truth.shape:
            raise ValueError(f"F0 of {len(found)} and {len(truth)} frames can't be compared")
        both = (found > 0) & (truth > 0)
        ratio = found[both].astype(np.float64) / truth[both]
        return PitchErrors(
            cents=1200 * np.log2(ratio),
            frames=len(found),
            misvoiced=int(np.sum((found > 0) != (truth > 0))),
        )

    @staticmethod
    def together(errors: Sequence[PitchErrors]) -> PitchErrors:
        """Those of several utterances as one."""
        return PitchErrors(
            cents=np.concatenate([np.zeros(0), *(one.cents for one in errors)]),
            frames=sum(one.frames for one in errors),
            misvoiced=sum(one.misvoiced for one in errors),
        )


@dataclass(frozen=True, kw_only=True)
class DurationErrors:
    """What is wrong with predicted durations.

    Attributes:
        milliseconds: mean absolute error of a phone.
        correlation: Pearson's, of the phones' durations; None where one side never changes.
        length: all that was predicted, as a share of the true length.
    """

    milliseconds: float
    correlation: float | None
    length: float

    @staticmethod
    def of(
        found: Sequence[np.ndarray],
        truth: Sequence[np.ndarray],
        phones: Sequence[np.ndarray],
        frame_rate: float,
    ) -> DurationErrors:
        """Hold durations in frames against the truth, (N,) of each utterance.

        Args:
            phones: (N,) bool, which tokens are phones; errors are theirs, the length is of all.
            frame_rate: frames a second.
        """
        made, true, counted = (np.concatenate(part) for part in (found, truth, phones))
        one, two = made[counted].astype(np.float64), true[counted].astype(np.float64)
        varied = len(one) > 1 and np.ptp(one) > 0 and np.ptp(two) > 0
        return DurationErrors(
            milliseconds=float(np.abs(one - two).mean() / frame_rate * 1000),
            correlation=float(np.corrcoef(one, two)[0, 1]) if varied else None,
            length=float(made.sum() / true.sum()),
        )


def error_rate(errors: Sequence[int], sizes: Sequence[int]) -> float:
    """Errors of all utterances over what could be wrong in all."""
    return sum(errors) / max(sum(sizes), 1)


def error_interval(
    errors: Sequence[int], sizes: Sequence[int], *, seed: int = 0, draws: int = 2000
) -> tuple[float, float]:
    """Where 95 % of error rates lie when utterances are drawn again (Bisani & Ney 2004).

    Args:
        errors, sizes: of n utterances, wrong units and all units of the reference.

    Returns:
        the 2.5 % and 97.5 % quantiles.
    """
    drawn = np.random.default_rng(seed).integers(0, len(errors), (draws, len(errors)))
    rates = np.asarray(errors)[drawn].sum(1) / np.maximum(np.asarray(sizes)[drawn].sum(1), 1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(low), float(high)


def mean_spectrum(wave: np.ndarray, config: MelConfig | None = None) -> np.ndarray:
    """Long-term mel spectrum (M,) in dB less its mean: the colour of a voice and its recording.

    Frames `SPECTRUM_DEPTH` below the loudest are left out.
    """
    mel = log_mel(wave, config).astype(np.float64)
    power = np.exp(2 * mel)
    levels = 10 * np.log10(power.sum(0))
    spectrum = 10 * np.log10(power[:, levels > levels.max() - SPECTRUM_DEPTH].mean(1))
    return np.asarray(spectrum - spectrum.mean())


def spectrum_distance(
    wave: np.ndarray, other: np.ndarray, config: MelConfig | None = None
) -> float:
    """Mean absolute difference in dB of two waves' long-term spectra, whatever their level."""
    return float(np.abs(mean_spectrum(wave, config) - mean_spectrum(other, config)).mean())


def median_f0(wave: np.ndarray, config: PitchConfig) -> float | None:
    """Median F0 in Hz of the voiced frames of a wave; None where there are none."""
    f0 = extract_f0(np.asarray(wave), config)
    voiced = f0[f0 > 0]
    return float(np.median(voiced)) if len(voiced) else None
