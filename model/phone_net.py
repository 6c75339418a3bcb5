"""A small network that recognises phones, to measure the intelligibility of speech.

It has convolutions over a log-mel, at half its frame rate from the second on, and a head of phones
and blank for connectionist temporal classification (CTC, Graves et al. 2006). Its receptive field
is small on purpose: with 11 frames (0.15 s) on either side it recognises phones but cannot guess
words, so it measures what is spoken and not what would be likely.
`train/bundled/make_phone_classifier.py` trains it.

Letters for shapes: B batch, M mel bins, T frames of the mel, H = ceil(T / 2), W width, P phones, L
length inside a block.
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
"""The receptive field: frames of the mel that the network sees on either side of a frame."""
BLANK = 0
"""The class of CTC's blank."""


class _Block(nn.Module):
    """A residual convolution without padding, which shortens by one frame at both ends."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width, 1))
        self.inner = nn.Conv1d(width, width, 3)
        self.outer = nn.Conv1d(width, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden (B, W, L) to (B, W, L - 2)."""
        # Each frame is normalised alone, so neither padding nor the batch has an influence.
        scale = hidden.square().mean(1, keepdim=True).add(1e-5).rsqrt()
        change = self.outer(functional.gelu(self.inner(hidden * scale * self.gain)))
        shorter: Tensor = hidden[..., 1:-1] + change
        return shorter


class PhoneNet(nn.Module):
    """Maps mels to log-probabilities of blank and phones."""

    def __init__(self, mels: int, width: int, phones: int) -> None:
        """Make an untrained network.

        Args:
            mels: M, the number of mel bins.
            width: W, the channels between layers.
            phones: P, without blank.
        """
        super().__init__()
        self.first = nn.Conv1d(mels, width, 5)
        self.second = nn.Conv1d(width, width, 3, stride=STRIDE)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(BLOCKS))
        self.head = nn.Conv1d(width, 1 + phones, 1)

    def forward(self, padded: Tensor) -> Tensor:
        """Return log-probabilities (B, H, 1 + P) of mels (B, M, T + 2 REACH) from `padded`."""
        hidden = functional.gelu(self.first(padded))
        hidden = functional.gelu(self.second(hidden))
        for block in self.blocks:
            hidden = block(hidden)
        logits: Tensor = self.head(hidden)
        return torch.log_softmax(logits.transpose(1, 2), 2)

    @torch.no_grad()
    def hear(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Recognise the phones in several log-mels, each independently of the others.

        Args:
            mels: (M, T) each, of any lengths.

        Returns:
            log-probabilities (H, 1 + P) of each mel.
        """
        if not mels:
            return []
        longest = max(mel.shape[1] for mel in mels)
        batch = torch.stack(
            [functional.pad(padded(mel), (0, longest - mel.shape[1])) for mel in mels]
        )
        rows = self(batch)
        return [row[: -(-mel.shape[1] // STRIDE)] for row, mel in zip(rows, mels, strict=True)]


def padded(mel: Tensor) -> Tensor:
    """Return a log-mel (M, T) normalised and with its ends repeated: (M, T + 2 REACH)."""
    return functional.pad(normalised(mel.float())[None], (REACH, REACH), mode="replicate")[0]


def spoken_classes(log_probabilities: Tensor) -> list[int]:
    """Return the classes of the best path of (H, 1 + P), without repetitions and blanks."""
    best = torch.unique_consecutive(log_probabilities.argmax(1)).tolist()
    return [int(number) for number in best if number != BLANK]


def network_from_tensors(tensors: Mapping[str, Tensor]) -> PhoneNet:
    """Build the network that these weights, of any float type, belong to; it computes in float32.

    Raises:
        ValueError: the tensors are not the weights of a `PhoneNet`.
    """
    try:
        width, mels, _ = tensors["first.weight"].shape
        network = PhoneNet(mels, width, len(tensors["head.bias"]) - 1)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"these are not the weights of a phone classifier: {error}") from error
    return network.eval().requires_grad_(False)
