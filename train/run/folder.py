"""A run's folder: what `ns2 train` writes, and how a run that is there already goes on.

run/
  config.json          all settings
  run.json             the data that it learns from, versions, device
  metrics.jsonl        a line for each step
  validation.jsonl     a line for each validation
  samples.jsonl        a line for each round of samples: phones wrong, voiced share
  utterance_loss.parquet  the mean loss of each utterance, where it was asked for
  statistics.jsonl     lines on gradients, weights and activations, where they were asked for
  checkpoints/         all that the next step depends on
  model.safetensors    the averaged weights (EMA), for use elsewhere
  speech/              phoneme table, codec and languages: speaking needs no dataset
  samples/             utterances that the model has spoken at some steps
  tensorboard/         the logs and samples for TensorBoard
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import Any

from ns2.model.config_values import flat_values, to_values
from ns2.pipeline.core.atomic import (
    is_temporary,
    refuse_link,
    remove_known,
    remove_temporaries,
    write_if_changed,
)
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import read_json
from ns2.train.data.identity import Identity
from ns2.train.run.checkpoint import checkpoints, load_checkpoint
from ns2.train.run.names import ABOUT, CONFIG, FOLDERS, INIT, LOCK, LOGS, LOSSES, WEIGHTS
from ns2.train.run.recipes import other_model
from ns2.train.run.settings import TrainConfig, settings_of
from ns2.train.run.step_log import StepLog

_FREE = (
    "steps",
    "epochs",
    "checkpoint_every",
    "keep",
    "validate_every",
    "sample_every",
    "samples",
    "sampler",
    "statistics_every",
    "utterance_loss",
    "recompute",
    "accumulate",
    "frame_multiple",
    "token_multiple",
)
"""Settings that may change when a run goes on: no step depends on them, apart from the learning
rates of a cosine decay, which follow the first two, and from the order of summation and the places
that dropout draws, which follow the last three."""
_FIRST_PLAN = 1
"""The plan of runs that do not name theirs."""
_TOP = re.compile(
    "|".join(re.escape(name) for name in (CONFIG, ABOUT, WEIGHTS, LOCK, LOSSES, *LOGS))
)
_ADVICE = "Choose another folder, or begin anew with --fresh."


class RunFolder:
    """The files of one run.

    Attributes:
        steps_before: the number of steps in all that a run which goes on had until now; None
            before `open`, and for a run that begins.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps_before: int | None = None

    def open(
        self, config: TrainConfig, about: dict[str, Any], data: Identity, *, fresh: bool
    ) -> dict[str, Any]:
        """Begin a run, or find where it goes on.

        Args:
            about: the content of run.json.
            data: what the run learns from.
            fresh: a run that is there is deleted, and begins anew.

        Returns:
            the state of the newest checkpoint; empty at the beginning.

        Raises:
            UserError: the folder holds a run with other settings or data, or files of something
                else; or a folder or log of it is a link.
        """
        root = self.root
        root.mkdir(parents=True, exist_ok=True)
        for name in (*FOLDERS, *LOGS):
            refuse_link(root / name)
        begun = self._begun()
        values = _as_read(config)
        if begun and fresh:
            self._remove()
        elif begun:
            self._check_init(about.get(INIT))
            self._check_settings(config)
            self._check_data(data)
        for folder in (root, *(root / name for name in FOLDERS)):  # by a start that was killed
            remove_temporaries(folder)
        self._write(CONFIG, values)
        self._write(ABOUT, about)
        # lines of steps behind the checkpoint would stand in the logs twice
        state = self.newest()
        for name in LOGS:
            self.log(name).cut(int(state.get("step", 0)))
        return state

    def make(self) -> None:
        """Make the folder where it is missing.

        Raises:
            UserError: it holds files of something else.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._begun()

    def _begun(self) -> bool:
        """Whether a run is there.

        Raises:
            UserError: there are files of something else.
        """
        root = self.root
        if (root / CONFIG).is_file() and (root / ABOUT).is_file():
            return True
        names = (path.name for path in root.iterdir())
        if any(not is_temporary(name) and name != LOCK for name in names):
            raise UserError(f"{root} holds files, but no run of ns2; choose another folder")
        return False

    def settled(
        self, config: TrainConfig, *, fresh: bool, named: Container[str] = ()
    ) -> TrainConfig:
        """The settings with the plan that a run which is there began with; nothing is written.

        Its `epochs` stays, too, unless it is named: a run of before, which knew none, does not end
        in the middle of its schedule.

        Args:
            named: the settings that the command names.
        """
        if fresh or not (self.root / CONFIG).is_file():
            return config
        stored = self.stored()
        epochs = config.epochs if "epochs" in named else stored.epochs
        return replace(config, plan=stored.plan, epochs=epochs)

    def stored(self) -> TrainConfig:
        """The settings of the run that is there.

        Raises:
            UserError: they can't be read.
        """
        try:  # settings that an older ns2 did not have are at their defaults
            return settings_of({"plan": _FIRST_PLAN, **read_json(self.root / CONFIG)})
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.root / CONFIG} can't be read: {error}. {_ADVICE}") from error

    def newest(self) -> dict[str, Any]:
        """The state of the newest checkpoint; empty where there is none."""
        found = checkpoints(self.root)
        return load_checkpoint(found[-1]) if found else {}

    def log(self, name: str) -> StepLog:
        """One of the logs."""
        return StepLog(self.root / name)

    def keep_losses(self, table: bytes) -> None:
        """Write the losses of utterances, a parquet file."""
        write_if_changed(self.root / LOSSES, table)

    def _write(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        write_if_changed(self.root / name, text.encode())

    def _remove(self) -> None:
        """Delete the run but for config.json and run.json, which are written anew.

        Only files under the names that ns2 gives are deleted; notes beside them stay.
        """
        for name in (*LOGS, LOSSES, WEIGHTS):
            (self.root / name).unlink(missing_ok=True)
        for name, known in FOLDERS.items():
            remove_known(self.root / name, known)

    def remove(self) -> None:
        """Delete the whole run, and its folder if nothing else is in it."""
        remove_known(self.root, _TOP)
        for name, known in FOLDERS.items():
            remove_known(self.root / name, known)
        remove_known(self.root, _TOP)

    def is_other(self, config: TrainConfig | None, about: dict[str, Any], data: Identity) -> str:
        """How the run that is there differs from one that it is to be; "" where it is that one.

        Args:
            config, about, data: see `open`; settings are not compared where they are None.

        Raises:
            UserError: it can't be read.
        """
        if config is not None and (names := _changed(config, self.stored())):
            return f"has another {', '.join(names)}"
        began = began_with(self.about())
        if began != began_with(about):
            return f"began with {'random weights' if began is None else f'--init {began}'}"
        return "" if self._is_on(data) else "is on other data"

    def _check_settings(self, config: TrainConfig) -> None:
        """See that every setting that a step depends on is what it was."""
        stored = self.stored()
        self.steps_before = stored.steps
        names = _changed(config, stored)
        if not names:
            return
        same_model = not other_model(config.model, stored.model)
        told = _ADVICE if not same_model else f"{_ADVICE} {self._init_advice('settings')}"
        raise UserError(f"{self.root} is a run with another {', '.join(names)}. {told}")

    def _init_advice(self, what: str) -> str:
        """How to go on from the run's weights with something else."""
        return (
            f"To go on from its weights with other {what}, give another folder and "
            f"--init {self.root}."
        )

    def about(self) -> dict[str, Any]:
        """The content of run.json; empty where there is none.

        Raises:
            UserError: it can't be read.
        """
        try:
            found = read_json(self.root / ABOUT)
            if not isinstance(found, dict):
                raise ValueError("expected names and values")
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise UserError(f"{self.root / ABOUT} can't be read: {error}. {_ADVICE}") from error
        return found

    def _check_init(self, began: dict[str, Any] | None) -> None:
        """See that the run began with the weights that it is to have begun with."""
        before = began_with(self.about())
        now = None if began is None else began.get("run")
        if before == now:
            return
        what = "begins with random weights" if before is None else f"began with --init {before}"
        raise UserError(f"{self.root} is a run that {what}: give the same. {_ADVICE}")

    def _is_on(self, data: Identity) -> bool:
        """Whether the data of the run that is there is this."""
        about = self.about()
        try:
            made_by = [str(one.get("made_by", "")) for one in about.get("datasets", ())]
        except (AttributeError, TypeError) as error:
            raise UserError(f"{self.root / ABOUT} can't be read: {error}. {_ADVICE}") from error
        return data.was(about.get("data", ""), made_by)

    def _check_data(self, data: Identity) -> None:
        """See that the data is what it was."""
        if not self._is_on(data):
            raise UserError(
                f"{self.root} is a run on other data: another dataset, one that was changed since, "
                f"or another --where or --split. {_ADVICE} {self._init_advice('data')}"
            )


