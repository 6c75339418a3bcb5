"""The network that comes with the package and helps the aligner.

`python -m ns2.train.bundled.make_aligner_network` trains it on speech of known truth. Its file
holds half-precision weights and the phones that it knows, in IPA without stress.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from ns2.pipeline.dataset.phoneme_table import PhonemeTable

if TYPE_CHECKING:
    from ns2.model.aligner.evidence import FrameNet
    from ns2.model.aligner.expectation import Pretrained


_RESOURCE = "aligner_network.safetensors"
_HEADER = "ns2-aligner-network"
_UNKNOWN = -1


@cache
def network_digest() -> str:
    """A hash of the file, which counts in the fingerprint of every aligner that it helped."""
    return hashlib.sha256(_content()).hexdigest()[:16]


def bundled_network(table: PhonemeTable) -> Pretrained:
    """The network, and its phones by the ids of a table."""
    from safetensors.torch import load

    from ns2.model.aligner.evidence import network_from_tensors

    # Only the view onto a file would give the header; it lies in front of the weights as JSON.
    content = _content()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    phones = json.loads(header["__metadata__"][_HEADER])["phones"]
    return pretrained(network_from_tensors(load(content)), phones, table)


def pretrained(network: FrameNet, phones: Sequence[str], table: PhonemeTable) -> Pretrained:
    """A network that knows these phones, for the ids of a table; stress makes no difference."""
    import torch

    from ns2.model.aligner.expectation import Pretrained

    number = {phone: i for i, phone in enumerate(phones)}
    bare, _ = table.phone_and_stress(np.arange(len(table)))
    known = [number.get(symbol, _UNKNOWN) for symbol in table.symbols(np.arange(len(table)))]
    # Ids of a phone stand together, the one without stress first.
    first = {int(phone): known[i] for i, phone in reversed([*enumerate(bare)])}
    return Pretrained(network=network, phone_of=torch.tensor([first[int(p)] for p in bare]))


def _content() -> bytes:
    return resources.files("ns2.pipeline.align").joinpath(_RESOURCE).read_bytes()
