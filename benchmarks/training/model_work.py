"""The parts of a model as works to measure: forward and backward of each on random utterances."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ns2.model.tts.batch import Batch
from ns2.model.tts.duration_frames import expand_to_frames
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import Sizes
from ns2.model.tts.parameters import count_parts

FRAMES_A_PHONEME = 6
PROMPT_SHARE = 2
"""A target is so many times as long as its prompt."""
REST = "losses and the rest"


@dataclass
class Work:
    """A computation to measure, and what was measured."""

    name: str
    forward: Callable[[], Tensor]
    """Computes the output that is differentiated."""

    modules: Sequence[nn.Module]
    """The modules that get gradients."""

    parameters: int
    """The number of parameters of these modules that belong to the work."""

    flop: int = 0
    """The operations of forward and backward."""

    memory: int = 0
    """The largest growth of memory in bytes, gradients included."""

    seconds: list[float] = field(default_factory=list)
    """The seconds of each round."""

    def run(self, autocast: AbstractContextManager[object]) -> None:
        """Run forward and backward, with a gradient of 1 for each number of the output."""
        with autocast:
            out = self.forward()
        out.backward(torch.ones_like(out))

    def clear(self) -> None:
        """Drop all gradients, since in training they are allocated anew in each step."""
        for module in self.modules:
            module.zero_grad(set_to_none=True)


def random_batch(sizes: Sizes, count: int, frames: int) -> Batch:
    """Make up utterances of one length, with prompts half as long."""
    rng = np.random.default_rng(0)
    tokens, prompt = max(1, frames // FRAMES_A_PHONEME), max(1, frames // PROMPT_SHARE)
    shares = np.ones(tokens) / tokens
    durations = rng.multinomial(frames - tokens, shares, size=count) + 1
    f0 = np.where(rng.random((count, frames)) < 0.6, rng.uniform(80, 300, (count, frames)), 0)
    return Batch(
        codes=_integers(rng, sizes.entries, (count, sizes.quantizers, frames)),
        frames=torch.full((count,), frames),
        phonemes=_integers(rng, sizes.phonemes, (count, tokens)).long(),
        tokens=torch.full((count,), tokens),
        durations=torch.from_numpy(durations),
        f0=torch.from_numpy(f0).float(),
        prompt_codes=_integers(rng, sizes.entries, (count, sizes.quantizers, prompt)),
        prompt_frames=torch.full((count,), prompt),
        seeds=torch.arange(count),
    )


def _integers(rng: np.random.Generator, high: int, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rng.integers(0, high, shape, dtype=np.int32))


def works(model: NS2, batch: Batch) -> list[Work]:
    """Return the parts as `ns2 model` names them, then the whole, also self-conditioned."""
    frames = batch.codes.shape[2]
    mask, token_mask, prompt_mask = batch.frame_mask, batch.token_mask, batch.prompt_mask
    with torch.no_grad():
        voice = model.voice(batch.prompt_codes, batch.prompt_frames)
        states = model.text(batch.phonemes, token_mask)
        at_frames = expand_to_frames(states, batch.durations, frames)
        latents = model.latents_of(batch.codes)
        heard = model.latents_of(batch.prompt_codes).transpose(1, 2)
    # Inputs from other parts need a gradient too.
    states, at_frames, prompt = (
        t.detach().requires_grad_() for t in (states, at_frames, voice.states)
    )
    draws = [model.draw(batch, self_condition=chosen) for chosen in (False, True)]
    time_ = model.schedule.times(draws[0].uniform)

    def prompt_encoder() -> Tensor:
        out: Tensor = model.prompt_encoder(model.prompt_enter(heard), prompt_mask)
        return out

    def denoiser() -> Tensor:
        content = model.content(at_frames, batch.f0)
        tokens = model.denoiser.tokens(prompt, voice.mask)
        out: Tensor = model.denoiser(latents, time_, mask, content=content, tokens=tokens)
        return out

    forwards: dict[str, Callable[[], Tensor]] = {
        "phoneme encoder": lambda: model.text(batch.phonemes, token_mask),
        "prompt encoder": prompt_encoder,
        "duration predictor": lambda: model.duration_predictor(
            states, token_mask, prompt, voice.mask
        ),
        "pitch predictor": lambda: model.pitch_predictor(at_frames, mask, prompt, voice.mask),
        "diffusion network": denoiser,
    }
    parts = {part.name: part.parameters for part in count_parts(model.config, model.sizes)}
    found = [Work(name, forwards[name], [model], count) for name, count in parts.items()]
    given = {
        "duration_predictor": forwards["duration predictor"](),
        "pitch_predictor": forwards["pitch predictor"](),
        "denoiser": denoiser(),
    }
    shell = _without_parts(model, states, voice, given)
    found.append(Work(REST, lambda: model.total(shell(batch, draws[0])), [model], 0))
    everything = sum(p.numel() for p in model.parameters())
    for name, drawn in zip(("whole", "whole, self-conditioned"), draws, strict=True):
        found.append(
            Work(name, lambda d=drawn: model.total(model(batch, d)), [model], everything)  # type: ignore[misc]
        )
    return found


class _Given(nn.Module):
    """Takes the place of a part and returns its result."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value.detach().requires_grad_()

    def forward(self, *_: object, **__: object) -> Tensor:
        return self.value


def _without_parts(model: NS2, states: Tensor, voice: Any, given: dict[str, Tensor]) -> NS2:
    """Return the model with parts that take no time, so that only losses and the rest are left."""
    shell: Any = copy.copy(model)
    shell._modules = dict(model._modules)
    for name, value in given.items():
        setattr(shell, name, _Given(value))
    shell.text, shell.voice = (lambda *_: states), (lambda *_: voice)
    found: NS2 = shell
    return found
