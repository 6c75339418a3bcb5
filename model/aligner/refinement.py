"""A small network that moves the borders of an alignment to where they sound like borders.

The search for a path charges a border the same whatever it parts. This network sees what Gaussians
and network make of the two tokens around a border, which phones these are and how long they last,
and says how probable it is that the true border lies so many frames away (after Toledano, Hernandez
Gomez & Villarrubia Grande 2003, "Automatic phonetic segmentation", who mend the borders of a hidden
Markov model in a second step). It says so twice, once as each engine that taught it labels borders:
between phones their labels are often a frame apart, so there a border moves only if it comes nearer
by both, and not far.

Letters for shapes: J tokens that last, B borders between them (J - 1), R frames on either side of a
border, K classes, T frames, P phones, O moves (2 * MOST + 1), E engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.aligner.evidence import NetworkOutput
from ns2.model.aligner.kernels import compiled

REACH = 6
"""R, the frames that the network sees on either side of a border: 80 ms."""
MOST = 4
"""The most frames by which a border may be moved."""
ENGINES = 2
"""E, the engines that taught the network: espeak-ng and Festival."""
_NAMES = 12
"""The values that stand for a phone."""
_DROPPED = 0.2
"""The share of hidden values that are left out in training."""
_LONGEST = 20
"""The frames beyond which a longer token tells no more."""
_CONTRAST, _PHONE, _BORDER = (10.0, 8.0), (4.0, 2.5), (3.0, 2.7)
"""What log-likelihoods, and log-probabilities of phones and of borders, are divided by, and the
quotient beyond which they count no further."""


@dataclass(frozen=True, kw_only=True)
class BorderViews:
    """What the network sees of borders."""

    heard: Tensor
    """(B, 4, 2 * R) in each frame, how much better the class before fits than that behind, how
    well the network's phone before fits, that behind, and whether a phone begins."""

    frames: Tensor
    """(B, 2) the frames that the tokens before and behind last."""

    phones: Tensor
    """(B, 2) int64, the network's phones of these: `QUIET` for silence, -1 where it has none."""

    trust: Tensor
    """(B,) how far network and Gaussians agree on the corpus."""


def border_views(
    output: NetworkOutput,
    likelihoods: Tensor,
    *,
    classes: Tensor,
    phones: Tensor,
    durations: Tensor,
    trust: Tensor,
    reach: int,
) -> BorderViews:
    """Gather what is seen of the borders between tokens.

    Args:
        output: of the aligner's network, T frames.
        likelihoods: (T, K) of the Gaussians.
        classes: (J,) of the tokens that last, and `phones` (J,) those of the network, as
            `BorderViews` has them.
        durations: (J,) frames; their sum is T.
        trust: a number, see `Evidence`.
        reach: R.
    """
    ends = durations.cumsum(0)[:-1]
    around = (ends[:, None] + torch.arange(-reach, reach)).clamp(0, len(likelihoods) - 1)
    sides = torch.stack([phones[:-1], phones[1:]], 1)
    told = output.phones[around[:, None], sides.clamp_min(0)[:, :, None]]
    told = torch.where(sides[:, :, None] >= 0, told, 0.0)
    before, behind = (likelihoods[around, side[:, None]] for side in (classes[:-1], classes[1:]))
    heard = [
        _scaled(before - behind, _CONTRAST)[:, None],
        _scaled(told, _PHONE),
        _scaled(output.border[around], _BORDER)[:, None],
    ]
    return BorderViews(
        heard=torch.cat(heard, 1),
        frames=torch.stack([durations[:-1], durations[1:]], 1),
        phones=sides,
        trust=trust.expand(len(ends)),
    )


def _scaled(values: Tensor, by: tuple[float, float]) -> Tensor:
    size, most = by
    return (values / size).clamp(-most, most)


