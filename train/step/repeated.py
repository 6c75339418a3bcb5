"""The repeated layers of a model: compiled by torch, or computed twice to save memory.

They are compiled for sequences of any length. A graph of the whole model is made anew for each
shape of a batch, of which an epoch has hundreds. The layers hold nearly all of the work and are few
kinds, so about a dozen graphs, made in the first steps, serve batches of all shapes.
"""

from __future__ import annotations

import torch
from torch import nn

from ns2.model.blocks.encoder import EncoderLayer
from ns2.model.blocks.transformer import TransformerLayer
from ns2.model.blocks.wavenet import WaveNetLayer
from ns2.model.tts.predictors import ConvBlock, PromptAttention, ResnetBlock

REPEATED = (
    EncoderLayer,
    ConvBlock,
    ResnetBlock,
    PromptAttention,
    WaveNetLayer,
    TransformerLayer,
)
"""The layers that networks are stacks of; the resampler has one or two, over few tokens."""
_GRAPHS = 64
"""Graphs of one kind of layer that torch may make before it gives up."""


def compile_layers(model: nn.Module, backend: str = "inductor") -> None:
    """Have torch compile the repeated layers of a model, at their first use; in place.

    Args:
        model: its parameters and their names stay as they are.
        backend: the compiler of graphs.
    """
    torch._dynamo.config.recompile_limit = max(_GRAPHS, torch._dynamo.config.recompile_limit)
    for module in model.modules():
        if isinstance(module, REPEATED):
            module.compile(dynamic=True, fullgraph=True, backend=backend)


def recompute_layers(model: nn.Module) -> None:
    """Have the repeated layers of a model keep only what they are given until the backward pass.

    It computes them once more (activation checkpointing, Chen et al. 2016, arXiv:1604.06174), with
    the same dropout and so to the same gradients.
    """
    for module in model.modules():
        if isinstance(module, REPEATED):
            module.recompute = True  # type: ignore[assignment]
