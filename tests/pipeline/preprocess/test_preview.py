"""`--plan`: it says what a run then does, and touches nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.schema import COLUMNS
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import Preview, preview, render
from ns2.pipeline.stages.tokens import TokensStage
from tests.support.preprocessing import contents, run_inline


def plan(corpus: Path, out: Path, weights: Path, **options: Any) -> Preview:
    before = contents(out, state=True)
    found = preview(
        corpus,
        out,
        Options(codec_weights=weights, quantizers=4, shard_utterances=4, **options),
    )
    assert contents(out, state=True) == before
    return found


def missing(found: Preview) -> dict[str, int]:
    return {column.column: column.missing for column in found.columns if column.missing}


def test_a_new_dataset(spoken: Path, weights: Path, dataset: Path, tmp_path: Path) -> None:
    found = plan(spoken, tmp_path / "new", weights)
    assert not (tmp_path / "new").exists()
    assert missing(found) == dict.fromkeys((*COLUMNS, "trust"), 3)
    assert found.screened == found.utterances == 10 and found.train_aligner
    splits = Dataset(dataset).fields(["split"])["split"].to_pylist()
    assert found.splits == dict(Counter(splits))
    assert f"split train: {splits.count('train')}" in render(found)
    taken = sum(path.stat().st_size for path in dataset.rglob("*.tar"))
    assert 0.6 * taken < found.bytes < 1.4 * taken


def test_nothing_to_do(spoken: Path, weights: Path, shards: Path) -> None:
    found = plan(spoken, shards, weights)
    assert missing(found) == {} and found.bytes == 0 and not found.train_aligner
    assert "nothing to do" in render(found)


def test_a_changed_option_is_named_and_made(spoken: Path, weights: Path, shards: Path) -> None:
    found = plan(spoken, shards, weights, f0_max=900.0)
    assert missing(found) == {"f0": 3}
    (f0,) = [column for column in found.columns if column.column == "f0"]
    assert f0.reason == "changed: f0.f0_max (1100.0 -> 900.0)" and f0.utterances == 10
    summary = run_inline(spoken, shards, weights, f0_max=900.0)
    assert dict(summary.made) == missing(found)
    assert (shards / f"f0-{f0.fingerprint}").is_dir()


def test_datasets_of_before_keep_the_network_and_the_pitch_that_are_named(
    spoken: Path, weights: Path, tmp_path: Path
) -> None:
    """They were defaults once. Without their names the plan says what changes."""
    out, columns = tmp_path / "out", ("f0", "durations")
    before = {"aligner_init": "bundled-1", "f0": "dio"}
    run_inline(spoken, out, weights, columns=columns, **before)
    assert missing(plan(spoken, out, weights, columns=columns, **before)) == {}
    found = plan(spoken, out, weights, columns=columns)
    assert set(missing(found)) == {"f0", "durations"} and found.train_aligner


def test_a_changed_transcript(corpus: Path, weights: Path, shards: Path) -> None:
    table = corpus / "metadata.csv"
    first, *rest = table.read_text("utf-8").splitlines()
    key = first.split("|")[0]
    table.write_text("\n".join([f"{key}|Quite another text.|Quite another text.", *rest]))
    found = plan(corpus, shards, weights)
    assert missing(found) == dict.fromkeys(("phonemes", "durations", "trust", "meta"), 1)
    assert {c.utterances for c in found.columns if c.missing} == {1}
    assert found.screened == 1
    assert dict(run_inline(corpus, shards, weights).made) == missing(found)


def test_a_changed_and_a_removed_row_are_both_named(
    corpus: Path, weights: Path, shards: Path
) -> None:
    table = corpus / "metadata.csv"
    first, *rest = table.read_text("utf-8").splitlines()
    key = first.split("|")[0]
    table.write_text("\n".join([f"{key}|Quite another text.|Quite another text.", *rest[:-1]]))
    reasons = {one.column: one.reason for one in plan(corpus, shards, weights).columns}
    assert reasons["phonemes"] == (
        "1 removed utterances and changed text of 1 utterances, or lost tars"
    )
    assert reasons["f0"] == "1 removed utterances"


def test_new_utterances_only_touch_new_shards(corpus: Path, weights: Path, tmp_path: Path) -> None:
    table = corpus / "metadata.csv"
    lines = table.read_text("utf-8").splitlines()
    table.write_text("\n".join(lines[:8]))
    run_inline(corpus, tmp_path / "out", weights)
    table.write_text("\n".join(lines))
    found = plan(corpus, tmp_path / "out", weights)
    assert missing(found) == dict.fromkeys((*COLUMNS, "trust"), 1)
    assert {column.reason for column in found.columns} == {"2 new utterances"}
    assert dict(run_inline(corpus, tmp_path / "out", weights).made) == missing(found)


def test_the_command_prints_json(spoken: Path, weights: Path, tmp_path: Path) -> None:
    arguments = ["preprocess", str(spoken), "-o", str(tmp_path / "out"), "--plan", "--json"]
    arguments += ["--trial-seconds", "0"]
    result = CliRunner().invoke(main, [*arguments, "--codec-weights", str(weights)])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert {c["column"]: c["missing"] for c in found["columns"]} == dict.fromkeys(
        (*COLUMNS, "trust"), 1
    )
    wrong = CliRunner().invoke(main, ["preprocess", str(spoken), "-o", "x", "--json"])
    assert wrong.exit_code == 2


def test_another_text_stage_is_the_reason_and_nothing_else_is_made(
    spoken: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as then:
        then.setattr(TokensStage, "version", 1)  # a dataset from before the version was raised
        run_inline(spoken, out, weights)
        assert missing(plan(spoken, out, weights)) == {}
    assert TokensStage.version > 1
    kept = {path for column in ("codes", "mel", "f0") for path in out.glob(f"{column}-*/*")}
    before = {path: path.read_bytes() for path in kept}

    found = plan(spoken, out, weights)
    assert missing(found) == dict.fromkeys(("phonemes", "meta", "durations", "trust"), 3)
    reasons = {column.reason for column in found.columns if column.missing}
    assert reasons == {f"changed: tokens.version (1 -> {TokensStage.version})"}
    assert all(column.reason == "" for column in found.columns if not column.missing)

    assert dict(run_inline(spoken, out, weights).made) == missing(found)
    now = {path for column in ("codes", "mel", "f0") for path in out.glob(f"{column}-*/*")}
    assert {path: path.read_bytes() for path in now} == before
