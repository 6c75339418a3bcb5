"""The aligner, a hidden Markov model that is trained on the corpus itself, and its use.

Each phone, stress removed, is one Gaussian with full covariance over cepstra of the mel and their
slopes; silence, word borders and punctuation share one. It is trained from a flat start by
expectation maximisation: the posteriors are exact sums over all monotonic paths (the forward sum of
Badlani et al. 2021, "One TTS alignment to rule them all"), in which silent tokens may be skipped.
Durations are the best path under the log-likelihoods: see `alignment.py`. A pretrained network may
give the start, more features and further evidence: see `evidence.py`.

The model is generative on purpose. It sees one frame and its two neighbours, so a border falls
where the sound changes. A network that is trained with the same sum may shift its output by a few
frames as long as the order is right. On 60 utterances with known borders, in one trial each, such a
network reached a mean error of 19 ms, a first version of these Gaussians 10.7 ms, and small
networks trained on its alignments 11.2 to 12.8 ms.

Letters for shapes: T frames, N tokens, S states, M mel bins, D features, K classes, C classes that
occur in an utterance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.aligner.aligner_config import VERSION, AlignerConfig
from ns2.model.aligner.evidence import Evidence, FrameNet, NetworkOutput, network_from_tensors
from ns2.model.aligner.gaussians import Gaussians, Moments
from ns2.model.aligner.monotonic import NoPathError
from ns2.model.aligner.refinement import BorderRefiner, refiner_from_tensors

_DRAWN = 32
"""The frames of each class that tell what is usual."""
SILENCE, SPEECH = 0, 1
"""The first two classes: silent tokens, and all phones that did not occur in the sample."""


def cepstra(mel: Tensor, config: AlignerConfig) -> Tensor:
    """Return the cepstra of a log-mel, less their mean over the utterance, and their slopes.

    Args:
        mel: (M, T) natural log.
        config: gives M and the number of cepstra.

    Returns:
        (T, D) with D = 2 * config.cepstra. The slope spans one frame on either side, so features
        are symmetric about their frame: no border is pulled to one side.
    """
    order = torch.arange(config.cepstra, dtype=torch.float64)[:, None]
    place = torch.arange(config.mels, dtype=torch.float64) + 0.5
    transform = torch.cos(math.pi / config.mels * order * place) * math.sqrt(2 / config.mels)
    values = transform.float() @ mel
    values = values - values.mean(1, keepdim=True)
    padded = functional.pad(values[None], (1, 1), mode="replicate")[0]
    slopes = (padded[:, 2:] - padded[:, :-2]) / 2
    return torch.cat([values, slopes]).T.contiguous()


def raw_features(mel: Tensor, output: NetworkOutput | None, config: AlignerConfig) -> Tensor:
    """Return features (T, D), not normalised: cepstra and, if there is a network, its features."""
    values = cepstra(mel.float(), config)
    return values if output is None else torch.cat([values, output.features], 1)


class Aligner(nn.Module):
    """The trained classes; all values are buffers, nothing is learned by gradient descent.

    Class 0 is silence, class 1 any speech, classes 2 and up are the phones of the sample.
    """

    class_of: Tensor
    optional: Tensor
    shift: Tensor
    scale: Tensor
    log_prior: Tensor

    def __init__(
        self,
        config: AlignerConfig,
        symbols: int,
        classes: int,
        network: FrameNet | None = None,
        refiner: BorderRefiner | None = None,
    ) -> None:
        """Make an untrained aligner.

        Args:
            config: the configuration.
            symbols: the number of token ids.
            classes: K, the number of classes.
            network: a pretrained network that gives further evidence, if any.
            refiner: one that moves the borders that are found with this evidence, if any.
        """
        super().__init__()
        self.config = config
        self.evidence = None
        self.refiner = refiner
        width = 2 * config.cepstra
        if network is not None:
            self.evidence = Evidence(network, torch.full((classes,), -1))
            width += network.features.out_channels
        self.gaussians = Gaussians(classes, width)
        self.register_buffer("class_of", torch.zeros(symbols, dtype=torch.int64))
        self.register_buffer("optional", torch.ones(symbols, dtype=torch.bool))
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("log_prior", torch.full((classes,), -math.log(classes)))

    def analyse(self, mel: Tensor) -> NetworkOutput | None:
        """Return the network's output for a log-mel (M, T); None if there is no network."""
        return None if self.evidence is None else self.evidence.network.analyse(mel)

    def features(self, mel: Tensor, output: NetworkOutput | None) -> Tensor:
        """Return normalised features (T, D) of a log-mel (M, T) and its output of `analyse`."""
        return (raw_features(mel, output, self.config) - self.shift) / self.scale

    def log_likelihoods(self, features: Tensor, chosen: Tensor | slice = slice(None)) -> Tensor:
        """Return the log density of each frame under each class, up to a shared constant.

        Args:
            features: (T, D) normalised features.
            chosen: the numbers of the C classes to look at; all by default.

        Returns:
            (T, C) log densities.
        """
        likelihoods: Tensor = self.gaussians(features, chosen)
        return likelihoods

    def scores(
        self, likelihoods: Tensor | None, output: NetworkOutput | None, chosen: Tensor
    ) -> Tensor:
        """Return what each frame adds to a path's score in each class.

        Args:
            likelihoods: (T, C) log-likelihoods of the chosen classes; None before there are any.
            output: the network's output, if there is a network.
            chosen: (C,) the numbers of the classes.

        Returns:
            (T, 2 * C): the scores of frames within a phone, then those of the first frame of a
            phone; `States.columns` gives each state's column.
        """
        config, evidence = self.config, self.evidence
        if evidence is None or output is None:
            assert likelihoods is not None
            return torch.cat([likelihoods, likelihoods], 1)
        share = 1.0 if likelihoods is None else evidence.share
        within = torch.zeros(len(output.border), len(chosen))
        if likelihoods is not None:
            within += likelihoods * (1 - (1 - config.trusted_gaussians) * share)
        if share:
            phones = evidence.phones(output, chosen, likelihoods)
            within += phones * config.phone_weight * share
        if config.silence_weight and likelihoods is not None:
            weight = config.silence_weight * (1 - (1 - config.trusted_silence) * share)
            within += evidence.silence(output, chosen == SILENCE) * weight
        return torch.cat([within, within + config.border_weight * output.border[:, None]], 1)

    @cached_property
    def usual(self) -> np.ndarray:
        """(K,) the log posterior that each class should have in its own frames, on average.

        It is that of frames drawn from the class, the same ones in each call.
        """
        gaussians, (classes, width) = self.gaussians, self.gaussians.means.shape
        noise = torch.from_numpy(np.random.default_rng(0).normal(size=(1, width, _DRAWN))).float()
        frames = torch.linalg.solve_triangular(
            gaussians.whiten, noise.expand(classes, -1, -1), upper=False
        )
        frames = (frames + gaussians.means[:, :, None]).transpose(1, 2).reshape(-1, width)
        posteriors = self.posteriors(self.log_likelihoods(frames)).view(classes, _DRAWN, classes)
        return posteriors.diagonal(dim1=0, dim2=2).mean(0).numpy()

    def posteriors(self, likelihoods: Tensor) -> Tensor:
        """Return log posteriors of the classes (T, K), float64, from likelihoods (T, K)."""
        posteriors = torch.log_softmax((likelihoods + self.log_prior).double(), 1)
        # A phone that is not in the sample may sound like any other phone.
        posteriors[:, SPEECH] = torch.logsumexp(posteriors[:, SPEECH:], 1).clamp_max(0.0)
        return posteriors

    def fit(self, moments: Moments) -> None:
        """Fit the classes to the moments of a sample's features.

        The class of any speech gets the frames of all phones together, and its mean is the prior
        mean of each phone.
        """
        config, phones = self.config, slice(SPEECH + 1, None)
        for values in (moments.counts, moments.sums, moments.products):
            values[SPEECH] = values[phones].sum(0)
        counts = torch.from_numpy(moments.counts)
        speech = torch.from_numpy(moments.sums[SPEECH]) / counts[SPEECH].clamp_min(1.0)
        prior = torch.cat([speech, speech.new_tensor([config.mean_prior])])
        self.gaussians.fit(
            moments,
            prior=prior.repeat(len(counts), 1),
            shared=config.covariance_prior,
            floor=config.noise_floor,
        )
        frames = counts.sum() - counts[SPEECH]
        shares = (counts + 1.0) / (frames + len(counts))
        shares[SPEECH] = 1e-6  # it has no frames of its own: they belong to the phones
        self.log_prior = shares.log().float()


