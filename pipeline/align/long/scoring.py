"""What each frame of a long recording costs in each class of sound.

The network that comes with ns2 hears phones. It knows the sounds of many languages and no voice; an
aligner that was trained on the parts of a recording that fit best placed fewer words rightly, since
what it learns from some minutes fits those minutes too well. Frames are counted in pairs (37.5 a
second).

Letters for shapes: T frames of the mel, H = ceil(T / 2) pairs, K columns of costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ns2.model.aligner.long_search import STEPS, quantised
from ns2.pipeline.align.bundled_network import NetworkName, bundled_network
from ns2.pipeline.align.long.recorded import Recorded
from ns2.pipeline.dataset.phoneme_table import PhonemeTable

if TYPE_CHECKING:
    from torch import Tensor

PAIR = 2
"""Frames of the mel that are one frame of the search."""
_WORST = 255
_STEADY_SECONDS, _STEADY_MEAN, _STEADY_COST = 0.6, 2.2, 8.0
"""Where the best phone's mean cost over so many seconds is below the second value, every phone
costs the third. In white noise it is 0.5 to 1.5 nats, in speech rarely below 3."""
_BLOCK = 4096
_NETWORK: NetworkName = "bundled-1"
"""The network whose scores the prices of the search were chosen for."""
_ANY_SOUND = 4.0
"""The nats that a phone unknown to the network scores less than its best phone."""
_PRIOR_SHARE = 0.5


def phone_costs(recorded: Recorded) -> np.ndarray:
    """The costs (H, K) uint8 of a recording by the network that comes with ns2.

    Column 0 is silence, and the last one any sound.
    """
    import torch

    trained = bundled_network(PhonemeTable.default(), _NETWORK)
    network, parts = trained.network, recorded.parts()
    prior = torch.zeros(network.phones.out_channels)
    for part in parts:
        prior += network.analyse(_mel(recorded, part)).phones.exp().sum(0)
    prior = (prior / prior.sum().clamp_min(1.0)).clamp_min(1e-4).log()

    def score(mel: Tensor) -> Tensor:
        found = network.analyse(mel).phones - _PRIOR_SHARE * prior
        other = found[:, 1:].amax(1, keepdim=True) - _ANY_SOUND
        return torch.cat([found, other], 1)

    return _costs(recorded, parts, len(prior) + 1, score)


def phone_columns(phones: np.ndarray) -> np.ndarray:
    """The columns (N,) of phones, by their ids in the default table."""
    trained = bundled_network(PhonemeTable.default(), _NETWORK)
    columns = trained.phone_of.numpy()[phones.astype(np.int64)]
    return np.where(columns < 0, trained.network.phones.out_channels, columns)


def _mel(recorded: Recorded, frames: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(recorded.mel[:, frames], np.float32))


def _costs(
    recorded: Recorded, parts: Sequence[np.ndarray], columns: int, score: Callable[[Tensor], Tensor]
) -> np.ndarray:
    """Costs (H, K) of all frames; those outside of the parts are silence and nothing else.

    The best column of a pair costs nothing.
    """
    pairs = -(-recorded.mel.shape[1] // PAIR)
    costs = np.full((pairs, columns), _WORST, np.uint8)
    costs[:, 0] = 0
    for part in parts:
        found = score(_mel(recorded, part)).numpy()
        at = part // PAIR
        firsts = np.flatnonzero(np.diff(at, prepend=-1))
        mean = np.add.reduceat(found, firsts, axis=0)
        mean /= np.diff(np.append(firsts, len(at)))[:, None]
        costs[at[firsts]] = quantised(mean - mean.max(1, keepdims=True))
    _refuse_steady(costs, round(_STEADY_SECONDS * recorded.frame_rate / PAIR))
    return costs


def _refuse_steady(costs: np.ndarray, frames: int) -> None:
    """Raise the costs (H, K) of all phones where one fits for longer than phones last: in noise.

    There the network is so unsure that any phone would cost less than filler.
    """
    reach = frames // 2
    steady = np.zeros(len(costs), bool)
    for start in range(0, len(costs), _BLOCK):
        first, end = max(0, start - reach), min(start + _BLOCK, len(costs))
        block = costs[first : end + reach, 1:]
        sums = np.zeros((len(block) + 1, block.shape[1]), np.int32)
        np.cumsum(block, axis=0, dtype=np.int32, out=sums[1:])
        at = np.arange(start, end) - first
        low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(block))
        mean = ((sums[high] - sums[low]) / (high - low)[:, None]).min(1)
        steady[start:end] = mean < _STEADY_MEAN * STEPS
    counts = np.concatenate([[0], np.cumsum(steady)])
    at = np.arange(len(costs))
    ends = np.minimum(at + reach // 2 + 1, len(costs))
    near = counts[ends] > counts[np.maximum(at - reach // 2, 0)]
    rows = costs[:, 1:]
    rows[near] = np.maximum(rows[near], round(_STEADY_COST * STEPS))
