"""A trained run that speaks: text and a voice to audio.

    from ns2.train.speak.synthesizer import Synthesizer
    voice = Synthesizer.open("run")
    speech = voice.say("Hello there.", prompt="voice.wav")  # speech.wave, speech.sample_rate

Utterances of like length are spoken in one batch. How an utterance sounds depends on its own seed,
and not on the others.

Letters for shapes: N phonemes, T frames, P prompt frames, Q quantizers, S samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ns2.model.tts.choices import Choices
from ns2.model.tts.generation import Generated, encoded_prompt, generate
from ns2.model.tts.ns2 import NS2, Voice
from ns2.pipeline.core.cores import usable_cores
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.garbage import give_back
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PAD, PhonemeTable, with_silence
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.text.lexicon import Lexicon, held_together, take_phones
from ns2.pipeline.text.pronunciation import TextSettings, pronounce
from ns2.pipeline.text.tones import has_tones
from ns2.train.speak.facts import SpeechFacts, open_codec_of, read_lexicon, read_speech
from ns2.train.speak.joints import VOICE_LOUDNESS, Joints
from ns2.train.speak.lines import Line, Prompt, Speech, VoicePitch, batches, line_of, request_of
from ns2.train.speak.loading import load_model, pack
from ns2.train.speak.pieces import Piece, Said, pieces
from ns2.train.speak.recorded_prompt import VoiceStretch, voice_of
from ns2.train.speak.speaking import LONGEST_PAUSE, Precision, SpeakingOptions
from ns2.train.speak.voice_file import SUFFIX, load_voice
from ns2.train.speak.weights import LAST
from ns2.train.step.ranks import avoid_cudnn_attention, check_device, chosen_device
from ns2.train.step.repeated import compile_layers

if TYPE_CHECKING:
    from ns2.model.codec.interface import Codec


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
        bf16: bool = False,
        plain: bool = False,
    ) -> None:
        self.model = model.to(device).eval()
        if not plain:
            pack(self.model)
        self._bf16 = bf16
        self._heard: tuple[np.ndarray | None, Voice] | None = None
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
        precision: Precision = "auto",
        compiled: bool = False,
        plain: bool = False,
    ) -> Synthesizer:
        """Open a run to speak with its averaged weights (EMA).

        Args:
            run: the run's folder.
            device: the device to compute on: cpu, cuda or auto.
            codec: the name or file of the run's codec, where ns2 does not find it by itself.
            codec_weights: a file with EnCodec's weights, where ns2 does not find them by itself.
            weights: which weights speak, see `read_weights`.
            precision: bf16, fp32, or auto for bf16 on GPUs alone.
            compiled: have torch compile the layers, at their first use.
            plain: leave the model as it was trained, not laid out for its device.

        Raises:
            UserError: the folder is no run, it has no such weights, or its codec can't be opened.
        """
        run = Path(run)
        device = chosen_device(device)
        check_device(device)
        avoid_cudnn_attention()
        # see `Codec`: here, too, each length has kernels of its own, and few are used again
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
        facts, table = read_speech(run)
        model, step = load_model(run, weights)
        if compiled:
            compile_layers(model)
        return Synthesizer(
            model,
            open_codec_of(facts, codec, codec_weights),
            table,
            facts,
            lexicon=read_lexicon(run, table),
            device=device,
            step=step,
            plain=plain,
            bf16=precision == "bf16" or (precision == "auto" and device.startswith("cuda")),
        )

    @property
    def grid(self) -> FrameGrid:
        """The frame grid of latents, durations and pitch."""
        return FrameGrid(sample_rate=self.facts.sample_rate, hop_length=self.facts.hop_length)

    # -- what goes in ----------------------------------------------------------------------------

    def ids(self, text: str, language: str | None = None) -> np.ndarray:
        """The phoneme ids (N,) of a text, see `said`."""
        return self.said(text, language).ids

    def said(self, text: str, language: str | None = None) -> Said:
        """The phonemes and words of a text, pronounced as in preprocessing.

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
            return Said(ids=self.table.ids(spoken.tokens), words=spoken.words)
        except UtteranceError as error:
            raise UserError(str(error)) from error

    def ids_of_tokens(self, tokens: Sequence[str]) -> np.ndarray:
        """The phoneme ids (N,) of symbols; silence is added at both ends where it is missing.

        Raises:
            UserError: there are no symbols, or one is not in the phoneme table.
        """
        if not tokens:
            raise UserError("no phonemes are given: there is nothing to speak")
        if PAD in tokens:
            raise UserError(f"{PAD} stands for no sound: leave it out")
        try:
            return self.table.ids(with_silence(tokens))
        except UtteranceError as error:
            raise UserError(str(error)) from error

    def pieces(self, text: str, language: str | None = None) -> list[Piece]:
        """A text of any length in pieces that the model can speak at once.

        Raises:
            UserError: a part of the text can't be spoken; the message says why.
        """
        text = held_together(text)
        language = language or self.facts.language
        return pieces(text, lambda part: self.said(part, language), self.facts.longest, language)

    def lines(
        self,
        text: str,
        language: str | None = None,
        *,
        prompt: Prompt | np.ndarray | None = None,
        seed: int = 0,
    ) -> tuple[Line, ...]:
        """The lines that speak a text of any length, piece by piece, all in one voice.

        Args:
            text: the text to speak.
            language: see `said`.
            prompt: the voice; that of codes (Q, P) alone has the pitch that the model predicts.
            seed: of the noise.

        Raises:
            UserError: see `pieces`.
        """
        return tuple(
            line_of(one.ids, prompt, seed=seed, words=one.words, rest=one.rest)
            for one in self.pieces(text, language)
        )

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
        if any(path.suffix.lower() == SUFFIX for path in files):
            if len(files) > 1:
                raise UserError(f"a voice that was saved ({SUFFIX}) is a prompt alone")
            quantizers, entries, _ = self.model.codebooks.shape
            digest = self.facts.codec_digest
            codes, pitch = load_voice(files[0], digest, quantizers, entries)
            # a run that learned longer prompts may have kept it
            return Prompt(codes=codes[:, : self.model.config.prompt.longest], pitch=pitch)
        share = self.model.config.prompt.longest // len(files)
        stretches = [self._voice_in(path, max(1, share)) for path in files]
        f0 = np.concatenate([one.f0 for one in stretches])
        return Prompt(
            codes=np.concatenate([self.codes_of(one.wave) for one in stretches], axis=1),
            voiced_seconds=sum(one.voiced_seconds for one in stretches),
            pitch=VoicePitch.of(f0, len(f0) / self.grid.frame_rate),
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
        """The codes (Q, P) of a voice; of a long recording, those of a stretch typical of it.

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
        pause: float | None = None,
    ) -> Speech:
        """Speak a text of any length, which is cut at sentences and joined again.

        Args:
            text: the text to speak.
            prompt: a recording of the voice, or several; None for a random voice.
            choices: how to sample; None for the defaults.
            seed: of the noise, the same for all pieces of the text.
            language: see `said`.
            pause: see `speak_as_one`.

        Raises:
            UserError: the text or the prompt can't be used.
        """
        recordings = [prompt] if isinstance(prompt, str | Path) else prompt or []
        voice = self.prompt_of(*recordings) if recordings else None
        lines = self.lines(text, language, prompt=voice, seed=seed)
        return self.speak_as_one([lines], choices, pause)[0]

    def speak_as_one(
        self,
        texts: Sequence[Sequence[Line]],
        choices: Choices | None = None,
        pause: float | None = None,
    ) -> list[Speech]:
        """Speak texts, each of which is the lines of its pieces, with pauses between these.

        Args:
            pause: between sentences in seconds; None for what the model makes within pieces.

        Raises:
            UserError: the pause is none from 0 to `LONGEST_PAUSE`.
        """
        if pause is not None and not 0 <= pause <= LONGEST_PAUSE:
            raise UserError(f"a pause has to be from 0 to {LONGEST_PAUSE} seconds, got {pause:g}")
        texts = self.in_one_voice(texts, choices)
        spoken = iter(self.speak([line for lines in texts for line in lines], choices))
        return [
            self.joints(lines, pause).all([(next(spoken), line.rest) for line in lines])
            for lines in texts
        ]

    def joints(self, lines: Sequence[Line], pause: float | None = None) -> Joints:
        """What joins the pieces of one text, see `speak_as_one`."""
        loudness = None if lines[0].voice_pitch is None else VOICE_LOUDNESS
        return Joints(self.table, self.grid, pause, loudness)

    def in_one_voice(
        self, texts: Sequence[Sequence[Line]], choices: Choices | None = None
    ) -> list[Sequence[Line]]:
        """Give texts of several pieces without a prompt the voice that their first piece gets."""
        bare = [i for i, lines in enumerate(texts) if len(lines) > 1 and lines[0].prompt is None]
        found = list(texts)
        for i, first in zip(bare, self.speak([texts[i][0] for i in bare], choices), strict=True):
            voice = self.encode_prompt(first.wave, first.sample_rate)
            rest = [replace(line, prompt=voice) for line in texts[i][1:]]
            found[i] = [texts[i][0], *rest]
        return found

    def speak(self, lines: Sequence[Line], choices: Choices | None = None) -> list[Speech]:
        """Speak utterances; the speech is in the order of `lines`."""
        found = dict(self.speak_in_turn(lines, choices))
        return [found[i] for i in range(len(lines))]

    def speak_in_turn(
        self, lines: Sequence[Line], choices: Choices | None = None
    ) -> Iterator[tuple[int, Speech]]:
        """Speak utterances in batches of like length, the longest first.

        Yields:
            the position of an utterance in `lines`, and its speech, batch by batch.
        """
        for batch in batches(lines):
            made = self._generated([lines[i] for i in batch], choices)
            for row, i in enumerate(batch):
                yield i, self._speech(lines[i], made, row)
            give_back()  # batches differ in length, and memory grew by 0.5 MB with each line

    def _generated(self, lines: Sequence[Line], choices: Choices | None) -> Generated:
        """The latents of a batch; a voice that all of it shares is encoded once."""
        prompt = lines[0].prompt
        with torch.autocast(self.device, torch.bfloat16, enabled=self._bf16):
            shared = all(line.prompt is prompt for line in lines)
            request = request_of(lines, self.device, self._voice(prompt) if shared else None)
            return generate(self.model, request, choices or SpeakingOptions().choices())

    @torch.no_grad()
    def _voice(self, prompt: np.ndarray | None) -> Voice:
        """The encoded prompt (Q, P), of one row; that of the last call is kept."""
        if self._heard is None or self._heard[0] is not prompt:
            request = request_of([Line(phonemes=np.zeros(1), prompt=prompt)], self.device)
            self._heard = prompt, encoded_prompt(self.model, request)
        return self._heard[1]

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
            words=line.words,
        )
