"""Help texts are sentences, and those of options that a config holds are that config's."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

import click
import pytest

from ns2.cli import main
from ns2.model.config_values import field_docs
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.tools.tool_options import (
    ExportOptions,
    ReportOptions,
    TextGridOptions,
    VerifyOptions,
)
from ns2.train.codec.training_config import CodecTraining
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.listening.listening_config import ListeningConfig
from ns2.train.run.train_options import TrainOptions
from ns2.train.speak.speaking import SynthesizeOptions
from ns2.train.tour.demo_config import Demo
from tests.support.command_line import commands

CONFIGS: dict[tuple[str, ...], tuple[type, ...]] = {
    ("preprocess",): (Options,),
    ("train",): (TrainOptions,),
    ("codec", "train"): (CodecTraining,),
    ("codec", "eval"): (CodecTraining,),
    ("verify",): (VerifyOptions,),
    ("export",): (ExportOptions,),
    ("report",): (ReportOptions,),
    ("textgrid",): (TextGridOptions,),
    ("synthesize",): (SynthesizeOptions,),
    ("evaluate",): (EvaluateConfig, ListeningConfig),
    ("demo",): (Demo,),
}
"""The configs whose fields a command's options are made of."""

ALL = dict(commands())
every_command = pytest.mark.parametrize("words", list(ALL), ids=" ".join)


@every_command
def test_help_texts_are_sentences(words: tuple[str, ...]) -> None:
    command = ALL[words]
    assert command.help and re.fullmatch(r"[A-Z].*\.", command.help.strip().splitlines()[0])
    for option in command.params:
        if isinstance(option, click.Option):
            told = re.sub(r"\[default: .*\]$", "", option.help or "").strip()
            assert len(told.split()) >= 5, f"{option.name}: {told}"
            assert re.fullmatch(r"[A-Z`].*\.", told), f"{option.name}: {told}"


def test_the_list_of_commands_names_each() -> None:
    text = main.help or ""
    listed = set(re.findall(r"^ *ns2 ([a-z-]+)", text, re.MULTILINE))
    assert listed == {words[0] for words in ALL}


@pytest.mark.parametrize("words", list(CONFIGS), ids=" ".join)
def test_defaults_and_texts_are_those_of_the_config(words: tuple[str, ...]) -> None:
    options = {option.name: option for option in ALL[words].params}
    context = click.Context(ALL[words])
    for config in CONFIGS[words]:
        docs = field_docs(config)
        for field in fields(config):
            option = options.get(field.name)
            if option is None:
                continue
            assert isinstance(option, click.Option)
            assert option.help == docs[field.name]
            if option.callback is None and field.default is not MISSING:
                default = option.get_default(context)
                unset = default is None or "UNSET" in str(default)
                assert (None if unset else default) == field.default, field.name
