"""Borders that an aligner finds for right and wrong texts, with what is known of each.

Letters for shapes: S samples, M mel bins, T frames, N tokens, J tokens that last, E kinds of
evidence.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ns2.model.aligner.aligner_config import AlignerConfig
from ns2.model.aligner.alignment import align
from ns2.model.aligner.border_evidence import words_of
from ns2.model.aligner.confidence import NEAR_SECONDS
from ns2.model.aligner.expectation import Pretrained, train_aligner
from ns2.model.aligner.hmm import Aligner
from ns2.model.log_mel import LogMel
from ns2.pipeline.align.aligner_file import AlignerInit, default_config
from ns2.pipeline.align.bundled_network import bundled_network
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.train.bundled.border_trust.changes import CHANGES
from ns2.train.bundled.border_trust.told import Told, Word, tokens_of
from ns2.train.bundled.labelled_speech import HOP, SAMPLE_RATE

WRONG_TEXTS = 0.05
"""The share of the texts that an aligner is trained on and that belong to another recording."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The borders of an utterance for one text.

    Attributes:
        kind: what was done to the text, see `CHANGES`.
        evidence: (J, E).
        wrong: (J,) 1 for wrong borders, 0 for others; NaN where nothing is known.
        phone: (J,) bool, starts of phones.
        word: (J,) the number of the word, -1 for silence.
        unspoken: (J,) bool, phones of words that nobody says.
    """

    kind: str
    evidence: np.ndarray
    wrong: np.ndarray
    phone: np.ndarray
    word: np.ndarray
    unspoken: np.ndarray


@cache
def mel_transform() -> LogMel:
    """Waves to the log-mel that aligners see."""
    return LogMel()


def ids_of(words: Sequence[Word]) -> Tensor | None:
    """The ids of the tokens of words (N,); None if one has no id."""
    table = PhonemeTable.default()
    tokens, _ = tokens_of(words)
    try:
        return torch.from_numpy(np.asarray(table.ids(tokens)).astype(np.int64))
    except UtteranceError:
        return None


def trained(
    examples: Sequence[tuple[Tensor, Tensor]],
    network: Pretrained | None,
    config: AlignerConfig,
) -> Aligner:
    """An aligner that is trained on mels (M, T) and ids (N,), with a network or without one."""
    table = PhonemeTable.default()
    ids = np.arange(len(table))
    phone_of, _ = table.phone_and_stress(ids)
    return train_aligner(
        examples,
        config,
        phone_of=torch.tensor(phone_of, dtype=torch.int64),
        optional=torch.tensor([symbol in table.optional for symbol in table.symbols(ids)]),
        trained=network,
    )


class Corpus:
    """Recordings with their words, and an aligner that is trained on them.

    As in a corpus that nobody has looked through, some texts belong to other recordings.
    """

    def __init__(self, told: Sequence[Told], init: AlignerInit, seed: int) -> None:
        """Train the aligner."""
        self._rng = rng = random.Random(seed)
        self.told = told
        self.lexicon = [word for one in told for word in one.words]
        transform = mel_transform()
        self._mels = [transform(torch.from_numpy(one.wave)).half() for one in told]
        examples = []
        for one, mel in zip(told, self._mels, strict=True):
            other = rng.choice(told) if rng.random() < WRONG_TEXTS else one
            ids = ids_of(other.words)
            if ids is not None and len(ids) < mel.shape[1]:
                examples.append((mel, ids))
        table = PhonemeTable.default()
        network = None if init == "none" else bundled_network(table, init)
        self.aligner = trained(examples, network, default_config(init))

    def judged(self) -> Iterator[Judged]:
        """The borders of all recordings, with texts of all kinds."""
        for number, told in enumerate(self.told):
            for kind, (_, change) in CHANGES.items():
                words = change(told.words, self.lexicon, self._rng)
                if (found := self._judge(number, kind, words)) is not None:
                    yield found

    def _judge(self, number: int, kind: str, words: Sequence[Word]) -> Judged | None:
        ids, mel = ids_of(words), self._mels[number]
        if ids is None or len(ids) >= mel.shape[1]:
            return None
        found = align(self.aligner, mel, ids, evidence=True)
        durations = found.durations.numpy()
        tokens, truth = tokens_of(words)
        starts = (np.cumsum(durations) - durations) * (HOP / SAMPLE_RATE)
        wrong = np.where(np.isnan(truth), np.nan, np.abs(starts - truth) > NEAR_SECONDS)
        silent = np.isin(tokens, [*PhonemeTable.default().optional])
        wrong[0] = np.nan  # it begins with the recording
        lasting = np.flatnonzero(durations)
        assert found.evidence is not None
        return Judged(
            kind=kind,
            evidence=found.evidence,
            wrong=wrong[lasting].astype(np.float64),
            phone=~silent[lasting],
            word=words_of(silent)[lasting],
            unspoken=(np.isinf(truth) & ~silent)[lasting],
        )
