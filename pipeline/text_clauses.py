"""Written text to clauses of words: cleaning, scripts, punctuation, abbreviations.

Nothing here speaks: `pipeline/text.py` does. What is spoken stays (letters, digits, `%`, `$`);
what is only seen goes (quotes, brackets, emoji, arrows, zero-width characters).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from ns2.pipeline.schema import Reason, UtteranceError

MARKS = (".", ",", ";", ":", "?", "!", "…", "—")
"""The punctuation that stands for a pause; every other mark becomes one of these or nothing."""

TEXT_LIMIT = 5000  # characters of a transcript
_WORD_LIMIT = 80  # characters of a word: espeak-ng 1.52 cuts or crashes on much longer ones

_STRENGTH = "?!.…—;:,"  # of a run of marks the first of these is kept
_SPOKEN_SYMBOLS = frozenset("%‰&+=@#№/°§±×÷−½¼¾⅓⅔⅛⅜⅝⅞²³ªºµ")
_APOSTROPHES = "'’‘‛ʼ＇`´ʹ′"
_ELISIONS = {
    "en": {"tis", "twas", "twere", "em", "cause", "til", "n", "bout", "round", "cos", "tween"},
    "af": {"n"},
    "nl": {"s", "t", "n", "k", "m"},
}

# Marks of other scripts; the space lets them end a clause where no space follows.
_FOREIGN_MARKS = str.maketrans(
    {
        "。": ". ", "．": ". ", "｡": ". ", "，": ", ", "、": ", ", "､": ", ", "；": "; ",
        "：": ": ", "？": "? ", "！": "! ", "‼": "! ", "⁇": "? ", "⁈": "? ", "⁉": "! ",
        "‽": "? ", "؟": "? ", "،": ", ", "؛": "; ", "۔": ". ", "।": ". ", "॥": ". ", "։": ". ",
        "՝": ", ", "՞": "", "՜": "", "՛": "", "።": ". ", "፣": ", ", "፤": "; ", "፥": ": ",
        "፦": ": ", "፧": "? ", "፡": " ", "၊": ", ", "။": ". ", "׃": ". ", "‥": "… ", "⋯": "… ",
        "—": " — ", "―": " — ", "⸺": " — ", "⸻": " — ", "־": "-", "‐": "-", "‑": "-",
        "\u2028": ". ", "\u2029": ". ",
    }
)  # fmt: skip

# Scripts by espeak-ng voice, else by the part before the first dash, else Latin. The names are
# the first words of Unicode's character names. Japanese is kana alone: espeak-ng 1.52 reads every
# kanji as the words "Chinese letter".
_SCRIPTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("ba", "be", "bg", "cv", "kk", "ky", "mk", "nog", "ru", "tt", "uk"), ("CYRILLIC",)
    ),
    **dict.fromkeys(("bs", "hr", "sr", "uz"), ("LATIN", "CYRILLIC")),
    **dict.fromkeys(("ar", "fa", "sd", "ug", "ur"), ("ARABIC",)),
    **dict.fromkeys(("hi", "kok", "mr", "ne"), ("DEVANAGARI",)),
    **dict.fromkeys(("as", "bn", "bpy"), ("BENGALI",)),
    **dict.fromkeys(("el", "grc"), ("GREEK",)),
    **dict.fromkeys(("hy", "hyw"), ("ARMENIAN",)),
    **dict.fromkeys(("am", "ti"), ("ETHIOPIC",)),
    **dict.fromkeys(("my", "shn"), ("MYANMAR",)),
    **dict.fromkeys(("cmn", "yue"), ("CJK",)),
    "he": ("HEBREW",), "gu": ("GUJARATI",), "pa": ("GURMUKHI",), "or": ("ORIYA",),
    "ta": ("TAMIL",), "te": ("TELUGU",), "kn": ("KANNADA",), "ml": ("MALAYALAM",),
    "si": ("SINHALA",), "th": ("THAI",), "ka": ("GEORGIAN",), "ko": ("HANGUL",),
    "ja": ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "fa-latn": ("LATIN",), "cmn-latn-pinyin": ("LATIN",), "en-shaw": ("SHAVIAN", "LATIN"),
}  # fmt: skip
_HINT = "; is --language right?"
_HINTS = {"ja": "; espeak-ng can't read kanji, write kana"}
_NO_SCRIPT = ("MODIFIER", "FEMININE", "MASCULINE", "MICRO")

# Words before whose full stop no clause ends, with what is said; None: espeak-ng says it well.
ABBREVIATIONS: dict[str, dict[str, str | None]] = {
    "en": {
        "Mr": "mister", "Mrs": None, "Ms": "miz", "Dr": "doctor", "Prof": "professor",
        "Rev": "reverend", "Hon": "honorable", "Gen": "general", "Col": "colonel",
        "Maj": "major", "Capt": "captain", "Lt": "lieutenant", "Sgt": "sergeant",
        "Gov": "governor", "Sen": "senator", "Rep": "representative", "Messrs": "messers",
        "Mme": "madame", "Mlle": "mademoiselle", "Mt": "mount", "Ft": "fort", "St": None,
        "vs": "versus", "Jr": "junior", "Sr": "senior", "Esq": "esquire", "etc": None,
        "Inc": "incorporated", "Ltd": "limited", "Co": "company", "Corp": "corporation",
        "Bros": "brothers", "Ave": "avenue", "Blvd": "boulevard", "Rd": "road",
        "approx": "approximately", "dept": "department", "viz": "namely", "cf": "compare",
        "al": None,
    },
    "de": {
        "Dr": "Doktor", "Prof": "Professor", "Hr": "Herr", "Fr": "Frau", "St": "Sankt",
        "Nr": "Nummer", "z.B": "zum Beispiel", "d.h": "das heißt", "u.a": "unter anderem", "usw": "und so weiter", "bzw": "beziehungsweise",
        "ca": "circa", "Str": "Straße", "Mio": "Millionen", "Mrd": "Milliarden", "vgl": "vergleiche",
    },
    "fr": {
        "M": "monsieur", "MM": "messieurs", "Mme": None, "Mlle": None, "Dr": "docteur",
        "St": "saint", "Ste": "sainte", "p.ex": "par exemple", "etc": None,
    },
    "es": {
        "Sr": None, "Sra": None, "Srta": None, "Dr": None, "Dra": None, "D": "don",
        "Ud": None, "Uds": None, "EE.UU": "Estados Unidos", "p.ej": "por ejemplo",
        "etc": None, "pág": "página", "Av": "avenida",
    },
    "it": {"Sig": "signor", "Dott": "dottor", "Prof": "professor", "ecc": "eccetera", "es": None},
    "pt": {"Sr": None, "Sra": None, "Dr": None, "Dra": None, "etc": None},
    "nl": {"dhr": None, "mevr": None, "dr": None, "prof": None, "bijv": None, "enz": None},
    "ru": {
        "т.е": "то есть", "т.д": "так далее", "т.п": "тому подобное", "и.о": None,
        "ул": "улица", "им": "имени", "др": "другие", "г": None, "см": "смотри", "руб": None,
    },
}  # fmt: skip
_CLOSING = frozenset(
    {"etc", "Inc", "Ltd", "Co", "Corp", "Bros", "Jr", "Sr", "Esq", "Ave", "Blvd", "Rd", "al",
     "a.m", "p.m", "A.M", "P.M", "B.C", "A.D", "Ph.D", "M.D", "usw", "ecc", "т.д", "т.п", "др"}
)  # fmt: skip
"""Abbreviations that often end a sentence: they do where a capital follows."""

_BEFORE_NUMBER = {
    "en": frozenset(
        "No Nos no nos p pp vol Vol ch Ch fig Fig Jan Feb Mar Apr Aug Sep Sept Oct Nov Dec".split()
    ),
    "de": frozenset({"S", "Abb", "Kap"}),
    "fr": frozenset({"n", "art", "vol"}),
    "es": frozenset({"Nº", "núm", "art"}),
    "ru": frozenset({"стр", "рис", "гл"}),
}
_MONTHS = frozenset("Jan Feb Mar Apr Aug Sep Sept Oct Nov Dec".split())
_UNITS = {"en": frozenset("ft lb lbs oz hr hrs min mins sec secs mi yd yds".split())}
_ORDINAL_DOT = frozenset("bs cs da de et eu fi hr hu is lb lv nb pl sk sl sr tr".split())
_GERMAN_MONTHS = frozenset(
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember "
    "Jahrhundert Jahrhunderts".split()
)


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word as written.

    Attributes:
        surface: what stands in the text, without quotes, brackets and marks.
        dotted: an abbreviation, whose own full stop is not part of `surface`.
        glued: no space stood before it (Chinese characters).
    """

    surface: str
    dotted: bool = False
    glued: bool = False

    @property
    def written(self) -> str:
        """The word with the full stop of an abbreviation."""
        return f"{self.surface}." if self.dotted else self.surface


