"""A run's folder: what `ns2 train` writes, and how one that is there goes on.

run/
  config.json          the settings
  run.json             what data it learns from, versions, device
  metrics.jsonl        a line a step
  validation.jsonl     a line a validation
  statistics.jsonl     a line a look at gradients, weights and activations, where asked for
  checkpoints/         what the next step depends on
  model.safetensors    averaged weights, for use elsewhere
  speech/              phoneme table, codec and languages: speaking needs no dataset
  samples/             what the model speaks at some steps
  tensorboard/         all of this to look at
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ns2.model.config_values import from_values, to_values
from ns2.pipeline.core.atomic import TEMPORARY, atomic_write, write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.train.run.checkpoint import checkpoints, load_checkpoint
from ns2.train.run.names import (
    ABOUT,
    BOARD,
    CHECKPOINTS,
    CONFIG,
    EVALUATION,
    METRICS,
    SAMPLES,
    SPEECH,
    STATISTICS,
    VALIDATION,
    WEIGHTS,
)
from ns2.train.run.settings import TrainConfig

_LOGS = (METRICS, VALIDATION, STATISTICS)
_FREE = (
    "steps",
    "checkpoint_every",
    "keep",
    "validate_every",
    "sample_every",
    "samples",
    "sampler",
    "statistics_every",
)
"""Settings that may change while a run goes on: no step depends on them, but for the learning rates
of a cosine decay, which follow `steps`."""


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
        root.mkdir(parents=True, exist_ok=True)
        begun = (root / CONFIG).is_file() and (root / ABOUT).is_file()
        if not begun and any(not path.name.startswith(TEMPORARY) for path in root.iterdir()):
            raise UserError(f"{root} holds files, but no run of ns2; choose another folder")
        values = json.loads(json.dumps(to_values(config)))
        if begun and fresh:
            self._remove()
        elif begun:
            self._check(values, about)
        self._write(CONFIG, values)
        self._write(ABOUT, about)
        state = self.newest()
        for name in _LOGS:
            self._cut(name, int(state.get("step", 0)))
        return state

    def newest(self) -> dict[str, Any]:
        """The newest checkpoint's state; empty where there is none."""
        found = checkpoints(self.root)
        return load_checkpoint(found[-1]) if found else {}

    def log(self, name: str, row: dict[str, Any]) -> None:
        """Append a line to one of the logs."""
        with (self.root / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _write(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        write_if_changed(self.root / name, text.encode())

    def _remove(self) -> None:
        """All but the two files that say it is a run, which are written anew."""
        for name in (*_LOGS, WEIGHTS):
            (self.root / name).unlink(missing_ok=True)
        for name in (CHECKPOINTS, SAMPLES, BOARD, SPEECH, EVALUATION):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def _check(self, values: dict[str, Any], about: dict[str, Any]) -> None:
        way = "Choose another folder, or begin anew with --fresh."
        try:  # settings that an older ns2 did not have are at their defaults
            known = from_values(TrainConfig, json.loads((self.root / CONFIG).read_text("utf-8")))
        except ValueError as error:
            raise UserError(f"{self.root / CONFIG} can't be read: {error}. {way}") from error
        before = json.loads(json.dumps(to_values(known)))
        names = sorted(_flat(values).items() ^ _flat(before).items())
        other = sorted({name for name, _ in names if name.partition(".")[0] not in _FREE})
        if other:
            raise UserError(f"{self.root} is a run with another {', '.join(other)}. {way}")
        there = json.loads((self.root / ABOUT).read_text("utf-8"))
        if there.get("data") != about["data"]:
            raise UserError(
                f"{self.root} is a run on other data: another dataset, one that was changed since, "
                f"or another --where. {way}"
            )

    def _cut(self, name: str, step: int) -> None:
        """Leave out what came after the checkpoint: it will come again."""
        path = self.root / name
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
