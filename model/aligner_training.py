"""Training of the aligner: expectation maximisation from a flat start.

Letters for shapes: B batch, T frames, N tokens, M mel bins, F frames of all examples, D features,
K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ns2.model.aligner import (
    SILENCE,
    SPEECH,
    Aligner,
    AlignerConfig,
    States,
    cepstra,
    check_example,
    reproducible,
)
from ns2.model.kernels import on_all_cores
from ns2.model.monotonic import path_posteriors

Progress = Callable[[int, int, float], None]
"""Called with passes done, passes in all, and minus the mean log-likelihood a frame."""


@dataclass(frozen=True)
class _Span:
    """One example: its rows in the features of the whole sample, and its states."""

    first: int
    end: int
    states: States

    @property
    def frames(self) -> int:
        return self.end - self.first


def train_aligner(
    examples: Sequence[tuple[Tensor, Tensor]],
    config: AlignerConfig,
    *,
    phone_of: Tensor,
    optional: Tensor,
    seed: int = 0,
    progress: Progress | None = None,
) -> Aligner:
    """Train an aligner on utterances without known boundaries.

    The same examples in the same order give the same bits, whatever the number of threads.

    Args:
        examples: (mel (M, T), tokens (N,) ids) each.
        phone_of: (symbols,) int64, one number for all symbols that sound alike, such as one
            phone with different stress. Not used for optional symbols.
        optional: (symbols,) bool, symbols that may last 0 frames; they stand for silence.
        seed: kept for methods that draw random numbers; this one draws none.
        progress: called after each pass.

    Raises:
        ValueError: no examples, or one that cannot be aligned; it is named by its number.
    """
    with reproducible():
        aligner, features, spans = _prepare(examples, config, phone_of, optional)
        posteriors = _flat_start(examples, aligner, spans)
        part = _early_part(spans, config.early_frames)
        for done in range(config.passes):
            aligner.fit(features, posteriors)
            chosen = part if done < config.early_passes else spans
            posteriors.zero_()
            likelihood = _expect(aligner, features, chosen, posteriors)
            if progress is not None:
                progress(done + 1, config.passes, -likelihood)
        aligner.fit(features, posteriors)
    return aligner


def _prepare(
    examples: Sequence[tuple[Tensor, Tensor]],
    config: AlignerConfig,
    phone_of: Tensor,
    optional: Tensor,
) -> tuple[Aligner, Tensor, list[_Span]]:
    """An untrained aligner with its classes, the features of all frames (F, D), the examples."""
    if not examples:
        raise ValueError("an aligner needs at least one utterance to train on")
    for number, (mel, tokens) in enumerate(examples):
        try:
            check_example(mel, tokens, config, optional)
        except ValueError as error:
            raise ValueError(f"example {number}: {error}") from error
    seen = torch.unique(torch.cat([tokens for _, tokens in examples]).long())
    phones = torch.unique(phone_of[seen[~optional[seen]]])
    aligner = Aligner(config, len(phone_of), 2 + len(phones))
    place = torch.searchsorted(phones, phone_of)
    place = place.clamp_max(max(len(phones) - 1, 0))
    known = (
        phones[place] == phone_of if len(phones) else torch.zeros(len(phone_of), dtype=torch.bool)
    )
    classes = torch.where(known, place + 2, SPEECH)
    aligner.class_of = torch.where(optional, SILENCE, classes)
    aligner.optional = optional.clone()

    pieces = [cepstra(mel.float(), config) for mel, _ in examples]
    features = torch.cat(pieces)
    aligner.shift = features.mean(0)
    aligner.scale = features.std(0).clamp_min(1e-3) if len(features) > 1 else aligner.scale
    spans, first = [], 0
    for piece, (_, tokens) in zip(pieces, examples, strict=True):
        spans.append(_Span(first, first + len(piece), States.of(aligner, tokens.long())))
        first += len(piece)
    return aligner, (features - aligner.shift) / aligner.scale, spans


def _early_part(spans: list[_Span], frames: int) -> list[_Span]:
    """Examples spread evenly over the sample, about as many frames as asked for."""
    total = sum(span.frames for span in spans)
    return spans[:: max(1, math.ceil(total / max(frames, 1)))]


def _flat_start(
    examples: Sequence[tuple[Tensor, Tensor]], aligner: Aligner, spans: list[_Span]
) -> Tensor:
    """(F, K) first posteriors: phones cut evenly between the ends of speech, quiet is silence."""
    posteriors = torch.zeros(spans[-1].end, len(aligner.log_prior))
    for (mel, tokens), span in zip(examples, spans, strict=True):
        level = mel.float().mean(0)
        low, high = torch.quantile(level, torch.tensor([0.02, 0.98])).tolist()
        phones = aligner.class_of[tokens.long()]
        phones = phones[phones != SILENCE]
        labels = torch.full((span.frames,), SILENCE)
        loud = torch.nonzero(level > low + 0.3 * (high - low)).flatten()
        begin, end = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, span.frames)
        if end - begin < len(phones):
            begin, end = 0, span.frames
        if len(phones):
            labels[begin:end] = phones[torch.arange(end - begin) * len(phones) // (end - begin)]
            labels[level < low + 0.15 * (high - low)] = SILENCE
        posteriors[torch.arange(span.first, span.end), labels] = 1.0
    return posteriors


def _expect(aligner: Aligner, features: Tensor, spans: list[_Span], posteriors: Tensor) -> float:
    """Write the posterior of each class at each frame; the mean log-likelihood a frame."""
    temper = aligner.config.temper

    def expect_one(span: _Span) -> float:
        """Write this example's rows, which no other one touches."""
        states, rows = span.states, slice(span.first, span.end)
        classes, columns = torch.unique(states.classes, return_inverse=True)
        likelihoods = aligner.log_likelihoods(features[rows], classes)
        shares, log_sum = path_posteriors(
            likelihoods.numpy() * temper,
            states.optional.numpy(),
            states.entry.numpy() * temper,
            columns.numpy(),
        )
        posteriors[rows, classes] = torch.from_numpy(shares).float()
        return log_sum / temper

    # Added up in the order of the examples: the same bits on any number of cores.
    likelihood = sum(on_all_cores(expect_one, spans))
    return likelihood / sum(span.frames for span in spans)
