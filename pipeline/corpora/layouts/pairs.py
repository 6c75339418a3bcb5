"""Pairs: folders of any depth with audio `x.wav` and its text `x.txt` or `x.lab` beside it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ns2.pipeline.corpora.corpus import DEFAULT_SPEAKER, Corpus, Place, read_beside
from ns2.pipeline.corpora.folders import walk

TRANSCRIPTS = (".txt", ".lab")
_GLANCE = 200  # most folders that are searched to recognise the layout


class Pairs:
    """Reader of audio files with a text file beside each.

    The id is the path without its suffix. The speaker is the name of the folder of the file, or
    "default" for files in the folder of the corpus itself.
    """

    name = "pairs"
    looks_like = "folders of x.wav (or .flac, .mp3, .ogg, .opus) with x.txt or x.lab beside it"

    def matches(self, root: Path) -> bool:
        """Whether any audio has a text of the same name beside it."""
        if not root.is_dir():
            return False
        return any(
            stem + text in folder.files
            for folder in islice(walk(root), _GLANCE)
            for stem, _, _ in folder.audio()
            for text in TRANSCRIPTS
        )

    def read(self, root: Path) -> Corpus:
        """Find all audio.

        Raises:
            UserError: the path is not a folder, or cannot be listed.
        """
        return read_beside(self.name, root, TRANSCRIPTS, _place)


def _place(folder: str) -> Place:
    if not folder:
        return Place()
    speaker = folder.rpartition("/")[2] or DEFAULT_SPEAKER
    return Place(prefix=f"{folder}/", speaker=speaker)
