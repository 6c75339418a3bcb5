"""What a GPU's matrix units can do, which the work of a step is compared with (MFU)."""

from __future__ import annotations

import torch

_BF16 = (
    ("B200", 2250e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("H200", 989e12),
    ("GH200", 989e12),
    ("H20", 148e12),
    ("A100", 312e12),
    ("A800", 312e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("L4", 121e12),
    ("A10G", 70e12),
    ("A10", 125e12),
    ("RTX 4090", 165e12),
)
"""Operations a second in bfloat16 with sums in float32, without sparsity, as the vendor gives them;
the first name that is part of a GPU's name counts."""


def peak_of(name: str) -> float | None:
    """The most operations a second of a GPU in bfloat16, by its name; None if it is not known."""
    return next((peak for part, peak in _BF16 if part in name), None)


def peak(autocast: torch.autocast, device: torch.device) -> float | None:
    """The most operations a second of a device in the type of a step; None if it is not known."""
    if device.type != "cuda" or not autocast._enabled:
        return None
    return peak_of(torch.cuda.get_device_name(device))
