"""Pronunciations of a user's own: a file of words, and phones within a text.

A lexicon is a text file in UTF-8; a line has a word, a tab and phones with spaces between them, as
`ns2 synthesize --phonemes` takes them:

    Reading<tab>ɹ ˈɛ d ɪ ŋ

A word is looked up as it is written, and then in lower case: an entry "polish" is for "Polish",
too, and an entry "Polish" for that form alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.core.schema import BORDER
from ns2.pipeline.dataset.phoneme_table import PAD, PhonemeTable
from ns2.pipeline.text.clauses import Word, base_language, clauses, clean
from ns2.pipeline.text.tables import APOSTROPHES, UNSPACED

Tokens = tuple[str, ...]

_EXAMPLE = 'such as "Reading<tab>ɹ ˈɛ d ɪ ŋ"'
_ENDS = ",;:?!…—-'"  # no word ends in one of them; the full stop may be that of an abbreviation
_APOSTROPHES = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))


@dataclass(frozen=True)
class Lexicon:
    """Words with their phones.

    Attributes:
        entries: the tokens of each word. Words are in NFC, with "'" for every apostrophe.
    """

    entries: Mapping[str, Tokens]

    @staticmethod
    def read(path: Path, table: PhonemeTable) -> Lexicon:
        """Read a file of words.

        Args:
            table: the phoneme table that the phones must be in.

        Raises:
            UserError: the file can't be read, or a line is wrong; the message names it.
        """
        try:
            lines = path.read_text("utf-8-sig").split("\n")
        except OSError as error:
            raise UserError(f"cannot read the lexicon {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"the lexicon {path} is not a text file in UTF-8") from error
        entries: dict[str, Tokens] = {}
        first: dict[str, int] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                word, tokens = _entry(line.rstrip("\r"), table)
                word = _in_texts(word)
                if word in entries:
                    raise ValueError(f"{word!r} stands in line {first[word]} already")
            except ValueError as error:
                raise UserError(f"lexicon {path}, line {number}: {error}") from error
            entries[word], first[word] = tokens, number
        if not entries:
            raise UserError(
                f"the lexicon {path} is empty: write a word, a tab and its phones on each line, "
                f"{_EXAMPLE}"
            )
        return Lexicon(entries)

    def of(self, word: Word) -> tuple[str, Tokens] | None:
        """The entry for a word of a text, and its phones; None where there is none."""
        for form in (word.written, word.surface, word.written.lower(), word.surface.lower()):
            if form in self.entries:
                return form, self.entries[form]
        return None

    def words_of(self, words: Sequence[Word], language: str) -> list[Word]:
        """The words of a clause, joined and cut where the entries say so.

        Chinese characters are words of their own, and clauses of some languages have no spaces:
        the longest entry is looked for at each place.
        """
        if base_language(language) in UNSPACED:
            words = _cut(words, self)
        return _joined(words, self)

    def lines_for(self, text: str, language: str) -> list[str]:
        """The entries for the words of a text as lines of a file, sorted, each once."""
        try:
            found = clauses(text, language)
        except UtteranceError:
            return []  # the text is refused with any lexicon
        words = (w for clause in found for w in self.words_of(clause.words, language))
        used = dict(entry for word in words if (entry := self.of(word)))
        return sorted(f"{word}\t{' '.join(phones)}" for word, phones in used.items())

    @cached_property
    def digest(self) -> str:
        """A hash of all entries."""
        return short_hash(self.to_json())

    @cached_property
    def longest(self) -> int:
        """The number of characters of the longest word."""
        return max(map(len, self.entries), default=0)

    def to_json(self) -> dict[str, Any]:
        """The lexicon as JSON values, to be stored in a dataset or a run."""
        return {"entries": {word: " ".join(phones) for word, phones in self.entries.items()}}

    @staticmethod
    def from_json(value: Any, table: PhonemeTable) -> Lexicon:
        """The lexicon whose `to_json` gave these values.

        Raises:
            UserError: the values are no lexicon, or one with phones that are not in the table.
        """
        try:
            pairs = [_entry("\t".join(pair), table) for pair in value["entries"].items()]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"the lexicon is damaged: {error}") from error
        return Lexicon(dict(pairs))


def _joined(words: Sequence[Word], lexicon: Lexicon) -> list[Word]:
    """Words in which neighbours without a space between them are one where an entry says so."""
    result: list[Word] = []
    i = 0
    while i < len(words):
        run = [words[i]]
        while i + len(run) < len(words) and words[i + len(run)].glued:
            run.append(words[i + len(run)])
        result += _joined_run(run, lexicon)
        i += len(run)
    return result


def _joined_run(run: Sequence[Word], lexicon: Lexicon) -> Iterator[Word]:
    """The words of one run without spaces."""
    i = 0
    while i < len(run):
        for end in range(len(run), i, -1):
            part = run[i:end]
            whole = part[0]
            if len(part) > 1:
                surface = "".join(word.written for word in part[:-1]) + part[-1].surface
                whole = Word(surface=surface, dotted=part[-1].dotted, glued=part[0].glued)
            if len(part) == 1 or (len(whole.surface) <= lexicon.longest and lexicon.of(whole)):
                yield whole
                i = end
                break


def _cut(words: Sequence[Word], lexicon: Lexicon) -> list[Word]:
    """Words of a language without spaces, cut where an entry begins or ends."""
    return [part for word in words for part in word.cut(list(_pieces(word.surface, lexicon)))]


def _pieces(text: str, lexicon: Lexicon) -> Iterator[str]:
    """A text cut at the entries in it, the longest at each place."""
    start = i = 0
    while i < len(text):
        length = next(
            (
                n
                for n in range(min(lexicon.longest, len(text) - i), 0, -1)
                if lexicon.of(Word(surface=text[i : i + n]))
            ),
            0,
        )
        if length:
            if i > start:
                yield text[start:i]
            yield text[i : i + length]
            start = i + length
        i += length or 1
    if start < len(text):
        yield text[start:]


# phones within a text

_INLINE = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_PLACE = "\ua788"  # a letter of no script that no text has; the cleaning of texts keeps it
_PLACED = re.compile(f"{_PLACE}([a-z]+){_PLACE}")
_OPEN, _CLOSED = ' \t\n"“„«(', ' \t\n"”“»),.;:!?…。，、；：！？'
"""Characters that may stand before and behind phones in a text; others are parted from them."""
_HELD = "\u2060"  # stands for a space at which no text is cut


def take_phones(text: str, table: PhonemeTable) -> tuple[str, list[Tokens]]:
    """Take the phones out of a text such as "I live in [[ɹ ˈɛ d ɪ ŋ]].".

    Returns:
        the text with a word in their place that `placed` knows, and the phones of each.

    Raises:
        UserError: what stands between the brackets is not phones of the table.
    """
    found: list[Tokens] = []

    def take(match: re.Match[str]) -> str:
        try:
            found.append(_phones(match[1].replace(_HELD, " "), table))
        except ValueError as error:
            raise UserError(f"[[{match[1].replace(_HELD, ' ')}]] in the text: {error}") from error
        before = text[match.start() - 1 : match.start()]
        behind = text[match.end() : match.end() + 1]
        gaps = ["" if char in near else " " for char, near in ((before, _OPEN), (behind, _CLOSED))]
        return f"{gaps[0]}{_PLACE}{_letters(len(found) - 1)}{_PLACE}{gaps[1]}"

    taken = _INLINE.sub(take, text.replace(_PLACE, ""))
    return taken, found


def placed(word: Word) -> int | None:
    """The number of the phones that a word of `take_phones` stands for; None for other words."""
    found = _PLACED.fullmatch(word.surface)
    return sum(26**k * (ord(c) - ord("a")) for k, c in enumerate(found[1])) if found else None


def _letters(number: int) -> str:
    """A number in letters, the lowest place first: digits would be read as a number."""
    return chr(ord("a") + number % 26) + (_letters(number // 26) if number >= 26 else "")


def held_together(text: str) -> str:
    """A text whose phones within [[ ]] have no spaces, so that it is cut at no such place."""
    return _INLINE.sub(lambda match: re.sub(r"\s+", _HELD, match[0]), text)


# lines and phones


def _entry(line: str, table: PhonemeTable) -> tuple[str, Tokens]:
    """A word and its phones.

    Raises:
        ValueError: why the line is wrong.
    """
    word, tab, phones = line.partition("\t")
    if not tab:
        raise ValueError(f"{line[:60]!r} has no tab: expected a word, a tab and phones, {_EXAMPLE}")
    word = unicodedata.normalize("NFC", word.strip()).translate(_APOSTROPHES)
    if not word:
        raise ValueError(f"there is no word before the tab: expected one, {_EXAMPLE}")
    if word.split() != [word]:
        raise ValueError(f"{word!r} is more than one word: give each a line of its own")
    return word, _phones(phones, table)


def _in_texts(word: str) -> str:
    """The form that a word has in texts when what is not spoken is taken out of them.

    Raises:
        ValueError: no text has it then.
    """
    forms = [clean(word, base).strip() for base in ("", "ca", "fa")]
    form = word if word in forms else forms[0]
    if not form:
        raise ValueError(
            f"{word!r} is in no text: emoji and such signs are taken out before texts are spoken; "
            "write a word for it in the texts, and give that word its phones"
        )
    if len(form.split()) > 1 or form[-1] in _ENDS:
        apart = ", ".join(repr(part.strip(_ENDS)) for part in form.split())
        raise ValueError(f"{word!r} is no word of a text, which has {apart} there: write that")
    return form


def _phones(text: str, table: PhonemeTable) -> Tokens:
    """Phones of a table.

    Raises:
        ValueError: there are none, or what is no phone.
    """
    tokens = tuple(text.split())
    if not tokens:
        raise ValueError("there are no phones: write them with spaces between them")
    for token in tokens:
        if token not in table:
            raise ValueError(
                f"{token!r} is not in the phoneme table: phones are written with spaces between "
                "them, as the `phonemes` of a dataset's meta show them; --extra-phonemes adds some"
            )
        if token == PAD or (token in table.optional and token != BORDER):
            raise ValueError(f"{token!r} is no phone")
    if BORDER in (tokens[0], tokens[-1]):
        raise ValueError(f"{BORDER!r} stands between two phones of a word, not at its ends")
    return tokens
