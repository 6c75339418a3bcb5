"""The sizes of the presets, against the paper's table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ns2.cli import main
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import Sizes
from ns2.model.tts.parameters import backward_order, count_parts
from ns2.model.tts.presets import PRESETS, preset
from ns2.train.step.build import usual_sizes
from tests.support.model_factories import make_batch, make_model

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


@pytest.mark.parametrize("name", ["tiny", "seed", "base"])
@pytest.mark.parametrize("twice", [False, True])
def test_the_order_is_nearly_that_of_a_backward_pass(name: str, twice: bool) -> None:
    model, batch = make_model(name), make_batch()
    fired: list[int] = []
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(lambda one: fired.append(id(one)))
    model.total(model(batch, model.draw(batch, self_condition=twice))).backward()
    sizes = {id(p): p.numel() for p in model.parameters()}
    ours = [id(p) for p in backward_order(model)]
    assert sorted(ours) == sorted(fired) == sorted(sizes)
    # in a buffer of that order, numbers up to any place are complete when little more is
    place_of = dict(zip(fired, np.cumsum([sizes[one] for one in fired]), strict=True))
    done = np.maximum.accumulate([place_of[one] for one in ours])
    ahead = done - np.cumsum([sizes[one] for one in ours])
    assert ahead.max() <= 0.1 * sum(sizes.values())
    # which is not so for the order in which they are registered, backwards
    plain = [id(p) for p in model.parameters()][::-1]
    done = np.maximum.accumulate([place_of[one] for one in plain])
    assert (done - np.cumsum([sizes[one] for one in plain])).max() > 0.25 * sum(sizes.values())
