"""Cross-entropy of the residual quantiser (CE-RVQ): would the codec choose the true codes?

A quantiser of the codec takes the entry nearest to what those before it left over. So what is left
of predicted latents after the *true* entries of those before gives a distribution over its entries,
whose logits are minus the squared distances (Shen et al. 2023, arXiv:2304.09116).

From the encoder's continuous output the largest logit is the stored code, by construction. From the
sum of entries, the target of diffusion, that holds for the last quantiser; for others only mostly,
since what later ones add can bring another entry nearer.

Letters for shapes: B batch, D latent width, T frames, Q quantizers, E entries.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def rvq_logits(latents: Tensor, codes: Tensor, codebooks: Tensor, quantizer: Tensor) -> Tensor:
    """Minus the squared distances to all entries of one quantiser an utterance: (B, T, E).

    Computed in float32, or float64 if the latents are, also under autocast.

    Args:
        latents: predictions (B, D, T), as large as the codec's: not normalised.
        codes: the true ones, (B, Q, T) integers, 0 to E - 1 also where frames are padding.
        codebooks: (Q, E, D).
        quantizer: which one, (B,) int64, 0 to Q - 1.

    Raises:
        ValueError: codes and codebooks differ in their number of quantisers.
    """
    with torch.autocast(latents.device.type, enabled=False):
        rest = _rest(latents, codes, codebooks, quantizer)
        return _scores(rest, codebooks, quantizer) - rest.square().sum(2, keepdim=True)


def rvq_cross_entropy(
    latents: Tensor, codes: Tensor, codebooks: Tensor, quantizer: Tensor, mask: Tensor
) -> Tensor:
    """Cross-entropy (B,) against the true codes, in nats, summed over the frames of an utterance.

    Args:
        latents, codes, codebooks, quantizer: see `rvq_logits`.
        mask: (B, T), True for frames of the utterance; others count nothing.

    Raises:
        ValueError: codes and codebooks differ in their number of quantisers.
    """
    with torch.autocast(latents.device.type, enabled=False):
        rest = _rest(latents, codes, codebooks, quantizer)
        # without the square of the rest, which is the same for all entries
        logits = _scores(rest, codebooks, quantizer)
        # chosen without an index: torch's compiler for CPUs fails on a gather here
        chosen = torch.arange(codes.shape[1], device=codes.device) == quantizer[:, None]
        true = codes.long().where(chosen[..., None], 0).sum(1)
        nats = functional.cross_entropy(logits.transpose(1, 2), true, reduction="none")
        return nats.where(mask, 0).sum(1)


def rvq_cross_entropy_of_all(
    latents: Tensor, codes: Tensor, codebooks: Tensor, mask: Tensor
) -> Tensor:
    """The mean over all quantisers of `rvq_cross_entropy`: (B,).

    Q times the work, in the memory of one: each is computed again for the gradient.
    """
    total = latents.new_zeros(())
    for number in range(codebooks.shape[0]):
        quantizer = torch.full(codes.shape[:1], number, device=codes.device)
        total = total + checkpoint(
            rvq_cross_entropy, latents, codes, codebooks, quantizer, mask, use_reentrant=False
        )
    return total / codebooks.shape[0]


def _rest(latents: Tensor, codes: Tensor, codebooks: Tensor, quantizer: Tensor) -> Tensor:
    """What the true entries of quantisers before leave over, (B, T, D), taken off in order.

    In the codec's own order of sums, so that near ties fall as they did when it encoded.
    """
    if codes.shape[1] != codebooks.shape[0]:
        raise ValueError(f"codes of {codes.shape[1]} quantizers, {codebooks.shape[0]} codebooks")
    wide = latents.dtype == torch.float64
    rest = (latents if wide else latents.float()).transpose(1, 2)
    for number, codebook in enumerate(codebooks[:-1]):
        entries = functional.embedding(codes[:, number].long(), codebook)
        rest = rest - entries.where((quantizer > number)[:, None, None], 0)
    return rest


def _scores(rest: Tensor, codebooks: Tensor, quantizer: Tensor) -> Tensor:
    """2 rest . entry - |entry|^2, (B, T, E): minus squared distances, but for a constant."""
    books = codebooks[quantizer].to(rest.dtype)
    return 2 * rest @ books.transpose(1, 2) - books.square().sum(2)[:, None]
