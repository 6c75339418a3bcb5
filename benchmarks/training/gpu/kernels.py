"""Kernels of torch that a training step consists of: attention and convolutions.

Letters for shapes: B batch, T frames, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.training.gpu.bench import Bench


@contextmanager
def cudnn_attention(bench: Bench, enabled: bool) -> Iterator[None]:
    """Switch cuDNN's attention on or off in the context; no effect on a CPU."""
    before = torch.backends.cuda.cudnn_sdp_enabled()
    if bench.gpu:
        torch.backends.cuda.enable_cudnn_sdp(enabled)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def attention(bench: Bench) -> dict[str, Any]:
    """Test cuDNN's attention, which torch 2.11 prefers on Hopper: dropout, and NaN in gradients.

    pytorch#174245: the dropout rate is rounded to sixteenths. pytorch#196678: NaN where the number
    of keys is 64 more than a multiple of 128, there is a mask, and all scores of a row are below
    -88.
    """
    found = {}
    kinds = bench.pick([("as it is", True), ("without cuDNN", False)], [("cpu", True)])
    for name, cudnn in kinds:
        with cudnn_attention(bench, cudnn):
            row: dict[str, Any] = {
                f"dropout {rate}": _dropout(bench, rate) for rate in (0.1, 0.2, 0.5)
            }
            for keys in (192, 256, 320):
                row[f"not finite, {keys} keys"] = _not_finite(bench, keys)
        found[name] = row
        bench.say(f"attention, {name}: {row}")
    return found


def _dropout(bench: Bench, rate: float) -> dict[str, float]:
    """Attend to 64 orthogonal values with equal weights, so that outputs show what is dropped."""
    zero = torch.zeros(64, 8, 256, 64, device=bench.device, dtype=torch.bfloat16)
    values = torch.eye(64, device=bench.device, dtype=torch.bfloat16).expand(64, 8, 64, 64)
    mask = torch.ones(64, 1, 1, 64, dtype=torch.bool, device=bench.device)
    out = functional.scaled_dot_product_attention(
        zero, zero[:, :, :64], values.contiguous(), attn_mask=mask, dropout_p=rate
    )
    kept = out != 0
    return {
        "dropped": 1 - float(kept.float().mean()),
        "mean": float(out.float().mean() * 64),
        "kept times": float(out[kept].float().mean() * 64),
    }


def _not_finite(bench: Bench, length: int) -> int:
    """Return how many gradients of queries are not finite where all scores are about -120."""
    q, k, v = (
        torch.randn(1, 1, length, 64, device=bench.device, dtype=torch.bfloat16) * 0.1
        for _ in range(3)
    )
    q[..., 0], k[..., 0] = 1.0, -120 * math.sqrt(64)
    for tensor in (q, k, v):
        tensor.requires_grad_()
    mask = torch.ones(1, 1, 1, length, dtype=torch.bool, device=bench.device)
    functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).float().sum().backward()
    assert q.grad is not None
    return int((~q.grad.isfinite()).sum())


class _Sizes(NamedTuple):
    """A convolution of the model."""

    name: str
    enter: int
    leave: int
    kernel: int
    dilation: int


_CONVOLUTIONS = (
    _Sizes("wavenet", 512, 2048, 3, 1),
    _Sizes("wavenet dilated", 512, 2048, 3, 2),
    _Sizes("wavenet of base", 384, 1536, 3, 2),
    _Sizes("encoder", 512, 2048, 9, 1),
    _Sizes("predictor", 512, 512, 5, 1),
)


def conv(bench: Bench) -> dict[str, Any]:
    """Time convolutions by conv1d (torch makes its input contiguous), conv2d and products.

    The model takes conv2d on GPUs (`ns2.model.blocks.layers.Conv`): another way that is faster for
    all sizes should take its place.
    """
    found = {}
    for sizes in _CONVOLUTIONS:
        found[sizes.name] = row = _one_convolution(bench, sizes)
        bench.say(
            f"conv {sizes.name}: "
            + ", ".join(
                f"{way} {r['both_ms']:.2f} ms ({r['tflops']:.0f} TFLOP/s, contiguous "
                f"{r['contiguous']}, error {r['error']:.0e})"
                for way, r in row.items()
            )
            + f"; fastest {min(row, key=lambda way: row[way]['both_ms'])}"
        )
    return found


def _one_convolution(bench: Bench, sizes: _Sizes) -> dict[str, dict[str, Any]]:
    batch, frames = bench.pick((20, 576), (2, 64))
    like: dict[str, Any] = {"device": bench.device, "dtype": torch.bfloat16}
    weight = torch.randn(sizes.leave, sizes.enter, sizes.kernel, **like) * 0.02
    weight.requires_grad_()
    bias = torch.zeros(sizes.leave, requires_grad=True, **like)
    x = torch.randn(batch, frames, sizes.enter, **like)
    x.requires_grad_()
    out_grad = torch.randn(batch, frames, sizes.leave, **like)
    flops = 3 * 2 * batch * frames * sizes.enter * sizes.leave * sizes.kernel
    reference = _as_conv1d(x, weight, bias, sizes.dilation).detach().float()
    row: dict[str, dict[str, Any]] = {}
    for name, way in (("conv1d", _as_conv1d), ("conv2d", _as_conv2d), ("product", _as_product)):
        row[name] = _time_convolution(bench, way, (x, weight, bias), sizes.dilation, out_grad)
        y = way(x, weight, bias, sizes.dilation).detach()
        row[name] |= {
            "error": float((y.float() - reference).norm() / reference.norm()),
            "tflops": flops / row[name]["both_ms"] / 1e9,
            "contiguous": y.is_contiguous(),
        }
    return row


_Way = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def _time_convolution(
    bench: Bench, way: _Way, leaves: tuple[Tensor, Tensor, Tensor], dilation: int, out_grad: Tensor
) -> dict[str, Any]:
    x, weight, bias = leaves

    def forward() -> Tensor:
        # What follows needs (B, T, C) contiguous, so making it so is part of the cost.
        return way(x, weight, bias, dilation).contiguous()

    def both() -> None:
        way(x, weight, bias, dilation).backward(out_grad)
        x.grad = weight.grad = bias.grad = None

    return {"forward_ms": bench.timed(forward), "both_ms": bench.timed(both)}


def _padded(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    reach = (weight.shape[2] - 1) * dilation
    return functional.pad(x, (0, 0, reach // 2, reach - reach // 2))


def _as_conv1d(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    rows = _padded(x, weight, dilation).transpose(1, 2)
    return functional.conv1d(rows, weight, bias, dilation=dilation).transpose(1, 2)


def _as_conv2d(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    planes = x.transpose(1, 2).unsqueeze(2)
    kernel = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    padding = (weight.shape[2] - 1) * dilation // 2
    out = functional.conv2d(planes, kernel, bias, padding=(0, padding), dilation=(1, dilation))
    return out.squeeze(2).transpose(1, 2)


def _as_product(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    padded, frames = _padded(x, weight, dilation), x.shape[1]
    taps = [padded[:, tap * dilation : tap * dilation + frames] for tap in range(weight.shape[2])]
    return functional.linear(torch.cat(taps, -1), weight.permute(0, 2, 1).flatten(1), bias)
