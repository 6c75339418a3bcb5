"""`--weights`: which weights of a run speak, and what is said where they are not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.train.speak.weights import read_weights


@pytest.fixture(scope="module")
def run(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps with two checkpoints, validated after each of its steps."""
    out = tmp_path_factory.mktemp("weights") / "run"
    settings = {"global_frames": 900, "precision": "fp32", "samples": 0, "keep": 2}
    settings |= {"checkpoint_every": 2, "validate_every": 1, "validate_frames": 900}
    settings |= {"model.prompt.shortest": 20, "model.prompt.whole_below": 60}
    settings |= {"model.prompt.longest": 100}
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    done = CliRunner().invoke(
        main, ["train", str(speech), "-o", str(out), "--preset", "tiny", "--steps", "4", *sets]
    )
    assert done.exit_code == 0, done.output
    return out


def older_step(run: Path) -> str:
    """The step of the older of the two checkpoints, as people write it."""
    return sorted((run / "checkpoints").glob("0*.pt"))[0].stem.lstrip("0")


def say(run: Path, out: Path, *words: str) -> Result:
    command = ["synthesize", str(run), "The old bridge.", "-o", str(out), "--steps", "2", *words]
    return CliRunner().invoke(main, command)


def test_each_of_the_weights_is_that_of_its_file(run: Path) -> None:
    newest = torch.load(run / "checkpoints/00000004.pt", weights_only=True)
    best = torch.load(run / "checkpoints/best.pt", weights_only=True)
    older = older_step(run)
    for which, state in (("last", newest), ("4", newest), ("best", best)):
        found = read_weights(run, which)
        assert found.step == state["step"]
        assert found.tensors.keys() == state["averaged"].keys()
        assert all(torch.equal(found.tensors[name], t) for name, t in state["averaged"].items())
    assert read_weights(run, older).step == int(older) < 4


def test_other_weights_speak_otherwise_and_the_step_is_said(run: Path, tmp_path: Path) -> None:
    older = older_step(run)
    waves = {}
    for which, step in (("last", "4"), ("4", "4"), (older, older)):
        out = tmp_path / f"{which}.wav"
        done = say(run, out, "--weights", which)
        assert done.exit_code == 0, done.output
        assert f"by the weights of step {step}" in done.output
        waves[which] = out.read_bytes()
    assert waves["last"] == waves["4"] != waves[older]


def test_an_evaluation_keeps_which_weights_it_is_of(
    run: Path, speech: Path, tmp_path: Path
) -> None:
    words = ["-o", str(tmp_path / "out"), "--limit", "1", "--steps", "2", "--split", "train"]
    words += ["--weights", "best"]
    done = CliRunner().invoke(main, ["evaluate", str(run), str(speech), *words])
    assert done.exit_code == 0, done.output
    settings = json.loads((tmp_path / "out/evaluation.json").read_text())["settings"]
    best = torch.load(run / "checkpoints/best.pt", weights_only=True)["step"]
    assert (settings["weights"], settings["step"]) == ("best", best)
    assert f"step {best}" in (tmp_path / "out/index.html").read_text()


@pytest.mark.parametrize("which", ["1", "0", "newest", "-4", "٤", "best.pt", "../4"])
def test_weights_that_are_not_there(run: Path, tmp_path: Path, which: str) -> None:
    done = say(run, tmp_path / "out.wav", f"--weights={which}")
    assert done.exit_code == 1
    assert "has no such checkpoint; give last, best or the step" in done.output
    assert "4" in done.output
    assert not (tmp_path / "out.wav").exists()


def test_a_run_that_was_never_validated_has_no_best(run: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="which is written where a run is validated"):
        read_weights(tmp_path, "best")


def test_a_checkpoint_that_is_cut(run: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    whole = (run / "checkpoints/00000004.pt").read_bytes()
    (tmp_path / "checkpoints/00000004.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="can't be read"):
        read_weights(tmp_path, "4")


def test_loading_a_run_does_not_load_torchs_compiler(run: Path) -> None:
    """It would take longer than all the rest of loading a small run."""
    told = (
        "import sys; from pathlib import Path; from ns2.train.speak.loading import load_model; "
        f"model, _ = load_model(Path({str(run)!r})); "
        "assert not any(one.is_meta for one in model.state_dict().values()); "
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
