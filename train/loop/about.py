"""The content of run.json: the data that a run learns from, versions, and the device."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch

from ns2.train.data.selection import Data
from ns2.train.run.names import INIT
from ns2.train.step.ranks import Ranks

_LIBRARIES = ("ns2", "torch", "numpy", "pyarrow", "safetensors")


def about(data: Data, ranks: Ranks, began: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The content of run.json, as JSON values.

    Args:
        began: the weights of another run that this one began with; None where it began with none.

    `data` is the digest of all that decides what the run learns from: the run goes on only where it
    is the same. `made_by`, the version of ns2 that finished a dataset, takes no part in it. The
    rest is for people, and is that of the last start.
    """
    device = ranks.device
    gpu = device.type == "cuda"
    return {
        **({} if began is None else {INIT: dict(began)}),
        "data": data.digest,
        "split": data.split,
        "where": data.where,
        "utterances": len(data),
        "hours": round(int(data.frames.sum(dtype="int64")) / data.grid.frame_rate / 3600, 4),
        "datasets": [
            {
                "folder": dataset.place,
                "card": dataset.card.digest,
                "files": dataset.card.sha256sums,
                "made_by": dataset.card.ns2,
                "codec": dataset.card.columns["codes"].config,
            }
            for dataset in data.datasets
        ],
        "grid": dict(data.datasets[0].card["grid"]),
        "device": {
            "type": device.type,
            "name": torch.cuda.get_device_name(device) if gpu else platform.machine(),
            "processes": ranks.count,
            "threads": torch.get_num_threads(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
    }
