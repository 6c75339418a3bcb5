"""The confidence in the starts of an utterance's tokens: as stored, or worked out on request."""

from __future__ import annotations

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset

_NEEDED = ("mel", "phonemes", "durations")


def border_confidences(dataset: Dataset, key: str) -> np.ndarray:
    """The probability that each token starts within 50 ms of where its durations say.

    It is that of the column `trust`, and the same for a dataset of before, which has none.

    Returns:
        (N,) float64 in [0, 1]; 1 for the first token.

    Raises:
        UserError: the dataset lacks a column that is needed, or its durations come from TextGrids.
    """
    if "trust" in dataset.columns:
        return np.asarray(dataset.read("trust", key, check=True), np.float64)
    missing = [column for column in _NEEDED if column not in dataset.columns]
    if missing:
        raise UserError(f"{dataset.root} has no {' and no '.join(missing)}, which confidences need")
    if not any("/aligner-" in name for name in dataset.card.assets):
        raise UserError(f"{dataset.root} has no aligner: its durations come from TextGrids")
    return _worked_out(dataset, key)


def _worked_out(dataset: Dataset, key: str) -> np.ndarray:
    import torch

    from ns2.model.aligner.alignment import evidence_of
    from ns2.model.aligner.confidence import token_confidence
    from ns2.pipeline.align.aligner_file import as_tensors, load_aligner
    from ns2.pipeline.align.border_confidence import border_net

    mel, tokens = as_tensors(dataset.read("mel", key), dataset.read("phonemes", key))
    durations = dataset.read("durations", key).astype(np.int64)
    aligner = load_aligner(dataset.asset("aligner"))
    evidence = evidence_of(aligner, mel, tokens, torch.from_numpy(durations))
    return token_confidence(border_net().confidence(evidence), durations)
