"""A new column is one new file in the folder of stages, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline import stages
from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.recipe import build_graph
from ns2.pipeline.stages.catalogue import stage_classes

ENERGY = '''
"""The `energy` column: the RMS of each frame."""

import numpy as np

from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.stages.stage import Product, Stage


class EnergyStage(Stage):
    name, version, requires = "energy", 1, ("audio",)

    @classmethod
    def of(cls, settings):
        stage = cls()
        stage.hop = settings.grid.hop_length
        return stage

    @property
    def config(self):
        return {"hop_length": self.hop}

    @property
    def column(self):
        return ColumnSpec(name="energy", dtype="float32", dims=("T",))

    def compute(self, item):
        wave = item.inputs["audio"]
        padded = np.pad(wave, (0, -len(wave) % self.hop)).reshape(-1, self.hop)
        return Product(value=np.sqrt(np.mean(padded**2, axis=1)))
'''


@pytest.fixture
def energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One more file in the folder of stages."""
    folder = tmp_path / "more_stages"
    folder.mkdir()
    (folder / "energy.py").write_text(ENERGY)
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(folder)])
    yield
    sys.modules.pop(f"{stages.__name__}.energy", None)


def test_every_stage_is_found_in_order() -> None:
    names = [kind.name for kind in stage_classes()]
    assert sorted(set(names)) == [
        "audio", "codes", "durations", "f0", "loudness", "mel", "meta", "mos", "phonemes",
        "quality", "recording", "tokens", "trust", "voice",
    ]  # fmt: skip
    graph = build_graph(Options(codec="mini"))
    assert list(graph.stages) == [
        "audio", "tokens", "phonemes", "meta", "mel", "f0", "codes", "durations", "trust",
    ]  # fmt: skip


def test_one_file_makes_a_column(energy: None, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    words = ["preprocess", str(corpus), "-o", str(out), "--codec", "mini", "--executor", "inline"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    dataset = Dataset(out)
    assert "energy" in dataset.card["columns"]
    key = dataset.keys[0]
    assert dataset.read("energy", key).shape == dataset.read("f0", key).shape
    assert float(np.max(dataset.read("energy", key))) > 0
    for check in (["verify", str(out)], ["gc", str(out)], ["inspect", str(out)]):
        done = CliRunner().invoke(main, check)
        assert done.exit_code == 0, done.output
    assert "nothing" in CliRunner().invoke(main, [*words, "--plan"]).output


def test_a_wrong_name_lists_all_columns(energy: None, corpus: Path, tmp_path: Path) -> None:
    words = ["preprocess", str(corpus), "-o", str(tmp_path / "s"), "--columns", "energie"]
    done = CliRunner().invoke(main, [*words, "--codec", "mini"])
    assert done.exit_code == 2 and "meta, energy" in done.output


@pytest.mark.parametrize(("written", "meant"), [("Codes", "codes"), ("qualiti", "quality")])
def test_columns_that_a_run_does_not_make_are_listed_too(written: str, meant: str) -> None:
    with pytest.raises(OptionError, match=f"no column {written}, did you mean {meant}") as raised:
        build_graph(Options(codec="mini", columns=(written,)))
    listed = "codes, mel, f0, phonemes, durations, meta, loudness, mos, quality, trust, voice"
    assert listed in str(raised.value)
