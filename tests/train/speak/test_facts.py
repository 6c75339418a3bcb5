"""A run finds the codec that it was trained with by the digest of its weights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ns2.model.codec.loading import load_codec
from ns2.pipeline.core.errors import UserError
from ns2.train.speak.facts import SpeechFacts, open_codec_of


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
