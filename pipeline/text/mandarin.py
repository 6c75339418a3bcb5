"""What espeak-ng 1.52 gets wrong in Mandarin: syllables such as xiong, and written pinyin.

It reads jiong, qiong, xiong and 哪儿 as English words, the first also where they are the reading of
a character (熊, 穷, 兄), and 兒 likewise; and it takes "ü" and the accents of pinyin for English.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ns2.pipeline.text.clauses import Word
from ns2.pipeline.text.lexicon import Tokens

_ERHUA = re.compile(
    r"(?P<syllable>(?:[zcs]h|[bpmfdtnlgkhjqxrzcsyw])[aeiouv]+(?:ng?)?|[aiou][aeiou]*(?:ng?)?)"
    r"r(?P<tone>[1-5])|(?<=[1-5])r(?![a-z])"
)
_CHUNKS = re.compile(r".*?(?:r[1-5]|[1-5]r(?![a-z]))|.+")
_LOST = re.compile(r"([jqx])iong([1-5])")
_INITIALS = {"j": "tɕ", "q": "tɕh", "x": "ɕ"}
_TONES = {"1": "55", "2": "35", "3": "214", "4": "51", "5": "11"}
_AS_ENGLISH = {  # how such a syllable sounds in English, with its number
    **dict(zip(("dʒɪəŋ", "kɪəŋ", "kʃəŋ"), "jqx", strict=True)),
    **dict(zip(("wˈɒn", "tˈuː", "θɹˈiː", "fˈɔː", "fˈaɪv"), "12345", strict=True)),
}
_ER = {"rfˈaɪv": ("ˈər35",)}  # 兒
ERHUA: dict[str, Tokens] = {"儿": ("ər35",), "兒": ("ər35",)}
"""The ending of words such as 哪儿, for which espeak-ng's dictionary has syllables (nar3) that it
says in English; it is a syllable of its own here."""

_MARKS = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}
_MARKED = re.compile("([aeiouv]*)([\u0304\u0301\u030c\u0300])([aeiouv]*(?:ng|n|r)?(?![aeiouv]))")


def lost_syllable(syllable: str) -> Tokens | None:
    """The phones of a syllable that espeak-ng can't read, such as "xiong2"; None for others."""
    found = _LOST.fullmatch(syllable)
    return (_INITIALS[found[1]], f"ˈyu{_TONES[found[2]]}", "ŋ") if found else None


def lost_character(sound: str) -> Tokens | None:
    """The phones of a character whose reading espeak-ng says as an English word.

    Args:
        sound: what espeak-ng says for it, in IPA.
    """
    for word, initial in _AS_ENGLISH.items():
        if initial.isalpha() and sound.startswith(word):
            number = _AS_ENGLISH.get(sound.removeprefix(word), "")
            return lost_syllable(f"{initial}iong{number}")
    return _ER.get(sound)


def cut_at_lost(words: Sequence[Word]) -> list[Word]:
    """Words of pinyin, cut before and after syllables that espeak-ng can't read.

    The r of nar3 or na3r is a syllable of its own here, as 儿 is in characters.
    """
    lost = re.compile(r"([jqx]iong[1-5])")
    return [
        part
        for whole in words
        for word in _cut_erhua(whole)
        for part in word.cut([*filter(None, lost.split(plain_pinyin(word.surface)))])
    ]


def _cut_erhua(word: Word) -> list[Word]:
    """A word of pinyin, cut before the r of each syllable that ends in one."""
    written = word.surface
    chunks = _CHUNKS.findall(written) if _ERHUA.search(written) else [written]
    pieces: list[tuple[str, str]] = []  # with what is written of each
    for chunk in chunks:
        plain = plain_pinyin(chunk)
        found = next((m for m in _ERHUA.finditer(plain) if m.end() == len(plain)), None)
        if found is None:
            pieces.append((plain, chunk))
            continue
        at = chunk.rindex("r")
        head = plain[: found.start()] + (found["syllable"] or "") + (found["tone"] or "")
        pieces += [(head, chunk[:at]), ("儿", chunk[at:])]
    if len(pieces) < 2:
        return [word]
    return [
        Word(
            surface=surface,
            dotted=word.dotted and i == len(pieces) - 1,
            glued=word.glued or i > 0,
            shown=shown,
        )
        for i, (surface, shown) in enumerate(pieces)
    ]


def plain_pinyin(text: str) -> str:
    """Pinyin with numbers for its accents, and v for ü: "nǚ" is "nv3"."""
    decomposed = unicodedata.normalize("NFD", text.lower()).replace("u\u0308", "v")
    if decomposed.isascii() and "v" not in decomposed:
        return text
    # The accent of an ü stands behind its dots.
    plain = _MARKED.sub(lambda found: f"{found[1]}{found[3]}{_MARKS[found[2]]}", decomposed)
    return unicodedata.normalize("NFC", plain).replace("'", "")
