"""The denoiser of `naturalspeech2-pytorch`, an open implementation, as a peer to be timed.

Only the denoiser is loaded. The package also imports a codec library that Python 3.11 cannot load,
a trainer and a tokenizer; the denoiser uses none of them, so empty classes take their places.

Letters for shapes: B batch, T frames, P prompt frames, C width.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ns2.model.tts.ns2_config import NS2Config

PACKAGES = "naturalspeech2-pytorch==0.1.8 einops beartype tqdm"
INSTALL = "pip install --no-deps --target {} " + PACKAGES
CANNOT = (
    "latents have to be as wide as its layers: it cannot take the codec's, so it gets wider ones",
    "no mask: it computes padded frames like others and trains on them",
    "no future: convolutions see what came before only",
    "layers of a stack stand side by side: 40 layers in stacks of 8 are 5 deep",
    "its WaveNet sees no more of the prompt than its mean; a Transformer behind it sees the tokens",
    "no self-conditioning; no gradient for its predictors, whose losses are never returned",
)
_NOT_NEEDED = {
    "audiolm_pytorch": ("SoundStream", "EncodecWrapper"),
    "audiolm_pytorch.data": ("SoundDataset", "get_dataloader"),
    "accelerate": ("Accelerator",),
    "ema_pytorch": ("EMA",),
    "naturalspeech2_pytorch.utils.tokenizer": ("Tokenizer", "ESpeak"),
}


def load_peer(folder: Path) -> Callable[..., nn.Module] | None:
    """Return the class of its denoiser from the folder of `INSTALL`; None if it is not there."""
    if not (folder / "naturalspeech2_pytorch").is_dir():
        return None
    sys.path.append(str(folder))
    for name, classes in _NOT_NEEDED.items():
        module = types.ModuleType(name)
        for stub in classes:
            setattr(module, stub, type(stub, (), {}))
        sys.modules[name] = module
    import naturalspeech2_pytorch

    found: Callable[..., nn.Module] = naturalspeech2_pytorch.Model
    return found


def same_depth(config: NS2Config) -> dict[str, Any]:
    """Return arguments for as many WaveNet layers of the same width, else its own defaults."""
    wavenet = config.denoiser.wavenet
    stack = max(n for n in range(1, 9) if wavenet.layers % n == 0)
    return {
        "dim": wavenet.hidden,
        "dim_prompt": config.width,
        "depth": config.denoiser.transformer.depth,
        "heads": wavenet.heads,
        "dim_head": wavenet.hidden // wavenet.heads,
        "wavenet_layers": stack,
        "wavenet_stacks": wavenet.layers // stack,
        "num_latents_m": config.denoiser.resampler.queries,
        "resampler_depth": config.denoiser.resampler.layers,
        "condition_on_prompt": True,
    }


def same_parameters(
    peer: Callable[..., nn.Module], config: NS2Config, wanted: int
) -> dict[str, Any]:
    """Return arguments for about as many parameters, most of which do work in each frame.

    Each of its WaveNet layers has a matrix for the embedding of time and prompt that is larger than
    its convolutions and is used once per utterance. So the embedding is made small, and the
    Transformer as deep as needed for the number of parameters.
    """
    arguments = {**same_depth(config), "dim_cond_mult": 1}
    none, one = (_count(peer(**{**arguments, "depth": depth})) for depth in (0, 1))
    return {**arguments, "depth": max(1, round((wanted - none) / (one - none)))}


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def peer_inputs(
    config: NS2Config, batch: int, frames: int, prompt: int, device: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """Make random inputs: latents (B, T, C), and by name times, prompt and condition."""
    hidden, width = config.denoiser.wavenet.hidden, config.width
    given = {
        "times": torch.rand(batch, device=device),
        "prompt": torch.randn(batch, prompt, width, device=device, requires_grad=True),
        "cond": torch.randn(batch, width, frames, device=device, requires_grad=True),
    }
    return torch.randn(batch, frames, hidden, device=device), given


def plain_attention(model: nn.Module, plain: bool) -> None:
    """Let attention use matrix products, which can be counted, or torch's fused kernel."""
    for module in model.modules():
        if hasattr(module, "use_flash"):
            module.use_flash = not plain
