"""The pitch quantiser against its closed form."""

from __future__ import annotations

import math

import pytest
import torch

from ns2.model.tts.pitch_bins import PitchBins


def test_bins_and_back_differ_by_half_a_step_at_most() -> None:
    bins = PitchBins()
    f0 = torch.linspace(50, 1100, 5000)
    back = bins.f0(bins.bins(f0))
    step = math.log(1100 / 50) / 255
    assert ((back / f0).log().abs() <= step / 2 + 1e-5).all()


def test_every_bin_comes_back() -> None:
    bins = PitchBins(voiced=300, lowest=60, highest=700)
    every = torch.arange(len(bins))
    assert (bins.bins(bins.f0(every)) == every).all()


def test_unvoiced_frames_have_a_bin_of_their_own() -> None:
    bins = PitchBins()
    assert bins.bins(torch.tensor([0.0, 50.0])).tolist() == [0, 1]
    assert bins.f0(torch.tensor([0])).item() == 0


def test_what_lies_outside_counts_as_the_nearest() -> None:
    bins = PitchBins()
    assert bins.bins(torch.tensor([10.0, 5000.0])).tolist() == [1, 256]
    assert bins.f0(torch.tensor([1, 256])).tolist() == pytest.approx([50, 1100], rel=1e-5)


def test_ranges_that_can_not_be() -> None:
    with pytest.raises(ValueError, match="0 < lowest < highest"):
        PitchBins(lowest=200, highest=100)


def test_embeddings_begin_with_how_far_phases_turn_in_a_frame() -> None:
    torch.manual_seed(0)
    bins = PitchBins()
    found = bins.embeddings(64, 75.0)
    assert found.shape == (257, 64)
    assert 0.8 < float(found.std()) < 1.2
    f0 = bins.f0(torch.arange(1, 257)).double()
    for harmonic in range(1, 9):
        turn = 2 * math.pi * harmonic * f0 / 75
        wanted = torch.stack([turn.sin(), turn.cos()], 1)
        # 64 weights can't explain 256 bins by chance
        weights = torch.linalg.lstsq(found[1:].double(), wanted).solution
        assert (found[1:].double() @ weights - wanted).abs().max() < 1e-3
    at = {hz: found[int(bins.bins(torch.tensor(hz)))] for hz in (100.0, 101.5, 180.0)}
    near = torch.nn.functional.cosine_similarity(at[100.0], at[101.5], dim=0)
    far = torch.nn.functional.cosine_similarity(at[100.0], at[180.0], dim=0)
    assert near > 0.85 and near > far + 0.3
