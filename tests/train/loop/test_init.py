"""`ns2 train --init`: what a run takes from another, that it goes on exactly, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from ns2.cli import main
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.run.recipes import training
from ns2.train.speak.lines import Line
from ns2.train.speak.synthesizer import Synthesizer

FIRST = {
    "global_frames": 900,
    "precision": "fp32",
    "samples": 0,
    "keep": 9,
    "checkpoint_every": 2,
    "validate_every": 1,
    "validate_frames": 900,
    "model.prompt.shortest": 20,
    "model.prompt.whole_below": 60,
    "model.prompt.longest": 100,
}
TIMINGS = ("data_wait", "seconds")


def words(settings: dict[str, Any]) -> list[str]:
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def call(*command: object) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, command)])


def began(*command: object) -> str:
    done = call(*command)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def refused(*command: object) -> str:
    done = call(*command)
    assert done.exit_code in (1, 2) and "Traceback" not in done.output, done.output
    return " ".join(done.output.split())


def state(run: Path, step: int | str) -> dict[str, Any]:
    name = f"{step:08d}" if isinstance(step, int) else step
    found: dict[str, Any] = torch.load(run / f"checkpoints/{name}.pt", weights_only=True)
    return found


def metrics(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]


def with_phones(root: Path, out: Path, change: Any) -> Path:
    """A copy of a dataset whose phoneme table has other phones."""
    shutil.copytree(root, out)
    path = Dataset(out).asset("phonemes")
    table = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**table, "phones": change(table["phones"])}))
    return out


@pytest.fixture(scope="module")
def first(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps, validated after each."""
    out = tmp_path_factory.mktemp("first") / "run"
    began(speech, "-o", out, "--preset", "tiny", "--steps", 4, *words(FIRST))
    return out


