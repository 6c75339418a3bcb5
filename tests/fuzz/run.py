"""Runs targets of the fuzzer: `python -m tests.fuzz.run`, see the docstring of `tests.fuzz`.

Memory is bounded, and an input that takes longer than ten seconds counts as a hang.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import torch

from tests.fuzz.mutations import spoilt
from tests.fuzz.target import Target, all_targets

SECONDS = 10
GROWTH = 1 << 30
ROOM = 6 << 30
"""Address space beyond what the imports took, in bytes."""
_BATCH = 500


class Hang(BaseException):
    """An input took longer than `SECONDS`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("--target", action="append", help="A target; without it all are tried.")
    parser.add_argument("--inputs", type=int, help="The number of inputs of each target.")
    parser.add_argument("--seconds", type=float, help="The time for all targets together.")
    parser.add_argument("--seed", type=int, default=0, help="The seed of the first inputs.")
    args = parser.parse_args(arguments)
    if args.inputs is None and args.seconds is None:
        parser.error("say --inputs or --seconds")
    torch.set_num_threads(1)
    every = all_targets()
    chosen = {name: every[name] for name in args.target or every}
    shares = sum(target.share for target in chosen.values())
    faults = 0
    for name, target in chosen.items():
        part = target.share / shares
        inputs = None if args.inputs is None else max(1, round(args.inputs * target.share))
        seconds = None if args.seconds is None else args.seconds * part
        faults += not fuzz(name, target, inputs, seconds, args.seed)
    print(f"{len(chosen)} targets, {faults} with a fault")
    sys.exit(bool(faults))


def fuzz(name: str, target: Target, inputs: int | None, seconds: float | None, seed: int) -> bool:
    """Try inputs of one target until their number or the time is used up; True without a fault."""
    print(f"{name}: ", end="", flush=True)  # a crash leaves the name behind
    done, last, began = 0, b"", time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ns2-fuzz-") as place:
        folder = Path(place)
        samples = target.make(folder)
        target.call(samples[0], folder)  # imports, and shows that a valid input is read
        _bound_memory()
        before = _peak()

        def attempt(data: bytes) -> None:
            nonlocal done, last
            done, last = done + 1, data
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                target.call(data, folder)
            except target.errors as error:
                assert str(error), "an error that says nothing"
            except Hang:
                raise AssertionError(f"takes longer than {SECONDS} s") from None
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert _peak() - before < GROWTH, "takes more than 1 GiB"

        signal.signal(signal.SIGALRM, _hang)
        try:
            while _goes_on(done, inputs, began, seconds):
                count = _batch(done, inputs, began, seconds)
                _trial(attempt, target, samples, count, seed * 1_000_003 + done)()
        except Exception as error:
            _show(error, last)
            return False
    print(f"{done:,} inputs in {time.monotonic() - began:.0f} s", flush=True)
    return True


def _trial(
    attempt: Callable[[bytes], None],
    target: Target,
    samples: Sequence[bytes],
    count: int,
    seed: int,
) -> Callable[[], None]:
    """A function that draws inputs, and makes what fails small."""
    inputs = spoilt(samples, tuple(target.tokens), target.text)
    settings = hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        print_blob=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    trial: Callable[[], None] = hypothesis.seed(seed)(settings(hypothesis.given(inputs)(attempt)))
    return trial


def _show(error: Exception, data: bytes) -> None:
    """Say what an input ended in, and keep the smallest such input, which is tried last."""
    kept = Path(tempfile.mkdtemp(prefix="ns2-fuzz-")) / "input"
    kept.write_bytes(data)
    trace = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in trace if "hypothesis" not in frame.filename][-8:]
    places = "".join(f"  {frame.filename}:{frame.lineno} {frame.line}\n" for frame in ours)
    print(f"{type(error).__name__}: {str(error)[:600]!r}\n{places}  input: {kept}")


def _goes_on(done: int, inputs: int | None, began: float, seconds: float | None) -> bool:
    if inputs is not None and done >= inputs:
        return False
    return seconds is None or time.monotonic() - began < seconds


def _batch(done: int, inputs: int | None, began: float, seconds: float | None) -> int:
    """How many inputs come next: a few first, then those that there is time for."""
    most = _BATCH if inputs is None else min(_BATCH, inputs - done)
    if seconds is None:
        return most
    spent = time.monotonic() - began
    room = (seconds - spent) * done / spent if done else 10
    return max(1, min(most, round(room)))


def _bound_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))


def _hang(number: int, frame: Any) -> NoReturn:
    raise Hang


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
