"""The options of commands that let a model speak."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from ns2.model.diffusion.sampler_config import SPEAKING_SAMPLER, SamplerKind
from ns2.model.tts.choices import Choices
from ns2.pipeline.core.errors import OptionError
from ns2.train.speak.speaking import SpeakingOptions, SynthesizeOptions


def test_defaults_are_those_of_the_model() -> None:
    """The options name the defaults again, since the model's own classes load torch."""
    assert SpeakingOptions().choices() == Choices(sampler=SPEAKING_SAMPLER)
    assert SynthesizeOptions(text="Stop!").choices() == SpeakingOptions().choices()
    kinds = get_type_hints(SpeakingOptions)["sampler"]
    assert get_args(kinds) == get_args(SamplerKind)


@pytest.mark.parametrize(
    ("options", "spacing"),
    [
        ({}, "log_snr"),
        ({"steps": 20}, "time"),  # as before the default changed
        ({"sampler": "euler", "steps": 150}, "time"),
        ({"steps": 20, "spacing": "log_snr"}, "log_snr"),
        ({"spacing": "time"}, "time"),
    ],
)
def test_a_sampler_that_is_named_speaks_as_before(options: dict[str, Any], spacing: str) -> None:
    assert SpeakingOptions(**options).choices().sampler.spacing == spacing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of"),
        ({"text": "a", "durations_from": "b", "dataset": Path()}, "give one of"),
        ({"text": "a", "out": Path("folder")}, "ends with .wav"),
        ({"text_file": Path("a.txt")}, "name a folder"),
        ({"durations_from": "a"}, "needs the --dataset"),
        ({"durations_from": "a", "dataset": Path(), "speed": 2.0}, "--speed"),
        ({"durations_from": "a", "dataset": Path(), "phonemes": True}, "--phonemes"),
        ({"durations_from": "a", "dataset": Path(), "language": "de"}, "--language"),
        ({"text": "a", "dataset": Path()}, "--dataset is for"),
        ({"text": "a", "phonemes": True, "language": "de"}, "--language"),
        ({"text": "a", "save_voice": Path("v.safetensors")}, "--prompt"),
        ({"text": "a", "prompt": (Path("a"),), "save_voice": Path("v.npy")}, "safetensors"),
        ({"text": "a", "seed": 1 << 63}, "--seed has to be a whole number of 64 bits"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SynthesizeOptions(**options)


def test_a_prompt_is_not_written_over(tmp_path: Path) -> None:
    prompt, line = tmp_path / "out.wav", tmp_path / "0001.wav"
    for path in (prompt, line):
        path.write_bytes(b"a recording")
    options: dict[str, Any]
    for options in (
        {"text": "a", "out": prompt, "prompt": (prompt,)},
        {"text": "a", "out": tmp_path / "other" / ".." / "out.wav", "prompt": (line, prompt)},
        {"text_file": Path("a.txt"), "out": tmp_path, "prompt": (line,)},
    ):
        (tmp_path / "other").mkdir(exist_ok=True)
        with pytest.raises(OptionError, match="would be written over"):
            SynthesizeOptions(**options)
    SynthesizeOptions(text="a", out=tmp_path / "new.wav", prompt=(prompt, tmp_path / "none.wav"))
    SynthesizeOptions(text_file=Path("a.txt"), out=tmp_path, prompt=(prompt,))
