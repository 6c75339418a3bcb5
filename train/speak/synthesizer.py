"""A trained run that speaks: text and a voice to audio.

    from ns2.train.speak.synthesizer import Synthesizer
    voice = Synthesizer.open("run")
    speech = voice.say("Hello there.", prompt="voice.wav")  # speech.wave, speech.sample_rate

Utterances of like length are spoken in one batch. How an utterance sounds depends on its own seed,
and not on the others.

Letters for shapes: N phonemes, T frames, P prompt frames, Q quantizers, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ns2.model.config_values import from_values, to_values
from ns2.model.tts.choices import Choices
from ns2.model.tts.generation import Generated, generate
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import NS2Config, Sizes
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable, with_silence
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.text.lexicon import Lexicon, held_together, take_phones
from ns2.pipeline.text.pronunciation import TextSettings, pronounce
from ns2.pipeline.text.tones import has_tones
from ns2.train.run.names import CONFIG
from ns2.train.run.settings import TrainConfig
from ns2.train.speak.facts import SpeechFacts, open_codec_of, read_lexicon, read_speech
from ns2.train.speak.lines import Line, Speech, batches, joined, request_of
from ns2.train.speak.pieces import pieces
from ns2.train.speak.recorded_prompt import VoiceStretch, voice_of
from ns2.train.speak.voice_file import SUFFIX, load_voice
from ns2.train.speak.weights import LAST, read_weights
from ns2.train.step.ranks import avoid_cudnn_attention, check_device, chosen_device

if TYPE_CHECKING:
    from ns2.model.codec.interface import Codec

_COUNTS = ("layers", "depth")
"""The settings that count layers, each of which has tensors of its own."""
_WIDEST = 1 << 20
"""The most that any other whole number among a model's settings may be."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The voice that a model speaks in.

    Attributes:
        codes: (Q, P).
        voiced_seconds: the time with a voice in it; None where it is not known.
    """

    codes: np.ndarray
    voiced_seconds: float | None = None


class Synthesizer:
    """A model with its codec and its phoneme table.

    Attributes:
        step: the training step that the model's weights are of, where it is known.
    """

    def __init__(
        self,
        model: NS2,
        codec: Codec,
        table: PhonemeTable,
        facts: SpeechFacts,
        *,
        lexicon: Lexicon | None = None,
        device: str = "cpu",
        step: int | None = None,
    ) -> None:
        self.model = model.to(device).eval()
        codec.to(device)
        self.step = step
        self.codec, self.table, self.facts, self.device = codec, table, facts, device
        self._settings = TextSettings(lexicon=lexicon, g2p=facts.g2p, tones=has_tones(table.phones))

    @staticmethod
    def open(
        run: str | Path,
        device: str = "cpu",
        codec: str | None = None,
        codec_weights: Path | None = None,
        weights: str = LAST,
    ) -> Synthesizer:
        """Open a run to speak with its averaged weights (EMA).

        Args:
            run: the run's folder.
            device: the device to compute on: cpu, cuda or auto.
            codec: the name or file of the run's codec, where ns2 does not find it by itself.
            codec_weights: a file with EnCodec's weights, where ns2 does not find them by itself.
            weights: which weights speak, see `read_weights`.

        Raises:
            UserError: the folder is no run, it has no such weights, or its codec can't be opened.
        """
        run = Path(run)
        device = chosen_device(device)
        check_device(device)
        avoid_cudnn_attention()
        facts, table = read_speech(run)
        model, step = load_model(run, weights)
        return Synthesizer(
            model,
            open_codec_of(facts, codec, codec_weights),
            table,
            facts,
            lexicon=read_lexicon(run, table),
            device=device,
            step=step,
        )

    @property
    def grid(self) -> FrameGrid:
        """The frame grid of latents, durations and pitch."""
        return FrameGrid(sample_rate=self.facts.sample_rate, hop_length=self.facts.hop_length)

    # -- what goes in ----------------------------------------------------------------------------

    def ids(self, text: str, language: str | None = None) -> np.ndarray:
        """The phoneme ids (N,) of a text, pronounced as in preprocessing.

        Args:
            text: a text that is short enough for one utterance; within [[ ]] it may have phones,
                which are spoken as they are.
            language: an espeak-ng voice; None takes the one of most utterances of the dataset.

        Raises:
            UserError: the text can't be spoken; the message says why.
        """
        if self.facts.aligner == "textgrid":
            raise UserError(
                "this run was trained on the phones of TextGrids, which can't be derived from a "
                "text: give phonemes with --phonemes"
            )
        try:
            plain, phones = take_phones(text, self.table)
            spoken = pronounce(plain, language or self.facts.language, self._settings, phones)
            return self.table.ids(spoken.tokens)
        except UtteranceError as error:
            raise UserError(str(error)) from error

    def ids_of_tokens(self, tokens: Sequence[str]) -> np.ndarray:
        """The phoneme ids (N,) of symbols; silence is added at both ends where it is missing.

        Raises:
            UserError: there are no symbols, or one is not in the phoneme table.
        """
        if not tokens:
            raise UserError("no phonemes are given: there is nothing to speak")
        try:
            return self.table.ids(with_silence(tokens))
        except UtteranceError as error:
            raise UserError(str(error)) from error

    def pieces(self, text: str, language: str | None = None) -> list[np.ndarray]:
        """The phoneme ids of a text of any length, in pieces that the model can speak at once.

        Raises:
            UserError: a part of the text can't be spoken; the message says why.
        """
        text = held_together(text)
        language = language or self.facts.language
        return pieces(text, lambda part: self.ids(part, language), self.facts.longest, language)

    def read_prompt(self, *paths: str | Path) -> np.ndarray:
        """The codes (Q, P) of recordings of a voice, of any format, sampling rate and length.

        Args:
            paths: the recordings; or a voice that `save_voice` wrote.

        Raises:
            UserError: a recording can't be used, or has no voice; the message says why.
        """
        return self.prompt_of(*paths).codes

    def prompt_of(self, *paths: str | Path) -> Prompt:
        """The prompt of recordings of a voice, see `read_prompt`."""
        files = [Path(path) for path in paths]
        if any(path.suffix == SUFFIX for path in files):
            if len(files) > 1:
                raise UserError(f"a voice that was saved ({SUFFIX}) is a prompt alone")
            quantizers, entries, _ = self.model.codebooks.shape
            digest = self.facts.codec_digest
            return Prompt(codes=load_voice(files[0], digest, quantizers, entries))
        share = self.model.config.prompt.longest // len(files)
        stretches = [self._voice_in(path, max(1, share)) for path in files]
        return Prompt(
            codes=np.concatenate([self.codes_of(one.wave) for one in stretches], axis=1),
            voiced_seconds=sum(one.voiced_seconds for one in stretches),
        )

    def _voice_in(self, path: Path, longest: int) -> VoiceStretch:
        """The voice in a recording, `longest` frames of it at most."""
        try:
            wave, rate = read_audio(path)
        except UtteranceError as error:
            raise UserError(f"the prompt {path}: {error}") from error
        found = voice_of(resample(wave, rate, self.facts.sample_rate), self.grid, longest)
        if not found.voiced_seconds:
            raise UserError(
                f"the prompt {path} has no voice in it: give a recording of somebody who speaks"
            )
        return found

    def encode_prompt(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """The codes (Q, P) of a voice; of a long recording those of the stretch with most voice.

        Args:
            wave: (S,) float32.
            rate: the sampling rate in Hz.
        """
        wave = resample(wave, rate, self.facts.sample_rate)
        return self.codes_of(voice_of(wave, self.grid, self.model.config.prompt.longest).wave)

    def codes_of(self, wave: np.ndarray) -> np.ndarray:
        """The codes (Q, P) of a wave (S,) at the codec's rate."""
        codes = self.codec.encode(torch.from_numpy(wave).to(self.device))
        return np.asarray(codes.cpu().numpy())

    def decoded(self, codes: np.ndarray) -> np.ndarray:
        """The wave (S,) that the codec makes of codes (Q, T), at its own rate."""
        with torch.inference_mode():
            wave = self.codec.decode(torch.from_numpy(codes).to(self.codec.codebooks.device))
        return np.asarray(wave.float().cpu().numpy())

    # -- what comes out --------------------------------------------------------------------------

    def say(
        self,
        text: str,
        *,
        prompt: str | Path | Sequence[str | Path] | None = None,
        choices: Choices | None = None,
        seed: int = 0,
        language: str | None = None,
    ) -> Speech:
        """Speak a text of any length, which is cut at sentences and joined again.

        Args:
            text: the text to speak.
            prompt: a recording of the voice, or several; None for a random voice.
            choices: how to sample; None for the defaults.
            seed: of the noise; each further piece of the text has the next seed.
            language: see `ids`.

        Raises:
            UserError: the text or the prompt can't be used.
        """
        recordings = [prompt] if isinstance(prompt, str | Path) else prompt or []
        codes = self.read_prompt(*recordings) if recordings else None
        lines = [
            Line(phonemes=ids, seed=seed + i, prompt=codes)
            for i, ids in enumerate(self.pieces(text, language))
        ]
        return joined(self.speak(lines, choices))

    def speak(self, lines: Sequence[Line], choices: Choices | None = None) -> list[Speech]:
        """Speak utterances; the speech is in the order of `lines`."""
        found: dict[int, Speech] = {}
        for batch in batches(lines):
            request = request_of([lines[i] for i in batch], self.device)
            made = generate(self.model, request, choices)
            for row, i in enumerate(batch):
                found[i] = self._speech(lines[i], made, row)
        return [found[i] for i in range(len(lines))]

    def _speech(self, line: Line, made: Generated, row: int) -> Speech:
        """The speech of a line, which is a row of what was generated."""
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


