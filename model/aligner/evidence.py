"""What a small network that is trained beforehand hears in a mel: phones and their borders.

Three convolutions over time see five frames on either side. On them sit a narrow linear layer, the
features; on these, phones of several languages; and apart from them whether a phone begins. The
aligner treats the features as it treats cepstra, so its Gaussians adapt them to the corpus
(Hermansky, Ellis & Sharma 2000, "Tandem connectionist feature extraction"); how far it believes
the phones themselves, it finds out on the corpus.

Letters for shapes: T frames, M mel bins, W width, D features, P phones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNELS = (5, 5, 3)
REACH = sum(size // 2 for size in KERNELS)
"""Frames that the network sees on either side of one."""
_LENGTHS = 128
"""Mels are padded to a multiple of it: oneDNN, inside torch, keeps a program for every length
that it meets; `benchmarks.align` saw the driver's peak fall from 1.3 to 0.9 GB."""
DEPTH = 9.0
"""What lies further below the loudest value of an utterance, in nepers, is cut off."""
QUIET = 0
"""The first of the phones: silence."""
TRUSTED = (0.4, 0.6)
"""In new voices of the synthesiser that it was trained on, a network gives 0.6 to 0.85 to the phone
that is there; on another synthesiser's speech and on recordings 0.2 to 0.3."""
_PRIOR_SHARE, _TEMPERED, _ANY_SOUND = 0.5, 0.4, 2.0


@dataclass(frozen=True)
class Heard:
    """What the network makes of one mel.

    Attributes:
        features: (T, D).
        phones: (T, P) log-probabilities.
        border: (T,) log-probability that a phone begins with this frame.
    """

    features: Tensor
    phones: Tensor
    border: Tensor


def normalised(mel: Tensor) -> Tensor:
    """A log-mel (M, T) of any level and colour: less its mean over time, floor cut off."""
    cut = mel.clamp_min(float(mel.max()) - DEPTH)
    return (cut - cut.mean(1, keepdim=True)) / 2


class FrameNet(nn.Module):
    """The network; `train/bundled/make_aligner_network.py` trains it on speech of known truth."""

    def __init__(self, mels: int, width: int, features: int, phones: int) -> None:
        super().__init__()
        widths = [mels, *[width] * len(KERNELS)]
        self.layers = nn.ModuleList(
            nn.Conv1d(below, above, size)
            for below, above, size in zip(widths[:-1], widths[1:], KERNELS, strict=True)
        )
        self.features = nn.Conv1d(width, features, 1)
        self.phones = nn.Conv1d(features, phones, 1)
        self.border = nn.Conv1d(width, 1, 1)

    def forward(self, padded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, D, T), logits of phones (B, P, T) and of borders (B, T).

        Args:
            padded: (B, M, T + 2 * REACH) normalised mels.
        """
        hidden = padded
        for layer in self.layers:
            hidden = functional.relu(layer(hidden))
        features = self.features(hidden)
        return features, self.phones(features), self.border(hidden)[:, 0]

    def hear(self, mel: Tensor) -> Heard:
        """What is in one log-mel (M, T), natural log."""
        frames = mel.shape[1]
        ends = (REACH, REACH + -frames % _LENGTHS)
        padded = functional.pad(normalised(mel.float())[None], ends, mode="replicate")
        features, phones, border = (out[0, ..., :frames] for out in self(padded))
        return Heard(
            features=features.T.contiguous(),
            phones=torch.log_softmax(phones.T, 1),
            border=functional.logsigmoid(border),
        )


def network_from_tensors(tensors: Mapping[str, Tensor]) -> FrameNet:
    """The network with these weights, of any float type; it computes in float32.

    Raises:
        ValueError: these are not its weights.
    """
    try:
        width, mels, _ = tensors["layers.0.weight"].shape
        phones, features, _ = tensors["phones.weight"].shape
        network = FrameNet(mels, width, features, phones)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"these are not the weights of such a network: {error}") from error
    return network.eval().requires_grad_(False)


class Evidence(nn.Module):
    """What a network adds to the Gaussians of an aligner's K classes.

    On speech like that which it was trained on the network knows phones and borders better than
    Gaussians can; on other speech its phones are often wrong, though its features still help. So
    its phones count as far as they agree with what the Gaussians found: not at all below the
    first of `TRUSTED`, fully from the second on.

    Letters: C classes that are asked for, as `chosen`.
    """

    phone_of: Tensor
    prior: Tensor
    trust: Tensor

    def __init__(self, network: FrameNet, phone_of: Tensor) -> None:
        """Take a network.

        Args:
            phone_of: (K,) int64, the network's phone for each class, -1 where it has none.
        """
        super().__init__()
        self.network = network
        self.register_buffer("phone_of", phone_of)
        self.register_buffer("prior", torch.zeros(network.phones.out_channels))
        self.register_buffer("trust", torch.zeros(()))

    @property
    def share(self) -> float:
        """From 0 to 1, how much the network's phones count."""
        low, high = TRUSTED
        return min(1.0, max(0.0, (float(self.trust) - low) / (high - low)))

    def set_prior(self, counts: Tensor) -> None:
        """Take the sums of all posteriors of the network (P,) for how frequent its phones are."""
        self.prior = (counts / counts.sum()).clamp_min(1e-4).log().float()

    def phones(self, heard: Heard, chosen: Tensor, likelihoods: Tensor | None) -> Tensor:
        """(T, C) log-posteriors of classes, half of the phones' prior taken out.

        Args:
            likelihoods: (T, C) of the Gaussians, which speak for classes that the network does
                not know; None if there are none yet, then such classes are any sound.
        """
        phones = self.phone_of[chosen]
        scores = (heard.phones - _PRIOR_SHARE * self.prior)[:, phones.clamp_min(0)]
        if (phones < 0).any():
            if likelihoods is None:
                others = heard.phones[:, QUIET + 1 :].amax(1, keepdim=True) - _ANY_SOUND
                others = others.expand_as(scores)
            else:
                others = torch.log_softmax(_TEMPERED * likelihoods, 1)
                others = others + _PRIOR_SHARE * math.log(len(chosen))
            scores = torch.where(phones < 0, others, scores)
        return scores

    def agreement(self, heard: Heard, posteriors: Tensor, chosen: Tensor) -> Tensor:
        """Sum over frames of the network's posterior of the phone that is there, and their number.

        Args:
            posteriors: (T, C) of classes; silence and what the network does not know are left out.
        """
        counted = self.phone_of[chosen] > QUIET
        posteriors = posteriors[:, counted]
        found = heard.phones[:, self.phone_of[chosen][counted]].exp()
        return torch.stack([(posteriors * found).sum(), posteriors.sum()])
