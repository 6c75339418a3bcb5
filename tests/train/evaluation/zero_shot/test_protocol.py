"""`ns2 evaluate --protocol zero-shot`: prompts, files, what is refused, twice the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from ns2.cli import main
from ns2.pipeline.corpora.spoken.cast import Speaker, Spoken, speak_spoken
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.decode import resample
from tests.support.preprocessing import run_inline

TEXTS = ("The old bridge is closed.", "A small boat came in.", "We heard the bell ring twice.")
VOICES = ("en-us", "en-us+f2", "en-us+m3", "en-us+f5", "en-us+m7")
PROMPTS = {"shortest": 20, "whole_below": 60, "longest": 150}


def spoken(folder: Path, said: dict[str, int], held_out: tuple[str, ...]) -> Path:
    """A corpus in which each voice says so many of the texts."""
    utterances = [
        Spoken(
            id=f"{Speaker(voice=voice).name}-{i}",
            text=TEXTS[i],
            speaker=Speaker(voice=voice),
            split="val" if voice in held_out else "train",
        )
        for voice, count in said.items()
        for i in range(count)
    ]
    speak_spoken(folder, utterances)
    return folder


def made(folder: Path, said: dict[str, int], held_out: tuple[str, ...]) -> tuple[Path, Path]:
    """Such a corpus, and its dataset."""
    corpus = spoken(folder / "corpus", said, held_out)
    run_inline(corpus, folder / "shards", None, codec="mini", val_share=0.0)
    return corpus, folder / "shards"


def trained(shards: Path, out: Path, *words: str) -> Path:
    settings = {"global_frames": 900, "precision": "fp32", "samples": 0, "validate_frames": 900}
    settings |= {f"model.prompt.{name}": value for name, value in PROMPTS.items()}
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    base = ["train", str(shards), "-o", str(out), *words]
    if "--init" not in words:
        base += ["--preset", "tiny", *sets]
    done = CliRunner().invoke(main, [*base, "--steps", "1"])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of five voices, four of which are held out; its dataset; a run of one step."""
    folder = tmp_path_factory.mktemp("zero")
    made(folder, dict.fromkeys(VOICES, 3), VOICES[1:])
    trained(folder / "shards", folder / "run")
    return folder


def call(run: Path, shards: Path, *words: object) -> Result:
    command = ["evaluate", run, shards, "--protocol", "zero-shot", "--steps", 2, *words]
    return CliRunner().invoke(main, list(map(str, command)))


def refused(run: Path, shards: Path, *words: object) -> str:
    done = call(run, shards, *words)
    assert done.exit_code in (1, 2) and "Traceback" not in done.output, done.output
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def out(place: Path) -> Path:
    """Seven sentences by prompts of 1 and 2 seconds, compared with recordings."""
    words = ["--corpus", place / "corpus", "--prompt-seconds", "1,2", "--limit", 7]
    done = call(place / "run", place / "shards", *words, "-o", place / "out")
    assert done.exit_code == 0, done.output
    assert "7 sentences of 4 speakers" in done.output and "| prompt of 2 s" in done.output
    return place / "out"


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, Any]:
    def no(value: str) -> Any:
        raise AssertionError(value)

    text = (out / "zero-shot.json").read_text("utf-8")
    value: dict[str, Any] = json.loads(text, parse_constant=no)  # neither NaN nor infinite
    return value


def test_prompts_are_of_another_utterance_of_the_speaker(
    found: dict[str, Any], place: Path
) -> None:
    dataset = Dataset(place / "shards")
    speakers: dict[str, int] = {}
    for row in found["utterances"]:
        speakers[row["speaker"]] = speakers.get(row["speaker"], 0) + 1
        for seconds, frames in (("1", 75), ("2", 150)):
            parts = row["prompts"][seconds]
            assert sum(part["end_frame"] - part["first_frame"] for part in parts) == frames
            for part in parts:
                giver = dataset.row(part["key"])
                assert giver["speaker"] == row["speaker"] and part["key"] != row["key"]
                assert giver["split"] == "val" and part["end_frame"] <= giver["frames"]
        exchanged = next(r for r in found["utterances"] if r["key"] == row["exchanged_with"])
        assert exchanged["speaker"] != row["speaker"]
    assert sorted(speakers.values()) == [1, 2, 2, 2]  # in turn, up to the limit
    assert not any(voice in found["speakers"] for voice in ("en-us-50-160",))


