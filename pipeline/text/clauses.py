"""Written text to clauses of words: cleaning, scripts, punctuation, abbreviations.

What is spoken is kept (letters, digits, `%`, `$`); what is only seen is removed (quotes, brackets,
emoji, arrows, zero-width characters). The words are turned into phones in `pronunciation`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.text.capitals import in_capitals, small
from ns2.pipeline.text.english_dates import is_week_day
from ns2.pipeline.text.english_tables import BEHIND_TIMES, DAYS, MONTH_NAMES
from ns2.pipeline.text.markup import without_markup
from ns2.pipeline.text.numbers.abbreviated import days, is_month, street, week_day
from ns2.pipeline.text.numbers.dots import ends_sentence, has_own_dot
from ns2.pipeline.text.numbers.joining import join_tokens
from ns2.pipeline.text.numbers.roman import NUMBERING, REIGNING, roman_value
from ns2.pipeline.text.tables import (
    ABBREVIATIONS,
    APOSTROPHES,
    BEFORE_NUMBER,
    CLOSING,
    COUNTED_IN_ROMAN,
    ELISIONS,
    FOREIGN_MARKS,
    GERMAN_CLOSING,
    LETTERED,
    MONTHS,
    NAMES_TOO,
    ORDINAL_DOT,
    PRONOUNS,
    SPOKEN_SYMBOLS,
    STRENGTH,
    UNCASED,
    UNITS,
)
from ns2.pipeline.text.written import Clause, Word, base_language, begun

__all__ = ["TEXT_LIMIT", "Clause", "Word", "base_language", "clauses", "clean"]

TEXT_LIMIT = 5000
"""Most characters of a transcript."""

_SIGNED = re.compile(r"-?\.?\d|-[$£€¥₹½¼¾⅓⅔⅛]")
_RANK = re.compile(r"\d{1,3}|\d{1,2}\.\d{1,2}")
_NUMERIC = tuple("0123456789½¼¾⅓⅔⅛")
_MARKS = ".,;:?!"
_WORD_LIMIT = 80  # characters: espeak-ng 1.52 cuts or crashes on much longer words


def clauses(text: str, language: str) -> list[Clause]:
    """Split a text into clauses at its punctuation marks, and these into words at spaces.

    Args:
        text: the text as written.
        language: the name of an espeak-ng voice.

    Raises:
        UtteranceError: TEXT_TOO_LONG.
    """
    if len(text) > TEXT_LIMIT:
        raise UtteranceError(
            Reason.TEXT_TOO_LONG,
            f"the text has {len(text):,} characters, more than {TEXT_LIMIT:,}; split it",
        )
    cleaned = clean(text, language)
    base = base_language(language)
    tokens = join_tokens(cleaned.split(), base)
    capitals = base not in UNCASED and in_capitals(cleaned)
    splitter = _Splitter(base, capitals)
    for i, token in enumerate(tokens):
        splitter.add(token, tokens[i + 1] if i + 1 < len(tokens) else "")
    return splitter.finish()


def clean(text: str, language: str) -> str:
    """The text in NFC, without what is not spoken, with the marks of all scripts as in `MARKS`."""
    base = base_language(language)
    text = unicodedata.normalize("NFC", without_markup(text))
    if base in ("el", "grc"):  # in Greek ";" is a question mark and "·" a semicolon
        text = text.replace(";", "?").replace("·", "; ")
    text = _WIDE_COLON.sub(":", text)
    if base == "en" and '"' in text:
        text = _inches(text)
    text = "".join(map(_compatible, text.translate(FOREIGN_MARKS)))
    text = "".join(_keep(char, base) for char in text)
    if base == "en":  # in other languages an accent may make a letter, such as g̃
        text = _LOOSE_ACCENT.sub("", text)
    for pattern, replacement in (*_SPACING, *_spaced_abbreviations(base)):
        text = pattern.sub(replacement, text)
    return unicodedata.normalize("NFC", text)


_HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WIDE_COLON = re.compile(r"(?<=\d)：(?=\d)")  # 15：30
_LOOSE_ACCENT = re.compile(r"(?<=[A-Za-z])[\u0300-\u036f]+")
_SPACING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=\d),[-–—]{1,2}(?=[\s€.,;:?!]|$)"), ""),  # 5,– €
    (re.compile(r"(?:\s|^)[-–](?=\s|$)"), " — "),
    (re.compile(r"–"), "-"),  # 10–20
    (re.compile(r"(?<=\d)( ?)º(?=[CF]\b)|(?<=\d)( )º(?=\W|$)"), r"\1\2°"),  # 20 ºC
    (re.compile(r"-{2,}"), " — "),
    (re.compile(r"\.(?:\s?\.)+"), "… "),
    (re.compile(r"…+"), "… "),
    (re.compile(r"(?<=[^\W\d_])([,;?!]+)(?=[^\W\d_])"), r"\1 "),  # the space is missing
    (re.compile(r"(?<=[a-z]{3})\.(?=[A-Z][a-z])"), ". "),
    (re.compile(r"(?<=[^\W\d_])\x00([^\W\d_]{1,3})\x00"), r"\1"),  # word(s)
    (re.compile(r"\x00([^\W\d_]{1,3})\x00(?=[^\W\d_])"), r"\1"),  # (un)able
    (re.compile(r"\x00"), " "),
    (re.compile(r"(?:\s|^)/+(?=\s|$)"), ", "),  # the end of a line of verse
)


@cache
def _spaced_abbreviations(base: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """ "z. B." as "z.B.", which may begin a sentence: "Z. B."."""
    found = [(r"(?<!\w)([ad])\. ?de ?C(?=\.)", r"\1.C")] if base == "es" else []
    for key in ABBREVIATIONS.get(base, {}):
        if "." in key:
            rest = re.escape(key[1:]).replace(r"\.", r"\. ")
            first = key[0] if key.endswith(".C") else f"{key[0]}{key[0].upper()}"
            found.append((rf"(?<!\w)([{first}]){rest}(?=\.)", rf"\1{key[1:]}"))
    return tuple((re.compile(pattern), said) for pattern, said in found)


def _inches(text: str) -> str:
    """A text with " for inches as ″: behind a number, where it closes no quotation."""
    said, is_open = "", False
    for char in text:
        if char == '"' and said[-1:].isdigit() and not is_open:
            char = "″"
        elif char in '"“”':
            is_open = char == "“" or (char == '"' and not is_open)
        said += char
    return said


