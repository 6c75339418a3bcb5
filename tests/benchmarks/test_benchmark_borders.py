"""Corpora of the benchmark of borders: those that Festival speaks, and pauses of recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.making import known_borders
from benchmarks.making.borders import _inner_runs, corpora, measured
from benchmarks.making.known_borders import FESTIVAL_UNHEARD, PAUSE, festival, festival_alone
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak_corpus
from tests.support.festival import needs_festival

SHORTEST = 2000
"""Samples of a word between silences."""


@needs_festival(*FESTIVAL_UNHEARD)
def test_voices_that_taught_nothing_speak_in_turn() -> None:
    found = [*festival(6, 1)]
    assert len(found) == 6 == len({one.key for one in found})
    alone = [*festival_alone(6, 1, noisy=False)]
    noisy = [*festival_alone(6, 1, noisy=True)]
    for quiet, loud in zip(alone, noisy, strict=True):
        assert quiet.sounds[0][1] == quiet.sounds[-1][1] == PAUSE
        assert PAUSE not in [ipa for _, ipa in quiet.sounds[1:-1]]
        assert len(quiet.wave) > SHORTEST and not np.array_equal(quiet.wave, loud.wave)


@needs_festival(*FESTIVAL_UNHEARD)
def test_the_network_finds_borders_of_festival_better_than_that_of_before() -> None:
    table = measured({"festival": lambda: festival(30, 2)}, ["bundled", "bundled-2"])
    new, before = table["festival"]["bundled"], table["festival"]["bundled-2"]
    assert new["utterances"] >= 28 and new["mean"] < 12
    assert new["mean"] < 0.92 * before["mean"] and new["edges median"] < before["edges median"]


def test_without_festival_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert measured({"festival": lambda: known_borders.festival(3, 1)}, ["bundled"]) == {}
    told = capsys.readouterr().out
    assert "install festival" in told and "festival: nothing is there to measure" in told


def test_pauses_of_recordings_are_held_against_their_level(tmp_path: Path) -> None:
    """Spoken truth as if nothing were known of it: its pauses are quiet, and found."""
    speak_corpus(tmp_path, 24, 3, voices=("en-us", "en-us+m3"), sentences=SENTENCES)
    made = corpora(0, None, None, (None, None), tmp_path)
    figures = measured({"pauses": made["pauses"]}, ["bundled"])["pauses"]["bundled"]
    assert figures["utterances"] == 24 and figures["pauses"] >= 12
    assert figures["silence in quiet"] > 0.9 and figures["silence loud"] < 0.25


def test_runs_do_not_touch_the_ends() -> None:
    flags = np.array([True, False, True, True, False, True, False, True])
    assert _inner_runs(flags) == [(2, 4), (5, 6)] and _inner_runs(flags[:1]) == []
