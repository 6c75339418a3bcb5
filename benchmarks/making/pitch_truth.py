"""Pitch against truth: recordings are made again by WORLD, so that F0 and voicing are known.

Each recording is made again (`ns2.train.bundled.resynthesis`), and each method finds the F0 of the
copy on the frame grid. Counted are frames that are voiced and were missed, that are not and were
found voiced, and errors of more than 300 cents; first without the two frames at each change of
voicing and without those that lie 45 dB below the loudest, then with all. Speed is in multiples of
real time on one core, CPU time, all methods in one run. With --telephone the copies have nothing
outside 300 to 3,400 Hz, where most fundamentals are missing.

The first method is held to limits: missed and falsely voiced together less than 4 % of the frames,
errors of more than 300 cents in less than 0.3 % and a median of less than 10 cents, each of what is
kept of all groups together; and at least 40 times real time.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.codecs.copies import groups_of
from benchmarks.codecs.copy_groups import Clip
from benchmarks.support.machine import verdict
from ns2.pipeline.core.progress import display
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.sound.f0.config import PitchConfig
from ns2.pipeline.sound.pitch import extract_f0
from ns2.train.bundled.resynthesis import Known, made_again, telephoned

METHODS = ("path", "dio", "harvest", "praat")
ALL = "all together"
RATE = 24_000
QUIET_DB = -45.0
GROSS_CENTS = 300.0
WRONG_LIMIT, GROSS_LIMIT, MEDIAN_LIMIT, SPEED_LIMIT = 0.04, 0.003, 10.0, 40.0


@dataclass
class Errors:
    """Counts of frames, and the errors of those that are voiced in truth and as found."""

    frames: int = 0
    missed: int = 0
    false: int = 0
    cents: list[np.ndarray] = field(default_factory=list)

    def add(self, found: np.ndarray, truth: np.ndarray, kept: np.ndarray) -> None:
        """Add the errors of F0 (T,) as found, in the frames (T,) that are kept."""
        voiced, heard = truth > 0, found > 0
        self.frames += int(kept.sum())
        self.missed += int((voiced & ~heard & kept).sum())
        self.false += int((heard & ~voiced & kept).sum())
        both = voiced & heard & kept
        self.cents.append(np.abs(1200 * np.log2(found[both] / truth[both])))

    def shares(self) -> dict[str, float]:
        """Return missed, false, wrong (either) and gross as shares, the median error in cents."""
        cents = np.concatenate(self.cents)
        frames = max(self.frames, 1)
        return {
            "frames": self.frames,
            "missed": self.missed / frames,
            "false": self.false / frames,
            "wrong": (self.missed + self.false) / frames,
            "gross": float(np.mean(cents > GROSS_CENTS)) if len(cents) else 0.0,
            "median_cents": float(np.median(cents)) if len(cents) else 0.0,
        }


def kept_frames(known: Known, truth: np.ndarray, hop: int) -> np.ndarray:
    """Return the frames (T,) that are neither beside a change of voicing nor quiet."""
    voiced = truth > 0
    kept = np.ones(len(truth), bool)
    changes = np.flatnonzero(voiced[1:] != voiced[:-1])
    kept[changes] = kept[changes + 1] = False
    squares = np.pad(known.wave.astype(np.float64) ** 2, (0, hop * len(truth) - len(known.wave)))
    energy = squares.reshape(-1, hop).mean(axis=1)
    return kept & (energy > energy.max() * 10 ** (QUIET_DB / 10))


def copies(clips: Sequence[Clip], telephone: bool) -> Iterator[Known]:
    """Make recordings again, or copies of that in the band of a telephone."""
    for clip in clips:
        wave, rate = read_audio(clip.path)
        known = made_again(resample(wave, rate, RATE), RATE)
        yield telephoned(known) if telephone else known


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure all methods on all groups.

    Raises:
        UserError: a corpus can't be read.
    """
    groups = {name: clips[: args.most] for name, clips in groups_of(args).items()}
    configs = {name: PitchConfig(method=name) for name in args.method}
    grid = next(iter(configs.values())).grid
    errors: dict[tuple[str, str, str], Errors] = defaultdict(Errors)
    spent, seconds = dict.fromkeys(configs, 0.0), 0.0
    for config in configs.values():
        extract_f0(np.sin(np.arange(RATE) / 20), config)  # loads and compiles
    with display() as progress:
        progress.phase("finding pitch", sum(map(len, groups.values())))
        for group, clips in groups.items():
            for known in copies(clips, args.telephone):
                truth = known.on(grid)
                kept = kept_frames(known, truth, grid.hop_length)
                seconds += len(known.wave) / RATE
                for name, config in configs.items():
                    began = time.process_time()
                    found = extract_f0(known.wave, config)
                    spent[name] += time.process_time() - began
                    for where in (group, ALL):
                        errors[name, where, "kept"].add(found, truth, kept)
                        errors[name, where, "every"].add(found, truth, np.ones_like(kept))
                progress.advance(utterances=1, seconds=len(known.wave) / RATE)
    table: dict[str, Any] = {
        name: {
            where: {frames: errors[name, where, frames].shares() for frames in ("kept", "every")}
            for where in (*groups, ALL)
        }
        for name in configs
    }
    speed = {name: seconds / spent[name] for name in configs}
    return {"seconds": seconds, "errors": table, "times_real_time": speed}


def limits(found: Mapping[str, Any], method: str) -> list[tuple[str, float, float, bool]]:
    """Return what a method is held to: name, figure, limit, and whether it is met."""
    errors, speed = found["errors"][method][ALL]["kept"], found["times_real_time"][method]
    return [
        ("missed or falsely voiced", errors["wrong"], WRONG_LIMIT, errors["wrong"] < WRONG_LIMIT),
        ("over 300 cents", errors["gross"], GROSS_LIMIT, errors["gross"] < GROSS_LIMIT),
        ("median, cents", errors["median_cents"], MEDIAN_LIMIT,
         errors["median_cents"] < MEDIAN_LIMIT),
        ("times real time", speed, SPEED_LIMIT, speed >= SPEED_LIMIT),
    ]  # fmt: skip


def show(found: Mapping[str, Any]) -> None:
    """Print the table, and how the first method does by the limits."""
    print(f"{found['seconds'] / 60:.1f} min of recordings, made again\n")
    titles = f"{'frames':>9}{'missed':>9}{'false':>9}{'together':>10}{'>300 ct':>9}{'median':>9}"
    for frames, about in (("kept", "without changes and quiet frames"), ("every", "all frames")):
        print(f"{about:<36}{titles}")
        for method, groups in found["errors"].items():
            for group, both in groups.items():
                row = both[frames]
                shares = f"{row['missed']:>9.2%}{row['false']:>9.2%}{row['wrong']:>10.2%}"
                errors = f"{row['gross']:>9.2%}{row['median_cents']:>9.1f}"
                print(f"  {method:<10}{group:<24}{row['frames']:>9}{shares}{errors}")
        print()
    for method, speed in found["times_real_time"].items():
        print(f"speed       {method:<10}{speed:>8.0f} times real time on one core")
    first = next(iter(found["errors"]))
    for name, figure, limit, good in limits(found, first):
        print(f"{first}: {name:<26}{figure:>10.4g}   limit {limit:g}   {verdict(good)}")
