"""What the model speaks while it is trained: some utterances at some steps, always the same ones.

    run/samples/reference/KEY.wav, KEY-prompt.wav      the codec's copies of recording and prompt
    run/samples/00001000/KEY-given.wav                 with the recording's durations and pitch
    run/samples/00001000/KEY-predicted.wav             with predicted durations and pitch
    run/samples/00001000/KEY.png                       log-mel and F0 of all three
    run/samples.jsonl                                  a line of figures for each round

The averaged weights (EMA) speak, from noise that is the same at every step. No random number of the
training is drawn here, since each step seeds itself.

Letters for shapes: N phonemes, T frames, D latent width, P prompt frames, Q quantizers, S samples.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ns2.model.blocks.layers import length_mask
from ns2.model.codec.interface import Codec
from ns2.model.log_mel import LogMel
from ns2.model.tts.choices import Choices
from ns2.model.tts.duration_frames import round_durations
from ns2.model.tts.generation import Request, generate
from ns2.model.tts.ns2 import NS2
from ns2.pipeline.core.atomic import (
    member_folder,
    new_file,
    refuse_link,
    remove_known,
    remove_temporaries,
    temporary_path,
)
from ns2.pipeline.core.errors import DamageError
from ns2.pipeline.sound.pitch import extract_f0
from ns2.pipeline.sound.wav import save_wav, wav_bytes
from ns2.train.data.epochs import mixed
from ns2.train.data.selection import COLUMNS, Data
from ns2.train.loop.board import Board
from ns2.train.loop.sample_figures import Heard, PhoneJudge, sample_figures
from ns2.train.run.folder import RunFolder
from ns2.train.run.names import SAMPLE_LOG, SAMPLES
from ns2.train.speak.facts import facts_of
from ns2.train.speak.lines import Line, request_of
from ns2.train.speak.plot_versions import Version, as_png, draw_versions
from ns2.train.speak.speaker_prompt import prompt_in_data
from ns2.train.step.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


REFERENCE, GIVEN, PREDICTED = "reference", "given", "predicted"
"""The versions of a sample: the codec's copy of the recording, and speech with the recording's or
with predicted durations and pitch. They name files and plots."""
SPOKEN = (GIVEN, PREDICTED)
_SEED = 0x50EE
_OURS = re.compile(r"[A-Za-z0-9_-]+\.(wav|png)")
_SECONDS = (1.5, 10.0)
"""The shortest and longest utterance that is preferred."""
_LONGEST = 3.0
"""The most that predicted durations may sum up to, in lengths of the recording."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An utterance that is spoken at every round.

    Attributes:
        key: its key in its dataset.
        language: its espeak-ng voice.
        tokens: its phonemes as strings.
        line: what is spoken, with the recording's durations and pitch, and a prompt.
        codes: (Q, T) codes of the recording.
    """

    key: str
    language: str
    tokens: tuple[str, ...]
    line: Line
    codes: np.ndarray


class Samples:
    """The samples of one run."""

    def __init__(
        self,
        trainer: Trainer,
        held_out: Data | None,
        codec: Codec,
        judge: PhoneJudge | None,
        folder: RunFolder,
        board: Board,
    ) -> None:
        """Choose the utterances to speak.

        Args:
            held_out: the utterances to choose from, which are not trained on; None chooses among
                those that are.
            codec: decodes what is generated.
            judge: counts wrong phones; None counts none.
            folder: the run's files.
            board: shows samples and figures too.
        """
        config = trainer.config
        self._trainer, self._codec, self._board = trainer, codec, board
        self._folder, self._log = folder.root / SAMPLES, folder.log(SAMPLE_LOG)
        self._samples = choose(
            held_out or trainer.data,
            trainer.data,
            count=config.samples,
            longest=config.model.prompt.longest,
        )
        facts = facts_of(trainer.data.datasets)
        # phones of TextGrids may be others than those of espeak-ng, which the judge knows
        self._judge = None if facts.aligner == "textgrid" else judge
        self._mel = LogMel(facts.mel_config())
        self._pitch = facts.pitch_config()

    def there(self, step: int) -> bool:
        """Whether the samples of a step have been made."""
        return (self._folder / f"{step:08d}").is_dir()

    def make(self) -> dict[str, float]:
        """Speak as the model does after the last step, and write and show samples and figures.

        Returns:
            the figures, see `sample_figures`.

        Raises:
            RuntimeError, ValueError: the model's output is not finite, or there is not enough
                memory.
        """
        step, began = self._trainer.step, time.perf_counter()

        # All samples are spoken before any is shown: of a round that fails nothing is to be seen.
        spoken = {sample.key: self._speak(sample) for sample in self._samples}
        heard = {sample.key: self._heard(sample, spoken[sample.key]) for sample in self._samples}
        figures = sample_figures(list(heard.values()), self._rate, self._judge)

        # The board is flushed before the folder appears, since a folder that is there says that
        # the round is complete.
        files: dict[str, bytes] = {}
        for key, waves in spoken.items():
            figure = self._draw(waves, heard[key].f0)
            self._show(key, step, waves, figure)
            files |= self._packed(key, waves, figure)
        self._board.scalars("samples", step, figures)
        self._board.flush()

        # A round that was stopped before its folder appeared has its line in the log already.
        self._log.cut(step - 1)
        self._log.append({"step": step, **figures, "seconds": time.perf_counter() - began})
        self._publish(step, files)
        return figures

    def _speak(self, sample: Sample) -> dict[str, Tensor]:
        """The waves (S,) of a sample's versions, between -1 and 1."""
        waves = {REFERENCE: self._reference(sample)}
        for name in SPOKEN:
            latents = speak(self._trainer, sample.line, given=name == GIVEN)
            waves[name] = self._codec.decode_latents(latents).detach().clamp(-1, 1)
        return waves

    def _reference(self, sample: Sample) -> Tensor:
        """The codec's copy (S,) of the recording; it and the prompt's are written once."""
        folder = member_folder(self._folder.parent, SAMPLES, REFERENCE)
        assert sample.line.prompt is not None
        waves = []
        for name, codes in (
            (sample.key, sample.codes),
            (f"{sample.key}-prompt", sample.line.prompt),
        ):
            wave = self._codec.decode(torch.from_numpy(codes.astype(np.int64))).detach()
            waves.append(wave.clamp(-1, 1))
            path = folder / f"{name}.wav"
            if not path.is_file():
                save_wav(path, waves[-1].numpy(), self._rate)
        return waves[0]

    def _heard(self, sample: Sample, waves: Mapping[str, Tensor]) -> Heard:
        """The versions of a sample for the judges, with their pitch."""
        arrays = {name: wave.numpy() for name, wave in waves.items()}
        return Heard(
            tokens=sample.tokens,
            language=sample.language,
            waves=arrays,
            f0={name: extract_f0(wave, self._pitch) for name, wave in arrays.items()},
        )

    def _draw(self, waves: Mapping[str, Tensor], f0: Mapping[str, np.ndarray]) -> Figure:
        """A plot of the versions of a sample."""
        versions = [
            Version(name=name, mel=self._mel(wave).numpy(), f0=f0[name])
            for name, wave in waves.items()
        ]
        return draw_versions(versions, self._trainer.data.grid, self._mel.config)

    def _show(self, key: str, step: int, waves: Mapping[str, Tensor], figure: Figure) -> None:
        """Show plot and speech of a sample on the board."""
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
        self._board.image(f"samples/{key}", step, pixels)
        for name in SPOKEN:
            self._board.audio(f"samples/{key}/{name}", step, waves[name], self._rate)

    def _packed(self, key: str, waves: Mapping[str, Tensor], figure: Figure) -> dict[str, bytes]:
        """The files of a sample, by name."""
        files = {f"{key}.png": as_png(figure)}
        for name in SPOKEN:
            files[f"{key}-{name}.wav"] = wav_bytes(waves[name].numpy(), self._rate)
        return files

    def _publish(self, step: int, files: Mapping[str, bytes]) -> None:
        """Write the folder of a step, which appears whole or not at all."""
        folder = member_folder(self._folder.parent, SAMPLES) / f"{step:08d}"
        refuse_link(folder)
        remove_temporaries(self._folder)
        made = temporary_path(folder)
        made.mkdir()
        for name, data in files.items():
            with new_file(made / name) as file:
                file.write(data)
        remove_known(folder, _OURS)
        made.rename(folder)

    @property
    def _rate(self) -> int:
        return self._codec.spec.sample_rate


