"""The benchmarks of codecs: which recordings are taken, and sums that are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.codecs.copies import names_of
from benchmarks.codecs.copy_groups import Clip, corpus_group, pooled, real_groups
from benchmarks.codecs.copy_measures import RECORDING, Copied, f0_of
from benchmarks.codecs.copy_table import POOLED, figures, limits
from benchmarks.codecs.latents import together
from benchmarks.speaking.phones import share_wrong, versions
from ns2.model.codec.loading import load_codec
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, VOICES, speak
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.sound.wav import save_wav
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.bundled.make_mini import SPEAKERS
from ns2.train.evaluation.judges.phones import bare_phones, load_phone_classifier


def corpus(folder: Path, speakers: list[str], language: str) -> None:
    folder.mkdir(parents=True)
    save_wav(folder / "one.wav", np.zeros(2400, np.float32), 24_000)
    rows = [
        {"audio": "one.wav", "id": f"{i:04d}", "text": "a word", "speaker": name,
         "language": language}
        for i, name in enumerate(speakers, 1)
    ]  # fmt: skip
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(lines)


def test_what_is_held_out_of_the_corpora_of_real_people(tmp_path: Path) -> None:
    corpus(tmp_path / "english-reader", ["reader"] * 40, "en-us")
    corpus(tmp_path / "german-reader", ["reader"] * 25, "de")
    corpus(tmp_path / "accents-40", [*SPEAKERS, "o9999"] * 7, "en-us")
    found = real_groups(tmp_path)
    ids = {name: [int(clip.id) for clip in clips] for name, clips in found.items()}
    assert ids["english-reader"] == list(range(26, 41))
    assert ids["german-reader"] == [10, 20]
    assert ids["accents-40"][:6] == [1, 10, 19, 28, 37, 2]  # five of the first speaker, then on
    assert len(ids["accents-40"]) == 5 * len(SPEAKERS)
    assert pooled(found) == ["english-reader"]


def test_a_folder_without_the_corpora_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="english-reader"):
        real_groups(tmp_path)


def test_a_group_that_would_be_empty_is_an_error(tmp_path: Path) -> None:
    corpus(tmp_path / "some", ["reader"], "en-us")
    with pytest.raises(UserError, match="few"):
        corpus_group("few", tmp_path / "some", lambda found: found[9:])


def test_files_have_short_names_unless_two_have_the_same() -> None:
    assert names_of(["mini", "a/x.safetensors"]) == {"mini": "mini", "x": "a/x.safetensors"}
    assert set(names_of(["a/x.st", "b/x.st"])) == {"a/x.st", "b/x.st"}
    with pytest.raises(UserError, match="twice"):
        names_of(["mini", "mini"])


def test_figures_of_a_group_are_those_of_all_frames_and_words() -> None:
    pytest.importorskip("jiwer", reason="words are counted by jiwer (pip install 'ns2[eval]')")

    def one(number: int, text: str) -> Copied:
        clip = Clip(group="g", id=str(number), path=Path("x"), text=text, language="en-us")
        waves = {RECORDING: f"r{number}", "c": f"c{number}"}
        return Copied(
            clip=clip, seconds=1.0, waves=waves, pairs={"c": "p"}, originals={"c": f"r{number}"}
        )

    voice = {"signal": 3.0, "p808": 4.0}
    known = {
        "r1": {**voice, "f0": [100, 100, 0, 100], "heard": "Good morning."},
        "c1": {**voice, "signal": 2.5, "f0": [200, 100, 100, 100], "heard": "Good evening."},
        "r2": {**voice, "f0": [0, 0], "heard": "one two three four"},
        "c2": {**voice, "f0": [0, 0], "heard": "one two three four"},
        "p": {"stoi": 0.95, "pesq": None, "log_mel": 0.2},
    }
    copied = [one(1, "good morning"), one(2, "one two three four")]
    found = figures(copied, known, ["g"])
    copy = found["g"]["versions"]["c"]
    assert copy["signal"] == 2.75 and copy["pesq"] is None
    assert (copy["word_errors"], copy["words"]) == (1, 6)
    assert copy["voicing_error"] == pytest.approx(1 / 6)
    assert copy["f0_median_cents"] == 0  # of 1200, 0 and 0
    assert copy["voiced_share"] == pytest.approx(4 / 6)
    assert found[POOLED]["versions"]["c"]["word_error_rate"] == pytest.approx(1 / 6)

    met = {row["limit"]: row["met"] for row in limits(found, "c", "c")}
    assert met == {"signal, less": True, "P.808, less": True, "STOI": True,
                   "words wrong, more": False}  # fmt: skip


def test_f0_by_harvest_is_that_of_a_pulse_train() -> None:
    wave = np.zeros(24_000, np.float32)
    wave[::160] = 1.0
    f0 = np.array(f0_of(wave, load_codec("mini")))
    assert np.median(f0) == pytest.approx(150, abs=0.5)
    assert np.mean(f0 > 0) > 0.9


def test_figures_of_several_seeds_are_means_and_missing_ones_stay_missing() -> None:
    runs = [
        {"versions": {"full": {"phone_error_rate": rate, "voiced_share": 0.5}}}
        for rate in (0.1, 0.3)
    ]
    found = together(runs)["full"]
    assert found["phones wrong"] == pytest.approx(0.2) and found["log-mel"] is None


def test_the_classifier_hears_recordings_better_than_coarse_copies_and_these_than_nothing() -> None:
    speech = []
    for voice, text in zip(VOICES[:4], SENTENCES[:4], strict=True):
        samples, rate, _ = speak(text, voice)
        wave = resample(samples.astype(np.float32) / 32768, rate, 24_000).astype(np.float32)
        speech.append((bare_phones(pronounce(text, "en-us").tokens), wave))
    done = versions(load_codec("mini"))
    rates = {
        name: share_wrong(load_phone_classifier(), speech, [change(wave) for _, wave in speech])
        for name, change in done.items()
    }
    assert list(rates) == [
        "recordings", "copies", "first 4", "first 2", "first 1", "noisy copies", "reversed",
    ]  # fmt: skip
    assert rates["recordings"] < 0.06 and rates["recordings"] < rates["first 1"] < 0.4
    assert rates["reversed"] > 0.8
