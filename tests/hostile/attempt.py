"""Calls commands one after the other and writes what came of each: `python -m ... PLAN.json`.

It runs in a process of its own, which may hang, die or eat memory as it likes. PLAN.json holds
`commands`, a list of lists of words, and `log`, the file that gets a JSON line before and after
each: what is missing at the end is the command that hung.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import time
import traceback
from pathlib import Path

from click.testing import CliRunner

from ns2.cli import main

SECONDS = 10
MEMORY = 8 << 30
"""The most address space, in bytes; what asks for more gets a MemoryError."""


def attempt(plan: Path) -> None:
    """Call all commands of a plan."""
    values = json.loads(plan.read_text("utf-8"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    _warm_up(values["commands"])
    with Path(values["log"]).open("a") as log:
        for words in values["commands"]:
            print(json.dumps({"begins": words}), file=log, flush=True)
            faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
            before, began = _peak(), time.monotonic()
            done = CliRunner().invoke(main, words)
            row = {
                "words": words,
                "code": done.exit_code,
                "output": done.output[-2000:],
                "error": "".join(traceback.format_exception(*done.exc_info))[-3000:]
                if done.exc_info and not isinstance(done.exception, SystemExit | type(None))
                else "",
                "seconds": time.monotonic() - began,
                "growth": _peak() - before,
            }
            faulthandler.cancel_dump_traceback_later()
            print(json.dumps(row), file=log, flush=True)


def _warm_up(commands: list[list[str]]) -> None:
    """Import what the commands need, so that it counts for none of them."""
    import numpy.lib.format
    import pyarrow.parquet

    import ns2.pipeline.stages.catalogue
    import ns2.pipeline.tools.collect
    import ns2.pipeline.tools.diff.two_datasets
    import ns2.pipeline.tools.export
    import ns2.pipeline.tools.reporting.write_report
    import ns2.pipeline.tools.textgrids
    import ns2.pipeline.tools.verify.check

    if any(words[0] in ("train", "evaluate", "synthesize") for words in commands):
        import ns2.train.evaluation.evaluator
        import ns2.train.loop.loop

    assert ns2 and numpy and pyarrow


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    attempt(Path(sys.argv[1]))
