"""The sizes of the presets, against the paper's table."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

from ns2.cli import main
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import Sizes
from ns2.model.tts.parameters import count_parts
from ns2.model.tts.presets import PRESETS, preset
from ns2.train.step.build import usual_sizes

PAPER_MILLIONS = {
    "phoneme encoder": (72, 0.05),
    "prompt encoder": (69, 0.05),
    "duration predictor": (34, 0.05),
    "pitch predictor": (50, 0.05),
    "diffusion network": (183, 0.10),
}


def test_the_paper_has_the_papers_parameters() -> None:
    parts = {part.name: part.parameters for part in count_parts(preset("paper"), usual_sizes())}
    assert parts.keys() == PAPER_MILLIONS.keys()
    for name, (millions, tolerance) in PAPER_MILLIONS.items():
        assert parts[name] / 1e6 == pytest.approx(millions, rel=tolerance), name


@pytest.mark.parametrize("name", PRESETS)
def test_parts_are_the_whole_model(name: str) -> None:
    sizes = Sizes(latent_dim=64, quantizers=8)
    with torch.device("meta"):
        model = NS2(preset(name), sizes)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert sum(part.parameters for part in count_parts(preset(name), sizes)) == total


def test_base_has_about_a_hundred_million() -> None:
    total = sum(part.parameters for part in count_parts(preset("base"), usual_sizes()))
    assert 90e6 < total < 110e6


def test_the_command_prints_them_beside_the_papers() -> None:
    shown = CliRunner().invoke(main, ["model"])
    assert shown.exit_code == 0
    for name, (millions, _) in PAPER_MILLIONS.items():
        (line,) = [line for line in shown.output.splitlines() if line.startswith(name)]
        assert f"{millions} M" in line


def test_a_preset_that_is_not_there() -> None:
    shown = CliRunner().invoke(main, ["model", "--preset", "papr"])
    assert shown.exit_code == 2
    assert "choose one of: paper, base" in shown.output