def test_waves_are_those_of_the_list(found: dict[str, Any], out: Path) -> None:
    header, *lines = (out / "wavs.tsv").read_text("utf-8").splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    versions = ["recording", "copy", "prompt_1s", "prompt_2s", "exchanged", "noise", "telephone"]
    assert list(found["versions"]) == versions
    assert len(rows) == 7 * len(versions)
    by = {(row["key"], row["version"]): row for row in rows}
    for row in rows:
        wave, rate = soundfile.read(out / row["wav"])
        prompt, _ = soundfile.read(out / row["prompt_wav"])
        assert rate == 24_000 and len(wave)
        assert len(prompt) == rate * (2 if row["version"] == "prompt_2s" else 1)
        text = next(r["text"] for r in found["utterances"] if r["key"] == row["key"])
        assert row["text"] == text
    for row in found["utterances"]:
        ours, other = by[row["key"], "exchanged"], by[row["exchanged_with"], "prompt_1s"]
        assert ours["prompt_wav"] == other["prompt_wav"]
        assert "prompt-noise" in by[row["key"], "noise"]["prompt_wav"]
        assert "prompt-telephone" in by[row["key"], "telephone"]["prompt_wav"]


def test_a_prompt_is_a_piece_of_the_recording(
    found: dict[str, Any], out: Path, place: Path
) -> None:
    row = found["utterances"][0]
    (part,) = row["prompts"]["1"]
    source = place / "corpus/wavs" / f"{Dataset(place / 'shards').row(part['key'])['id']}.wav"
    recording, rate = soundfile.read(source)
    whole = resample(recording.astype(np.float32), rate, 24_000)
    piece = whole[part["first_frame"] * 320 : part["end_frame"] * 320]
    prompt, _ = soundfile.read(out / f"wavs/{row['key']}-prompt-prompt_1s.wav")
    assert np.abs(prompt[: len(piece)] - piece).max() < 1e-3


def test_figures_tell_speech_from_noise_and_name_what_they_depend_on(
    found: dict[str, Any],
) -> None:
    versions = found["versions"]
    wrong = {name: one["figures"]["phones_wrong"] for name, one in versions.items()}
    assert wrong["recording"]["value"] < 0.1 and wrong["prompt_1s"]["value"] > 0.5
    for one in wrong.values():
        low, high = one["interval"]
        assert low <= one["value"] <= high
    for figures in (versions["copy"]["figures"], versions["recording"]["figures"]):
        assert "pitch_mean_to_prompt" in figures
        assert not any(name.endswith("to_recording") for name in figures)
    model = versions["prompt_2s"]["figures"]
    for quantity in ("pitch", "durations"):
        assert f"{quantity}_mean_to_recording" in model
    settings = found["settings"]
    assert settings["prompt_seconds"] == [1.0, 2.0] and settings["seed"] == 0
    assert settings["prompts_of"] == "recordings" and settings["interval"]["seed"] == 0
    assert settings["step"] == 1 and len(settings["dataset_digest"]) == 64


def test_the_same_again(out: Path, place: Path) -> None:
    words = ["--corpus", place / "corpus", "--prompt-seconds", "1,2", "--limit", 7]
    done = call(place / "run", place / "shards", *words, "-o", place / "again", "--json")
    assert done.exit_code == 0, done.output
    names = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert len(names) > 70
    for name in names:
        assert (out / name).read_bytes() == (place / "again" / name).read_bytes(), name