def _compatible(char: str) -> str:
    """Full-width, ligature, circled and styled forms as the plain characters they stand for."""
    if char.isascii() or char in "…‥ªºµ²³½¼¾⅓⅔⅛⅜⅝⅞":
        return char
    decomposition = unicodedata.decomposition(char)
    if not decomposition.startswith("<") or "\u3130" <= char <= "\u318f":
        return char
    category = unicodedata.category(char)
    if category[0] in "LN" or char in "℃℉" or decomposition.startswith(("<wide>", "<narrow>")):
        return unicodedata.normalize("NFKC", char)
    return char


def _keep(char: str, base: str) -> str:
    """What a character is replaced by: itself, an equivalent, a space or nothing."""
    if (char.isascii() and char.isalnum()) or char in " .,;:?!…—–-":
        return char
    if char in APOSTROPHES:
        return "'"
    if char in SPOKEN_SYMBOLS or (char == "″" and base == "en"):
        return char
    category = unicodedata.category(char)
    match category:
        case "Nd":
            return str(unicodedata.decimal(char))
        case "Sc":
            return char
        case "Lm":  # phonetic letters, except the Hawaiian and Uzbek apostrophes
            return "" if "\u02b0" <= char <= "\u02ff" and char not in "ʻʼʽ" else char
        case "Cf":  # zero width; in Persian the non-joiner separates parts of a word
            return char if char == "\u200c" and base in ("fa", "ug", "ku") else ""
        case "Ps" | "Pe":
            return "\x00" if char in "()[]" else " "
        case "Mn" | "Mc":
            return "" if "VARIATION SELECTOR" in unicodedata.name(char, "") else char
        case "Me":
            return ""
        case "Pd":
            return "-"
    if category[0] in "LN":
        return char
    if char == "·" and base == "ca":
        return char
    if char in "׳״":
        return char
    return " "


