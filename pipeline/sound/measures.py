"""Measures how speech differs from other speech: spectra, F0, durations, and error rates.

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
"""Relative error of F0 above which it is a gross error."""

SPECTRUM_DEPTH = 40.0
"""Frames this many dB below the loudest frame are left out of a mean spectrum."""


def log_mel(wave: np.ndarray, config: MelConfig | None = None) -> np.ndarray:
    """Log-mel (M, T) of a wave (S,), see `ns2.model.log_mel.LogMel`."""
    import torch

    from ns2.model.log_mel import LogMel

    made = LogMel(config)(torch.from_numpy(np.asarray(wave, np.float32)))
    return np.asarray(made.numpy())


def mel_distance(mel: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two log-mels (M, T), in nepers.

    Raises:
        ValueError: their shapes differ.
    """
    if mel.shape != other.shape:
        raise ValueError(f"log-mels must have one shape, got {mel.shape} and {other.shape}")
    return float(np.abs(mel.astype(np.float64) - other.astype(np.float64)).mean())


@dataclass(frozen=True, kw_only=True)
class PitchErrors:
    """Errors of F0 against the truth, frame by frame.

    Attributes:
        cents: (K,) errors of the frames that are voiced in both, in cents, positive if too high.
        frames: the number of frames, T.
        misvoiced: the number of frames that are voiced in only one of the two.
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
        """Root mean square error in semitones; None if no frame is voiced in both."""
        return float(np.sqrt(np.mean(self.cents**2)) / 100) if len(self.cents) else None

    @property
    def gross(self) -> float | None:
        """Share of frames with a gross error (see `GROSS`) among those voiced in both, or None."""
        if not len(self.cents):
            return None
        return float(np.mean(np.abs(2 ** (self.cents / 1200) - 1) > GROSS))

    @staticmethod
    def of(found: np.ndarray, truth: np.ndarray) -> PitchErrors:
        """Compare F0 (T,) in Hz, 0 where unvoiced, with the true F0 of the same frames.

        Raises:
            ValueError: their lengths differ.
        """
        if found.shape != truth.shape:
            raise ValueError(f"F0 must have one length, got {len(found)} and {len(truth)} frames")
        both = (found > 0) & (truth > 0)
        ratio = found[both].astype(np.float64) / truth[both]
        return PitchErrors(
            cents=1200 * np.log2(ratio),
            frames=len(found),
            misvoiced=int(np.sum((found > 0) != (truth > 0))),
        )

    @staticmethod
    def together(errors: Sequence[PitchErrors]) -> PitchErrors:
        """The errors of several utterances as if they were one utterance."""
        return PitchErrors(
            cents=np.concatenate([np.zeros(0), *(error.cents for error in errors)]),
            frames=sum(error.frames for error in errors),
            misvoiced=sum(error.misvoiced for error in errors),
        )


@dataclass(frozen=True, kw_only=True)
class DurationErrors:
    """Errors of predicted durations against the true ones.

    Attributes:
        milliseconds: mean absolute error of a phone's duration.
        correlation: Pearson's r of the phones' durations; None if either side is constant.
        length: total predicted length over the true length.
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
        """Compare durations in frames with the true ones.

        Args:
            found: predicted durations (N,) of each utterance.
            truth: true durations (N,) of each utterance.
            phones: (N,) bool of each utterance: True for phones. `milliseconds` and `correlation`
                are about phones only, `length` is about all tokens.
            frame_rate: frames per second.
        """
        made, true, counted = (np.concatenate(part) for part in (found, truth, phones))
        predicted, exact = made[counted].astype(np.float64), true[counted].astype(np.float64)
        varied = len(exact) > 1 and np.ptp(predicted) > 0 and np.ptp(exact) > 0
        return DurationErrors(
            milliseconds=float(np.abs(predicted - exact).mean() / frame_rate * 1000),
            correlation=float(np.corrcoef(predicted, exact)[0, 1]) if varied else None,
            length=float(made.sum() / true.sum()),
        )


def error_rate(errors: Sequence[int], sizes: Sequence[int]) -> float:
    """Errors of all utterances over the units (words or phones) of all their references."""
    return sum(errors) / max(sum(sizes), 1)


def error_interval(
    errors: Sequence[int], sizes: Sequence[int], *, seed: int = 0, draws: int = 2000
) -> tuple[float, float]:
    """A 95 % bootstrap interval of the error rate over utterances (Bisani & Ney 2004).

    Args:
        errors: wrong units (words or phones) of each of n utterances.
        sizes: units of each utterance's reference.
        seed: seed of the draws.
        draws: number of times that n utterances are drawn with replacement.

    Returns:
        the 2.5 % and 97.5 % quantiles of the error rate.
    """
    drawn = np.random.default_rng(seed).integers(0, len(errors), (draws, len(errors)))
    rates = np.asarray(errors)[drawn].sum(1) / np.maximum(np.asarray(sizes)[drawn].sum(1), 1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(low), float(high)


def mean_spectrum(wave: np.ndarray, config: MelConfig | None = None) -> np.ndarray:
    """Long-term mel spectrum (M,) of a wave, in dB, less its mean over the bins.

    It shows the colour of a voice and its recording. Frames more than `SPECTRUM_DEPTH` dB below
    the loudest are left out.
    """
    mel = log_mel(wave, config).astype(np.float64)
    power = np.exp(2 * mel)
    levels = 10 * np.log10(power.sum(0))
    spectrum = 10 * np.log10(power[:, levels > levels.max() - SPECTRUM_DEPTH].mean(1))
    return np.asarray(spectrum - spectrum.mean())


def spectrum_distance(
    wave: np.ndarray, other: np.ndarray, config: MelConfig | None = None
) -> float:
    """Mean absolute difference in dB of the mean spectra of two waves, whatever their levels."""
    return float(np.abs(mean_spectrum(wave, config) - mean_spectrum(other, config)).mean())


def median_f0(wave: np.ndarray, config: PitchConfig) -> float | None:
    """Median F0 in Hz over the voiced frames of a wave; None if no frame is voiced."""
    f0 = extract_f0(np.asarray(wave), config)
    voiced = f0[f0 > 0]
    return float(np.median(voiced)) if len(voiced) else None
