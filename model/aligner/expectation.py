"""Training of the aligner: expectation maximisation from a flat start.

Letters for shapes: B batch, T frames, N tokens, M mel bins, F frames of all examples, D features,
K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ns2.model.aligner.evidence import QUIET, FrameNet, Heard
from ns2.model.aligner.gaussians import Moments
from ns2.model.aligner.hmm import (
    SILENCE,
    SPEECH,
    Aligner,
    AlignerConfig,
    States,
    check_example,
    raw_features,
    reproducible,
)
from ns2.model.aligner.kernels import on_all_cores
from ns2.model.aligner.monotonic import path_posteriors

Progress = Callable[[int, int, float], None]
"""Called with passes done, passes in all, and minus the mean log-likelihood a frame."""


_BLOCKS = 16
"""In which moments are added up, whatever the number of threads: sums keep their order."""


@dataclass(frozen=True)
class Pretrained:
    """A network and what it knows.

    Attributes:
        phone_of: (symbols,) int64, its phone for each token id, -1 where it has none. Optional
            symbols are silence whatever stands there.
    """

    network: FrameNet
    phone_of: Tensor


@dataclass(frozen=True)
class _Example:
    """An utterance to train on: its number, frames, and the states of its tokens."""

    number: int
    frames: int
    states: States


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
        examples: (mel (M, T), tokens (N,) ids) each. They are asked for again in every pass, by
            several threads, and not kept: a sequence that reads them from files needs no memory.
        phone_of: (symbols,) int64, one number for all symbols that sound alike, such as one
            phone with different stress. Not used for optional symbols.
        optional: (symbols,) bool, symbols that may last 0 frames; they stand for silence.
        seed: kept for methods that draw random numbers; this one draws none.
        progress: called after each pass.
        trained: a network that gives the start and further evidence; None starts flat.

    Raises:
        ValueError: no examples, or one that cannot be aligned; it is named by its number.
    """
    with reproducible():
        aligner, sample = _prepare(examples, config, phone_of, optional, trained)
        evidence = aligner.evidence
        if evidence is None:
            start = _flat_start
            part = _early_part(sample, config.early_frames)
            parts = [part] * config.early_passes
            parts += [sample] * (config.passes - config.early_passes)
        else:
            start = _heard_start
            parts = [sample] * (config.start_passes + config.trust_passes)
        moments = _gather(aligner, examples, sample, start).moments
        for done, chosen in enumerate(parts):
            aligner.fit(moments)
            found = _gather(aligner, examples, chosen, _expect)
            moments = found.moments
            if progress is not None:
                progress(done + 1, len(parts), -found.likelihood)
            if evidence is not None and done + 1 == config.start_passes:
                agreed, of = found.agreement
                evidence.trust = (agreed / of.clamp_min(1.0)).float()
        aligner.fit(moments)
    return aligner


def _prepare(
    examples: Sequence[tuple[Tensor, Tensor]],
    config: AlignerConfig,
    phone_of: Tensor,
    optional: Tensor,
    trained: Pretrained | None,
) -> tuple[Aligner, list[_Example]]:
    """An untrained aligner with its classes and the scale of its features, and the examples."""
    if not len(examples):
        raise ValueError("an aligner needs at least one utterance to train on")
    seen, frames = [], []
    for number, (mel, tokens) in enumerate(examples):
        try:
            check_example(mel, tokens, config, optional)
        except ValueError as error:
            raise ValueError(f"example {number}: {error}") from error
        seen.append(tokens.long())
        frames.append(mel.shape[1])
    symbols = torch.unique(torch.cat(seen))
    phones = torch.unique(phone_of[symbols[~optional[symbols]]])
    network = None if trained is None else trained.network
    aligner = Aligner(config, len(phone_of), 2 + len(phones), network)
    place = torch.searchsorted(phones, phone_of)
    place = place.clamp_max(max(len(phones) - 1, 0))
    known = (
        phones[place] == phone_of if len(phones) else torch.zeros(len(phone_of), dtype=torch.bool)
    )
    classes = torch.where(known, place + 2, SPEECH)
    aligner.class_of = torch.where(optional, SILENCE, classes)
    aligner.optional = optional.clone()

    moments = Moments.zeros(1, len(aligner.shift))
    if aligner.evidence is not None and trained is not None:
        aligner.evidence.phone_of[aligner.class_of] = trained.phone_of
        aligner.evidence.phone_of[:2] = torch.tensor([QUIET, -1])
    heard_phones = torch.zeros(())
    for mel, _ in examples:
        heard = aligner.hear(mel)
        if heard is not None:
            heard_phones = heard_phones + heard.phones.double().exp().sum(0)
        features = raw_features(mel, heard, config)
        moments.add(features, np.ones((len(features), 1)), np.zeros(1, np.int64))
    if aligner.evidence is not None:
        aligner.evidence.set_prior(heard_phones)
    (count,), (sums,) = moments.counts, moments.sums
    if count > 1:
        mean = sums / count
        variance = (moments.products[0].diagonal() - count * mean**2) / (count - 1)
        aligner.shift = torch.tensor(mean, dtype=torch.float32)
        scale = torch.tensor(np.sqrt(np.maximum(variance, 0.0)), dtype=torch.float32)
        aligner.scale = scale.clamp_min(1e-3)
    return aligner, [
        _Example(number, frames[number], States.of(aligner, tokens))
        for number, tokens in enumerate(seen)
    ]


