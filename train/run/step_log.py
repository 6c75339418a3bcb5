"""A log of JSON lines, each about one step, that a run which goes on can continue."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import open_end, refuse_link, write_if_changed
from ns2.pipeline.core.reading import parse_json


class StepLog:
    """A file of JSON lines; every line has the number of its step in the field `step`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one line at the end; numbers that are not finite become null, as JSON has none."""
        row = {name: value if _is_json(value) else None for name, value in row.items()}
        with open_end(self.path) as file:
            file.write((json.dumps(row, allow_nan=False) + "\n").encode())

    def cut(self, step: int) -> None:
        """Remove the lines of steps after this one: they are done, and written, once more.

        A line that was cut off in the middle, by a crash, is removed with all that follow it.
        """
        refuse_link(self.path)
        if not self.path.is_file():
            return
        kept = []
        for line in self.path.read_bytes().decode("utf-8", "replace").splitlines():
            try:
                row = parse_json(line)
            except ValueError:
                break
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                break
            if row["step"] <= step:
                kept.append(f"{line}\n")
        write_if_changed(self.path, "".join(kept).encode())


def _is_json(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