def _changed(config: TrainConfig, stored: TrainConfig) -> list[str]:
    """The settings that a step depends on and that differ."""
    changed = flat_values(config).items() ^ flat_values(stored).items()
    return sorted({name for name, _ in changed if name.partition(".")[0] not in _FREE})


def began_with(about: dict[str, Any]) -> str | None:
    """The folder of the run whose weights a run began with, by its run.json; None for none."""
    found = about.get(INIT)
    return str(found.get("run")) if isinstance(found, dict) else None


def learned_from(about: dict[str, Any]) -> list[dict[str, str]]:
    """The datasets that a run's weights have learned from, those of its origins included.

    Args:
        about: the content of its run.json.

    Returns:
        of each the folder that it had (`folder`), the digest of its files (`files`), and the split
        that was trained on (`split`; "" for all).
    """
    split = str(about.get("split", ""))
    datasets = about.get("datasets")
    found = [
        {"folder": str(one.get("folder")), "files": str(one.get("files")), "split": split}
        for one in (datasets if isinstance(datasets, list) else [])
        if isinstance(one, dict)
    ]
    began = about.get(INIT)
    before = began.get("learned") if isinstance(began, dict) else None
    known = [one for one in before if isinstance(one, dict)] if isinstance(before, list) else []
    return [*found, *({str(k): str(v) for k, v in one.items()} for one in known)]


def _as_read(config: TrainConfig) -> dict[str, Any]:
    """A config as its JSON file gives it back: tuples are lists."""
    values: dict[str, Any] = json.loads(json.dumps(to_values(config)))
    return values
