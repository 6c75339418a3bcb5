"""The aligner's confidence in the starts of an utterance's tokens, worked out on request."""

from __future__ import annotations

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset

_NEEDED = ("mel", "phonemes", "durations")


def border_confidences(dataset: Dataset, key: str) -> np.ndarray:
    """The posterior probability that each token starts within a frame of where its durations say.

    It ranks borders well, but is overconfident: see `ns2.model.aligner.confidence`.

    Returns:
        (N,) float64 in [0, 1]; 1 for the first token.

    Raises:
        UserError: the dataset lacks a column that is needed, or its durations come from TextGrids
            or from another version of ns2.
    """
    from ns2.model.aligner.hmm import align
    from ns2.pipeline.align.aligner_file import as_tensors, load_aligner

    missing = [column for column in _NEEDED if column not in dataset.columns]
    if missing:
        raise UserError(f"{dataset.root} has no {' and no '.join(missing)}, which confidences need")
    if not any("/aligner-" in name for name in dataset.card.assets):
        raise UserError(f"{dataset.root} has no aligner: its durations come from TextGrids")
    aligner = load_aligner(dataset.asset("aligner"))
    mel, tokens = as_tensors(dataset.read("mel", key), dataset.read("phonemes", key))
    found = align(aligner, mel, tokens, confidence=True)
    if not np.array_equal(found.durations.numpy(), dataset.read("durations", key)):
        raise UserError(
            f"the durations of {key} are not what this version of ns2 finds with their aligner; "
            "run ns2 preprocess again to bring them up to date"
        )
    assert found.confidence is not None
    return np.asarray(found.confidence)
