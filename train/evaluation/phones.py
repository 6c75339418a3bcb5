"""Which phones are heard in speech, by the small network that comes with the package.

The share of phones that it hears otherwise than the text has them, the phone error rate, tells
how intelligible copies and generated speech are. It knows English as espeak-ng speaks it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from ns2.pipeline.dataset.phoneme_table import STRESSES, PhonemeTable
from ns2.pipeline.sound.decode import resample
from ns2.train.evaluation.words import edit_distance

if TYPE_CHECKING:
    from ns2.model.phone_net import PhoneNet


SAMPLE_RATE = 24_000
HEADER = "ns2-phone-classifier"
LANGUAGE = "en"
"""What it was trained on, all accents that espeak-ng has of it."""
_RESOURCE = "phone_classifier.safetensors"
_BATCH_SECONDS = 60


class PhoneClassifier:
    """The network and the phones that it knows, in IPA without stress."""

    def __init__(self, network: PhoneNet, known: Sequence[str]) -> None:
        from ns2.model.log_mel import LogMel

        self.known = tuple(known)
        self._network, self._mel = network, LogMel()

    def phones(self, wave: np.ndarray, rate: int) -> list[str]:
        """The phones that are heard in a wave (S,) of any sample rate and level."""
        return self.phones_of([wave], rate)[0]

    def phones_of(self, waves: Sequence[np.ndarray], rate: int) -> list[list[str]]:
        """As `phones`, of several waves: the same as of each alone, in less time."""
        import torch

        from ns2.model.phone_net import spoken_classes

        found: list[list[str]] = [[] for _ in waves]
        mels = {}
        for i, wave in enumerate(waves):
            if len(wave):
                heard = torch.from_numpy(resample(wave, rate, SAMPLE_RATE))
                mels[i] = self._mel(heard)
        for group in _groups({i: mel.shape[1] for i, mel in mels.items()}):
            for i, row in zip(group, self._network.hear([mels[i] for i in group]), strict=True):
                found[i] = [self.known[number - 1] for number in spoken_classes(row)]
        return found


def _groups(frames: dict[int, int]) -> list[list[int]]:
    """Numbers of mels of like length, not more than `_BATCH_SECONDS` together."""
    groups: list[list[int]] = []
    most = _BATCH_SECONDS * 75
    for i in sorted(frames, key=lambda i: frames[i]):
        if groups and (len(groups[-1]) + 1) * frames[i] <= most:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


@cache
def load_phone_classifier() -> PhoneClassifier:
    """The one that comes with the package, made by `ns2.train.bundled.make_phone_classifier`."""
    from safetensors.torch import load

    from ns2.model.phone_net import network_from_tensors

    content = resources.files("ns2.train.evaluation").joinpath(_RESOURCE).read_bytes()
    # Only the view onto a file would give the header; it lies in front of the weights as JSON.
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    phones = json.loads(header["__metadata__"][HEADER])["phones"]
    return PhoneClassifier(network_from_tensors(load(content)), phones)


def bare_phones(tokens: Sequence[str]) -> list[str]:
    """The phones among tokens, without stress: no `<sil>`, no `|`, no marks."""
    optional = PhonemeTable.default().optional
    stresses = "".join(STRESSES)
    return [token.lstrip(stresses) for token in tokens if token not in optional]


def phone_errors(found: Sequence[str], wanted: Sequence[str]) -> int:
    """Phones to insert, delete or replace, so that what was heard becomes what was said.

    Args:
        found: phones as `PhoneClassifier.phones` gives them.
        wanted: phones, or tokens as `pronounce` gives them.
    """
    return edit_distance(found, bare_phones(wanted))
