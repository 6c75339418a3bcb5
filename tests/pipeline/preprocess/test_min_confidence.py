"""`--min-confidence`: what a manifest is not sure of is filtered, and comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.dataset.where import parse_where
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview, render
from ns2.pipeline.tools.collect import collect
from ns2.pipeline.tools.verify.check import verify
from tests.support.preprocessing import contents, run_inline

COLUMNS = ("mel", "phonemes")
CONFIDENCES = [0.1, 0.9, None, 0.5, 1, 0.49, 0.8, 0.95, 0.3, 0.7]
LOW = {0, 5, 8}
"""Those below 0.5."""


def manifest(spoken: Path, root: Path, confidences: list[object]) -> Path:
    """A manifest of the spoken corpus, whose rows have these confidences."""
    root.mkdir()
    rows = []
    table = sorted((spoken / "metadata.csv").read_text("utf-8").splitlines())
    for i, (line, confidence) in enumerate(zip(table, confidences, strict=True)):
        key, text, *_ = line.split("|")
        row = {"id": f"u{i}", "audio": str(spoken / "wavs" / f"{key}.wav"), "text": text}
        rows.append(row if confidence is None else {**row, "confidence": confidence})
    path = root / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_it_filters_copies_and_takes_back(spoken: Path, tmp_path: Path) -> None:
    corpus, out = manifest(spoken, tmp_path / "corpus", list(CONFIDENCES)), tmp_path / "out"
    run_inline(corpus, out, None, columns=COLUMNS)
    whole = contents(out)
    index = pq.read_table(out / "index.parquet", columns=["key", "confidence"]).to_pydict()
    assert dict(zip(index["key"], index["confidence"], strict=True)) == {
        f"u{i}": confidence for i, confidence in enumerate(CONFIDENCES)
    }
    assert verify(out).faults == []

    options = Options(columns=COLUMNS, shard_utterances=4, min_confidence=0.5)
    planned = preview(corpus, out, options)
    assert "--min-confidence 0.5 filters 3 of 10 utterances" in render(planned)
    assert planned.utterances == 7 and {c.utterances for c in planned.columns} == {0}
    summary = run_inline(corpus, out, None, columns=COLUMNS, min_confidence=0.5)
    assert not summary.stage_seconds and summary.made == {"mel": 3, "phonemes": 3}  # copied
    left_out = {(r.key, str(r.kind), str(r.reason)) for r in summary.rejected}
    assert left_out == {(f"u{i}", "filtered", "low_confidence") for i in LOW}
    assert set(Dataset(out).keys) == {f"u{i}" for i in range(10) if i not in LOW}
    assert verify(out).faults == []

    collect(out)
    run_inline(corpus, tmp_path / "anew", None, columns=COLUMNS, min_confidence=0.5)
    assert contents(tmp_path / "anew") == contents(out)
    run_inline(corpus, out, None, columns=COLUMNS)
    collect(out)
    assert contents(out) == whole


def test_where_knows_the_confidence(spoken: Path, tmp_path: Path) -> None:
    corpus, out = manifest(spoken, tmp_path / "corpus", list(CONFIDENCES)), tmp_path / "out"
    run_inline(corpus, out, None, columns=("phonemes",))
    dataset = Dataset(out)
    chosen = dataset.index.filter(parse_where("confidence > 0.8", dataset.index_schema).expression)
    assert set(chosen["key"].to_pylist()) == {"u1", "u4", "u7"}


def test_a_corpus_without_confidence_has_an_index_as_before(spoken: Path, tmp_path: Path) -> None:
    corpus = manifest(spoken, tmp_path / "corpus", [None] * 10)
    run_inline(corpus, tmp_path / "out", None, columns=("phonemes",))
    assert "confidence" not in pq.read_schema(tmp_path / "out" / "index.parquet").names
    options = Options(columns=("phonemes",), shard_utterances=4, min_confidence=0.5)
    planned = preview(corpus, tmp_path / "out", options)
    assert planned.notes == (
        "--min-confidence has no effect: no utterance of the corpus has a confidence",
    )


@pytest.mark.parametrize("odd", ["sure", 1.5, -0.1, True, float("nan"), [0.5]])
def test_an_odd_confidence_is_none_and_is_said(spoken: Path, tmp_path: Path, odd: object) -> None:
    corpus = manifest(spoken, tmp_path / "corpus", [odd, *CONFIDENCES[1:]])
    found = read_corpus(corpus)
    assert found.utterances[0].confidence is None and found.utterances[1].confidence == 0.9
    assert any("1 rows of manifest.jsonl have a confidence" in w for w in found.warnings)


@pytest.mark.parametrize("least", [-0.1, 1.1])
def test_impossible_values_are_refused(least: float) -> None:
    with pytest.raises(OptionError, match="--min-confidence must be from 0 to 1"):
        Options(min_confidence=least)
