"""The evaluation of a run: how well it speaks utterances that it was not trained on.

Each utterance is measured in up to five versions: the recording, the codec's copy of it, speech
with true durations and pitch (what the diffusion can do), speech from text and prompt alone (what
the whole model can do) and, as a control that every judge has to reject, the recording or copy
reversed.

Letters for shapes: S samples, T frames, N phonemes, Q quantizers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

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
from ns2.pipeline.sound.quality.dnsmos import MosScores
from ns2.train.data.alike import Aspect, Makeup, differences, makeup_of
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.held_out import HeldOut, held_out, recording, seeds
from ns2.train.evaluation.judges.panel import Panel
from ns2.train.evaluation.judges.phones import bare_phones, phone_errors
from ns2.train.evaluation.judges.speakers import similarity
from ns2.train.evaluation.judges.words import WordErrors, spoken_words, word_errors
from ns2.train.speak.facts import facts_of
from ns2.train.speak.lines import Line, Speech
from ns2.train.speak.synthesizer import Synthesizer

RECORDING, COPY, TRUE, FULL = "recording", "copy", "true_durations", "full"
REVERSED = "reversed"
VERSIONS = {
    RECORDING: "recording",
    COPY: "codec copy",
    TRUE: "true durations and pitch",
    FULL: "text and prompt alone",
    REVERSED: "reversed (control)",
}
"""The versions of an utterance: their names in results and files, and their titles for people."""
ON_GRID = frozenset({COPY, TRUE})
"""The versions whose frames are those of the dataset, so that log-mel and F0 can be compared frame
by frame."""
TOGETHER = 64
"""The number of utterances whose waves are in memory at the same time."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measures of one version of an utterance.

    Attributes:
        seconds: the length of the audio.
        heard: the phones that the classifier hears.
        errors: the number of wrong phones, see `phone_errors`.
        f0: the median F0 of voiced frames in Hz; None where no frame is voiced.
        voiced: the share of frames that are voiced.
        colour: the distance of the long-term spectrum to the prompt's, in dB.
        log_mel: the distance to the recording's log-mel, in nepers; None unless `ON_GRID`.
        pitch: the errors against the recording's F0; None unless `ON_GRID`.
        words: the wrong words; None without a recogniser.
        heard_text: what the recogniser writes; None without one.
        similarity: of the voice to the prompt's, -1 to 1; None without a speaker model.
        mos: the predicted opinion of listeners; None unless it was asked for.
    """

    seconds: float
    heard: tuple[str, ...]
    errors: int
    f0: float | None
    voiced: float
    colour: float
    log_mel: float | None = None
    pitch: PitchErrors | None = None
    words: WordErrors | None = None
    heard_text: str | None = None
    similarity: float | None = None
    mos: MosScores | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """The measures of an utterance's versions, and what was predicted for it.

    Attributes:
        utterance: the utterance and its prompt.
        phones: the phones of the text, against which errors are counted.
        words: the words of the text; empty without a recogniser.
        prompt_f0: the median F0 of the prompt in Hz; None where no frame is voiced.
        versions: the measures by version, in the order of `VERSIONS`.
        durations: (N,) predicted frames of each phoneme.
        pitch: the errors of the F0 that is predicted for the true durations.
    """

    utterance: HeldOut
    phones: tuple[str, ...]
    words: tuple[str, ...]
    prompt_f0: float | None
    versions: dict[str, Measured]
    durations: np.ndarray
    pitch: PitchErrors


@dataclass(frozen=True, kw_only=True)
class _Spoken:
    """What the model makes of an utterance.

    Attributes:
        pitched: speech with true durations and predicted pitch, of which only the pitch counts.
        true: speech with true durations and pitch.
        full: speech from text and prompt alone.
    """

    pitched: Speech
    true: Speech
    full: Speech


@dataclass(kw_only=True)
class Evaluator:
    """Speaks utterances of a dataset by a run, and measures all their versions."""

    synthesizer: Synthesizer
    dataset: Dataset
    config: EvaluateConfig
    versions: frozenset[str] = frozenset(VERSIONS)
    """The versions that are measured."""
    judged: frozenset[str] = frozenset(VERSIONS)
    """Those of them that recogniser, speaker model and DNSMOS hear, which take long."""

    def __post_init__(self) -> None:
        """Open the judges.

        Raises:
            UserError: the dataset has another codec or phoneme table than the run, or a judge
                can't be loaded.
            OptionError: a choice of the sampler is out of range.
        """
        check_alike(self.synthesizer, self.dataset)
        self.choices = self.config.choices()
        self._judges = Panel.open(self.config)
        facts = facts_of([self.dataset])
        self.pitch_config, self.mel_config = facts.pitch_config(), facts.mel_config()
        self._rate = self.dataset.grid.sample_rate

    @property
    def known_phones(self) -> frozenset[str]:
        """The phones that the classifier can hear."""
        return frozenset(self._judges.phones.known)

    def utterances(self) -> list[HeldOut]:
        """The utterances to speak.

        Raises:
            UserError: the dataset has no such split, a column is missing, it is damaged, or its
                language is unknown to the recogniser.
        """
        longest = self.synthesizer.model.config.prompt.longest
        config = self.config
        held = held_out(self.dataset, config.split, config.limit, config.seed, longest)
        self._judges.check(utterance.language for utterance in held)
        return held

    def run(self, held: Sequence[HeldOut]) -> Iterator[tuple[Result, dict[str, np.ndarray]]]:
        """Speak and measure utterances.

        Yields:
            for each utterance its result, and the waves (S,) of its versions by name.

        Raises:
            UserError: a recording of the corpus can't be used.
        """
        for start in range(0, len(held), TOGETHER):
            part = held[start : start + TOGETHER]
            for utterance, spoken in zip(part, self._speak(part), strict=True):
                waves = self._waves(utterance, spoken)
                yield self._result(utterance, spoken, waves), waves

    def _speak(self, held: Sequence[HeldOut]) -> Iterator[_Spoken]:
        """Let the model speak utterances, all in the same batches."""
        numbers = seeds(held, self.config.seed)
        lines = [
            Line(
                phonemes=utterance.phonemes, seed=seed, prompt=utterance.prompt,
                durations=utterance.durations, f0=utterance.f0,
            )
            for utterance, seed in zip(held, numbers, strict=True)
        ]  # fmt: skip
        speak = self.synthesizer.speak

        # The pitch is predicted before anything is sampled, so one step of the sampler is enough.
        sampler = replace(self.choices.sampler, steps=1)
        quick = replace(self.choices, sampler=sampler, guidance=1.0)
        pitched = speak([replace(line, f0=None) for line in lines], quick)

        true = speak(lines, self.choices)
        full = speak([replace(line, durations=None, f0=None) for line in lines], self.choices)
        for three in zip(pitched, true, full, strict=True):
            yield _Spoken(pitched=three[0], true=three[1], full=three[2])

    def _waves(self, utterance: HeldOut, spoken: _Spoken) -> dict[str, np.ndarray]:
        """The waves (S,) of an utterance's versions; without a corpus there is no recording."""
        waves = {COPY: self.synthesizer.decoded(utterance.codes)[: utterance.samples]}
        if self.config.corpus is not None:
            waves[RECORDING] = recording(self.dataset, self.config.corpus, utterance)
        waves |= {TRUE: spoken.true.wave, FULL: spoken.full.wave}
        waves[REVERSED] = waves.get(RECORDING, waves[COPY])[::-1].copy()
        return waves

    def _result(self, utterance: HeldOut, spoken: _Spoken, waves: dict[str, np.ndarray]) -> Result:
        prompt = self.synthesizer.decoded(utterance.prompt)
        judged = self._judges.words is not None
        words = spoken_words(utterance.text, utterance.language) if judged else []
        return Result(
            utterance=utterance,
            phones=tuple(bare_phones(utterance.tokens)),
            words=tuple(words),
            prompt_f0=median_f0(prompt, self.pitch_config),
            versions={
                name: self._measure(name, waves[name], utterance, prompt, words)
                for name in VERSIONS
                if name in waves and name in self.versions
            },
            durations=spoken.full.durations,
            pitch=PitchErrors.of(spoken.pitched.f0, utterance.f0),
        )

    def _measure(
        self, name: str, wave: np.ndarray, utterance: HeldOut, prompt: np.ndarray, words: list[str]
    ) -> Measured:
        """Measure one version."""
        judges = self._judges
        heard = judges.phones.phones(wave, self._rate)
        f0 = extract_f0(wave, self.pitch_config)
        voiced = f0[f0 > 0]
        measured = Measured(
            seconds=len(wave) / self._rate,
            heard=tuple(heard),
            errors=phone_errors(heard, utterance.tokens),
            f0=float(np.median(voiced)) if len(voiced) else None,
            voiced=len(voiced) / max(len(f0), 1),
            colour=spectrum_distance(wave, prompt, self.mel_config),
        )

        # Frame by frame, where frames are those of the dataset.
        if name in ON_GRID:
            measured = replace(measured, pitch=PitchErrors.of(f0, utterance.f0))
            if utterance.mel is not None:
                distance = mel_distance(log_mel(wave, self.mel_config), utterance.mel)
                measured = replace(measured, log_mel=distance)

        # By judges that have to be asked for.
        if name not in self.judged:
            return measured
        if judges.words:
            text = judges.words.text(wave, self._rate, utterance.language)
            wrong = word_errors(spoken_words(text, utterance.language), words)
            measured = replace(measured, words=wrong, heard_text=text)
        if judges.voices:
            alike = similarity(judges.voices, wave, prompt, self._rate)
            measured = replace(measured, similarity=alike)
        if judges.opinions:
            measured = replace(measured, mos=judges.opinions.scores(wave, self._rate))
        return measured


_ADVICE = {
    Aspect.GRID: "has another frame grid than the run: preprocess it with the same --codec",
    Aspect.PHONEMES: "has another phoneme table than the run: preprocess it with the "
    "--extra-phonemes that the run's dataset had",
    Aspect.CODEBOOKS: "has codes of another codec than the run's: preprocess it with the same "
    "--codec and --quantizers",
}


def check_alike(synthesizer: Synthesizer, dataset: Dataset) -> None:
    """Check that a dataset has the codec and the phoneme table of a run.

    Raises:
        UserError: it has others; the message says how to get a dataset that fits.
    """
    run = Makeup(
        grid=synthesizer.grid,
        codebooks=synthesizer.model.codebooks.float().cpu().numpy(),
        table=synthesizer.table,
    )
    for difference in differences(run, makeup_of(dataset, ("codes", "phonemes"))):
        raise UserError(f"{dataset.root} {_ADVICE[difference.aspect]}")
