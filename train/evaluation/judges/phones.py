"""Recognition of phones by the small network that comes with the package.

The share of a text's phones that it hears wrongly, the phone error rate, says how intelligible
codec copies and generated speech are. It was trained on English as espeak-ng and people speak it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ns2.pipeline.dataset.phoneme_table import STRESSES, PhonemeTable
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.text.clauses import base_language
from ns2.train.evaluation.judges.words import edit_distance

if TYPE_CHECKING:
    from ns2.model.phone_net import PhoneNet


SAMPLE_RATE = 24_000
HEADER = "ns2-phone-classifier"
LANGUAGE = "en"
"""The language that the network was trained on, in four accents of espeak-ng."""
_RESOURCE = "phone_classifier.safetensors"
_BATCH_SECONDS = 60


class PhoneClassifier:
    """The network, and the phones that it knows, in IPA without stress."""

    def __init__(self, network: PhoneNet, known: Sequence[str]) -> None:
        from ns2.model.log_mel import LogMel

        self.known = tuple(known)
        self._network, self._mel = network, LogMel()

    def knows(self, language: str) -> bool:
        """Whether it was trained on the language of an espeak-ng voice, in whatever accent."""
        return base_language(language) == LANGUAGE

    def wrong(self, wave: np.ndarray, rate: int, tokens: Sequence[str]) -> tuple[int, int]:
        """The number of wrong phones in a wave (S,), and of phones in the text's tokens."""
        return phone_errors(self.phones(wave, rate), tokens), len(bare_phones(tokens))

    def phones(self, wave: np.ndarray, rate: int) -> list[str]:
        """The phones that are heard in a wave (S,) of any sample rate and level."""
        return self.phones_of([wave], rate)[0]

    def phones_of(self, waves: Sequence[np.ndarray], rate: int) -> list[list[str]]:
        """The phones of several waves (S,), as `phones` gives them for each, in less time."""
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
    """Batches of mels of like length, by number, of `_BATCH_SECONDS` with their padding at most."""
    groups: list[list[int]] = []
    most = _BATCH_SECONDS * 75
    for i in sorted(frames, key=lambda i: frames[i]):
        if groups and (len(groups[-1]) + 1) * frames[i] <= most:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


@cache
def load_phone_classifier(path: Path | None = None) -> PhoneClassifier:
    """The classifier that `ns2.train.bundled.make_phone_classifier` trains.

    Args:
        path: its file; None for the one of the package.

    Raises:
        ValueError: the file is no such classifier.
    """
    from safetensors.torch import load

    from ns2.model.phone_net import network_from_tensors

    if path is None:
        content = resources.files(__package__).joinpath(_RESOURCE).read_bytes()
    else:
        content = path.read_bytes()
    # safetensors gives the header of a file alone, not of bytes: it is JSON before the weights.
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        phones = json.loads(header["__metadata__"][HEADER])["phones"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no phone classifier") from error
    return PhoneClassifier(network_from_tensors(load(content)), phones)


def bare_phones(tokens: Sequence[str]) -> list[str]:
    """The phones among tokens, without stress, silences, word borders and punctuation marks."""
    optional = PhonemeTable.default().optional
    stresses = "".join(STRESSES)
    return [token.lstrip(stresses) for token in tokens if token not in optional]


def phone_errors(found: Sequence[str], wanted: Sequence[str]) -> int:
    """The number of wrong phones: to insert, delete or replace until both sequences are equal.

    Args:
        found: the phones that were heard, as `PhoneClassifier.phones` gives them.
        wanted: the phones of the text, or its tokens as `pronounce` gives them.
    """
    return edit_distance(found, bare_phones(wanted))
