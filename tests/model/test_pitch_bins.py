"""The pitch quantiser against its closed form."""

from __future__ import annotations

import math

import pytest
import torch

from ns2.model.pitch_bins import PitchBins


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