def load_model(run: Path, which: str = LAST) -> tuple[NS2, int | None]:
    """Load the model of a run with averaged weights (EMA).

    Args:
        which: which weights, see `read_weights`.

    Returns:
        the model, and the training step of its weights, where it is known.

    Raises:
        UserError: the folder is no run, or its weights are missing or can't be used.
    """
    # The settings say how the model is built.
    try:
        config = from_values(TrainConfig, read_json(run / CONFIG))
    except FileNotFoundError as error:
        raise UserError(f"{run} is no run of `ns2 train`: it has no {CONFIG}") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{run / CONFIG} can't be read: {error}") from error

    found = read_weights(run, which)
    weights = found.tensors
    if not config.model.conditional:
        raise UserError(f"{run} is an unconditional model, which can't speak a text")

    # The sizes that the dataset decided are those of the weights.
    try:
        quantizers, entries, latent_dim = weights["codebooks"].shape
        sizes = Sizes(
            latent_dim=latent_dim,
            quantizers=quantizers,
            entries=entries,
            phonemes=len(weights["phone_of"]),
            phones=len(weights["phone.weight"]),
        )
        _check_fits(config.model, sizes, weights)
        model = NS2(config.model, sizes)
        model.load_state_dict(weights)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{found.path} and {CONFIG} do not go together: {error}") from error
    return model, found.step


def _check_fits(config: NS2Config, sizes: Sizes, weights: Mapping[str, Tensor]) -> None:
    """See that weights are those of a config before anything of their size is allocated.

    Raises:
        ValueError: they are not.
    """
    for name, value in _numbers(to_values(config)):
        if value > (len(weights) if name in _COUNTS else _WIDEST):
            raise ValueError(f"{name} is {value}, which no model with these weights has")
    with torch.device("meta"):  # sizes without memory
        expected = {name: tuple(one.shape) for name, one in NS2(config, sizes).state_dict().items()}
    found = {name: tuple(one.shape) for name, one in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(f"{name} is {found.get(name)}, expected {expected.get(name)}")


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Names and values of all whole numbers in a config."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, int):
            yield name, value
