"""Runs of `ns2 preprocess` in this process, small enough for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import TEMPORARY
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.preprocess.executors.inline import InlineExecutor
from ns2.pipeline.preprocess.finish.finisher import Summary
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.run import preprocess


def run_inline(corpus: Path, out: Path, weights: Path | None, **options: Any) -> Summary:
    """Preprocess a corpus with 4 quantizers and shards of 4 unless told otherwise."""
    chosen = Options(
        **{"codec_weights": weights, "quantizers": 4, "shard_utterances": 4, **options}
    )
    return preprocess(corpus, out, chosen, InlineExecutor(), Progress())


def contents(folder: Path, *, state: bool = False) -> dict[str, bytes]:
    """Every file below a folder by relative name; `.state` only where it is asked for."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (state or ".state" not in path.parts)
    }


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and mtime of every file of a dataset: what stays has not been written again.

    Temporary files are left out: while a run is going on they may vanish at any moment.
    """
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.name.startswith(TEMPORARY) and path.is_file() and ".state" not in path.parts
    }
