"""Texts to wav files by a trained run: what `ns2 synthesize` does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ns2.model.log_mel import LogMel
from ns2.model.tts.generation import Choices
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.decode import wav_bytes
from ns2.train.speak.synthesizer import Line, Speech, Synthesizer, joined

_AT_ONCE = 64
"""Files that are spoken before the first of them is written."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to write, of one or more utterances."""

    out: Path
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was spoken: seconds of audio, and seconds that it took."""

    seconds: float
    took: float


def read_lines(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        UserError: it is not in UTF-8.
    """
    try:
        return path.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8") from error


def jobs_of(
    voice: Synthesizer,
    texts: Iterable[str],
    out: Path,
    *,
    numbered: bool,
    tokens: bool,
    language: str | None,
    prompt: np.ndarray | None,
    seed: int,
) -> tuple[list[Job], list[str]]:
    """What texts ask for; empty lines are passed over where files are numbered.

    Args:
        out: the file; where files are numbered the folder of OUT/0001.wav and so on, by line.
        tokens: texts are phonemes with spaces between them.

    Returns:
        jobs, and why other texts can't be spoken.
    """
    jobs, refused = [], []
    for number, text in enumerate(texts, 1):
        if numbered and not text.strip():
            continue
        try:
            parts = [voice.ids_of_tokens(text.split())] if tokens else voice.pieces(text, language)
        except UserError as error:
            refused.append(f"line {number}: {error}" if numbered else str(error))
            continue
        lines = tuple(
            Line(phonemes=ids, seed=seed + i, prompt=prompt) for i, ids in enumerate(parts)
        )
        jobs.append(Job(out=out / f"{number:04d}.wav" if numbered else out, lines=lines))
    return jobs, refused


def of_dataset(
    voice: Synthesizer, root: Path, key: str, out: Path, *, prompt: np.ndarray | None, seed: int
) -> Job:
    """An utterance of a dataset with its true durations and pitch.

    Raises:
        UserError: there is no such utterance, or the dataset has other phonemes or another grid.
    """
    from ns2.pipeline.tools.inspection.one_utterance import find

    dataset = Dataset(root)
    for column in ("phonemes", "durations", "f0"):
        if column not in dataset.columns:
            raise UserError(f"{root} has no column {column}")
    if dataset.grid != voice.grid or dataset.phoneme_table.digest != voice.table.digest:
        raise UserError(f"{root} has another frame grid or other phonemes than the run")
    key = find(dataset, key)
    try:
        phonemes, durations, f0 = (
            dataset.read(column, key, check=True) for column in ("phonemes", "durations", "f0")
        )
    except (ValueError, OSError) as error:
        raise UserError(f"{root}: {error}; `ns2 verify` tells what is damaged") from error
    line = Line(phonemes=phonemes, durations=durations, f0=f0, prompt=prompt, seed=seed)
    return Job(out=out, lines=(line,))


def speak_jobs(
    voice: Synthesizer, jobs: Sequence[Job], choices: Choices, *, plot: bool = False
) -> Done:
    """Speak and write each file, whole or not at all."""
    for folder in {job.out.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    took = seconds = 0.0
    for first in range(0, len(jobs), _AT_ONCE):
        part = jobs[first : first + _AT_ONCE]
        began = time.perf_counter()
        spoken = iter(voice.speak([line for job in part for line in job.lines], choices))
        took += time.perf_counter() - began
        for job in part:
            speech = joined([next(spoken) for _ in job.lines])
            seconds += speech.seconds
            with atomic_write(job.out) as file:
                file.write(wav_bytes(speech.wave, speech.sample_rate))
            if plot:
                with atomic_write(job.out.with_suffix(".png")) as file:
                    file.write(draw(voice, speech))
    return Done(seconds=seconds, took=took)


def draw(voice: Synthesizer, speech: Speech) -> bytes:
    """A PNG of log-mel, the pitch that was asked for and the pitch that came out."""
    from ns2.pipeline.sound.pitch import extract_f0
    from ns2.train.speak.plot_versions import Version, as_png, draw_versions

    facts = voice.facts
    config, pitch = facts.mel_config(), facts.pitch_config()
    mel = LogMel(config)(torch.from_numpy(speech.wave)).numpy()
    versions = [
        Version(name="spoken", mel=mel, f0=extract_f0(speech.wave, pitch)),
        Version(name="asked", mel=mel, f0=speech.f0),
    ]
    return as_png(draw_versions(versions, voice.grid, config))
