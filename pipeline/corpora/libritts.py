"""LibriTTS and LibriTTS-R: `<split>/<speaker>/<chapter>/<id>.wav` with text files beside.

Zen et al. 2019, "LibriTTS: A Corpus Derived from LibriSpeech for Text-to-Speech",
https://www.openslr.org/60.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from ns2.pipeline.corpora.base import (
    DEFAULT_SPEAKER,
    Corpus,
    Find,
    beside,
    settle,
    split_of,
)
from ns2.pipeline.corpora.files import list_folder, nfc, some, walk
from ns2.pipeline.schema import UserError

TEXTS = (".normalized.txt", ".original.txt")
_GLANCE = 200  # folders


class LibriTTS:
    """Reader of LibriTTS's layout; the path is the whole corpus or one of its splits.

    The normalised text is used where it is there and not blank. train-* is the split train,
    dev-* is val, test-* is test.
    """

    name = "libritts"
    looks_like = "<split>/<speaker>/<chapter>/<id>.wav with <id>.normalized.txt beside it"

    def matches(self, root: Path) -> bool:
        """Some audio lies at the right depth with a text of the right name beside it."""
        if not root.is_dir():
            return False
        depth = 3 if _has_splits(root) else 2
        for folder in islice(walk(root), _GLANCE):
            if folder.path.count("/") == depth - 1 and folder.path:
                for stem, _, _ in folder.audio():
                    if any(stem + text in folder.files for text in TEXTS):
                        return True
        return False

    def read(self, root: Path) -> Corpus:
        """Find all audio.

        Raises:
            UserError: the path is not a folder.
        """
        if not root.is_dir():
            raise UserError(f"{root} is not a folder; LibriTTS is {self.looks_like}")
        whole = _has_splits(root)
        own = Path(os.path.abspath(root)).name
        finds: list[Find] = []
        without_audio: list[str] = []
        for folder in walk(root):
            parts = [own, *folder.path.split("/")] if not whole else folder.path.split("/")
            speaker = parts[1] if len(parts) > 1 and parts[1] else DEFAULT_SPEAKER
            split = split_of(parts[0]) or ""
            stems = set()
            for stem, name, openable in folder.audio():
                stems.add(stem)
                finds.append(
                    beside(
                        root,
                        folder,
                        name,
                        openable=openable,
                        utterance_id=stem,
                        transcripts=[stem + text for text in TEXTS],
                        speaker=speaker,
                        split=split,
                    )
                )
            without_audio += [
                folder.source(name)
                for canonical, name in folder.files.items()
                if canonical.endswith(TEXTS[0]) and canonical.removesuffix(TEXTS[0]) not in stems
            ]
        warnings = []
        if without_audio:
            shown = some(sorted(without_audio))
            warnings.append(f"{len(without_audio)} transcripts have no audio beside them: {shown}")
        finds.sort(key=lambda find: nfc(find.source))
        return settle(self.name, root, finds, warnings)


def _has_splits(root: Path) -> bool:
    return any(split_of(name) for name in list_folder(root, "").folders)
