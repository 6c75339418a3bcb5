"""Decides by the whole of a table without a first line of names which column holds what.

Nothing is decided by one row: a column is a text because it varies and has words, names speakers
because few values come again and again, or repeats another column in other words. What stays open
is an error that shows the columns and names `--fields`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.kinds import ARPABET, LANGUAGE, PATH, PHONES, SEX, SPLIT, kind_of

_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)|(\d+:)?\d+:\d\d([.,]\d+)?")
_WHOLE = re.compile(r"\d+([.,]0*)?")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
"""Letters of scripts that write no spaces between words."""
_ONE_WORD = 1.2  # mean words up to which texts may be words or names
_NAME_WORDS = 3  # most words of a speaker's name, on average
_NUMBER_WORDS = 5  # most words of a number that is written out, on average
_ALIKE = 0.5  # share of words that a text and its normalised form have in common


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of a table holds what; columns are numbered from 0.

    Attributes:
        widths: the numbers of columns that a row may have.
        id: the column of the id, which names the audio.
        text: columns of the text, best first; the first that is not blank is taken.
        audio: the column with the path of the audio, if that is not the id.
        more: columns of speaker, language and split, as far as there are any.
        named: whether the first line names the columns.
        form: a row in words, for messages.
        note: what was decided, for the user; "" where nothing was open.
    """

    widths: tuple[int, ...] = (2, 3)
    id: int = 0
    text: tuple[int, ...] = (2, 1)
    audio: int | None = None
    more: Mapping[str, int] = field(default_factory=dict)
    named: bool = False
    form: str = "id|text|normalised text"
    note: str = ""


class _Column:
    """The values of a column that are not blank, and what they are like."""

    def __init__(self, number: int, values: Sequence[str]) -> None:
        self.number = number
        self.values = [value for value in values if value]

    @cached_property
    def distinct(self) -> int:
        """The number of different values."""
        return len(set(self.values))

    @cached_property
    def numeric(self) -> bool:
        """Whether all values are numbers, or times such as 1:02.5."""
        return all(_NUMBER.fullmatch(value) for value in self.values)

    @cached_property
    def digits(self) -> int:
        """The number of digits in all values."""
        return sum(char.isdigit() for value in self.values for char in value)

    @cached_property
    def words(self) -> float:
        """The mean number of words."""
        return sum(map(_words, self.values)) / max(len(self.values), 1)

    @cached_property
    def kind(self) -> str:
        """What its values are if they are neither texts nor names, see `kinds`."""
        return kind_of(self.values)

    @property
    def few(self) -> bool:
        """Whether its values come again and again."""
        return len(self.values) > 1 and self.distinct <= len(self.values) / 2

    @property
    def names_speakers(self) -> bool:
        """Whether it may name speakers: few short values, or few whole numbers."""
        if self.kind not in ("", LANGUAGE, SEX):
            return False
        if self.numeric:
            return self.few and self.distinct > 1 and all(map(_WHOLE.fullmatch, self.values))
        return self.few and self.words <= _NAME_WORDS

    @property
    def is_open(self) -> bool:
        """Whether its values are codes of languages or sexes, which are not speakers."""
        return self.kind in (LANGUAGE, SEX)

    @property
    def is_other(self) -> bool:
        """Whether its values are known to be neither a text nor a speaker: splits, flags, dates."""
        return self.kind not in ("", LANGUAGE, SEX, PATH)

    @property
    def may_be_text(self) -> bool:
        """Whether it may be the text of a table that has nothing else for it."""
        return not (self.numeric or self.kind or self.names_speakers)

    def described(self) -> str:
        """The column in a line, for a message."""
        if not self.values:
            return f"column {self.number + 1}: blank"
        kind = "numbers" if self.numeric else self.kind or f"{self.words:.1f} words on average"
        first = self.values[0] if len(self.values[0]) < 50 else self.values[0][:47] + "..."
        return f"column {self.number + 1}: {self.distinct} different values, {kind}, as {first!r}"


