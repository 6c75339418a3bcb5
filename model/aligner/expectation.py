"""Training of the aligner by expectation maximisation, from a flat start or a pretrained network.

Letters for shapes: T frames, N tokens, M mel bins, D features, C classes that occur in an
utterance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ns2.model.aligner.alignment import States
from ns2.model.aligner.evidence import QUIET, FrameNet, NetworkOutput
from ns2.model.aligner.gaussians import Moments
from ns2.model.aligner.hmm import (
    SILENCE,
    SPEECH,
    Aligner,
    AlignerConfig,
    check_example,
    raw_features,
    reproducible,
)
from ns2.model.aligner.kernels import on_all_cores
from ns2.model.aligner.monotonic import path_posteriors
from ns2.model.aligner.refinement import BorderRefiner

Progress = Callable[[int, int, float], None]
"""Called with the passes done, all passes, and the mean negative log-likelihood per frame."""

_BLOCKS = 16
"""The blocks in which moments are added up: sums keep their order on any number of threads."""


@dataclass(frozen=True)
class Pretrained:
    """A network that was trained beforehand, and how its phones map to tokens."""

    network: FrameNet
    """The network itself."""

    phone_of: Tensor
    """(symbols,) int64: the network's phone for each token id, -1 where it has none. Optional
    symbols are silence whatever stands there."""

    refiner: BorderRefiner | None = None
    """A network that moves the borders that are found with this one."""


@dataclass(frozen=True)
class _Example:
    """An utterance of the sample that the aligner trains on."""

    number: int
    """Its position in the sequence of examples."""

    frames: int
    """T, the number of its frames."""

    states: States
    """The states of its tokens."""


def train_aligner(
    examples: Sequence[tuple[Tensor, Tensor]],
    config: AlignerConfig,
    *,
    phone_of: Tensor,
    optional: Tensor,
    seed: int = 0,
    progress: Progress | None = None,
    trained: Pretrained | None = None,
) -> Aligner:
    """Train an aligner on utterances without known boundaries.

    The same examples in the same order give the same bits, whatever the number of threads.

    Args:
        examples: a mel (M, T) and token ids (N,) each. They are read anew in every pass, by several
            threads, and not kept: a sequence that reads them from files needs no memory.
        config: the configuration of the aligner.
        phone_of: (symbols,) int64, one number for all symbols that sound alike, such as one phone
            with different stress. Not used for optional symbols.
        optional: (symbols,) bool, symbols that may last 0 frames; they stand for silence.
        seed: not used, since this method draws no random numbers.
        progress: called after each pass.
        trained: a network that gives the start and further evidence; None starts flat.

    Returns:
        the trained aligner.

    Raises:
        ValueError: there are no examples, or one of them cannot be aligned; the message gives its
            number.
    """
    with reproducible():
        tokens_of, frames_of = _checked_tokens(examples, config, optional)
        aligner = _new_aligner(tokens_of, config, phone_of, optional, trained)
        _set_scale(aligner, examples)
        sample = [
            _Example(number, frames_of[number], States.of(aligner, tokens))
            for number, tokens in enumerate(tokens_of)
        ]
        evidence = aligner.evidence
        start, parts = _passes(aligner, sample)
        moments = _gather(aligner, examples, sample, start).moments
        for done, part in enumerate(parts, 1):
            aligner.fit(moments)
            gathered = _gather(aligner, examples, part, _expect)
            moments = gathered.moments
            if progress is not None:
                progress(done, len(parts), -gathered.likelihood)
            # Once the Gaussians have adapted, they tell how far to trust the network's phones.
            if evidence is not None and done == config.start_passes:
                agreed, frames = gathered.agreement
                evidence.trust = (agreed / frames.clamp_min(1.0)).float()
        aligner.fit(moments)
    return aligner


def _passes(
    aligner: Aligner, sample: list[_Example]
) -> tuple[Callable[[Aligner, States, _Observation], _Shares], list[list[_Example]]]:
    """Return the function that gives the start, and the part of the sample in each pass."""
    config = aligner.config
    if aligner.evidence is not None:
        return _network_start, [sample] * (config.start_passes + config.trust_passes)
    # The first passes use a part of the sample only, since they need not be exact.
    early = [_early_part(sample, config.early_frames)] * config.early_passes
    return _flat_start, [*early, *[sample] * (config.passes - config.early_passes)]


def _checked_tokens(
    examples: Sequence[tuple[Tensor, Tensor]], config: AlignerConfig, optional: Tensor
) -> tuple[list[Tensor], list[int]]:
    """Return the tokens and the number of frames of each example, after checking all of them.

    Raises:
        ValueError: there are no examples, or one of them cannot be aligned.
    """
    if not len(examples):
        raise ValueError("an aligner needs at least one utterance to train on")
    tokens_of, frames_of = [], []
    for number, (mel, tokens) in enumerate(examples):
        try:
            check_example(mel, tokens, config, optional)
        except ValueError as error:
            raise ValueError(f"example {number}: {error}") from error
        tokens_of.append(tokens.long())
        frames_of.append(mel.shape[1])
    return tokens_of, frames_of


def _new_aligner(
    tokens_of: Sequence[Tensor],
    config: AlignerConfig,
    phone_of: Tensor,
    optional: Tensor,
    trained: Pretrained | None,
) -> Aligner:
    """Return an untrained aligner with a class for each phone of the sample's tokens."""
    symbols = torch.unique(torch.cat(list(tokens_of)))
    phones = torch.unique(phone_of[symbols[~optional[symbols]]])
    network, refiner = (None, None) if trained is None else (trained.network, trained.refiner)
    aligner = Aligner(config, len(phone_of), 2 + len(phones), network, refiner)
    # `phones` is sorted, so a phone's class is its place; phones that do not occur are any speech.
    place = torch.searchsorted(phones, phone_of)
    place = place.clamp_max(max(len(phones) - 1, 0))
    known = (
        phones[place] == phone_of if len(phones) else torch.zeros(len(phone_of), dtype=torch.bool)
    )
    classes = torch.where(known, place + 2, SPEECH)
    aligner.class_of = torch.where(optional, SILENCE, classes)
    aligner.optional = optional.clone()
    if aligner.evidence is not None and trained is not None:
        aligner.evidence.phone_of[aligner.class_of] = trained.phone_of
        aligner.evidence.phone_of[:2] = torch.tensor([QUIET, -1])
    return aligner


