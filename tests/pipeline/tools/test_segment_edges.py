"""Where speech ends beside a pause, in levels that are made for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ns2.pipeline.align.long.recorded import WINDOW, Recorded
from ns2.pipeline.tools.segmenting.edges import Edges

SPEECH, PAIR = -20.0, 2 / 75
Part = tuple[float, float, bool]
"""Seconds, decibels below speech, and whether the network hears a phone."""


def edges(parts: Sequence[Part]) -> Edges:
    """The edges of a recording of some parts."""
    seconds = sum(part[0] for part in parts)
    ends = np.cumsum([part[0] for part in parts])
    at = (np.arange(round(seconds / WINDOW)) + 0.5) * WINDOW
    pairs = (np.arange(max(1, round(seconds / PAIR))) + 0.5) * PAIR
    part_at, part_of = (np.minimum(np.searchsorted(ends, x), len(parts) - 1) for x in (at, pairs))
    below = np.array([part[1] for part in parts])
    recorded = Recorded(
        mel=np.zeros((1, len(at)), np.float16),
        quiet=below[part_at] > 25,
        level=np.asarray(SPEECH - below[part_at], np.float32),
        speech=np.full(len(at), SPEECH, np.float32),
        seconds=seconds,
        frame_rate=75.0,
    )
    return Edges(recorded, np.array([not part[2] for part in parts])[part_of])


@pytest.mark.parametrize(
    ("behind", "kept", "before"),
    [
        ([(1.0, 60, False)], 0.06, 0.06),  # silence
        ([(0.03, 28, False), (1.0, 60, False)], 0.09, 0.08),  # it dies away
        ([(0.5, 28, False), (1.0, 60, False)], 0.1, 0.08),  # the noise of a room, then mute
        ([(0.05, 22, True), (1.0, 60, False)], 0.11, 0.11),  # a faint phone, then silence
        ([(0.05, 22, False), (1.0, 60, False)], 0.1, 0.08),  # faint noise without a phone
        ([(0.06, 60, False)], 0.03, 0.03),  # the middle of a short pause
    ],
)
def test_a_piece_ends_where_speech_has_died_away(
    behind: list[Part], kept: float, before: float
) -> None:
    """In a pause behind speech, and likewise before it."""
    parts: list[Part] = [(2.0, 3, True), *behind, (2.0, 3, True)]
    found = edges(parts)
    pause = next(one for one in found.pauses() if one[1] > 2.0)
    assert found.stop(pause) == pytest.approx(2.0 + kept, abs=0.011)
    turned = edges(parts[::-1])
    pause = next(one for one in reversed(turned.pauses()) if one[0] < turned.seconds - 2.0)
    assert found.seconds - turned.go(pause) == pytest.approx(2.0 + before, abs=0.011)


def test_noise_in_which_nobody_speaks_is_no_sound() -> None:
    """Such as that of a street; where phones are heard it is sound, and so is what is loud."""
    for below, heard, sound in ((12, False, False), (12, True, True), (4, False, True)):
        found = edges([(2.0, 3, True), (1.5, below, heard), (2.0, 3, True)])
        assert (found.sound(2.0, 3.5) is not None) is sound
    assert edges([(2.0, 3, True), (0.5, 4, True), (2.0, 3, True)]).sound(2.0, 2.5) is None


def test_faint_noise_between_two_pauses_is_a_part_of_them() -> None:
    parts: list[Part] = [(2.0, 3, True), (0.1, 40, False), (0.05, 22, False), (0.1, 40, False)]
    assert np.allclose(edges([*parts, (2.0, 3, True)]).pauses(), [(2.0, 2.25)], atol=0.011)
    parts[2] = (0.05, 22, True)
    assert len(edges([*parts, (2.0, 3, True)]).pauses()) == 2


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.2])
def test_a_recording_of_some_windows(seconds: float) -> None:
    assert edges([(seconds, 40, False)]).pauses() == [(0.0, pytest.approx(seconds))]
