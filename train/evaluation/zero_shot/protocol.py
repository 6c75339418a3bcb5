"""The zero-shot protocol: sentences in voices that a run never heard, and how they are measured.

Each sentence is spoken from its phonemes and a prompt alone, with prompts of each of the lengths
that are asked for; and with the first of these lengths three times more: with the prompt of
another speaker (the control), with noise in the prompt, and with a prompt by telephone. All are
compared with the recording (where there is a corpus), and with the codec's copy of it.

Letters for shapes: S samples, N tokens, T frames, Q quantizers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.pitch import extract_f0
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.evaluator import COPY, RECORDING, TOGETHER, check_alike
from ns2.train.evaluation.held_out import HeldOut, recording, seeds
from ns2.train.evaluation.judges.panel import Panel
from ns2.train.evaluation.judges.phones import bare_phones, phone_errors
from ns2.train.evaluation.judges.words import spoken_words, word_errors
from ns2.train.evaluation.zero_shot.intervals import Share
from ns2.train.evaluation.zero_shot.prosody import Prosody, differences, joined, prosody
from ns2.train.evaluation.zero_shot.sentences import Part, Sentence, Sentences, frames_of, sentences
from ns2.train.evaluation.zero_shot.spoilt import by_telephone, with_noise
from ns2.train.speak.facts import facts_of
from ns2.train.speak.lines import Line, Speech
from ns2.train.speak.synthesizer import Synthesizer

EXCHANGED, NOISE, TELEPHONE = "exchanged", "noise", "telephone"


def version_of(seconds: float) -> str:
    """The name of the version with prompts of so many seconds."""
    return f"prompt_{seconds:g}s"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the judges make of a version of a sentence.

    Attributes:
        seconds: its length.
        shares: what it adds to each figure.
        text: what the recogniser writes; None without one.
        words: its wrong words by kind; empty without a recogniser.
    """

    seconds: float
    shares: Mapping[str, Share]
    text: str | None = None
    words: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """A sentence with what was heard of its versions, and their waves.

    Attributes:
        sentence: the sentence.
        other: the key of the sentence whose prompt was taken in exchange; "" where there is none.
        heard: by version.
        waves: (S,) by version; and those of the prompts, named `prompt` and their version.
    """

    sentence: Sentence
    other: str
    heard: dict[str, Heard]
    waves: dict[str, np.ndarray]


