"""`ns2 evaluate`: how well a run speaks utterances that it did not learn from.

Each is heard in up to five versions: the recording, the codec's copy of it, the model with true
durations and pitch (what the diffusion does), the model with text and prompt alone (all of it),
and, as a control that every judge has to refuse, the recording or copy reversed.

Letters for shapes: S samples, T frames, N phonemes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ns2.model.tts.generation import Choices
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.measures import (
    PitchErrors,
    log_mel,
    median_f0,
    mel_distance,
    spectrum_distance,
)
from ns2.pipeline.sound.pitch import extract_f0
from ns2.train.data.alike import Aspect, Makeup, differences, makeup_of
from ns2.train.evaluation.held_out import HeldOut, held_out, recording, seeds
from ns2.train.evaluation.phones import bare_phones, load_phone_classifier, phone_errors
from ns2.train.evaluation.words import SpeakerModel, edit_distance, open_recogniser, spoken_words
from ns2.train.speak.facts import facts_of
from ns2.train.speak.lines import Line
from ns2.train.speak.synthesizer import Synthesizer

if TYPE_CHECKING:
    from ns2.train.evaluation.words import Recogniser


RECORDING, COPY, TRUE, FULL = "recording", "copy", "true_durations", "full"
REVERSED = "reversed"
VERSIONS = {
    RECORDING: "recording",
    COPY: "codec copy",
    TRUE: "true durations and pitch",
    FULL: "text and prompt alone",
    REVERSED: "reversed (control)",
}
"""Names in the results, and titles for people."""
TOGETHER = 64
"""Utterances whose waves are held at once."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to measure.

    Attributes:
        split: of the dataset.
        limit: utterances at most.
        seed: decides which, their prompts, and the noise that each is made from.
        corpus: the folder that the dataset was made from; without it no recordings.
        recogniser: see `open_recogniser`; "" for none.
        speaker_model: see `SpeakerModel`; "" for none.
    """

    split: str = "val"
    limit: int = 20
    seed: int = 0
    corpus: Path | None = None
    recogniser: str = ""
    speaker_model: str = ""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"limit has to be at least 1, got {self.limit}")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One version of an utterance in figures.

    Attributes:
        heard: the phones that the classifier hears.
        errors: how many of them are wrong, see `phone_errors`.
        log_mel: distance to the recording's log-mel in nepers, where frames are the same.
        pitch: errors against the recording's F0, where frames are the same.
        f0: median of the voiced frames in Hz; None where there are none.
        voiced: share of frames that are voiced.
        colour: distance in dB of the long-term spectrum to the prompt's.
        words: wrong ones, where a recogniser was asked.
        similarity: of the voice to the prompt's, where a speaker model was asked.
    """

    seconds: float
    heard: tuple[str, ...]
    errors: int
    f0: float | None
    voiced: float
    colour: float
    log_mel: float | None = None
    pitch: PitchErrors | None = None
    words: int | None = None
    similarity: float | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """An utterance, its versions in figures, and what was predicted for it.

    Attributes:
        phones: of the text; errors are counted against them.
        words: of the text.
        prompt_f0: median of the prompt in Hz.
        durations: predicted, frames, (N,).
        pitch: errors of the F0 that is predicted for the true durations.
    """

    utterance: HeldOut
    phones: tuple[str, ...]
    words: tuple[str, ...]
    prompt_f0: float | None
    versions: dict[str, Measured]
    durations: np.ndarray
    pitch: PitchErrors


