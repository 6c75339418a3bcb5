"""Pairs: folders of any depth with `x.wav` and its text in `x.txt` or `x.lab` beside it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ns2.pipeline.corpora.base import DEFAULT_SPEAKER, Corpus, Find, beside, settle
from ns2.pipeline.corpora.files import Folder, nfc, some, walk
from ns2.pipeline.schema import UserError

TEXTS = (".txt", ".lab")
_GLANCE = 200  # folders


class Pairs:
    """Reader of audio with a text file beside each.

    The id is the path without its suffix, the speaker the name of the folder that the file lies
    in; what lies in the corpus's own folder has the speaker "default".
    """

    name = "pairs"
    looks_like = "folders of x.wav (or .flac, .mp3, .ogg, .opus) with x.txt or x.lab beside it"

    def matches(self, root: Path) -> bool:
        """Some audio has a text of the same name beside it."""
        if not root.is_dir():
            return False
        return any(_pairs(folder) for folder in islice(walk(root), _GLANCE))

    def read(self, root: Path) -> Corpus:
        """Find all audio.

        Raises:
            UserError: the path is not a folder.
        """
        if not root.is_dir():
            raise UserError(f"{root} is not a folder; pairs are {self.looks_like}")
        finds: list[Find] = []
        without_audio: list[str] = []
        for folder in walk(root):
            path = nfc(folder.path)
            speaker = path.rpartition("/")[2] or DEFAULT_SPEAKER
            stems = set()
            for stem, name, openable in folder.audio():
                stems.add(stem)
                finds.append(
                    beside(
                        root,
                        folder,
                        name,
                        openable=openable,
                        utterance_id=f"{path}/{stem}" if path else stem,
                        transcripts=[stem + text for text in TEXTS],
                        speaker=speaker,
                    )
                )
            without_audio += [
                folder.source(name)
                for canonical, name in folder.files.items()
                if canonical.endswith(TEXTS) and canonical[: -len(TEXTS[0])] not in stems
            ]
        warnings = []
        if without_audio:
            shown = some(sorted(without_audio))
            warnings.append(f"{len(without_audio)} texts have no audio beside them: {shown}")
        finds.sort(key=lambda find: nfc(find.source))
        return settle(self.name, root, finds, warnings)


def _pairs(folder: Folder) -> bool:
    return any(stem + text in folder.files for stem, _, _ in folder.audio() for text in TEXTS)
