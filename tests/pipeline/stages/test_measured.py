"""Columns that measure recordings: what was spoilt on purpose stands out by what measures it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.core.schema import ColumnSpec, FrameGrid
from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.dataset.shards import MemberRow
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.recipe import build_graph, missing_measures
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.stages.measured import measure
from ns2.pipeline.stages.measured.voice import VoiceSurvey
from ns2.pipeline.tools.verify.check import verify
from ns2.pipeline.tools.verify.values import Values
from tests.support.corpora_factories import write_audio
from tests.support.preprocessing import contents, identities, run_inline

RATE = 22_050
VOICES = ("en-us+m3", "en-us+f2")
TEXTS = (
    "The train to London leaves at nine twenty in the morning.",
    "Nobody had seen so much snow in the valley for many years.",
    "She put six fresh slices of cheese upon the table for her friends.",
)


def said(text: str, voice: str) -> np.ndarray:
    return speak(text, voice)[0].astype(np.float32) / 32768


def telephone(wave: np.ndarray) -> np.ndarray:
    return resample(resample(wave, RATE, 8000), 8000, RATE)


def clipped(wave: np.ndarray) -> np.ndarray:
    top = np.quantile(np.abs(wave), 0.98)
    return np.clip(wave, -top, top)


def noisy(wave: np.ndarray) -> np.ndarray:
    level = np.sqrt(np.mean(wave**2)) * 10 ** (-10 / 20)
    return wave + np.random.default_rng(0).normal(0, level, len(wave))


def quiet(wave: np.ndarray) -> np.ndarray:
    return wave * 0.03


def silent(wave: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(RATE), wave, np.zeros(2 * RATE)])


FAULTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, int]] = {
    "telephone": (telephone, "bandwidth", -1),
    "clipped": (clipped, "clipped_share", 1),
    "noisy": (noisy, "snr", -1),
    "noisy2": (noisy, "mos_background", -1),
    "quiet": (quiet, "lufs", -1),
    "silent": (silent, "trailing_silence", 1),
    "silent2": (silent, "leading_silence", 1),
}
"""What is done to a recording, the measure meant for it, and its sign."""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clean recordings of two voices, one with the other's label, a stranger's only one, faults."""
    for name in ("pyloudnorm", "speechmos", "onnxruntime", "resemblyzer"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'ns2[quality]'")
    root = tmp_path_factory.mktemp("faulty")
    rows: list[dict[str, Any]] = []

    def add(name: str, wave: np.ndarray, text: str, speaker: str) -> None:
        write_audio(root / f"{name}.wav", wave.astype(np.float32), RATE, "FLOAT")
        rows.append({"audio": f"{name}.wav", "text": text, "id": name, "speaker": speaker})

    for voice in VOICES:
        for i, text in enumerate(TEXTS):
            add(f"clean-{voice[-2:]}-{i}", said(text, voice), text, voice)
    first = said(TEXTS[0], VOICES[0])
    for name, (spoil, _, _) in FAULTS.items():
        if not name[-1].isdigit():
            add(name, spoil(first), TEXTS[0], VOICES[0])
    add(
        "mislabelled",
        speak(
            TEXTS[1],
            VOICES[1],
        )[0].astype(np.float32)
        / 32768,
        TEXTS[1],
        VOICES[0],
    )
    add("alone", first, TEXTS[0], "somebody")
    (root / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="module")
def measured(faulty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("measured") / "shards"
    columns = ("quality", "loudness", "mos", "voice")
    run_inline(faulty, out, None, codec="mini", columns=columns)
    return out


def numbers(dataset: Dataset, name: str) -> dict[str, float]:
    values = dataset.numbers(name)
    return {key: float(value) for key, value in zip(dataset.keys, values, strict=True)}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_worst_by_the_measure_meant_for_it(fault: str, measured: Path) -> None:
    _, name, sign = FAULTS[fault]
    values = numbers(Dataset(measured), name)
    clean = [sign * value for key, value in values.items() if key.startswith("clean")]
    assert sign * values[fault.rstrip("2")] > max(clean)


def test_a_wrong_label_stands_out_and_an_only_utterance_has_no_distance(measured: Path) -> None:
    distances = numbers(Dataset(measured), "voice_distance")
    assert np.isnan(distances.pop("alone"))
    assert max(distances, key=distances.__getitem__) == "mislabelled"


def test_the_dataset_is_sound_and_selects_by_measures(measured: Path) -> None:
    assert verify(measured).ok
    dataset = Dataset(measured)
    assert dataset["alone"]["voice"].shape == (256,)
    row = dataset.row("quiet")
    assert dataset.read("quality", "quiet")["snr"] == row["snr"]
    telephone = dataset.numbers("bandwidth") < 4200
    assert [key for key, low in zip(dataset.keys, telephone, strict=True) if low] == ["telephone"]


def test_a_number_in_the_index_that_is_not_its_column_s_is_a_fault() -> None:
    row = {"key": "a", "seconds": 1.0, "phones": 2, "phone_rate": 2.0, "frames": 75, "snr": 20.0}
    values = Values(FrameGrid(), {"a": row}, None, None)
    spec = ColumnSpec(name="quality", dtype="json", dims=())
    member = MemberRow(key="a", offset=0, size=0, shape=(), crc32=0, source="", scalars={})
    values.add(spec, member, b'{"snr": 20.5}')
    with pytest.raises(ValueError, match=r"snr is 20.0, quality says 20.5"):
        values.compare("a")


def test_measures_are_those_of_the_packages(measured: Path, faulty: Path) -> None:
    """LUFS is pyloudnorm's, opinions are speechmos', voices Resemblyzer's, to 1e-3."""
    import resemblyzer
    from pyloudnorm import Meter
    from speechmos import dnsmos

    dataset = Dataset(measured)
    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
    for key in ("clean-m3-0", "noisy"):
        wave, rate = read_audio(faulty / f"{key}.wav")
        row, heard = dataset.row(key), np.clip(resample(wave, rate, 16_000), -1, 1)
        lufs = Meter(rate).integrated_loudness(wave.astype(np.float64))
        assert row["lufs"] == pytest.approx(lufs, abs=1e-3)
        scores = dnsmos.run(heard, 16_000)
        names = {"signal": "sig", "background": "bak", "overall": "ovrl", "p808": "p808"}
        for ours, theirs in names.items():
            assert row[f"mos_{ours}"] == pytest.approx(scores[f"{theirs}_mos"], abs=1e-3)
        theirs = encoder.embed_utterance(resemblyzer.preprocess_wav(heard))
        assert dataset.read("voice", key) == pytest.approx(theirs, abs=1e-3)


def test_quality_added_later_makes_only_its_columns(
    shards: Path, spoken: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And names what is missing: here all but what ns2 measures itself."""
    monkeypatch.setattr(measure, "find_spec", lambda name: None)
    before = contents(shards)
    options = {"quality": True}
    assert run_inline(spoken, shards, weights, **options).made == {"quality": 3}
    notes = missing_measures(Options(quality=True))
    assert [note.partition(" (")[0] for note in notes] == [
        "--quality: no loudness", "--quality: no mos", "--quality: no voice",
    ]  # fmt: skip
    assert verify(shards).ok
    made = identities(shards)
    run_inline(spoken, shards, weights)  # without it, byte for byte what there was
    after = contents(shards)
    assert {name: after[name] for name in before} == before
    assert run_inline(spoken, shards, weights, **options).made == {}
    tars = {name: place for name, place in made.items() if "-" in name.partition("/")[0]}
    assert tars.items() <= identities(shards).items()
    with pytest.raises(OptionError, match=r"--columns mos needs speechmos.*pip install"):
        build_graph(Options(codec="mini", columns=("mos",)))


def test_distances_are_to_the_centre_of_the_others() -> None:
    survey = VoiceSurvey()
    voices = np.eye(3, dtype=np.float32)
    for speaker, vector in (("a", 0), ("a", 0), ("a", 1), ("b", 2)):
        survey.add(speaker, voices[vector])
    survey.add("b", np.zeros(3, np.float32))

    def distance(speaker: str, vector: np.ndarray) -> float | None:
        return survey.fields(speaker, vector)["voice_distance"]

    assert distance("a", voices[1]) == pytest.approx(1)
    assert distance("a", voices[0]) == pytest.approx(1 - 1 / np.sqrt(2))
    assert distance("b", voices[2]) is None and distance("b", np.zeros(3)) is None


def test_loudness_is_set_before_codes_and_mel_and_not_before_quality(
    shards: Path, spoken: Path, weights: Path
) -> None:
    meter = pytest.importorskip("pyloudnorm").Meter(24_000)
    run_inline(spoken, shards, weights, columns=("mel", "phonemes", "loudness"))
    before, mels = Dataset(shards).index, [one["mel"] for one in Dataset(shards)]
    options: dict[str, Any] = {"columns": ("mel", "phonemes", "loudness"), "loudness": -30.0}
    assert run_inline(spoken, shards, weights, **options).made == {"mel": 3}
    dataset = Dataset(shards)
    assert dataset.index["lufs"] == before["lufs"]
    for one, mel, row in zip(dataset, mels, before.to_pylist(), strict=True):
        wave = resample(*read_audio(spoken / "wavs" / f"{row['id']}.wav"), 24_000)
        gain = (-30 - meter.integrated_loudness(wave.astype(np.float64))) / 20 * np.log(10)
        loud = mel > np.quantile(mel, 0.5)
        assert np.median((one["mel"] - mel)[loud]) == pytest.approx(gain, abs=0.01)
    assert dataset.card.stages["audio"].config["loudness"] == -30
    assert verify(shards).ok
    with pytest.raises(OptionError, match="--loudness must be from -60 to -5 LUFS"):
        Options(loudness=3)
