"""What the model speaks while it learns: some utterances at some steps, always the same ones.

    run/samples/reference/KEY.wav, KEY-prompt.wav      what the codec makes of recording and prompt
    run/samples/00001000/KEY-given.wav                 with the recording's durations and pitch
    run/samples/00001000/KEY-predicted.wav             with the model's own
    run/samples/00001000/KEY.png                       log-mel and F0 of all three

The averaged weights speak, from fixed noise. No random number of the training is touched: a step
seeds itself.

Letters for shapes: N phonemes, T frames, P prompt frames, Q quantizers, S samples.
"""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ns2.model.blocks.layers import length_mask
from ns2.model.codec.interface import Codec
from ns2.model.log_mel import LogMel
from ns2.model.tts.durations import round_durations
from ns2.model.tts.generation import Choices, Request, generate
from ns2.model.tts.ns2 import NS2
from ns2.pipeline.core.atomic import TEMPORARY, atomic_write
from ns2.pipeline.sound.pitch import extract_f0
from ns2.train.data.epochs import mixed
from ns2.train.data.selection import COLUMNS, DamageError, Data
from ns2.train.loop.board import Board
from ns2.train.run.names import SAMPLES
from ns2.train.speak.facts import facts_of
from ns2.train.speak.plot_versions import Version, as_png, draw_versions
from ns2.train.step.trainer import Trainer