def test_without_a_corpus_there_are_copies_alone(place: Path) -> None:
    words = ["--prompt-seconds", "1", "--limit", 1, "-o", place / "alone"]
    done = call(place / "run", place / "shards", *words)
    assert done.exit_code == 0, done.output
    found = json.loads((place / "alone/zero-shot.json").read_text())
    assert list(found["versions"]) == ["copy", "prompt_1s", "noise", "telephone"]
    assert "1 speaker: an interval" in done.output and "control is missing" in done.output
    assert all(f["interval"] is None for f in found["versions"]["copy"]["figures"].values())
    assert found["settings"]["prompts_of"] == "codec copies"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompt-seconds", "3"], "trained with prompts of 2.00 s at most"),
        (["--prompt-seconds", "1,2.5"], "--prompt-seconds 2.5: the run was trained"),
        (["--prompt-seconds", "1,x"], "expected numbers, such as 3,5,10"),
        (["--prompt-seconds", "0"], "takes numbers above 0"),
        (["--prompt-seconds", "nan"], "takes numbers above 0"),
        (["--prompt-seconds", "1,1"], "names a length twice"),
        (["--prompt-seconds", "1", "--split", "train"],
         "split 'train' of"),
        (["--prompt-seconds", "1", "--split", "test"], "no utterance in split 'test'"),
    ],
)  # fmt: skip
def test_what_the_protocol_refuses(words: list[str], message: str, place: Path) -> None:
    told = refused(place / "run", place / "shards", *words, "-o", place / "none")
    assert message in told
    if "train" in words:
        assert "en-us-50-160" in told and "was trained on" in told and "--val-by speaker" in told


def test_prompt_seconds_need_the_protocol(place: Path) -> None:
    command = ["evaluate", str(place / "run"), str(place / "shards"), "--prompt-seconds", "1"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 2 and "is for --protocol zero-shot" in done.output


def test_speakers_of_a_split_that_were_trained_on(place: Path, tmp_path: Path) -> None:
    """A voice in both splits; in another dataset of the same recordings; by way of `--init`."""
    voices = dict.fromkeys(VOICES[:2], 3)
    corpus, shards = made(tmp_path, voices, ())
    rows = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    for row in rows[1:3]:
        row["split"] = "val"
    (corpus / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.rmtree(shards)
    run_inline(corpus, shards, None, codec="mini", val_share=0.0)
    run = trained(shards, tmp_path / "run")
    assert f"speakers that the run was trained on (1: {rows[0]['speaker']}" in refused(
        run, shards, "--prompt-seconds", "0.5"
    )
    # the dataset of `place` holds the same utterances of both, and one of them in val
    told = refused(run, place / "shards", "--prompt-seconds", "1")
    assert f"speakers that the run was trained on (1: {rows[3]['speaker']}" in told
    adapted = trained(place / "shards", tmp_path / "adapted", "--init", str(run))
    told = refused(adapted, place / "shards", "--prompt-seconds", "1")
    assert rows[3]["speaker"] in told and str(shards) in told


def test_a_speaker_with_a_single_utterance(tmp_path: Path) -> None:
    """Training, samples and the usual evaluation run; the protocol says why it can't."""
    corpus, shards = made(tmp_path, {VOICES[0]: 3, VOICES[1]: 1}, VOICES[1:2])
    out = tmp_path / "run"
    sets = ["--set", "global_frames=900", "--set", "samples=1", "--set", "validate_every=1"]
    sets += [word for n, v in PROMPTS.items() for word in ("--set", f"model.prompt.{n}={v}")]
    command = ["train", shards, "-o", out, "--preset", "tiny", "--steps", 1, *sets]
    done = CliRunner().invoke(main, list(map(str, command)))
    assert done.exit_code == 0, done.output
    for name in ("metrics", "validation", "samples"):
        (line,) = (out / f"{name}.jsonl").read_text().splitlines()
        assert "NaN" not in line and "null" not in line
    command = ["evaluate", out, shards, "--corpus", corpus, "--steps", 2]
    done = CliRunner().invoke(main, list(map(str, command)))
    assert done.exit_code == 0, done.output
    assert "nan" not in done.output.lower() and "95 %" not in done.output
    text = (out / "evaluation/evaluation.json").read_text()
    assert "NaN" not in text
    for one in json.loads(text)["all"]["versions"].values():
        assert one["phone_error_interval"] is None
    assert "95 %" not in (out / "evaluation/index.html").read_text()
    told = refused(out, shards, "--prompt-seconds", "1")
    assert "no speaker of split 'val' has 1 s of other utterances" in told
