"""The work of `ns2 synthesize`: from texts, phonemes or a known utterance to WAV files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import torch

from ns2.model.log_mel import LogMel
from ns2.model.tts.choices import Choices
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.train.speak.lines import Line, Prompt, Speech, joined, line_of
from ns2.train.speak.output import SoundStream, save_sound
from ns2.train.speak.speaking import STANDARD, Source, SynthesizeOptions
from ns2.train.speak.synthesizer import Synthesizer

_AT_ONCE = 64
"""The number of files that are spoken before the first of them is written."""
_META = "meta"
"""The column that has the words of an utterance."""
_GIVEN = ("phonemes", "durations", "f0")
"""The columns of an utterance that is spoken with its own durations and pitch."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A file to write, and the utterances that are spoken into it one after the other."""

    out: Path
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long speaking took.

    Attributes:
        seconds: of audio.
        took: seconds of work, without the writing of files.
        down: the most dB by which a file was brought down, as it was louder than full scale.
    """

    seconds: float
    took: float
    down: float = 0.0

    def __add__(self, other: Timing) -> Timing:
        """Both together."""
        return Timing(
            seconds=self.seconds + other.seconds,
            took=self.took + other.took,
            down=max(self.down, other.down),
        )


def jobs_of(
    voice: Synthesizer, options: SynthesizeOptions, prompt: Prompt | None
) -> tuple[list[Job], list[str]]:
    """The files that the options ask for.

    Args:
        prompt: the voice; None for a random one.

    Returns:
        the jobs, and for each line of --text-file that can't be spoken a message.

    Raises:
        UserError: TEXT, the file or the utterance can't be used.
    """
    match options.source:
        case Source.TEXT:
            assert options.text is not None
            return [_of_text(voice, options.text, options.out, options, prompt)], []
        case Source.FILE:
            return _of_file(voice, options, prompt)
        case Source.UTTERANCE:
            return [_of_utterance(voice, options, prompt)], []


def _of_text(
    voice: Synthesizer,
    text: str,
    out: Path,
    options: SynthesizeOptions,
    prompt: Prompt | None,
) -> Job:
    """A text as one file; a long text is spoken in pieces."""
    if options.phonemes:
        ids = voice.ids_of_tokens(text.split())
        return Job(out=out, lines=(line_of(ids, prompt, seed=options.seed),))
    lines = voice.lines(text, options.language, prompt=prompt, seed=options.seed)
    return Job(out=out, lines=lines)


def _of_file(
    voice: Synthesizer, options: SynthesizeOptions, prompt: Prompt | None
) -> tuple[list[Job], list[str]]:
    """A file OUT/0001.wav for the first line and so on; empty lines are passed over."""
    jobs, refused = [], []
    for number, text in texts_of(options):
        try:
            jobs.append(_of_line(voice, number, text, options, prompt))
        except UserError as error:
            refused.append(str(error))
    return jobs, refused


def _of_line(
    voice: Synthesizer,
    number: int,
    text: str,
    options: SynthesizeOptions,
    prompt: Prompt | None,
) -> Job:
    """The job of a line of --text-file.

    Raises:
        UserError: it can't be spoken; the message names the line.
    """
    try:
        return _of_text(voice, text, options.out / f"{number:04d}.wav", options, prompt)
    except UserError as error:
        raise UserError(f"line {number}: {error}") from error


def texts_of(options: SynthesizeOptions) -> Iterator[tuple[int, str]]:
    """The lines of --text-file that are not empty, with their numbers from 1, as they come.

    Raises:
        UserError: the text is not in UTF-8; the message names the line.
    """
    assert options.text_file is not None
    if options.text_file == STANDARD:
        yield from _texts_in(sys.stdin.buffer, "standard input")
        return
    with options.text_file.open("rb") as file:
        yield from list(_texts_in(file, str(options.text_file)))  # all, before any is spoken


def _texts_in(stream: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """The lines of a stream in UTF-8 that are not empty, each as soon as it is there."""
    for number, line in enumerate(stream, 1):
        try:
            text = line.decode("utf-8" if number > 1 else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(
                f"line {number} of {name} is no text in UTF-8 ({error.reason}): save it in UTF-8"
            ) from error
        if text.strip():
            yield number, text


def _of_utterance(voice: Synthesizer, options: SynthesizeOptions, prompt: Prompt | None) -> Job:
    """An utterance of a dataset with its true durations and pitch.

    Raises:
        UserError: there is no such utterance, it is damaged, or the dataset has another phoneme
            table or frame grid than the run.
    """
    from ns2.pipeline.dataset.reader import Dataset  # loads pyarrow
    from ns2.pipeline.tools.inspection.one_utterance import find
    from ns2.train.data.alike import Makeup, differences, makeup_of

    assert options.dataset is not None and options.durations_from is not None
    root, dataset = options.dataset, Dataset(options.dataset)
    for column in _GIVEN:
        if column not in dataset.columns:
            raise UserError(f"{root} has no column {column}")
    run = Makeup(grid=voice.grid, table=voice.table)
    for difference in differences(run, makeup_of(dataset, _GIVEN)):
        raise UserError(
            f"{root} and the run have different {difference.what} ({difference.other}; "
            f"{difference.first}): take a dataset that was preprocessed as the run's was"
        )
    key = find(dataset, options.durations_from)
    try:
        given = {column: dataset.read(column, key, check=True) for column in _GIVEN}
    except (ValueError, OSError) as error:
        raise UserError(f"{root}: {error}; `ns2 verify` finds all that is damaged") from error
    words = (
        tuple(map(tuple, dataset.read("meta", key)["words"])) if _META in dataset.columns else ()
    )
    codes = None if prompt is None else prompt.codes
    line = Line(**given, words=words, prompt=codes, seed=options.seed)
    return Job(out=options.out, lines=(line,))


def speak_jobs(
    voice: Synthesizer, jobs: Sequence[Job], options: SynthesizeOptions, choices: Choices
) -> Timing:
    """Speak, and write each file, which appears whole or not at all."""
    for folder in {job.out.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    timing = Timing(seconds=0.0, took=0.0)
    for first in range(0, len(jobs), _AT_ONCE):
        part = jobs[first : first + _AT_ONCE]
        began = time.perf_counter()
        for job, speech in _spoken(voice, part, options, choices):
            took = time.perf_counter() - began
            down = _write(voice, job, speech, options)
            timing += Timing(seconds=speech.seconds, took=took, down=down)
            began = time.perf_counter()
    return timing


def _spoken(
    voice: Synthesizer, jobs: Sequence[Job], options: SynthesizeOptions, choices: Choices
) -> Iterator[tuple[Job, Speech]]:
    """Each job with its speech, as soon as all of its pieces are spoken.

    The utterances of several files are batched together.
    """
    texts = voice.in_one_voice([job.lines for job in jobs], choices)
    places = [(text, i) for text, lines in enumerate(texts) for i in range(len(lines))]
    missing = [len(lines) for lines in texts]
    parts: dict[int, dict[int, Speech]] = {}
    lines = [line for lines in texts for line in lines]
    for at, speech in voice.speak_in_turn(lines, choices):
        text, i = places[at]
        parts.setdefault(text, {})[i] = speech
        missing[text] -= 1
        if not missing[text]:
            of_text = parts.pop(text)
            pieces = [of_text[i] for i in range(len(texts[text]))]
            yield jobs[text], _joined(voice, texts[text], pieces, options)


def _joined(
    voice: Synthesizer, lines: Sequence[Line], pieces: Sequence[Speech], options: SynthesizeOptions
) -> Speech:
    """The pieces of a text as one speech; what was asked for whole stays as it was made."""
    if options.source is Source.UTTERANCE:
        return pieces[0]
    rests = [line.rest for line in lines]
    return voice.joints(lines, options.pause).all(list(zip(pieces, rests, strict=True)))


def _write(voice: Synthesizer, job: Job, speech: Speech, options: SynthesizeOptions) -> float:
    """Write the file of a job and what goes beside it.

    Returns:
        the dB by which the speech was brought down.
    """
    down = save_sound(job.out, speech.wave, speech.sample_rate)
    if options.plot:
        with atomic_write(job.out.with_suffix(".png")) as file:
            file.write(_draw(voice, speech))
    if options.textgrid:
        with atomic_write(job.out.with_suffix(".TextGrid")) as file:
            file.write(_textgrid(voice, speech).encode())
    return down


def _textgrid(voice: Synthesizer, speech: Speech) -> str:
    """The words and phones of speech as a TextGrid."""
    from ns2.pipeline.tools.textgrids import textgrid_text

    meta = {
        "phonemes": voice.table.symbols(speech.phonemes),
        "words": speech.words,
        "samples": len(speech.wave),
    }
    return textgrid_text(meta, speech.durations, voice.grid, voice.table.optional)


def speak_as_they_come(
    voice: Synthesizer,
    options: SynthesizeOptions,
    prompt: Prompt | None,
    refuse: Callable[[str], None],
) -> Timing:
    """Speak each line of --text-file when it is there, or stream speech to standard output.

    Args:
        prompt: the voice; None for a random one.
        refuse: called with a message for each line that can't be spoken.

    Raises:
        UserError: nothing can be spoken.
        BrokenPipeError: nobody reads standard output any more.
    """
    choices = options.choices()
    stream = SoundStream(sys.stdout.buffer, voice.facts.sample_rate)
    timing = Timing(seconds=0.0, took=0.0)
    for job in _jobs_as_they_come(voice, options, prompt, refuse):
        if options.out == STANDARD:
            timing += _stream(voice, job, options, choices, stream)
        else:
            timing += speak_jobs(voice, [job], options, choices)
    return timing


def _stream(
    voice: Synthesizer,
    job: Job,
    options: SynthesizeOptions,
    choices: Choices,
    stream: SoundStream,
) -> Timing:
    """Write the pieces of a text to a stream, each when it is spoken."""
    joints, lines = voice.joints(job.lines, options.pause), list(job.lines)
    timing = Timing(seconds=0.0, took=0.0)
    for i in range(len(lines)):
        began = time.perf_counter()
        speech = voice.speak([lines[i]], choices)[0]
        heard = joints.add(speech, lines[i].rest)
        if i == len(lines) - 1:
            heard = joined([heard, joints.last()])
        took = time.perf_counter() - began
        stream.write(heard.wave)
        timing += Timing(seconds=heard.seconds, took=took, down=stream.down)
        if i == 0 and lines[0].prompt is None and len(lines) > 1:  # the others get its voice
            began = time.perf_counter()
            prompt = voice.encode_prompt(speech.wave, speech.sample_rate)
            lines[1:] = [replace(line, prompt=prompt) for line in lines[1:]]
            timing += Timing(seconds=0.0, took=time.perf_counter() - began)
    return timing


def _jobs_as_they_come(
    voice: Synthesizer,
    options: SynthesizeOptions,
    prompt: Prompt | None,
    refuse: Callable[[str], None],
) -> Iterator[Job]:
    """The jobs of the options, those of lines when they are read."""
    if options.source is not Source.FILE:
        yield from jobs_of(voice, options, prompt)[0]
        return
    for number, text in texts_of(options):
        try:
            job = _of_line(voice, number, text, options, prompt)
        except UserError as error:
            refuse(str(error))
        else:
            yield job


def _draw(voice: Synthesizer, speech: Speech) -> bytes:
    """A PNG of the log-mel, the F0 that was asked for, and the F0 that came out."""
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
