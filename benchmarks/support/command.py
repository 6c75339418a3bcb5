"""`ns2 preprocess` as a process: its phases, their time and memory; options of benchmarks."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.support.memory import EVERY_SECONDS, SELDOM_SECONDS, Sampler, peaks
from tests.support.processes import kill_tree

ROOT = Path(__file__).parents[2]
_PHASES = re.compile(
    r"(reading the corpus|hashing sources|making |training the aligner|writing the index)"
)
_STAGE = re.compile(r"  (\w+) +([\d.]+) s +\d+x$")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a run, between two lines of its output."""

    name: str
    """The line with which the phase begins."""

    seconds: float
    """The seconds until the next phase began, or the command ended."""

    driver: int
    """The peak bytes of the driver."""

    all: int
    """The peak bytes of all processes."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the command."""

    wall: float
    """The seconds from its start to its end."""

    phases: tuple[Phase, ...]
    """Its phases in order."""

    stages: dict[str, float]
    """The seconds that all workers spent in each stage, as the command reports them."""

    driver: int
    """The peak bytes of the driver."""

    all: int
    """The peak bytes of all processes."""

    measure: str
    """How memory was measured: "PSS" or "RSS"."""

    processes: int
    """The most processes at one time."""

    sampling: float
    """The share of one core that sampling the memory took."""

    left_over: tuple[int, ...]
    """The processes that still existed 30 s after the command."""

    def seconds(self, start: str) -> float:
        """Return the seconds of all phases whose names begin like this."""
        return sum(phase.seconds for phase in self.phases if phase.name.startswith(start))


def environment(scratch: Path, *, one_thread: bool) -> dict[str, str]:
    """Return the environment of a measured process, whose Ray files go to `scratch`."""
    env = {**os.environ, "RAY_TMPDIR": str(scratch), "PYTHONWARNINGS": "ignore"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        env.pop(name, None)
        if one_thread:
            env[name] = "1"
    return env


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """Kill a process and its children if the context is left by an exception."""
    try:
        yield process
    except BaseException:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()
        raise


def part(
    arguments: Sequence[str], scratch: Path, copies: int = 1, module: str = "benchmarks.parts"
) -> list[dict[str, Any]]:
    """Run copies of `benchmarks.parts`, or a similar module, at once; return their results."""
    command = [sys.executable, "-m", module, *arguments]
    if copies == 0:
        return []
    with ended(
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(scratch, one_thread=True),
            text=True,
        )
    ) as process:
        others = part(arguments, scratch, copies - 1, module)
        out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{err}")
    return [json.loads(out.splitlines()[-1]), *others]


def preprocess(arguments: Sequence[str], scratch: Path, log: Path, *, memory: bool) -> Run:
    """Run `ns2 preprocess` and measure it.

    Args:
        arguments: the arguments of the command.
        scratch: a folder for Ray's files.
        log: the file that its output is written to.
        memory: whether to sample memory often enough for peaks, which costs time.
    """
    command = [sys.executable, "-m", "ns2.cli", "preprocess", *arguments]
    lines: list[tuple[float, str]] = []
    env = environment(scratch, one_thread=False)
    with log.open("w+") as out:
        begin = time.monotonic()
        with ended(
            subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.PIPE, env=env)
        ) as process:
            sampler = Sampler(process.pid, EVERY_SECONDS if memory else SELDOM_SECONDS)
            sampler.start()
            reader = threading.Thread(target=_collect, args=(process, lines), daemon=True)
            reader.start()
            try:
                process.wait()
                end = time.monotonic()
            finally:
                sampler.stop()
        reader.join(5)
        out.seek(0)
        said = out.read()
        out.write("".join(f"{at - begin:8.2f} s  {line}\n" for at, line in lines))
    # Times of the lines that begin a phase part the run.
    if process.returncode:
        tail = "\n".join(line for _, line in lines[-20:])
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{tail}\n{said}")
    marks = [(begin, "starting Python")]
    marks += [(at, line) for at, line in lines if _PHASES.match(line)]
    phases = []
    for (start, name), (stop, _) in zip(marks, [*marks[1:], (end, "")], strict=True):
        driver, all_ = peaks(s for s in sampler.samples if start <= s.time < stop)
        phases.append(Phase(name=name, seconds=stop - start, driver=driver, all=all_))
    driver, all_ = peaks(sampler.samples)
    return Run(
        wall=end - begin,
        phases=tuple(phases),
        stages={m[1]: float(m[2]) for line in said.splitlines() if (m := _STAGE.match(line))},
        driver=driver,
        all=all_,
        measure=sampler.measure,
        processes=max(s.processes for s in sampler.samples),
        sampling=sampler.cpu_seconds / (end - begin),
        left_over=tuple(sampler.left_over()),
    )


def _collect(process: subprocess.Popen[bytes], lines: list[tuple[float, str]]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        lines.append((time.monotonic(), line.decode("utf-8", "replace").rstrip()))


def arguments(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Return a parser for a benchmark, which shows the module's docstring as help."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_work(parser: argparse.ArgumentParser) -> None:
    """Add the option for the folder of files."""
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "build" / "benchmark",
        help="The folder for files; corpora and weights in it are kept and used again.  "
        "[default: build/benchmark]",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for a file with all figures, see `write_json`."""
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="All figures are written to this file as JSON."
    )


def write_json(path: Path | None, figures: Any) -> None:
    """Write all figures to a file, if there is one."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")


@contextmanager
def folders(work: Path) -> Iterator[tuple[Path, Path]]:
    """Make a folder below `work` and one for Ray's files; both are removed, also after SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work.mkdir(parents=True, exist_ok=True)
    # Ray's sockets need a short path, so its files cannot lie in the work folder.
    with (
        tempfile.TemporaryDirectory(prefix="run-", dir=work) as folder,
        tempfile.TemporaryDirectory(prefix="ns2-", ignore_cleanup_errors=True) as scratch,
    ):
        yield Path(folder), Path(scratch)
