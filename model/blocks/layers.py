"""Norms, position encodings, attention and convolutions, of which the networks are built.

Sequences are (B, T, C) everywhere. A mask is True inside a sequence and False where it is padded.
Padding never influences a sequence: convolutions see zeros there, and attention leaves it out.

Letters for shapes: B batch, T sequence, K keys, C width, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Norm = Literal["layer", "rms"]
Activation = Literal["relu", "silu", "gelu"]
NORMS: tuple[Norm, ...] = ("layer", "rms")
ACTIVATIONS: tuple[Activation, ...] = ("relu", "silu", "gelu")

_EPS = 1e-5
_ROTARY_BASE = 10_000.0


class RMSNorm(nn.RMSNorm):
    """RMSNorm by torch's one kernel, for which the gains need the type of the input.

    It computes in float32 inside, also where the input is bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., C) to (..., C)."""
        assert self.weight is not None
        return functional.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def norm_layer(kind: Norm, width: int) -> nn.Module:
    """Make a LayerNorm (Ba et al. 2016) or RMSNorm (Zhang and Sennrich 2019) over the last axis."""
    return nn.LayerNorm(width, _EPS) if kind == "layer" else RMSNorm(width, _EPS)


def activation(kind: Activation) -> Callable[[Tensor], Tensor]:
    """Return the activation function of that name."""
    functions: dict[Activation, Callable[[Tensor], Tensor]] = {
        "relu": functional.relu,
        "silu": functional.silu,
        "gelu": functional.gelu,
    }
    return functions[kind]


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Return a mask (B, size) that is True before each length (B,)."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def sinusoids(positions: Tensor, width: int, *, longest: float = 10_000.0) -> Tensor:
    """Encode positions by sines and cosines (Vaswani et al. 2017).

    Args:
        positions: (...).
        width: the width of the encoding; even.
        longest: the period of the slowest wave, divided by 2 pi.

    Returns:
        (..., width) float32.
    """
    half = width // 2
    steps = torch.arange(half, device=positions.device, dtype=torch.float32)
    rates = torch.exp(-math.log(longest) * steps / max(half - 1, 1))
    angles = positions.float()[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def rotated(x: Tensor) -> Tensor:
    """Rotate queries or keys (B, H, T, C / H) by their positions (RoPE, Su et al. 2021)."""
    half = x.shape[-1] // 2
    steps = torch.arange(half, device=x.device, dtype=torch.float32)
    rates = torch.exp(-math.log(_ROTARY_BASE) * steps / half)
    angles = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half : 2 * half]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def run(layer: nn.Module, *given: Any) -> Any:
    """Call a layer of a stack.

    Where its attribute `recompute` is set, and gradients are wanted, nothing inside of the layer is
    kept for the backward pass, which computes the layer once more.
    """
    if getattr(layer, "recompute", False) and torch.is_grad_enabled():
        return checkpoint(layer, *given, use_reentrant=False)
    return layer(*given)


KeysValues = tuple[Tensor, Tensor]
"""The keys and values of a context, (B, H, K, C / H) each."""


class Attention(nn.Module):
    """Multi-head attention of a sequence to itself or to another sequence.

    Queries and keys have no bias: a bias of the keys shifts all scores alike and would never learn.
    """

    def __init__(
        self, width: int, heads: int, *, dropout: float = 0.0, rotary: bool = False
    ) -> None:
        """Make the layer.

        Args:
            width: C, of the sequence and of what it attends to.
            heads: H, the number of heads.
            dropout: the dropout rate of attention weights.
            rotary: whether queries and keys are rotated by their positions.

        Raises:
            ValueError: the width is not a multiple of the heads, or with rotary positions a head's
                width is odd.
        """
        super().__init__()
        if width % heads or (rotary and width // heads % 2):
            even = " of even width" if rotary else ""
            raise ValueError(f"a width of {width} can't be split into {heads} heads{even}")
        self._heads, self._dropout, self._rotary = heads, dropout, rotary
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.leave = nn.Linear(width, width)

    def keys_values(self, context: Tensor) -> KeysValues:
        """Return what `forward` computes of a context (B, K, C): (B, H, K, C / H) each."""
        return self._split(self.key(context)), self._split(self.value(context))

    def _split(self, x: Tensor) -> Tensor:
        """Split (B, T, C) into heads: (B, H, T, C / H)."""
        return x.unflatten(-1, (self._heads, -1)).transpose(1, 2)

    def forward(
        self, x: Tensor, context: Tensor, mask: Tensor | None, ready: KeysValues | None = None
    ) -> Tensor:
        """Attend to a context.

        Args:
            x: (B, T, C).
            context: (B, K, C); `x` itself for self-attention.
            mask: (B, K) bool, the places of the context that count, at least one per row; None for
                all.
            ready: what `keys_values` returned for this context; None computes it.

        Returns:
            (B, T, C).
        """
        query = self._split(self.query(x))
        key, value = self.keys_values(context) if ready is None else ready
        if self._rotary:
            query, key = rotated(query), rotated(key)
        seen = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self._dropout if self.training else 0.0,
        )
        out: Tensor = self.leave(seen.transpose(1, 2).flatten(2))
        return out


packs = hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight") and hasattr(
    torch.ops.mkldnn, "_convolution_pointwise"
)
"""Whether this torch has the kernels for `Conv.pack`, which are those of its compiler."""
_WIDE = 128
"""The fewest channels of a convolution whose weights are laid out."""
_USUAL = 512
"""The length of sequences for which weights are laid out; others are as right."""
_NARROW = 256
"""The most channels for which a CPU convolves by a matrix product; beyond, torch is as fast."""


class Conv(nn.Conv1d):
    """A convolution along (B, T, C) that keeps T; outside of the mask it sees zeros.

    It is computed in the way that is fastest on the device, with the same weights.
    """

    def __init__(
        self, enter: int, leave: int, kernel: int, *, dilation: int = 1, causal: bool = False
    ) -> None:
        """Make the layer.

        Args:
            enter: the input channels.
            leave: the output channels.
            kernel: the kernel size; odd unless the convolution is causal.
            dilation: the dilation of the kernel.
            causal: whether a frame sees only itself and earlier frames.

        Raises:
            ValueError: the kernel is even and not causal, so it has no centre.
        """
        if kernel % 2 == 0 and not causal:
            raise ValueError(f"the kernel of a convolution must be odd, got {kernel}")
        super().__init__(enter, leave, kernel, dilation=dilation)
        self._reach = (kernel - 1) * dilation
        self._causal = causal
        self._packed: Tensor | None = None

    def pack(self) -> None:
        """Lay the weights out once as the CPU convolves with them, for a model that only speaks.

        Otherwise torch does that in every call, which for short sequences takes as long as the
        convolution itself. The weights must not change any more, and gradients don't flow.
        """
        # For others oneDNN takes a kernel for short sequences that is many times slower.
        wide = self.in_channels >= _WIDE and self.out_channels >= 2 * self.in_channels
        if packs and wide and self.weight.device.type == "cpu" and self.kernel_size[0] > 1:
            plane = self.weight.detach().unsqueeze(2).contiguous(memory_format=torch.channels_last)
            shape = [1, self.in_channels, 1, _USUAL]
            reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
            self._packed = reorder(
                plane.to_mkldnn(), [0, 0], [1, 1], [1, self.dilation[0]], 1, shape
            )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map x (B, T, enter) with its mask (B, T) to (B, T, leave)."""
        if mask is not None:
            x = x * mask[..., None]
        if x.device.type != "cpu":
            return self._by_plane(x)
        padded = self._padded(x)
        if self._packed is not None and padded.dtype == torch.float32:
            return self._by_packed(padded)
        if self.in_channels <= _NARROW:
            return self._by_product(padded, x.shape[1])
        return super().forward(padded.transpose(1, 2)).transpose(1, 2)

    def _padded(self, x: Tensor) -> Tensor:
        """Add the zeros that x (B, T, enter) needs on both sides."""
        before = self._reach if self._causal else self._reach // 2
        return functional.pad(x, (0, 0, before, self._reach - before))

    def _by_plane(self, x: Tensor) -> Tensor:
        """Convolve a plane of height 1 as it lies in memory, channels last.

        For a line torch would copy what goes in to channels first, and cuDNN copies it back.
        """
        padding = 0 if self._causal else self._reach // 2
        plane = (self._padded(x) if self._causal else x).transpose(1, 2).unsqueeze(2)
        found = functional.conv2d(
            plane,
            self.weight.unsqueeze(2),
            self.bias,
            padding=(0, padding),
            dilation=(1, self.dilation[0]),
        )
        return found.squeeze(2).transpose(1, 2)

    def _by_packed(self, padded: Tensor) -> Tensor:
        """Convolve a plane of height 1 with weights that were laid out before."""
        plane = padded.transpose(1, 2).unsqueeze(2)
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            plane, self._packed, self.bias, [0, 0], [1, 1], [1, self.dilation[0]], 1, "none", [], ""
        )
        return found.squeeze(2).transpose(1, 2)

    def _by_product(self, padded: Tensor, frames: int) -> Tensor:
        """Convolve by one matrix product, whose gradient is faster on CPUs for few channels."""
        (kernel,), (dilation,) = self.kernel_size, self.dilation
        taps = [padded[:, tap * dilation : tap * dilation + frames] for tap in range(kernel)]
        weight = self.weight.permute(0, 2, 1).flatten(1)
        return functional.linear(torch.cat(taps, dim=-1), weight, self.bias)
