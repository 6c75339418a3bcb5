"""EnCodec's encoder, prepared once for encoding one utterance after the other on a CPU.

In every call torch lays out all weights anew as its kernels read them, and reflects the edges of
what it convolves by a slow copy. Here the weights are laid out once, and edges are joined on. The
kernels are the same, and so is every bit of what they compute; that is tried before it is used.
Nor are frames of zeros computed behind longer audio: this encoder does not look ahead.

Letters for shapes: S samples, T frames, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from encodec.modules.conv import SConv1d
from encodec.modules.lstm import SLSTM
from encodec.modules.seanet import SEANetResnetBlock
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.codec.interface import EXTRA_FRAMES

_BY_ONEDNN = 20_480
"""What torch convolves at once, in numbers, takes its own kernel up to here and oneDNN's beyond."""
_USUAL = 375
"""Frames for which weights are laid out, 5 s; for others they are as right."""
_LONG = 40
"""From so many frames on those behind the audio are left out; libraries have kernels for few."""
_TRIED = (2, _LONG - 1, _LONG, 75)
"""Frames with which it is tried, of each kind of kernel."""


class PreparedEncoder:
    """Maps audio to what the encoder makes of it, and that to codes, with the encoder's bits."""

    def __init__(self, encoder: Any, codebooks: Sequence[Any]) -> None:
        """Lay out the weights, which must not change any more.

        Raises:
            ValueError: the encoder is not one of causal convolutions and an LSTM.
        """
        self._hop, rate = int(encoder.hop_length), int(encoder.hop_length)
        self._layers = list[Callable[[Tensor, int], Tensor]]()
        for before, layer in pairwise([nn.Identity(), *encoder.model]):
            after_elu = isinstance(before, nn.ELU)
            if isinstance(layer, SConv1d):
                conv: Any = layer.conv.conv
                self._layers.append(_Conv(layer, rate, elu=after_elu))
                rate //= int(conv.stride[0])
            elif isinstance(layer, SEANetResnetBlock):
                self._layers.append(_Block(layer, rate))
            elif isinstance(layer, SLSTM):
                self._layers.append(_Lstm(layer))
            elif not isinstance(layer, nn.ELU):
                raise ValueError(f"an encoder with a {type(layer).__name__} can't be prepared")
        self._books = [
            (book.embed, book.embed.t().pow(2).sum(0, keepdim=True)) for book in codebooks
        ]

    def encode(self, wave: Tensor) -> Tensor:
        """Return the canonical codes (Q, T) of a wave (S,), see `Codec.encode`."""
        frames = -(-wave.shape[0] // self._hop)
        behind = EXTRA_FRAMES if frames >= _LONG else 0
        computed = (frames + EXTRA_FRAMES - behind) * self._hop
        padded = functional.pad(wave, (0, computed - wave.shape[0]))
        embedding = self.embed(padded[None, None], behind)
        return self.quantise(embedding)[0, :, :frames]

    def embed(self, wave: Tensor, behind: int = 0) -> Tensor:
        """Map a wave (1, 1, S), S a multiple of the hop length, to its embedding (1, C, T).

        Args:
            behind: frames of zeros that might follow. The encoder is causal, so that they change
                nothing before them, and need not be computed; only kernels are chosen as for all.
        """
        found = wave
        for layer in self._layers:
            found = layer(found, behind)
        return found

    def quantise(self, embedding: Tensor) -> Tensor:
        """Return the codes (1, Q, T) of an embedding (1, C, T)."""
        rest, codes = embedding[0].t().contiguous(), list[Tensor]()
        for entries, squares in self._books:
            product = 2 * rest @ entries.t()
            distances = rest.pow(2).sum(1, keepdim=True) - product
            distances += squares
            codes.append(distances.neg_().max(dim=-1).indices)
            rest = rest - functional.embedding(codes[-1], entries)
        return torch.stack(codes)[None]


class _Conv:
    """A causal convolution whose weights are laid out, with the ELU before it."""

    def __init__(self, layer: Any, rate: int, *, elu: bool) -> None:
        """Lay out the weights.

        Args:
            rate: samples of what goes in per frame.
        """
        conv = layer.conv.conv
        if not layer.causal or layer.pad_mode != "reflect" or conv.dilation[0] != 1:
            raise ValueError("only causal convolutions that reflect the edge are prepared")
        self._conv, self._rate, self._elu = conv, rate, elu
        (kernel,), (self._stride,) = conv.kernel_size, conv.stride
        self._before = kernel - self._stride
        self._weight: Tensor | None = None
        if kernel > 1:
            shape = [1, conv.in_channels, 1, rate * _USUAL + self._before]
            plane = conv.weight.detach().unsqueeze(2).contiguous().to_mkldnn()
            reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
            self._weight = reorder(plane, [0, 0], [1, self._stride], [1, 1], 1, shape)

    def __call__(self, x: Tensor, behind: int) -> Tensor:
        """Map (1, C, T) to (1, C', T / stride); `x` is used up."""
        if self._elu:
            x = functional.elu_(x)
        if self._before:
            x = torch.cat([x[..., 1 : self._before + 1].flip(-1), x], dim=-1)
        size = x.shape[1] * (x.shape[2] + behind * self._rate)
        if self._weight is None or size <= _BY_ONEDNN:
            return functional.conv1d(x, self._conv.weight, self._conv.bias, self._stride)
        found: Tensor = torch.mkldnn_convolution(
            x.unsqueeze(2), self._weight, self._conv.bias, [0, 0], [1, self._stride], [1, 1], 1
        )
        return found.squeeze(2)


class _Block:
    """A residual block: a shortcut and two convolutions, each behind an ELU."""

    def __init__(self, block: Any, rate: int) -> None:
        self._shortcut = _Conv(block.shortcut, rate, elu=False)
        self._inner = [_Conv(conv, rate, elu=True) for conv in block.block[1::2]]

    def __call__(self, x: Tensor, behind: int) -> Tensor:
        """Map (1, C, T) to the same shape; `x` is used up."""
        found = self._shortcut(x, behind)
        for conv in self._inner:
            x = conv(x, behind)
        return found.add_(x)


class _Lstm:
    """The LSTM along time, with what goes in added."""

    def __init__(self, layer: Any) -> None:
        lstm, self._size = layer.lstm, layer.lstm.hidden_size
        if not layer.skip or lstm.input_size != self._size or lstm.bidirectional:
            raise ValueError("only LSTMs of one width that add what goes in are prepared")
        reorder: Any = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight
        self._layers = [
            (*reorder(enter, recur, self._size, False, True, False, [_USUAL, 1, self._size]), *bias)
            for enter, recur, *bias in _in_fours(lstm._flat_weights)
        ]

    def __call__(self, x: Tensor, behind: int) -> Tensor:
        """Map (1, C, T) to the same shape."""
        enter = found = x.permute(2, 0, 1).contiguous()
        start = enter.new_zeros(1, 1, self._size)
        by_onednn: Any = torch.mkldnn_rnn_layer
        # backwards, the sizes of a batch, LSTM, one layer with biases, neither of the other flags
        flags: tuple[Any, ...] = (False, [], 2, self._size, 1, True, False, False, False)
        for weights in self._layers:
            found = by_onednn(found, *weights, start, start, *flags)[0]
        return (found + enter).permute(1, 2, 0).contiguous()


def _in_fours(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of an LSTM, layer by layer."""
    return (tensors[i : i + 4] for i in range(0, len(tensors), 4))


def prepare(encoder: Any, codebooks: Sequence[Any]) -> PreparedEncoder | None:
    """Prepare an encoder on the CPU; None where that does not give its very bits, or can't be done.

    Args:
        encoder: a `SEANetEncoder` of the package.
        codebooks: its `EuclideanCodebook`s, of the quantisers that are used.
    """
    try:
        with torch.no_grad():
            found = PreparedEncoder(encoder, codebooks)
            same = all(_is_same(encoder, codebooks, found, frames) for frames in _TRIED)
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return None  # another torch, or one without oneDNN
    return found if same else None


def _is_same(encoder: Any, books: Sequence[Any], found: PreparedEncoder, frames: int) -> bool:
    """Whether some frames of noise get the same codes."""
    noise, hop = torch.Generator().manual_seed(0), int(encoder.hop_length)
    wave = 0.1 * torch.randn(frames * hop, generator=noise)
    rest = encoder(functional.pad(wave, (0, EXTRA_FRAMES * hop))[None, None])[0].t()
    codes = list[Tensor]()
    for book in books:
        codes.append(book.encode(rest))
        rest = rest - book.decode(codes[-1])
    return torch.equal(found.encode(wave), torch.stack(codes)[:, :frames])