@pytest.fixture(scope="module")
def adapted(speech: Path, first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps of `adapt` that begin with it."""
    out = tmp_path_factory.mktemp("adapted") / "run"
    began(speech, "-o", out, "--init", first, "--steps", 3, "--set", "checkpoint_every=3")
    return out


def test_it_begins_with_the_best_averaged_weights(first: Path, adapted: Path) -> None:
    best, beginning = state(first, "best"), state(adapted, 0)
    for name, tensor in best["averaged"].items():
        assert torch.equal(beginning["model"][name], tensor), name
        assert torch.equal(beginning["averaged"][name], tensor), name
    assert beginning["step"] == 0 and beginning["place"] == [0, 0]
    assert not beginning["optimizer"]["state"] and not beginning["best"]
    record = json.loads((adapted / "run.json").read_text())["init"]
    assert record["run"] == str(first.resolve())
    assert (record["weights"], record["step"]) == ("best", best["step"])
    assert len(record["sha256"]) == 64


def test_a_run_that_was_never_validated_gives_its_last(
    speech: Path, first: Path, tmp_path: Path
) -> None:
    shutil.copytree(first, tmp_path / "first")
    (tmp_path / "first/checkpoints/best.pt").unlink()
    told = began(speech, "-o", tmp_path / "run", "--init", tmp_path / "first", "--steps", 1)
    assert f"begins with the averaged weights of step 4 of {tmp_path / 'first'}" in told
    newest, beginning = state(first, 4), state(tmp_path / "run", 0)
    assert all(torch.equal(beginning["model"][n], t) for n, t in newest["averaged"].items())
    record = json.loads((tmp_path / "run/run.json").read_text())["init"]
    assert (record["weights"], record["step"]) == ("last", 4)


def test_adapt_sets_the_training_and_holds_parts_still(first: Path, adapted: Path) -> None:
    before = json.loads((first / "config.json").read_text())
    after = json.loads((adapted / "config.json").read_text())
    assert after["model"] == before["model"]
    assert after["global_frames"] == before["global_frames"] == 900
    assert after["learning_rate"] < training("tiny").learning_rate
    assert after["decay"] == "cosine" and after["frozen"] == "phoneme_encoder"
    beginning, end = state(adapted, 0)["model"], state(adapted, 3)["model"]
    still = {name for name in end if torch.equal(end[name], beginning[name])}
    held = {name for name in end if name.startswith("phoneme_encoder.")}
    assert held and held <= still
    for part in ("denoiser.", "duration_predictor.", "pitch_predictor.", "prompt_encoder."):
        assert any(name.startswith(part) and name not in still for name in end), part
    averaged = state(adapted, 3)["averaged"]
    assert all(torch.equal(averaged[name], beginning[name]) for name in held)


def test_it_goes_on_exactly_and_needs_the_other_run_no_more(
    speech: Path, first: Path, tmp_path: Path
) -> None:
    schedule = ["--set", "decay=inverse_sqrt", "--set", "checkpoint_every=1"]
    shutil.copytree(first, tmp_path / "first")
    whole = [speech, "-o", tmp_path / "whole", "--init", tmp_path / "first", *schedule]
    began(*whole, "--steps", 4)
    parts = [speech, "-o", tmp_path / "parts", "--init", tmp_path / "first", *schedule]
    began(*parts, "--steps", 1)
    # as after a kill in the first step: only what the run began with is there
    (tmp_path / "parts/checkpoints/00000001.pt").unlink()
    shutil.rmtree(tmp_path / "first")
    began(*parts, "--steps", 2)
    began(*parts, "--steps", 4)
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    ours, theirs = (state(tmp_path / name, 4)["averaged"] for name in ("parts", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    one, other = (json.loads((tmp_path / n / "run.json").read_text()) for n in ("parts", "whole"))
    assert one["init"] == other["init"]


def lines(dataset: Path, run: Synthesizer) -> list[Line]:
    data = Dataset(dataset)
    ids = [data.read("phonemes", row) for row in range(2)]
    prompt = np.asarray(data.read("codes", 3))[:, :80]
    return [Line(phonemes=np.asarray(one), seed=i, prompt=prompt) for i, one in enumerate(ids)]


def test_little_data_ends_a_run_early(speech: Path, tmp_path: Path) -> None:
    command = [speech, "--preset", "tiny", *words({**FIRST, "warmup": 1})]
    steps = {name: tmp_path / name for name in ("long", "longer")}
    for name, out in steps.items():
        told = began(*command, "-o", out, "--set", "epochs=2", "--steps", 50 + len(name))
        assert "2 epochs, and not with 5" in told and "--set epochs=0" in told
    ours, theirs = (metrics(out) for out in steps.values())
    assert ours == theirs and len(ours) < 50
    assert ours[-1]["epoch"] == 1 and ours[-1]["lr"] < ours[len(ours) // 2]["lr"]
    assert "2 epochs" in began(*command, "-o", tmp_path / "none", "--set", "epochs=2", "--dry-run")
    # it is done, stays so, and goes on where that is asked for
    assert "epochs stays at 2" in began(*command, "-o", steps["long"], "--steps", 50)
    assert metrics(steps["long"]) == ours
    longer = ("-o", steps["long"], "--set", "epochs=0", "--steps", len(ours) + 1)
    began(*command, *longer)
    assert len(metrics(steps["long"])) == len(ours) + 1


def test_a_setting_that_is_gone_does_no_harm(speech: Path, first: Path, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "first")
    path = tmp_path / "first/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "anchor": 60.0}))
    Synthesizer.open(tmp_path / "first")
    command = [speech, "--preset", "tiny", *words(FIRST)]
    assert "goes on after step 4" in began(*command, "-o", tmp_path / "first", "--steps", 5)


def test_phones_that_are_appended_are_taken(speech: Path, first: Path, tmp_path: Path) -> None:
    longer = with_phones(speech, tmp_path / "longer", lambda phones: [*phones, "ʬ", "ʭ"])
    out = tmp_path / "run"
    began(longer, "-o", out, "--init", first, "--steps", 1)
    before, beginning = state(first, "best")["averaged"], state(out, 0)["model"]
    old, new = before["phone.weight"], beginning["phone.weight"]
    assert len(new) == len(old) + 2
    assert torch.equal(new[: len(old)], old)
    assert torch.allclose(new[len(old) :], old.mean(0), atol=1e-6)
    # speech of the old phones is what it was, to the last bit
    ours, theirs = (
        Synthesizer.open(run, weights=which) for run, which in ((out, "0"), (first, "best"))
    )
    for a, b in zip(
        ours.speak(lines(speech, ours)), theirs.speak(lines(speech, theirs)), strict=True
    ):
        assert np.array_equal(a.wave, b.wave)
    # and the new ones can be spoken
    assert len(ours.ids_of_tokens(["ʬ", "ˈʭ"])) == 4

    # the old data, with the shorter table, goes on with the longer one; alone and beside the new
    began(speech, "-o", tmp_path / "back", "--init", out, "--steps", 1)
    assert Synthesizer.open(tmp_path / "back").table == ours.table
    mixed = [speech, longer, "-o", tmp_path / "mixed", "--init", first, "--mix", "1:9"]
    began(*mixed, "--steps", 1)
    assert Synthesizer.open(tmp_path / "mixed").table == ours.table


def test_another_codec_grid_or_table_is_refused(
    speech: Path, dataset: Path, first: Path, tmp_path: Path
) -> None:
    def of(data: Path, *more: object) -> str:
        told = refused(data, "-o", tmp_path / "run", "--init", first, "--steps", 1, *more)
        assert str(first) in told.replace(" ", "") or "(--init)" in told
        return told

    codec = of(dataset)
    assert "different codebooks (mini, 4 of" in codec and "encodec" in codec
    assert "--codec and --quantizers" in codec
    assert "different codebooks" in of(dataset, "--dry-run")
    shutil.copytree(speech, tmp_path / "grid")
    card = tmp_path / "grid/dataset.json"
    from ns2.pipeline.dataset.card import card_text, sealed

    grid = {"sample_rate": 16_000, "hop_length": 320, "frame_rate": 50.0}
    card.write_text(card_text(sealed({**json.loads(card.read_text()), "grid": grid})))
    grids = of(tmp_path / "grid")
    assert "frame grids (24000 Hz, hop 320; 16000 Hz, hop 320)" in grids
    swapped = with_phones(speech, tmp_path / "other", lambda p: [p[1], p[0], *p[2:]])
    tables = of(swapped)
    assert "different phoneme tables (id " in tables and "--extra-phonemes" in tables
    assert not (tmp_path / "run/run.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "small"], "the preset small has another model than the run of --init"),
        (["--set", "model.width=32"], "can't be changed: model.width is 32, there 64"),
        (["--set", "frozen=pitch_predicter"], "no part 'pitch_predicter'; did you mean"),
        (["--set", "frozen=denoiser.wavenet.layer"], "no part 'denoiser.wavenet.layer'"),
        (["--preset", "huge"], "no preset 'huge'; choose one of: paper"),
    ],
)
def test_what_does_not_fit_the_run_is_refused(
    options: list[str], message: str, speech: Path, first: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert message in refused(speech, "-o", out, "--init", first, "--steps", 1, *options)


def test_what_is_no_run_to_begin_with_is_refused(speech: Path, first: Path, tmp_path: Path) -> None:
    assert "the run itself" in refused(speech, "-o", first, "--init", first, "--fresh")
    assert (first / "model.safetensors").exists()
    assert "no run of `ns2 train`" in refused(speech, "-o", tmp_path / "run", "--init", speech)
    assert "by --init RUN" in refused(speech, "-o", tmp_path / "run", "--preset", "adapt")
    shutil.copytree(first, tmp_path / "damaged")
    (tmp_path / "damaged/checkpoints/best.pt").write_bytes(b"half")
    told = refused(speech, "-o", tmp_path / "run", "--init", tmp_path / "damaged", "--steps", 1)
    assert "best.pt can't be read" in told and "delete it to begin with the last weights" in told
    assert "--weights" not in told


def test_another_beginning_is_another_run(speech: Path, first: Path, adapted: Path) -> None:
    again = ["--steps", 3, "--set", "checkpoint_every=3"]
    told = refused(speech, "-o", first, "--init", adapted, "--preset", "tiny", *again)
    assert "begins with random weights" in told
    config = ["--config", adapted / "config.json"]
    told = refused(speech, "-o", adapted, *config)
    assert f"began with --init {first.resolve()}".replace(" ", "") in told.replace(" ", "")


def test_a_changed_schedule_or_other_data_names_init(
    speech: Path, dataset: Path, first: Path
) -> None:
    same = ["-o", first, "--preset", "tiny", "--steps", 4, *words(FIRST)]
    told = refused(speech, *same, "--set", "learning_rate=1e-4", "--set", "warmup=7")
    assert "another learning_rate, warmup" in told and "--init" in told and "another folder" in told
    assert "--init" in refused(speech, *same, "--where", "seconds > 1")
    assert "--init" not in refused(speech, *same, "--set", "model.width=32")


def test_other_settings_of_how_a_model_learns_may_change(
    speech: Path, first: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    changes = ["--preset", "tiny", "--set", "model.prompt.longest=80", "--set", "frozen=denoiser"]
    began(speech, "-o", out, "--init", first, "--steps", 1, *changes)
    config = json.loads((out / "config.json").read_text())
    assert config["model"]["prompt"]["longest"] == 80 and config["warmup"] == 100
    assert config["model"]["prompt"]["shortest"] == 20  # of the run, not of the preset


def test_a_dry_run_writes_nothing(speech: Path, first: Path, tmp_path: Path) -> None:
    began(speech, "-o", tmp_path / "run", "--init", first, "--dry-run")
    assert not (tmp_path / "run").exists()
