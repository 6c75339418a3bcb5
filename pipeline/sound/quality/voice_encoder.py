"""The voice of a recording as a vector, by Resemblyzer.

Resemblyzer (Apache-2.0, a speaker encoder after Wan et al. 2018, arXiv:1710.10467) comes with its
weights.

Letters for shapes: S samples, E = 256 numbers of a vector.
"""

from __future__ import annotations

import warnings

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.sound.decode import resample

RATE = 16_000
"""The sampling rate of the network, in Hz."""
WIDTH = 256
"""E, the numbers of a vector."""


class VoiceEncoder:
    """Resemblyzer's network, on the CPU."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            UserError: Resemblyzer or what it needs is not installed.
        """
        try:
            with warnings.catch_warnings():  # of its dependencies, which no user can change
                warnings.simplefilter("ignore")
                import resemblyzer
        except ImportError as error:
            raise UserError(
                f"Resemblyzer needs the module {error.name}, which is not installed: "
                "pip install 'ns2[eval]'"
            ) from error
        self._encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
        self._prepare = resemblyzer.preprocess_wav

    def embedding(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """The vector (E,) of the voice in a wave (S,), of length 1.

        Where no voice is found, the vector is 0, which is like no other.
        """
        samples = np.clip(resample(wave, rate, RATE), -1, 1)
        voice = self._prepare(samples) if samples.any() else samples[:0]
        if not len(voice):
            return np.zeros(WIDTH)
        vector = np.asarray(self._encoder.embed_utterance(voice), np.float64)
        return vector / np.linalg.norm(vector)
