"""A run's folder: what `ns2 train` writes, and how one that is there goes on.

run/
  config.json          the settings
  run.json             digest of the data, versions
  metrics.jsonl        a line a step
  checkpoints/         what the next step depends on
  model.safetensors    averaged weights, for use elsewhere
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ns2.model.settings import to_values
from ns2.pipeline.files import atomic_write, write_if_changed
from ns2.pipeline.schema import UserError
from ns2.train.checkpoint import FOLDER as CHECKPOINTS
from ns2.train.checkpoint import checkpoints, load_checkpoint
from ns2.train.config import TrainConfig

CONFIG, ABOUT, METRICS, WEIGHTS = "config.json", "run.json", "metrics.jsonl", "model.safetensors"
_FREE = ("steps", "checkpoint_every", "keep")
"""Settings that may change while a run goes on."""


class RunFolder:
    """One run's files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, config: TrainConfig, about: dict[str, Any], *, fresh: bool) -> dict[str, Any]:
        """Begin a run, or find where it goes on.

        Returns:
            the newest checkpoint's state; empty at the beginning.

        Raises:
            UserError: the folder is of a run with other settings or data, or of no run at all.
        """
        root = self.root
        if fresh:
            self._remove()
        root.mkdir(parents=True, exist_ok=True)
        values = json.loads(json.dumps(to_values(config)))
        if (root / CONFIG).is_file():
            self._check(values, about)
        elif any(root.iterdir()):
            raise UserError(f"{root} holds files, but no run of ns2; choose another folder")
        self._write(CONFIG, values)
        self._write(ABOUT, about)
        state = self.newest()
        self._cut_metrics(int(state.get("step", 0)))
        return state

    def newest(self) -> dict[str, Any]:
        """The newest checkpoint's state; empty where there is none."""
        found = checkpoints(self.root)
        return load_checkpoint(found[-1]) if found else {}

    def log(self, row: dict[str, Any]) -> None:
        """Append a step to the metrics."""
        with (self.root / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _write(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        write_if_changed(self.root / name, text.encode())

    def _remove(self) -> None:
        for name in (CONFIG, ABOUT, METRICS, WEIGHTS):
            (self.root / name).unlink(missing_ok=True)
        shutil.rmtree(self.root / CHECKPOINTS, ignore_errors=True)

    def _check(self, values: dict[str, Any], about: dict[str, Any]) -> None:
        before = json.loads((self.root / CONFIG).read_text("utf-8"))
        names = sorted(_flat(values).items() ^ _flat(before).items())
        other = sorted({name for name, _ in names if name not in _FREE})
        way = "Choose another folder, or begin anew with --fresh."
        if other:
            raise UserError(f"{self.root} is a run with another {', '.join(other)}. {way}")
        known = json.loads((self.root / ABOUT).read_text("utf-8"))
        if known.get("data") != about["data"]:
            raise UserError(
                f"{self.root} is a run on other data: another dataset, one that was changed since, "
                f"or another --where. {way}"
            )

    def _cut_metrics(self, step: int) -> None:
        """Leave out what came after the checkpoint: it will come again."""
        path = self.root / METRICS
        if not path.is_file():
            return
        kept = []
        for line in path.read_text("utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                break  # cut off in the middle
            if row["step"] <= step:
                kept.append(line)
        with atomic_write(path) as file:
            file.write("".join(f"{line}\n" for line in kept).encode())


def _flat(values: dict[str, Any], path: str = "") -> dict[str, str]:
    """Dotted names and values as text."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{path}{name}."))
        else:
            found[f"{path}{name}"] = json.dumps(value)
    return found
