"""The options of commands that let a model speak; loads no torch, so that a command can show them.

The text below a field is the help text of its option.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from ns2.model.diffusion.sampler_config import SPEAKING_SAMPLER, SamplerConfig, SamplerKind, Spacing
from ns2.model.tts.choices import Choices
from ns2.pipeline.core.errors import OptionError

Precision = Literal["auto", "bf16", "fp32"]


@dataclass(frozen=True, kw_only=True)
class SpeakingOptions:
    """How latents are sampled, and which codec decodes them."""

    sampler: SamplerKind = SPEAKING_SAMPLER.kind
    """The sampler of the diffusion: dpm++ needs the fewest steps, euler is the paper's."""

    steps: int = SPEAKING_SAMPLER.steps
    """The number of sampling steps, each of which calls the denoiser once; the paper takes 150 with
    euler, and docs/quality.md shows what fewer cost."""

    spacing: Spacing | None = None
    """Whether the times of the steps are even in log_snr, which needs fewer of them, or in time.
    [default: log_snr with the default sampler and steps, time with others, as in the paper]"""

    guidance: float = Choices.guidance
    """The scale of classifier-free guidance: above 1 speech follows text and prompt more closely,
    and 1 guides nothing."""

    rescale: float = Choices.rescale
    """How far the standard deviation of the guided estimate is brought back to that of the
    conditional one, from 0 (not at all) to 1 (wholly)."""

    temperature: float = SamplerConfig.temperature
    """The temperature: sampling starts from noise that is divided by it, so that speech varies less
    with higher values; 1 samples the learned distribution."""

    precision: Precision = "auto"
    """The precision of the model: bf16 computes in bfloat16 where that is safe, fp32 everything in
    float32, and auto takes bf16 on a GPU."""

    compile: bool = False
    """The layers are compiled at their first use, which takes a minute and pays for many lines
    on a GPU."""

    weights: str = "last"
    """The averaged weights that speak: last, the newest ones; best, those with the lowest loss in
    validation; or the step of a checkpoint that is kept."""

    codec: str | None = None
    """The codec that decodes the speech, by its name, file or class, where ns2 does not find the
    run's codec by itself.  [default: the run's]"""

    @property
    def _spacing(self) -> Spacing:
        """Others than the default sampler speak as they did in versions that had no `spacing`."""
        usual = (self.sampler, self.steps) == (SPEAKING_SAMPLER.kind, SPEAKING_SAMPLER.steps)
        return self.spacing or (SPEAKING_SAMPLER.spacing if usual else SamplerConfig.spacing)

    def choices(self) -> Choices:
        """The choices of the model's `generate`.

        Raises:
            OptionError: a value is out of range.
        """
        return self._choices(speed=Choices.speed, semitones=Choices.semitones)

    def _choices(self, *, speed: float, semitones: float) -> Choices:
        try:
            return Choices(
                sampler=SamplerConfig(
                    kind=self.sampler,
                    steps=self.steps,
                    temperature=self.temperature,
                    spacing=self._spacing,
                ),
                guidance=self.guidance,
                rescale=self.rescale,
                speed=speed,
                semitones=semitones,
            )
        except ValueError as error:
            raise OptionError(str(error)) from error


STANDARD = Path("-")
"""The name of standard input and of standard output."""
ENDINGS = (".wav", ".flac", ".ogg")
"""How the names of files with speech may end."""
LONGEST_PAUSE = 10
"""The longest pause in seconds."""
_SPEEDS = (0.25, 4)
"""The slowest and the fastest speaking rate."""


class Source(Enum):
    """Where the phonemes of `ns2 synthesize` come from, by the option that names it."""

    TEXT = "TEXT"
    FILE = "--text-file"
    UTTERANCE = "--durations-from"


