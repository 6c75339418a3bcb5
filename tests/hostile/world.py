"""A world with a dataset or a run in it, somebody else's folder beside it, and commands."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

from tests.hostile.attempt import SECONDS, attempt
from tests.support import warm

GROWTH = 1 << 30


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Kind, size, time and content of everything below a folder; no link is followed."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest = ""
        if stat.S_ISREG(status.st_mode):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            digest = str(path.readlink())
        what = (stat.S_IFMT(status.st_mode), digest)
        found[path.relative_to(folder).as_posix()] = what
    return found


def make_victim(folder: Path) -> Path:
    """A folder of somebody else's files, under the names that hostile things aim at."""
    folder.mkdir()
    (folder / "secret.json").write_text('{"secret": 1}')
    (folder / "secret.tar").write_bytes(b"\0" * 10240)
    for name in ("precious", "precious.TextGrid", "precious.png", "precious-prompt.wav", "lock"):
        (folder / name).write_text(f"my own {name}")
    for name in ("00000002.pt", "best.pt", "0notes.pt", ".tmp-1-x", ".tmp-mine"):
        (folder / name).write_text(f"my own {name}")
    return folder


def attempted(world: Path, commands: list[list[str]]) -> list[dict[str, Any]]:
    """What came of commands in a process of their own."""
    plan, log = world / "plan.json", world / "log.jsonl"
    plan.write_text(json.dumps({"commands": commands, "log": str(log)}))
    done = warm.run(
        attempt, plan, timeout=60 + 3 * SECONDS * len(commands), cwd=Path(__file__).parents[2]
    )
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    ended = [row for row in rows if "words" in row]
    assert len(ended) == len(commands), f"{rows[-1]} did not end: {done.stderr[-3000:]}"
    return ended


def check(rows: list[dict[str, Any]], seconds: float = SECONDS) -> None:
    """No command hung, grew, or ended in a traceback.

    Args:
        seconds: the most that one may take.
    """
    for row in rows:
        name = " ".join(row["words"][:1])
        assert not row["error"], f"{name}: {row['error']}"
        assert row["code"] in (0, 1, 2), f"{name}: exit code {row['code']}"
        assert row["seconds"] < seconds, f"{name} took {row['seconds']:.1f} s"
        assert row["growth"] < GROWTH, f"{name} grew by {row['growth'] >> 20} MiB"
        raw = [c for c in row["output"] if ord(c) < 32 and c not in "\n\r\t"]
        assert not raw, f"{name} prints {raw}"
