"""Checkpoints that are written while training goes on.

Only the next update of the weights has to wait until a thread has copied them, which the forward
and backward passes before it leave time for. The thread then writes the copy. What fails there is
told at the next step, and the end of a run waits for the last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Any

import torch
from torch import Tensor

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.train.run.checkpoint import save_checkpoint
from ns2.train.run.names import WEIGHTS


class Saver:
    """Writes the checkpoints of a run, and its averaged weights for use elsewhere, in a thread.

    Attributes:
        blocked: seconds that the caller has waited for it so far.
        writing: seconds that its thread has taken so far.
    """

    def __init__(self, run: Path, keep: int) -> None:
        """Get ready.

        Args:
            run: the run's folder.
            keep: the number of checkpoints that are kept.
        """
        self.blocked = self.writing = 0.0
        self._run, self._keep = run, keep
        self._thread: Thread | None = None
        self._error: BaseException | None = None
        self._copied = Event()
        self._copied.set()
        self._arrived: torch.cuda.Event | None = None

    def save(self, state: Mapping[str, Any], *, best: bool = False) -> None:
        """Begin to write a checkpoint; one that is still being written is waited for.

        Nothing is written where the one before has failed, which `problem` tells.

        Args:
            state: see `Trainer.state`. Its tensors may be changed in place after `settle`.
            best: see `save_checkpoint`.
        """
        self._join()
        if self._error is not None:
            return
        began = time.perf_counter()
        self._copied.clear()
        self._arrived = None
        device = next((t.device for t in _tensors(state) if t.is_cuda), None)
        ready = None if device is None else torch.cuda.current_stream(device).record_event()
        self._thread = Thread(
            target=self._work, args=(state, best, device, ready), name="ns2-saver", daemon=True
        )
        self._thread.start()
        self.blocked += time.perf_counter() - began

    def settle(self) -> None:
        """Wait until what is saved has been copied, so that it may be changed."""
        began = time.perf_counter()
        self._copied.wait()
        if self._arrived is not None:  # the GPU waits; this process goes on
            torch.cuda.current_stream().wait_event(self._arrived)
        self.blocked += time.perf_counter() - began

    def problem(self, *, wait: bool = False) -> BaseException | None:
        """What a save has failed with, told once; None where none has.

        Args:
            wait: until the checkpoint that is being written is there, or has failed.
        """
        if wait:
            self._join()
        error, self._error = self._error, None
        return error

    def _join(self) -> None:
        """Wait until the thread has ended."""
        began = time.perf_counter()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.blocked += time.perf_counter() - began

    def __enter__(self) -> Saver:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Wait for the last checkpoint; after a second Ctrl-C, which ends at once, give it up."""
        if isinstance(error, KeyboardInterrupt):
            return
        problem = self.problem(wait=True)
        if error is None and problem is not None:
            raise problem
        if error is not None and problem is not None:
            error.add_note(f"The last checkpoint could not be written either: {problem}")

    # -- in the thread ---------------------------------------------------------------------------

    def _work(
        self,
        state: Mapping[str, Any],
        best: bool,
        device: torch.device | None,
        ready: torch.cuda.Event | None,
    ) -> None:
        began = time.perf_counter()
        try:
            try:
                if device is None or ready is None:
                    copy = _copied(state)
                else:
                    copy = self._fetched(state, device, ready)
            finally:
                self._copied.set()
            if self._arrived is not None:
                self._arrived.synchronize()
            check_finite(copy, f"step {copy['step']}: the state to save holds")
            save_checkpoint(self._run, copy["step"], copy, self._keep, best=best)
            save_weights(self._run, copy["averaged"], copy["step"])
        except BaseException as error:
            self._error = error
        self.writing += time.perf_counter() - began

    def _fetched(
        self, state: Mapping[str, Any], device: torch.device, ready: torch.cuda.Event
    ) -> Any:
        """A copy in pinned memory of a state on a GPU, by a stream of its own."""
        stream = torch.cuda.Stream(device)
        with torch.cuda.stream(stream):
            stream.wait_event(ready)
            copy = _copied(state)
            self._arrived = stream.record_event()
        return copy


def save_weights(run: Path, averaged: Mapping[str, Tensor], step: int) -> None:
    """Write the averaged weights (EMA) of a step for use elsewhere, model.safetensors."""
    from safetensors.torch import save as packed

    with atomic_write(run / WEIGHTS) as file:
        tensors = {name: t.contiguous() for name, t in averaged.items()}
        file.write(packed(tensors, {"step": str(step)}))


def check_finite(state: Mapping[str, Any], where: str) -> None:
    """See that no number that a checkpoint holds is NaN or infinite.

    Args:
        state: a checkpoint's content.
        where: what holds it; the beginning of the message.

    Raises:
        UserError: naming a weight that is not finite.
    """
    named = {
        **state["model"],
        **{f"averaged {name}": t for name, t in state["averaged"].items()},
    }
    for number, values in state["optimizer"]["state"].items():
        named |= {f"the optimiser's {name} {number}": t for name, t in values.items()}
    named = {name: t for name, t in named.items() if t.is_floating_point()}
    device = next(iter(named.values())).device
    sound = torch.stack([t.isfinite().all().to(device) for t in named.values()])
    wrong = [name for name, fine in zip(named, sound.tolist(), strict=True) if not fine]
    if wrong:
        raise UserError(
            f"{where} values that are not finite ({wrong[0]}, {len(wrong)} of {len(named)} "
            "tensors): the training has diverged. Nothing of it is saved. Go on from an older "
            "checkpoint (delete those behind it), or begin anew with a lower learning_rate."
        )


@torch.no_grad()
def _copied(state: Any) -> Any:
    """A copy of a state in memory of its own: pinned memory where it lies on a GPU."""
    here = _tensors(state)
    there = [torch.empty_like(t, device="cpu", pin_memory=t.is_cuda) for t in here]
    # all in one call: between calls a thread waits for its turn, behind the training
    torch._foreach_copy_(there, here, non_blocking=True)
    return _filled(state, iter(there))


def _filled(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same state with other tensors, in the order of `_tensors`.

    No function inside `_copied`: one that calls itself refers to itself, and what it holds would
    stay in memory until Python's collector comes by.
    """
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, Mapping):
        return {name: _filled(one, tensors) for name, one in value.items()}
    return [_filled(one, tensors) for one in value] if isinstance(value, list) else value


def _tensors(value: Any) -> list[Tensor]:
    """All tensors of a state."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [t for one in value for t in _tensors(one)] if isinstance(value, list) else []
