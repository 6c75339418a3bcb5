"""The truth about people: phone borders that are known, and pitch that is known.

    python -m benchmarks.truth [--part borders|pitch|trust] --real DIR --lj DIR [--corpus NAME=PATH]
        [--utterances N] [--init NAME]... [--textgrids DIR] [--tier NAME] [--word-tier NAME]
        [--method NAME]... [--telephone] [--most N] [--json FILE]

Borders: `benchmarks.making.borders`. espeak-ng and, where they are installed, flite and Festival
speak sentences and words whose borders are known; with --real also recordings of people that are
joined with silence, stretched by WORLD, and told by pages; with --lj pauses of LJSpeech against its
level; with --textgrids recordings that lie beside
TextGrids of the same names, in folders of any depth; --utterances 0 measures these alone.

Pitch: `benchmarks.making.pitch_truth`. The recordings of --real and --lj are those of
`benchmarks.copies`: what is held out there trains nothing here either.

Trust: `benchmarks.making.trust`. Are borders as often right as the column `trust` says, and are
wrong texts found in the recordings of --real and --lj?
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.codecs.copy_groups import add_groups
from benchmarks.making import borders, pitch_truth, trust
from benchmarks.support.command import add_json, arguments, write_json
from benchmarks.support.machine import machine, show_machine
from ns2.pipeline.core.errors import UserError

INITS = ("bundled", "bundled-2", "bundled-1", "none")
PARTS = ("borders", "pitch", "trust")


def parsed(given: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = arguments("benchmarks.truth", __doc__)
    add = parser.add_argument
    add("--part", choices=PARTS, help="Only this part is measured.  [default: all]")
    add_groups(parser)
    add("--utterances", type=int, default=200, help="Of each engine that speaks.  [default: 200]")
    add(
        "--init",
        action="append",
        choices=INITS,
        help="What an aligner starts from; may be repeated.  [default: bundled and bundled-1]",
    )
    add("--textgrids", type=Path, metavar="DIR", help="Recordings with TextGrids beside them.")
    add("--tier", metavar="NAME", help="Their tier of phones.  [default: the first that is usual]")
    add("--word-tier", metavar="NAME", help="Their tier of words.  [default: as of phones]")
    add(
        "--method",
        action="append",
        choices=pitch_truth.METHODS,
        help="A pitch extractor; may be repeated.  [default: all, path first]",
    )
    add("--telephone", action="store_true", help="Pitch is found in the band of a telephone.")
    add("--most", type=int, metavar="N", help="The most recordings of a group.  [default: all]")
    add_json(parser)
    args = parser.parse_args(given)
    args.method = args.method or list(pitch_truth.METHODS)
    args.init = args.init or ["bundled", "bundled-1"]
    return args


def main(given: Sequence[str] | None = None) -> None:
    """Run the command line, see the module's docstring."""
    args = parsed(given)
    figures: dict[str, Any] = {"machine": machine()}
    show_machine(figures["machine"], 1)
    try:
        if args.part in (None, "borders"):
            tiers = (args.tier, args.word_tier)
            made = borders.corpora(args.utterances, args.real, args.textgrids, tiers, args.lj)
            figures["borders"] = borders.measured(made, args.init)
        if args.part in (None, "pitch"):
            figures |= (found := pitch_truth.measure(args))
            pitch_truth.show(found)
        if args.part in (None, "trust"):
            figures["trust"] = trust.measure(args)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
