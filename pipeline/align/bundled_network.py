"""Loads the network that comes with the package and helps to train an aligner.

`python -m ns2.train.bundled.make_aligner_network` trains it on speech of known truth. Its file
has half-precision weights and the names of its phones, in IPA without stress.
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
from ns2.pipeline.text.tones import without_tone

if TYPE_CHECKING:
    from ns2.model.aligner.evidence import FrameNet
    from ns2.model.aligner.expectation import Pretrained


_RESOURCE = "aligner_network.safetensors"
_HEADER = "ns2-aligner-network"
_UNKNOWN = -1


@cache
def network_digest() -> str:
    """A hash of the network's file, part of the fingerprint of aligners that start from it."""
    return hashlib.sha256(_content()).hexdigest()[:16]


def bundled_network(table: PhonemeTable) -> Pretrained:
    """Load the network, with its phones as ids of a phoneme table."""
    from safetensors.torch import load

    from ns2.model.aligner.evidence import network_from_tensors

    # safetensors shows the header of files only; in bytes it is the JSON before the weights.
    content = _content()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    phones = json.loads(header["__metadata__"][_HEADER])["phones"]
    return pretrained(network_from_tensors(load(content)), phones, table)


def pretrained(network: FrameNet, phones: Sequence[str], table: PhonemeTable) -> Pretrained:
    """Put a network with its own list of phones onto the ids of a table, whatever their stress."""
    import torch

    from ns2.model.aligner.expectation import Pretrained

    number = {phone: i for i, phone in enumerate(phones)}
    bare, _ = table.phone_and_stress(np.arange(len(table)))
    ours = PhonemeTable.default()  # in phones of a user's own, digits need not be a tone
    known = [
        number.get(without_tone(symbol) if symbol in ours else symbol, _UNKNOWN)
        for symbol in table.symbols(np.arange(len(table)))
    ]
    # The ids of a phone follow each other, the id without stress first.
    first = {int(phone): known[i] for i, phone in reversed([*enumerate(bare)])}
    return Pretrained(network=network, phone_of=torch.tensor([first[int(p)] for p in bare]))


def _content() -> bytes:
    return resources.files("ns2.pipeline.align").joinpath(_RESOURCE).read_bytes()
