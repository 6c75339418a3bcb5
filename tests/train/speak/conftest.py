"""A run that speaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ns2.cli import main


@pytest.fixture(scope="package")
def run(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned for two steps: it makes noise, of the right length."""
    out = tmp_path_factory.mktemp("synthesis") / "run"
    settings = {"global_frames": 900, "precision": "fp32", "samples": 0, "validate_frames": 900}
    settings |= {"model.prompt.shortest": 20, "model.prompt.whole_below": 60}
    settings |= {"model.prompt.longest": 100}
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = ["train", str(speech), "-o", str(out), "--preset", "tiny", "--steps", "2", *sets]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return out
