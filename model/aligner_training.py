"""Training of the aligner: expectation maximisation from a flat start.

Letters for shapes: B batch, T frames, N tokens, M mel bins, F frames of all examples, D features,
K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
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


_BATCH_CELLS = 1_000_000
"""Frames x states of a batch, padding included: bounds its memory at some 40 MB."""


def _batches(spans: list[_Span]) -> Iterator[list[_Span]]:
    """Examples of similar length together."""
    batch: list[_Span] = []
    width = 0
    for span in sorted(spans, key=lambda s: (s.frames, len(s.states.token), s.first)):
        width = max(width, len(span.states.token))
        if batch and (len(batch) + 1) * span.frames * width > _BATCH_CELLS:
            yield batch
            batch, width = [], len(span.states.token)
        batch.append(span)
    if batch:
        yield batch


def _expect(aligner: Aligner, features: Tensor, spans: list[_Span], posteriors: Tensor) -> float:
    """Write the posterior of each class at each frame; the mean log-likelihood a frame."""
    temper = aligner.config.temper
    total, frames = 0.0, 0
    for batch in _batches(spans):
        counts = torch.tensor([[span.frames, len(span.states.token)] for span in batch])
        longest, width = counts.amax(0).tolist()
        scores = torch.zeros(len(batch), longest, width, dtype=torch.float64)
        entry = torch.zeros(len(batch), width, dtype=torch.float64)
        optional = torch.ones(len(batch), width, dtype=torch.bool)
        for row, span in enumerate(batch):
            likelihoods = aligner.log_likelihoods(features[span.first : span.end])
            end = len(span.states.token)
            scores[row, : span.frames, :end] = likelihoods[:, span.states.classes] * temper
            entry[row, :end] = span.states.entry * temper
            optional[row, :end] = span.states.optional
        sums, shares = path_posteriors(scores, optional, counts[:, 0], counts[:, 1], entry)
        for row, span in enumerate(batch):
            share = shares[row, : span.frames, : len(span.states.token)].float()
            posteriors[span.first : span.end].index_add_(1, span.states.classes, share)
        total += float(sums.sum()) / temper
        frames += int(counts[:, 0].sum())
    return total / frames
