"""Copies of recordings that trained no codec, judged beside the recordings, for any codecs.

    python -m benchmarks.copies --codec mini --codec FILE --real DIR --lj DIR
        [--corpus NAME=PATH] [--workers N] [--no-mos] [--no-words] [--json FILE]

Each codec copies each recording. Recordings and copies are judged by DNSMOS (P.835 signal and
P.808) and by Whisper base, whose wrong words are counted; copies are compared with the recordings
by F0 (median error) and voicing, both by Harvest, STOI, PESQ and log-mel.

--real takes a folder with any of the folders english-reader (of which the last 15 recordings are
taken), german-reader and librispeech-250 (every tenth), and accents-40 (five of each speaker that
is held out). --lj takes a folder of LJSpeech that has LJ001-0029 to LJ001-0032. --corpus takes any
corpus that `ns2 preprocess` reads, whole. Wrong words of all English groups but accents-40 are
also counted together.

At the end each codec is held to limits: means of signal and P.808 at most 0.25 and 0.3 below those
of the recordings, wrong words at most 2 points above, STOI at least 0.92 on LJSpeech and 0.90
elsewhere, PESQ at least 2 on LJSpeech; F0 and voicing no worse than those of the first codec.

What judges said is kept beside FILE, with .judged.json for .json, and is used again. It needs
pip install 'ns2[eval]'.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.codecs.copy_groups import (
    Clip,
    add_groups,
    corpus_group,
    lj_group,
    pooled,
    real_groups,
)
from benchmarks.codecs.copy_measures import RECORDING, Copied, Judges, Measurer, Values
from benchmarks.codecs.copy_table import POOLED, clip_rows, figures, limits, render, render_limits
from benchmarks.support.command import add_json, arguments, write_json
from benchmarks.support.machine import machine, show_machine
from ns2.model.codec.interface import CodecError
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import display

_MEASURERS: list[Measurer] = []
"""The measurer of this process, opened with its first recording."""


def parsed(given: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = arguments("benchmarks.copies", __doc__)
    add = parser.add_argument
    add(
        "--codec",
        action="append",
        metavar="NAME|FILE",
        help="A codec by name, or the file of a trained one; may be repeated.  [default: mini]",
    )
    add_groups(parser)
    add(
        "--workers",
        type=int,
        default=min(8, len(os.sched_getaffinity(0))),
        help="The number of processes that measure at the same time.  [default: all cores, 8 at "
        "most]",
    )
    add("--no-mos", action="store_true", help="DNSMOS is not asked, which saves time.")
    add("--no-words", action="store_true", help="Words are not recognised, which saves time.")
    add_json(parser)
    args = parser.parse_args(given)
    args.codec = args.codec or ["mini"]
    return args


def groups_of(args: argparse.Namespace) -> dict[str, list[Clip]]:
    """Return the recordings by group.

    Raises:
        UserError: no group is asked for, two have one name, or a corpus can't be read.
    """
    found = {} if args.lj is None else {"LJSpeech": lj_group(args.lj)}
    found |= {} if args.real is None else real_groups(args.real)
    for text in args.corpus:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UserError(f"--corpus takes NAME=PATH, such as reader=folder, got {text!r}")
        if name in (*found, POOLED):
            raise UserError(f"two groups have the name {name!r}; give --corpus another one")
        found[name] = corpus_group(name, Path(path))
    if not found:
        raise UserError("say what is copied: --real DIR, --lj DIR or --corpus NAME=PATH")
    return found


def names_of(codecs: Sequence[str]) -> dict[str, str]:
    """Return the codecs by the names in the table: those of files are shortened where they can be.

    Raises:
        UserError: a codec is named twice.
    """
    if len(set(codecs)) < len(codecs):
        raise UserError("a codec is named twice; name each --codec once")
    short = [Path(codec).stem for codec in codecs]
    return {
        codec if short.count(name) > 1 or name == RECORDING else name: codec
        for codec, name in zip(codecs, short, strict=True)
    }


def measured(
    clips: Sequence[Clip],
    codecs: dict[str, str],
    known: dict[str, Values],
    judges: Judges,
    workers: int,
) -> Iterator[Copied]:
    """Measure recordings and their copies in several processes, the longest files first."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are started
    order = sorted(clips, key=lambda clip: -clip.path.stat().st_size)
    with ProcessPoolExecutor(
        max(1, min(workers, len(order))),
        mp_context=get_context("spawn"),
        initializer=_open,
        initargs=(codecs, known, judges),
    ) as pool:
        yield from pool.map(_measure, order)


def _open(codecs: dict[str, str], known: dict[str, Values], judges: Judges) -> None:
    _MEASURERS.append(Measurer(codecs, known, judges))


def _measure(clip: Clip) -> Copied:
    return _MEASURERS[0].measure(clip)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure all groups, print the table and return all figures.

    Raises:
        UserError: an option or a recording can't be used, or a judge is not installed.
    """
    began = time.monotonic()
    groups, codecs = groups_of(args), names_of(args.codec)
    kept = None if args.json is None else args.json.with_suffix(".judged.json")
    known: dict[str, Values] = {}
    if kept is not None and kept.is_file():
        known = json.loads(kept.read_text("utf-8"))
    judges = Judges(mos=not args.no_mos, words=not args.no_words)
    Measurer(codecs, known, judges)  # says at once what is missing

    # The figures of a run that is stopped are kept, so that the next one goes on.
    clips = [clip for those in groups.values() for clip in those]
    found: dict[tuple[str, str], Copied] = {}
    try:
        with display() as progress:
            progress.phase("copying and judging", len(clips))
            for one in measured(clips, codecs, dict(known), judges, args.workers):
                known.update(one.new)
                found[one.clip.group, one.clip.id] = one
                progress.advance(utterances=1, seconds=one.seconds)
    finally:
        if kept is not None:
            kept.write_text(json.dumps(known))

    copied = [found[clip.group, clip.id] for clip in clips]
    table = figures(copied, known, pooled(groups))
    first = next(iter(codecs))
    held = {name: limits(table, name, first) for name in codecs}
    for line in render(table):
        print(line)
    for name, rows in held.items():
        for line in render_limits(name, rows):
            print(line)
    return {
        "codecs": codecs,
        "groups": table,
        "limits": held,
        "recordings": clip_rows(copied, known),
        "measuring_seconds": time.monotonic() - began,
        "measuring_cpu_seconds": sum(one.cpu_seconds for one in copied),
    }


def main(given: Sequence[str] | None = None) -> None:
    """Run the command line, see the module's docstring."""
    args = parsed(given)
    about: Mapping[str, Any] = machine()
    show_machine(about, args.workers)
    try:
        found = run(args)
    except (UserError, CodecError) as error:
        raise SystemExit(f"error: {error}") from error
    print(
        f"\nmeasured in {found['measuring_seconds']:.0f} s "
        f"({found['measuring_cpu_seconds']:.0f} s of CPU time)"
    )
    write_json(args.json, {"machine": about, **found})


if __name__ == "__main__":
    main()
