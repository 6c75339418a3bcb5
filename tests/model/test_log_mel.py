"""The log-mel against its definition, written out in float64, and on signals of known place."""

import numpy as np
import pytest
import torch

from ns2.model.log_mel import LogMel, MelConfig
from tests.support.processes import loaded

RATE, HOP, FFT, BINS = 24_000, 320, 1024, 80


def slaney_hz(mel: np.ndarray) -> np.ndarray:
    """Slaney's scale: 200/3 Hz a mel below 1,000 Hz, then 27 mels for a factor of 6.4."""
    mel = np.asarray(mel, dtype=np.float64)
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def corners() -> np.ndarray:
    """Hz where the triangles begin, peak and end: (M + 2,)."""
    top = 15 + 27 * np.log(12_000 / 1000) / np.log(6.4)
    return slaney_hz(np.arange(BINS + 2) * top / (BINS + 1))


def reference(wave: np.ndarray) -> np.ndarray:
    """DESIGN's mel in float64: (M, T)."""
    frames = -(-len(wave) // HOP)
    padded = np.zeros(HOP * frames)
    padded[: len(wave)] = wave
    padded = np.pad(padded, (FFT - HOP) // 2, mode="reflect")
    n = np.arange(FFT)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / FFT)
    dft = np.exp(-2j * np.pi * np.outer(np.arange(FFT // 2 + 1), n) / FFT)
    hz = np.arange(FFT // 2 + 1) * RATE / FFT
    low, peak, high = corners()[:-2, None], corners()[1:-1, None], corners()[2:, None]
    triangles = np.clip(np.minimum((hz - low) / (peak - low), (high - hz) / (high - peak)), 0, None)
    triangles *= 2 / (high - low)
    columns = [
        triangles @ np.abs(dft @ (window * padded[HOP * i : HOP * i + FFT])) for i in range(frames)
    ]
    return np.log(np.maximum(np.stack(columns, axis=1), 1e-5))


def log_mel(wave: np.ndarray) -> np.ndarray:
    return LogMel()(torch.tensor(wave, dtype=torch.float32)).numpy()


@pytest.mark.parametrize("samples", [1, 2, 319, 320, 321, 640, 703, 2000, 5001])
def test_it_is_the_definition_in_float64(samples: int) -> None:
    wave = np.random.default_rng(samples).normal(0, 0.1, samples)
    wave += 0.2 * np.sin(2 * np.pi * 440 * np.arange(samples) / RATE)
    expected = reference(wave)
    got = log_mel(wave)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 2e-4


@pytest.mark.parametrize(
    ("samples", "frames"), [(1, 1), (319, 1), (320, 1), (321, 2), (24_000, 75), (24_001, 76)]
)
def test_frames_are_the_ceiling(samples: int, frames: int) -> None:
    mel = log_mel(np.full(samples, 0.1))
    assert mel.shape == (BINS, frames)
    assert mel.dtype == np.float32
    assert np.isfinite(mel).all()


def test_silence_is_the_floor() -> None:
    assert np.allclose(log_mel(np.zeros(1000)), np.log(1e-5))


@pytest.mark.parametrize("k", [0, 1, 2, 7, 10, 11])
def test_a_click_is_centred_in_its_frame(k: int) -> None:
    frames = 12
    wave = np.zeros(HOP * frames)
    wave[HOP * k + HOP // 2] = 1.0
    energy = np.exp(log_mel(wave).astype(np.float64)).sum(axis=0)
    assert energy.argmax() == k
    for i in range(1, min(k, frames - 1 - k) + 1):
        assert energy[k - i] == pytest.approx(energy[k + i], rel=1e-5)
    if 0 < k < frames - 1:
        # its neighbours see it 320 samples from the middle of the window: Hann's value there
        ratio = 0.5 + 0.5 * np.cos(2 * np.pi * HOP / FFT)
        assert energy[k - 1] / energy[k] == pytest.approx(ratio, rel=1e-4)


@pytest.mark.parametrize("hz", [100, 300, 440, 997, 2500, 6000, 11_000])
def test_a_tone_peaks_in_the_bin_around_it(hz: int) -> None:
    mel = log_mel(0.5 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE))
    best = int(mel[:, 37].argmax())
    edges = corners()
    assert edges[best] < hz < edges[best + 2]


def test_a_batch_is_its_utterances() -> None:
    waves = torch.randn(3, 4001, generator=torch.Generator().manual_seed(0))
    transform = LogMel()
    batch = transform(waves)
    assert batch.shape == (3, BINS, 13)
    for wave, mel in zip(waves, batch, strict=True):
        assert torch.allclose(transform(wave), mel, atol=1e-5)


def test_other_settings() -> None:
    config = MelConfig(sample_rate=16_000, hop_length=200, n_fft=512, bins=40, fmax=8000.0)
    assert LogMel(config)(torch.randn(3201)).shape == (40, 17)


@pytest.mark.parametrize(
    "wrong",
    [{"n_fft": 1023}, {"n_fft": 256}, {"fmax": 12_001.0}, {"fmin": -1.0}, {"bins": 0},
     {"floor": 0.0}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        MelConfig(**wrong)


def test_empty_audio_is_refused() -> None:
    with pytest.raises(ValueError, match="0 samples"):
        LogMel()(torch.zeros(0))


def test_a_config_does_not_load_torch() -> None:
    assert not loaded("import ns2.model.log_mel as mel; mel.MelConfig()", "torch")
