from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from itertools import pairwise

import numpy as np
import pytest

from ns2.pipeline.core.schema import FrameGrid, check_array
from ns2.pipeline.corpora.spoken.espeak import WORD, speak
from ns2.pipeline.sound.f0.path import weights_digest
from ns2.pipeline.sound.f0.voicing import periodicity
from ns2.pipeline.sound.pitch import PitchConfig, extract_f0, f0_scalars, f0_sums
from ns2.pipeline.stages.f0 import F0Stage
from ns2.pipeline.stages.stage import Item
from tests.support.factories import LJSPEECH, needs_ljspeech, tone
from tests.support.processes import loaded

RATE, HOP = 24_000, 320
METHODS = ("path", "dio", "harvest", "praat")
every_method = pytest.mark.parametrize("method", METHODS)


def f0_of(wave: np.ndarray, method: str, **settings: float) -> np.ndarray:
    return extract_f0(wave, PitchConfig(method=method, **settings))  # type: ignore[arg-type]


def harmonic(hz: np.ndarray, partials: int = 10, rate: int = RATE) -> np.ndarray:
    """A tone that follows `hz` sample by sample, its spectrum falling as 1/k."""
    phase = 2 * np.pi * np.cumsum(hz) / rate
    wave = np.zeros(len(hz))
    for k in range(1, partials + 1):
        wave += np.where(k * hz < 0.45 * rate, np.sin(k * phase) / k, 0.0)
    return wave


def centres(frames: int, hop: int = HOP) -> np.ndarray:
    return hop * np.arange(frames) + hop // 2


def noise(colour: str, samples: int, seed: int) -> np.ndarray:
    """White, pink (power as 1/f) or brown (as 1/f^2) noise of RMS 1."""
    white = np.random.default_rng(seed).standard_normal(samples)
    spectrum = np.fft.rfft(white)
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 20.0)
    wave = np.fft.irfft(
        spectrum / frequency ** {"white": 0, "pink": 0.5, "brown": 1}[colour], samples
    )
    return wave / np.sqrt(np.mean(wave**2))


# the grid


