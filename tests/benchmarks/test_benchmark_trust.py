"""Confidence against truth: corpora that are drawn anew, and what their tenths say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.codecs.copy_groups import Clip
from benchmarks.making import trust
from ns2.pipeline.corpora.spoken.espeak import speak_corpus


def test_draws_are_others_and_count_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trust, "_DRAWS", 2)
    monkeypatch.setattr(trust, "_FEWEST", 1)
    monkeypatch.setattr(trust, "_flite", lambda count, seed, noisy: iter(()))
    found = trust.known(4)
    assert "flite: nothing is there to measure" in capsys.readouterr().out
    rows = found["corpora"]
    assert [row["draw"] for row in rows] == [0, 0, 0, 1, 1, 1]
    for first, second in zip(rows[:3], rows[3:], strict=True):
        assert first["corpus"] == second["corpus"] and first["true"] != second["true"]
    gaps = [abs(row["said"] - row["true"]) for row in found["bins"]]
    assert found["largest difference"] == max(gaps) and len(found["of each draw"]) == 2
    # most borders are right, and are said to be
    surest = max(found["bins"], key=lambda row: row["borders"])
    assert surest["said"] > 0.9 and surest["true"] == pytest.approx(surest["said"], abs=0.05)


def test_people_are_found_in_a_folder_that_is_named_from_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The manifest lies elsewhere, and recordings of manifests lie beside it."""
    monkeypatch.chdir(tmp_path)
    speak_corpus(tmp_path / "corpus", utterances=12, seed=1)
    texts = dict(
        line.split("|")[:2]
        for line in (tmp_path / "corpus/metadata.csv").read_text("utf-8").splitlines()
    )
    clips = [
        Clip(
            group="spoken", id=key, path=Path(f"corpus/wavs/{key}.wav"), text=text, language="en-us"
        )
        for key, text in texts.items()
    ]
    found = trust.texts(clips, set(), 12)
    assert found["recordings"] == 12 and found["swapped"] == 2
    assert found["area by border_error"] > 0.9
