"""Pieces of a text joined to one speech, with pauses between them like those within.

A model makes nearly no pause at the ends of what it speaks at once, or one of any length, as the
recordings were cut. So silence at joints is cut or filled up to the length that is wanted. Where
silence lies is known from the durations; frames are never stretched.

Letters for shapes: N phonemes, T frames, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ns2.pipeline.core.schema import SILENCE, FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.quality.lufs import loudness_of_speech
from ns2.train.speak.lines import Speech, joined

_ENDS = frozenset(".?!…。？！।؟")
"""Marks behind which a sentence ends."""
_USUAL = 0.4
"""Seconds between sentences where the model has made no pause to go by."""
_SHORTEST, _LONGEST = 0.15, 1.5
"""The bounds in seconds of pauses that the model decides."""
_STEADY = 1.0
"""Seconds of voice from which on a piece's level is one to go by."""
_MOST_GAIN = 6.0
"""The most dB by which a piece is made louder or quieter to be as loud as the first one."""
_MOST_LOUDER = 12.0
"""The most dB by which a piece is made louder where a loudness is given."""
VOICE_LOUDNESS = -24.0
"""The loudness that a known voice gets, in LUFS: what is louder reaches full scale with some."""
_FADE = 0.005
"""Seconds of the fades at places where silence is cut or filled in."""