def speak(trainer: Trainer, line: Line, *, given: bool) -> Tensor:
    """The latents (D, T) of an utterance by the averaged weights.

    Args:
        line: with durations and pitch.
        given: speak with these; otherwise they are predicted.

    Raises:
        ValueError: the latents are not finite.
    """
    request = request_of([line], trainer.ranks.device)
    if not given:
        assert line.f0 is not None
        durations = _bounded_durations(trainer.averaged, request, _LONGEST * len(line.f0))
        request = replace(request, durations=durations, f0=None)
    made = generate(trainer.averaged, request, Choices(sampler=trainer.config.sampler))
    latents = made.latents[0, :, : int(made.frames[0])].float().cpu()
    if not bool(torch.isfinite(latents).all()):
        raise ValueError("the generated latents contain NaN or infinite values: training diverged")
    return latents


@torch.no_grad()
def _bounded_durations(model: NS2, request: Request, longest: float) -> Tensor:
    """The predicted durations (1, N), scaled down where they sum up to more than `longest` frames.

    The predictions of an untrained model may be anything, and hours of speech would hold up the
    training.
    """
    assert request.prompt_codes is not None and request.prompt_frames is not None
    mask = length_mask(request.tokens, request.phonemes.shape[1])
    voice = model.voice(request.prompt_codes, request.prompt_frames)
    states = model.text(request.phonemes, mask)
    logs = model.duration_predictor(states, mask, voice.states, voice.mask)[..., 0]
    durations = round_durations(logs, mask)
    speed = int(durations.sum()) / longest
    return durations if speed <= 1 else round_durations(logs, mask, speed=speed)


