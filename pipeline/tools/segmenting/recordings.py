"""Finds long recordings and their texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.names import encodable
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.folders import (
    AUDIO_SUFFIXES,
    decode,
    first_names,
    nfc,
    split_suffix,
    walk,
)

_TEXT = ".txt"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording with its text.

    Attributes:
        name: its path below the folder that was named, without suffix; names its utterances.
        audio, text: the files.
        speaker: the name of its folder, or "" where it lies in the named folder itself.
    """

    name: str
    audio: Path
    text: Path
    speaker: str = ""

    def read_text(self) -> str:
        """The text as written.

        Raises:
            UtteranceError: TRANSCRIPT_UNREADABLE, or EMPTY_TRANSCRIPT.
        """
        try:
            data = self.text.read_bytes()
        except OSError as error:
            message = f"{self.text.name} cannot be read: {error.strerror}"
            raise UtteranceError(Reason.TRANSCRIPT_UNREADABLE, message) from error
        found = decode(data, self.text.name).replace("\r\n", "\n").replace("\r", "\n")
        if not found.strip():
            raise UtteranceError(Reason.EMPTY_TRANSCRIPT, f"{self.text.name}: only blanks")
        return found


def find_recordings(path: Path) -> tuple[list[Recording], list[str]]:
    """Find all recordings with a text beside them, sorted by name, and what is noticed.

    Args:
        path: a recording, or a folder of any depth.

    Raises:
        UserError: there is none.
    """
    if path.is_file():
        stem, suffix = split_suffix(path.name)
        text = path.with_name(stem + _TEXT)
        if suffix not in AUDIO_SUFFIXES:
            raise UserError(f"{path} is no recording: its suffix is none of {_suffixes()}")
        if not text.is_file():
            raise UserError(f"{path} has no text beside it: expected {text.name}")
        return [Recording(name=nfc(stem), audio=path, text=text)], []
    found: list[Recording] = []
    alone: list[str] = []
    for folder in walk(path):
        for stem, name, openable in folder.audio():
            source = nfc(folder.source(stem))
            text_name = folder.files.get(stem + _TEXT)
            if text_name is None or not openable or not encodable(source):
                alone.append(source)
                continue
            found.append(
                Recording(
                    name=source,
                    audio=path / folder.source(name),
                    text=path / folder.source(text_name),
                    speaker=nfc(folder.path.rpartition("/")[2]),
                )
            )
    found.sort(key=lambda recording: recording.name)
    if not found:
        raise UserError(
            f"{path} has no recording ({_suffixes()}) with a text of the same name ({_TEXT}) "
            "beside it"
        )
    notes = [f"recordings without a text beside them: {first_names(sorted(alone))}"]
    return found, notes if alone else []


def _suffixes() -> str:
    return ", ".join(suffix.removeprefix(".") for suffix in AUDIO_SUFFIXES)
