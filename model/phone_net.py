"""A small network that says which phones are spoken, to judge copies and generated speech by.

Convolutions over a log-mel, at half its frame rate after the second, with a head of phones and
blank for connectionist temporal classification (Graves et al. 2006). It is narrow in time on
purpose: with 11 frames (0.15 s) on either side it hears phones and can't guess words, so it is a
judge of what sounds, not of what would be likely. `train/bundled/make_phone_classifier.py` trains
it.

Letters for shapes: B batch, M mel bins, T frames of the mel, H = ceil(T / 2), W width, P phones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.aligner.evidence import normalised

BLOCKS = 4
STRIDE = 2
REACH = 2 + 1 + BLOCKS * STRIDE
"""Frames of the mel that the network sees on either side of one."""
BLANK = 0
"""The first class: no phone begins or goes on here."""


class _Block(nn.Module):
    """A convolution beside the identity; no padding, so it shortens by one at both ends."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width, 1))
        self.inner = nn.Conv1d(width, width, 3)
        self.outer = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, W, L) to (B, W, L - 2)."""
        # One frame is normalised alone: neither padding nor the rest of the batch counts.
        scale = hidden.square().mean(1, keepdim=True).add(1e-5).rsqrt()
        change = self.outer(functional.gelu(self.inner(hidden * scale * self.gain)))
        shorter: Tensor = hidden[..., 1:-1] + change
        return shorter


class PhoneNet(nn.Module):
    """Mels to log-probabilities of blank and phones."""

    def __init__(self, mels: int, width: int, phones: int) -> None:
        """Make an untrained one.

        Args:
            phones: P, blank not counted.
        """
        super().__init__()
        self.first = nn.Conv1d(mels, width, 5)
        self.second = nn.Conv1d(width, width, 3, stride=STRIDE)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(BLOCKS))
        self.head = nn.Conv1d(width, 1 + phones, 1)

    def forward(self, padded: Tensor) -> Tensor:
        """Log-probabilities (B, H, 1 + P) of mels as `padded` makes them (B, M, T + 2 * REACH)."""
        hidden = functional.gelu(self.first(padded))
        hidden = functional.gelu(self.second(hidden))
        for block in self.blocks:
            hidden = block(hidden)
        logits: Tensor = self.head(hidden)
        return torch.log_softmax(logits.transpose(1, 2), 2)

    @torch.no_grad()
    def hear(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """What is in log-mels (M, T) of any lengths: log-probabilities (H, 1 + P) of each.

        What is heard in one does not depend on the others.
        """
        if not mels:
            return []
        longest = max(mel.shape[1] for mel in mels)
        batch = torch.stack(
            [functional.pad(padded(mel), (0, longest - mel.shape[1])) for mel in mels]
        )
        heard = self(batch)
        return [row[: -(-mel.shape[1] // STRIDE)] for row, mel in zip(heard, mels, strict=True)]


def padded(mel: Tensor) -> Tensor:
    """A log-mel (M, T) of any level and colour, normalised, its ends repeated: (M, T + 2 R)."""
    return functional.pad(normalised(mel.float())[None], (REACH, REACH), mode="replicate")[0]


def spoken_classes(log_probabilities: Tensor) -> list[int]:
    """The best path of (H, 1 + P): its classes without repetitions, then without blanks."""
    best = torch.unique_consecutive(log_probabilities.argmax(1)).tolist()
    return [int(number) for number in best if number != BLANK]


def network_from_tensors(tensors: Mapping[str, Tensor]) -> PhoneNet:
    """The network with these weights, of any float type; it computes in float32.

    Raises:
        ValueError: these are not its weights.
    """
    try:
        width, mels, _ = tensors["first.weight"].shape
        network = PhoneNet(mels, width, len(tensors["head.bias"]) - 1)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"these are not the weights of such a network: {error}") from error
    return network.eval().requires_grad_(False)
