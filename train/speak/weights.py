"""Which weights of a run speak: those of its end, its best, or of one of its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import check_regular
from ns2.train.run.checkpoint import checkpoints, read_state
from ns2.train.run.names import BEST, CHECKPOINTS, WEIGHTS

LAST, BEST_OF_RUN = "last", "best"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Averaged weights (EMA) of a run.

    Attributes:
        tensors: by their names in the model.
        step: the training step that they are of; None where an older ns2 did not write it down.
        path: the file that they were read from.
    """

    tensors: Mapping[str, Tensor]
    step: int | None
    path: Path


_SPEAK = f"speak with --weights {LAST}, or with another checkpoint"


def read_weights(run: Path, which: str = LAST, advice: str = _SPEAK) -> Weights:
    """Read averaged weights (EMA) of a run, on the CPU.

    Args:
        run: the run's folder.
        which: "last", those of the newest checkpoint; "best", those with the lowest loss in
            validation; or the number of a step that a checkpoint was kept of.
        advice: what to do where a checkpoint is damaged; the end of the message.

    Raises:
        UserError: they are not there, damaged, or not finite.
    """
    found = _last(run) if which == LAST else _of_checkpoint(run, which, advice)
    # Weights of a training that diverged would speak noise, or nothing, without an error.
    if not all(bool(tensor.isfinite().all()) for tensor in found.tensors.values()):
        raise UserError(
            f"{found.path} contains NaN or infinite values: the training has diverged; train "
            "again, for example with a lower learning_rate"
        )
    return found


def _last(run: Path) -> Weights:
    from safetensors import SafetensorError, safe_open

    path = run / WEIGHTS
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            step = (file.metadata() or {}).get("step", "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(
            f"{run} has no {WEIGHTS} yet: it is written with the first checkpoint"
        ) from error
    except SafetensorError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return Weights(tensors=tensors, step=int(step) if step.isdecimal() else None, path=path)


def _of_checkpoint(run: Path, which: str, advice: str) -> Weights:
    path = run / CHECKPOINTS / BEST if which == BEST_OF_RUN else _checkpoint(run, which)
    if not path.exists():
        raise UserError(
            f"{run} has no {BEST}, which is written where a run is validated (validate_every): "
            f"speak with --weights {LAST}"
        )
    state = read_state(path, advice)
    try:
        return Weights(tensors=dict(state["averaged"]), step=int(state["step"]), path=path)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no checkpoint of `ns2 train`: {error!r}") from error


def _checkpoint(run: Path, which: str) -> Path:
    """The checkpoint of a step.

    Raises:
        UserError: there is none.
    """
    kept = {int(path.stem): path for path in checkpoints(run)}
    if which.isascii() and which.isdecimal() and int(which) in kept:
        return kept[int(which)]
    steps = ", ".join(str(step) for step in sorted(kept)) or "none"
    raise UserError(
        f"--weights {which}: {run} has no such checkpoint; give {LAST}, {BEST_OF_RUN} or the step "
        f"of one that is kept ({steps}). `--set keep=N` of `ns2 train` keeps more"
    )