@dataclass(frozen=True, kw_only=True)
class SynthesizeOptions(SpeakingOptions):
    """What `ns2 synthesize` speaks, in which voice, and where the speech is written."""

    text: str | None = None
    """The text to speak, which is cut at sentences where it is long."""

    out: Path = Path("out.wav")
    """The file to write (.wav, .flac or .ogg) or, with --text-file, the folder of the WAV files; -
    writes a WAV stream to standard output, each piece when it is spoken."""

    prompt: tuple[Path, ...] = ()
    """A recording of the voice, of any format and length, or a voice that --save-voice wrote; may
    be repeated for several recordings of one voice. Without it the voice is random."""

    save_voice: Path | None = None
    """The voice of --prompt is kept in this file (.safetensors), to be given as --prompt later."""

    text_file: Path | None = None
    """A text file in UTF-8, each line of which is spoken into a file of its own; - reads lines from
    standard input, and speaks each when it comes."""

    phonemes: bool = False
    """The text consists of phonemes with spaces between them, and is not pronounced."""

    language: str | None = None
    """The espeak-ng voice that pronounces the text, such as en-gb.  [default: that of most
    utterances of the dataset]"""

    seed: int = 0
    """The seed of the noise; with another one the same text is spoken differently."""

    speed: float = Choices.speed
    """The factor of the speaking rate, from 0.25 to 4: with 2 speech is twice as fast."""

    pitch: float = Choices.semitones
    """The number of semitones by which the pitch is raised, or lowered if it is negative."""

    as_predicted: bool = False
    """Pitch and loudness stay as the model predicts them. Otherwise the median pitch of speech is
    brought within a quarter of a semitone of the prompt's, and its loudness near -24 LUFS."""

    pause: float | None = None
    """The pause between sentences in seconds; between paragraphs it is half as long again, and
    where a long sentence is cut no longer than without this option.  [default: between pieces of a
    long text as long as the model makes it within them]"""

    durations_from: str | None = None
    """The key of an utterance of --dataset, whose phonemes, durations and pitch are spoken."""

    dataset: Path | None = None
    """The dataset that holds the utterance of --durations-from."""

    plot: bool = False
    """The log-mel and the F0 are drawn into a PNG beside each WAV file."""

    textgrid: bool = False
    """The words and phones are written as a TextGrid beside each sound file."""

    def __post_init__(self) -> None:
        for message in self._contradictions():
            raise OptionError(message)

    def _contradictions(self) -> Iterator[str]:
        """Messages about options that do not go together."""
        if not _SPEEDS[0] <= self.speed <= _SPEEDS[1]:
            yield f"--speed has to be from {_SPEEDS[0]} to {_SPEEDS[1]}, got {self.speed:g}"
        if len(self._sources()) != 1:
            yield "give one of TEXT, --text-file and --durations-from"
        if self.save_voice is not None and not self.prompt:
            yield "--save-voice keeps the voice of --prompt: name a recording with it"
        if self.save_voice is not None and self.save_voice.suffix != ".safetensors":
            yield f"{self.save_voice}: a voice is kept in a file whose name ends with .safetensors"
        if not -(1 << 63) <= self.seed < 1 << 63:
            yield f"--seed has to be a whole number of 64 bits, got {self.seed}"
        if self.save_voice is not None and self.save_voice.is_dir():
            yield f"{self.save_voice} is a folder: name a file in it for the voice"
        for path in self.prompt:
            if self._writes(path):
                yield f"{path} is a --prompt, and would be written over: name another place"
        is_file = self.out.suffix.lower() in ENDINGS
        if self.source is not Source.FILE and is_file and self.out.is_dir():
            yield f"{self.out} is a folder: name a file in it"
        if self.source is Source.FILE and is_file:
            yield "--text-file makes a file of each line: name a folder for them with -o"
        if self.source is not Source.FILE and not is_file and self.out != STANDARD:
            yield f"{self.out}: give a name that ends with .wav, .flac or .ogg, or - for a stream"
        if self.plot and self.out == STANDARD:
            yield "--plot draws beside a file, and -o - writes none: leave out one"
        if self.textgrid and self.out == STANDARD:
            yield "--textgrid writes beside a file, and -o - writes none: leave out one"
        if self.pause is not None and not 0 <= self.pause <= LONGEST_PAUSE:
            yield f"--pause has to be from 0 to {LONGEST_PAUSE} seconds, got {self.pause:g}"
        if self.source is Source.UTTERANCE:
            if self.pause is not None:
                yield "--pause is for texts, not for --durations-from: leave out one"
            if self.dataset is None:
                yield "--durations-from needs the --dataset that KEY is in"
            if self.speed != 1:
                yield "--speed can't change the durations of --durations-from: leave out one"
            if self.phonemes:
                yield "--phonemes is for TEXT and --text-file, not for --durations-from"
            if self.language is not None:
                yield "--language is for texts, not for --durations-from: leave out one"
        elif self.dataset is not None:
            yield "--dataset is for --durations-from: leave it out, or name an utterance"
        if self.phonemes and self.language is not None:
            yield "--language is for texts, and --phonemes are not pronounced: leave out one"

    def _writes(self, path: Path) -> bool:
        """Whether a file that is there would be written over."""
        line = self.out / path.name if path.suffix == ".wav" and path.stem.isdigit() else None
        written = (self.out, self.save_voice, line if self.source is Source.FILE else None)
        there = [one for one in written if one is not None and one.exists()]
        return path.exists() and any(one.samefile(path) for one in there)

    def _sources(self) -> list[Source]:
        """The sources that are named."""
        named = {
            Source.TEXT: self.text,
            Source.FILE: self.text_file,
            Source.UTTERANCE: self.durations_from,
        }
        return [source for source, value in named.items() if value is not None]

    @property
    def source(self) -> Source:
        """Where the phonemes come from."""
        return self._sources()[0]

    @property
    def as_it_comes(self) -> bool:
        """Whether standard input is read, or standard output written."""
        return STANDARD in (self.out, self.text_file)

    def choices(self) -> Choices:
        """The choices of the model's `generate`, with speed and pitch.

        Raises:
            OptionError: a value is out of range.
        """
        return self._choices(speed=self.speed, semitones=self.pitch)