def decide(rows: Sequence[Sequence[str]], table: str) -> Columns:
    """Decide which columns of a table are text and speaker; the first column is the id.

    Args:
        rows: of a table without a first line of names; they may differ in width.
        table: its name, for messages.

    Raises:
        UserError: it is open.
    """
    widths = Counter(len(row) for row in rows)
    narrow = widths[2] + widths[3]
    width = max(widths, key=lambda w: (widths[w], -w), default=2)
    if width > 3 and widths[width] > narrow:
        return _wide([row for row in rows if len(row) == width], width, table)
    second = _Column(1, [row[1] for row in rows if len(row) in (2, 3)])
    full = [row for row in rows if len(row) == 3 and row[1] and row[2]]
    if not full:
        return _pair(second, table)
    pair = [_Column(i, [row[i] for row in full]) for i in (1, 2)]
    if alike(pair[0].values, pair[1].values):
        if pair[1].digits > pair[0].digits:  # id|normalised text|text
            return replace(_decided(table, [pair[0]], None, pair), widths=(2, 3))
        return Columns()  # id|text|normalised text
    if widths[2] > widths[3] or any(len(row) == 3 and not row[2] for row in rows):
        every = [_Column(i, [row[i] for row in rows if len(row) == 3]) for i in (1, 2)]
        if not every[1].numeric:
            raise _open(table, every, "the third column is there in some rows only")
    return _three([_Column(i, [r[i] for r in rows if len(r) == 3]) for i in (1, 2)], table)


def _pair(second: _Column, table: str) -> Columns:
    """The columns of a table id|?.

    Raises:
        UserError: the second column looks like numbers, names, paths or anything but a text.
    """
    if second.values and not second.may_be_text:
        raise _open(table, [second], "it has no column that looks like a text")
    if not second.values or second.words > _ONE_WORD:
        return Columns()
    found = _decided(table, [second], None, [second])
    like = second.described().partition(": ")[2]
    note = found.note.replace("is taken as the text", f"is taken as the text ({like})")
    return replace(found, note=note)


def alike(texts: Sequence[str], others: Sequence[str]) -> bool:
    """Whether texts are the same in other words, row by row, in at least half of the rows."""
    equal = sum(a == b for a, b in zip(texts, others, strict=True))
    if 2 * equal >= len(texts):
        return True
    same = sum(_overlap(a, b) >= _ALIKE for a, b in zip(texts, others, strict=True))
    return 2 * same >= len(texts)


def _three(columns: list[_Column], table: str) -> Columns:
    """The columns behind the id of a table id|?|?, which are not one text in two forms."""
    second, third = columns
    for text, other in ((second, third), (third, second)):
        if other.is_other and text.may_be_text:
            return _decided(table, [text], other, columns)
    numbers = second.numeric and third.numeric
    if numbers or second.is_other or third.is_other or (third.numeric and not second.may_be_text):
        raise _open(table, columns, "it has no column that looks like a text")
    if third.numeric:
        if third.names_speakers:
            raise _open(table, columns, "the numbers behind the text may be speakers")
        return _decided(table, [second], third, columns)
    if second.numeric:
        whole = all(map(_WHOLE.fullmatch, second.values))
        short = third.words <= _NUMBER_WORDS
        if whole and short and _follows(second.values, third.values):  # 24|twenty-four
            return Columns()
        if not third.may_be_text:
            raise _open(table, columns, "it has no column that looks like a text")
        return _decided(table, [third], second, columns)
    if second.few != third.few:
        text, speaker = (third, second) if second.few else (second, third)
    else:
        speaker, text = sorted(columns, key=lambda c: (c.distinct, c.words))
        clear = speaker.distinct < text.distinct and speaker.words < text.words
        if not second.few or not clear:
            raise _open(table, columns, "either may be the text")
    if not speaker.names_speakers or speaker.is_open or text.words <= speaker.words:
        raise _open(table, columns, "either may be the text, or one names something else")
    return _decided(table, [text], speaker, columns)


def _wide(rows: Sequence[Sequence[str]], width: int, table: str) -> Columns:
    """The columns of a table with four columns or more."""
    columns = [_Column(i, [row[i] for row in rows]) for i in range(1, width)]
    texts = [c for c in columns if c.may_be_text and c.words >= 2]
    if len(texts) == 2:
        pairs = [(row[texts[0].number], row[texts[1].number]) for row in rows]
        full = [pair for pair in pairs if all(pair)]
        same = bool(full) and alike([a for a, _ in full], [b for _, b in full])
        texts = texts[::-1] if same else []  # the normalised text comes behind
    speakers = [c for c in columns if c not in texts and c.values and c.names_speakers]
    others = [c for c in columns if c.is_other or c.numeric or not c.values]
    odd = [c for c in columns if c not in (*texts, *speakers, *others)]
    odd += [c for c in columns if c.kind == SPLIT][1:]
    unclear = [
        c for c in speakers if c.is_open or (c.numeric and texts and c.number > texts[0].number)
    ]
    if _are_spans(columns):
        why = "two columns look like the start and end of pieces, which are read from manifests"
        raise _open(table, columns, f"{why} (offset and duration)")
    if len(texts) not in (1, 2) or len(speakers) > 1 or odd or unclear:
        raise _open(table, columns, "more than one column may be the text or the speaker")
    found = _decided(table, texts, speakers[0] if speakers else None, columns)
    return replace(found, widths=(width,))