@dataclass(kw_only=True)
class Clause:
    """Words that are spoken in one breath, and the mark after them ("" where there is none)."""

    words: list[Word]
    mark: str


def base_language(language: str) -> str:
    """The part of an espeak-ng voice before the first dash: "en" of "en-us"."""
    return language.split("-", 1)[0]


def clauses(text: str, language: str) -> list[Clause]:
    """Split a text at its marks and spaces.

    Raises:
        UtteranceError: WRONG_SCRIPT, TEXT_TOO_LONG.
    """
    if len(text) > TEXT_LIMIT:
        raise UtteranceError(
            Reason.TEXT_TOO_LONG,
            f"the text has {len(text):,} characters, more than {TEXT_LIMIT:,}; split it",
        )
    cleaned = clean(text, language)
    check_script(cleaned, language)
    tokens = cleaned.split()
    splitter = _Splitter(base_language(language))
    for i, token in enumerate(tokens):
        splitter.add(token, tokens[i + 1] if i + 1 < len(tokens) else "")
    return splitter.finish()


def clean(text: str, language: str) -> str:
    """NFC, without what is not spoken; the marks of all scripts become those of `MARKS`."""
    base = base_language(language)
    text = unicodedata.normalize("NFC", text)
    if base in ("el", "grc"):  # a Greek semicolon asks, a raised dot is a semicolon
        text = text.replace(";", "?").replace("·", "; ")
    text = "".join(map(_compatible, text)).translate(_FOREIGN_MARKS)
    text = "".join(_keep(char, base) for char in text)
    for pattern, replacement in (*_SPACING, *_spaced_abbreviations(base)):
        text = pattern.sub(replacement, text)
    return unicodedata.normalize("NFC", text)


