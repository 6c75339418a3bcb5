"""F0 of all recordings that a codec learns from, extracted once, on all cores.

Harvest gives nearly every frame an F0, pauses too, as far as anything there repeats; but it takes
half as long as the recording. So it teaches by a part of the recordings only. In the others the F0
of DIO is followed from voiced frames to their neighbours, which takes a hundredth of the recording.

Letters for shapes: S samples, T frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.cores import usable_cores
from ns2.pipeline.core.processes import fresh_pool
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.sound.pitch import PitchConfig, continued_f0, every_f0

_RANGE = PitchConfig(method="dio", f0_min=50.0, f0_max=800.0)


@dataclass(frozen=True)
class Pitch:
    """F0 of a recording.

    Attributes:
        f0: (T,) float32 Hz, 0 where none is known.
        voiced: (T,) bool.
    """

    f0: np.ndarray
    voiced: np.ndarray


def digest_of(wave: np.ndarray) -> str:
    """The name of a wave (S,) in the cache."""
    return hashlib.sha256(wave.tobytes()).hexdigest()[:32]


def extract_all(
    corpora: Sequence[Sequence[np.ndarray]], thorough: float, cache: Path, progress: Progress
) -> dict[str, Pitch]:
    """Extract F0 of the waves of some corpora, or read it from a file that is written then.

    Args:
        corpora: (S,) float32 at 24 kHz each.
        thorough: the seconds of all recordings that Harvest works on, the same of each corpus.
        cache: the file, with arrays (T,) for each wave.

    Returns:
        F0 by `digest_of` each wave.
    """
    found: dict[str, np.ndarray] = {}
    if cache.is_file():
        with np.load(cache) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    missing: dict[str, tuple[np.ndarray, bool]] = {}
    for waves in corpora:
        room = thorough / len(corpora) * _RANGE.sample_rate
        for name, wave in sorted({digest_of(wave): wave for wave in waves}.items()):
            room -= len(wave)
            if name not in found:
                missing[name] = (wave, room >= 0)
    if missing:
        progress.phase("extracting F0", len(missing))
        with fresh_pool(usable_cores()) as pool:
            pitches = pool.map(_extract, *zip(*missing.values(), strict=True), chunksize=4)
            for (name, (wave, _)), (f0, voiced) in zip(missing.items(), pitches, strict=True):
                found[name] = np.where(voiced, f0, -f0)
                progress.advance(utterances=1, seconds=len(wave) / _RANGE.sample_rate)
        cache.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(cache) as file:
            np.savez(file, allow_pickle=False, **found)
    return {name: Pitch(np.abs(signed), signed > 0) for name, signed in found.items()}


def _extract(wave: np.ndarray, thorough: bool) -> tuple[np.ndarray, np.ndarray]:
    return (every_f0 if thorough else continued_f0)(wave, _RANGE)
