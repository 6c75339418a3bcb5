"""LibriTTS and LibriTTS-R: `<split>/<speaker>/<chapter>/<id>.wav`, with text files beside it.

Zen et al. 2019, "LibriTTS: A Corpus Derived from LibriSpeech for Text-to-Speech",
https://www.openslr.org/60.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from ns2.pipeline.corpora.corpus import DEFAULT_SPEAKER, Corpus, Place, read_beside, split_of
from ns2.pipeline.corpora.folders import list_folder, walk

TRANSCRIPTS = (".normalized.txt", ".original.txt")
_GLANCE = 200  # most folders that are searched to recognise the layout


class LibriTTS:
    """Reader of the layout of LibriTTS; the path is the whole corpus or a split.

    The id is the name of the file, the speaker is the folder below the split. The normalised text
    is taken unless it is missing or blank. train-* is the split train, dev-* is val, test-* is
    test.
    """

    name = "libritts"
    looks_like = "<split>/<speaker>/<chapter>/<id>.wav with <id>.normalized.txt beside it"

    def matches(self, root: Path) -> bool:
        """Whether any audio is at the right depth, with a text of the right name beside it."""
        if not root.is_dir():
            return False
        depth = 3 if _has_splits(root) else 2
        return any(
            stem + text in folder.files
            for folder in islice(walk(root), _GLANCE)
            if folder.path and folder.path.count("/") == depth - 1
            for stem, _, _ in folder.audio()
            for text in TRANSCRIPTS
        )

    def read(self, root: Path) -> Corpus:
        """Find all audio.

        Raises:
            UserError: the path is not a folder, or cannot be listed.
        """
        whole = root.is_dir() and _has_splits(root)
        own = Path(os.path.abspath(root)).name  # noqa: PTH100 - resolve() follows links

        def place(folder: str) -> Place:
            split, *below = folder.split("/") if whole else [own, *folder.split("/")]
            speaker = below[0] if below and below[0] else DEFAULT_SPEAKER
            return Place(speaker=speaker, split=split_of(split) or "")

        return read_beside(self.name, root, TRANSCRIPTS, place)


def _has_splits(root: Path) -> bool:
    return any(split_of(name) for name in list_folder(root, "").folders)
