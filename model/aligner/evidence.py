"""A small pretrained network that gives an aligner evidence of phones and phone borders.

Three convolutions over time see five frames on either side. A narrow linear layer on top of them
gives the features. One head on the features classifies phones of several languages, another head
on the convolutions tells whether a phone begins. The aligner treats the features like cepstra, so
its Gaussians adapt them to the corpus (Hermansky, Ellis & Sharma 2000, "Tandem connectionist
feature extraction"). How far it trusts the phones themselves is measured on the corpus.

Letters for shapes: B batch, T frames, M mel bins, D features, P phones, K classes of an aligner, C
classes that are looked at (`chosen`).
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
"""The receptive field: frames that the network sees on either side of a frame."""
_LENGTHS = 128
"""Mels are padded to a multiple of this: oneDNN, inside torch, keeps a program for every length
that it meets. In `benchmarks.align` padding lowered the driver's peak from 1.3 to 0.9 GB."""
DEPTH = 9.0
"""Values further below the loudest value of an utterance than this, in nepers, are clipped."""
QUIET = 0
"""The number of the phone that stands for silence."""
TRUSTED = (0.4, 0.6)
"""The mean posteriors of the true phone at which the network's phones begin to count, and from
which they count fully. On new voices of espeak-ng, which it learned most from, the network reaches
0.6 to 0.85; on speech of engines that taught nothing and on recordings 0.2 to 0.4."""
_PRIOR_SHARE = 0.5
"""The exponent of the phones' prior, by which posteriors are divided."""
_TEMPER = 0.4
"""The exponent of the Gaussians' likelihoods of classes that the network does not know."""
_ANY_SOUND = 2.0
"""The nats that a class unknown to the network scores less than the network's best phone."""
_SUREST = 12.0
"""The nats beyond which the network's evidence of silence or of sound counts no further."""


@dataclass(frozen=True)
class NetworkOutput:
    """The output of the network for one mel."""

    features: Tensor
    """(T, D) the features."""

    phones: Tensor
    """(T, P) log-probabilities of the phones."""

    border: Tensor
    """(T,) log-probability that a phone begins with this frame."""


def normalised(mel: Tensor) -> Tensor:
    """Return a log-mel (M, T) with its floor clipped and its mean over time subtracted.

    This removes the level of a recording and the colour of its channel.
    """
    cut = mel.clamp_min(float(mel.max()) - DEPTH)
    return (cut - cut.mean(1, keepdim=True)) / 2


class FrameNet(nn.Module):
    """The network; `train/bundled/make_aligner_network.py` trains it on synthesised speech."""

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
        """Compute features and logits of normalised mels.

        Args:
            padded: (B, M, T + 2 * REACH) normalised mels.

        Returns:
            features (B, D, T), logits of phones (B, P, T) and logits of borders (B, T).
        """
        hidden = padded
        for layer in self.layers:
            hidden = functional.relu(layer(hidden))
        features = self.features(hidden)
        return features, self.phones(features), self.border(hidden)[:, 0]

    def analyse(self, mel: Tensor) -> NetworkOutput:
        """Return features, phones and borders of one log-mel (M, T), natural log."""
        frames = mel.shape[1]
        ends = (REACH, REACH + -frames % _LENGTHS)
        padded = functional.pad(normalised(mel.float())[None], ends, mode="replicate")
        features, phones, border = (out[0, ..., :frames] for out in self(padded))
        return NetworkOutput(
            features=features.T.contiguous(),
            phones=torch.log_softmax(phones.T, 1),
            border=functional.logsigmoid(border),
        )


def network_from_tensors(tensors: Mapping[str, Tensor]) -> FrameNet:
    """Build the network that these weights, of any float type, belong to; it computes in float32.

    Raises:
        ValueError: the tensors are not the weights of a `FrameNet`.
    """
    try:
        width, mels, _ = tensors["layers.0.weight"].shape
        phones, features, _ = tensors["phones.weight"].shape
        network = FrameNet(mels, width, features, phones)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"these are not the weights of an aligner's network: {error}") from error
    return network.eval().requires_grad_(False)


