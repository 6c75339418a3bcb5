"""The prepared encoder against the package's own, bit for bit."""

from typing import Any

import pytest
import torch
from encodec.modules.seanet import SEANetEncoder

from ns2.model.codec.encodec import EncodecCodec
from ns2.model.codec.interface import EXTRA_FRAMES, one_thread
from ns2.model.codec.prepared_encoder import prepare
from tests.support.seeded_encodec import spoken_encodec


@pytest.mark.parametrize("samples", [1, 320, 3_201, 8_640, 12_480, 12_800, 24_001, 64_000])
def test_it_has_the_bits_of_the_packages_encoder(samples: int) -> None:
    """On both sides of the sizes at which torch takes another kernel."""
    codec = EncodecCodec(spoken_encodec(), 16)
    model, wave = codec._model, 0.1 * torch.randn(samples)
    books = [layer._codebook for layer in model.quantizer.vq.layers[:16]]
    frames = -(-samples // 320)
    padded = torch.zeros(1, 1, 320 * (frames + EXTRA_FRAMES))
    padded[..., :samples] = wave
    with one_thread(), torch.inference_mode():
        fast = prepare(model.encoder, books)
        assert fast is not None
        expected = model.encoder(padded)
        assert torch.equal(fast.embed(padded.clone()), expected)
        codes = model.quantizer.vq.encode(expected, n_q=16)[:, 0, :frames]
        assert torch.equal(fast.encode(wave), codes)
    assert torch.equal(codec.encode(wave), codes)


def test_the_wave_that_it_encodes_stays() -> None:
    codec, wave = EncodecCodec(spoken_encodec(), 2), torch.ones(16_000)
    codec.encode(wave)
    assert torch.equal(wave, torch.ones(16_000))


@pytest.mark.parametrize("options", [{"causal": False}, {"pad_mode": "constant", "causal": True}])
def test_other_encoders_are_left_alone(options: dict[str, Any]) -> None:
    assert prepare(SEANetEncoder(norm="none", **options), []) is None
