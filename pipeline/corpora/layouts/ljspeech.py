"""LJSpeech: one speaker, `metadata.csv` with `id|text|normalised text`, audio in `wavs/`.

https://keithito.com/LJ-Speech-Dataset. Many private corpora have the same layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.corpus import Corpus, Find, check_rows, reject, settle
from ns2.pipeline.corpora.folders import Lookup, decode, escaped, first_names, is_utf16, nfc

TABLE = "metadata.csv"
AUDIO = "wavs"
SPEAKER = "LJ"


class LJSpeech:
    """Reader of the layout of LJSpeech.

    Quotation marks in the table are literal: it is not a CSV in spite of its name. The normalised
    text is taken unless it is missing or blank. `wavs/` may have audio of any format.
    """

    name = "ljspeech"
    looks_like = f"{TABLE} with lines id|text|normalised text, and {AUDIO}/<id>.wav"

    def matches(self, root: Path) -> bool:
        """Whether the path has the table and the folder of audio."""
        return (root / TABLE).is_file() and (root / AUDIO).is_dir()

    def read(self, root: Path) -> Corpus:
        """Find all rows of the table.

        Raises:
            UserError: the table or the folder is missing, or no line has the form of a row.
        """
        table = root / TABLE
        if not self.matches(root):
            raise UserError(f"{root} does not have the layout of LJSpeech ({self.looks_like})")
        lookup = Lookup(root)
        finds = list(_rows(table, lookup))
        form = "id|text or id|text|normalised text, with `|` between the fields"
        check_rows(finds, table, form)
        unused = lookup.unused()
        warnings = []
        if unused:
            warnings.append(f"audio without a row in {TABLE}: {first_names(unused)}")
        return settle(self.name, root, finds, warnings)


def _rows(table: Path, lookup: Lookup) -> Iterator[Find]:
    with table.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1 and is_utf16(line):
                raise UserError(f"{table} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
            if line.strip(b" \t\r\n\xef\xbb\xbf"):
                yield _row(line, number, lookup)


def _row(line: bytes, number: int, lookup: Lookup) -> Find:
    where = f"{TABLE}:{number}"
    try:
        fields = [field.strip() for field in decode(line, f"line {number} of {TABLE}").split("|")]
    except UtteranceError as error:
        # The id as far as it can be read.
        utterance_id = escaped(line.split(b"|")[0].decode("utf-8", "backslashreplace").strip())
        return reject(utterance_id or where, "", error.reason, error.message)
    if len(fields) not in (2, 3) or not fields[0]:
        lacks = "an empty id" if len(fields) in (2, 3) else f"{len(fields)} fields"
        message = f"line {number} of {TABLE} has {lacks}, expected id|text|normalised text"
        known = nfc(fields[0]) if len(fields) > 1 and fields[0] else where
        return reject(known, "", Reason.BAD_ROW, message)

    utterance_id = nfc(fields[0])
    inside = not utterance_id.startswith("/") and ".." not in utterance_id.split("/")
    source, there = lookup.audio(f"{AUDIO}/{utterance_id}") if inside else ("", False)
    if not there:
        message = f"no audio {AUDIO}/{utterance_id}.wav (or .flac, .mp3, .ogg, .opus)"
        return reject(utterance_id, source, Reason.AUDIO_MISSING, message)
    text = next((field for field in reversed(fields[1:]) if field), "")
    if not text:
        message = f"line {number} of {TABLE} has no text"
        return reject(utterance_id, source, Reason.EMPTY_TRANSCRIPT, message)
    return Utterance(id=utterance_id, source=source, text=text, speaker=SPEAKER)
