"""Training of the residual quantiser of a `mini` codec.

As in SoundStream (Zeghidour et al. 2021, arXiv:2107.03312): codebooks start from k-means on real
latents, then follow exponential moving averages of the vectors that choose them, and entries that
are hardly ever chosen are moved to current latents.

Letters for shapes: B batch, T frames, N vectors (B * T), Q quantisers, E entries, D latent width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ns2.model.codec.mini.blocks import nearest

_DECAY = 0.99
"""The decay of the moving averages."""
_DEAD = 0.25
"""Entries that are chosen less often than this share of the mean are moved."""
_DEAD_EVERY = 50
"""The steps between two checks for such entries."""
_KMEANS_ROUNDS = 8
_BALANCE = np.linspace(4.0, 1.0, 10)
"""The weight, in each round, of the penalty of frequently chosen entries while codebooks settle."""
_ROWS = 1024
"""Vectors whose distances to all entries are computed at once: few enough to stay in the cache."""


class CodebookTrainer:
    """Residual quantisation with gradients for the encoder, and codebooks that are trained.

    All arguments of methods are on the device of the codebooks, which change in place.
    """

    def __init__(self, codebooks: Tensor) -> None:
        """Train these codebooks (Q, E, D) in place."""
        self.codebooks = codebooks
        self.counts = torch.ones(codebooks.shape[:2], device=codebooks.device)
        self.sums = codebooks.clone()

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint has to keep beside the codebooks."""
        return {"counts": self.counts, "sums": self.sums}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self.counts.copy_(state["counts"])
        self.sums.copy_(state["sums"])

    @torch.no_grad()
    def start(self, latents: Tensor, rng: np.random.Generator) -> None:
        """Initialise each codebook by k-means on the residual of the one before.

        Args:
            latents: (N, D).
            rng: chooses the first entries.
        """
        rest = latents.clone()
        for codebook, counts, sums in zip(self.codebooks, self.counts, self.sums, strict=True):
            entries = len(codebook)
            chosen = rng.choice(len(rest), entries, replace=len(rest) < entries)
            codebook.copy_(rest[torch.from_numpy(chosen).to(rest.device)])
            for _ in range(_KMEANS_ROUNDS):
                codes = nearest(rest, codebook)
                counts.copy_(torch.bincount(codes, minlength=entries))
                sums.zero_().index_add_(0, codes, rest)
                used = counts > 0
                codebook[used] = sums[used] / counts[used, None]
            rest -= codebook[nearest(rest, codebook)]
            # Scaled as if all frames had come in one step of usual size.
            share = entries / max(float(counts.sum()), 1.0)
            counts.mul_(share)
            sums.mul_(share)

    @torch.no_grad()
    def settle(self, groups: Sequence[Tensor]) -> None:
        """Fit the codebooks anew, one after the other, to latents of a network that is final.

        This is k-means in which an entry costs more, the more often a group has already chosen it
        (frequency-sensitive competitive learning, Ahalt et al. 1990), so that every group uses all
        entries. Otherwise the first codebook would distinguish kinds of voices, and speech of one
        kind would use only a part of it. The penalty is smaller in each further stage.

        Args:
            groups: latents (N, D) of each kind of speech.
        """
        rests = [group.clone() for group in groups]
        for stage, codebook in enumerate(self.codebooks):
            entries = len(codebook)
            spread = float(torch.cat(rests).square().mean())
            shares = [torch.full((entries,), 1.0, device=codebook.device) for _ in rests]
            for weight in (_BALANCE / (1 + stage) * spread).tolist():
                counts, sums = torch.zeros_like(shares[0]), torch.zeros_like(codebook)
                for share, rest in zip(shares, rests, strict=True):
                    codes = _nearest_in_parts(rest, codebook, weight * (share + 0.05).log())
                    chosen = torch.bincount(codes, minlength=entries).to(counts)
                    share.lerp_(chosen * (entries / len(rest)), 0.5)
                    counts += chosen
                    sums.index_add_(0, codes, rest)
                used = counts > 0
                codebook[used] = sums[used] / counts[used, None]
            for rest in rests:
                rest -= codebook[_nearest_in_parts(rest, codebook)]

    def __call__(self, latents: Tensor, used: np.ndarray) -> tuple[Tensor, Tensor]:
        """Quantise latents with a straight-through gradient, and update the codebooks.

        Args:
            latents: (B, T, D).
            used: (B,) the number of quantisers for each item, in falling order (quantiser dropout).

        Returns:
            the sums (B, T, D) of the chosen entries, whose gradients are those of `latents`; and
            the commitment loss, the distance of latents from the mean of the sums after each
            stage.
        """
        shape = latents.shape
        flat = latents.reshape(-1, shape[-1])
        rest = flat.detach().clone()
        total, stages = torch.zeros_like(rest), torch.zeros_like(rest)
        with torch.no_grad():
            for q, codebook in enumerate(self.codebooks):
                active = int((used > q).sum()) * shape[1]
                if not active:
                    break
                part = rest[:active]
                codes = nearest(part, codebook)
                self._count(q, codes, part)
                part -= codebook[codes]
                total[:active] = flat[:active] - part
                stages[:active] += total[:active]
            self.codebooks.copy_(self.sums / self.counts.clamp(min=1e-4)[..., None])
        depth = torch.from_numpy(used.astype(np.float32)).to(latents.device)
        centre = stages / depth.repeat_interleave(shape[1])[:, None]
        commitment = functional.mse_loss(flat, centre)
        return (flat + (total - flat).detach()).reshape(shape), commitment

    def _count(self, stage: int, codes: Tensor, vectors: Tensor) -> None:
        """Update the moving averages of one stage by vectors (N, D) and their codes (N,)."""
        counts, sums = self.counts[stage], self.sums[stage]
        new = torch.bincount(codes, minlength=len(counts)).to(counts)
        counts.lerp_(new, 1 - _DECAY)
        sums.mul_(_DECAY).index_add_(0, codes, vectors, alpha=1 - _DECAY)

    @torch.no_grad()
    def revive(self, latents: Tensor, step: int, rng: np.random.Generator) -> int:
        """Move entries that are hardly ever chosen to current latents, every 50 steps.

        Args:
            latents: (B, T, D).
            step: the number of the step.
            rng: chooses the latents.

        Returns:
            the number of moved entries.
        """
        if step % _DEAD_EVERY:
            return 0
        moved = 0
        rest = latents.detach().reshape(-1, latents.shape[-1]).clone()
        for codebook, counts, sums in zip(self.codebooks, self.counts, self.sums, strict=True):
            mean = counts.mean()
            dead = torch.nonzero(counts < _DEAD * mean).flatten()[: len(rest)]
            codes = nearest(rest, codebook)
            if len(dead):
                picked = torch.from_numpy(rng.choice(len(rest), len(dead), replace=False))
                codebook[dead] = rest[picked.to(rest.device)]
                counts[dead] = mean
                sums[dead] = codebook[dead] * mean
                moved += len(dead)
            rest -= codebook[codes]
        return moved


def _nearest_in_parts(vectors: Tensor, codebook: Tensor, cost: Tensor | None = None) -> Tensor:
    """As `nearest`, with a cost (E,) per entry that is added to half the squared distance."""
    half = codebook.square().sum(1) / 2
    half = half if cost is None else half + cost
    return torch.cat(
        [
            torch.addmm(half, part, codebook.T, alpha=-1).min(1).indices
            for part in vectors.split(_ROWS)
        ]
    )