def _are_spans(columns: Sequence[_Column]) -> bool:
    """Whether two columns beside each other tell where pieces begin and end, in seconds."""
    for one, other in pairwise(columns):
        if not (one.values and one.numeric and other.numeric and one.distinct > 1):
            continue
        if len(one.values) != len(other.values) or all(map(_WHOLE.fullmatch, one.values)):
            continue
        if ":" in "".join(one.values + other.values):
            continue
        spans = zip(one.values, other.values, strict=True)
        if all(_seconds(start) < _seconds(end) for start, end in spans):
            return True
    return False


def _seconds(number: str) -> float:
    return float(number.replace(",", "."))


def _decided(
    table: str, texts: list[_Column], other: _Column | None, columns: list[_Column]
) -> Columns:
    """What was decided, and the sentence that says so.

    Args:
        other: the column that names speakers if it looks like it.
    """
    speaker = other if other is not None and other.names_speakers else None
    said = [f"column {texts[0].number + 1} is taken as the text"]
    if speaker is not None:
        said.append(f"column {speaker.number + 1} as the speaker ({speaker.distinct} of them)")
    split = next((c for c in columns if c.kind == SPLIT), None)
    if split is not None:
        said.append(f"column {split.number + 1} as the split")
    unused = [c for c in columns if c not in (*texts, speaker, split)]
    if unused:
        numbers = " and ".join(str(c.number + 1) for c in unused)
        said.append(f"column {numbers} is not used ({unused[0].described().partition(': ')[2]})")
    return Columns(
        widths=(2, 3) if texts[0].number == 1 else (3,),
        text=tuple(c.number for c in texts),
        more={
            name: c.number for name, c in (("speaker", speaker), ("split", split)) if c is not None
        },
        form="|".join(_name(i, texts, speaker, split) for i in range(len(columns) + 1)),
        note=f"{table} has no line of names: {', '.join(said)}; --fields says otherwise, as in "
        "--fields id=1,text=2,speaker=3",
    )


def _name(
    number: int, texts: Sequence[_Column], speaker: _Column | None, split: _Column | None
) -> str:
    """What a column holds, in a word."""
    for name, column in (("speaker", speaker), ("split", split)):
        if column is not None and number == column.number:
            return name
    return "text" if number in [c.number for c in texts] else "..." if number else "id"


def _open(table: str, columns: Sequence[_Column], why: str) -> UserError:
    lines = "".join(f"\n  {column.described()}" for column in columns)
    codes = next((c.number + 1 for c in columns if c.kind == LANGUAGE), 0)
    read = f"; language={codes} reads codes that are espeak-ng's voices" if codes else ""
    if any(c.kind in (PHONES, ARPABET) for c in columns):
        read += ". Phones are read from manifests: write one, with audio and phonemes in each row"
    return UserError(
        f"{table}: which column is the text is open, since {why}:{lines}\nSay which is which by "
        f"their numbers, as in --fields id=1,text=2,speaker=3{read}"
    )


def _words(text: str) -> float:
    """The number of words; where no spaces are written, two letters are one."""
    unspaced = len(_UNSPACED.findall(text))
    return len(text.split()) if not unspaced else max(len(text.split()), unspaced / 2)


def _overlap(a: str, b: str) -> float:
    """The share of words (letters, where no spaces are written) that two texts share."""
    if a == b:
        return 1.0
    one, other = (Counter(_units(text)) for text in (a, b))
    return (one & other).total() / max(one.total(), other.total(), 1)


def _units(text: str) -> list[str]:
    lowered = text.casefold()
    return _UNSPACED.findall(lowered) or re.findall(r"\w+", lowered)


def _follows(values: Sequence[str], others: Sequence[str]) -> bool:
    """Whether each value always has the same other one beside it, and few rows repeat a value."""
    pairs = set(zip(values, others, strict=False))
    return len(pairs) == len(set(values)) and len(pairs) > 1
