"""The command line of ns2. A command, and what it imports, is loaded when it is called.

Exit codes: 0 done, 1 failed check or error, 2 wrong usage, 3 too many utterances rejected.
"""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "segment": ("ns2.pipeline.commands.segmenting", "segment"),
    "preprocess": ("ns2.pipeline.commands.making", "preprocess"),
    "inspect": ("ns2.pipeline.commands.datasets", "inspect"),
    "report": ("ns2.pipeline.commands.datasets", "report"),
    "verify": ("ns2.pipeline.commands.datasets", "verify"),
    "export": ("ns2.pipeline.commands.datasets", "export"),
    "diff": ("ns2.pipeline.commands.datasets", "diff"),
    "align-eval": ("ns2.pipeline.commands.datasets", "align_eval"),
    "textgrid": ("ns2.pipeline.commands.datasets", "textgrid"),
    "gc": ("ns2.pipeline.commands.datasets", "gc"),
    "codec": ("ns2.train.commands.codec", "codec"),
    "train": ("ns2.train.commands.train", "train"),
    "synthesize": ("ns2.train.commands.synthesize", "synthesize"),
    "evaluate": ("ns2.train.commands.evaluate", "evaluate"),
    "export-model": ("ns2.train.commands.export_model", "export_model"),
    "demo": ("ns2.train.commands.demo", "demo"),
    "model": ("ns2.train.commands.model", "model"),
}
"""Module and name of each command, in the order in which one works with them."""


class Commands(click.Group):
    """The group of all commands, each of which is imported only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name, or None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Nothing: the text of the group lists its commands, and loads none of them."""


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="ns2", prog_name="ns2")
def main() -> None:
    """From raw recordings to a trained NaturalSpeech 2 model.

    \b
    ns2 segment long/ -o corpus/         cut long recordings with their texts into utterances
    ns2 preprocess corpus/ -o shards/    turn recordings and transcripts into a dataset
    ns2 inspect shards/                  show what is in a dataset
    ns2 report shards/ -o report.html    write a page to look at and to listen to
    ns2 verify shards/                   check every file, array and number of it
    ns2 export shards/ out/              write all-in-one tars for other toolkits
    ns2 diff a/ b/                       compare two datasets
    ns2 align-eval shards/ truth.jsonl   measure how far durations are from known truth
    ns2 textgrid shards/ out/            write phones and words as TextGrids for Praat
    ns2 gc shards/                       remove what is no longer current
    ns2 codec train corpus/ -o C         train a codec; `ns2 codec` also measures and copies
    ns2 train shards/ -o run/            train a model, or go on where that stopped
    ns2 synthesize run/ "text" -o a.wav  speak in the voice of --prompt
    ns2 evaluate run/ shards/            measure how well a model speaks, and hear it
    ns2 export-model run/ out/           write a model as programs that speak without ns2
    ns2 demo out/                        do all of these, from nothing to speech
    ns2 model --preset paper             count a model's parameters, part by part

    `ns2 COMMAND --help` explains a command and its options.
    """


if __name__ == "__main__":
    main()
