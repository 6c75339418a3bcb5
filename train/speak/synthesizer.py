"""A trained run that speaks: text and a voice to audio.

    from ns2.train.synthesis import Synthesizer
    voice = Synthesizer.open("run")
    speech = voice.say("Hello there.", prompt="voice.wav")  # speech.wave, speech.sample_rate

Utterances of like length are spoken together; what one sounds like depends on its own seed alone.

Letters for shapes: N phonemes, T frames, P prompt frames, D latent width, Q quantizers, S samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ns2.model.config_values import from_values
from ns2.model.tts.generation import Choices, Generated, Request, generate
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import Sizes
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.run.names import CONFIG, WEIGHTS
from ns2.train.run.settings import TrainConfig
from ns2.train.speak.facts import SpeechFacts, open_codec_of, read_speech
from ns2.train.speak.pieces import pieces
from ns2.train.step.ranks import check_device

if TYPE_CHECKING:
    from ns2.model.codec.interface import Codec


_TOGETHER = 16
"""Utterances that are spoken at once, at most."""
_LIKE = 0.6
"""The shortest of those has at least this share of the longest's phonemes."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One utterance to speak.

    Attributes:
        phonemes: ids, (N,).
        seed: of its noise.
        prompt: codes of the voice, (Q, P); None for a voice by chance.
        durations: in frames, (N,); None predicts them.
        f0: Hz, 0 where unvoiced, (T,), T the sum of durations; None predicts it.
    """

    phonemes: np.ndarray
    seed: int = 0
    prompt: np.ndarray | None = None
    durations: np.ndarray | None = None
    f0: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Speech:
    """What was spoken.

    Attributes:
        wave: (S,) float32, S = T * hop length.
        sample_rate: Hz.
        phonemes: ids, (N,).
        durations: frames, (N,).
        f0: what was asked of the denoiser, Hz, (T,).
    """

    wave: np.ndarray
    sample_rate: int
    phonemes: np.ndarray
    durations: np.ndarray
    f0: np.ndarray

    @property
    def seconds(self) -> float:
        """Of audio."""
        return len(self.wave) / self.sample_rate


class Synthesizer:
    """A model, its codec and its phonemes."""

    def __init__(
        self,
        model: NS2,
        codec: Codec,
        table: PhonemeTable,
        facts: SpeechFacts,
        *,
        device: str = "cpu",
    ) -> None:
        self.model = model.to(device).eval()
        codec.to(device)
        self.codec, self.table, self.facts, self.device = codec, table, facts, device

    @staticmethod
    def open(
        run: str | Path,
        device: str = "cpu",
        codec: str | None = None,
        codec_weights: Path | None = None,
    ) -> Synthesizer:
        """A run's averaged weights, ready to speak.

        Args:
            codec, codec_weights: where ns2 does not find the run's codec by itself.

        Raises:
            UserError: it is no run, has no weights yet, or its codec can't be had.
        """
        run = Path(run)
        check_device(device)
        facts, table = read_speech(run)
        model = load_model(run)
        return Synthesizer(
            model, open_codec_of(facts, codec, codec_weights), table, facts, device=device
        )

    @property
    def grid(self) -> FrameGrid:
        """Of latents, durations and pitch."""
        return FrameGrid(sample_rate=self.facts.sample_rate, hop_length=self.facts.hop_length)

    # -- what goes in ----------------------------------------------------------------------------

    def ids(self, text: str, language: str | None = None) -> np.ndarray:
        """Phoneme ids (N,) of a text, as preprocessing gives them.

        Raises:
            UserError: it can't be spoken; the message says why.
        """
        if self.facts.aligner == "textgrid":
            raise UserError(
                "this run learned the phones of TextGrids, which texts do not give: name its "
                "phonemes with --phonemes"
            )
        try:
            return self.table.ids(pronounce(text, language or self.facts.language).tokens)
        except UtteranceError as error:
            raise UserError(str(error)) from error

    def ids_of_tokens(self, tokens: Sequence[str]) -> np.ndarray:
        """Phoneme ids (N,) of symbols, silence put at both ends where it is missing.

        Raises:
            UserError: the table does not hold one.
        """
        if not tokens:
            raise UserError("no phonemes are given: there is nothing to speak")
        try:
            ids = self.table.ids(tokens)
            silence = self.table.ids(["<sil>"])
        except UtteranceError as error:
            raise UserError(str(error)) from error
        before = [] if len(ids) and ids[0] == silence[0] else [silence]
        behind = [] if len(ids) and ids[-1] == silence[0] else [silence]
        return np.concatenate([*before, ids, *behind])

    def pieces(self, text: str, language: str | None = None) -> list[np.ndarray]:
        """A text of any length as ids of pieces that are no longer than what was learned."""
        return pieces(text, lambda part: self.ids(part, language), self.facts.longest)

    def read_prompt(self, path: str | Path) -> np.ndarray:
        """The codes (Q, P) of a recording of any format, rate and length.

        Raises:
            UserError: it can't be used; the message says why.
        """
        try:
            wave, rate = read_audio(path)
        except UtteranceError as error:
            raise UserError(f"the prompt {path}: {error}") from error
        return self.encode_prompt(wave, rate)

    def encode_prompt(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """The codes (Q, P) of a voice; of a long recording its loudest stretch.

        Args:
            wave: (S,) float32.
            rate: Hz.
        """
        wave = resample(wave, rate, self.facts.sample_rate)
        longest = self.model.config.prompt.longest * self.facts.hop_length
        if len(wave) > longest:
            energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
            first = int(np.argmax(energy[longest:] - energy[:-longest]))
            wave = wave[first : first + longest]
        codes = self.codec.encode(torch.from_numpy(wave).to(self.device))
        return codes.cpu().numpy()

    # -- what comes out --------------------------------------------------------------------------

    def say(
        self,
        text: str,
        *,
        prompt: str | Path | None = None,
        choices: Choices | None = None,
        seed: int = 0,
        language: str | None = None,
    ) -> Speech:
        """Speak a text of any length: cut at sentences, spoken, joined.

        Raises:
            UserError: text or prompt can't be used.
        """
        codes = None if prompt is None else self.read_prompt(prompt)
        lines = [
            Line(phonemes=ids, seed=seed + i, prompt=codes)
            for i, ids in enumerate(self.pieces(text, language))
        ]
        return joined(self.speak(lines, choices))

    def speak(self, lines: Sequence[Line], choices: Choices | None = None) -> list[Speech]:
        """Speak utterances, in order."""
        found: dict[int, Speech] = {}
        for group in _groups(lines):
            request = self._request([lines[i] for i in group])
            made = generate(self.model, request, choices)
            for row, i in enumerate(group):
                found[i] = self._speech(lines[i], made, row)
        return [found[i] for i in range(len(lines))]

    def _request(self, lines: Sequence[Line]) -> Request:
        def tensor(values: Sequence[np.ndarray | None], dtype: torch.dtype) -> torch.Tensor | None:
            arrays = [np.zeros(0) if v is None else np.asarray(v) for v in values]
            if all(v is None for v in values):
                return None
            size = max(1, max(a.shape[-1] for a in arrays))
            shape = next(np.shape(v)[:-1] for v in values if v is not None)
            out = torch.zeros(len(arrays), *shape, size, dtype=dtype)
            for row, array in zip(out, arrays, strict=True):
                if array.size:
                    row[..., : array.shape[-1]] = torch.from_numpy(array.astype(np.float64)).to(
                        dtype
                    )
            return out.to(self.device)

        phonemes = tensor([line.phonemes for line in lines], torch.int64)
        assert phonemes is not None
        lengths = [0 if line.prompt is None else line.prompt.shape[1] for line in lines]
        return Request(
            phonemes=phonemes,
            tokens=torch.tensor([len(line.phonemes) for line in lines], device=self.device),
            seeds=torch.tensor([line.seed for line in lines]),
            prompt_codes=tensor([line.prompt for line in lines], torch.int32),
            prompt_frames=torch.tensor(lengths, device=self.device),
            durations=tensor([line.durations for line in lines], torch.int64),
            f0=tensor([line.f0 for line in lines], torch.float32),
        )

    def _speech(self, line: Line, made: Generated, row: int) -> Speech:
        assert made.durations is not None and made.f0 is not None
        frames, tokens = int(made.frames[row]), len(line.phonemes)
        with torch.inference_mode():
            wave = self.codec.decode_latents(made.latents[row, :, :frames])
        return Speech(
            wave=wave.float().cpu().numpy(),
            sample_rate=self.facts.sample_rate,
            phonemes=np.asarray(line.phonemes),
            durations=made.durations[row, :tokens].cpu().numpy(),
            f0=made.f0[row, :frames].float().cpu().numpy(),
        )


def joined(parts: Sequence[Speech]) -> Speech:
    """Utterances one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return replace(
        first,
        wave=np.concatenate([p.wave for p in parts]),
        phonemes=np.concatenate([p.phonemes for p in parts]),
        durations=np.concatenate([p.durations for p in parts]),
        f0=np.concatenate([p.f0 for p in parts]),
    )


