"""What a run speaks at some steps: by whom, with what weights, and where it goes."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from ns2.model.codec.loading import load_codec
from ns2.model.config_values import from_values
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.choices import Choices
from ns2.model.tts.generation import Request, generate
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.pitch import extract_f0
from ns2.train.data.selection import open_data
from ns2.train.evaluation.judges.phones import bare_phones, load_phone_classifier, phone_errors
from ns2.train.loop.sample_figures import Heard, sample_figures
from ns2.train.loop.samples import choose, speak
from ns2.train.run.settings import TrainConfig
from ns2.train.speak.facts import facts_of
from ns2.train.step.build import build_model
from ns2.train.step.ranks import Ranks
from ns2.train.step.trainer import Trainer
from tests.support.dataset_factories import Recipe, make_dataset
from tests.support.factories import ROOT
from tests.train.data.test_selection import flip
from tests.train.loop.test_watching import lines, shown, train

SETTINGS = {"global_frames": 1000, "samples": 2, "sampler.steps": 3, "validate_every": 0}
PROMPT = {"model.prompt.shortest": 20, "model.prompt.whole_below": 60, "model.prompt.longest": 60}


@pytest.fixture(scope="module")
def run(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run") / "run"
    train(speech, run, 3, **SETTINGS, **PROMPT, sample_every=2)
    return run


def test_samples_are_spoken_by_the_averaged_weights(speech: Path, run: Path) -> None:
    folders = sorted(path.name for path in (run / "samples").iterdir())
    assert folders == ["00000002", "00000003", "reference"]
    config = from_values(TrainConfig, json.loads((run / "config.json").read_text("utf-8")))
    dataset, codec = Dataset(speech), load_codec("mini", None, 4)
    model = build_model(dataset, config.model)
    model.load_state_dict(load_file(run / "model.safetensors"))
    held_out = open_data([speech], split="val")
    samples = choose(held_out, open_data([speech]), count=2, longest=60)
    assert {sample.key for sample in samples} <= set(held_out.keys(np.arange(len(held_out))))
    last = run / "samples" / "00000003"
    assert len(list(last.iterdir())) == 3 * len(samples)
    for sample in samples:
        row = dataset.row(sample.key)
        reference, rate = soundfile.read(run / "samples" / "reference" / f"{sample.key}.wav")
        assert rate == 24_000 and len(reference) == 320 * row["frames"]
        for name in ("given", "predicted"):
            given = name == "given"
            request = Request(
                phonemes=torch.from_numpy(sample.line.phonemes.astype(np.int64))[None],
                tokens=torch.tensor([len(sample.line.phonemes)]),
                seeds=torch.tensor([sample.line.seed]),
                prompt_codes=torch.from_numpy(sample.line.prompt.astype(np.int32))[None],
                durations=torch.from_numpy(sample.line.durations.astype(np.int64))[None]
                if given
                else None,
                f0=torch.from_numpy(sample.line.f0.copy())[None] if given else None,
            )
            sampler = SamplerConfig(kind="dpm++", steps=3)
            made = generate(model, request, Choices(sampler=sampler))
            wave = codec.decode_latents(made.latents[0]).clamp(-1, 1).numpy()
            found, _ = soundfile.read(last / f"{sample.key}-{name}.wav")
            assert len(found) == len(wave)
            np.testing.assert_allclose(found, wave, atol=1e-3)
        other, _ = soundfile.read(run / "samples" / "00000002" / f"{sample.key}-given.wav")
        assert len(other) == len(reference)
        assert (last / f"{sample.key}.png").read_bytes().startswith(b"\x89PNG")


def test_figures_of_samples_are_those_of_their_files(speech: Path, run: Path) -> None:
    """Phones wrong and voiced share: once more, from the files, as `ns2 evaluate` counts them."""
    dataset, classifier = Dataset(speech), load_phone_classifier()
    pitch = facts_of([dataset]).pitch_config()
    rows = lines(run, "samples.jsonl")
    assert [row["step"] for row in rows] == [2, 3]
    events = shown(run)
    folder = run / "samples"
    keys = sorted(path.name.rsplit("-", 1)[0] for path in (folder / "00000003").glob("*-given.wav"))
    for row in rows:
        for version in ("reference", "given", "predicted"):
            wrong = phones = voiced = frames = 0
            for key in keys:
                at = folder / f"{row['step']:08d}" / f"{key}-{version}.wav"
                if version == "reference":
                    at = folder / "reference" / f"{key}.wav"
                wave, rate = soundfile.read(at, dtype="float32")
                tokens = dataset.phoneme_table.symbols(dataset.read("phonemes", key))
                wrong += phone_errors(classifier.phones(wave, rate), tokens)
                phones += len(bare_phones(tokens))
                f0 = extract_f0(wave, pitch)
                voiced, frames = voiced + int((f0 > 0).sum()), frames + len(f0)
            # 16 bits of a file may turn the odd frame over
            assert row[f"phones_wrong_{version}"] == pytest.approx(wrong / phones, abs=0.05)
            assert row[f"voiced_{version}"] == pytest.approx(voiced / frames, abs=0.05)
        assert row["phones_wrong_reference"] < 0.2 < row["phones_wrong_given"]
        for name in set(row) - {"step", "seconds"}:
            points = {point.step: point.value for point in events.Scalars(f"samples/{name}")}
            assert points[row["step"]] == pytest.approx(row[name], rel=1e-6)


def test_a_language_that_the_judge_does_not_know_has_no_phones_wrong() -> None:
    heard = [
        Heard(
            tokens=("a", "b"),
            language=language,
            waves={"given": np.zeros(6400, np.float32)},
            f0={"given": np.array([100.0, 0, 0, 0])},
        )
        for language in ("de", "en-gb")
    ]
    judge = load_phone_classifier()
    assert sample_figures(heard[:1], 24_000, judge) == {"voiced_given": 0.25}
    assert sample_figures(heard, 24_000, None) == {"voiced_given": 0.25}
    both = sample_figures(heard, 24_000, judge)
    assert both == {"phones_wrong_given": 1.0, "voiced_given": 0.25}  # of the English one alone


def test_documents_tell_of_every_file_of_a_run(speech: Path, run: Path) -> None:
    text = (ROOT / "docs" / "training.md").read_text("utf-8")
    tree = text.partition("## What a run is")[2].partition("\n## ")[0]
    for path in run.rglob("*"):
        if "tensorboard" not in path.parts and "speech" not in path.parts:
            name = re.sub(r"^0000000\d", "00001000", path.name)
            for key in Dataset(speech).keys:
                name = name.replace(key, "KEY")
            assert name in tree or path.parent.name == "reference", path


def test_tensorboard_has_sounds_and_pictures(run: Path) -> None:
    events = shown(run)
    tags = events.Tags()
    keys = {path.name.rsplit("-", 1)[0] for path in (run / "samples/00000003").glob("*given.wav")}
    assert set(tags["images"]) == {f"samples/{key}" for key in keys}
    for key in keys:
        for name in ("given", "predicted"):
            sounds = events.Audio(f"samples/{key}/{name}")
            assert [sound.step for sound in sounds] == [2, 3]
            shown_wave, rate = soundfile.read(io.BytesIO(sounds[-1].encoded_audio_string))
            written, _ = soundfile.read(run / "samples" / "00000003" / f"{key}-{name}.wav")
            assert rate == 24_000
            np.testing.assert_allclose(shown_wave, written, atol=1e-3)
        assert [image.step for image in events.Images(f"samples/{key}")] == [2, 3]


def test_speaking_changes_no_step_and_is_made_up_for(
    speech: Path, run: Path, tmp_path: Path
) -> None:
    silent = tmp_path / "silent"
    train(speech, silent, 3, **{**SETTINGS, "samples": 0}, **PROMPT, sample_every=2)
    assert not (silent / "samples").exists()
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (run, silent))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    again = tmp_path / "again"
    shutil.copytree(run, again)
    last = again / "samples" / "00000003"
    before = {path.name: path.read_bytes() for path in last.iterdir()}
    told = lines(again, "samples.jsonl")
    shutil.rmtree(last)  # as if it had been stopped between the checkpoint and the samples
    train(speech, again, 3, **SETTINGS, **PROMPT, sample_every=2)
    assert {path.name: path.read_bytes() for path in last.iterdir()} == before
    figures = [{**row, "seconds": 0} for row in lines(again, "samples.jsonl")]
    assert figures == [{**row, "seconds": 0} for row in told]  # none of them stands there twice


def test_without_a_codec_there_is_one_note(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", Recipe(shards=1, per_shard=4))
    message = train(data, tmp_path / "run", 2, samples=1, sample_every=1)
    assert message.count("no samples") == 1 and "by a codec 'made-up'" in message
    assert [row["step"] for row in lines(tmp_path / "run", "metrics.jsonl")] == [1, 2]
    assert not (tmp_path / "run" / "samples").exists()


def test_durations_that_run_away_are_bounded(speech: Path, run: Path) -> None:
    config = from_values(TrainConfig, json.loads((run / "config.json").read_text("utf-8")))
    with Ranks("cpu") as ranks:
        trainer = Trainer(config, open_data([speech]), ranks)
    (sample,) = choose(trainer.data, trainer.data, count=1, longest=60)
    with torch.no_grad():
        trainer.averaged.duration_predictor.head.bias.fill_(5.0)  # 147 frames each
    frames = len(sample.line.f0)
    made = speak(trainer, sample.line, given=False)
    assert made.shape[1] == pytest.approx(3 * frames, abs=1)
    assert speak(trainer, sample.line, given=True).shape[1] == frames


def test_damaged_utterances_are_not_spoken(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", Recipe(shards=4, per_shard=4))
    held_out, trained = open_data([data], split="val"), open_data([data])
    first, second = choose(held_out, trained, count=2, longest=9)
    flip(data, "f0", first.key)
    held_out, trained = open_data([data], split="val"), open_data([data])
    third, fourth = choose(held_out, trained, count=2, longest=9)
    assert third.key == second.key and first.key not in (third.key, fourth.key)


def test_prompts_are_of_the_speaker(tmp_path: Path) -> None:
    def speakers(row: dict[str, Any]) -> list[dict[str, Any]]:
        speaker = {"utt0001": "alone", "utt0005": "both", "utt0000": "both"}
        return [{**row, "speaker": speaker.get(row["key"], "others")}]

    data = make_dataset(tmp_path / "data", Recipe(shards=4, per_shard=4, change_row=speakers))
    dataset = Dataset(data)
    held_out, trained = open_data([data], split="val"), open_data([data])
    lines = {
        sample.key: sample.line for sample in choose(held_out, trained, count=99, longest=1000)
    }
    assert set(lines) == {"utt0001", "utt0005", "utt0009", "utt0013"}
    own = dataset.read("codes", "utt0001")
    np.testing.assert_array_equal(lines["utt0001"].prompt, own[:, : own.shape[1] // 2])
    np.testing.assert_array_equal(lines["utt0005"].prompt, dataset.read("codes", "utt0000"))
    np.testing.assert_array_equal(lines["utt0009"].prompt, dataset.read("codes", "utt0013"))
    short = choose(held_out, trained, count=2, longest=7)
    assert len(short) == 2 and all(sample.line.prompt.shape[1] == 7 for sample in short)
    assert choose(held_out, trained, count=2, longest=7)[0].line.seed == short[0].line.seed
