"""Settings of a training from presets, files of YAML and JSON, and --set."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ns2.model.config_values import to_values
from ns2.model.tts.presets import PRESETS
from ns2.pipeline.core.errors import OptionError
from ns2.train.run.overrides import choose
from ns2.train.run.recipes import TRAINING, training
from ns2.train.run.settings import TrainConfig
from tests.support.factories import ROOT

YAML = """
learning_rate: 1e-3      # a number in JSON and YAML 1.2, a word in YAML 1.1
warmup: 20
decay: cosine
model:
  width: 32
  denoiser.wavenet: {layers: 9, hidden: 32}
model.diffusion.self_condition: 0
sampler:
  steps: 7
"""
SAME = {
    "learning_rate": 1e-3,
    "warmup": 20,
    "decay": "cosine",
    "model": {"width": 32, "denoiser": {"wavenet": {"layers": 9, "hidden": 32}}},
    "model.diffusion.self_condition": 0,
    "sampler.steps": 7,
}


def test_yaml_and_json_nested_and_dotted(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(YAML)
    (tmp_path / "a.json").write_text(json.dumps(SAME))
    ours = choose("tiny", tmp_path / "a.yaml", ["warmup=30", "model.width=16"], steps=5)
    assert ours == choose("tiny", tmp_path / "a.json", ["warmup=30", "model.width=16"], steps=5)
    tiny = training("tiny")
    assert (ours.learning_rate, ours.decay, ours.sampler.steps) == (0.001, "cosine", 7)
    assert (ours.warmup, ours.model.width, ours.steps) == (30, 16, 5)  # --set is laid over files
    wavenet = replace(tiny.model.denoiser.wavenet, layers=9, hidden=32)
    assert ours.model.denoiser.wavenet == wavenet
    assert ours.model.diffusion.self_condition == 0.0
    assert ours.model.prompt_encoder == tiny.model.prompt_encoder


def test_the_settings_of_a_run_are_such_a_file(tmp_path: Path) -> None:
    config = choose("seed", None, ["clip=0.5", "model.prompt.longest=200"])
    (tmp_path / "config.json").write_text(json.dumps(to_values(config), indent=2))
    assert choose("tiny", tmp_path / "config.json", []) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", "a.yaml: there is no setting learning_rat; did you mean learning_rate"),
        ("model: {denoiser: {wavnet.layers: 2}}",
         "there is no setting model.denoiser.wavnet; did you mean wavenet"),
        ("epochs: .nan", "epochs must be a number, got nan"),
        ("learning_rate: .inf", "learning_rate must be a number, got inf"),
        ("model:\n  width: wide", "model.width must be a whole number, got 'wide'"),
        ("ema: 1.5", "ema has to lie in"),
        ("a: [1\nb: 2", "neither YAML nor JSON.*line 2"),
        ("- 1\n- 2", "expected names and values, got list"),
        ("!!python/object/apply:os.getcwd []", "neither YAML nor JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(OptionError, match=f"(?s){message}"):
        choose("tiny", tmp_path / "a.yaml", [])


def test_what_is_wrong_with_the_rest_is_told() -> None:
    with pytest.raises(OptionError, match="did you mean warmup"):
        choose("tiny", None, ["warmups=3"])
    with pytest.raises(OptionError, match="NAME=VALUE"):
        choose("tiny", None, ["warmup"])
    with pytest.raises(OptionError, match="no preset 'huge'; choose one of: paper"):
        choose("huge", None, [])


def test_every_preset_has_a_training() -> None:
    assert TRAINING.keys() == PRESETS.keys()
    for name in PRESETS:
        assert training(name).model == PRESETS[name]()


def test_documents_tell_of_every_setting() -> None:
    text = (ROOT / "docs" / "training.md").read_text("utf-8")
    rows = "\n".join(line for line in text.splitlines() if line.startswith("| "))
    missing = [f.name for f in fields(TrainConfig) if f.name != "model" and f.name not in rows]
    assert not missing
