"""Praat's text format: a row of values between comments.

Values are numbers, strings in double quotes and flags in angle brackets, each between blanks; all
other words are comments. So the long form of a file is its short form with names in front of the
values, and both are read alike. Praat is lenient with what people and other tools write: it guesses
the encoding, and takes "0,3" and "0x3" for 0; parselmouth's Praat ends the process on a TextGrid
without tiers. This reader refuses whatever is not clear, and names the line.
"""

from __future__ import annotations

import math
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason

_HEADER = re.compile(
    r'\s*File type\s*=\s*"ooTextFile(?: short)?"\s+(?:Object class\s*=\s*)?"([^"]*)"'
)
_SAVE_AS_TEXT = "open it in Praat and choose Save > Save as text file"
_QUOTED = re.compile(r'"(?:[^"]++|"")*+"')  # a quote within is doubled
_TOKEN = re.compile(
    rf"(?P<string>{_QUOTED.pattern}(?!\S))"
    r'|(?P<fault>"\S*)'  # a string that is not closed, or goes on behind its closing quote
    r"|(?P<flag><\S*)"
    r"|(?P<number>[+\-.\d]\S*|(?i:nan|inf|infinity)(?!\S))"  # or was meant to be one
    r"|(?P<comment>!.*|[^\s=]+)",
    re.ASCII,
)
_TIME = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COUNT = re.compile(r"\d{1,9}", re.ASCII)


class PraatText:
    """The values of a file in Praat's text format, taken one after the other.

    The methods take the place of a value in the file for their error messages, and raise
    UtteranceError: TEXTGRID_DAMAGED if the next value is of another kind or there is none.

    Attributes:
        object_class: the class of the Praat object in the file, such as "TextGrid".
    """

    def __init__(self, data: bytes, name: str) -> None:
        """Decode a file and read its header.

        Args:
            data: the content of the file.
            name: the name of the file, for error messages.

        Raises:
            UtteranceError: TEXTGRID_UNREADABLE, the file is not in Praat's text format.
        """
        self._name, self._text = name, _decode(data, name)
        header = _HEADER.match(self._text)
        if header is None:
            raise _unreadable(name, "is not a TextGrid: it does not begin with Praat's header")
        self.object_class, self._at = header[1], header.end()
        found = _TOKEN.finditer(self._text, header.end())
        self._values = (value for value in found if value.lastgroup != "comment")

    def time(self, where: str) -> float:
        """Take a time: seconds, as the double that is nearest to what is written.

        Raises:
            UtteranceError: TEXTGRID_BAD_TIMES too, the time is negative or not a finite number.
        """
        written = self._take("number", where)
        seconds = float(written) if _TIME.fullmatch(written) else math.nan
        if math.isfinite(seconds) and seconds >= 0:
            return abs(seconds)  # some tools write -0
        fault = "is a negative time" if math.isfinite(seconds) else "is not a time"
        raise self._error(Reason.TEXTGRID_BAD_TIMES, f"{where}: {written!r} {fault}")

    def count(self, where: str) -> int:
        """Take a number of tiers or entries."""
        written = self._take("number", where)
        if not _COUNT.fullmatch(written):
            raise self.damaged(f"{where}: {written!r} is not a number of tiers or entries")
        return int(written)

    def exists(self, where: str) -> bool:
        """Take a flag `<exists>` or `<absent>`."""
        written = self._take("flag", where)
        if written not in ("<exists>", "<absent>"):
            raise self.damaged(f"{where}: {written!r} is neither <exists> nor <absent>")
        return written == "<exists>"

    def string(self, where: str) -> str:
        """Take a string, without its quotes."""
        return self._take("string", where)[1:-1].replace('""', '"')

    def check_end(self, last: str) -> None:
        """Check that no value follows the last one.

        Raises:
            UtteranceError: TEXTGRID_DAMAGED, there are more values.
        """
        value = next(self._values, None)
        if value is not None:
            self._at = value.start()
            raise self.damaged(f"{last}: it declares fewer entries than there are")

    def damaged(self, message: str) -> UtteranceError:
        """An error TEXTGRID_DAMAGED at the line of the value that was taken last."""
        return self._error(Reason.TEXTGRID_DAMAGED, message)

    def _take(self, kind: str, where: str) -> str:
        value = next(self._values, None)
        if value is None:
            self._at = len(self._text)
            raise self.damaged(f"{where}: the file is cut short, a {kind} is expected")
        self._at = value.start()
        if value.lastgroup == "fault":
            fault = "is not closed: the file is cut short"
            if _QUOTED.match(self._text, self._at):
                fault = "holds a quote that is not doubled"
            raise self.damaged(f"{where}: the string {value[0][:40]!r} {fault}")
        if value.lastgroup != kind:
            message = f"a {kind} is expected, not {value[0][:40]!r}; is a declared size wrong?"
            raise self.damaged(f"{where}: {message}")
        return value[0]

    def _error(self, reason: Reason, message: str) -> UtteranceError:
        line = self._text.count("\n", 0, self._at) + 1
        return UtteranceError(reason, f"{self._name}, line {line}: {message}")


def _decode(data: bytes, name: str) -> str:
    """The text of a file, with "\\n" at the end of every line.

    Encodings without a mark of their own, such as Latin-1, are refused: they can only be guessed.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise _unreadable(name, "is empty")
    if data.startswith(b"ooBinaryFile"):
        raise _unreadable(name, f"is in Praat's binary form; {_SAVE_AS_TEXT}")
    is_utf16 = data.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if b"ooTextFile" not in data[:200] and not is_utf16:
            raise _unreadable(name, "is not a TextGrid: it is not a text file") from error
        raise _unreadable(name, f"is neither valid UTF-8 nor UTF-16; {_SAVE_AS_TEXT}") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.lstrip().startswith('"Praat chronological TextGrid'):
        raise _unreadable(name, f"is in Praat's chronological form; {_SAVE_AS_TEXT}")
    return text


def _unreadable(name: str, message: str) -> UtteranceError:
    return UtteranceError(Reason.TEXTGRID_UNREADABLE, f"{name} {message}")