@dataclass(kw_only=True)
class Evaluator:
    """Speaks and measures, with whatever judges there are."""

    synthesizer: Synthesizer
    dataset: Dataset
    config: EvaluateConfig
    choices: Choices
    _recogniser: Recogniser | None = field(init=False, default=None)
    _speakers: SpeakerModel | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Open what is needed.

        Raises:
            UserError: the dataset is not of the run's codec and phonemes, or a model can't be had.
        """
        _check_alike(self.synthesizer, self.dataset)
        config = self.config
        self._classifier = load_phone_classifier()
        if config.recogniser:
            self._recogniser = open_recogniser(config.recogniser)
        if config.speaker_model:
            self._speakers = SpeakerModel(config.speaker_model)
        facts = facts_of([self.dataset])
        self.pitch_config, self.mel_config = facts.pitch_config(), facts.mel_config()
        self._rate = self.dataset.grid.sample_rate

    @property
    def known_phones(self) -> frozenset[str]:
        """What the classifier can hear."""
        return frozenset(self._classifier.known)

    def utterances(self) -> list[HeldOut]:
        """What will be spoken."""
        longest = self.synthesizer.model.config.prompt.longest
        config = self.config
        return held_out(self.dataset, config.split, config.limit, config.seed, longest)

    def run(self, held: Sequence[HeldOut]) -> Iterator[tuple[Result, dict[str, np.ndarray]]]:
        """Each utterance's result, and the waves (S,) of its versions."""
        for start in range(0, len(held), TOGETHER):
            yield from self._some(held[start : start + TOGETHER])

    def _some(self, held: Sequence[HeldOut]) -> Iterator[tuple[Result, dict[str, np.ndarray]]]:
        numbers = seeds(held, self.config.seed)
        given = [
            Line(
                phonemes=one.phonemes, seed=seed, prompt=one.prompt,
                durations=one.durations, f0=one.f0,
            )
            for one, seed in zip(held, numbers, strict=True)
        ]  # fmt: skip
        # Durations and pitch are predicted before anything is sampled: one step is enough.
        quick = replace(self.choices, sampler=replace(self.choices.sampler, steps=1), guidance=1.0)
        speak = self.synthesizer.speak
        pitched = speak([replace(line, f0=None) for line in given], quick)
        true = speak(given, self.choices)
        full = speak([replace(line, durations=None, f0=None) for line in given], self.choices)
        for one, guess, exact, free in zip(held, pitched, true, full, strict=True):
            waves = self._recorded(one)
            waves |= {TRUE: exact.wave, FULL: free.wave}
            waves[REVERSED] = waves.get(RECORDING, waves[COPY])[::-1].copy()
            prompt = self.decoded(one.prompt)
            phones, words = bare_phones(one.tokens), self._words(one)
            result = Result(
                utterance=one,
                phones=tuple(phones),
                words=tuple(words),
                prompt_f0=median_f0(prompt, self.pitch_config),
                versions={
                    name: self._measure(name, waves[name], one, prompt, words)
                    for name in VERSIONS
                    if name in waves
                },
                durations=free.durations,
                pitch=PitchErrors.of(guess.f0, one.f0),
            )
            yield result, waves

    def _recorded(self, one: HeldOut) -> dict[str, np.ndarray]:
        waves = {COPY: self.decoded(one.codes)[: one.samples]}
        if self.config.corpus is not None:
            waves[RECORDING] = recording(self.dataset, self.config.corpus, one)
        return waves

    def decoded(self, codes: np.ndarray) -> np.ndarray:
        """The wave (S,) of codes (Q, T)."""
        codec = self.synthesizer.codec
        with torch.inference_mode():
            wave = codec.decode(torch.from_numpy(codes).to(codec.codebooks.device))
        return np.asarray(wave.float().cpu().numpy())

    def _words(self, one: HeldOut) -> list[str]:
        return spoken_words(one.text, one.language) if self._recogniser else []

    def _measure(
        self, name: str, wave: np.ndarray, one: HeldOut, prompt: np.ndarray, words: list[str]
    ) -> Measured:
        heard = self._classifier.phones(wave, self._rate)
        f0 = extract_f0(wave, self.pitch_config)
        voiced = f0[f0 > 0]
        on_grid = name in (COPY, TRUE)
        mel = None
        if on_grid and one.mel is not None:
            mel = mel_distance(log_mel(wave, self.mel_config), one.mel)
        found: int | None = None
        if self._recogniser:
            found = edit_distance(self._recogniser.words(wave, self._rate), words)
        alike: float | None = None
        if self._speakers:
            alike = self._speakers.similarity(wave, prompt, self._rate)
        return Measured(
            seconds=len(wave) / self._rate,
            heard=tuple(heard),
            errors=phone_errors(heard, one.tokens),
            f0=float(np.median(voiced)) if len(voiced) else None,
            voiced=len(voiced) / max(len(f0), 1),
            colour=spectrum_distance(wave, prompt, self.mel_config),
            log_mel=mel,
            pitch=PitchErrors.of(f0, one.f0) if on_grid else None,
            words=found,
            similarity=alike,
        )


_ADVICE = {
    Aspect.GRID: "has another frame grid than the run: preprocess it with the same --codec",
    Aspect.PHONEMES: "has another phoneme table than the run: preprocess it with the "
    "--extra-phonemes that the run's dataset had",
    Aspect.CODEBOOKS: "has codes of another codec than the run's: preprocess it with the same "
    "--codec and --quantizers",
}


def _check_alike(synthesizer: Synthesizer, dataset: Dataset) -> None:
    """See that a run speaks the codes and phonemes of a dataset.

    Raises:
        UserError: it does not.
    """
    run = Makeup(
        grid=synthesizer.grid,
        codebooks=synthesizer.model.codebooks.float().cpu().numpy(),
        table=synthesizer.table,
    )
    for difference in differences(run, makeup_of(dataset, ("codes", "phonemes"))):
        raise UserError(f"{dataset.root} {_ADVICE[difference.aspect]}")
