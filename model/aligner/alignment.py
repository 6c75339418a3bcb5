"""The use of a trained aligner: durations of an utterance, and what tells of their borders.

Letters for shapes: T frames, N tokens, S states, M mel bins, K classes, C classes that occur in an
utterance, J tokens that last, E kinds of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ns2.model.aligner.border_evidence import Observed, border_evidence
from ns2.model.aligner.evidence import QUIET, NetworkOutput
from ns2.model.aligner.hmm import Aligner, check_example, reproducible
from ns2.model.aligner.monotonic import monotonic_search
from ns2.model.aligner.refinement import REACH, BorderViews, border_views, refined


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """The alignment of one utterance, as `align` returns it."""

    durations: Tensor
    """(N,) int64 frames; their sum is T."""

    score: float
    """The log posterior of the class on the path, at most 0: the smaller of two means. The mean
    over frames falls with speech that the transcript does not contain, the mean over phones
    (each the mean of its frames) with phones that are not spoken. It is relative to the
    likelihoods of the other classes at the same frames."""

    evidence: np.ndarray | None = None
    """(J, E) what tells of the starts of the J tokens that last, see `border_evidence`. None unless
    requested."""


@dataclass(frozen=True)
class States:
    """The states that the tokens of an utterance unroll into, in order; each array is (S,).

    A phone of n states may last fewer frames than n, at a price: its last state costs `short_cost`,
    and each state before it gives an equal part of that back.
    """

    token: Tensor
    """int64: the token that a state belongs to."""

    classes: Tensor
    """int64: the class of each state."""

    optional: Tensor
    """bool: states that may be skipped."""

    entry: Tensor
    """float64: what is added to a path's score once when it enters a state."""

    first: Tensor
    """bool: the first state of phones that have several. The cost of a border at a frame is
    charged there; a path gains nothing by staying, since its next state can only cost less."""

    def columns(self) -> tuple[Tensor, Tensor]:
        """Return the classes (C,) that occur, ascending, and each state's column of scores."""
        chosen, columns = torch.unique(self.classes, return_inverse=True)
        return chosen, columns + len(chosen) * self.first

    @classmethod
    def of(cls, aligner: Aligner, tokens: Tensor) -> States:
        """Unroll tokens (N,) into states."""
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


def align(aligner: Aligner, mel: Tensor, tokens: Tensor, *, evidence: bool = False) -> Alignment:
    """Find the durations of the tokens of one utterance.

    The result has the same bits on any number of threads.

    Args:
        aligner: a trained aligner.
        mel: (M, T) natural log.
        tokens: (N,) ids; ids that were not in the sample get the class of their phone, or that of
            any speech.
        evidence: whether to gather what tells of each border as well.

    Raises:
        ValueError: shapes or ids do not fit, or there are more phones than frames.
    """
    tokens = tokens.long()
    check_example(mel, tokens, aligner.config, aligner.optional)
    with reproducible():
        heard = _heard(aligner, mel, tokens)
        states = States.of(aligner, tokens)
        columns = torch.searchsorted(heard.chosen, states.classes)
        columns = columns + len(heard.chosen) * states.first
        path = monotonic_search(
            heard.scores, states.optional.numpy(), states.entry.numpy(), columns.numpy()
        )
        durations = torch.zeros(len(tokens), dtype=torch.int64)
        durations.index_add_(0, states.token, torch.from_numpy(path))
        durations = _refined(aligner, heard, tokens, durations)
        score = _score(aligner, heard.posteriors, tokens, durations)
        gathered = _evidence(aligner, heard, tokens, durations) if evidence else None
    return Alignment(durations=durations, score=score, evidence=gathered)


def evidence_of(aligner: Aligner, mel: Tensor, tokens: Tensor, durations: Tensor) -> np.ndarray:
    """Return what tells of each border of durations that are known already: (J, E).

    Args:
        aligner: the aligner that found the durations.
        mel, tokens: as `align` had them.
        durations: (N,) frames, as `align` found them.

    Raises:
        ValueError: shapes or ids do not fit.
    """
    tokens = tokens.long()
    check_example(mel, tokens, aligner.config, aligner.optional)
    if durations.shape != tokens.shape or int(durations.sum()) != mel.shape[1]:
        raise ValueError(f"expected durations of {len(tokens)} tokens and {mel.shape[1]} frames")
    with reproducible():
        return _evidence(aligner, _heard(aligner, mel, tokens), tokens, durations.long())


