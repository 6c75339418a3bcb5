"""Pieces of a text as one speech: pauses as asked for or as within, nothing else changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.quality.lufs import loudness_of_speech
from ns2.train.speak.joints import Joints
from ns2.train.speak.lines import Speech, joined

GRID = FrameGrid(sample_rate=24_000, hop_length=320)
TABLE = PhonemeTable.default()
SILENT = 0.001


def spoken(said: str) -> Speech:
    """A tone and silence of tokens with their frames, such as "<sil>:3 a:10 .:2 <sil>:1"."""
    pairs = [pair.rsplit(":", 1) for pair in said.split()]
    tokens, durations = [t for t, _ in pairs], np.array([int(d) for _, d in pairs])
    level = np.repeat([SILENT if t in TABLE.optional else 0.5 for t in tokens], durations)
    wave = np.sin(np.arange(len(level) * 320) / 3) * np.repeat(level, 320)
    sounds = [i for i, t in enumerate(tokens) if t not in TABLE.optional]
    return Speech(
        wave=wave.astype(np.float32),
        sample_rate=24_000,
        phonemes=TABLE.ids(tokens),
        durations=durations,
        f0=(level > SILENT) * np.float32(100),
        words=tuple((tokens[i], i, i + 1) for i in sounds),
    )


def pauses(speech: Speech) -> list[int]:
    """The frames of silence before, between and behind what sounds, by the wave."""
    loud = np.abs(speech.wave).reshape(-1, 320).max(1) > 2 * SILENT
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False))
    return np.diff([0, *edges, len(loud)])[::2].tolist()


ONE = "<sil>:3 a:10 .:2 <sil>:1"
SEVERAL = "<sil>:3 a:10 .:40 b:8 ,:7 ɪ:5 ?:20 a:9 .:5 <sil>:3"


@pytest.mark.parametrize(
    ("pieces", "rests", "pause", "expected"),
    [
        ([ONE, ONE], [1, 1], None, [3, 30, 3]),  # nothing to go by: 0.4 s
        ([SEVERAL, ONE], [1, 1], None, [3, 40, 7, 20, 30, 3]),  # the median of 40 and 20
        ([SEVERAL, ONE], [1.5, 1], None, [3, 40, 7, 20, 45, 3]),  # a paragraph
        ([ONE, SEVERAL], [0.6, 1], None, [3, 18, 40, 7, 20, 8]),  # known when it is spoken
        ([SEVERAL, ONE], [1, 1], 1.0, [3, 75, 7, 75, 75, 3]),
        ([SEVERAL, ONE], [1, 1], 0.0, [3, 1, 7, 1, 1, 3]),
        ([ONE, ONE, ONE], [1, 1, 1], 0.08, [3, 6, 6, 3]),
        ([ONE, ONE, ONE], [0.6, 1.5, 1], 5.0, [3, 18, 562, 3]),  # within a sentence as ever
        ([ONE, ONE, ONE], [0.6, 1, 1], 0.2, [3, 9, 15, 3]),  # and no longer than between two
        (["<sil>:0 a:9 .:0 <sil>:0", ONE], [1, 1], 0.2, [0, 15, 3]),
        (["<sil>:60 a:9 .:0 <sil>:90", "<sil>:60 a:9 <sil>:4"], [1, 1], 0.4, [60, 30, 4]),
    ],
)
def test_pauses(
    pieces: list[str], rests: list[float], pause: float | None, expected: list[int]
) -> None:
    given = [spoken(piece) for piece in pieces]
    joints = Joints(TABLE, GRID, pause)
    made = joints.all(list(zip(given, rests, strict=True)))
    assert pauses(made) == expected
    # tokens, words, pitch and samples still lie at the same frames
    assert len(made.wave) == 320 * made.durations.sum() == 320 * len(made.f0)
    ends = np.cumsum(made.durations)
    symbols = TABLE.symbols(made.phonemes)
    assert [word for word, _, _ in made.words] == [w for one in given for w, _, _ in one.words]
    for word, first, end in made.words:
        assert symbols[first:end] == [word]
        assert (made.f0[ends[first] - made.durations[first] : ends[first]] == 100).all()
    # and what sounds is as it was, but for fades
    loud = np.abs(made.wave).max()
    assert loud == pytest.approx(0.5, abs=0.01)
    total = sum(float(np.square(one.wave).sum()) for one in given)
    assert float(np.square(made.wave).sum()) == pytest.approx(total, rel=0.03)


@pytest.mark.parametrize("pause", [None, 0.5, 0.0])
def test_no_step_at_a_joint_is_larger_than_elsewhere(pause: float | None) -> None:
    given = [spoken(one) for one in ("a:10 .:0", "a:9 .:0", "<sil>:0 ɪ:9 <sil>:2")]
    made = Joints(TABLE, GRID, pause).all([(one, 1.0) for one in given])
    steps = np.abs(np.diff(made.wave))
    assert steps.max() <= max(np.abs(np.diff(one.wave)).max() for one in given) + 1e-6


def test_what_is_streamed_is_what_is_joined_at_once() -> None:
    given = [spoken(one) for one in (ONE, SEVERAL, ONE)]
    joints = Joints(TABLE, GRID)
    parts = [joints.add(one, 1.0) for one in given]
    assert not np.abs(parts[0].wave[-320:]).max() < 2 * SILENT  # its silence is held back
    made = Joints(TABLE, GRID).all([(one, 1.0) for one in given])
    np.testing.assert_array_equal(joined([*parts, joints.last()]).wave, made.wave)


@pytest.mark.parametrize("gain", [0.15, 0.4, 1.0, 1.9])
def test_known_voices_are_equally_loud(gain: float) -> None:
    """Whatever level the model makes of a prompt, and whatever frequencies; silence does not count.

    A voice whose voiced frames hold little of what people hear well is as loud as another one.
    """
    given = [replace(one, wave=gain * one.wave) for one in (spoken(SEVERAL), spoken(ONE))]
    deep = np.sin(np.arange(len(given[0].wave)) / 60) * np.abs(given[0].wave)
    given.append(replace(given[0], wave=deep.astype(np.float32)))
    for one in given:
        made = Joints(TABLE, GRID, loudness=-24.0).all([(one, 1.0)]).wave
        assert loudness_of_speech(made, 24_000) == pytest.approx(-24, abs=0.05)
    # and so is each piece of a text
    made = Joints(TABLE, GRID, loudness=-24.0).all([(given[0], 1.0), (given[2], 1.0)]).wave
    for half in (made[: len(given[0].wave)], made[-len(given[2].wave) :]):
        assert loudness_of_speech(half, 24_000) == pytest.approx(-24, abs=0.3)


def test_nothing_is_made_much_louder() -> None:
    faint = replace(spoken(ONE), wave=0.01 * spoken(ONE).wave)
    made = Joints(TABLE, GRID, loudness=-24.0).all([(faint, 1.0)])
    assert np.abs(made.wave).max() == pytest.approx(np.abs(faint.wave).max() * 10**0.6, rel=1e-5)