@dataclass(kw_only=True)
class ZeroShot:
    """Speaks sentences by the protocol, and measures them."""

    run: Path
    synthesizer: Synthesizer
    dataset: Dataset
    config: EvaluateConfig

    def __post_init__(self) -> None:
        """Open the judges, and see that the protocol can be followed.

        Raises:
            UserError: the dataset does not fit the run, or a judge can't be loaded.
            OptionError: a prompt is longer than the run was trained with.
        """
        check_alike(self.synthesizer, self.dataset)
        longest = self.synthesizer.model.config.prompt.longest
        rate = self.dataset.grid.frame_rate
        self.frames = frames_of(self.config.prompt_seconds, rate, longest)
        self.choices = self.config.choices()
        self.judges = Panel.open(self.config)
        self._pitch = facts_of([self.dataset]).pitch_config()
        self._silent = PhonemeTable.default().optional

    @property
    def rate(self) -> int:
        """The sampling rate of all waves, in Hz."""
        return self.dataset.grid.sample_rate

    @property
    def first(self) -> float:
        """The seconds of the prompts that controls and bad places have, too."""
        return self.config.prompt_seconds[0]

    def titles(self) -> dict[str, str]:
        """The versions that are measured, and their titles for people."""
        versions = {RECORDING: "recording"} if self.config.corpus else {}
        versions[COPY] = "codec copy"
        for seconds in self.config.prompt_seconds:
            versions[version_of(seconds)] = f"prompt of {seconds:g} s"
        versions[EXCHANGED] = f"{self.first:g} s of another speaker (control)"
        versions[NOISE] = f"{self.first:g} s with noise at 10 dB"
        versions[TELEPHONE] = f"{self.first:g} s by telephone"
        return versions

    def sentences(self) -> Sentences:
        """The sentences to speak, see `sentences`."""
        config = self.config
        found = sentences(self.dataset, config.split, config.limit, config.seed, self.frames)
        self.judges.check(one.utterance.language for one in found.chosen)
        return found

    def results(self, chosen: Sequence[Sentence]) -> Iterator[Result]:
        """Speak and measure sentences, in their order.

        Raises:
            UserError: a recording of the corpus can't be used.
        """
        for start in range(0, len(chosen), TOGETHER):
            part = chosen[start : start + TOGETHER]
            prompts = [self._prompts(sentence) for sentence in part]
            others = exchanged([one.utterance.speaker for one in part])
            spoken = self._speak(part, prompts, others)
            for i, sentence in enumerate(part):
                found = {name: speeches[i] for name, speeches in spoken.items() if speeches[i]}
                other = others[i]
                key = "" if other is None else part[other].utterance.key
                yield self._result(sentence, key, prompts[i], found)

    # -- prompts -------------------------------------------------------------------------------

    def _prompts(self, sentence: Sentence) -> dict[str, np.ndarray]:
        """The waves (S,) of a sentence's prompts, by version."""
        waves = {
            version_of(seconds): np.concatenate([self._wave_of(part) for part in parts])
            for seconds, parts in sentence.prompts.items()
        }
        first = waves[version_of(self.first)]
        seed = int(unit_interval(sentence.utterance.key, f"noise {self.config.seed}") * 2**53)
        waves[NOISE] = with_noise(first, seed)
        waves[TELEPHONE] = by_telephone(first, self.rate)
        return waves

    def _wave_of(self, part: Part) -> np.ndarray:
        """The wave (S,) of a part of a prompt: the recording's, without a corpus its copy's."""
        giver, hop = part.giver, self.dataset.grid.hop_length
        wave = self._recording(giver)
        piece = wave[part.first * hop : part.end * hop]
        missing = (part.end - part.first) * hop - len(piece)  # the last frame may be cut
        return np.pad(piece, (0, missing)).astype(np.float32)

    def _recording(self, utterance: HeldOut) -> np.ndarray:
        if self.config.corpus is not None:
            return recording(self.dataset, self.config.corpus, utterance)
        return self.synthesizer.decoded(utterance.codes)[: utterance.samples]

    # -- speech --------------------------------------------------------------------------------

    def _speak(
        self,
        part: Sequence[Sentence],
        prompts: Sequence[Mapping[str, np.ndarray]],
        others: Sequence[int | None],
    ) -> dict[str, list[Speech | None]]:
        """Let the model speak sentences in all versions; None where there is no other speaker."""
        encode = self.synthesizer.codes_of
        codes = [{name: encode(wave) for name, wave in one.items()} for one in prompts]
        first = version_of(self.first)
        names = [version_of(seconds) for seconds in self.config.prompt_seconds]
        given: dict[str, list[np.ndarray | None]] = {
            name: [one[name] for one in codes] for name in (*names, NOISE, TELEPHONE)
        }
        given[EXCHANGED] = [None if i is None else codes[i][first] for i in others]
        numbers = seeds([one.utterance for one in part], self.config.seed)
        spoken: dict[str, list[Speech | None]] = {}
        for name, voices in given.items():
            there = [i for i, voice in enumerate(voices) if voice is not None]
            lines = [
                Line(phonemes=part[i].utterance.phonemes, seed=numbers[i], prompt=voices[i])
                for i in there
            ]
            made = self.synthesizer.speak(lines, self.choices) if lines else []
            found: list[Speech | None] = [None] * len(part)
            for i, speech in zip(there, made, strict=True):
                found[i] = speech
            spoken[name] = found
        return spoken

    # -- measures ------------------------------------------------------------------------------

    def _result(
        self,
        sentence: Sentence,
        other: str,
        prompts: dict[str, np.ndarray],
        spoken: Mapping[str, Speech | None],
    ) -> Result:
        utterance = sentence.utterance
        waves = {}
        if self.config.corpus is not None:
            waves[RECORDING] = self._recording(utterance)
        waves[COPY] = self.synthesizer.decoded(utterance.codes)[: utterance.samples]
        durations = dict.fromkeys((RECORDING, COPY), utterance.durations)
        for name, speech in spoken.items():
            assert speech is not None
            waves[name], durations[name] = speech.wave, speech.durations
        voices = self._voices(prompts)
        true = self._prosody_of(utterance, utterance.durations, utterance.f0)
        shown = {
            seconds: self._prompt_prosody(parts) for seconds, parts in sentence.prompts.items()
        }
        heard = {}
        for name in self.titles():
            if name not in waves:
                continue
            seconds = next((s for s in sentence.prompts if version_of(s) == name), self.first)
            ours = self._prosody_of(
                utterance, durations[name], extract_f0(waves[name], self._pitch)
            )
            moved = {**differences(ours, shown[seconds], "prompt")}
            if name not in (RECORDING, COPY):
                moved |= differences(ours, true, "recording")
            heard[name] = self._heard(utterance, waves[name], voices.get(seconds), moved)
        named = {f"prompt-{name}": wave for name, wave in prompts.items()}
        return Result(sentence=sentence, other=other, heard=heard, waves={**waves, **named})

    def _voices(self, prompts: Mapping[str, np.ndarray]) -> dict[float, np.ndarray]:
        """The vectors of the prompts' voices, by the prompts' seconds; none without a model."""
        model = self.judges.voices
        if model is None:
            return {}
        return {
            seconds: model.embedding(prompts[version_of(seconds)], self.rate)
            for seconds in self.config.prompt_seconds
        }

    def _prosody_of(self, utterance: HeldOut, durations: np.ndarray, f0: np.ndarray) -> Prosody:
        return prosody(durations, f0, self._phones(utterance), self.dataset.grid.frame_rate)

    def _prompt_prosody(self, parts: Sequence[Part]) -> Prosody:
        """The prosody of a prompt's phones, as far as they lie in it wholly."""
        found = []
        for part in parts:
            giver = part.giver
            ends = np.cumsum(giver.durations)
            inside = (ends - giver.durations >= part.first) & (ends <= part.end)
            phones = self._phones(giver) & inside
            found.append(prosody(giver.durations, giver.f0, phones, self.dataset.grid.frame_rate))
        return joined(found)

    def _phones(self, utterance: HeldOut) -> np.ndarray:
        """Which tokens are phones, (N,) bool."""
        return np.array([token not in self._silent for token in utterance.tokens], bool)

    def _heard(
        self,
        utterance: HeldOut,
        wave: np.ndarray,
        voice: np.ndarray | None,
        moved: Mapping[str, Share],
    ) -> Heard:
        """Ask the judges about a wave."""
        judges, rate = self.judges, self.rate
        shares: dict[str, Share] = {}
        text, words = None, {}
        if judges.words is not None:
            text = judges.words.text(wave, rate, utterance.language)
            said = spoken_words(utterance.text, utterance.language)
            wrong = word_errors(spoken_words(text, utterance.language), said)
            shares["words_wrong"] = (wrong.total, wrong.words)
            words = asdict(wrong)
        phones = judges.phones.phones(wave, rate)
        size = len(bare_phones(utterance.tokens))
        shares["phones_wrong"] = (phone_errors(phones, utterance.tokens), size)
        if judges.voices is not None and voice is not None:
            shares["similarity"] = (float(judges.voices.embedding(wave, rate) @ voice), 1.0)
        if judges.opinions is not None:
            scores = asdict(judges.opinions.scores(wave, rate))
            shares |= {f"mos_{name}": (float(score), 1.0) for name, score in scores.items()}
        shares |= moved
        return Heard(seconds=len(wave) / rate, shares=shares, text=text, words=words)


def exchanged(speakers: Sequence[str]) -> list[int | None]:
    """For each sentence another one whose speaker is another, in turn; None where there is none."""
    found: list[int | None] = []
    for i, speaker in enumerate(speakers):
        following = [(i + step) % len(speakers) for step in range(1, len(speakers))]
        found.append(next((j for j in following if speakers[j] != speaker), None))
    return found


def settings_of(protocol: ZeroShot) -> dict[str, Any]:
    """How the protocol was followed, as values for JSON."""
    config, choices = protocol.config, protocol.choices
    return {
        "run": protocol.run.name,
        "weights": config.weights,
        "step": protocol.synthesizer.step,
        "dataset": protocol.dataset.root.name,
        "dataset_digest": protocol.dataset.card.digest,
        "split": config.split,
        "limit": config.limit,
        "seed": config.seed,
        "prompt_seconds": list(config.prompt_seconds),
        "prompts_of": "recordings" if config.corpus else "codec copies",
        "guidance": choices.guidance,
        "rescale": choices.rescale,
        **{f"sampler_{name}": value for name, value in asdict(choices.sampler).items()},
    }