@every_method
@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 319, 320, 321, 640, 700, 4801])
def test_frames_are_the_hops_rounded_up(method: str, samples: int) -> None:
    for wave in (tone(1, 220)[:samples], np.zeros(samples, np.float32), noise("white", 4801, 0)):
        f0 = f0_of(wave[:samples], method)
        assert f0.dtype == np.float32
        assert f0.shape == (-(-samples // HOP),)
        assert np.isfinite(f0).all()


@every_method
@pytest.mark.parametrize("partials", [1, 10])
@pytest.mark.parametrize("k", [45, 60])
def test_a_jump_is_in_its_frame(method: str, partials: int, k: int) -> None:
    hz = np.where(np.arange(100 * HOP) < k * HOP, 150.0, 300.0)
    f0 = f0_of(0.3 * harmonic(hz, partials), method)
    assert np.allclose(f0[3 : k - 1], 150, rtol=0.01)
    assert np.allclose(f0[k + 1 : -3], 300, rtol=0.01)


@every_method
@pytest.mark.parametrize(
    ("rate", "hop"), [(24_000, 320), (16_000, 200), (22_050, 256), (24_000, 321)]
)
def test_frames_refer_to_their_centres(method: str, rate: int, hop: int) -> None:
    """A glide of two octaves a second is off by 16 cents where frames are half a hop off."""
    time = np.arange(2 * rate) / rate
    hz = 100 * 2 ** (2 * np.abs(time - 1))
    config = PitchConfig(method=method, sample_rate=rate, hop_length=hop)  # type: ignore[arg-type]
    f0 = extract_f0(harmonic(hz, 6, rate), config)
    at = centres(len(f0), hop)
    inner = (np.abs(at / rate - 1) > 0.1) & (np.abs(at / rate - 1) < 0.9)
    cents = 1200 * np.log2(f0[inner] / hz[at[inner]])
    downward = np.where(time[at[inner]] < 1, 1, -1)
    assert np.median(np.abs(cents)) < 3
    assert abs(np.mean(cents * downward)) < 2.5


# the values


@pytest.mark.parametrize(
    ("method", "seconds"), [("path", 60), ("dio", 60), ("harvest", 20), ("praat", 60)]
)
def test_a_sung_sweep_is_followed(method: str, seconds: int) -> None:
    """Between 80 and 800 Hz in 15 s, with vibrato, faint noise, and a rest every 5 s."""
    time = np.arange(seconds * RATE) / RATE
    glide = 80 * 10 ** (0.5 - 0.5 * np.cos(2 * np.pi * time / 30))
    hz = glide * (1 + 0.03 * np.sin(2 * np.pi * 5.5 * time))
    sung = time % 5 > 0.6
    envelope = np.convolve(sung, np.hanning(481) / np.hanning(481).sum(), "same")
    wave = 0.2 * envelope * harmonic(hz, 20) + 1e-3 * noise("white", len(time), 0)

    f0 = f0_of(wave.astype(np.float32), method)
    at = centres(len(f0))
    voiced = f0 > 0
    inner = np.convolve(sung[at], np.ones(7), "same") == 7
    rest = np.convolve(~sung[at], np.ones(7), "same") == 7
    error = np.abs(f0 / hz[at] - 1)
    assert inner.sum() > 55 * seconds and rest.sum() > 5 * seconds
    assert voiced[inner].all() and not voiced[rest].any()
    assert error[inner].max() < 0.01
    assert np.median(error[inner]) < 0.002


@every_method
def test_silence_is_unvoiced(method: str) -> None:
    for wave in (np.zeros(RATE), np.full(RATE, 0.3), np.full(RATE, -1e-9)):
        assert not f0_of(wave, method).any()


@every_method
@pytest.mark.parametrize("colour", ["white", "pink", "brown"])
def test_noise_is_unvoiced_at_any_level(method: str, colour: str) -> None:
    seconds = 2 if method == "harvest" else 6
    for seed, level in enumerate((0.3, 1e-3, 1e-7)):
        wave = level * noise(colour, seconds * RATE, seed)
        assert not f0_of(wave.astype(np.float32), method).any(), (seed, level)


def test_the_noise_is_what_the_bare_extractors_call_voiced() -> None:
    """Without the check of voicing some frames in a hundred of it would have a pitch."""
    import pyworld

    wave = noise("pink", 6 * RATE, 0)
    for bare in (pyworld.dio, pyworld.harvest):
        f0, _ = bare(wave, RATE, f0_floor=50.0, f0_ceil=1100.0, frame_period=40 / 9)
        assert 0.01 < np.mean(f0 > 0) < 0.2


@every_method
@pytest.mark.parametrize("hz", [55.0, 440.0, 880.0])
def test_a_pure_sine_has_a_pitch(method: str, hz: float) -> None:
    """Bare Harvest, which scores by overtones, finds none."""
    f0 = f0_of(0.3 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE), method)
    assert np.allclose(f0[2:-2], hz, rtol=0.005)


@every_method
@pytest.mark.parametrize("hz", [90.0, 200.0, 450.0])
def test_a_breathy_tone_stays_voiced(method: str, hz: float) -> None:
    """Ten dB above white noise, with vibrato."""
    time = np.arange(2 * RATE) / RATE
    truth = hz * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * time))
    wave = harmonic(truth)
    wave = wave / np.sqrt(np.mean(wave**2)) + 10**-0.5 * noise("white", len(time), 1)
    f0 = f0_of(wave, method)
    error = np.abs(f0 / truth[centres(len(f0))] - 1)
    assert np.mean(f0[3:-3] > 0) > 0.97
    assert np.mean(error[3:-3] < 0.02) > 0.95


@every_method
def test_hum_under_speech_is_not_its_pitch(method: str) -> None:
    """Mains hum at -45 dB; bare DIO gives 60 Hz in the pauses."""
    import pyworld

    time = np.arange(3 * RATE) / RATE
    spoken = (time % 1 > 0.4).astype(float)
    voice = 0.2 * spoken * harmonic(np.full(len(time), 200.0))
    hum = 0.2 * 10 ** (-45 / 20) * np.sin(2 * np.pi * 60 * time)
    wave = voice + hum + 3e-4 * noise("white", len(time), 2)
    bare, _ = pyworld.dio(wave, RATE, f0_floor=50.0, f0_ceil=1100.0, frame_period=40 / 9)
    assert np.sum((bare > 55) & (bare < 65)) > 10

    f0 = f0_of(wave, method)
    assert not ((f0 > 0) & (f0 < 150)).any()
    inner = np.convolve(spoken[centres(len(f0))], np.ones(5), "same") == 5
    assert np.allclose(f0[inner], 200, rtol=0.01)


@every_method
def test_values_stay_in_the_range(method: str) -> None:
    wave = harmonic(np.linspace(60, 900, 2 * RATE)) + 0.1 * noise("pink", 2 * RATE, 3)
    low, high = 180.5, 410.25
    f0 = f0_of(wave, method, f0_min=low, f0_max=high)
    voiced = f0[f0 > 0]
    assert len(voiced) > 30
    assert low <= voiced.min() and voiced.max() <= high


