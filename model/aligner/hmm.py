"""Which frames belong to which phoneme: an aligner that trains on the corpus itself.

Each phone, stress removed, is one Gaussian with full covariance over cepstra of the mel and
their slopes; silence, word borders and punctuation share one. It is trained from a flat start by
expectation maximisation: the posteriors are exact sums over all monotonic paths (the forward
sum of Badlani et al. 2021, "One TTS alignment to rule them all"), in which silent tokens may be
skipped. Durations are the best path under the log-likelihoods. A network that was trained elsewhere
may give the start, more features and further evidence: see `aligner_features.py`.

A generative model is the point. It sees one frame and its two neighbours, so a boundary falls
where the sound changes. A network trained with the same sum is free to move its output by some
frames as long as it tells the order. On 60 utterances of known truth, in one trial each, such a
network ended at a mean error of 19 ms, a first version of these Gaussians at 10.7 ms, and small
networks trained on its alignments at 11.2 to 12.8 ms.

Letters for shapes: B batch, T frames, N tokens, M mel bins, D features, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.aligner.aligner_config import VERSION, AlignerConfig
from ns2.model.aligner.confidence import border_confidence
from ns2.model.aligner.evidence import Evidence, FrameNet, Heard, network_from_tensors
from ns2.model.aligner.gaussians import Gaussians, Moments
from ns2.model.aligner.monotonic import NoPathError, monotonic_search, path_posteriors

SILENCE, SPEECH = 0, 1
"""The first two classes: silent tokens, and any phone that the sample did not hold."""


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """What `align` gives.

    Attributes:
        durations: (N,) int64 frames, their sum is T.
        score: log posterior of the class on the path, at most 0, the smaller of two means: over
            frames, which falls with speech that the transcript does not hold, and over phones
            (of each its mean), which falls with phones that are not said. It is relative to what
            the other classes make of the same frames.
        confidence: (N,) float64 probability, under the forward sum that the aligner was trained
            with, that each token starts within one frame of where the path puts it; a token of 0
            frames stands for the border that it lies at. None unless asked for.
    """

    durations: Tensor
    score: float
    confidence: Tensor | None = None


def cepstra(mel: Tensor, config: AlignerConfig) -> Tensor:
    """Cepstra of a log-mel less their mean over the utterance, and their slopes.

    Args:
        mel: (M, T) natural log.

    Returns:
        (T, D) with D = 2 * config.cepstra. The slope spans one frame on either side, so features
        are symmetric about their frame: no boundary is pulled to one side.
    """
    order = torch.arange(config.cepstra, dtype=torch.float64)[:, None]
    place = torch.arange(config.mels, dtype=torch.float64) + 0.5
    transform = torch.cos(math.pi / config.mels * order * place) * math.sqrt(2 / config.mels)
    values = transform.float() @ mel
    values = values - values.mean(1, keepdim=True)
    padded = functional.pad(values[None], (1, 1), mode="replicate")[0]
    slopes = (padded[:, 2:] - padded[:, :-2]) / 2
    return torch.cat([values, slopes]).T.contiguous()


def raw_features(mel: Tensor, heard: Heard | None, config: AlignerConfig) -> Tensor:
    """(T, D) cepstra and, where a network has heard the mel, its features."""
    values = cepstra(mel.float(), config)
    return values if heard is None else torch.cat([values, heard.features], 1)


class Aligner(nn.Module):
    """The trained classes; all values are buffers, nothing is learned by gradient.

    Classes are numbered 0 silence, 1 any speech, 2 and up the phones of the sample.
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
    ) -> None:
        """Make an untrained aligner.

        Args:
            symbols: how many token ids there are.
            classes: K.
            network: what else there is to hear with.
        """
        super().__init__()
        self.config = config
        self.evidence = None
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

    def hear(self, mel: Tensor) -> Heard | None:
        """What the network makes of a log-mel (M, T); None without one."""
        return None if self.evidence is None else self.evidence.network.hear(mel)

    def features(self, mel: Tensor, heard: Heard | None) -> Tensor:
        """(T, D) normalised features of a log-mel (M, T), and of what `hear` gave for it."""
        return (raw_features(mel, heard, self.config) - self.shift) / self.scale

    def log_likelihoods(self, features: Tensor, chosen: Tensor | slice = slice(None)) -> Tensor:
        """(T, K) log density of each frame under each class, but for a shared constant.

        Args:
            chosen: numbers of the classes to look at, all by default; K is how many they are.
        """
        likelihoods: Tensor = self.gaussians(features, chosen)
        return likelihoods

    def scores(self, likelihoods: Tensor | None, heard: Heard | None, chosen: Tensor) -> Tensor:
        """What a path gains by each frame in each class, in columns as `States.columns` counts.

        Args:
            likelihoods: (T, C) of the classes chosen; None before there are any.
            chosen: (C,) numbers of classes.

        Returns:
            (T, 2 * C): a frame within a phone, then the first frame of a phone.
        """
        config, evidence = self.config, self.evidence
        if evidence is None or heard is None:
            assert likelihoods is not None
            return torch.cat([likelihoods, likelihoods], 1)
        share = 1.0 if likelihoods is None else evidence.share
        within = torch.zeros(len(heard.border), len(chosen))
        if likelihoods is not None:
            within += likelihoods * (1 - (1 - config.trusted_gaussians) * share)
        if share:
            phones = evidence.phones(heard, chosen, likelihoods)
            within += phones * config.phone_weight * share
        return torch.cat([within, within + config.border_weight * heard.border[:, None]], 1)

    def fit(self, moments: Moments) -> None:
        """Fit the classes to the moments of a sample's features.

        Any speech gets what all phones get together; phones lean towards its mean.
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
        shares[SPEECH] = 1e-6  # nothing of its own: its frames are the phones'
        self.log_prior = shares.log().float()


@contextmanager
def reproducible() -> Iterator[None]:
    """One thread for torch, whose kernels on the CPU then give the same bits for the same input."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)


