"""The speech that the aligner's network is trained on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.corpora.spoken.espeak import VOICES, WORD
from ns2.train.bundled import make_aligner_network
from ns2.train.bundled.labelled_speech import (
    HOP,
    SAMPLE_RATE,
    VARIANTS,
    closed,
    labelled_speech,
    spoil,
)


def test_voices_that_are_measured_with_never_speak_here() -> None:
    measured = {voice.partition("+")[2] for voice in VOICES}
    measured |= {"klatt", "klatt2", "klatt4", "klatt6", "croak", "grandma", "iven", "steph"}
    assert not measured & set(VARIANTS) and len(set(VARIANTS)) == len(VARIANTS) > 50


def test_stops_begin_with_their_closure() -> None:
    samples = np.ones(3000, np.int16)
    samples[700:1000] = samples[1950:2000] = samples[2500:2800] = 0
    phones = [(0, WORD), (0, "a"), (1000, "t"), (2000, "a"), (2500, ""), (2800, "p")]
    # Short silences and those behind a pause are no closures.
    assert closed(samples, phones, 22_050) == [
        (0, "a"), (700, "t"), (2000, "a"), (2500, ""), (2800, "p"),
    ]  # fmt: skip


def test_the_same_seed_speaks_the_same_and_labels_lie_within() -> None:
    one, two = (list(labelled_speech(6, seed=5)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.wave, b.wave) and a.phones == b.phones
        assert (np.diff(a.starts) >= 0).all() and a.starts[-1] <= (len(a.wave) + 1) / SAMPLE_RATE
        assert len(a.starts) == len(a.phones) and not any("ˈ" in phone for phone in a.phones)
    assert len({a.language for a in one}) > 1


def test_spoiling_moves_nothing_in_time() -> None:
    for number, one in enumerate(labelled_speech(8, seed=6)):
        spoilt = spoil(one.wave, np.random.default_rng(number))
        assert spoilt.shape == one.wave.shape and np.isfinite(spoilt).all()
        assert not np.allclose(spoilt, one.wave)
        loud, then = (np.abs(w[: len(w) // HOP * HOP]).reshape(-1, HOP).mean(1) for w in (
            one.wave, spoilt,
        ))  # fmt: skip
        loud, then = loud - loud.mean(), then - then.mean()
        lags = range(-4, 5)
        match = [float(np.dot(loud[4:-4], np.roll(then, -lag)[4:-4])) for lag in lags]
        assert abs(lags[int(np.argmax(match))]) <= 1


def test_labels_share_a_border_between_frames() -> None:
    one = next(labelled_speech(1, seed=7))
    frames = -(-len(one.wave) // HOP)
    phones = ["", *sorted(set(one.phones) - {""})]
    found, borders = make_aligner_network.labels(one, frames, phones)
    middle = (np.arange(frames) + 0.5 + 0.5 / make_aligner_network.POINTS) * HOP / SAMPLE_RATE
    owner = np.searchsorted(one.starts, middle, side="right") - 1
    expected = [phones.index(one.phones[o]) if o >= 0 else 0 for o in owner]
    assert found[:, make_aligner_network.POINTS // 2].tolist() == expected
    assert float(borders.min()) >= 0 and float(borders.max()) <= 1
    edge = one.starts[5] * SAMPLE_RATE / HOP
    assert float(borders[int(edge)]) >= 1 - (edge - int(edge)) - 1e-6


def test_training_makes_the_same_bytes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        arguments = ["make", str(tmp_path / name), "--utterances", "12", "--steps", "4"]
        monkeypatch.setattr(sys, "argv", arguments)
        make_aligner_network.main()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
