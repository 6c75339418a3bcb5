"""Fits the network that judges borders, and says how well its probabilities are met.

Letters for shapes: B borders, E kinds of evidence, H hidden units.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.aligner.confidence import BorderNet
from ns2.train.bundled.border_trust.changes import CHANGES
from ns2.train.bundled.border_trust.judged import Judged

BINS = 10
_HIDDEN, _STEPS, _BATCH, _RATE = 16, 600, 4096, 0.02
_NETWORKS = 4
"""Networks whose mean log odds count."""
_SILENT = 0.5
"""The weight of the begin of a silence beside that of a phone."""
_FOLDS = 4
"""Parts of the corpora, each of which is judged by networks that learned from the others."""
_SUREST = 1e-6
"""No log odds count beyond those of this probability."""


Borders = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Evidence (B, E), how likely each border is wrong (B,), and its weight (B,), of sum 1."""


def borders_of(judged: Sequence[Judged]) -> Borders:
    """The borders of a corpus.

    Each kind of text has its share of the weight of a corpus.
    """
    evidence = np.concatenate([one.evidence for one in judged])
    wrong = np.concatenate([one.wrong for one in judged])
    phone = np.concatenate([one.phone for one in judged])
    kinds = np.repeat([one.kind for one in judged], [len(one.wrong) for one in judged])
    known = np.isfinite(wrong)
    weight = np.zeros(len(wrong))
    for kind, (share, _) in CHANGES.items():
        chosen = known & (kinds == kind)
        if chosen.any():
            weight[chosen] = share / chosen.sum()
    weight *= np.where(phone, 1.0, _SILENT)
    return evidence[known], wrong[known], (weight / weight.sum())[known]


def fitted(corpora: Sequence[Borders], seed: int) -> BorderNet:
    """Fit the network to the borders of some corpora, each of which counts by its weight.

    One network is surer of corpora that it was fitted to than of others, each in its own way. So
    several are fitted, and what they say on average is what one wider network says
    (Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep
    ensembles"). What is left of that, corpora tell that took no part in a fit: the log odds are
    scaled and moved as fits such borders best (Platt 1999, "Probabilistic outputs for support
    vector machines and comparisons to regularized likelihood methods").
    """
    found = _several(corpora, seed)
    if len(corpora) < _FOLDS:
        return found
    scale, shift = _scaling(*_left_out(corpora, seed))
    return replace(found, out=found.out * scale, out_bias=found.out_bias * scale + shift)


def _left_out(corpora: Sequence[Borders], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidences (B,) of borders by networks that learned from other corpora, with `Borders`'
    probabilities and weights."""
    order, parts = random.Random(seed).sample(range(len(corpora)), len(corpora)), []
    for fold in range(_FOLDS):
        others = [corpora[i] for place, i in enumerate(order) if place % _FOLDS != fold]
        network = _several(others, seed)
        for i in order[fold::_FOLDS]:
            evidence, wrong, weight = corpora[i]
            parts.append((network.confidence(evidence), wrong, weight))
    confidence, wrong, weight = (np.concatenate(values) for values in zip(*parts, strict=True))
    return confidence, wrong, weight


def _scaling(confidence: np.ndarray, wrong: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """By what to multiply log odds (B,), and what to add, so that they fit best."""
    odds = torch.from_numpy(np.clip(confidence, _SUREST, 1 - _SUREST)).logit()
    target, share = torch.from_numpy(1 - wrong), torch.from_numpy(weight / weight.sum())
    values = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([values], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        scaled = values[0] * odds + values[1]
        found = functional.binary_cross_entropy_with_logits(scaled, target, share, reduction="sum")
        found.backward()
        return found

    optimiser.step(loss)
    scale, shift = values.tolist()
    return scale, shift


def _several(corpora: Sequence[Borders], seed: int) -> BorderNet:
    several = [_fitted(corpora, seed + i) for i in range(_NETWORKS)]
    return BorderNet(
        mean=several[0].mean,
        scale=several[0].scale,
        hidden=np.concatenate([one.hidden for one in several], 1),
        hidden_bias=np.concatenate([one.hidden_bias for one in several]),
        out=np.concatenate([one.out for one in several]) / _NETWORKS,
        out_bias=float(np.mean([one.out_bias for one in several])),
    )


def _fitted(corpora: Sequence[Borders], seed: int) -> BorderNet:
    evidence, wrong, weight = (np.concatenate(values) for values in zip(*corpora, strict=True))
    mean, scale = evidence.mean(0), evidence.std(0) + 1e-3
    torch.manual_seed(seed)
    seen = torch.from_numpy(np.clip((evidence - mean) / scale, -4, 4)).float()
    target, share = torch.from_numpy(1 - wrong).float(), torch.from_numpy(weight)
    network = nn.Sequential(nn.Linear(seen.shape[1], _HIDDEN), nn.Tanh(), nn.Linear(_HIDDEN, 1))
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, _STEPS)
    for _ in range(_STEPS):
        drawn = torch.multinomial(share, _BATCH, replacement=True)
        odds = network(seen[drawn])[:, 0]
        loss = functional.binary_cross_entropy_with_logits(odds, target[drawn])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    values = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    return BorderNet(
        mean=mean,
        scale=scale,
        hidden=values["0.weight"].T,
        hidden_bias=values["0.bias"],
        out=values["2.weight"][0],
        out_bias=float(values["2.bias"][0]),
    )


def reliability(
    confidence: np.ndarray, wrong: np.ndarray, weight: np.ndarray
) -> list[tuple[float, float, float]]:
    """How well confidences are met, in `BINS` bins of equal width.

    Args:
        confidence, wrong, weight: (B,) each.

    Returns:
        for each bin that is not empty the weight of its borders, their mean confidence, and the
        share of them that is right.
    """
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = []
    for place in range(BINS):
        chosen = places == place
        if (total := weight[chosen].sum()) > 0:
            means = (weight[chosen] @ confidence[chosen], weight[chosen] @ (1 - wrong[chosen]))
            rows.append((float(total), float(means[0] / total), float(means[1] / total)))
    return rows
