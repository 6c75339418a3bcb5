"""Recordings for the training of a codec: read once, then cut and augmented at random.

Letters for shapes: B batch, S samples, T frames, N places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import resample as change_speed

from ns2.model.codec.mini.mini_config import HOP_LENGTH, SAMPLE_RATE
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.core.schema import Utterance
from ns2.pipeline.corpora.corpus import recording_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.train.codec.pitches import Pitch, digest_of, extract_all

SPLIT_SALT = "codec-validation"
_SPEEDS = ((15, 16), (16, 15), (9, 10), (10, 9), (5, 6), (6, 5))
"""Old and new sample rate: the voice becomes lower and slower, or higher and faster."""
_SPEED_SHARE, _EQ_SHARE, _NOISE_SHARE = 0.5, 0.4, 0.15
_NARROW_SHARE = 0.12
_NARROW_HZ = (3_400.0, 4_000.0, 5_500.0, 8_000.0, 8_000.0, 8_000.0)
"""Frequencies at which recordings of lower sample rates end."""
_EQ_DB = 4.0


@dataclass(frozen=True)
class Recording:
    """A recording to learn from.

    Attributes:
        wave: (S,) float32 at 24 kHz. It is not rounded: bands that a recording lacks must be as
            empty as they are when a codec is used.
        pitch: its F0; None where it is not learned from.
    """

    wave: np.ndarray
    pitch: Pitch | None = None


@dataclass(frozen=True)
class Piece:
    """Pieces of recordings.

    Attributes:
        waves: (B, S).
        log_f0: (B, T) the natural logarithm of F0 in Hz, 0 where it is not known.
        known: (B, T) bool, the frames whose F0 is known; all voiced frames are among them.
        voiced: (B, T) bool.
    """

    waves: Tensor
    log_f0: Tensor
    known: Tensor
    voiced: Tensor

    def to(self, device: str) -> Piece:
        """Return the same pieces on a torch device."""
        parts = (self.waves, self.log_f0, self.known, self.voiced)
        return Piece(*(part.to(device) for part in parts))


@dataclass(frozen=True)
class Voices:
    """The recordings of some corpora.

    Attributes:
        train: the recordings of each corpus.
        validation: recordings of all corpora that are never trained on.
        shares: (corpora,) how often a corpus is drawn from, relative to the others; empty where
            all are as often.
    """

    train: tuple[tuple[Recording, ...], ...]
    validation: tuple[Recording, ...]
    shares: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        """The length of all recordings to train on."""
        return sum(len(one.wave) for corpus in self.train for one in corpus) / SAMPLE_RATE


def read_voices(
    corpora: Sequence[Path],
    *,
    layout: str | None,
    sample_rate: int,
    val_share: float,
    thorough: float,
    cache: Path,
    progress: Progress,
    shares: Sequence[float] = (),
    fields: str | None = None,
) -> Voices:
    """Decode all recordings of some corpora; recordings that can't be used are noted and left out.

    What a corpus calls its validation split validates; of other corpora recordings are drawn by
    hashes of their ids, at least one of each corpus.

    Args:
        layout: of the corpora; None recognises it.
        sample_rate: to resample to, in Hz.
        val_share: the share of each corpus's recordings that is for validation.
        thorough: the seconds of recordings that Harvest works on, see `extract_all`.
        cache: a file that keeps F0, so that a training that goes on need not extract it again.
        shares: how often each corpus is drawn from; empty where all are as often.
        fields: which columns of their tables hold what; None leaves it to the tables.

    Raises:
        UserError: a corpus has fewer than two recordings that can be used.
    """
    waves: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
    for path in corpora:
        found = read_corpus(path, layout, fields)
        for note in found.notes:
            progress.note(note)
        progress.phase(f"reading {path}", len(found.utterances))
        held = _held_out(found.utterances, val_share)
        parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for utterance in sorted(found.utterances, key=lambda u: u.key):
            try:
                wave, rate = read_audio(recording_of(found.root, utterance), utterance.piece)
            except UtteranceError as error:
                progress.note(f"{utterance.source}: left out: {error}")
                continue
            wave = resample(wave, rate, sample_rate)
            parts[utterance.key in held].append(np.clip(wave, -1, 1).astype(np.float32))
            progress.advance(utterances=1, seconds=len(wave) / sample_rate)
        if not parts[0] or not parts[1]:
            raise UserError(
                f"{path}: a codec needs at least two recordings, one to validate, "
                f"{len(parts[0]) + len(parts[1])} found"
            )
        waves.append(parts)
    pitches = extract_all([train for train, _ in waves], thorough, cache, progress)
    return Voices(
        tuple(tuple(Recording(w, pitches[digest_of(w)]) for w in train) for train, _ in waves),
        tuple(Recording(w) for _, val in waves for w in val),
        tuple(shares),
    )


def _held_out(utterances: Sequence[Utterance], val_share: float) -> set[str]:
    """The keys of the utterances that are not trained on."""
    named = {one.key for one in utterances if one.split not in ("", "train")}
    if named:
        return named
    order = sorted((one.key for one in utterances), key=lambda k: (unit_interval(k, SPLIT_SALT), k))
    return set(order[: max(1, round(val_share * len(order)))])


class Crops:
    """Batches of augmented pieces of recordings; batch n is the same whenever it is asked for.

    A corpus gives its share of pieces, whatever its length; within a corpus every second is as
    likely as any other.
    """

    def __init__(self, voices: Voices, *, batch: int, samples: int, seed: int) -> None:
        self._voices, self._batch, self._samples, self._seed = voices, batch, samples, seed
        shares = np.array(voices.shares or [1.0] * len(voices.train))
        self._shares = np.cumsum(shares / shares.sum())
        self._ends = [np.cumsum([len(one.wave) for one in corpus]) for corpus in voices.train]

    def rng(self, number: int) -> np.random.Generator:
        """The generator of random numbers for batch n."""
        return np.random.default_rng([self._seed, number])

    @property
    def seconds(self) -> np.ndarray:
        """The length of each corpus to train on, (corpora,) float64."""
        return np.array([ends[-1] for ends in self._ends]) / SAMPLE_RATE

    def batch(
        self, rng: np.random.Generator, natural: float = 0.0, corpus: int | None = None
    ) -> Piece:
        """A batch of pieces.

        Args:
            rng: draws corpora, pieces, and augmentations.
            natural: the share of pieces that are not augmented.
            corpus: the number of the corpus that all pieces are of; None for any.
        """
        pieces = [self._piece(rng, rng.random() >= natural, corpus) for _ in range(self._batch)]
        waves, f0, voiced = (torch.stack(part) for part in zip(*pieces, strict=True))
        return Piece(waves, f0.clamp(min=1.0).log(), f0 > 0, voiced & (f0 > 0))

    def _piece(
        self, rng: np.random.Generator, vary: bool, corpus: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A wave (S,), its F0 (T,) in Hz, 0 where it is not known, and which are voiced, (T,)."""
        if corpus is None:
            drawn = int(np.searchsorted(self._shares, rng.random(), "right"))
            corpus = min(drawn, len(self._ends) - 1)
        ends = self._ends[corpus]
        one = self._voices.train[corpus][
            int(np.searchsorted(ends, rng.integers(ends[-1]), "right"))
        ]
        old, new = 1, 1
        if vary and rng.random() < _SPEED_SHARE:
            old, new = _SPEEDS[int(rng.integers(len(_SPEEDS)))]
        wanted = -(-self._samples * old // new) + 8
        start = int(rng.integers(max(len(one.wave) - wanted, 0) + 1))
        cut = torch.from_numpy(one.wave[start : start + wanted])
        cut = change_speed(cut, old, new)[: self._samples]
        cut = torch.nn.functional.pad(cut, (0, self._samples - len(cut)))
        centres = start + (np.arange(self._samples // HOP_LENGTH) + 0.5) * HOP_LENGTH * old / new
        assert one.pitch is not None
        f0 = torch.from_numpy(f0_at(one.pitch.f0, centres).astype(np.float32)) * (old / new)
        nearest = np.clip((centres / HOP_LENGTH).astype(int), 0, len(one.pitch.f0) - 1)
        voiced = torch.from_numpy(one.pitch.voiced[nearest])
        if vary:
            cut = _varied(cut, rng)
        # natural pieces too: much speech has been recorded at lower sample rates
        if rng.random() < _NARROW_SHARE:
            cut = _narrowed(cut, rng)
        return cut, f0, voiced


def f0_at(f0: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """F0 (N,) in Hz at places between frames, 0 where the nearest frame has none.

    Args:
        f0: (T,) Hz, 0 where there is none; frame i stands for sample hop * i + hop / 2.
        samples: (N,) places; those behind the last frame have none.
    """
    place = samples / HOP_LENGTH - 0.5
    last = len(f0) - 1
    below = np.clip(np.floor(place).astype(int), 0, last)
    above = np.clip(below + 1, 0, last)
    part = np.clip(place - below, 0, 1)
    near = np.where(part < 0.5, f0[below], f0[above])
    both = (f0[below] > 0) & (f0[above] > 0)
    found = np.where(both, f0[below] * (1 - part) + f0[above] * part, near)
    return np.where(place > last + 0.5, 0.0, found)


def _narrowed(wave: Tensor, rng: np.random.Generator) -> Tensor:
    """A wave without what lies above a frequency that is drawn."""
    spectrum = torch.fft.rfft(wave)
    edge = float(rng.choice(_NARROW_HZ)) / (SAMPLE_RATE / 2)
    spectrum[round(edge * (len(spectrum) - 1)) :] = 0
    return torch.fft.irfft(spectrum, len(wave))


def _varied(wave: Tensor, rng: np.random.Generator) -> Tensor:
    """A wave with another tone, level and polarity, and sometimes noise."""
    if rng.random() < _EQ_SHARE:
        wave = _equalised(wave, rng)
    if rng.random() < _NOISE_SHARE:
        level = float(wave.square().mean().sqrt()) * 10 ** (-rng.uniform(20, 50) / 20)
        noise = rng.standard_normal(len(wave), np.float32)
        wave = wave + torch.from_numpy(noise) * level
    wave = wave * float(10 ** (rng.uniform(-12, 3) / 20) * rng.choice((-1.0, 1.0)))
    return wave / max(1.0, float(wave.abs().max()))


def _equalised(wave: Tensor, rng: np.random.Generator) -> Tensor:
    """A wave behind a filter whose gain is a smooth random curve over log frequency."""
    spectrum = torch.fft.rfft(wave)
    place = torch.linspace(0, 1, len(spectrum)).mul(1000).log1p().div(np.log(1001))
    curve = torch.zeros(len(spectrum))
    for ripple in (0.5, 1.0, 2.0, 3.0):
        phase = 2 * np.pi * float(rng.random())
        curve += float(rng.normal(0, _EQ_DB / 2)) * torch.cos(np.pi * ripple * place + phase)
    return torch.fft.irfft(spectrum * torch.pow(10.0, curve / 20), len(wave))
