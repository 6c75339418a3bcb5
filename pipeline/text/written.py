"""Words and clauses of a text as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word as written.

    Attributes:
        surface: the word in the text, without quotes, brackets and punctuation marks.
        dotted: True for an abbreviation or an ordinal number whose own full stop is not part of
            `surface`.
        glued: True if no space stood before the word (Chinese characters).
        shown: the word as written where `surface` is another form, such as that in small letters;
            else "".
    """

    surface: str
    dotted: bool = False
    glued: bool = False
    shown: str = ""

    @property
    def written(self) -> str:
        """The word with the full stop of an abbreviation."""
        shown = self.shown or self.surface
        return f"{shown}." if self.dotted else shown

    def cut(self, pieces: Sequence[str]) -> list[Word]:
        """The pieces of a word as words without spaces between them; a single one is the word."""
        if len(pieces) < 2:
            return [self]
        last = len(pieces) - 1
        return [
            Word(surface=piece, dotted=self.dotted and k == last, glued=self.glued or k > 0)
            for k, piece in enumerate(pieces)
        ]


@dataclass(kw_only=True)
class Clause:
    """Words that are spoken in one breath, and the punctuation mark after them, or ""."""

    words: list[Word]
    mark: str


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A word of a clause where it stands.

    Attributes:
        words: the words of the clause.
        index: which of them.
    """

    words: Sequence[Word]
    index: int

    def near(self, offset: int) -> str:
        """The word so many places behind, or before if negative; "" outside of the clause."""
        i = self.index + offset
        return self.words[i].surface if 0 <= i < len(self.words) else ""

    @property
    def before(self) -> str:
        """The word before."""
        return self.near(-1)

    @property
    def after(self) -> str:
        """The word after."""
        return self.near(1)

    @property
    def dotted(self) -> bool:
        """Whether the full stop of an abbreviation belongs to the word."""
        return self.words[self.index].dotted


def begun(word: str) -> str:
    """A word of several letters as it is when it doesn't begin a sentence: "ca" of "Ca"."""
    dotted = "." in word and not word.endswith(".C")  # Washington D.C.
    lowered = len(word) > 1 and (dotted or not word.isupper())
    return word[:1].lower() + word[1:] if lowered else word


def base_language(language: str) -> str:
    """The part of a voice's name before the first dash: "en" of "en-us"."""
    return language.split("-", 1)[0]
