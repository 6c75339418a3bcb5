"""The command line of ns2; every heavy import is inside its command.

Exit codes: 0 done, 1 failed check or error, 2 wrong usage, 3 too many utterances rejected.
"""

from __future__ import annotations

import click

from ns2.pipeline.commands import datasets
from ns2.pipeline.commands.making import preprocess
from ns2.train.commands.codec import codec
from ns2.train.commands.demo import demo
from ns2.train.commands.evaluate import evaluate
from ns2.train.commands.model import model
from ns2.train.commands.synthesize import synthesize
from ns2.train.commands.train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ns2", prog_name="ns2")
def main() -> None:
    """From raw recordings to a trained NaturalSpeech 2 model.

    \b
    ns2 preprocess corpus/ -o shards/    recordings and transcripts to a dataset
    ns2 inspect shards/                  what is in it
    ns2 verify shards/                   is all of it sound
    ns2 export shards/ out/              all-in-one tars for other toolkits
    ns2 diff a/ b/                       what differs between two datasets
    ns2 align-eval shards/ truth.jsonl   how far durations are from known truth
    ns2 textgrid shards/ out/            phones and words as TextGrids for Praat
    ns2 gc shards/                       remove what is no longer current
    ns2 codec train corpus/ -o C         a codec of one's own; also eval and copy
    ns2 train shards/ -o run/            a model; goes on where it stopped
    ns2 synthesize run/ "text" -o a.wav  speech in the voice of --prompt
    ns2 evaluate run/ shards/            how well it speaks, in figures and to hear
    ns2 demo out/                        all of these, from nothing to speech
    ns2 model --preset paper             parameters of a model, part by part
    """


for command in (
    preprocess,
    datasets.inspect,
    datasets.verify,
    datasets.export,
    datasets.diff,
    datasets.align_eval,
    datasets.textgrid,
    datasets.gc,
    codec,
    train,
    synthesize,
    evaluate,
    demo,
    model,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
