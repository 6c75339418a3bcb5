"""Readings: Chinese characters to pinyin and kanji to kana, by libraries, before espeak-ng speaks.

espeak-ng reads a Chinese character by short lists of words, and kanji not at all. A reading is
optional (`--g2p`): its library is an extra of ns2, works offline, and reads a whole clause, so that
characters with several readings get the one that the words around them ask for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import groupby

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.text.clauses import Word
from ns2.pipeline.text.tables import PINYIN

_NO_START = "ーァィゥェォャュョヮン"  # kana that no word begins with
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


@dataclass(frozen=True, kw_only=True)
class Read:
    """A word with its reading.

    Attributes:
        word: as it is written.
        said: what is spoken for it.
        voice: the espeak-ng voice that speaks it; "" for the one of the text.
    """

    word: Word
    said: str
    voice: str = ""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One way of reading.

    Attributes:
        name: as `--g2p` names it; also the distribution whose version decides the readings.
        module: what is imported of it.
        extra: the extra of ns2 that installs it.
        languages: the espeak-ng voices whose texts it reads.
        scripts: scripts of these texts beside those of the language.
        read: reads the words of a clause.
    """

    name: str
    module: str
    extra: str
    languages: tuple[str, ...]
    scripts: tuple[str, ...]
    read: Callable[[Sequence[Word]], list[Read]]

    def check(self) -> None:
        """See that its library is installed.

        Raises:
            UserError: it is not; the message says how to install it.
        """
        if find_spec(self.module) is None:
            raise UserError(
                f"--g2p {self.name} needs the package {self.name}, which is not installed: "
                f"`pip install 'ns2[{self.extra}]'`, or `pip install {self.name}`"
            )


def reading_of(names: Sequence[str], language: str) -> Reading | None:
    """The reading of some, by name, that reads texts in a language; None where none does.

    Raises:
        UserError: it is unknown, or its library is not installed.
    """
    for reading in readings(tuple(names)):
        if language in reading.languages:
            reading.check()
            return reading
    return None


@cache
def readings(names: tuple[str, ...]) -> tuple[Reading, ...]:
    """Readings by name.

    Raises:
        UserError: there is none of that name, or two are for the same language.
    """
    known = {reading.name: reading for reading in READINGS}
    for name in names:
        if name not in known:
            raise UserError(f"--g2p {name}: there is no such reading; there is {', '.join(known)}")
    return tuple(known[name] for name in names)


def _pinyin(words: Sequence[Word]) -> list[Read]:
    """Chinese characters as syllables of pinyin with the number of their tone."""
    result: list[Read] = []
    for is_han, run in groupby(words, lambda word: bool(_HAN.fullmatch(word.surface))):
        part = list(run)
        if not is_han:
            result += [Read(word=word, said=word.written) for word in part]
            continue
        syllables = _syllables("".join(word.surface for word in part))
        for word, syllable in zip(part, syllables, strict=True):
            known = syllable.isascii()  # a rare character comes back as it is
            result.append(
                Read(word=word, said=syllable, voice=PINYIN)
                if known
                else Read(word=word, said=word.written)
            )
    return result


def _syllables(text: str) -> list[str]:
    """A syllable for each character: "ni3"; the neutral tone is 5."""
    from pypinyin import Style, lazy_pinyin

    return lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True, errors="default")


def _kana(words: Sequence[Word]) -> list[Read]:
    """Japanese as words in katakana, as they are pronounced: は as ワ, and long vowels with ー."""
    return [read for word in words for read in _morphemes(word)]


def _morphemes(word: Word) -> Iterator[Read]:
    """The morphemes of a clause without spaces; endings of verbs are no words of their own."""
    from pyopenjtalk import run_frontend

    found: list[tuple[str, str]] = []
    for part in run_frontend(word.written):
        written = unicodedata.normalize("NFKC", str(part["string"]))
        said = _spoken_kana(str(part["pron"]))
        ends = part["pos"] == "助動詞" or part["pos_group1"] == "接続助詞"
        if found and said and (ends or said[0] in _NO_START or found[-1][1].endswith("ッ")):
            written, said = found[-1][0] + written, found.pop()[1] + said
        if said:
            found.append((written, said))
    if "".join(written for written, _ in found) != unicodedata.normalize("NFKC", word.surface):
        # Numbers are written out, and other characters than those of the text stand for them.
        yield Read(word=word, said=" ".join(said for _, said in found))
        return
    for i, (written, said) in enumerate(found):
        yield Read(
            word=Word(
                surface=written,
                dotted=word.dotted and i == len(found) - 1,
                glued=word.glued or i > 0,
            ),
            said=said,
        )


def _spoken_kana(pronunciation: str) -> str:
    """The katakana of a pronunciation, without marks of accent and pauses."""
    return "".join(char for char in pronunciation if "ァ" <= char <= "ヶ" or char == "ー")


READINGS = (
    Reading(
        name="pypinyin",
        module="pypinyin",
        extra="mandarin",
        languages=("cmn", PINYIN),
        scripts=("CJK",),
        read=_pinyin,
    ),
    Reading(
        name="pyopenjtalk-plus",
        module="pyopenjtalk",
        extra="japanese",
        languages=("ja",),
        scripts=("CJK", "IDEOGRAPHIC"),
        read=_kana,
    ),
)
"""All readings."""
