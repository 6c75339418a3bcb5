"""Similarity of voices, by models made elsewhere.

Resemblyzer (Apache-2.0, a speaker encoder after Wan et al. 2018, arXiv:1710.10467) comes with its
weights; other models are those of transformers, where it is installed.

Letters for shapes: S samples, E width of an embedding.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ns2.pipeline.sound.decode import resample
from ns2.pipeline.sound.quality.voice_encoder import VoiceEncoder
from ns2.train.evaluation.judges.transformers_models import load_transformers, not_loaded

RESEMBLYZER = "resemblyzer"
RATE = 16_000
"""The sampling rate of speaker models, in Hz."""


class SpeakerModel(Protocol):
    """A model of speakers."""

    def embedding(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """The vector (E,) of the voice in a wave (S,), of length 1."""


def open_speaker_model(name: str = RESEMBLYZER) -> SpeakerModel:
    """Load a model of speakers.

    Args:
        name: "resemblyzer", or a model of transformers with x-vectors by name or folder, such as
            "microsoft/wavlm-base-plus-sv".

    Raises:
        UserError: the library is not installed, or the model can't be loaded.
    """
    return VoiceEncoder() if name == RESEMBLYZER else _XVectors(name)


def similarity(model: SpeakerModel, wave: np.ndarray, other: np.ndarray, rate: int) -> float:
    """The cosine of the angle between the vectors of two waves (S,), -1 to 1."""
    return float(model.embedding(wave, rate) @ model.embedding(other, rate))


class _XVectors:
    """A model of transformers with x-vectors."""

    def __init__(self, name: str) -> None:
        transformers = load_transformers()
        try:
            self._features = transformers.AutoFeatureExtractor.from_pretrained(name)
            self._model: Any = transformers.AutoModelForAudioXVector.from_pretrained(name).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise not_loaded(name, error) from error

    def embedding(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """See `SpeakerModel`."""
        import torch

        heard = self._features(resample(wave, rate, RATE), sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            vector = self._model(**heard).embeddings[0].double().numpy()
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
