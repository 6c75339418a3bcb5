"""Words that are recognised in speech, and similarity of voices, by models made elsewhere.

pocketsphinx works offline and comes with its model of American English; other models are those of
transformers, where it is installed. Nothing else in ns2 needs either.

Letters for shapes: S samples, E width of an x-vector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.text.clauses import base_language, clauses

POCKETSPHINX = "pocketsphinx"
RATE = 16_000
"""The sampling rate of recognisers and speaker models, in Hz."""
_NO_WORD = re.compile(r"[^\w' ]+|_")
_TRANSFORMERS = "pip install transformers"


class Recogniser(Protocol):
    """A speech recogniser."""

    def words(self, wave: np.ndarray, rate: int) -> list[str]:
        """The words in a wave (S,) of a sampling rate in Hz, as `plain_words` writes them."""


class _Pocketsphinx:
    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise UserError(
                "pocketsphinx is not installed: pip install 'ns2[eval]', or name another model"
            ) from None
        self._decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def words(self, wave: np.ndarray, rate: int) -> list[str]:
        """See `Recogniser`."""
        samples = np.clip(resample(wave, rate, RATE), -1, 1) * 32767
        self._decoder.start_utt()
        self._decoder.process_raw(samples.astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        guess = self._decoder.hyp()
        return plain_words(guess.hypstr) if guess else []


class _Transformers:
    def __init__(self, name: str) -> None:
        pipeline = _transformers().pipeline
        try:
            self._heard = pipeline("automatic-speech-recognition", model=name)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise _not_loaded(name, error) from error

    def words(self, wave: np.ndarray, rate: int) -> list[str]:
        """See `Recogniser`."""
        heard = {"raw": resample(wave, rate, RATE), "sampling_rate": RATE}
        return plain_words(self._heard(heard)["text"])


class SpeakerModel:
    """A transformers model of speakers (x-vectors): how alike two voices are."""

    def __init__(self, name: str) -> None:
        """Load a model.

        Args:
            name: such as "microsoft/wavlm-base-plus-sv", or a folder.

        Raises:
            UserError: transformers is not installed, or the model can't be loaded.
        """
        transformers = _transformers()
        try:
            self._features = transformers.AutoFeatureExtractor.from_pretrained(name)
            self._model = transformers.AutoModelForAudioXVector.from_pretrained(name).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise _not_loaded(name, error) from error

    def embedding(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """The x-vector (E,) of a wave (S,), scaled to length 1."""
        import torch

        heard = self._features(resample(wave, rate, RATE), sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            vector = self._model(**heard).embeddings[0].double().numpy()
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))

    def similarity(self, wave: np.ndarray, other: np.ndarray, rate: int) -> float:
        """The cosine of the angle between the x-vectors of two waves (S,), -1 to 1."""
        return float(self.embedding(wave, rate) @ self.embedding(other, rate))


def open_recogniser(name: str = POCKETSPHINX) -> Recogniser:
    """Load a speech recogniser.

    Args:
        name: "pocketsphinx", or a speech recogniser of transformers by name or folder.

    Raises:
        UserError: the library is not installed, or the model can't be loaded.
    """
    return _Pocketsphinx() if name == POCKETSPHINX else _Transformers(name)


def plain_words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation marks."""
    return _NO_WORD.sub(" ", text.lower().replace("’", "'")).split()


def spoken_words(text: str, language: str) -> list[str]:
    """The words of a text as they are spoken: English numbers and abbreviations are written out."""
    if base_language(language) != "en":
        return plain_words(text)
    from ns2.pipeline.text.english import speak_english

    said: list[str] = []
    for clause in clauses(text, language):
        said += plain_words(" ".join(speak_english(clause.words, language)))
    return said


def edit_distance(found: Sequence[str], wanted: Sequence[str]) -> int:
    """The number of insertions, deletions and replacements between two sequences of symbols.

    It is computed a row at a time (Levenshtein 1966): an element of a row is the distance between
    the first symbols of `found` and the symbols of `wanted` so far.
    """
    codes = {symbol: i for i, symbol in enumerate(dict.fromkeys((*found, *wanted)))}
    heard = np.array([codes[symbol] for symbol in found], np.int64)
    slope = np.arange(len(found) + 1)
    row = slope
    for symbol in wanted:
        below = row + 1  # a symbol of `wanted` is missing
        np.minimum(below[1:], row[:-1] + (heard != codes[symbol]), out=below[1:])
        row = np.minimum.accumulate(below - slope) + slope  # symbols of `found` are surplus
    return int(row[-1])


def _transformers() -> Any:
    """The module transformers.

    Raises:
        UserError: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise UserError(
            f"models by name need transformers, which is not installed: {_TRANSFORMERS}"
        ) from None
    return transformers


def _not_loaded(name: str, error: Exception) -> UserError:
    """The error for a model that can't be loaded, with the first line of what its library says."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return UserError(
        f"the model {name!r} can't be loaded: {first}. Give its folder, or a name that "
        "transformers can download here."
    )
