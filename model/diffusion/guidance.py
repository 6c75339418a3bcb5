"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598) and its rescaling.

Letters for shapes: B batch, D latent width, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def guide(predictions: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
    """Extrapolate from predictions under fewer conditions to those under more.

    Two predictions and one scale give unconditional + scale (conditional - unconditional). With
    three predictions (such as unconditional, with content, with content and prompt) and two scales,
    each condition has its own scale (Brooks et al. 2023, arXiv:2211.09800). Scales of 1 give the
    last prediction; a scale of 0 leaves a condition out.

    Args:
        predictions: (B, D, T) each; each has one more condition than the prediction before.
        scales: the scale of each added condition, one fewer than predictions.

    Returns:
        (B, D, T).

    Raises:
        ValueError: the numbers of predictions and scales do not fit.
    """
    if len(scales) != len(predictions) - 1:
        raise ValueError(
            f"{len(predictions)} predictions have {len(predictions) - 1} differences, "
            f"but {len(scales)} scales were given"
        )
    guided = predictions[0]
    for scale, less, more in zip(scales, predictions, predictions[1:], strict=False):
        guided = guided + scale * (more - less)
    return guided


def rescale(guided: Tensor, conditional: Tensor, mask: Tensor, amount: float = 0.7) -> Tensor:
    """Rescale a guided prediction towards the standard deviation of the conditional one.

    Guidance makes deviations larger than those of data; see Lin et al. 2023 (arXiv:2305.08891),
    section 3.4. The deviation is taken per utterance, over all channels of its own frames.

    Args:
        guided: (B, D, T).
        conditional: (B, D, T).
        mask: (B, T) bool, True for frames of the utterance.
        amount: 0 leaves the guided prediction as it is, 1 gives it the conditional's deviation.

    Returns:
        (B, D, T).

    Raises:
        ValueError: the amount is not within 0 and 1.
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"amount must lie within 0 and 1, got {amount}")
    ratio = _deviation(conditional, mask) / _deviation(guided, mask).clamp(min=1e-8)
    return guided * (amount * ratio + 1 - amount)


def _deviation(x: Tensor, mask: Tensor) -> Tensor:
    """Return the standard deviation (B, 1, 1) of (B, D, T) inside the mask."""
    inside = mask[:, None, :].expand_as(x)
    count = inside.sum((1, 2), keepdim=True).clamp(min=1)
    mean = x.where(inside, 0).sum((1, 2), keepdim=True) / count
    return ((x - mean).where(inside, 0).square().sum((1, 2), keepdim=True) / count).sqrt()