def check_example(mel: Tensor, tokens: Tensor, config: AlignerConfig, optional: Tensor) -> None:
    """Refuse an utterance that can't be aligned.

    Raises:
        ValueError: what is wrong with it; NoPathError if it has more phones than frames.
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


@dataclass(frozen=True)
class States:
    """The states that the tokens of an utterance unroll into, in order; (S,) each.

    A phone of n states may last fewer frames than n, at a price: its last state costs
    `short_cost`, each state before it gives an equal part of that back.

    `first` marks the first state of phones that have several. What a border costs at a frame is
    charged there; a path gains nothing by staying, since its next state can only cost less.
    """

    token: Tensor  # int64, the token that a state belongs to
    classes: Tensor  # int64
    optional: Tensor  # bool
    entry: Tensor  # float64
    first: Tensor  # bool

    def columns(self) -> tuple[Tensor, Tensor]:
        """(C,) the classes that occur, rising, and each state's column of `Aligner.scores`."""
        chosen, columns = torch.unique(self.classes, return_inverse=True)
        return chosen, columns + len(chosen) * self.first

    @classmethod
    def of(cls, aligner: Aligner, tokens: Tensor) -> States:
        """Unroll tokens (N,)."""
        count, cost = aligner.config.phone_states, aligner.config.short_cost
        optional = aligner.optional[tokens]
        token = torch.repeat_interleave(torch.arange(len(tokens)), torch.where(optional, 1, count))
        last = torch.ones(len(token), dtype=torch.bool)
        last[:-1] = token[1:] != token[:-1]
        entry = torch.where(last, -cost, cost / max(count - 1, 1)).double()
        silent = optional[token]
        if count == 1:
            silent = torch.ones_like(silent)
        return cls(
            token=token,
            classes=aligner.class_of[tokens][token],
            optional=optional[token] | ~last,
            entry=entry.masked_fill(silent, 0.0),
            first=~last & ~silent & (torch.cat([token[:1] - 1, token[:-1]]) != token),
        )


