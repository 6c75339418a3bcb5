"""The processes (ranks) that share a step, and sums over all of them."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ns2.pipeline.core.errors import UserError
from ns2.train.step.peers import GRACE, Peers

FIRST_STEP = timedelta(minutes=30)
"""How long a process waits in a collective until its first step is done: others may compile."""
LATER = timedelta(minutes=5)
"""How long it waits in one after that; work that not all have alike is waited for by `meet`."""


def chosen_device(device: str) -> str:
    """The device that is meant: for auto, cuda where torch finds a GPU, and cpu elsewhere."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_device(device: str) -> None:
    """See that torch has the device that was asked for.

    Raises:
        UserError: it has not.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("torch finds no GPU here; --device cpu needs none")


def avoid_cudnn_attention() -> None:
    """Keep torch from cuDNN's attention, which torch 2.11 prefers on Hopper.

    With masks it gave gradients that are NaN (pytorch #196678), it rounds dropout rates (#174245),
    and it plans each shape anew. The other kernels of torch do the same work.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


def expand_segments() -> None:
    """Have torch grow its pieces of GPU memory in place, so that steps of many sizes waste little.

    It reads this when it first uses the GPU. What the user has set stays.
    """
    if not {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"} & os.environ.keys():
        os.environ["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"


class Ranks:
    """This process among the processes of the run.

    Attributes:
        rank: its number, from 0 on.
        count: the number of processes.
        device: the device that it computes on.
        control: the group of processes in which numbers are sent that lie on no GPU; None for the
            one in which all is sent.
    """

    def __init__(self, device: str) -> None:
        """Join the other processes, where torchrun or `--devices` started more than one.

        Args:
            device: "cpu", "cuda" or "auto"; each process takes the GPU of its local rank.

        Raises:
            UserError: torch finds no GPU of that number.
        """
        avoid_cudnn_attention()
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device(chosen_device(device))
        if self.device.type == "cuda":
            expand_segments()
            local = int(os.environ.get("LOCAL_RANK", 0))
            if local >= torch.cuda.device_count():
                raise UserError(
                    f"GPU {local} is not there: torch finds {torch.cuda.device_count()} here; "
                    "--device cpu needs none"
                )
            self.device = torch.device("cuda", local)
            torch.cuda.set_device(self.device)
        self.control: dist.ProcessGroup | None = None
        self._peers: Peers | None = None
        self._met = 0
        if self.count > 1:
            gpu = self.device.type == "cuda"
            dist.init_process_group(
                "nccl" if gpu else "gloo",
                timeout=FIRST_STEP,
                device_id=self.device if gpu else None,
            )
            if gpu:  # numbers that lie here go their own way, and wait for no GPU
                self.control = dist.new_group(timeout=FIRST_STEP, backend="gloo")
            self._store = dist.distributed_c10d._get_default_store()
            self._peers = Peers(self.rank, self.count, self._store)

    @property
    def device_name(self) -> str:
        """The device in words."""
        if self.device.type == "cuda":
            return f"the GPU ({torch.cuda.get_device_name(self.device)})"
        return "the CPU" if torch.cuda.is_available() else "the CPU, since torch finds no GPU"

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Add up tensors over all processes, in place and in one message."""
        parts = list(tensors)
        if self.count == 1 or not parts:
            return
        flat = torch.cat([part.reshape(-1) for part in parts])
        with self.together():
            dist.all_reduce(flat)
        sizes = [part.numel() for part in parts]
        for part, summed in zip(parts, flat.split(sizes), strict=True):
            part.copy_(summed.view_as(part))

    def total(self, *values: float) -> list[float]:
        """Numbers, each added up over all processes; no GPU is waited for."""
        if self.count == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64)
        with self.together():
            dist.all_reduce(summed, group=self.control)
        return [float(value) for value in summed.tolist()]

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process."""
        return self.total(float(flag))[0] > 0

    def settle(self) -> None:
        """From now on, wait only as long as is usual after the first step."""
        if self.count > 1:
            for group in (None, self.control) if self.control else (None,):
                dist.distributed_c10d._set_pg_timeout(LATER, group)

    def meet(self) -> None:
        """Wait for all processes, however long one of them works alone.

        Raises:
            UserError: one has ended.
        """
        if self._peers is None:
            return
        self._met += 1
        self._arrive(f"ns2-met/{self._met}", of=self.count)

    def _arrive(self, name: str, *, of: int) -> None:
        """Count this process at the store, and wait until so many are counted there."""
        assert self._peers is not None
        pause = 0.002
        with self.together():
            arrived = self._store.add(name, 1)
            while arrived < of:
                self._peers.check()
                time.sleep(pause)
                pause = min(2 * pause, 0.2)
                arrived = self._store.add(name, 0)

    def check(self) -> None:
        """See that all processes are still there.

        Raises:
            UserError: one has ended.
        """
        if self._peers is not None:
            self._peers.check()

    def alone(self) -> AbstractContextManager[None]:
        """While the block runs, this process works alone and is not ended where another one ends:
        it notices when it next works with others."""
        return nullcontext() if self._peers is None else self._peers.busy()

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that works with the other processes.

        Raises:
            UserError: one of them has ended, or does not answer.
        """
        if self._peers is None:
            yield
            return
        self._peers.check()
        try:
            yield
        except RuntimeError as error:  # also torch's DistError
            raise self._lost(error) from error

    def _lost(self, error: BaseException) -> UserError:
        """What to raise where a collective has failed."""
        assert self._peers is not None
        self._peers.wait(GRACE / 2)
        if self._peers.ended is not None:
            return UserError(self._peers.told)
        return UserError(
            f"process {self.rank} of {self.count} (counted from 0) has lost the others, or waited "
            f"too long for them ({str(error).splitlines()[0]}). The same command goes on from the "
            "newest checkpoint."
        )

    def __enter__(self) -> Ranks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> None:
        """Leave together where all went well; at once after an error, so that others notice."""
        if self._peers is None:
            return
        if kind is None:
            self.meet()
            # the first process may hold the store, which all have to be done with before it ends
            self._arrive("ns2-left", of=self.count if self.rank == 0 else 0)
            self._peers.leave(well=True)
            dist.destroy_process_group()
            return
        lost = None
        if error is not None and issubclass(kind, RuntimeError):  # of a GPU that another one left
            self._peers.wait(1.0)
            lost = self._lost(error) if self._peers.ended is not None else None
        self._peers.leave(well=False)
        with suppress(Exception):  # it has failed already
            dist.distributed_c10d._abort_process_group()
        if lost is not None:
            raise lost from error


def peak_memory(device: torch.device) -> int:
    """The most bytes that were in use at once: on the GPU, or by this process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB
