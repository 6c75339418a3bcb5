"""Figures of the zero-shot protocol: intervals over speakers, prosody, spoilt prompts, tables."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from ns2.train.evaluation.zero_shot.intervals import figure, figures
from ns2.train.evaluation.zero_shot.prosody import Prosody, differences, joined, moments, prosody
from ns2.train.evaluation.zero_shot.protocol import exchanged
from ns2.train.evaluation.zero_shot.sentences import frames_of, stretches
from ns2.train.evaluation.zero_shot.spoilt import by_telephone, with_noise
from ns2.train.evaluation.zero_shot.tables import Table, latex, markdown, tables

RATE = 24_000


def test_speakers_are_drawn_and_not_their_sentences() -> None:
    # four speakers of unequal size: all 256 draws of four, by hand
    wrong = {"a": [(1, 10), (0, 5)], "b": [(3, 10)], "c": [(2, 4), (2, 6), (1, 5)], "d": [(0, 9)]}
    pairs = [(name, share) for name, shares in wrong.items() for share in shares]
    found = figure([name for name, _ in pairs], [share for _, share in pairs])
    assert found is not None and found.value == pytest.approx(9 / 49)
    sums = {name: np.sum(shares, 0) for name, shares in wrong.items()}
    rates = [
        total[0] / total[1]
        for draw in product(sums, repeat=4)
        if (total := np.sum([sums[name] for name in draw], 0)) is not None
    ]
    low, high = np.quantile(rates, (0.025, 0.975))
    assert found.interval == pytest.approx((low, high), abs=0.03)
    # one more sentence of the same kind for each speaker changes nothing
    twice = figure([name for name, _ in pairs] * 2, [share for _, share in pairs] * 2)
    assert twice == found


@pytest.mark.parametrize(("speakers", "there"), [(1, False), (3, False), (4, True)])
def test_an_interval_that_says_nothing_is_not_given(speakers: int, there: bool) -> None:
    found = figure([str(i) for i in range(speakers)], [(i, 10) for i in range(speakers)])
    assert found is not None and (found.interval is not None) == there


def test_what_was_not_measured_takes_no_part() -> None:
    assert figure(["a", "b"], [None, None]) is None
    assert figure(["a"], [(0, 0)]) is None
    found = figures(["a", "b"], [{"x": (1, 2)}, {"x": (2, 2), "y": (3, 1)}])
    assert {name: one.value for name, one in found.items()} == {"x": 0.75, "y": 3.0}


def test_moments_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, 50)
    expected = (values.mean(), values.std(), stats.skew(values), stats.kurtosis(values))
    assert list(moments(values).values()) == pytest.approx(expected)
    assert moments(values[:2]) == {}
    assert moments(np.full(5, 7.0)) == {"mean": 7.0, "deviation": 0.0}  # no shape at all


def test_pitch_is_that_of_phones_and_durations_are_in_ms() -> None:
    f0 = np.array([0, 100, 120, 0, 0, 200, 0, 300.0])
    found = prosody(
        np.array([3, 2, 0, 2, 9]), f0, np.array([True, True, True, True, False]), frame_rate=100.0
    )
    assert found.pitch.tolist() == [110.0, 200.0]  # the second phone has no voice
    assert found.durations.tolist() == [30.0, 20.0, 20.0]
    both = joined([found, found])
    assert len(both.pitch) == 4 and len(joined([]).pitch) == 0


def test_differences_are_absolute_and_named() -> None:
    a = Prosody(np.array([100.0, 110, 120]), np.array([50.0, 60, 100]))
    b = Prosody(np.array([130.0, 140, 150]), np.array([50.0]))
    found = differences(a, b, "prompt")
    assert found["pitch_mean_to_prompt"] == (30.0, 1.0)
    assert found["pitch_skewness_to_prompt"] == pytest.approx((0.0, 1.0))
    assert not any("durations" in name for name in found)  # a single phone has no moments


def test_noise_is_ten_decibels_below_and_the_same_again() -> None:
    wave = np.sin(np.arange(RATE) / 20).astype(np.float32)
    noisy = with_noise(wave, 3)
    added = noisy.astype(np.float64) - wave
    assert 10 * np.log10(np.mean(wave**2) / np.mean(added**2)) == pytest.approx(10, abs=0.01)
    assert np.array_equal(noisy, with_noise(wave, 3))
    assert not np.array_equal(noisy, with_noise(wave, 4))
    assert not with_noise(np.zeros(5, np.float32), 1).any()


@pytest.mark.parametrize(
    ("hertz", "heard"), [(100, False), (1000, True), (3000, True), (5000, False)]
)
def test_a_telephone_has_its_band_alone(hertz: int, heard: bool) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
    found = by_telephone(tone, RATE)
    assert found == pytest.approx(tone if heard else np.zeros(RATE), abs=1e-3)


def test_a_prompt_is_one_stretch_where_one_is_long_enough() -> None:
    lengths = {"a": 50, "b": 240, "c": 300}
    ((key, first, end),) = stretches(lengths, 225, "s")
    assert key == "b" and first >= 0 and end == first + 225 <= 240
    assert stretches(lengths, 225, "s") == stretches(lengths, 225, "s")
    places = {stretches(lengths, 225, str(seed))[0][1] for seed in range(40)}
    assert len(places) > 5 and max(places) <= 15


def test_prompts_are_joined_where_none_is_long_enough() -> None:
    found = stretches({"a": 50, "b": 100, "c": 100, "d": 9}, 225, "s")
    assert [key for key, _, _ in found] == ["a", "b", "c"]
    assert [end - first for _, first, end in found] == [50, 100, 75]
    assert found[2][2] <= 100


def test_prompts_are_exchanged_with_another_speaker() -> None:
    assert exchanged(["a", "b", "a", "c"]) == [1, 2, 3, 0]
    assert exchanged(["a", "a", "b"]) == [2, 2, 0]
    assert exchanged(["a", "a"]) == [None, None]


def test_the_frames_of_seconds() -> None:
    assert frames_of((3.0, 5.0), 75.0, 375) == {3.0: 225, 5.0: 375}


def version(title: str, **figures: object) -> dict[str, object]:
    return {"title": title, "figures": figures}


def test_tables_in_markdown_and_latex() -> None:
    rate = {"value": 0.059, "interval": [0.023, 0.108]}
    alone = {"value": 0.8123, "interval": None}
    found = {
        "versions": {
            "copy": version("codec copy", words_wrong=rate, pitch_mean_to_prompt=alone),
            "prompt_3s": version("prompt of 3 s", words_wrong=rate, similarity=alone),
        }
    }
    made = tables(found)
    assert [len(table.rows) for table in made] == [2, 1]
    text = markdown(made, ["a note"])
    assert "| prompt of 3 s | 5.9% (2.3 to 10.8) | 0.812      |" in text
    assert "| codec copy    | 5.9% (2.3 to 10.8) | -          |" in text
    assert text.endswith("Note: a note.\n")
    written = latex(made)
    assert r"prompt of 3 s & 5.9\% (2.3--10.8) & 0.812 \\" in written
    assert written.count(r"\begin{tabular}{lrr}") == 1
    assert written.count(r"\end{table}") == 2
    told = latex([Table("near to it", ("", "x"), (("a_b & 5%", "1 (0 to 2)"),))])
    assert r"a\_b \& 5\% & 1 (0--2)" in told and r"\caption{Near to it.}" in told
