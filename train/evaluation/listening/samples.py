"""The samples of a listening test: sentences by recordings, the codec, and runs.

Letters for shapes: S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.evaluator import COPY, RECORDING, check_alike
from ns2.train.evaluation.held_out import held_out, recording, seeds
from ns2.train.speak.lines import Line
from ns2.train.speak.synthesizer import Synthesizer

ANCHOR = "anchor"
_ANCHOR_BAND = 3500.0
"""Hz; what lies above is cut from the low anchor of MUSHRA (ITU-R BS.1534-3)."""
_LEVEL, _PEAK = 0.05, 0.95
"""Samples are brought to this root mean square, unless their peak would exceed the other."""


@dataclass(frozen=True, kw_only=True)
class SentenceSamples:
    """What there is to hear of one sentence.

    Attributes:
        key, text: of the utterance.
        waves: (S,) by system; of like level.
    """

    key: str
    text: str
    waves: dict[str, np.ndarray]


def system_names(runs: Sequence[Path]) -> list[str]:
    """The names of runs: those of their folders, numbered where several are the same."""
    names = [f"run {run.resolve().name}" for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]


def samples_of(
    voices: Sequence[tuple[str, Synthesizer]],
    dataset: Dataset,
    config: EvaluateConfig,
    *,
    anchor: bool,
) -> list[SentenceSamples]:
    """Speak held-out sentences by several runs, beside their recordings and copies.

    Args:
        voices: the runs, by the names of systems.
        anchor: whether there is a low anchor, too.

    Raises:
        UserError: the dataset does not fit a run, or a recording can't be used.
    """
    for name, voice in voices:
        try:
            check_alike(voice, dataset)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    choices = config.choices()
    first = voices[0][1]
    spoken: dict[str, list[np.ndarray]] = {}
    held = []
    for name, voice in voices:
        longest = voice.model.config.prompt.longest
        held = held_out(dataset, config.split, config.limit, config.seed, longest)
        lines = [
            Line(phonemes=one.phonemes, seed=seed, prompt=one.prompt)
            for one, seed in zip(held, seeds(held, config.seed), strict=True)
        ]
        spoken[name] = [speech.wave for speech in voice.speak(lines, choices)]
    rate = dataset.grid.sample_rate
    found = []
    for i, utterance in enumerate(held):
        waves = {COPY: first.decoded(utterance.codes)[: utterance.samples]}
        if config.corpus is not None:
            waves[RECORDING] = recording(dataset, config.corpus, utterance)
        if anchor:
            waves[ANCHOR] = low_passed(waves.get(RECORDING, waves[COPY]), rate)
        waves |= {name: one[i] for name, one in spoken.items()}
        levelled = {name: at_level(wave) for name, wave in waves.items()}
        found.append(SentenceSamples(key=utterance.key, text=utterance.text, waves=levelled))
    return found


def low_passed(wave: np.ndarray, rate: int, hertz: float = _ANCHOR_BAND) -> np.ndarray:
    """A wave (S,) without what lies above a frequency."""
    spectrum = np.fft.rfft(wave.astype(np.float64))
    spectrum[np.fft.rfftfreq(len(wave), 1 / rate) > hertz] = 0
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


def at_level(wave: np.ndarray) -> np.ndarray:
    """A wave (S,) at the level of all samples, so that loudness does not tell them apart."""
    level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
    peak = float(np.abs(wave).max(initial=0.0))
    if not level:
        return wave
    return (wave * min(_LEVEL / level, _PEAK / peak)).astype(np.float32)