class BorderRefiner(nn.Module):
    """The network; `train/bundled/make_border_refiner.py` trains it on speech of known borders."""

    def __init__(self, width: int, phones: int) -> None:
        """Make an untrained network.

        Args:
            width: of the first hidden layer; the second has half of it.
            phones: P of the aligner's network.
        """
        super().__init__()
        self.before = nn.Embedding(phones + 1, _NAMES)
        self.behind = nn.Embedding(phones + 1, _NAMES)
        inputs = 2 * REACH * 4 + 3 + 1 + 2 * _NAMES
        self.layers = nn.ModuleList(
            nn.Linear(below, above)
            for below, above in ((inputs, width), (width, width // 2), (width // 2, 2 * MOST + 1))
        )

    def forward(self, views: BorderViews, engine: Tensor) -> Tensor:
        """Return how probable it is that a border lies -MOST to MOST frames away.

        Args:
            views: of the borders.
            engine: (B,) the number of the engine by whose labels it does.

        Returns:
            (B, O) log-probabilities.
        """
        unknown = self.before.num_embeddings - 1
        phones = torch.where(views.phones < 0, unknown, views.phones)
        lengths = views.frames.clamp(1, _LONGEST).float().log()
        hidden = torch.cat(
            [
                views.heard.float().flatten(1),
                lengths,
                views.trust.float()[:, None],
                (2.0 * engine - 1)[:, None],
                self.before(phones[:, 0]),
                self.behind(phones[:, 1]),
            ],
            1,
        )
        for layer in self.layers[:-1]:
            hidden = functional.dropout(functional.relu(layer(hidden)), _DROPPED, self.training)
        return torch.log_softmax(self.layers[-1](hidden), 1)

    def by_engines(self, views: BorderViews) -> Tensor:
        """Return the same (E, B, O) by the labels of each engine."""
        engines = torch.arange(ENGINES)[:, None].expand(-1, len(views.trust))
        return torch.stack([self(views, engine) for engine in engines])


def refiner_from_tensors(tensors: Mapping[str, Tensor]) -> BorderRefiner:
    """Build the refiner that these weights, of any float type, belong to; it computes in float32.

    Raises:
        ValueError: the tensors are not the weights of a `BorderRefiner`.
    """
    try:
        width, phones = len(tensors["layers.0.weight"]), len(tensors["before.weight"]) - 1
        refiner = BorderRefiner(width, phones)
        refiner.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"these are not the weights of a border refiner: {error}") from error
    return refiner.eval().requires_grad_(False)


def refined(durations: Tensor, log_probs: Tensor, silent: Tensor, *, most: int) -> Tensor:
    """Move borders so that they are expected to be off by the fewest frames.

    A border beside silence moves by up to `MOST` frames, to where the engines put it on average.
    Every token keeps a frame; the sum of the durations stays.

    Args:
        durations: (J,) int64 frames, at least 1.
        log_probs: (E, B, O) of a `BorderRefiner`.
        silent: (J,) bool, tokens of silence.
        most: the most frames by which a border between phones moves.

    Returns:
        (J,) int64 frames.
    """
    moves = torch.arange(-MOST, MOST + 1)
    errors = log_probs.double().exp() @ (moves[:, None] - moves).abs().double()
    costs = errors - errors[..., MOST, None]
    worst = costs.amax(0).masked_fill(moves.abs() > most, torch.inf)
    costs = torch.where((silent[:-1] | silent[1:])[:, None], costs.mean(0), worst)
    found = np.zeros(len(costs) + 2, np.int64)
    _best_moves(np.ascontiguousarray(costs.numpy()), durations.numpy().astype(np.int64), found)
    return durations + torch.from_numpy(np.diff(found))


@compiled
def _best_moves(costs: np.ndarray, durations: np.ndarray, found: np.ndarray) -> None:
    """Write the cheapest moves (B,) that leave each token (B + 1,) a frame to found[1:-1].

    Not moving at all is always possible.
    """
    borders, moves = costs.shape
    most = moves // 2
    best = np.full((borders + 1, moves), np.inf)
    steps = np.zeros((borders, moves), np.int64)
    best[0, most] = 0.0  # the first token begins where it begins
    for b in range(borders):
        for m in range(moves):
            for n in range(moves):
                if durations[b] + m - n >= 1 and best[b, n] < best[b + 1, m]:
                    best[b + 1, m], steps[b, m] = best[b, n], n
            best[b + 1, m] += costs[b, m]
    last, m = np.inf, most
    for n in range(moves):
        if durations[borders] + most - n >= 1 and best[borders, n] < last:
            last, m = best[borders, n], n
    for b in range(borders - 1, -1, -1):
        found[b + 1] = m - most
        m = steps[b, m]
