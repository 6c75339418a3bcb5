"""Entries of corpora whose files say what an utterance is: checked, and made utterances."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.held import Held
from ns2.pipeline.core.names import encodable
from ns2.pipeline.core.schema import Piece, Reason, Utterance
from ns2.pipeline.corpora.corpus import DEFAULT_SPEAKER, Find, reject, split_of
from ns2.pipeline.corpora.fields import NORMALISED, speaker_name
from ns2.pipeline.corpora.folders import nfc, one_line, split_suffix
from ns2.pipeline.corpora.languages import voice_of
from ns2.pipeline.corpora.rows import bad_row


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a corpus says of an utterance.

    Attributes:
        id: its name; "" where it has none.
        source, piece, held: see `Utterance`.
        text, speaker, language: values as they are written, of any type; None where there is none.
        split: one of ns2's splits, or "".
        fault: why it can't be used, where the reader knows that.
    """

    id: Any
    source: str
    text: Any = None
    speaker: Any = None
    language: Any = None
    split: str = ""
    piece: Piece | None = None
    held: Held | None = None
    fault: UtteranceError | None = None

    def find(self, where: str) -> Find:
        """The utterance, or why it can't be used.

        Args:
            where: the name of the row or member that says all this, for messages; it is the id of
                what has none.
        """
        utterance_id = where
        try:
            if not encodable(self.source):
                raise UtteranceError(
                    Reason.AUDIO_UNREADABLE, "the name of its audio is not UTF-8; rename it"
                )
            utterance_id = nfc(text_value("id", as_name(self.id))) or where
            if self.fault is not None:
                raise self.fault
            text = one_line(text_value("text", self.text))
            if not text:
                reason = Reason.NO_TRANSCRIPT if self.text is None else Reason.EMPTY_TRANSCRIPT
                raise UtteranceError(
                    reason, "has no text" if self.text is None else "its text is blank"
                )
            return Utterance(
                id=utterance_id,
                source=self.source,
                text=text,
                speaker=speaker_name(nfc(text_value("speaker", as_name(self.speaker))))
                or DEFAULT_SPEAKER,
                language=voice_of(text_value("language", self.language)),
                split=self.split,
                piece=self.piece,
                held=self.held,
            )
        except UtteranceError as error:
            return reject(utterance_id, self.source, error.reason, f"{where}: {error.message}")


def best_text(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The text of a row: the first that is not blank, where normalised texts come first.

    Args:
        names: of the fields that may hold it; normalised ones that hold no text are flags.
    """
    texts = [
        row[name]
        for name in names
        if row.get(name) is not None and (isinstance(row[name], str) or name not in NORMALISED)
    ]
    full = (text for text in texts if not isinstance(text, str) or text.strip())
    return next(full, texts[0] if texts else None)


def as_name(value: Any) -> Any:
    """A whole number as a string, as names of speakers and utterances often are one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas makes 1.0 of 1 where a row has none
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def shown_value(value: Any) -> str:
    """A value for a message, not too long."""
    return json.dumps(value, default=str)[:40]


def text_value(name: str, value: Any) -> str:
    """A text of a row without blanks around it; "" for None.

    Args:
        name: of the field, for messages.

    Raises:
        UtteranceError: it is no string, not UTF-8, or has a NUL.
    """
    if value is None:
        return ""
    if isinstance(value, UtteranceError):
        raise value
    if not isinstance(value, str):
        raise bad_row(f"{name} is {shown_value(value)}, expected a string")
    if not encodable(value):
        message = f"{name} is not UTF-8; convert the file, for example: iconv -f LATIN1 -t UTF-8"
        raise UtteranceError(Reason.TRANSCRIPT_UNREADABLE, message)
    if "\0" in value:
        raise bad_row(f"{name} contains a NUL character")
    return value.strip()


def named_split(name: str) -> str:
    """The split that a row names, "" for none.

    Raises:
        UtteranceError: it is none that is known.
    """
    split = split_of(name) if name else ""
    if split is None:
        raise bad_row(f"unknown split {name!r}; use train, val or test")
    return split


def split_of_path(path: str) -> str:
    """The split that a file or one of its folders is named for, the nearest first; or ""."""
    found = (split_of(part) for part in reversed(path.split("/")) if part)
    return next((split for split in found if split), "")


def split_of_file(path: str) -> str:
    """The split of all that a file holds, by its name or that of a folder of it; or "".

    The split may be any word of a name: "lj-test-000000.tar" is "test". One at the front counts
    first, then the last one, since names go from the corpus to its parts.
    """
    for part in reversed(path.split("/")):
        words = [word for word in re.split(r"[\W\d_]+", part) if word]
        for name in (part, *reversed(words)):
            if split := split_of(name):
                return split
    return ""


def without_lone_train(finds: Iterable[Find]) -> list[Find]:
    """Finds whose split is open where all that names of files tell is that it is train.

    A corpus that is not split calls itself so, and would have nothing to validate with.
    """
    found = list(finds)
    if {find.split for find in found if isinstance(find, Utterance)} == {"train"}:
        return [replace(f, split="") if isinstance(f, Utterance) else f for f in found]
    return found


def lost_part(name: str, reason: Reason, message: str) -> Find:
    """The row of the ledger for a part of a corpus whose utterances nobody can count.

    Args:
        name: of the file, and what is lost of it.
    """
    return reject(name, name.partition("#")[0], reason, message)


def without_suffix(source: str) -> str:
    """The path of a file without the suffix of its name."""
    folder, slash, name = source.rpartition("/")
    return folder + slash + split_suffix(name)[0]


def unread_fields(where: str, names: Sequence[str]) -> list[str]:
    """A sentence on fields that are not read, if there are any."""
    if not names:
        return []
    return [
        f"fields of {where} that are not read: {', '.join(names)}; --fields says which field "
        "holds what"
    ]