def load_model(run: Path) -> NS2:
    """The model of a run, with averaged weights.

    Raises:
        UserError: it is no run, or has no weights yet.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        values = json.loads((run / CONFIG).read_text("utf-8"))
        config = from_values(TrainConfig, values)
    except FileNotFoundError as error:
        raise UserError(f"{run} is no run of `ns2 train`: it has no {CONFIG}") from error
    except ValueError as error:
        raise UserError(f"{run / CONFIG} can't be read: {error}") from error
    try:
        weights = load_file(run / WEIGHTS)
    except FileNotFoundError as error:
        raise UserError(
            f"{run} has no {WEIGHTS} yet: it is written with the first checkpoint"
        ) from error
    except SafetensorError as error:
        raise UserError(f"{run / WEIGHTS} is damaged: {error}") from error
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise UserError(f"{run / WEIGHTS} holds numbers that are none: training has gone astray")
    if not config.model.conditional:
        raise UserError(f"{run} is a model without text: it can't speak")
    quantizers, entries, latent_dim = weights["codebooks"].shape
    sizes = Sizes(
        latent_dim=latent_dim,
        quantizers=quantizers,
        entries=entries,
        phonemes=len(weights["phone_of"]),
        phones=len(weights["phone.weight"]),
    )
    model = NS2(config.model, sizes)
    model.load_state_dict(weights)
    return model


def _groups(lines: Sequence[Line]) -> Iterator[list[int]]:
    """Numbers of lines that are spoken together: of like length, with the same things given."""
    order = sorted(
        range(len(lines)),
        key=lambda i: (
            lines[i].durations is None,
            lines[i].f0 is None,
            -len(lines[i].phonemes),
            i,
        ),
    )
    group: list[int] = []
    for i in order:
        if group:
            first, line = lines[group[0]], lines[i]
            alike = (first.durations is None) == (line.durations is None)
            alike &= (first.f0 is None) == (line.f0 is None)
            alike &= len(line.phonemes) >= _LIKE * len(first.phonemes)
            if not alike or len(group) == _TOGETHER:
                yield group
                group = []
        group.append(i)
    if group:
        yield group