_SEED = 0x50EE
_SECONDS = (1.5, 10.0)
"""Of utterances that are taken where there are enough of them."""
_LONGEST = 3.0
"""Times the recording's length that predicted durations may take."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """What is spoken, and by whose voice.

    Attributes:
        phonemes: ids, (N,).
        durations: frames, (N,), of the recording.
        f0: Hz, 0 where unvoiced, (T,), of the recording.
        codes: of the recording, (Q, T).
        prompt: codes (Q, P) of another utterance of the speaker, or of the first half of this one.
        seed: of the noise.
    """

    key: str
    phonemes: np.ndarray
    durations: np.ndarray
    f0: np.ndarray
    codes: np.ndarray
    prompt: np.ndarray
    seed: int


class Samples:
    """The samples of one run."""

    def __init__(
        self, trainer: Trainer, held_out: Data | None, codec: Codec, run: Path, board: Board
    ) -> None:
        """Choose what to speak.

        Args:
            held_out: utterances that are not trained on; None takes those that are.
        """
        config = trainer.config
        self._trainer, self._codec, self._board = trainer, codec, board
        self._folder = run / SAMPLES
        self._texts = choose(
            held_out or trainer.data,
            trainer.data,
            count=config.samples,
            longest=config.model.prompt.longest,
        )
        facts = facts_of(trainer.data.datasets)
        self._mel = LogMel(facts.mel_config())
        self._pitch = facts.pitch_config()

    def there(self, step: int) -> bool:
        """Whether those of a step have been made."""
        return (self._folder / f"{step:08d}").is_dir()

    def make(self) -> None:
        """Speak as the model does after the step that is done; the folder appears whole.

        Raises:
            RuntimeError, ValueError: the model's weights are no numbers any more, or there is not
                enough memory.
        """
        step, files = self._trainer.step, dict[str, bytes]()
        for text in self._texts:
            files.update(self._spoken(text, step))
        self._board.flush()
        folder, made = self._folder / f"{step:08d}", self._folder / f"{TEMPORARY}{step:08d}"
        for left in self._folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(left)
        made.mkdir(parents=True)
        for name, data in files.items():
            (made / name).write_bytes(data)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)

    def _spoken(self, text: Text, step: int) -> dict[str, bytes]:
        """The files of one text."""
        reference = self._reference(text)
        waves = {"reference": reference}
        for name, given in (("given", True), ("predicted", False)):
            latents = speak(self._trainer, text, given=given)
            waves[name] = self._codec.decode_latents(latents).detach().clamp(-1, 1)
        versions = [
            Version(
                name=name,
                mel=self._mel(wave).numpy(),
                f0=extract_f0(wave.numpy(), self._pitch),
            )
            for name, wave in waves.items()
        ]
        figure = draw_versions(versions, self._trainer.data.grid, self._mel.config)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
        self._board.image(f"samples/{text.key}", step, pixels)
        files = {f"{text.key}.png": as_png(figure)}
        for name in ("given", "predicted"):
            files[f"{text.key}-{name}.wav"] = self._packed(waves[name])
            self._board.audio(f"samples/{text.key}/{name}", step, waves[name], self._rate)
        return files

    def _reference(self, text: Text) -> Tensor:
        """What the codec makes of the recording (S,); written once, the prompt beside it."""
        folder = self._folder / "reference"
        folder.mkdir(parents=True, exist_ok=True)
        waves = []
        for name, codes in ((text.key, text.codes), (f"{text.key}-prompt", text.prompt)):
            wave = self._codec.decode(torch.from_numpy(codes.astype(np.int64))).detach()
            waves.append(wave.clamp(-1, 1))
            if not (folder / f"{name}.wav").is_file():
                with atomic_write(folder / f"{name}.wav") as file:
                    file.write(self._packed(waves[-1]))
        return waves[0]

    @property
    def _rate(self) -> int:
        return self._codec.spec.sample_rate

    def _packed(self, wave: Tensor) -> bytes:
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, wave.numpy(), self._rate, format="WAV", subtype="PCM_16")
        return buffer.getvalue()


def speak(trainer: Trainer, text: Text, *, given: bool) -> Tensor:
    """Latents (D, T) of a text by the averaged weights.

    Args:
        given: with the recording's durations and pitch; otherwise they are predicted.
    """
    device = trainer.ranks.device

    def one(values: np.ndarray, kind: torch.dtype) -> Tensor:
        return torch.from_numpy(np.array(values)).to(device, kind)[None]

    request = Request(
        phonemes=one(text.phonemes.astype(np.int64), torch.int64),
        tokens=torch.tensor([len(text.phonemes)], device=device),
        seeds=torch.tensor([text.seed], device=device),
        prompt_codes=one(text.prompt.astype(np.int32), torch.int32),
        prompt_frames=torch.tensor([text.prompt.shape[1]], device=device),
        durations=one(text.durations.astype(np.int64), torch.int64),
        f0=one(text.f0, torch.float32),
    )
    if not given:
        longest = _LONGEST * len(text.f0)
        durations = _predicted_durations(trainer.averaged, request, longest)
        request = replace(request, durations=durations, f0=None)
    made = generate(trainer.averaged, request, Choices(sampler=trainer.config.sampler))
    latents = made.latents[0, :, : int(made.frames[0])].float().cpu()
    if not bool(torch.isfinite(latents).all()):
        raise ValueError("the model speaks no numbers: its weights have gone astray")
    return latents


@torch.no_grad()
def _predicted_durations(model: NS2, request: Request, longest: float) -> Tensor:
    """Durations (1, N), spoken faster where they would be of more frames than that.

    What has hardly learned may say anything, and hours of speech would hold up the training.
    """
    assert request.prompt_codes is not None and request.prompt_frames is not None
    mask = length_mask(request.tokens, request.phonemes.shape[1])
    voice = model.voice(request.prompt_codes, request.prompt_frames)
    states = model.text(request.phonemes, mask)
    logs = model.duration_predictor(states, mask, voice.states, voice.mask)[..., 0]
    found = round_durations(logs, mask)
    speed = int(found.sum()) / longest
    return found if speed <= 1 else round_durations(logs, mask, speed=speed)


def choose(data: Data, trained: Data, *, count: int, longest: int) -> list[Text]:
    """Utterances to speak, drawn evenly, and a prompt for each.

    Args:
        data: they are of these.
        trained: prompts come from here where `data` has no other utterance of the speaker.
        count: of utterances, at most.
        longest: of a prompt, in frames.
    """
    order = np.argsort(mixed(_SEED, np.arange(len(data))), kind="stable")
    seconds = data.frames[order] / data.grid.frame_rate
    fits = (seconds >= _SECONDS[0]) & (seconds <= _SECONDS[1])
    order = np.concatenate([order[fits], order[~fits]])
    texts: dict[str, Text] = {}
    for number in order.tolist():
        if len(texts) == count:
            break
        try:
            texts.setdefault(data.key(number), _text(data, trained, number, longest))
        except DamageError:
            continue  # to listen is no reason to stop; training and validation tell of it
    return list(texts.values())


def _text(data: Data, trained: Data, number: int, longest: int) -> Text:
    arrays = {name: data.read(name, number, check=True) for name in COLUMNS}
    return Text(
        **arrays,
        key=data.key(number),
        prompt=_prompt(data, trained, number, arrays["codes"])[:, :longest],
        seed=int(mixed(_SEED, number, 1) >> np.uint64(1)),
    )


def _prompt(data: Data, trained: Data, number: int, codes: np.ndarray) -> np.ndarray:
    """Codes (Q, P) of the speaker."""
    other = data.other(number, _SEED)
    if other is not None:
        return np.asarray(data.read("codes", other, check=True))
    if data is not trained:
        names, of = data.speakers
        known, whose = trained.speakers
        who = names[int(of[number])]
        if who in known:
            theirs = np.flatnonzero(whose == known.index(who))
            if len(theirs):
                drawn = int(theirs[int(mixed(_SEED, number, 2)) % len(theirs)])
                return np.asarray(trained.read("codes", drawn, check=True))
    return codes[:, : max(1, codes.shape[1] // 2)]
