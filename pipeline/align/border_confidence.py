"""Loads the network that judges borders, whose weights come with the package.

`python -m ns2.train.bundled.make_border_confidence` fits it to borders that are known.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from ns2.model.aligner.border_evidence import EVIDENCE
from ns2.model.aligner.confidence import BorderNet
from ns2.pipeline.core.reading import read_json

WEIGHTS = Path(str(resources.files("ns2.pipeline.align"))) / "border_confidence.json"
"""The file of the weights, with what they were learned from."""


@cache
def border_net(path: Path = WEIGHTS) -> BorderNet:
    """Load the network.

    Raises:
        ValueError: the file is none of such weights, or belongs to other kinds of evidence.
    """
    found = read_json(path)
    if tuple(found["evidence"]) != EVIDENCE:
        raise ValueError(f"{path} was fitted to other evidence: make it anew")
    weights = dict(found["weights"])
    bias = float(weights.pop("out_bias"))
    return BorderNet(**{name: np.array(value) for name, value in weights.items()}, out_bias=bias)


@cache
def weights_digest() -> str:
    """A hash of the weights, part of the fingerprint of what is made with them."""
    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:16]
