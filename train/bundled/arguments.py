"""The arguments that all makers of bundled networks share."""

from __future__ import annotations

import argparse
from pathlib import Path


def maker_arguments(
    module: str, *, out: Path, utterances: int, seed: int
) -> argparse.ArgumentParser:
    """A parser with the arguments of a maker, to which it may add others.

    Args:
        module: the maker's name below `ns2.train.bundled`.
        out: the file of the package that it makes.
        utterances, seed: what the file of the package was made with.
    """
    parser = argparse.ArgumentParser(prog=f"python -m ns2.train.bundled.{module}")
    parser.add_argument(
        "out",
        type=Path,
        nargs="?",
        default=out,
        metavar="OUT",
        help="The file to write; without it the file of the package is replaced.",
    )
    parser.add_argument(
        "--utterances",
        type=int,
        default=utterances,
        help="The number of utterances that espeak-ng speaks.",
    )
    parser.add_argument(
        "--seed", type=int, default=seed, help="The seed of the speech and of the training."
    )
    return parser


def recordings_arguments(module: str) -> argparse.ArgumentParser:
    """A parser with the arguments of a maker that learns from recordings of people.

    Args:
        module: the maker's name below `ns2.train.bundled`.
    """
    parser = argparse.ArgumentParser(prog=f"python -m ns2.train.bundled.{module}")
    parser.add_argument("work", type=Path, metavar="WORK", help="The folder to work in.")
    parser.add_argument(
        "--lj", type=Path, required=True, help="The folder of LJSpeech, or of its beginning."
    )
    parser.add_argument(
        "--real", type=Path, required=True, help="The folder of the recordings of people."
    )
    return parser
