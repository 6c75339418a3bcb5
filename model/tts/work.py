"""The operations of a training pass, from the shape of its batch alone.

Counted are those of matrix products and convolutions, two for each multiply-add, with all padding;
the backward pass takes twice as many as the forward pass. The utilisation of a device (MFU) is
their share of what its matrix units could have done in the time.

Letters for shapes: B batch, T frames, N phonemes, P prompt frames, M prompt tokens, C width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ns2.model.blocks.layers import Attention
from ns2.model.tts.ns2 import NS2

_TRAINED = 3
"""Passes worth of operations of a part that is trained: one forward, two backward."""


@dataclass(frozen=True, kw_only=True)
class PassShape:
    """The padded sizes of a batch."""

    batch: int
    """B."""

    frames: int
    """T."""

    phonemes: int
    """N."""

    prompt: int
    """P."""


@dataclass(frozen=True)
class _Product:
    """Operations of one kind for each utterance: `each` for every place, or pair of places."""

    each: int
    places: tuple[str, ...]
    denoiser: bool


class Work:
    """The operations of a model's passes."""

    def __init__(self, model: NS2) -> None:
        """Add up the sizes of all layers."""
        self._tokens = model.config.denoiser.resampler.queries
        summed: dict[tuple[tuple[str, ...], bool], int] = {}
        for part in _products(model):
            key = part.places, part.denoiser
            summed[key] = summed.get(key, 0) + part.each
        self._products = [_Product(each, *key) for key, each in summed.items()]

    def of_pass(self, shape: PassShape, *, self_condition: bool) -> float:
        """Count the operations of a forward and backward pass.

        Args:
            shape: the sizes of the batch.
            self_condition: whether the denoiser runs once more, without gradient.
        """
        size = {"T": shape.frames, "N": shape.phonemes, "P": shape.prompt, "M": self._tokens}
        total = 0.0
        for product in self._products:
            times = _TRAINED + (self_condition and product.denoiser)
            places = 1.0
            for letter in product.places:
                places *= size[letter]
            total += times * product.each * places
        return shape.batch * total


def _products(model: NS2) -> Iterator[_Product]:
    """All products of the model's layers."""
    sizes = model.sizes
    stacks = {
        "phoneme_encoder": ("N", "N"),
        "prompt_enter": ("P", "P"),
        "prompt_encoder": ("P", "P"),
        "duration_predictor": ("N", "P"),
        "pitch_predictor": ("T", "P"),
    }
    for name, (place, context) in stacks.items():
        if (module := getattr(model, name, None)) is not None:
            yield from _of(module, place, context, denoiser=False)
    yield from _of_denoiser(model.denoiser)
    if model.config.losses.ce_rvq:
        # the codebooks get no gradient: two passes, counted as two thirds of three
        books = sizes.quantizers if model.config.diffusion.ce_quantizers == "all" else 1
        yield _Product(4 * sizes.latent_dim * sizes.entries * books // 3, ("T",), False)


def _of_denoiser(denoiser: nn.Module) -> Iterator[_Product]:
    """The products of the denoiser, each of whose parts has other places."""
    for name, module in denoiser.named_children():
        if name == "prompt":
            yield from _of(module, "P", "P", denoiser=False)
        elif name == "resampler":
            yield from _of(module, "M", "P", denoiser=False)
        elif name in ("enter", "content", "leave"):
            yield from _of(module, "T", "T", denoiser=True)
        elif name == "wavenet":
            yield from _of(module, "T", "M", denoiser=True)
        elif name == "transformer":
            for layer in module.layers:  # type: ignore[union-attr]
                for part, one in layer.named_children():
                    place = "" if part.endswith("norm") else "T"
                    context = "M" if part == "prompt_attention" else "T"
                    yield from _of(one, place, context, denoiser=True)
        else:  # of the time: one place for each utterance
            yield from _of(module, "", "", denoiser=True)


def _of(module: nn.Module, place: str, context: str, *, denoiser: bool) -> Iterator[_Product]:
    """The products of a module whose layers run at one kind of place.

    Args:
        place: the letter of the places; empty for one place.
        context: the letter of the places that its attentions attend to.
        denoiser: whether the first pass of self-conditioning runs it too.
    """
    contexts: set[nn.Module] = set()
    for one in module.modules():
        if isinstance(one, Attention):
            contexts |= {one.key, one.value}
            width = one.query.weight.shape[0]
            yield _Product(4 * width, (place, context), denoiser)
    for one in module.modules():
        if isinstance(one, nn.Linear | nn.Conv1d):
            where = context if one in contexts else place
            yield _Product(2 * one.weight.numel(), (where,) if where else (), denoiser)
