"""The cross-entropy of the residual quantiser (CE-RVQ), given predicted latents.

Each quantiser of a codec chooses the entry nearest to the residual of the quantisers before it. So
the residual of predicted latents after the *true* entries of the earlier quantisers gives a
distribution over its entries, whose logits are minus the squared distances (Shen et al. 2023,
arXiv:2304.09116).

For the encoder's continuous output the largest logit is the stored code, by construction. For the
sum of entries, the target of diffusion, that holds for the last quantiser, and for the others only
mostly, since later entries can bring another entry nearer.

Letters for shapes: B batch, D latent width, T frames, Q quantisers, E entries.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def rvq_logits(latents: Tensor, codes: Tensor, codebooks: Tensor, quantizer: Tensor) -> Tensor:
    """Return the logits of one quantiser per utterance: minus the squared distances.

    Computed in float32, or in float64 if the latents are float64, also under autocast.

    Args:
        latents: (B, D, T) predictions on the codec's own scale, not normalised.
        codes: (B, Q, T) integers, the true codes, 0 to E - 1 also where frames are padding.
        codebooks: (Q, E, D).
        quantizer: (B,) int64, the index of the quantiser, 0 to Q - 1.

    Returns:
        (B, T, E).

    Raises:
        ValueError: codes and codebooks differ in their number of quantisers.
    """
    with torch.autocast(latents.device.type, enabled=False):
        rest = _residual(latents, codes, codebooks, quantizer)
        return _scores(rest, codebooks, quantizer) - rest.square().sum(2, keepdim=True)


def rvq_cross_entropy(
    latents: Tensor, codes: Tensor, codebooks: Tensor, quantizer: Tensor, mask: Tensor
) -> Tensor:
    """Return the cross-entropy with the true codes, summed over each utterance's frames.

    Args:
        latents, codes, codebooks, quantizer: see `rvq_logits`.
        mask: (B, T) bool, True for frames of the utterance.

    Returns:
        (B,) in nats.

    Raises:
        ValueError: codes and codebooks differ in their number of quantisers.
    """
    with torch.autocast(latents.device.type, enabled=False):
        rest = _residual(latents, codes, codebooks, quantizer)
        # Without the square of the residual, which is the same for all entries.
        logits = _scores(rest, codebooks, quantizer)
        # Chosen by a mask, not by an index: torch's compiler for CPUs fails on a gather here.
        chosen = torch.arange(codes.shape[1], device=codes.device) == quantizer[:, None]
        true = codes.long().where(chosen[..., None], 0).sum(1)
        nats = functional.cross_entropy(logits.transpose(1, 2), true, reduction="none")
        return nats.where(mask, 0).sum(1)


def rvq_cross_entropy_of_all(
    latents: Tensor, codes: Tensor, codebooks: Tensor, mask: Tensor
) -> Tensor:
    """Return the mean of `rvq_cross_entropy` over all quantisers: (B,).

    It takes Q times the work but the memory of one, since each is recomputed for the gradient.
    """
    total = latents.new_zeros(())
    for number in range(codebooks.shape[0]):
        quantizer = torch.full(codes.shape[:1], number, device=codes.device)
        total = total + checkpoint(
            rvq_cross_entropy, latents, codes, codebooks, quantizer, mask, use_reentrant=False
        )
    return total / codebooks.shape[0]


def _residual(latents: Tensor, codes: Tensor, codebooks: Tensor, quantizer: Tensor) -> Tensor:
    """Return the residual (B, T, D) of latents after the true entries of earlier quantisers.

    Entries are subtracted in the codec's own order, so that near ties fall as in its encoder.
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
    """Return 2 rest . entry - |entry|^2, (B, T, E): minus squared distances up to a constant."""
    books = codebooks[quantizer].to(rest.dtype)
    return 2 * rest @ books.transpose(1, 2) - books.square().sum(2)[:, None]
