"""Which scripts a text may be written in, and which foreign words espeak-ng can say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.text.clauses import Word, base_language
from ns2.pipeline.text.tables import NO_SCRIPT, SCRIPT_HINT, SCRIPT_HINTS, SCRIPTS

_FEW = 1  # foreign words that may be a text of their own
_FEW_NAMES = 3  # words, of which half are names, that may be one, as "iPhone 15 Pro"
_SWITCHED = ("LATIN", "GREEK")
"""Scripts whose words espeak-ng says with a voice of another language; it spells Cyrillic."""
_LATIN = "A-Za-z\u00c0-\u024f"
_LATIN_WORD = re.compile(f"[{_LATIN}]+(?:['-][{_LATIN}]+)*")
_OTHER = f"[^\\W\\d_{_LATIN}]"
_BORDERS = re.compile(f"(?<=[{_LATIN}])['-]?(?={_OTHER})|(?<={_OTHER})(?=[{_LATIN}])")


def is_latin(language: str) -> bool:
    """Whether a language is written in Latin letters, among others."""
    return "LATIN" in scripts_of(language)


def said_apart(text: str, language: str) -> str:
    """A word to be spoken, with a space where Latin letters and those of the language meet.

    In Mandarin Latin letters lose their accents, which espeak-ng takes for tones of pinyin.
    """
    if not _LATIN_WORD.search(text):
        return text
    if base_language(language) == "cmn":
        text = _LATIN_WORD.sub(lambda found: _without_accents(found[0]), text)
    return _BORDERS.sub(" ", text)


def cut_at_latin(words: Sequence[Word]) -> list[Word]:
    """Words cut where Latin letters begin and end."""
    latin = re.compile(f"({_LATIN_WORD.pattern})")
    return [part for word in words for part in word.cut([*filter(None, latin.split(word.surface))])]


def is_latin_word(text: str) -> bool:
    """Whether a text is a word in Latin letters, and not spelled as an acronym is."""
    return _LATIN_WORD.fullmatch(text) is not None and not text.isupper()


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts of a language, by the first words of Unicode's names of characters."""
    return SCRIPTS.get(language) or SCRIPTS.get(base_language(language)) or ("LATIN",)


def check_scripts(
    words: Sequence[Word],
    language: str,
    *,
    foreign_sound: Callable[[str], str],
    more: Sequence[str] = (),
) -> None:
    """Check that all words can be said in a language.

    A word in Latin or Greek letters may stand in a text of another script, if espeak-ng says it
    with a voice of another language.

    Args:
        words: all words of a text.
        foreign_sound: what such a voice says for a word; "" where espeak-ng takes none.
        more: scripts that can be read beside those of the language.

    Raises:
        UtteranceError: WRONG_SCRIPT, no word of the text is in the language's scripts and it is
            more than one word and than a few names (WiFi, APP), or a word can't be said, which the
            message names.
    """
    scripts = tuple(dict.fromkeys((*scripts_of(language), *more)))
    foreign = [(word, char) for word in words if (char := _foreign_letter(word.surface, scripts))]
    if not foreign:
        return

    # A text without a word of the language is more likely one of another language.
    lettered = [word.surface for word in words if any(map(_is_letter, word.surface))]
    without = [text for text in lettered if not any(_belongs(char, scripts) for char in text)]
    unsaid = [
        (word, char)
        for word, char in foreign
        if not _switches(word.surface, scripts) or not foreign_sound(word.surface)
    ]
    mixed = 0 < len(unsaid) < len(foreign)
    hint = SCRIPT_HINT if 2 * len(without) > len(lettered) > _FEW and not mixed else ""
    names = len(lettered) <= _FEW_NAMES and 2 * sum(map(_is_name, lettered)) >= len(lettered)
    if hint and len(without) == len(lettered) and not names:
        word, char = foreign[0]
        raise UtteranceError(
            Reason.WRONG_SCRIPT,
            f"{word.surface[:40]!r}: {char} ({_name(char)}) does not belong to the scripts of "
            f"{language} ({', '.join(scripts).lower()}){_hint(language, char) or hint}",
        )
    if unsaid:
        word, char = unsaid[0]
        more_of_it = _hint(language, char) or hint or "; write it so, or give its phones"
        raise UtteranceError(
            Reason.WRONG_SCRIPT,
            f"{word.surface[:40]!r} can't be said in {language}: {char} ({_name(char)}) does "
            f"not belong to its scripts ({', '.join(scripts).lower()}){more_of_it}",
        )


def _switches(text: str, scripts: Sequence[str]) -> bool:
    """Whether the letters of a word are of some scripts, or such that espeak-ng changes voices."""
    return all(_belongs(char, (*scripts, *_SWITCHED)) for char in text if _is_letter(char))


def _is_name(text: str) -> bool:
    """Whether a word is written like a name or acronym that any language has: WiFi, APP, No.1."""
    return any(map(str.isdigit, text)) or any(map(str.isupper, text[1:])) or len(text) == 1


def in_script(words: Sequence[Word], language: str) -> bool:
    """Whether all letters of some words belong to the scripts of a language."""
    scripts = scripts_of(language)
    return not any(_foreign_letter(word.surface, scripts) for word in words)


def _foreign_letter(text: str, scripts: Sequence[str]) -> str:
    """The first letter that belongs to none of some scripts, or ""."""
    return next((c for c in text if _is_letter(c) and not _belongs(c, scripts)), "")


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] == "L"


def _belongs(char: str, scripts: Sequence[str]) -> bool:
    """Whether a letter belongs to some scripts, or to none at all."""
    if char.isascii():
        return char.isalpha() and "LATIN" in scripts
    name = unicodedata.name(char, "an unnamed letter")
    return _is_letter(char) and name.split(" ", 1)[0] in (*scripts, *NO_SCRIPT)


def _hint(language: str, char: str) -> str:
    """What to do about a letter, where that depends on the language."""
    kanji = unicodedata.name(char, "").startswith("CJK")
    return SCRIPT_HINTS.get(base_language(language), "") if kanji else ""


def _name(char: str) -> str:
    return unicodedata.name(char, "an unnamed letter").lower()