def check_script(cleaned: str, language: str) -> None:
    """Raise WRONG_SCRIPT at the first letter of a script that the language does not use."""
    scripts = _SCRIPTS.get(language) or _SCRIPTS.get(base_language(language)) or ("LATIN",)
    for char in cleaned:
        if char.isascii():
            if "LATIN" in scripts or not char.isalpha():
                continue
        elif unicodedata.category(char)[0] != "L":
            continue
        name = unicodedata.name(char, "an unnamed letter")
        if name.split(" ", 1)[0] not in (*scripts, *_NO_SCRIPT):
            raise UtteranceError(
                Reason.WRONG_SCRIPT,
                f"{char} ({name.lower()}) does not belong to the scripts of {language}"
                f" ({', '.join(scripts).lower()}){_HINTS.get(base_language(language), _HINT)}",
            )


_JUNCTION = re.compile(r"(?<=\d)\s*[–]\s*(?=\d)")
_SPACING: tuple[tuple[re.Pattern[str], str], ...] = (
    (_JUNCTION, "-"),  # 10–20
    (re.compile(r"(?:\s|^)[-–](?=\s|$)"), " — "),
    (re.compile(r"–"), "-"),
    (re.compile(r"-{2,}"), " — "),
    (re.compile(r"\.(?:\s?\.)+"), "… "),
    (re.compile(r"…+"), "… "),
    (re.compile(r"(?<=[^\W\d_])([,;?!]+)(?=[^\W\d_])"), r"\1 "),  # a space forgotten
    (re.compile(r"(?<=[a-z]{3})\.(?=[A-Z][a-z])"), ". "),
    (re.compile(r"(?<=[^\W\d_])\x00([^\W\d_]{1,3})\x00"), r"\1"),  # word(s)
    (re.compile(r"\x00([^\W\d_]{1,3})\x00(?=[^\W\d_])"), r"\1"),  # (un)able
    (re.compile(r"\x00"), " "),
    (re.compile(r"(?:\s|^)/+(?=\s|$)"), ", "),  # the end of a line of verse
)