class Evidence(nn.Module):
    """The evidence that a network adds to the Gaussians of an aligner's K classes.

    On speech like its training data the network knows phones and borders better than Gaussians can;
    on other speech its phones are often wrong, though its features still help. So its phones are
    weighted by their agreement with the Gaussians: not at all below the first value of `TRUSTED`,
    fully from the second on.
    """

    phone_of: Tensor
    prior: Tensor
    trust: Tensor

    def __init__(self, network: FrameNet, phone_of: Tensor) -> None:
        """Wrap a network for an aligner.

        Args:
            network: the pretrained network.
            phone_of: (K,) int64, the network's phone for each class, -1 where it has none.
        """
        super().__init__()
        self.network = network
        self.register_buffer("phone_of", phone_of)
        self.register_buffer("prior", torch.zeros(network.phones.out_channels))
        self.register_buffer("trust", torch.zeros(()))

    @property
    def share(self) -> float:
        """The weight of the network's phones, from 0 to 1."""
        low, high = TRUSTED
        return min(1.0, max(0.0, (float(self.trust) - low) / (high - low)))

    def set_prior(self, counts: Tensor) -> None:
        """Set the phones' prior from the sums (P,) of the network's posteriors over a sample."""
        self.prior = (counts / counts.sum()).clamp_min(1e-4).log().float()

    def phones(self, output: NetworkOutput, chosen: Tensor, likelihoods: Tensor | None) -> Tensor:
        """Return log-posteriors of classes, divided by the square root of the phones' prior.

        Args:
            output: the network's output for the mel.
            chosen: (C,) the numbers of the classes.
            likelihoods: (T, C) log-likelihoods of the Gaussians, which are used for classes that
                the network does not know; None if there are none yet, then such classes may be
                any sound.

        Returns:
            (T, C) log-posteriors.
        """
        phones = self.phone_of[chosen]
        scores = (output.phones - _PRIOR_SHARE * self.prior)[:, phones.clamp_min(0)]
        if (phones < 0).any():
            if likelihoods is None:
                others = output.phones[:, QUIET + 1 :].amax(1, keepdim=True) - _ANY_SOUND
                others = others.expand_as(scores)
            else:
                others = torch.log_softmax(_TEMPER * likelihoods, 1)
                others = others + _PRIOR_SHARE * math.log(len(chosen))
            scores = torch.where(phones < 0, others, scores)
        return scores

    def silence(self, output: NetworkOutput, silent: Tensor) -> Tensor:
        """Return the log-probabilities that frames are as silent as classes are.

        Args:
            output: the network's output for the mel.
            silent: (C,) bool, classes of silence; all others are sound.

        Returns:
            (T, C) log-probabilities.
        """
        quiet = output.phones[:, QUIET].clamp(-_SUREST, -1e-5)
        sound = torch.log(-torch.expm1(quiet))
        return torch.where(silent, quiet[:, None], sound[:, None])

    def agreement(self, output: NetworkOutput, posteriors: Tensor, chosen: Tensor) -> Tensor:
        """Measure how much the network's phones agree with the posteriors of classes.

        Args:
            output: the network's output for the mel.
            posteriors: (T, C) posteriors of classes; silence and classes that the network does not
                know are left out.
            chosen: (C,) the numbers of the classes.

        Returns:
            (2,) the sum over frames of the network's posterior of the aligned phone, and the number
            of these frames (weighted by the posteriors).
        """
        counted = self.phone_of[chosen] > QUIET
        posteriors = posteriors[:, counted]
        found = output.phones[:, self.phone_of[chosen][counted]].exp()
        return torch.stack([(posteriors * found).sum(), posteriors.sum()])