def _early_part(sample: list[_Example], frames: int) -> list[_Example]:
    """Examples spread evenly over the sample, about as many frames as asked for."""
    total = sum(example.frames for example in sample)
    return sample[:: max(1, math.ceil(total / max(frames, 1)))]


@dataclass(frozen=True)
class _Seen:
    """A mel (M, T), what the network made of it, and its normalised features (T, D)."""

    mel: Tensor
    heard: Heard | None
    features: Tensor


@dataclass(frozen=True)
class _Gathered:
    """Moments of a sample, the mean log-likelihood a frame, and `Evidence.agreement`."""

    moments: Moments
    likelihood: float
    agreement: Tensor


_Shares = tuple[np.ndarray, np.ndarray, float]
"""(T, C) how much of each frame belongs to each of some classes, these (C,), a log-likelihood."""


def _gather(
    aligner: Aligner,
    examples: Sequence[tuple[Tensor, Tensor]],
    sample: list[_Example],
    share: Callable[[Aligner, States, _Seen], _Shares],
) -> _Gathered:
    """Moments of a sample whose frames are shared out; the same bits on any number of cores."""

    def gather_block(block: list[_Example]) -> _Gathered:
        moments = Moments.zeros(len(aligner.log_prior), len(aligner.shift))
        likelihood, agreement = 0.0, torch.zeros(2, dtype=torch.float64)
        for example in block:
            mel = examples[example.number][0]
            # Heard anew in each pass: to keep it would take memory that grows with the sample.
            heard = aligner.hear(mel)
            seen = _Seen(mel, heard, aligner.features(mel, heard))
            shares, classes, log_sum = share(aligner, example.states, seen)
            moments.add(seen.features, shares, classes)
            likelihood += log_sum
            if aligner.evidence is not None and heard is not None:
                found, chosen = torch.from_numpy(shares), torch.from_numpy(classes)
                agreement += aligner.evidence.agreement(heard, found, chosen)
        return _Gathered(moments, likelihood, agreement)

    blocks = [block for i in range(_BLOCKS) if (block := sample[i::_BLOCKS])]
    parts = on_all_cores(gather_block, blocks)
    frames = sum(example.frames for example in sample)
    return _Gathered(
        moments=Moments.whole(part.moments for part in parts),
        likelihood=sum(part.likelihood for part in parts) / frames,
        agreement=torch.stack([part.agreement for part in parts]).sum(0),
    )


def _flat_start(aligner: Aligner, states: States, seen: _Seen) -> _Shares:
    """Phones cut evenly between the ends of speech, and quiet is silence."""
    level = seen.mel.float().mean(0)
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


def _heard_start(aligner: Aligner, states: States, seen: _Seen) -> _Shares:
    """The posterior of each class at each frame, as the network alone tells it."""
    chosen, columns = states.columns()
    return _posteriors(aligner, states, aligner.scores(None, seen.heard, chosen), chosen, columns)


def _expect(aligner: Aligner, states: States, seen: _Seen) -> _Shares:
    """The posterior of each class at each frame, under the sum of all paths."""
    chosen, columns = states.columns()
    likelihoods = aligner.log_likelihoods(seen.features, chosen)
    scores = aligner.scores(likelihoods, seen.heard, chosen)
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
