"""A run finds the codec that it was trained with by the digest of its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ns2.model.codec.loading import load_codec
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.data.selection import Data
from ns2.train.speak.facts import SpeechFacts, facts_of, open_codec_of


def facts(codec: str, quantizers: int) -> SpeechFacts:
    return SpeechFacts(
        codec="mini",
        codec_digest=load_codec(codec, None, quantizers).digest,
        quantizers=quantizers,
        sample_rate=24_000,
        hop_length=320,
        language="en-us",
        languages=("en-us",),
        aligner="builtin",
        longest=100,
        mel={},
        f0={},
    )


@pytest.mark.parametrize(("codec", "quantizers"), [("mini", 8), ("mini", 3), ("mini-1", 16),
                                                   ("mini-1", 3)])  # fmt: skip
def test_whatever_mini_means(codec: str, quantizers: int) -> None:
    found = open_codec_of(facts(codec, quantizers))
    assert found.digest == load_codec(codec, None, quantizers).digest
    assert found.spec.latent_dim == {"mini": 36, "mini-1": 64}[codec]


def test_weights_that_are_not_there_are_told() -> None:
    unknown = replace(facts("mini", 3), codec_digest="0" * 64)
    with pytest.raises(UserError, match=r"with weights 000000000000.*--codec-weights"):
        open_codec_of(unknown)
    with pytest.raises(UserError, match="those of mini are"):
        open_codec_of(facts("mini-1", 3), "mini")


def test_utterances_that_trained_nothing_do_not_say_how_long_a_piece_may_be(speech: Path) -> None:
    datasets = [Dataset(speech), Dataset(speech)]
    columns = ("codes", "phonemes")
    short, all_of_it = (
        Data(datasets, columns, split="train", where=where) for where in ("seconds < 2.5", "")
    )
    tokens = [len(short.read("phonemes", i)) for i in range(len(short))]
    assert facts_of(datasets, short.positions).longest == max(tokens)
    assert max(tokens) < facts_of(datasets, all_of_it.positions).longest
