"""VCTK: texts in `txt/<speaker>/`, audio in `wav48_silence_trimmed/<speaker>/` or `wav48/`.

Yamagishi, Veaux and MacDonald 2019, "CSTR VCTK Corpus: English Multi-speaker Corpus for CSTR
Voice Cloning Toolkit (version 0.92)", https://doi.org/10.7488/ds/2645. In version 0.92 two
microphones recorded each utterance, `<id>_mic1.flac` and `<id>_mic2.flac`; the older version 0.80
has `<id>.wav` in `wav48/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.corpus import DEFAULT_SPEAKER, Corpus, Find, Place, pair, settle
from ns2.pipeline.corpora.folders import (
    AUDIO_SUFFIXES,
    Folder,
    first_names,
    list_folder,
    nfc,
    split_suffix,
    walk,
)

TEXTS = "txt"
AUDIO = ("wav48_silence_trimmed", "wav48")
"""Folders of audio; the first one that exists is read."""

_MICROPHONE = re.compile(r"(.+)_mic([12])")


class VCTK:
    """Reader of the layout of VCTK, versions 0.92 and 0.80.

    The recording of mic1, an omnidirectional DPA 4035, is taken, and that of mic2 only if mic1 is
    missing; p280 and p315 have no mic2. The speaker is the name of the folder. Audio without a text
    is rejected (all of p315, whose texts were lost); there is a warning about texts without audio
    (a few of p362).

    The speakers have many accents; `--language` sets one voice for all.
    """

    name = "vctk"
    looks_like = (
        f"{TEXTS}/<speaker>/<id>.txt and {AUDIO[0]}/<speaker>/<id>_mic1.flac "
        f"or {AUDIO[1]}/<speaker>/<id>.wav"
    )

    def matches(self, root: Path) -> bool:
        """Whether the path has the folder of texts and a folder of audio."""
        return (root / TEXTS).is_dir() and bool(_audio_folders(root))

    def read(self, root: Path) -> Corpus:
        """Find all utterances that have audio.

        Raises:
            UserError: a folder is missing, or cannot be listed.
        """
        if not self.matches(root):
            raise UserError(f"{root} does not have the layout of VCTK ({self.looks_like})")
        audio, *others = _audio_folders(root)
        warnings = []
        if others:
            warnings.append(f"{others[0]}/ is not read, because {audio}/ exists")
        finds: list[Find] = []
        spoken = set()
        for folder in walk(root, audio):
            below = folder.path[len(audio) + 1 :]
            texts = _texts(root, below)
            place = Place(speaker=nfc(below).split("/")[0] or DEFAULT_SPEAKER)
            for utterance_id, name, openable in _takes(folder):
                spoken.add((nfc(texts.path), utterance_id))
                source, names = folder.source(name), [f"{utterance_id}.txt"]
                finds.append(pair(root, utterance_id, source, openable, texts, names, place))
        orphans = [
            folder.source(name)
            for folder in walk(root, TEXTS)
            for name in folder.files
            if split_suffix(name)[1] == ".txt"
            and (nfc(folder.path), split_suffix(name)[0]) not in spoken
        ]
        if orphans:
            warnings.append(f"texts without audio: {first_names(sorted(orphans))}")
        return settle(self.name, root, finds, warnings)


def _audio_folders(root: Path) -> list[str]:
    return [name for name in AUDIO if (root / name).is_dir()]


def _texts(root: Path, below: str) -> Folder:
    """The folder of texts for a folder of audio; without entries if it does not exist."""
    path = f"{TEXTS}/{below}" if below else TEXTS
    return list_folder(root, path) if (root / path).is_dir() else Folder(path)


def _takes(folder: Folder) -> Iterator[tuple[str, str, bool]]:
    """The best file of each utterance, as (id, name on disk, whether it can be opened)."""
    best: dict[str, tuple[bool, str, int, str]] = {}
    for stem, name, openable in folder.audio():
        microphone = _MICROPHONE.fullmatch(stem)
        utterance_id, number = microphone.groups() if microphone else (stem, "")
        order = AUDIO_SUFFIXES.index(split_suffix(name)[1])
        take = (not openable, number, order, name)
        best[utterance_id] = min(take, best.get(utterance_id, take))
    for utterance_id, (broken, _, _, name) in sorted(best.items()):
        yield utterance_id, name, not broken