@every_method
def test_the_same_wave_has_the_same_pitch(method: str) -> None:
    """Whatever came before, at any level, in float32 and float64; the argument is left alone."""
    wave = tone(0.5, 180) + (0.05 * noise("white", RATE // 2, 4)).astype(np.float32)
    kept = wave.copy()
    first = f0_of(wave, method)
    f0_of(tone(0.3, 400), method)
    assert first.tobytes() == f0_of(wave, method).tobytes()
    assert first.tobytes() == f0_of(wave.astype(np.float64), method).tobytes()
    assert first.tobytes() == f0_of(wave * np.float32(2.0**-12), method).tobytes()
    assert np.array_equal(wave, kept)
    assert (first[2:-2] > 0).all()


def test_periodicity_is_pearsons_r_of_two_stretches_one_period_apart() -> None:
    signal = noise("pink", 40 * HOP, 5) + harmonic(np.full(40 * HOP, 131.0))
    f0 = np.where(np.arange(40) % 7, 60 + 25.0 * np.arange(40), 0.0)
    scores = periodicity(signal, f0, FrameGrid(), PitchConfig().f0_min)
    for i in range(6, 34):
        if not f0[i]:
            assert scores[i] == -1
            continue
        period, by_lag = RATE / f0[i], []
        for lag in (int(period), int(period) + 1):
            start = HOP * i + HOP // 2 - (480 + lag) // 2
            one, two = signal[start : start + 480], signal[start + lag : start + lag + 480]
            by_lag.append(np.corrcoef(one, two)[0, 1])
        assert scores[i] == pytest.approx(np.interp(period % 1, [0, 1], by_lag), abs=1e-9)


# speech


@every_method
def test_spoken_vowels_are_voiced_and_pauses_and_hisses_are_not(method: str) -> None:
    """Truth from the synthesiser: vowels while they sound, hisses from 40 ms, ended pauses."""
    import soxr

    found: dict[str, list[np.ndarray]] = {"voiced": [], "unvoiced": []}
    for text, voice in (
        ("Why would anyone paint a perfectly good door purple?", "en-us"),
        ("She sells six shells, first, at the far fair.", "en-us+f2"),
    ):
        samples, rate, phones = speak(text, voice, rate=130)
        wave = soxr.resample(samples / 32768, rate, RATE)
        f0 = f0_of(wave, method)
        at = centres(len(f0))
        level = np.sqrt(np.convolve(wave**2, np.ones(HOP) / HOP, "same"))[at]
        timed = [(start / rate, ipa) for start, ipa in phones if ipa != WORD]
        for (start, ipa), (end, _) in pairwise(timed):
            inside = (at / RATE > start + 0.02) & (at / RATE < end - 0.02)
            bare = ipa.strip("ˈˌ")
            if bare[:1] and bare[0] in "aeiouæɐəɛɪɔʊʌɜ":
                found["voiced"].append(f0[inside & (level > 0.03)])
            elif bare in ("s", "ʃ", "f"):
                found["unvoiced"].append(f0[inside & (at / RATE > start + 0.04)])
            elif not bare:
                found["unvoiced"].append(f0[inside & (level < 5e-4)])
    voiced, unvoiced = (np.concatenate(found[kind]) > 0 for kind in ("voiced", "unvoiced"))
    assert len(voiced) > 150 and len(unvoiced) > 30
    assert voiced.mean() > 0.97
    assert unvoiced.mean() < 0.05


@needs_ljspeech
def test_recorded_speech_keeps_what_two_bare_extractors_agree_on() -> None:
    import parselmouth
    import pyworld
    import soundfile
    import soxr

    counted = ("agreed", "kept", "both", "right", "wrong")
    totals = dict.fromkeys([*counted, "bare_both", "bare_right", "bare_wrong"], 0)
    shares = []
    for path in sorted((LJSPEECH / "wavs").iterdir())[:8]:
        samples, rate = soundfile.read(path)
        wave = soxr.resample(samples, rate, RATE)
        ours = f0_of(wave, "dio")
        shares.append(np.mean(ours > 0))
        # the bare ones on our centres: half a hop dropped; looked up at the nearest time
        shifted = wave[HOP // 2 :]
        bare, times = pyworld.dio(shifted, RATE, f0_floor=50.0, f0_ceil=1100.0, frame_period=40 / 9)
        bare = pyworld.stonemask(shifted, bare, times, RATE)[::3]
        pitch = parselmouth.Sound(wave, RATE).to_pitch_ac(
            time_step=HOP / RATE / 4, pitch_floor=50, pitch_ceiling=1100
        )
        nearest = np.abs(pitch.xs()[:, None] - centres(len(ours)) / RATE).argmin(axis=0)
        praat = pitch.selected_array["frequency"][nearest]
        n = min(len(ours), len(bare))
        ours, bare, praat = ours[:n], bare[:n], praat[:n]

        agreed = (bare > 0) & (praat > 0) & (np.abs(bare / np.maximum(praat, 1) - 1) < 0.05)
        totals["agreed"] += agreed.sum()
        totals["kept"] += (agreed & (np.abs(ours / np.maximum(bare, 1) - 1) < 0.05)).sum()
        for name, f0 in (("", ours), ("bare_", bare)):
            both = (f0 > 0) & (praat > 0)
            totals[name + "both"] += both.sum()
            error = np.abs(f0 / np.maximum(praat, 1) - 1)
            totals[name + "right"] += (both & (error < 0.05)).sum()
            totals[name + "wrong"] += (both & (error > 0.2)).sum()
    assert totals["kept"] > 0.98 * totals["agreed"]
    assert totals["wrong"] < 0.015 * totals["both"]  # Praat is wrong too now and then
    assert totals["bare_wrong"] > 0.05 * totals["bare_both"]  # follows hum, hence the dither
    assert totals["right"] > 1.075 * totals["bare_right"]
    assert 0.4 < np.mean(shares) < 0.65


# bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "yin"}, "path, dio, harvest, praat"),
        ({"f0_min": 10.0}, "at least 20"),
        ({"f0_min": 400.0, "f0_max": 300.0}, "f0_max above it"),
        ({"f0_max": 2001.0}, "at most 2000"),
        ({"f0_min": float("nan")}, "50 to 1100"),
        ({"hop_length": 0}, "codec's grid"),
    ],
)
def test_a_bad_configuration_says_the_way_out(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PitchConfig(**settings)


def test_a_bad_wave_is_refused() -> None:
    with pytest.raises(ValueError, match="mix it down"):
        extract_f0(np.zeros((2, 640)), PitchConfig())
    with pytest.raises(ValueError, match="NaN or infinity"):
        extract_f0(np.array([0.0, np.nan, 1.0]), PitchConfig())


# sums, scalars and the stage


def test_scalars_and_sums_know_voiced_frames_alone() -> None:
    one = np.array([0, 100, 200, 0, 400], np.float32)
    none = np.zeros(3, np.float32)
    assert f0_scalars(one) == {"voiced_share": 0.6, "f0_median": 200.0}
    assert f0_scalars(none) == {"voiced_share": 0.0, "f0_median": 0.0}
    assert f0_scalars(none[:0]) == {"voiced_share": 0.0, "f0_median": 0.0}

    sums = f0_sums([none, one, none])
    logs = [np.log(100), np.log(200), np.log(400)]
    assert (sums["voiced"], sums["frames"], sums["min"], sums["max"]) == (3, 11, 100.0, 400.0)
    assert sums["log_sum"] == pytest.approx(sum(logs), rel=1e-15)
    assert sums["log_sum_squares"] == pytest.approx(sum(x * x for x in logs), rel=1e-15)
    # nothing voiced: no logarithm of 0, and no minimum that would win over those of others
    assert f0_sums([none]) == {"voiced": 0, "frames": 3, "log_sum": 0.0, "log_sum_squares": 0.0}


@every_method
def test_the_stage_fills_its_column(method: str) -> None:
    config = PitchConfig(method=method, f0_min=60)  # type: ignore[arg-type]
    stage = F0Stage(config)
    stage.setup()
    wave = np.concatenate([tone(0.4, 220), np.zeros(3000, np.float32)])
    product = stage.compute(Item(key="a", record={}, inputs={"audio": wave}))

    assert (stage.name, stage.requires) == ("f0", ("audio",))
    assert stage.column.name == "f0"
    frames = -(-len(wave) // HOP)
    check_array(stage.column, "a", product.value, frames=frames, tokens=None)
    assert product.value.tobytes() == extract_f0(wave, config).tobytes()
    assert product.scalars == f0_scalars(product.value)
    assert product.scalars["f0_median"] == pytest.approx(220, rel=0.01)
    assert json.loads(json.dumps(stage.config)) == asdict(config)
    assert json.dumps(stage.config).count("60.0") == 1  # 60 and 60.0 are one fingerprint
    library = "praat-parselmouth" if method == "praat" else "pyworld"
    weights = {"pitch weights": weights_digest(), "pitch evidence": "2"} if method == "path" else {}
    assert stage.library_versions() == {library: version(library), **weights}
    assert json.loads(json.dumps(stage.summarise([product.value])))["frames"] == frames


def test_the_stage_is_imported_without_its_libraries() -> None:
    code = "import ns2.pipeline.stages.f0 as f; f.F0Stage()"
    assert not loaded(code, "pyworld", "parselmouth", "torch", "scipy")
