"""Stages of a user's own, from a package that is not ns2's; the example of docs/stages.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.preprocess.executors.ray_executor import RayExecutor
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview
from ns2.pipeline.preprocess.recipe import build_graph
from ns2.pipeline.preprocess.run import preprocess
from ns2.pipeline.stages.own import own_stages
from ns2.pipeline.tools.verify.check import verify
from tests.support.factories import ROOT
from tests.support.packages import installed
from tests.support.preprocessing import contents, identities, run_inline

PAGE = (ROOT / "docs" / "stages.md").read_text("utf-8")
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
STAGE = ("energy_stage:Energy",)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the example and what an installation of it would add."""
    entry = "[ns2.stages]\nloudest = energy_stage:Energy\n"
    with installed(tmp_path / "elsewhere", "energy_stage", EXAMPLE, entry, monkeypatch) as folder:
        yield folder
    for name in ("bad", "broken"):
        sys.modules.pop(name, None)


def test_inline_and_ray_write_the_same_column(package: Path, spoken: Path, tmp_path: Path) -> None:
    chosen = {"codec": "mini", "columns": ("f0",), "stage": STAGE}
    run_inline(spoken, tmp_path / "inline", None, **chosen)
    with RayExecutor(workers=1) as executor:
        options = Options(quantizers=4, shard_utterances=4, **chosen)  # type: ignore[arg-type]
        preprocess(spoken, tmp_path / "ray", options, executor, Progress())
    assert contents(tmp_path / "ray") == contents(tmp_path / "inline")
    assert list(Dataset(tmp_path / "ray").columns) == ["f0", "energy"]


def test_the_column_is_verified_exported_and_selected_by(
    package: Path, spoken: Path, tmp_path: Path
) -> None:
    shards, out = tmp_path / "shards", tmp_path / "export"
    run_inline(spoken, shards, None, codec="mini", columns=("f0",), stage=("loudest",))
    # everything from here on knows nothing of the class
    code = "import sys; from ns2.cli import main; sys.modules['energy_stage'] = None; main()"

    def ns2(*words: object) -> str:
        command = [sys.executable, "-c", code, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    dataset = Dataset(shards)
    key = dataset.keys[0]
    shares = dataset.numbers("quiet_share")
    energy = dataset.read("energy", key)
    assert energy.shape == dataset.read("f0", key).shape and energy.dtype == np.float32
    assert shares[0] == np.mean(energy < 10 ** (-50 / 20))
    assert verify(shards).ok
    assert "no faults" in ns2("verify", shards)
    assert f"quiet_share {shares[0]:g}" in ns2("inspect", shards, "--key", key)
    ns2("export", shards, out)
    described = json.loads((out / "export.json").read_text())
    assert described["members"]["energy.npy"]["dtype"] == "float32"


def test_a_changed_version_makes_that_column_alone(
    package: Path, spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = tmp_path / "shards"
    chosen = {"codec": "mini", "columns": ("f0",), "stage": STAGE, "shard_utterances": 4}
    run_inline(spoken, shards, None, **chosen)
    before = identities(shards)
    monkeypatch.setattr(sys.modules["energy_stage"].Energy, "version", 2)
    planned = preview(spoken, shards, Options(quantizers=4, **chosen))  # type: ignore[arg-type]
    assert {c.column: (c.missing, c.reason) for c in planned.columns} == {
        "f0": (0, ""),
        "energy": (3, "changed: energy.version (1 -> 2)"),
    }
    summary = run_inline(spoken, shards, None, **chosen)
    assert summary.made == {"energy": 3}
    after = identities(shards)
    stay = {n: i for n, i in before.items() if n.startswith(("f0-", "energy-"))}
    assert stay.items() <= after.items()


def test_a_dataset_without_the_option_loses_the_column_and_nothing_else(
    package: Path, shards: Path, spoken: Path, weights: Path
) -> None:
    before = contents(shards)
    assert run_inline(spoken, shards, weights, stage=STAGE).made == {"energy": 3}
    assert verify(shards).ok
    run_inline(spoken, shards, weights)
    after = contents(shards)
    assert {name: after[name] for name in before} == before


BAD = {
    "no_module:Stage": "the module no_module can't be imported: ModuleNotFoundError",
    "broken:Stage": "the module broken can't be imported: ZeroDivisionError: division by zero",
    "energy_stage:Nothing": "energy_stage has no Nothing",
    "energy_stage:np": "it is no stage",
    "energy_stage:Product": "it is no stage",
    "energy_stage:Stage": "the class has no",
    "energy_stage:": "expected package.module:Class",
    "energie": "no installed package has an entry point of this name in ns2.stages (",
    "bad:Taken": "its name is mel, and there is a stage mel of ns2 already",
    "bad:Spelling": "its name 'My-Energy' is none",
    "bad:Version": "its version 'two' is no whole number",
    "bad:Needy": "Needy() needs model",
}
BAD_CLASSES = """
from energy_stage import Energy

class Taken(Energy):
    name = "mel"
class Spelling(Energy):
    name = "My-Energy"
class Version(Energy):
    version = "two"
class Needy(Energy):
    of = Energy.__mro__[1].__dict__["of"]
    def __init__(self, model): pass
class Lost(Energy):
    requires = ("audio", "sunlight")
class Field(Energy):
    scalars = ("level_db",)
class Place(Energy):
    scalars = ("mel_file",)
class Pickled(Energy):
    column = property(lambda self: __import__("energy_stage").ColumnSpec(
        name="energy", dtype="object", dims=("T",)))
class Silent(Energy):
    scalars = ()
class Infinite(Energy):
    def compute(self, item):
        product = super().compute(item)
        product.scalars["quiet_share"] = float("nan")
        return product
"""


@pytest.fixture
def bad(package: Path) -> Path:
    (package / "bad.py").write_text(BAD_CLASSES)
    (package / "broken.py").write_text("1 / 0")
    return package


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_stage_is_named(name: str, bad: Path) -> None:
    with pytest.raises(OptionError, match=re.escape(f"--stage {name}: {BAD[name]}")):
        own_stages([name])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Lost", "no stage provides what these require: energy (audio, sunlight)"),
        ("Field", "the index has a field level_db of audio already"),
        ("Place", "the index has a field mel_file already"),
        ("Pickled", "its column is of dtype object"),
    ],
)
def test_what_a_dataset_cannot_hold_is_refused(name: str, message: str, bad: Path) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        build_graph(Options(codec="mini", stage=(f"bad:{name}",)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Silent", "energy gives the scalar quiet_share, which it does not declare"),
        ("Infinite", "energy gives nan for quiet_share"),
    ],
)
def test_numbers_that_are_none_fail_their_utterance(
    name: str, message: str, bad: Path, spoken: Path, tmp_path: Path
) -> None:
    words = ["preprocess", str(spoken), "-o", str(tmp_path / "s"), "--codec", "mini"]
    words += ["--executor", "inline", "--columns", "energy", "--stage", f"bad:{name}"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code != 0 and message in done.output
