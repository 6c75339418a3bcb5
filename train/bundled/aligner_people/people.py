"""Recordings of people, labelled by the aligner with the network that is trained.

Letters for shapes: S samples, M mel bins, T frames, N tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ns2.model.aligner.aligner_config import AlignerConfig
from ns2.model.aligner.alignment import align
from ns2.model.aligner.evidence import FrameNet
from ns2.model.aligner.expectation import train_aligner
from ns2.model.log_mel import LogMel
from ns2.pipeline.align.bundled_network import pretrained
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.corpora.reading import audio_path, read_corpus
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.text.pronunciation import pronounce
from ns2.pipeline.text.tones import without_tone
from ns2.train.bundled.labelled_speech import HOP, PAUSE, SAMPLE_RATE, Labelled

_LANGUAGE = "en-us"
"""The language of corpora that name none."""
_DOUBTED = 0.1
"""The share of each corpus that is left out: the recordings whose texts fit worst."""


@dataclass(frozen=True)
class Recording:
    """A recording with the tokens of its text.

    Attributes:
        wave: (S,) float32 at `SAMPLE_RATE`.
        mel: (M, T) float16 log-mel.
        tokens: (N,) int64 ids.
        language: as espeak-ng names it.
    """

    wave: np.ndarray
    mel: Tensor
    tokens: Tensor
    language: str


def recordings_of(manifest: Path, minutes: float) -> list[Recording]:
    """Recordings from all over a corpus, of so many minutes at most."""
    corpus = read_corpus(manifest)
    table, transform = PhonemeTable.default(), LogMel()
    found: list[Recording] = []
    for utterance in corpus.utterances:
        wave, rate = read_audio(audio_path(corpus.root, utterance), utterance.piece)
        wave = resample(wave, rate, SAMPLE_RATE).astype(np.float32)
        language = utterance.language or _LANGUAGE
        try:
            ids = table.ids(pronounce(utterance.text or "", language).tokens)
        except UtteranceError:
            continue
        tokens = torch.from_numpy(np.asarray(ids).astype(np.int64))
        found.append(Recording(wave, transform(torch.from_numpy(wave)).half(), tokens, language))
    seconds = sum(len(one.wave) for one in found) / SAMPLE_RATE
    kept = min(1.0, 60 * minutes / max(seconds, 1e-9))
    return [one for i, one in enumerate(found) if int((i + 1) * kept) > int(i * kept)]


def aligned(
    recordings: Sequence[Recording],
    network: FrameNet,
    phones: Sequence[str],
    config: AlignerConfig,
) -> Iterator[Labelled]:
    """Label the recordings of a corpus by an aligner that is trained on them.

    Args:
        network: gives the aligner its start.
        phones: the network's phones.
        config: of the aligner.
    """
    table = PhonemeTable.default()
    ids = np.arange(len(table))
    symbols = table.symbols(ids)
    phone_of, _ = table.phone_and_stress(ids)
    bare, _ = table.phone_and_stress(ids)
    plain = {int(phone): i for i, phone in reversed([*enumerate(bare)])}
    aligner = train_aligner(
        [(one.mel, one.tokens) for one in recordings],
        config,
        phone_of=torch.tensor(phone_of, dtype=torch.int64),
        optional=torch.tensor([symbol in table.optional for symbol in symbols]),
        trained=pretrained(network, phones, table),
    )
    if aligner.evidence is not None:
        print(f"{len(recordings)} recordings, agreement {float(aligner.evidence.trust):.2f}")
    found = [align(aligner, one.mel, one.tokens) for one in recordings]
    worst = float(np.quantile([one.score for one in found], _DOUBTED))
    for one, alignment in zip(recordings, found, strict=True):
        if alignment.score < worst:
            continue
        ends = np.cumsum(alignment.durations.numpy())
        lasting = np.flatnonzero(np.diff(ends, prepend=0))
        names = [symbols[plain[int(bare[token])]] for token in one.tokens[lasting].tolist()]
        yield Labelled(
            language=one.language,
            wave=one.wave,
            starts=np.concatenate([[0], ends])[lasting] * HOP / SAMPLE_RATE,
            phones=tuple(PAUSE if n in table.optional else without_tone(n) for n in names),
        )
