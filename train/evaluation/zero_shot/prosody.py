"""The paper's figures of prosody: how far the moments of pitch and durations are apart.

Of each sentence mean, standard deviation, skewness and kurtosis of its phones' pitch (Hz) and
durations (ms) are compared with those of the prompt, and with those of the recording of the same
sentence: the absolute differences, averaged over sentences (Shen et al. 2023, arXiv:2304.09116, who
name the moments but not the units, which are ours).

Letters for shapes: N tokens, T frames, n phones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

MOMENTS = ("mean", "deviation", "skewness", "kurtosis")
_FEWEST = 3
"""A phone's pitch and duration have moments where there are so many phones at least."""


@dataclass(frozen=True)
class Prosody:
    """Pitch and durations of the phones of some speech.

    Attributes:
        pitch: (n,) Hz, the mean F0 of each phone that is voiced anywhere.
        durations: (n,) ms of each phone.
    """

    pitch: np.ndarray
    durations: np.ndarray


def prosody(
    durations: np.ndarray, f0: np.ndarray, phones: np.ndarray, frame_rate: float
) -> Prosody:
    """Pitch and durations of phones.

    Args:
        durations: (N,) frames of each token.
        f0: (T,) Hz, 0 where unvoiced; what the durations have beyond it is left out.
        phones: (N,) bool, tokens that are phones, and no silence or mark.
        frame_rate: frames per second.
    """
    ends = np.cumsum(durations)
    lasting = phones & (durations > 0)
    found = []
    for first, end in zip((ends - durations)[lasting], ends[lasting], strict=True):
        voiced = f0[first:end]
        voiced = voiced[voiced > 0]
        if len(voiced):
            found.append(float(voiced.mean()))
    return Prosody(
        pitch=np.array(found),
        durations=durations[lasting].astype(np.float64) * 1000 / frame_rate,
    )


def joined(parts: list[Prosody]) -> Prosody:
    """The prosody of several pieces of speech as one."""
    return Prosody(
        pitch=np.concatenate([np.zeros(0), *(part.pitch for part in parts)]),
        durations=np.concatenate([np.zeros(0), *(part.durations for part in parts)]),
    )


def moments(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation, skewness and excess kurtosis, as far as they are defined."""
    if len(values) < _FEWEST:
        return {}
    mean, deviation = float(values.mean()), float(values.std())
    found = {"mean": mean, "deviation": deviation}
    if deviation > 1e-9 * max(1.0, abs(mean)):
        normal = (values - mean) / deviation
        found["skewness"] = float((normal**3).mean())
        found["kurtosis"] = float((normal**4).mean() - 3)
    return found


def differences(ours: Prosody, other: Prosody, to: str) -> Mapping[str, tuple[float, float]]:
    """The absolute differences of moments, as shares of figures named like `pitch_mean_to_prompt`.

    Args:
        to: what the other is, the end of the names.
    """
    found: dict[str, tuple[float, float]] = {}
    for name in ("pitch", "durations"):
        a, b = moments(getattr(ours, name)), moments(getattr(other, name))
        for moment in MOMENTS:
            if moment in a and moment in b:
                found[f"{name}_{moment}_to_{to}"] = (abs(a[moment] - b[moment]), 1.0)
    return found
