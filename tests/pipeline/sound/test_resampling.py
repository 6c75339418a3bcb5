"""Resampling and trimming against closed forms, and the stage that does both."""

import numpy as np
import pytest
import soundfile

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.sound.decode import (
    TrimConfig,
    check_samples,
    level_db,
    read_audio,
    resample,
    resampled_length,
    trim_silence,
)
from ns2.pipeline.stages.audio import AudioStage
from ns2.pipeline.stages.stage import Item
from tests.support.corpora_factories import write_audio
from tests.support.factories import tone

RATE = 24_000


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_resampling_against_the_closed_form(rate):
    """A windowed sine is known at any time: amplitude and place have to stay."""

    def burst(r: int) -> np.ndarray:
        t = np.arange(round(0.5 * r)) / r
        return np.sin(2 * np.pi * 997 * t) * np.sin(2 * np.pi * t) ** 4

    got = resample(burst(rate).astype(np.float32), rate, RATE)
    want = burst(RATE)
    assert got.dtype == np.float32 and len(got) == len(want)
    assert np.abs(got - want).max() < 2e-6


def test_what_the_rate_can_not_hold_is_gone():
    t = np.arange(48_000) / 48_000
    wave = np.sin(2 * np.pi * 15_000 * t) * np.sin(np.pi * t) ** 4
    alias = resample(wave.astype(np.float32), 48_000, RATE)
    assert level_db(alias) < -120


def test_lengths():
    for samples in (1, 2, 3, 5, 999, 12_345, 100_001):
        for rate in (8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 23_999):
            want = max(1, int(np.floor(samples * RATE / rate + 0.5)))
            assert resampled_length(samples, rate, RATE) == want
            assert len(resample(np.ones(samples, np.float32), rate, RATE)) == want


def test_the_same_rate_changes_nothing():
    wave = tone(0.1, 200, RATE)
    assert np.array_equal(resample(wave, RATE, RATE), wave)


# --- trimming --------------------------------------------------------------------------------


def test_trimming_cuts_outer_silence_only():
    speech = np.concatenate([tone(0.5, 200), np.zeros(12_000, np.float32), tone(0.5, 250)])
    noise = np.random.default_rng(3).normal(scale=1e-4, size=24_000).astype(np.float32)
    wave = np.concatenate([noise, speech, noise[:18_000]])
    got = trim_silence(wave, RATE)
    margin, window = 2_400, 240
    at = next(i for i in range(len(wave)) if np.array_equal(wave[i : i + 50], got[:50]))
    assert 24_000 - margin - window <= at <= 24_000 - margin + window
    end = at + len(got)
    assert 24_000 + len(speech) + margin - window <= end
    assert end <= 24_000 + len(speech) + margin + window
    assert np.array_equal(wave[at:end], got)


def test_trimming_does_not_depend_on_the_level():
    wave = np.concatenate([np.zeros(9_000, np.float32), tone(0.5, 200), np.zeros(9_000)])
    loud, quiet = (trim_silence(wave.astype(np.float32) * level, RATE) for level in (1.0, 0.01))
    assert len(loud) == len(quiet) < len(wave)


def test_trimming_leaves_what_has_no_silence():
    for wave in (tone(0.3, 200), tone(0.3, 200)[:1], tone(0.3, 200)[:0]):
        assert np.array_equal(trim_silence(wave, RATE), wave)
    steady = np.full(1_000, 1e-3, np.float32)
    assert len(trim_silence(steady, RATE)) == 1_000


def test_trim_settings_are_checked():
    for wrong in ({"threshold_db": 0}, {"window_seconds": 0}, {"margin_seconds": -1}):
        with pytest.raises(ValueError):
            TrimConfig(**wrong)


# --- the stage -------------------------------------------------------------------------------


def test_the_level_is_that_of_the_rms(tmp_path):
    t = np.arange(RATE) / RATE
    wave = 0.5 * np.sin(2 * np.pi * 100 * t)  # RMS: amplitude / sqrt(2)
    path = write_audio(tmp_path / "a.wav", wave, RATE, "FLOAT")
    product = AudioStage().compute(Item(key="k", record={}, inputs={"audio_file": str(path)}))
    assert product.scalars["level_db"] == pytest.approx(20 * np.log10(0.5 / 2**0.5), abs=1e-4)


def test_what_lies_above_the_rate_is_silence_to_it(tmp_path):
    t = np.arange(48_000) / 48_000
    wave = np.sin(2 * np.pi * 15_000 * t) * np.sin(np.pi * t) ** 4
    path = write_audio(tmp_path / "a.wav", wave, 48_000, "FLOAT")
    check_samples(read_audio(path)[0])
    with pytest.raises(UtteranceError) as error:
        AudioStage().compute(Item(key="k", record={}, inputs={"audio_file": str(path)}))
    assert error.value.reason is Reason.AUDIO_SILENT


def test_trimming_is_a_setting_of_the_stage(tmp_path):
    wave = np.concatenate([np.zeros(24_000, np.float32), tone(0.5, 200)])
    path = write_audio(tmp_path / "a.wav", wave, RATE)
    item = Item(key="k", record={}, inputs={"audio_file": str(path)})
    plain, trimmed = AudioStage(), AudioStage(trim=True)
    assert plain.compute(item).scalars["samples"] == 36_000
    assert trimmed.compute(item).scalars["samples"] == 12_000 + 2_400
    assert plain.config["trim"] is None and trimmed.config["trim"] is not None
    assert str(tmp_path) not in repr(trimmed.config)


def test_the_decoder_counts_as_a_library():
    versions = AudioStage().library_versions()
    assert versions["libsndfile"] == soundfile.__libsndfile_version__
    assert set(versions) == {"soundfile", "soxr", "libsndfile", "libsoxr"}