def _set_scale(aligner: Aligner, examples: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Set the shift and scale that normalise features, and the prior of the network's phones."""
    moments = Moments.zeros(1, len(aligner.shift))
    phone_counts = torch.zeros(())
    for mel, _ in examples:
        output = aligner.analyse(mel)
        if output is not None:
            phone_counts = phone_counts + output.phones.double().exp().sum(0)
        features = raw_features(mel, output, aligner.config)
        moments.add(features, np.ones((len(features), 1)), np.zeros(1, np.int64))
    if aligner.evidence is not None:
        aligner.evidence.set_prior(phone_counts)
    (count,), (sums,) = moments.counts, moments.sums
    if count > 1:
        mean = sums / count
        variance = (moments.products[0].diagonal() - count * mean**2) / (count - 1)
        aligner.shift = torch.tensor(mean, dtype=torch.float32)
        scale = torch.tensor(np.sqrt(np.maximum(variance, 0.0)), dtype=torch.float32)
        aligner.scale = scale.clamp_min(1e-3)


def _early_part(sample: list[_Example], frames: int) -> list[_Example]:
    """Return examples that are spread evenly over the sample and have about so many frames."""
    total = sum(example.frames for example in sample)
    return sample[:: max(1, math.ceil(total / max(frames, 1)))]


@dataclass(frozen=True)
class _Observation:
    """A mel (M, T), the network's output for it, and its normalised features (T, D)."""

    mel: Tensor
    output: NetworkOutput | None
    features: Tensor


@dataclass(frozen=True)
class _Gathered:
    """Moments of a sample, its mean log-likelihood per frame, and its `Evidence.agreement`."""

    moments: Moments
    likelihood: float
    agreement: Tensor


_Shares = tuple[np.ndarray, np.ndarray, float]
"""Weights (T, C) of frames in classes, the numbers (C,) of these classes, and a log-likelihood."""


def _gather(
    aligner: Aligner,
    examples: Sequence[tuple[Tensor, Tensor]],
    sample: list[_Example],
    share: Callable[[Aligner, States, _Observation], _Shares],
) -> _Gathered:
    """Return the moments of a sample, whose frames `share` assigns to classes.

    The result has the same bits on any number of cores.
    """

    def gather_block(block: list[_Example]) -> _Gathered:
        moments = Moments.zeros(len(aligner.log_prior), len(aligner.shift))
        likelihood, agreement = 0.0, torch.zeros(2, dtype=torch.float64)
        for example in block:
            mel = examples[example.number][0]
            # Computed anew in each pass: to keep it would take memory that grows with the sample.
            output = aligner.analyse(mel)
            observed = _Observation(mel, output, aligner.features(mel, output))
            shares, classes, log_sum = share(aligner, example.states, observed)
            moments.add(observed.features, shares, classes)
            likelihood += log_sum
            if aligner.evidence is not None and output is not None:
                posteriors, chosen = torch.from_numpy(shares), torch.from_numpy(classes)
                agreement += aligner.evidence.agreement(output, posteriors, chosen)
        return _Gathered(moments, likelihood, agreement)

    blocks = [block for i in range(_BLOCKS) if (block := sample[i::_BLOCKS])]
    parts = on_all_cores(gather_block, blocks)
    frames = sum(example.frames for example in sample)
    return _Gathered(
        moments=Moments.whole(part.moments for part in parts),
        likelihood=sum(part.likelihood for part in parts) / frames,
        agreement=torch.stack([part.agreement for part in parts]).sum(0),
    )


def _flat_start(aligner: Aligner, states: States, observed: _Observation) -> _Shares:
    """Give all phones equal shares of the frames between the ends of speech; quiet is silence."""
    level = observed.mel.float().mean(0)
    frames = len(level)
    low, high = torch.quantile(level, torch.tensor([0.02, 0.98])).tolist()
    tokens = states.token
    phones = states.classes[torch.diff(tokens, prepend=tokens.new_tensor([-1])) > 0]
    phones = phones[phones != SILENCE]
    labels = torch.full((frames,), SILENCE)
    loud = torch.nonzero(level > low + 0.3 * (high - low)).flatten()
    begin, end = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, frames)
    if end - begin < len(phones):
        begin, end = 0, frames
    if len(phones):
        labels[begin:end] = phones[torch.arange(end - begin) * len(phones) // (end - begin)]
        labels[level < low + 0.15 * (high - low)] = SILENCE
    classes, columns = torch.unique(labels, return_inverse=True)
    return np.eye(len(classes))[columns.numpy()], classes.numpy(), 0.0


def _network_start(aligner: Aligner, states: States, observed: _Observation) -> _Shares:
    """Return the posterior of each class at each frame under the network alone."""
    chosen, columns = states.columns()
    scores = aligner.scores(None, observed.output, chosen)
    return _posteriors(aligner, states, scores, chosen, columns)


def _expect(aligner: Aligner, states: States, observed: _Observation) -> _Shares:
    """Return the posterior of each class at each frame under the sum of all paths."""
    chosen, columns = states.columns()
    likelihoods = aligner.log_likelihoods(observed.features, chosen)
    scores = aligner.scores(likelihoods, observed.output, chosen)
    return _posteriors(aligner, states, scores, chosen, columns)


def _posteriors(
    aligner: Aligner, states: States, scores: Tensor, chosen: Tensor, columns: Tensor
) -> _Shares:
    temper = aligner.config.temper
    shares, log_sum = path_posteriors(
        scores.numpy() * temper,
        states.optional.numpy(),
        states.entry.numpy() * temper,
        columns.numpy(),
    )
    within, first = np.split(shares, 2, axis=1)
    return within + first, chosen.numpy(), log_sum / temper
