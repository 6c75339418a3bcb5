"""The column `trust`: datasets of before get it alone, and it says which word fits least."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview
from ns2.pipeline.tools.inspection.border_confidence import border_confidences
from ns2.pipeline.tools.reporting.write_report import write_report
from ns2.pipeline.tools.tool_options import ReportOptions
from ns2.pipeline.tools.verify.check import verify
from tests.support.preprocessing import contents, identities, run_inline

BEFORE = ("mel", "phonemes", "durations", "meta")
NOW = (*BEFORE, "trust")


def test_datasets_of_before_get_it_alone(spoken: Path, tmp_path: Path) -> None:
    out, anew = tmp_path / "out", tmp_path / "anew"
    run_inline(spoken, out, None, columns=BEFORE, limit=4)
    old, opened = identities(out), Dataset(out)
    told = {key: border_confidences(opened, key) for key in opened.keys}

    asked = Options(columns=NOW, limit=4, shard_utterances=4)
    found = preview(spoken, out, asked)
    assert {c.column: c.reason for c in found.columns if c.missing} == {"trust": "new column"}
    assert not found.train_aligner and found.screened == 0
    summary = run_inline(spoken, out, None, columns=NOW, limit=4)
    assert dict(summary.made) == {"trust": 1} and set(summary.stage_seconds) == {"trust"}
    kept = {name: at for name, at in old.items() if name.endswith((".tar", ".safetensors"))}
    assert kept.items() <= identities(out).items()

    run_inline(spoken, anew, None, columns=NOW, limit=4)
    assert contents(out) == contents(anew)  # at once the evidence is handed on
    assert verify(out).faults == []
    opened = Dataset(out)
    for key in opened.keys:
        trust = opened.read("trust", key, check=True)
        assert trust.shape == opened.read("durations", key).shape
        np.testing.assert_allclose(border_confidences(opened, key), told[key], atol=1e-3)
        phones = [i for i, t in enumerate(opened[key]["meta"]["phonemes"]) if t[-1].isalpha()]
        expected = 1 - trust[phones[1:]].astype(float).mean()
        assert abs(opened.row(key)["border_error"] - expected) < 1e-3


def test_the_worst_word_can_be_seen(spoken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_inline(spoken, out, None, columns=NOW, limit=4)
    opened = Dataset(out)
    key = opened.keys[0]
    found = json.loads(
        CliRunner().invoke(main, ["inspect", str(out), "--key", key, "--json"]).output
    )
    worst, row = found["worst_word"], opened.row(key)
    (word,) = [w for w in found["words"] if abs(w["begin"] - worst["begin"]) < 1e-3]
    assert worst == {
        "word": word["word"],
        "begin": row["worst_word_time"],
        "border_error": row["worst_word"],
    }
    shown = CliRunner().invoke(main, ["inspect", str(out), "--key", key]).output
    assert f"least sure of {worst['word']!r} at {worst['begin']:.2f} s" in shown
    write_report(opened, tmp_path / "page.html", ReportOptions(audio=0), Progress())
    page = (tmp_path / "page.html").read_text("utf-8")
    assert f"{worst['word']} at {worst['begin']:.2f} s" in page
    assert "worst_word_time</code>" not in page
