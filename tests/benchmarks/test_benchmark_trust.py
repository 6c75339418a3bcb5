"""Confidence against truth: corpora that are drawn anew, and what their tenths say."""

from __future__ import annotations

import pytest

from benchmarks.making import trust


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
