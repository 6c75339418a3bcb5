"""A training that begins with weights that are there: how they fit, and what of them is held still.

Letters for shapes: C width.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ns2.pipeline.core.errors import UserError

_OF_THE_TABLE = ("phone_of", "stress_of")
"""Buffers that follow from the phoneme table."""
_PHONES = "phone.weight"
"""The embeddings of phones, a row of width C each."""


def fitted(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of another model, as one with the same or a longer phoneme table has them.

    The embeddings of phones that the other did not have begin as the mean of those that it had.

    Args:
        own: all tensors of the model, by name.
        weights: those of the other.

    Raises:
        UserError: the other has another tensor, or lacks one.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in own.items():
        given = tensor if name in _OF_THE_TABLE else weights.get(name)
        if given is not None and name == _PHONES and 0 < len(given) < len(tensor):
            mean = given.mean(0, keepdim=True)
            given = torch.cat([given, mean.expand(len(tensor) - len(given), -1)])
        if given is None or given.shape != tensor.shape:
            other = "nothing" if given is None else tuple(given.shape)
            raise UserError(
                f"the weights to begin with do not fit: {name} is {tuple(tensor.shape)} here, and "
                f"{other} there"
            )
        found[name] = given
    return found


def hold_still(model: nn.Module, parts: str) -> None:
    """Have parts of a model keep their weights.

    Args:
        parts: dotted names of modules or parameters, with commas; "" for none.

    Raises:
        UserError: there is no such part, or nothing is left to learn.
    """
    named = dict(model.named_parameters())
    for part in filter(None, (one.strip() for one in parts.split(","))):
        held = [p for name, p in named.items() if name == part or name.startswith(f"{part}.")]
        if not held:
            known = {name.partition(".")[0] for name in named}
            near = difflib.get_close_matches(part, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known))}"
            raise UserError(f"frozen: the model has no part {part!r}; {hint}")
        for parameter in held:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in named.values()):
        raise UserError("frozen: all parts are held still, so nothing would be learned")