class _Splitter:
    """Collects tokens into clauses."""

    def __init__(self, base: str, capitals: bool) -> None:
        self._base, self._capitals = base, capitals
        self._abbreviations = ABBREVIATIONS.get(base, {})
        self._clauses: list[Clause] = []
        self._words: list[Word] = []

    def add(self, token: str, following: str) -> None:
        """Add a token, a part of the text between spaces; `following` is the next one or ""."""
        shown = token
        if self._capitals:
            before = self._words[-1].surface if self._words else ""
            token = small(token, before, following, self._base)
        lead, core, tail = self._strip(token)
        self._close(lead)
        if not core:
            self._close(tail)
            return
        if len(core) > _WORD_LIMIT and not _has_han(core):
            raise UtteranceError(
                Reason.TEXT_TOO_LONG,
                f"a word has {len(core)} characters ({core[:20]}…), more than {_WORD_LIMIT}",
            )
        dotted = tail.startswith(".") and (
            self._is_abbreviation(core, following) or self._is_listed(core, tail)
        )
        if dotted:
            tail = tail[1:]
            if self._ends(core, following) and not tail.strip("-'"):
                tail = "."
        elif tail[:1] == "." and tail[1:2] in tuple(",;:"):
            tail = tail[1:]  # an abbreviation that no table has
        if self._base in ("cmn", "yue"):
            for i, piece in enumerate(_characters(core)):
                self._words.append(Word(surface=piece, dotted=dotted, glued=i > 0))
        else:
            shown = shown[len(lead) :][: len(core)] if len(shown) == len(token) else core
            shown = shown if shown != core else ""
            self._words.append(Word(surface=core, dotted=dotted, shown=shown))
        self._close(tail)

    def _is_listed(self, core: str, tail: str) -> bool:
        """Whether a full stop before another mark is that of an ordinal number: "am 3., 4. Mai"."""
        if tail[1:2] not in tuple(",;:") or self._base not in ORDINAL_DOT:
            return False
        return bool(_RANK.fullmatch(core) or roman_value(core))

    def _ends(self, core: str, following: str) -> bool:
        """Whether the full stop of an abbreviation or ordinal number ends a sentence, too."""
        closing = core in CLOSING and not (
            core == "Sr" and self._base != "en"
        )  # a title: Sr. López
        if core == "s" and self._base == "fr" and following[:1].isupper():
            return True
        if core.lower() in ("a.m", "p.m") and following.strip(_MARKS) in BEHIND_TIMES:
            return False  # 10 a.m. Monday
        if self._base == "en" and core in DAYS and following[:1].isupper():
            return following.strip(".,;:?!") not in MONTH_NAMES
        if core == "in" and (not following or following[:1].isupper()):
            return True  # 1 in.
        if core == "Ave" and following.strip(".,") in ("NW", "NE", "SW", "SE"):
            return False
        if not following or (closing and following[:1].isupper()):
            return True
        ending = core in GERMAN_CLOSING or self._is_german(core, following)
        if self._base != "de" or not (core.isdigit() or roman_value(core) or ending):
            return False
        return ends_sentence(following)

    def finish(self) -> list[Clause]:
        """End the last clause, and return all clauses."""
        if self._words:
            self._flush("")
        return self._clauses

    def _strip(self, token: str) -> tuple[str, str, str]:
        """The marks before a word, the word itself, and the marks after it."""
        start, end = 0, len(token)
        while start < end and token[start] in ".,;:?!…—-'":
            if _SIGNED.match(token, start):
                break  # .5, -5, -$5
            if token[start] == "'" and self._is_elision(token[start + 1 :]):
                break
            start += 1
        while end > start and token[end - 1] in ".,;:?!…—-'":
            end -= 1
        return token[:start], token[start:end], token[end:]

    def _is_elision(self, rest: str) -> bool:
        word = rest.rstrip(".,;:?!…—-'").lower()
        if self._base == "en" and re.fullmatch(r"\d\ds?", word):
            return True  # '80s
        return word in ELISIONS.get(self._base, ())

    def _is_abbreviation(self, core: str, following: str) -> bool:
        if core in self._abbreviations:
            return True
        if not self._words and core not in NAMES_TOO and begun(core) in self._abbreviations:
            return True
        if re.fullmatch(r"(?:\w+-)?(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}", core):
            return True  # e.g., U.S., Ph.D.
        if self._base == "de" and self._is_german(core, following):
            return True
        if self._base == "de" and core == "v" and following[:1].isupper():
            return True  # Hr. v. Goethe
        last = self._words[-1].surface if self._words else ""
        listed = last in ("and", "or") and self._words[-2:-1] and self._words[-2].dotted
        if self._base == "en" and is_old(core, following):
            return True
        if self._base == "fr" and core == "s" and re.fullmatch("[IVX]+e", last):
            return True  # XVIIe s.
        if self._base == "en" and is_week_day(core, "on" if listed else last, following):
            return True
        announcing = BEFORE_NUMBER.get(self._base, ())
        if core in announcing or (self._base not in ("de", "en") and begun(core) in announcing):
            numeral = following.strip(".,;:?!")
            short = len(numeral) == 1 and core.lower() not in COUNTED_IN_ROMAN
            numbered = following[:1].isdigit() or (not short and roman_value(numeral) > 0)
            return numbered or (following[:1].islower() and core in MONTHS)
        if has_own_dot(core, self._words, following, self._base):
            return True
        more = following[:1].islower() or _is_more(core, following)
        if self._is_unit(core) and (more or (core == "in" and self._base == "en")):
            return True
        if len(core) == 1 and core.isupper() and following[:1].isupper():  # initials
            if last.lower() in LETTERED or self._begins(following):
                return False  # Plan A. We
            if last in NUMBERING and roman_value(core):
                return False  # Chapter V. The
            if self._base == "en" and last in REIGNING:  # Robert I. Bouck, but: George V. He
                return following.strip(".,;:?!") not in PRONOUNS
            return not (self._base == "en" and core == "I")
        return False

    def _is_german(self, core: str, following: str) -> bool:
        """Whether a word is a day of the week, a month or a street in short, in German."""
        last = self._words[-1] if self._words else None
        before = last.surface if last else ""
        day = last is not None and last.dotted and before.isdigit()
        if week_day(core, before, following) or days(core) or street(core):
            return True
        return is_month(core, before, day)

    def _begins(self, following: str) -> bool:
        """Whether a sentence begins with a word, which then is no name behind an initial."""
        if self._base == "de":
            return ends_sentence(following)
        return self._base == "en" and following.strip(".,;:?!") in PRONOUNS

    def _is_unit(self, core: str) -> bool:
        """Whether a word is a unit behind its number, or both in one."""
        units = UNITS.get(self._base, ())
        if core in units:
            last = self._words[-1].surface if self._words else " "
            return last[-1] in _NUMERIC or last in ("sq", "cu")
        if " " in core and core.split()[-1] in units:
            return True  # 2:10:30 Std.
        number = core.rstrip("abcdefghijklmnopqrstuvwxyz")
        return number[-1:].isdigit() and core[len(number) :] in units

    def _close(self, marks: str) -> None:
        """End the clause at the strongest of several marks; without a mark nothing happens."""
        mark = next((m for m in STRENGTH if m in marks), "")
        if not mark:
            return
        if self._words:
            self._flush(mark)
        elif self._clauses:
            last = self._clauses[-1]
            last.mark = next(m for m in STRENGTH if m in (mark, last.mark))

    def _flush(self, mark: str) -> None:
        self._clauses.append(Clause(words=self._words, mark=mark))
        self._words = []


def _is_more(core: str, following: str) -> bool:
    """Whether a smaller unit may follow, as in "5 ft. 10 in."."""
    return core.endswith(("ft", "lb", "lbs", "hr", "hrs", "min")) and following[:1].isdigit()


def is_old(core: str, following: str) -> bool:
    """Whether a full stop of an older print belongs to a number, in English.

    "Charles II. fled", "Acts ii. 4", "5s. 6d.".
    """
    if roman_value(core) and following[:1].islower():
        return core != "I" or following not in ("am",)
    if core.islower() and roman_value(core.upper()) and following[:1].isdigit():
        return True
    if re.fullmatch(r"\d{1,2}d", core) and following[:1].islower():
        return True
    return bool(re.fullmatch(r"\d{1,2}s", core) and re.match(r"\d{1,2}d", following))


def _has_han(text: str) -> bool:
    return re.search(f"[{_HAN}]", text) is not None


def _characters(core: str) -> list[str]:
    """The Chinese characters of a word one by one, and what stands between them in one piece."""
    return re.findall(f"[{_HAN}]|[^{_HAN}]+", core)
