"""Speech recognisers that say which words they hear, by libraries that are not part of ns2.

Whisper (Radford et al. 2022, arXiv:2212.04356) runs by faster-whisper (MIT licence), pocketsphinx
(BSD-2-Clause) comes with a model of American English, and other models are those of transformers
(Apache-2.0). Nothing else in ns2 needs any of them.

Letters for shapes: S samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.text.clauses import base_language
from ns2.train.evaluation.judges.transformers_models import load_transformers, not_loaded
from ns2.train.evaluation.judges.whisper_base import PACKAGES, WHISPER_BASE, packaged_whisper_base
from ns2.train.evaluation.judges.words import load_jiwer

POCKETSPHINX = "pocketsphinx"
RATE = 16_000
"""The sampling rate of recognisers, in Hz."""
_WINDOW = 30 * RATE
"""The samples that Whisper hears at a time."""
_BEAM = 5
_WHISPER_NAMES = {"cmn": "zh", "nb": "no"}
"""Whisper's names of languages that espeak-ng names differently."""


class Recogniser(Protocol):
    """A speech recogniser."""

    def check(self, language: str) -> None:
        """Check that a language, by the name of an espeak-ng voice, is known.

        Raises:
            UserError: it is not; the message names another choice.
        """

    def text(self, wave: np.ndarray, rate: int, language: str) -> str:
        """The text in a wave (S,) of a sampling rate in Hz, as the recogniser writes it.

        Args:
            language: the name of an espeak-ng voice, such as "en-us".

        Raises:
            UserError: the recogniser does not know the language.
        """


def open_recogniser(name: str = WHISPER_BASE) -> Recogniser:
    """Load a speech recogniser.

    Args:
        name: "pocketsphinx"; a Whisper model of faster-whisper by name ("base", "small.en",
            "Systran/faster-whisper-small") or folder (with a `model.bin`); or a model of
            transformers by name or folder.

    Raises:
        UserError: a library is not installed, or the model can't be loaded.
    """
    load_jiwer()
    if name == POCKETSPHINX:
        return _Pocketsphinx()
    folder = Path(name)
    if folder.is_dir():
        return _Whisper(name) if (folder / "model.bin").is_file() else _Transformers(name)
    if "/" not in name or "faster-" in name.split("/")[-1]:
        return _Whisper(name)
    return _Transformers(name)


class _Pocketsphinx:
    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise UserError(
                "pocketsphinx is not installed: pip install 'ns2[eval]', or name another model"
            ) from None
        self._decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def check(self, language: str) -> None:
        """See `Recogniser`."""
        if base_language(language) != "en":
            raise UserError(
                f"pocketsphinx knows English, not {language!r}: --wer {WHISPER_BASE} names a "
                "recogniser of many languages"
            )

    def text(self, wave: np.ndarray, rate: int, language: str) -> str:
        """See `Recogniser`."""
        self.check(language)
        samples = np.clip(resample(wave, rate, RATE), -1, 1) * 32767
        self._decoder.start_utt()
        self._decoder.process_raw(samples.astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        guess = self._decoder.hyp()
        return str(guess.hypstr) if guess else ""


class _Whisper:
    """A Whisper model of faster-whisper, in float32 on the CPU."""

    def __init__(self, name: str) -> None:
        import torch

        try:
            from faster_whisper import WhisperModel, available_models
        except ImportError as error:
            raise UserError(
                f"Whisper needs the module {error.name}, which is not installed: "
                f"pip install 'ns2[eval]', or name another recogniser, such as {POCKETSPHINX}"
            ) from error
        if "/" not in name and not Path(name).is_dir() and name not in available_models():
            raise UserError(
                f"no folder and no recogniser has the name {name!r}: choose {POCKETSPHINX}, a "
                f"model of faster-whisper ({', '.join(available_models())}), or a model of "
                "transformers with its owner, such as openai/whisper-tiny.en"
            )
        files = packaged_whisper_base() if name == WHISPER_BASE else None
        try:
            self._model: Any = WhisperModel(
                name, device="cpu", compute_type="float32", files=files,
                cpu_threads=torch.get_num_threads(),
            )  # fmt: skip
        except Exception as error:  # libraries for downloads raise many kinds of errors
            raise UserError(_no_whisper(name, error)) from error
        self._name = name

    def check(self, language: str) -> None:
        """See `Recogniser`."""
        if _whisper_language(language) not in self._model.supported_languages:
            raise UserError(
                f"the Whisper model {self._name!r} does not know the language {language!r}: name "
                "another one by --wer"
            )

    def text(self, wave: np.ndarray, rate: int, language: str) -> str:
        """See `Recogniser`.

        The beam search draws no random numbers. One window needs no time stamps, and each window
        is heard by itself, so that an invented word does not invite others.
        """
        self.check(language)
        samples = np.clip(resample(wave, rate, RATE), -1, 1).astype(np.float32)
        segments, _ = self._model.transcribe(
            samples,
            language=_whisper_language(language),
            beam_size=_BEAM,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=len(samples) <= _WINDOW,
        )
        return " ".join(segment.text.strip() for segment in segments)


class _Transformers:
    """A speech recogniser of transformers."""

    def __init__(self, name: str) -> None:
        pipeline = load_transformers().pipeline
        try:
            self._heard = pipeline("automatic-speech-recognition", model=name)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise not_loaded(name, error) from error
        self._name = name
        self._is_whisper = self._heard.model.config.model_type == "whisper"
        settings = getattr(self._heard.model, "generation_config", None)
        self._languages = getattr(settings, "lang_to_id", None) or {}

    def check(self, language: str) -> None:
        """See `Recogniser`; only Whisper models of many languages name those that they know."""
        if self._languages and f"<|{_whisper_language(language)}|>" not in self._languages:
            raise UserError(
                f"the model {self._name!r} does not know the language {language!r}: name another "
                "one by --wer"
            )

    def text(self, wave: np.ndarray, rate: int, language: str) -> str:
        """See `Recogniser`."""
        self.check(language)
        samples = resample(wave, rate, RATE)
        options: dict[str, Any] = {}
        if self._is_whisper:
            options["generate_kwargs"] = {"num_beams": _BEAM, "do_sample": False}
            options["return_timestamps"] = len(samples) > _WINDOW
        if self._languages:
            options["generate_kwargs"] |= {
                "language": _whisper_language(language), "task": "transcribe",
            }  # fmt: skip
        return str(self._heard({"raw": samples, "sampling_rate": RATE}, **options)["text"])


def _whisper_language(language: str) -> str:
    """Whisper's name of the language of an espeak-ng voice."""
    base = base_language(language)
    return _WHISPER_NAMES.get(base, base)


def _no_whisper(name: str, error: Exception) -> str:
    """What to do where a model of faster-whisper can't be loaded."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    advice = "Give the folder of a model, or a name that faster-whisper can download here"
    if name == WHISPER_BASE:
        advice += f", or install the model as packages: pip install {' '.join(PACKAGES)}"
    return f"the Whisper model {name!r} can't be loaded: {first}. {advice}."
