"""Fits the network that judges borders, and says how well its probabilities are met.

Letters for shapes: B borders, E kinds of evidence, H hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ns2.model.aligner.confidence import BorderNet
from ns2.train.bundled.border_trust.changes import CHANGES
from ns2.train.bundled.border_trust.judged import Judged

BINS = 10
_HIDDEN, _STEPS, _BATCH, _RATE = 16, 600, 4096, 0.02
_FOLDS, _NEWTON = 4, 20
_SILENT = 0.5
"""The weight of the begin of a silence beside that of a phone."""


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
    """Fit the network to the borders of some corpora, each of which counts as much.

    A network is surer of corpora that it was fitted to than of others. So its log odds are scaled
    by how well those are met that networks fitted without a corpus give for it, where it is truth
    that tells what is right (Platt 1999, "Probabilistic outputs for support vector machines").
    """
    network = _fitted(corpora, seed)
    apart: list[Borders] = []
    for fold in range(_FOLDS):
        rest = [one for i, one in enumerate(corpora) if i % _FOLDS != fold]
        other = _fitted(rest or corpora, seed)
        for evidence, wrong, weight in corpora[fold::_FOLDS]:
            if np.isin(wrong, (0.0, 1.0)).all():
                apart.append((_odds(other.confidence(evidence)), wrong, weight))
    odds, wrong, weight = (np.concatenate(values) for values in zip(*apart, strict=True))
    factor, more = _scale(odds, wrong, weight)
    return replace(network, out=network.out * factor, out_bias=network.out_bias * factor + more)


def _odds(confidence: np.ndarray) -> np.ndarray:
    clipped = np.clip(confidence, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _scale(odds: np.ndarray, wrong: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The factor and the summand for log odds (B,) that make them most likely, by Newton's way."""
    found = np.array([1.0, 0.0])
    seen = np.stack([odds, np.ones(len(odds))], 1)
    for _ in range(_NEWTON):
        right = 1 / (1 + np.exp(-seen @ found))
        slope = seen.T @ (weight * (1 - wrong - right))
        curve = (seen * (weight * right * (1 - right))[:, None]).T @ seen
        found = found + np.linalg.solve(curve + 1e-9 * np.eye(2), slope)
    return float(found[0]), float(found[1])


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