def views_of(
    aligner: Aligner, mel: Tensor, tokens: Tensor, durations: Tensor, reach: int
) -> BorderViews:
    """Return what is seen around the borders between the tokens that last, see `BorderViews`.

    Args:
        aligner: an aligner that has a network.
        mel, tokens: as `align` had them.
        durations: (N,) frames.
        reach: the frames on either side.
    """
    tokens = tokens.long()
    with reproducible():
        return _views(aligner, _heard(aligner, mel, tokens), tokens, durations, reach)


@dataclass(frozen=True)
class _Heard:
    """What an aligner makes of an utterance, whatever its path.

    Attributes:
        output: of the network, if there is one.
        likelihoods: (T, K) of the Gaussians.
        posteriors: (T, K) float64, log posteriors of the classes.
        chosen: (C,) the classes of the tokens, ascending.
        scores: (T, 2 * C), see `Aligner.scores`.
    """

    output: NetworkOutput | None
    likelihoods: Tensor
    posteriors: Tensor
    chosen: Tensor
    scores: np.ndarray


def _heard(aligner: Aligner, mel: Tensor, tokens: Tensor) -> _Heard:
    output = aligner.analyse(mel)
    likelihoods = aligner.log_likelihoods(aligner.features(mel, output))
    posteriors = aligner.posteriors(likelihoods)
    chosen = torch.unique(aligner.class_of[tokens])
    scores = aligner.scores(likelihoods[:, chosen], output, chosen).numpy()
    return _Heard(output, likelihoods, posteriors, chosen, scores)


def _views(
    aligner: Aligner, heard: _Heard, tokens: Tensor, durations: Tensor, reach: int
) -> BorderViews:
    """Return the views of all borders, `reach` frames wide on either side."""
    assert heard.output is not None and aligner.evidence is not None
    lasting = tokens[durations > 0]
    classes = aligner.class_of[lasting]
    phones = aligner.evidence.phone_of[classes].masked_fill(aligner.optional[lasting], QUIET)
    return border_views(
        heard.output,
        heard.likelihoods,
        classes=classes,
        phones=phones,
        durations=durations[durations > 0],
        trust=aligner.evidence.trust,
        reach=reach,
    )


def _refined(aligner: Aligner, heard: _Heard, tokens: Tensor, durations: Tensor) -> Tensor:
    """Return durations (N,) with their borders moved, if there is a network for that."""
    lasting, refiner = durations > 0, aligner.refiner
    if refiner is None or int(lasting.sum()) < 2:
        return durations
    views = _views(aligner, heard, tokens, durations, REACH)
    found = durations.clone()
    found[lasting] = refined(
        durations[lasting],
        refiner.by_engines(views),
        aligner.optional[tokens[lasting]],
        most=aligner.config.inner_moves,
    )
    return found


def _score(aligner: Aligner, posteriors: Tensor, tokens: Tensor, durations: Tensor) -> float:
    """Return the `Alignment.score` of durations."""
    token = torch.repeat_interleave(torch.arange(len(tokens)), durations)
    on_path = posteriors[torch.arange(len(token)), aligner.class_of[tokens[token]]]
    phones = ~aligner.optional[tokens]
    each = torch.zeros(len(tokens), dtype=torch.float64).index_add_(0, token, on_path)
    each = each[phones] / durations[phones]
    return float(min(on_path.mean(), each.mean())) if len(each) else float(on_path.mean())


def _evidence(aligner: Aligner, heard: _Heard, tokens: Tensor, durations: Tensor) -> np.ndarray:
    """Return the `Alignment.evidence` of durations."""
    classes, count = aligner.class_of[tokens], len(heard.chosen)
    output, network = heard.output, aligner.evidence
    return border_evidence(
        Observed(
            posteriors=heard.posteriors.numpy(),
            likelihoods=heard.likelihoods.numpy(),
            scores=heard.scores[:, :count],
            border=heard.scores[:, count] - heard.scores[:, 0],
            heard=None if output is None else output.phones.numpy(),
            trust=0.0 if network is None else float(network.trust),
            tokens=classes.numpy(),
            columns=torch.searchsorted(heard.chosen, classes).numpy(),
            phones=(classes * 0 - 1 if network is None else network.phone_of[classes]).numpy(),
            silent=aligner.optional[tokens].numpy(),
            durations=durations.numpy(),
            usual=aligner.usual,
        )
    )
