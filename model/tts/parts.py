"""The parts of a model that speaks one utterance, each a module for `torch.export`.

Tensors go in and out, and nothing but lengths may change: what lies between the parts is a few
lines of anybody's code (docs/export.md). All have a batch of one.

Letters for shapes: N phonemes, T frames, P prompt frames, D latent width, Q quantisers, C width, M
prompt tokens, S samples.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ns2.model.tts.ns2 import NS2
from ns2.model.tts.predictors import predicted_f0


class Part(nn.Module):
    """A part of a model, with the weights that it uses and no others."""

    uses: tuple[str, ...] = ()
    """The names of modules, parameters and buffers of `NS2` that the part uses."""

    def __init__(self, model: NS2) -> None:
        super().__init__()
        self.model = _with_only(model, self.uses)
        self.eval()


def _with_only(module: nn.Module, names: tuple[str, ...]) -> Any:
    """A copy of a module that shares the named parts of it, such as "a" or "b.c"; None stay."""
    copied = copy.copy(module)
    inside: dict[str, nn.Module | None] = {}
    for name, child in module._modules.items():
        deeper = tuple(n.removeprefix(f"{name}.") for n in names if n.startswith(f"{name}."))
        if child is None or name in names:
            inside[name] = child
        elif deeper:
            inside[name] = _with_only(child, deeper)
    copied._modules = inside
    copied._parameters = {n: p for n, p in module._parameters.items() if p is None or n in names}
    copied._buffers = {n: b for n, b in module._buffers.items() if b is None or n in names}
    return copied


class VoicePart(Part):
    """Encodes a prompt."""

    uses = (
        "codebooks",
        "latent_mean",
        "latent_std",
        "whitening",
        "null_prompt",
        "prompt_enter",
        "prompt_encoder",
        "denoiser.prompt",
        "denoiser.resampler",
    )

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Map codes (1, Q, P) int64 to the prompt's states (1, P, C) and tokens (1, M, hidden)."""
        frames = torch.full((1,), codes.shape[2], dtype=torch.int64)
        voice = self.model.voice(codes, frames)
        return voice.states, voice.tokens


class TextPart(Part):
    """Encodes phonemes and predicts their durations."""

    uses = ("phone_of", "stress_of", "phone", "stress", "phoneme_encoder", "duration_predictor")

    def forward(self, phonemes: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Map ids (1, N) int64 and a prompt's states to states (1, N, C) and log(1 + d) (1, N)."""
        mask = torch.ones_like(phonemes, dtype=torch.bool)
        states = self.model.text(phonemes, mask)
        seen = torch.ones_like(prompt[..., 0], dtype=torch.bool)
        durations = self.model.duration_predictor(states, mask, prompt, seen)
        return states, durations[..., 0]


class PitchPart(Part):
    """Predicts F0."""

    uses = ("pitch_predictor",)

    def forward(self, states: Tensor, prompt: Tensor) -> Tensor:
        """Map states at frames (1, T, C) and a prompt's states to F0 (1, T) in Hz, 0 unvoiced."""
        mask = torch.ones_like(states[..., 0], dtype=torch.bool)
        seen = torch.ones_like(prompt[..., 0], dtype=torch.bool)
        return predicted_f0(self.model.pitch_predictor(states, mask, prompt, seen))


class ContentPart(Part):
    """Joins what is said and its pitch."""

    uses = ("pitch",)

    def forward(self, states: Tensor, f0: Tensor) -> Tensor:
        """Map states at frames (1, T, C) and F0 (1, T) to the denoiser's content (1, T, C)."""
        content: Tensor = self.model.content(states, f0)
        return content


class DenoiserPart(Part):
    """Estimates clean latents, one step of a sampler."""

    uses = tuple(
        f"denoiser.{name}"
        for name in (
            "enter",
            "time",
            "content",
            "wavenet",
            "transformer",
            "last_norm",
            "leave",
            "pass_on",
        )
    )

    def forward(
        self, x: Tensor, time: Tensor, content: Tensor, tokens: Tensor, previous: Tensor
    ) -> Tensor:
        """Estimate normalised latents (1, D, T).

        Args:
            x: (1, D, T) noised latents.
            time: (1,) the diffusion time.
            content: (1, T, C).
            tokens: (1, M, hidden) of the prompt.
            previous: (1, D, T) the estimate of the step before, zeros in the first.
        """
        raw = self.model.denoiser(x, time, None, content=content, tokens=tokens, estimate=previous)
        estimate: Tensor = self.model.estimate(raw, x, self.model.schedule.at(time))
        return estimate


class DecoderPart(Part):
    """Decodes latents to audio."""

    uses = ("latent_mean", "latent_std", "colouring")

    def __init__(self, model: NS2, decoder: nn.Module) -> None:
        """Take a model and its codec's decoder, see `Codec.decoder`."""
        super().__init__(model)
        self.decoder = decoder

    def forward(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Map normalised latents (1, D, T) and noise (1, S) to audio (1, S), S = T * hop."""
        wave: Tensor = self.decoder(self.model.denormalised(latents), noise)
        return wave