@cache
def _spaced_abbreviations(base: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """ "z. B." as "z.B."."""
    return tuple(
        (re.compile(rf"(?<!\w){re.escape(key).replace(dot, dot + ' ')}(?=\.)"), key)
        for dot in (re.escape("."),)
        for key in ABBREVIATIONS.get(base, {})
        if "." in key
    )


def _compatible(char: str) -> str:
    """Full-width, ligature, circled and styled forms as the plain characters they stand for."""
    if char.isascii() or char in "…‥ªºµ²³½¼¾⅓⅔⅛⅜⅝⅞":
        return char
    decomposition = unicodedata.decomposition(char)
    if not decomposition.startswith("<") or "\u3130" <= char <= "\u318f":
        return char
    category = unicodedata.category(char)
    if category[0] in "LN" or char in "℃℉":
        return unicodedata.normalize("NFKC", char)
    return char


def _keep(char: str, base: str) -> str:
    """What one character leaves: itself, an equivalent, a space or nothing."""
    if (char.isascii() and char.isalnum()) or char in " .,;:?!…—–-":
        return char
    if char in _APOSTROPHES:
        return "'"
    if char in _SPOKEN_SYMBOLS:
        return char
    category = unicodedata.category(char)
    match category:
        case "Nd":
            return str(unicodedata.decimal(char))
        case "Sc":
            return char
        case "Lm":  # phonetic letters, except the Hawaiian and Uzbek apostrophes
            return "" if "\u02b0" <= char <= "\u02ff" and char not in "ʻʼʽ" else char
        case "Cf":  # zero width; the non-joiner parts Persian words
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

    def __init__(self, base: str) -> None:
        self._base = base
        self._abbreviations = ABBREVIATIONS.get(base, {})
        self._clauses: list[Clause] = []
        self._words: list[Word] = []

    def add(self, token: str, following: str) -> None:
        """Take one token between spaces; `following` is the next one."""
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
        dotted = tail.startswith(".") and self._is_abbreviation(core, following)
        if dotted:
            tail = tail[1:]
            ends = not following or (core in _CLOSING and following[:1].isupper())
            if ends and not tail.strip("-'"):
                tail = "."
        pieces = _characters(core) if self._base in ("cmn", "yue") else [core]
        for i, piece in enumerate(pieces):
            self._words.append(Word(surface=piece, dotted=dotted, glued=i > 0))
        self._close(tail)

    def finish(self) -> list[Clause]:
        """All clauses."""
        if self._words:
            self._flush("")
        return self._clauses

    def _strip(self, token: str) -> tuple[str, str, str]:
        """The marks before a word, the word, the marks after it."""
        start, end = 0, len(token)
        while start < end and token[start] in ".,;:?!…—-'":
            if token[start] in ".-" and token[start + 1 : start + 2].isdigit():
                break  # .5, -5
            if token[start] == "-" and token[start + 1 : start + 2] in tuple("$£€¥"):
                break
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
        return word in _ELISIONS.get(self._base, ())

    def _is_abbreviation(self, core: str, following: str) -> bool:
        if core in self._abbreviations:
            return True
        if re.fullmatch(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}", core):
            return True  # e.g., U.S., Ph.D.
        if core in _BEFORE_NUMBER.get(self._base, ()):
            return following[:1].isdigit() or (following[:1].islower() and core in _MONTHS)
        if core in _UNITS.get(self._base, ()) and self._words and following[:1].islower():
            return self._words[-1].surface[-1:].isdigit()
        if len(core) == 1 and core.isupper() and following[:1].isupper():
            return not (self._base == "en" and core == "I")  # initials
        if core.isdigit() and len(core) <= 2 and self._base in _ORDINAL_DOT:
            return following[:1].islower() or following.rstrip(".,;:?!") in _GERMAN_MONTHS
        return False

    def _close(self, marks: str) -> None:
        """End the clause at the strongest mark of a run; without a mark, nothing happens."""
        mark = next((m for m in _STRENGTH if m in marks), "")
        if not mark:
            return
        if self._words:
            self._flush(mark)
        elif self._clauses:
            last = self._clauses[-1]
            last.mark = next(m for m in _STRENGTH if m in (mark, last.mark))

    def _flush(self, mark: str) -> None:
        self._clauses.append(Clause(words=self._words, mark=mark))
        self._words = []


def _has_han(text: str) -> bool:
    return any(unicodedata.name(char, "").startswith("CJK") for char in text)


def _characters(core: str) -> list[str]:
    """Chinese characters one by one, everything between them in one piece."""
    return re.findall(
        r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+",
        core,
    )
