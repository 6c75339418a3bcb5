"""Checks of training that need a GPU, on one GPU, in under ten minutes.

    python -m benchmarks.gpu_check --repo . --out "$OUT" --minutes 9    # on the GPU machine
    python -m benchmarks.gpu_check --repo . --device cpu                # a dry run with tiny sizes

Run it in the root of a checkout; ns2 need not be installed. Needs torch, numpy, pyarrow,
safetensors and click; other packages that ns2 imports are replaced by stand-ins. Sections are
independent: if one fails, the failure is recorded and the next one begins. Each finding is printed
as a line; all numbers are written to gpu_check.json.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from benchmarks.training.gpu.bench import Bench
from benchmarks.training.gpu.checkout import make_importable

_BEGAN = time.perf_counter()
_AT_LEAST = 30.0
"""A section that may need longer than this begins if so many seconds are left."""


class Section(NamedTuple):
    """A section, which is the function of its name in a module of `benchmarks.training.gpu`."""

    name: str
    module: str
    seconds: float
    """The most time that it takes."""


SECTIONS = (
    Section("machine", "machine", 20),
    Section("numbers", "numbers", 60),
    Section("attention", "kernels", 20),
    Section("conv", "kernels", 70),
    Section("steps", "steps", 120),
    Section("new_shapes", "steps", 90),
    Section("loop", "run", 60),
    Section("syncs", "steps", 40),
    Section("memory", "steps", 40),
    Section("checkpoint", "run", 40),
    Section("sums", "run", 30),
    Section("compiled", "compiling", 100),
    Section("codec", "speech", 40),
    Section("command", "command", 100),
    Section("speak", "speech", 40),
    Section("compile_whole", "compiling", 150),
)
"""All sections, the most important ones first."""


def run_section(bench: Bench, section: Section) -> None:
    """Run a section and record its result, its failure, or that no time was left."""
    name = section.name
    if bench.gpu and bench.left() < min(section.seconds, _AT_LEAST):
        bench.results[name] = "left out: no time"
        bench.say(f"{name}: left out, {bench.left():.0f} s are left")
        return
    began = time.perf_counter()
    try:
        # Imported here, so that a module that fails to import does not stop other sections.
        module = importlib.import_module(f"benchmarks.training.gpu.{section.module}")
        bench.results[name] = getattr(module, name)(bench)
    except Exception as error:
        bench.results[name] = {"failed": traceback.format_exc()[-3000:]}
        bench.say(f"{name}: FAILED: {type(error).__name__}: {str(error)[:400]}")
    with contextlib.suppress(Exception):
        bench.reset_peak()
    seconds = round(time.perf_counter() - began, 1)
    bench.results.setdefault("seconds", {})[name] = seconds


def parsed() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add = parser.add_argument
    names = ", ".join(section.name for section in SECTIONS)
    add("--repo", type=Path, default=Path(), help="The root of the checkout that is checked.")
    add("--out", type=Path, default=Path(), help="The folder that gpu_check.json is written to.")
    add("--device", default="cuda", help="The torch device: cuda, or cpu for a dry run.")
    add("--minutes", type=float, default=9, help="The time limit of all sections together.")
    add(
        "--only", default="", help=f"Only these sections are run, separated by commas, of:\n{names}"
    )
    add("--skip", default="", help="These sections, separated by commas, are left out.")
    return parser.parse_args()


def main() -> None:
    """Run the chosen sections."""
    args = parsed()
    only, skip = (set(filter(None, names.split(","))) for names in (args.only, args.skip))
    if unknown := (only | skip) - {section.name for section in SECTIONS}:
        raise SystemExit(f"there is no section {', '.join(sorted(unknown))}; see --help")
    with tempfile.TemporaryDirectory(prefix="ns2-gpu-") as folder:
        scratch = Path(folder)
        make_importable(args.repo, scratch)
        import torch

        if args.device == "cuda" and not torch.cuda.is_available():
            raise SystemExit("torch finds no GPU here; --device cpu is the dry run")
        from ns2.train.step.ranks import expand_segments

        expand_segments()  # as training does, before the GPU is first used
        if args.device == "cpu":
            torch.set_num_threads(1)
        bench = Bench(device=args.device, minutes=args.minutes, scratch=scratch, began=_BEGAN)
        for section in SECTIONS:
            if (not only or section.name in only) and section.name not in skip:
                run_section(bench, section)
                text = json.dumps(bench.results, indent=1, default=str)
                (args.out / "gpu_check.json").write_text(text)
        bench.say(f"done: {bench.results.get('seconds')}")


if __name__ == "__main__":
    main()
