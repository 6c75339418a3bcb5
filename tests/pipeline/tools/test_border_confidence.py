"""The aligner's confidence in borders, worked out for a finished dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.inspection.border_confidence import border_confidences
from tests.support.preprocessing import run_inline


def test_every_token_has_a_confidence(dataset: Path) -> None:
    opened = Dataset(dataset)
    for key in opened.keys[:3]:
        found = border_confidences(opened, key)
        assert found.shape == opened.read("durations", key).shape
        assert found[0] == 1.0 and (found >= 0).all() and (found <= 1).all()
        assert found.mean() > 0.7


def test_the_command_tells_it(dataset: Path) -> None:
    key = Dataset(dataset).keys[0]
    command = ["inspect", str(dataset), "--key", key, "--confidence"]
    found = json.loads(CliRunner().invoke(main, [*command, "--json"]).output)
    expected = border_confidences(Dataset(dataset), key)
    np.testing.assert_allclose(
        [one["confidence"] for one in found["phonemes"]], expected, atol=1e-4
    )
    shown = CliRunner().invoke(main, command).output
    doubtful = [one for one in found["phonemes"] if one["confidence"] < 0.9]
    assert shown.count(" s 0.") == len(doubtful)
    assert CliRunner().invoke(main, ["inspect", str(dataset), "--confidence"]).exit_code == 2


def test_without_durations_there_is_none(spoken: Path, tmp_path: Path) -> None:
    run_inline(spoken, tmp_path / "out", None, columns=("mel", "phonemes"), limit=2)
    opened = Dataset(tmp_path / "out")
    with pytest.raises(UserError, match="durations"):
        border_confidences(opened, opened.keys[0])
