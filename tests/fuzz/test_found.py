"""What the fuzzer found, each as a test of its kind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ns2.model.codec.interface import CodecError
from ns2.model.codec.loading import load_codec
from ns2.model.codec.mini.mini_config import FORMAT
from ns2.model.codec.mini_1.mini_1_config import FORMAT as FIRST
from ns2.model.config_values import from_values
from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.tools.align_eval.truth import read_truth
from ns2.train.run.overrides import choose
from ns2.train.run.settings import TrainConfig
from tests.support.corpora_factories import make_clips, put, reasons, write_manifest


def test_nested_truth_is_an_error_of_its_line(tmp_path: Path) -> None:
    put(tmp_path, {"truth.jsonl": "[" * 100_000})
    with pytest.raises(UserError, match="line 1 is not JSON"):
        read_truth(tmp_path / "truth.jsonl")


@pytest.mark.parametrize("folder", ["9" * 400, "b/" + "a" * 300, "/proc/1/cwd/x"])
def test_a_folder_that_can_not_be_listed_costs_its_row(folder: str, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, make_clips(2))
    with manifest.open("a") as file:
        file.write(json.dumps({"audio": f"{folder}/a.wav", "text": "x", "id": "bad"}) + "\n")
    corpus = read_corpus(manifest)
    assert len(corpus.utterances) == 2 and reasons(corpus) == {"bad": Reason.AUDIO_MISSING}


@pytest.mark.parametrize(
    "text", ["steps: !!int ''", "steps: !!timestamp x", "a: !!binary é", "? [a]\n: 1", "[" * 5000]
)
def test_odd_yaml(text: str, tmp_path: Path) -> None:
    put(tmp_path, {"settings.yaml": text})
    with pytest.raises(OptionError, match=r"settings.yaml: "):
        choose("tiny", tmp_path / "settings.yaml", [])


@pytest.mark.parametrize("values", [None, [], "steps", {"clip": 10**400}, {"model": None}])
def test_odd_configs(values: Any) -> None:
    with pytest.raises(ValueError, match=r"must hold names|not so large|group of settings"):
        from_values(TrainConfig, values)


def test_nested_settings() -> None:
    with pytest.raises(OptionError, match="steps"):
        choose("tiny", None, ["steps=" + "[" * 100_000])


def write_codec(path: Path, name: str, sizes: dict[str, Any]) -> Path:
    header = json.dumps({"__metadata__": {name: json.dumps(sizes)}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@pytest.mark.parametrize(
    "sizes",
    [
        {"entries": 65_536, "spectral_dim": 8192, "quantizers": 8192},
        {"decoder_width": 8192, "decoder_blocks": 8192},
        {"bands": 2_000_000_000},
        {"expansion": 1e300},
        {"mels": True},
        {"decoder_blocks": "6"},
        {"f0_min": None},
        {"n_fft": 960.0},
    ],
)
@pytest.mark.parametrize("name", [FORMAT, FIRST])
def test_giant_and_odd_sizes_of_a_codec(name: str, sizes: dict[str, Any], tmp_path: Path) -> None:
    path = write_codec(tmp_path / "codec.safetensors", name, sizes)
    with pytest.raises(CodecError, match=r"more than are in the file|is not a codec"):
        load_codec(str(path))


def test_a_codec_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "codec.safetensors")
    with pytest.raises(CodecError, match="no such codec file"):
        load_codec(str(tmp_path / "codec.safetensors"))


def test_a_nested_header_of_a_codec(tmp_path: Path) -> None:
    header = b"[" * 100_000
    path = tmp_path / "codec.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CodecError, match="is not a codec"):
        load_codec(str(path))
