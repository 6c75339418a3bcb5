"""Recordings for the training of a codec: read once, then cut and augmented at random.

Letters for shapes: B batch, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import resample as change_speed

from ns2.model.codec.mini.mini_config import SAMPLE_RATE
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.corpora.reading import audio_path, read_corpus
from ns2.pipeline.sound.decode import read_audio, resample

SPLIT_SALT = "codec-validation"
_SPEEDS = ((15, 16), (16, 15), (9, 10), (10, 9), (5, 6), (6, 5))
"""Old and new sample rate: the voice becomes lower and slower, or higher and faster."""
_SPEED_SHARE, _EQ_SHARE, _NOISE_SHARE = 0.5, 0.4, 0.15
_NARROW_SHARE = 0.12
_NARROW_HZ = (3_400.0, 4_000.0, 5_500.0, 8_000.0, 8_000.0, 8_000.0)
"""Frequencies at which recordings of lower sample rates end."""
_EQ_DB = 4.0


@dataclass(frozen=True)
class Voices:
    """The recordings of some corpora.

    Attributes:
        train: the recordings (S,) of each corpus, float32 at 24 kHz. They are not rounded: bands
            that a recording lacks must be as empty as they are when a codec is used.
        validation: recordings of all corpora that are never trained on, in the same form.
    """

    train: tuple[tuple[np.ndarray, ...], ...]
    validation: tuple[np.ndarray, ...]

    @property
    def seconds(self) -> float:
        """The length of all recordings to train on."""
        return sum(len(wave) for corpus in self.train for wave in corpus) / SAMPLE_RATE


def read_voices(
    corpora: Sequence[Path],
    *,
    layout: str | None,
    sample_rate: int,
    val_share: float,
    progress: Progress,
) -> Voices:
    """Decode all recordings of some corpora; recordings that can't be used are noted and left out.

    The validation recordings are drawn by hashes of their ids, at least one of each corpus.

    Args:
        layout: of the corpora; None recognises it.
        sample_rate: to resample to, in Hz.
        val_share: the share of each corpus's recordings that is for validation.

    Raises:
        UserError: a corpus has fewer than two recordings that can be used.
    """
    train, validation = [], []
    for path in corpora:
        found = read_corpus(path, layout)
        progress.phase(f"reading {path}", len(found.utterances))
        waves: dict[str, np.ndarray] = {}
        for utterance in sorted(found.utterances, key=lambda u: u.key):
            try:
                wave, rate = read_audio(audio_path(found.root, utterance))
            except UtteranceError as error:
                progress.note(f"{utterance.source}: left out: {error}")
                continue
            wave = resample(wave, rate, sample_rate)
            waves[utterance.key] = np.clip(wave, -1, 1).astype(np.float32)
            progress.advance(utterances=1, seconds=len(wave) / sample_rate)
        if len(waves) < 2:
            raise UserError(f"{path}: a codec needs at least two recordings, {len(waves)} found")
        order = sorted(waves, key=lambda key: (unit_interval(key, SPLIT_SALT), key))
        held = max(1, round(val_share * len(order)))
        validation += [waves[key] for key in order[:held]]
        train.append(tuple(waves[key] for key in order[held:]))
    return Voices(tuple(train), tuple(validation))


class Crops:
    """Batches of augmented pieces of recordings; batch n is the same whenever it is asked for.

    Every corpus gives the same share of pieces, whatever its length; within a corpus every second
    is as likely as any other.
    """

    def __init__(self, voices: Voices, *, batch: int, samples: int, seed: int) -> None:
        self._voices, self._batch, self._samples, self._seed = voices, batch, samples, seed
        self._ends = [np.cumsum([len(w) for w in corpus]) for corpus in voices.train]

    def rng(self, number: int) -> np.random.Generator:
        """The generator of random numbers for batch n."""
        return np.random.default_rng([self._seed, number])

    @property
    def seconds(self) -> np.ndarray:
        """The length of each corpus to train on, (corpora,) float64."""
        return np.array([ends[-1] for ends in self._ends]) / SAMPLE_RATE

    def batch(
        self, rng: np.random.Generator, natural: float = 0.0, corpus: int | None = None
    ) -> Tensor:
        """A batch of pieces, (B, S) float32.

        Args:
            rng: draws corpora, pieces, and augmentations.
            natural: the share of pieces that are not augmented.
            corpus: the number of the corpus that all pieces are of; None for any.
        """
        return torch.stack(
            [self._piece(rng, rng.random() >= natural, corpus) for _ in range(self._batch)]
        )

    def _piece(self, rng: np.random.Generator, vary: bool, corpus: int | None) -> Tensor:
        if corpus is None:
            corpus = int(rng.integers(len(self._ends)))
        ends = self._ends[corpus]
        wave = self._voices.train[corpus][
            int(np.searchsorted(ends, rng.integers(ends[-1]), "right"))
        ]
        old, new = 1, 1
        if vary and rng.random() < _SPEED_SHARE:
            old, new = _SPEEDS[int(rng.integers(len(_SPEEDS)))]
        wanted = -(-self._samples * old // new) + 8
        start = int(rng.integers(max(len(wave) - wanted, 0) + 1))
        cut = torch.from_numpy(wave[start : start + wanted])
        cut = change_speed(cut, old, new)[: self._samples]
        cut = torch.nn.functional.pad(cut, (0, self._samples - len(cut)))
        if vary:
            cut = _varied(cut, rng)
        # natural pieces too: much speech has been recorded at lower sample rates
        return _narrowed(cut, rng) if rng.random() < _NARROW_SHARE else cut


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
