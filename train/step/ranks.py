"""The processes (ranks) that share a step, and sums over all of them."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

from ns2.pipeline.core.errors import UserError


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
        if self.count > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

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
        dist.all_reduce(flat)
        sizes = [part.numel() for part in parts]
        for part, summed in zip(parts, flat.split(sizes), strict=True):
            part.copy_(summed.view_as(part))

    def total(self, *values: float) -> list[float]:
        """Numbers, each added up over all processes."""
        if self.count == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return [float(value) for value in summed.tolist()]

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process."""
        return self.total(float(flag))[0] > 0

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave together where all went well; at once after an error, so that others notice."""
        if self.count > 1:
            if kind is None:
                dist.barrier()
            dist.destroy_process_group()


def peak_memory(device: torch.device) -> int:
    """The most bytes that were in use at once: on the GPU, or by this process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB
