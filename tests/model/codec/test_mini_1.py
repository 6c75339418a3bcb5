"""The first version of the codec that comes with ns2, which datasets of before were made with."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from ns2.model.codec.loading import load_codec
from ns2.model.codec.mini_1.mini_1_config import FORMAT, Mini1Config, read_mini_1_config
from ns2.model.codec.mini_1.mini_1_network import Decoder, Mini1Network
from ns2.model.codec.mini_codec import load_mini
from ns2.model.codec.registry import MINI_1_WEIGHTS, bundled_versions, codec_spec
from tests.support.seeded_encodec import spoken

DIGEST = "b094414f67a2453989c411bbcb43d1c18e3efde28d27a7ec70baa606dfb04a8e"
"""That of the datasets of before."""


def test_it_is_the_codec_that_was_called_mini() -> None:
    codec = load_codec("mini-1")
    assert codec.digest == DIGEST
    assert codec.spec == codec_spec("mini-1", 16) == codec_spec(str(MINI_1_WEIGHTS))
    assert (codec.spec.name, codec.spec.latent_dim) == ("mini", 64)
    assert load_codec("mini").digest != DIGEST


def test_it_copies_speech() -> None:
    wave = torch.tensor(np.concatenate(spoken())[4_000:52_000])
    codec = load_codec("mini-1")
    made = codec.decode(codec.encode(wave))
    assert float((made[: len(wave)] - wave).norm()) < 0.8 * float(wave.norm())


def test_a_dataset_that_says_mini_may_mean_either() -> None:
    assert bundled_versions("mini", 4) == ("mini", "mini-1")
    assert bundled_versions("mini", 16) == ("mini-1",)
    assert bundled_versions("encodec_24khz", 4) == ("encodec_24khz",)


def test_the_lowest_bins_are_real_and_imaginary_parts_the_others_have_a_phase() -> None:
    """The head's bias alone, against the two waves that it stands for."""
    decoder = Decoder(Mini1Config(decoder_width=4, decoder_blocks=1, direct_bins=60))
    bias = torch.zeros(2 * 481 + 60)
    level, real, imaginary, phase = bias.split((481, 60, 60, 421))
    level[:] = -20
    level[8] = level[100] = 2.0
    real[8], imaginary[8], phase[40] = 0.5, -1.5, 0.7
    decoder.leave.weight.data.zero_()
    decoder.leave.bias.data = bias
    made = decoder(torch.zeros(1, 5, 64))[0]
    time, size = torch.arange(960) * 2 * torch.pi / 960, np.exp(2.0) * 2 / 960
    frame = size * (0.5 * (8 * time).cos() + 1.5 * (8 * time).sin() + (100 * time + 0.7).cos())
    wanted = decoder._overlap(frame.expand(1, 5, -1))[0]
    assert torch.allclose(made, wanted, atol=1e-5)


def test_files_from_before_there_were_direct_bins(tmp_path: Path) -> None:
    config = Mini1Config(
        quantizers=2, entries=8, latent_dim=4, encoder_width=8, decoder_width=8, direct_bins=0
    )
    sizes = asdict(config)
    del sizes["direct_bins"]
    state = {name: value.half() for name, value in Mini1Network(config).state_dict().items()}
    path = tmp_path / "old.safetensors"
    path.write_bytes(save(state, metadata={FORMAT: json.dumps(sizes)}))
    assert read_mini_1_config(path).direct_bins == 0
    wave = load_mini(path).decode(torch.zeros(2, 5, dtype=torch.long))
    assert wave.shape == (1_600,)
