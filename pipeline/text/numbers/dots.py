"""Whether the full stop after a number makes it an ordinal number, ends a sentence, or both.

"vom 1. FC Köln" has an ordinal number, "Es waren 17. Dann" has the end of a sentence, and "Heute
ist der 17. Dann" has both. The word before tells the first, the word after the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ns2.pipeline.text.numbers.roman import NUMBERING, REIGNING, clear_roman, roman_value
from ns2.pipeline.text.tables import GERMAN_RANKED, ORDINAL_DOT, word_set
from ns2.pipeline.text.written import Word

_DETERMINERS = word_set(
    "der die das dem den des am vom zum zur im beim ins ans aufs fürs jeder jede jedes jedem jeden "
    "dieser diese dieses diesem diesen jener jene jenes jenem jenen ein eine einem einen einer "
    "eines kein keine keinem keinen keiner mein meine meinem meinen meiner meines dein deine "
    "deinem deinen deiner sein seine seinem seinen seiner seines ihr ihre ihrem ihren ihrer ihres "
    "unser unsere unserem unseren unserer euer eure eurem euren eurer"
)
_STARTERS = word_set(
    "Er Sie Es Wir Ich Ihr Du Man Der Die Das Den Dem Ein Eine Einer Einen Einem Dann Da Danach "
    "Und Aber Oder Doch So Nun Jetzt Hier Dort Im In Am An Auf Aus Bei Mit Nach Von Vor Zu Zum Zur "
    "Für Als Wenn Weil Dass Daß Ob Wie Was Wer Wo Warum Wann Auch Nur Noch Sein Seine Ihre Unser "
    "Unsere Dies Diese Dieser Dieses Später Heute Gestern Morgen Damals Deshalb Trotzdem Jedoch "
    "Alle Viele Einige Niemand Jeder Jede Keiner Kein Keine Denn Seitdem Seit Bis Unter Über "
    "Zwischen Während Nachdem Bevor Obwohl Sogar Immer Nie Vielleicht Leider Danke Ja Nein"
)
_JOINING = ("und", "bis", "oder")
ROMAN_RANKED = word_set(
    "Weltkrieg Weltkriegs Weltkrieges Kapitel Teil Akt Band Abschnitt Buch Parteitag Parteitags "
    "Internationale Reich Quartal Korps Klasse Stock Zivilsenat Strafsenat Olympiade Kongress"
)
"""German nouns that stand behind an ordinal number in Roman numerals."""
_MARKS = ".,;:?!…—-'"


def has_own_dot(core: str, before: Sequence[Word], following: str, base: str) -> bool:
    """Whether the full stop after a number belongs to it, as that of an ordinal number.

    Args:
        core: the number, in digits or as a Roman numeral, without the full stop.
        before: the words of its clause before it.
        following: the word after it, with its marks, or "".
        base: the language.
    """
    if base not in ORDINAL_DOT:
        return False
    number = core.isascii() and core.isdigit()
    last = before[-1].surface if before else ""
    if base != "de":
        return following[:1].islower() and ((number and len(core) <= 2) or clear_roman(core) > 0)
    earlier = before
    while len(earlier) > 1 and earlier[-1].surface in _JOINING and earlier[-2].dotted:
        earlier = earlier[:-2]  # die 2. und 3. Klasse
    article = earlier[-1].surface.lower() if earlier else ""
    determined = article in _DETERMINERS and not (article == "die" and ends_sentence(following))
    if re.fullmatch(r"(?:3[01]|[12]\d|0?[1-9])\.(?:1[0-2]|0?[1-9])", core):  # am 3.5.
        return determined or last.lower() in ("ab", "bis", "seit")
    if re.fullmatch(r"\d{1,2}\.[-/]\d{1,2}", core):  # vom 1.-3. Mai
        return determined or following.strip(_MARKS) in GERMAN_RANKED
    if not number:
        return _roman_dot(core, before, following, determined)
    if len(core) > 4 or core.startswith("0"):
        return False
    if len(core) > 2 and ends_sentence(following):
        return determined and len(core) == 3
    if determined or following.strip(_MARKS) in GERMAN_RANKED:
        return True
    if len(core) > 2 or not following:
        return False
    if following[:1].isdigit():  # 3. 5. 2021
        pair = re.fullmatch(r"\d{1,2}\.", following)
        return bool(pair) or bool(before and before[-1].dotted and last.isdigit())
    if following[:1].islower():
        return True
    return not before and following[:1].isupper() and not ends_sentence(following)


def _roman_dot(core: str, before: Sequence[Word], following: str, determined: bool) -> bool:
    """Whether the full stop after a German Roman numeral is that of an ordinal number."""
    if not roman_value(core):
        return False
    last = before[-1].surface if before else ""
    noun = following.strip(_MARKS)
    if noun in GERMAN_RANKED or noun in ROMAN_RANKED or (not before and noun in _JOINING):
        return last not in NUMBERING
    if clear_roman(core) > 0 or core in ("XX", "XXX"):
        if determined:
            return True  # im XX.
        if not before:
            return not ends_sentence(following)
    named = last in REIGNING or (determined and following[:1].isupper())
    return named or (clear_roman(core) > 0 and following[:1].islower() and last not in NUMBERING)


def ends_sentence(following: str) -> bool:
    """Whether the word after an ordinal number begins a new sentence, in German."""
    return not following or following.strip(_MARKS) in _STARTERS
