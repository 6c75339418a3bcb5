"""Statistics of a dataset, from float64 sums that the markers carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def add_sums(total: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add a shard's sums to a dataset's: numbers and lists add, `min` and `max` compare."""
    for name, value in part.items():
        if name not in total:
            total[name] = list(value) if isinstance(value, list) else value
        elif isinstance(value, list):
            total[name] = [a + b for a, b in zip(total[name], value, strict=True)]
        elif name == "min":
            total[name] = min(total[name], value)
        elif name == "max":
            total[name] = max(total[name], value)
        else:
            total[name] += value


def deviation(count: float, total: float, squares: float) -> float:
    """Standard deviation from sums; 0 where rounding would make it imaginary."""
    mean = total / count
    return math.sqrt(max(squares / count - mean * mean, 0.0))


def latent_statistics(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and standard deviation of the codec's latents by channel.

    Args:
        sums: of `CodesStage.summarise`.
    """
    count = sums["frames"]
    return {
        "frames": count,
        "mean": [total / count for total in sums["sum"]],
        "std": [
            deviation(count, total, squares)
            for total, squares in zip(sums["sum"], sums["sum_squares"], strict=True)
        ],
    }


def f0_statistics(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Pitch of the dataset over voiced frames; log values are natural logarithms of Hz.

    Args:
        sums: of `F0Stage.summarise`.
    """
    voiced = sums["voiced"]
    if not voiced:
        return {"voiced_share": 0.0}
    return {
        "voiced_share": voiced / sums["frames"],
        "log_mean": sums["log_sum"] / voiced,
        "log_std": deviation(voiced, sums["log_sum"], sums["log_sum_squares"]),
        "min": sums["min"],
        "max": sums["max"],
    }