@contextmanager
def reproducible() -> Iterator[None]:
    """Run torch on one thread, where its CPU kernels give the same bits for the same input."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)


def check_example(mel: Tensor, tokens: Tensor, config: AlignerConfig, optional: Tensor) -> None:
    """Check that an utterance can be aligned.

    Args:
        mel: should be (M, T), finite.
        tokens: should be (N,) ids.
        config: gives M.
        optional: (symbols,) bool, symbols that may last 0 frames.

    Raises:
        ValueError: a shape, an id or a value is wrong.
        NoPathError: it has more phones than frames.
    """
    if mel.dim() != 2 or mel.shape[0] != config.mels or mel.shape[1] == 0:
        raise ValueError(f"expected a mel of ({config.mels}, T), got {tuple(mel.shape)}")
    if not torch.isfinite(mel).all():
        raise ValueError("the mel holds values that are not finite")
    if tokens.dim() != 1 or len(tokens) == 0:
        raise ValueError(f"expected tokens (N,), got {tuple(tokens.shape)}")
    if int(tokens.min()) < 0 or int(tokens.max()) >= len(optional):
        raise ValueError(f"token ids must lie in [0, {len(optional)})")
    phones = int((~optional[tokens]).sum())
    if phones > mel.shape[1]:
        raise NoPathError(f"{phones} phones need as many frames, got {mel.shape[1]}")


def aligner_to_tensors(aligner: Aligner) -> dict[str, Tensor]:
    """Return all values of a trained aligner but its configuration."""
    return {name: value.detach().clone() for name, value in aligner.state_dict().items()}


def aligner_from_tensors(config: AlignerConfig, tensors: Mapping[str, Tensor]) -> Aligner:
    """Build the aligner that `aligner_to_tensors` took apart.

    Raises:
        ValueError: the tensors are not those of an aligner with this configuration.
    """
    try:
        network, refiner = (_part(tensors, name) for name in ("evidence.network.", "refiner."))
        aligner = Aligner(
            config,
            len(tensors["class_of"]),
            len(tensors["log_prior"]),
            network_from_tensors(network) if network else None,
            refiner_from_tensors(refiner) if refiner else None,
        )
        aligner.load_state_dict(dict(tensors))
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"these are not the weights of an aligner with this configuration: {error}"
        ) from error
    return aligner


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of a part of an aligner, by their names in it."""
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


__all__ = [
    "SILENCE",
    "SPEECH",
    "VERSION",
    "Aligner",
    "AlignerConfig",
    "aligner_from_tensors",
    "aligner_to_tensors",
    "cepstra",
    "check_example",
    "raw_features",
    "reproducible",
]