def choose(data: Data, trained: Data, *, count: int, longest: int) -> list[Sample]:
    """Draw utterances to speak, each with a prompt; the same data gives the same ones.

    Args:
        data: the utterances to draw from.
        trained: the source of prompts where `data` has no other utterance of the speaker.
        count: the most utterances.
        longest: the most frames of a prompt.
    """
    # Utterances of a length that is easy to listen to come first.
    order = np.argsort(mixed(_SEED, np.arange(len(data))), kind="stable")
    seconds = data.frames[order] / data.grid.frame_rate
    preferred = (seconds >= _SECONDS[0]) & (seconds <= _SECONDS[1])
    order = np.concatenate([order[preferred], order[~preferred]])

    # A damaged utterance is passed over: training and validation report it, samples need not.
    samples: dict[str, Sample] = {}
    for number in order.tolist():
        if len(samples) == count:
            break
        try:
            samples.setdefault(data.key(number), _sample(data, trained, number, longest))
        except DamageError:
            continue
    return list(samples.values())


def _sample(data: Data, trained: Data, number: int, longest: int) -> Sample:
    """An utterance by its number in `data`."""
    arrays = {name: data.read(name, number, check=True) for name in COLUMNS}
    codes = arrays.pop("codes")
    prompt = prompt_in_data(data, number, trained, longest=longest, seed=_SEED)
    seed = int(mixed(_SEED, number, 1) >> np.uint64(1))
    line = Line(**arrays, prompt=prompt, seed=seed)
    dataset = data.datasets[int(data.dataset_of[number])]
    row = dataset.row(int(data.position[number]))
    return Sample(
        key=row["key"],
        language=row["language"],
        tokens=tuple(dataset.phoneme_table.symbols(arrays["phonemes"])),
        line=line,
        codes=codes,
    )
