"""Loads the networks that come with the package and help to train an aligner and to place borders.

`python -m ns2.train.bundled.make_aligner_people` trains "bundled" on two engines and on people, and
`python -m ns2.train.bundled.make_aligner_network` trained "bundled-1", the first, on one engine.
`python -m ns2.train.bundled.make_border_refiner` trains what moves the borders that are found with
"bundled", whose phones it shares. All files have half-precision weights, those of networks that an
aligner starts from also the names of their phones, in IPA without stress.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.tones import without_tone

if TYPE_CHECKING:
    from ns2.model.aligner.evidence import FrameNet
    from ns2.model.aligner.expectation import Pretrained
    from ns2.model.aligner.refinement import BorderRefiner


NetworkName = Literal["bundled", "bundled-2", "bundled-1"]
"""The networks: the newest, and those of before, which datasets were made with."""

HEADER = "ns2-aligner-network"
"""The entry of a file's metadata that names the phones."""

_FILES = {
    "bundled": "aligner_network_3.safetensors",
    "bundled-2": "aligner_network_2.safetensors",
    "bundled-1": "aligner_network.safetensors",
}
_REFINED = "bundled"
"""The network whose borders are moved."""
_UNKNOWN = -1


def network_file(name: NetworkName) -> Path:
    """The file of a network."""
    return Path(str(resources.files("ns2.pipeline.align"))) / _FILES[name]


def refiner_file() -> Path:
    """The file of what moves borders."""
    return Path(str(resources.files("ns2.pipeline.align"))) / "border_refiner.safetensors"


@cache
def network_digest(name: NetworkName = "bundled") -> str:
    """A hash of a network's file, part of the fingerprint of aligners that start from it."""
    return _digest(network_file(name))


@cache
def refiner_digest(name: NetworkName) -> str | None:
    """The same of what moves the borders that are found with a network; None where nothing does."""
    return _digest(refiner_file()) if name == _REFINED else None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def bundled_network(table: PhonemeTable, name: NetworkName = "bundled") -> Pretrained:
    """Load a network, with its phones as ids of a phoneme table, and what moves its borders."""
    found = unrefined_network(table, name)
    return replace(found, refiner=_refiner()) if name == _REFINED else found


def unrefined_network(table: PhonemeTable, name: NetworkName) -> Pretrained:
    """Load a network alone, with its phones as ids of a phoneme table."""
    network, phones = network_of(network_file(name).read_bytes())
    return pretrained(network, phones, table)


def network_of(content: bytes) -> tuple[FrameNet, list[str]]:
    """The network in a safetensors file's bytes, and the names of its phones."""
    from safetensors.torch import load

    from ns2.model.aligner.evidence import network_from_tensors

    # safetensors shows the header of files only; in bytes it is the JSON before the weights.
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    phones: list[str] = json.loads(header["__metadata__"][HEADER])["phones"]
    return network_from_tensors(load(content)), phones


def _refiner() -> BorderRefiner:
    from safetensors.torch import load_file

    from ns2.model.aligner.refinement import refiner_from_tensors

    return refiner_from_tensors(load_file(refiner_file()))


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