def align(aligner: Aligner, mel: Tensor, tokens: Tensor, *, confidence: bool = False) -> Alignment:
    """Durations of the tokens of one utterance; the same bits whatever the number of threads.

    Args:
        mel: (M, T) natural log.
        tokens: (N,) ids; ids that were not in the sample get the class of their phone, or of
            speech in general.
        confidence: give the confidence of each border too; takes twice as long.

    Raises:
        ValueError: shapes or ids don't fit, or there are more phones than frames.
    """
    tokens = tokens.long()
    check_example(mel, tokens, aligner.config, aligner.optional)
    with reproducible():
        heard = aligner.hear(mel)
        likelihoods = aligner.log_likelihoods(aligner.features(mel, heard))
        states = States.of(aligner, tokens)
        chosen, place = states.columns()
        scores = aligner.scores(likelihoods[:, chosen], heard, chosen).numpy()
        columns = place.numpy()
        path = monotonic_search(scores, states.optional.numpy(), states.entry.numpy(), columns)
        durations = torch.zeros(len(tokens), dtype=torch.int64)
        durations.index_add_(0, states.token, torch.from_numpy(path))
        score = _score(aligner, likelihoods, tokens, durations)
        sure = _confidence(aligner, scores, columns, states, durations) if confidence else None
    return Alignment(durations=durations, score=score, confidence=sure)


def _score(aligner: Aligner, likelihoods: Tensor, tokens: Tensor, durations: Tensor) -> float:
    posteriors = torch.log_softmax((likelihoods + aligner.log_prior).double(), 1)
    # A phone that was never heard may sound like any of the others.
    posteriors[:, SPEECH] = torch.logsumexp(posteriors[:, SPEECH:], 1).clamp_max(0.0)
    token = torch.repeat_interleave(torch.arange(len(tokens)), durations)
    on_path = posteriors[torch.arange(len(token)), aligner.class_of[tokens[token]]]
    phones = ~aligner.optional[tokens]
    each = torch.zeros(len(tokens), dtype=torch.float64).index_add_(0, token, on_path)
    each = each[phones] / durations[phones]
    return float(min(on_path.mean(), each.mean())) if len(each) else float(on_path.mean())


def _confidence(
    aligner: Aligner, scores: np.ndarray, columns: np.ndarray, states: States, durations: Tensor
) -> Tensor:
    temper = aligner.config.temper
    posteriors, _ = path_posteriors(
        scores[:, columns] * temper, states.optional.numpy(), states.entry.numpy() * temper
    )
    return torch.from_numpy(border_confidence(posteriors, states.token.numpy(), durations.numpy()))


def aligner_to_tensors(aligner: Aligner) -> dict[str, Tensor]:
    """All that a trained aligner holds beside its configuration."""
    return {name: value.detach().clone() for name, value in aligner.state_dict().items()}


def aligner_from_tensors(config: AlignerConfig, tensors: Mapping[str, Tensor]) -> Aligner:
    """The aligner that `aligner_to_tensors` was given.

    Raises:
        ValueError: the tensors are not those of an aligner of this configuration.
    """
    try:
        prefix = "evidence.network."
        weights = {
            name.removeprefix(prefix): value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
        aligner = Aligner(
            config,
            len(tensors["class_of"]),
            len(tensors["log_prior"]),
            network_from_tensors(weights) if weights else None,
        )
        aligner.load_state_dict(dict(tensors))
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"these are not the weights of such an aligner: {error}") from error
    return aligner


__all__ = [
    "SILENCE",
    "SPEECH",
    "VERSION",
    "Aligner",
    "AlignerConfig",
    "Alignment",
    "States",
    "align",
    "aligner_from_tensors",
    "aligner_to_tensors",
    "cepstra",
    "check_example",
    "raw_features",
    "reproducible",
]
