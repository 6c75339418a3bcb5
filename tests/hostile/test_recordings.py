"""Recordings that a dataset claims to be made from: none outside of the named corpus is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.evaluation.held_out import HeldOut, held_out, recording
from tests.support.dataset_factories import make_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(make_dataset(tmp_path / "made"))


@pytest.fixture
def one(dataset: Dataset) -> HeldOut:
    return held_out(dataset, "val", 1, seed=0, longest_prompt=20)[0]


def write(path: Path, samples: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(samples)), 24_000)


@pytest.mark.parametrize("source", ["../private.wav", "{}/private.wav", "wavs/../../private.wav"])
def test_a_private_recording_is_not_read(
    source: str, dataset: Dataset, one: HeldOut, tmp_path: Path
) -> None:
    write(tmp_path / "private.wav", one.samples)
    write(tmp_path / "corpus" / "wavs" / "a.wav", one.samples)
    row = {"audio": "wavs/a.wav", "text": "a"}
    manifest = tmp_path / "corpus" / "manifest.jsonl"
    manifest.write_text(json.dumps(row))
    hostile = replace(one, source=source.format(tmp_path))
    for corpus in (manifest.parent, manifest):
        with pytest.raises(UserError, match="does not hold"):
            recording(dataset, corpus, hostile)
        assert len(recording(dataset, corpus, replace(one, source="wavs/a.wav"))) == one.samples


def test_a_manifest_may_name_audio_anywhere(dataset: Dataset, one: HeldOut, tmp_path: Path) -> None:
    write(tmp_path / "audio" / "a.wav", one.samples)
    manifest = tmp_path / "lists" / "manifest.jsonl"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps({"audio": str(tmp_path / "audio" / "a.wav"), "text": "a"}))
    outside = replace(one, source="../audio/a.wav")
    for corpus in (manifest.parent, manifest):
        assert len(recording(dataset, corpus, outside)) == one.samples