class Joints:
    """Joins the pieces of one text, one after the other, as they are spoken."""

    def __init__(
        self,
        table: PhonemeTable,
        grid: FrameGrid,
        pause: float | None = None,
        loudness: float | None = None,
    ) -> None:
        """Begin with the first piece.

        Args:
            table: the phoneme table of the pieces.
            grid: their frame grid.
            pause: the pause between sentences in seconds, also within pieces; None for as long as
                the model makes it within pieces, and then those stay as they are.
            loudness: of all pieces, in LUFS; None for the level of the first piece.
        """
        self._grid, self._pause = grid, pause
        self._silent = frozenset(table.ids(sorted(table.optional)).tolist())
        self._ends = frozenset(table.ids(sorted(_ENDS & table.optional)).tolist())
        self._silence = int(table.ids([SILENCE])[0])
        self._made: list[int] = []
        self._loudness = loudness
        self._level: float | None = None
        self._held: tuple[Speech, float] | None = None

    def all(self, spoken: Sequence[tuple[Speech, float]]) -> Speech:
        """Join pieces, each with the pause behind it, see `add`."""
        parts = [self.add(speech, rest) for speech, rest in spoken]
        return joined([*parts, self.last()])

    def add(self, speech: Speech, rest: float) -> Speech:
        """Go on with a piece; the silence at its end is held back until the next one comes.

        Args:
            rest: the pause behind it, in pauses between sentences.

        Returns:
            what can be heard now: the pause before the piece, and the piece up to its last sound.
        """
        self._made += self._pauses_in(speech)
        speech = self._at_one_level(speech)
        parts = [speech] if self._pause is None else list(self._sentences(speech))
        heard = [self._next(part, 1.0) for part in parts[:-1]]
        return joined([*heard, self._next(parts[-1], rest)])

    def last(self) -> Speech:
        """The silence at the end of the last piece."""
        assert self._held is not None, "no piece was added"
        return self._held[0]

    def _at_one_level(self, speech: Speech) -> Speech:
        """A piece at the level of all: a model varies it from one to the next and by the prompt."""
        if self._loudness is not None:
            return self._as_loud(speech, self._loudness)
        voiced = np.repeat(speech.f0 > 0, self._grid.hop_length)
        if not voiced.any():
            return speech
        power = float(np.square(speech.wave[voiced], dtype=np.float64).mean())
        level = 10 * float(np.log10(power + 1e-12))
        if self._level is None:
            steady = voiced.sum() >= _STEADY * self._grid.sample_rate
            self._level = level if steady else None
            return speech
        gain = float(np.clip(self._level - level, -_MOST_GAIN, _MOST_GAIN))
        return replace(speech, wave=_louder(speech.wave, gain))

    def _as_loud(self, speech: Speech, loudness: float) -> Speech:
        """A piece with a loudness, or nearer to it, where it has a voice.

        It is that of all of it, not the level of voiced frames: a prompt that is clipped or has no
        high frequencies gives speech whose other sounds are as much louder or quieter.
        """
        if not (speech.f0 > 0).any():
            return speech
        found = loudness_of_speech(speech.wave, self._grid.sample_rate)
        if found is None:
            return speech
        gain = min(loudness - found, _MOST_LOUDER)
        return replace(speech, wave=_louder(speech.wave, gain))

    def _next(self, speech: Speech, rest: float) -> Speech:
        lead, end = self._sounding(speech)
        body, tail = _cut_at(speech, len(speech.phonemes) - end)
        if not len(tail.wave):
            body = replace(body, wave=self._faded(body.wave, out=True))
        before = self._held
        self._held = tail, rest
        if before is None:
            return body
        wanted = max(1, round(self._between(before[1]) * before[1]))
        kept = min(int(body.durations[:lead].sum()), wanted // 3)
        silence = self._lasting(before[0], wanted - kept)
        body = self._from_end_of_lead(body, lead, kept)
        return joined([silence, replace(body, wave=self._faded(body.wave, out=False))])

    def _between(self, rest: float) -> float:
        """The frames between two sentences, for a joint where `rest` of that is the pause.

        The pause that is asked for is one between sentences: where a sentence had to be cut it
        would part words that belong together, so it is only an upper bound there.
        """
        rate = self._grid.frame_rate
        asked = None if self._pause is None else self._pause * rate
        if asked is not None and rest >= 1:
            return asked
        usual = float(np.median(self._made)) if self._made else _USUAL * rate
        usual = min(max(usual, _SHORTEST * rate), _LONGEST * rate)
        return usual if asked is None else min(usual, asked)

    def _sounding(self, speech: Speech) -> tuple[int, int]:
        """The numbers of silent tokens at the beginning and at the end."""
        silent = [int(i) in self._silent for i in speech.phonemes]
        if all(silent):
            return 0, 0
        return silent.index(False), silent[::-1].index(False)

    def _runs(self, speech: Speech) -> Iterator[tuple[int, int]]:
        """The runs of silent tokens within a piece that end a sentence: first and end token."""
        lead, end = self._sounding(speech)
        last = len(speech.phonemes) - end
        first = lead
        while first < last:
            behind = first
            while behind < last and int(speech.phonemes[behind]) in self._silent:
                behind += 1
            if any(int(i) in self._ends for i in speech.phonemes[first:behind]):
                yield first, behind
            first = max(behind, first + 1)

    def _pauses_in(self, speech: Speech) -> list[int]:
        """The frames of each pause between sentences within a piece; those of no frame are none."""
        found = (int(speech.durations[first:end].sum()) for first, end in self._runs(speech))
        return [frames for frames in found if frames]

    def _sentences(self, speech: Speech) -> Iterator[Speech]:
        """A piece cut in the middle of each pause between its sentences."""
        done = 0
        for first, end in list(self._runs(speech)):
            part, speech = _cut_at(speech, end - done)
            half = int(part.durations[first - done :].sum()) // 2
            ended, began = _split_frames(part, int(part.durations.sum()) - half)
            yield ended
            silence = np.array([self._silence])
            lead = replace(began, phonemes=silence, durations=np.array([half]), words=())
            speech = joined([lead, speech])
            done = end - 1  # since a token came in front
        yield speech

    def _lasting(self, silence: Speech, frames: int) -> Speech:
        """Silence with so many frames: its end is cut, or filled up with zeros, and faded out."""
        kept, _ = _split_frames(silence, frames)
        more = frames - int(kept.durations.sum())
        filled = Speech(
            wave=np.zeros(more * self._grid.hop_length, np.float32),
            sample_rate=silence.sample_rate,
            phonemes=np.array([self._silence]),
            durations=np.array([more]),
            f0=np.zeros(more, np.float32),
        )
        return joined([replace(kept, wave=self._faded(kept.wave, out=True)), filled])

    def _from_end_of_lead(self, body: Speech, lead: int, kept: int) -> Speech:
        """A piece of whose silence at the beginning the last frames are kept."""
        frames = int(body.durations[:lead].sum()) - kept
        durations = body.durations.copy()
        for i in range(lead):
            cut = min(frames, int(durations[i]))
            durations[i] -= cut
            frames -= cut
        gone = int(body.durations.sum() - durations.sum())
        wave = body.wave[gone * self._grid.hop_length :]
        return replace(body, wave=wave, f0=body.f0[gone:], durations=durations)

    def _faded(self, wave: np.ndarray, *, out: bool) -> np.ndarray:
        """A wave (S,) whose end is faded out, or whose beginning is faded in."""
        wave = wave.copy()
        fade = min(len(wave), round(_FADE * self._grid.sample_rate))
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        if out:
            wave[len(wave) - fade :] *= ramp[::-1]
        else:
            wave[:fade] *= ramp
        return wave


def _louder(wave: np.ndarray, decibels: float) -> np.ndarray:
    """A wave (S,) that is so many dB louder."""
    return np.asarray(wave * np.float32(10 ** (decibels / 20)))


def _cut_at(speech: Speech, token: int) -> tuple[Speech, Speech]:
    """Speech before a token and from it on; a word across the cut belongs to the first part."""
    frames = int(speech.durations[:token].sum())
    samples = frames * _hop(speech)
    first = replace(
        speech,
        wave=speech.wave[:samples],
        phonemes=speech.phonemes[:token],
        durations=speech.durations[:token],
        f0=speech.f0[:frames],
        words=tuple((w, a, min(b, token)) for w, a, b in speech.words if a < token),
    )
    second = replace(
        speech,
        wave=speech.wave[samples:],
        phonemes=speech.phonemes[token:],
        durations=speech.durations[token:],
        f0=speech.f0[frames:],
        words=tuple((w, a - token, b - token) for w, a, b in speech.words if a >= token),
    )
    return first, second


def _split_frames(speech: Speech, frames: int) -> tuple[Speech, Speech]:
    """The first frames of speech with all of its tokens, and the others, with their durations."""
    ends = np.cumsum(speech.durations)
    before = np.diff(np.minimum(ends, frames), prepend=0)
    samples = frames * _hop(speech)
    return (
        replace(speech, wave=speech.wave[:samples], durations=before, f0=speech.f0[:frames]),
        replace(
            speech,
            wave=speech.wave[samples:],
            durations=speech.durations - before,
            f0=speech.f0[frames:],
        ),
    )


def _hop(speech: Speech) -> int:
    """The samples of a frame."""
    frames = int(speech.durations.sum())
    return len(speech.wave) // frames if frames else 0
