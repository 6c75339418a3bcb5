"""The trial of `--plan`: utterances are really made, their cost is told, nothing is left."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ns2.pipeline.core.schema import COLUMNS
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import Preview, preview, render
from ns2.pipeline.preprocess.trial import WRITING, Trial
from tests.support.preprocessing import contents


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def plan(corpus: Path, out: Path, weights: Path, seconds: float = 120, **options: Any) -> Preview:
    chosen = Options(codec_weights=weights, quantizers=4, shard_utterances=4, **options)
    return preview(corpus, out, chosen, seconds)


def trial_of(found: Preview) -> Trial:
    assert found.trial is not None and not found.trial.problem
    return found.trial


def taken(dataset: Path) -> int:
    """Bytes of all members of a dataset's tars, without what fills the tars up."""
    found = 0
    for path in dataset.rglob("*.tar"):
        with tarfile.open(path) as tar:
            found += sum(512 + -(-member.size // 512) * 512 for member in tar)
    return found


def test_all_that_a_run_makes_is_tried(
    spoken: Path, weights: Path, dataset: Path, tmp_path: Path, temporary: Path
) -> None:
    found = plan(spoken, tmp_path / "new", weights)
    trial = trial_of(found)
    assert trial.utterances == 9 and not trial.left_out  # the first of ten is not counted
    assert {*COLUMNS, "audio", "tokens", WRITING} - {"phonemes", "meta"} <= trial.seconds.keys()
    assert all(seconds > 0 for seconds in trial.seconds.values())
    assert trial.training > 0 and trial.start > 0
    work = sum(trial.seconds.values())
    assert trial.on(1) - trial.on(4) == pytest.approx(work * 3 / 4)
    assert found.bytes == sum(trial.bytes.values()) == pytest.approx(taken(dataset), rel=0.2)
    assert not (tmp_path / "new").exists() and not list(temporary.iterdir())
    told = render(found)
    assert "a trial made 9 utterances" in told and "on 16 cores" in told
    assert found.to_json()["trial"]["on"]["16"] == trial.on(16)


def test_only_what_is_missing_is_tried(
    spoken: Path, weights: Path, shards: Path, temporary: Path
) -> None:
    before = contents(shards, state=True)
    trial = trial_of(plan(spoken, shards, weights, f0_max=900.0))
    assert trial.seconds.keys() == {"audio", "f0", WRITING} and trial.bytes.keys() == {"f0"}
    assert trial.utterances == 9 and trial.training == 0
    assert contents(shards, state=True) == before and not list(temporary.iterdir())
    assert plan(spoken, shards, weights).trial is None  # nothing is missing


def test_where_none_can_be_made_the_plan_goes_on(
    spoken: Path, weights: Path, tmp_path: Path, temporary: Path
) -> None:
    without = plan(spoken, tmp_path / "new", weights, 0)
    assert without.trial is None
    limits = {"min_seconds": 500.0, "max_seconds": 600.0}  # none is so long
    found = plan(spoken, tmp_path / "new", weights, **limits)
    assert found.trial is not None and found.trial.problem
    assert [c.missing for c in found.columns] == [c.missing for c in without.columns]
    assert f"no trial, so no time is told: {found.trial.problem}" in render(found)
    temporary.rmdir()
    found = plan(spoken, tmp_path / "new", weights)
    assert found.trial is not None and str(temporary) in found.trial.problem
