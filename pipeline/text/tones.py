"""Tones in full: espeak-ng's IPA keeps no more than the first digit of a tone, or nothing of it.

So 妈 and 骂, which espeak-ng itself calls "mA55" and "mA51", are both "mɑ5" in its IPA; and of a
vowel that has a name of its own in IPA it writes that name twice ("aːaː" in Thai), whatever the
tone. A voice with tones is asked for its own names of the phonemes as well, and a phone gets all
digits of its tone: "ɑ55", "ɑ51". A tone of a single digit is written as the IPA does: "a1", "aɜ".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ns2.pipeline.text.phoneme_data import TONE_OR_STRESS

_IN_IPA = {"3": "ɜ", "8": "ø"}  # the digits that espeak-ng's IPA writes as letters
_STRESS_NAMES = "',%=|"
_APPENDED = re.compile(r"[:\-]*$")  # length and syllabicity, between a phoneme and its tone
_FULL = re.compile(r"\d{2,}$")
_STRESSES = "ˈˌ"
_SECOND, _THIRD, _NEUTRAL = "35", "214", "11"


class Tones:
    """The tones of a voice, as espeak-ng names them.

    Attributes:
        names: all tones; empty for a voice without tones.
    """

    def __init__(self, phonemes: Mapping[str, int]) -> None:
        """Take the names and types of a voice's phonemes, see `phoneme_data.phonemes_of`."""
        tones = [
            name for name, kind in phonemes.items() if kind == TONE_OR_STRESS and name.isdigit()
        ]
        own = [name for name in tones if name != "1"]  # every voice has a tone 1, and no use of it
        self.names = tuple(sorted(tones, key=len, reverse=True)) if own else ()
        self._phonemes = frozenset(
            name for name, kind in phonemes.items() if kind != TONE_OR_STRESS
        )

    def of(self, name: str) -> str:
        """The tone of a phoneme by espeak-ng's name, or "": "51" of "'a51"."""
        body = name.lstrip(_STRESS_NAMES)
        for tone in self.names:
            rest = body.removesuffix(tone)
            if rest != body and (
                rest in self._phonemes or _APPENDED.sub("", rest) in self._phonemes
            ):
                return tone
        return ""


def full(phone: str, tone: str) -> str:
    """A phone of espeak-ng's IPA with all digits of its tone.

    Args:
        phone: it ends with the first digit, as the IPA has it, or it is written twice.
        tone: its digits; none changes nothing.
    """
    if not tone:
        return phone
    body = phone.lstrip(_STRESSES)
    half = len(body) // 2
    if body.endswith(in_ipa(tone)):
        body = body.removesuffix(in_ipa(tone))
    elif body[:half] == body[half:]:
        body = body[:half]
    stress = phone[: len(phone) - len(phone.lstrip(_STRESSES))]
    return stress + body + (tone if len(tone) > 1 else in_ipa(tone))


def in_ipa(tone: str) -> str:
    """What espeak-ng's IPA has of a tone of one digit or more: "5" of "51"."""
    return _IN_IPA.get(tone[0], tone[0])


def mandarin_sandhi(words: Sequence[list[str]], fixed: Sequence[bool]) -> None:
    """Change tones of Mandarin by their neighbours, in place, as espeak-ng does when it speaks.

    Of two third tones the first becomes the second tone (你好 is "ni35 hao214"), and the neutral
    tone has no stress. espeak-ng also lowers what remains of a third or fourth tone before another
    one, and raises the neutral tone after some: these are the same tones, and keep their tokens.

    Args:
        words: the tokens of the words of a clause.
        fixed: whether the tokens of a word were given, and stay as they are.
    """
    before: tuple[list[str], int, bool] | None = None  # the last syllable, if its tone is the third
    for tokens, stays in zip(words, fixed, strict=True):
        if not any(map(tone_in, tokens)):
            before = None  # a foreign word
        for i, token in enumerate(tokens):
            tone = tone_in(token)
            if not tone:
                continue
            if tone == _NEUTRAL and not stays:
                tokens[i] = token.lstrip(_STRESSES)
            if tone == _THIRD and before is not None and not before[2]:
                last, at, _ = before
                last[at] = without_tone(last[at]) + _SECOND
            before = (tokens, i, stays) if tone == _THIRD else None


def tone_in(token: str) -> str:
    """The digits of a token's tone, if it has several; else ""."""
    found = _FULL.search(token)
    return found[0] if found else ""


def without_tone(token: str) -> str:
    """A token without a tone of several digits."""
    return _FULL.sub("", token)


def cut_tone(token: str) -> str:
    """A token whose tone has its first digit alone, as in tables of ns2 0.1."""
    tone = tone_in(token)
    return without_tone(token) + in_ipa(tone) if tone else token


def has_tones(phones: Iterable[str]) -> bool:
    """Whether phones of a table tell tones in full, which those of ns2 0.1 did not."""
    return any(map(tone_in, phones))
