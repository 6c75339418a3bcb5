"""The table of phoneme ids that all datasets share.

The ids are those of the specials (`<pad>`, `<sil>`, `|`), then of the punctuation marks, then three
ids for each phone: base + 3 * i without stress, + 1 with primary stress, + 2 with secondary stress.
New phones are only ever appended, so the meaning of an id never changes. The table in the package
has every phone that espeak-ng can speak; `python -m ns2.train.bundled.make_phoneme_table` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.core.schema import BORDER, SILENCE, Reason

PAD = "<pad>"
SPECIALS = (PAD, SILENCE, BORDER)
STRESSES = ("", "ˈ", "ˌ")
"""The stress mark in front of a phone: none, primary stress, secondary stress."""

_RESOURCE = "phoneme_table.json"


def with_silence(tokens: Sequence[str]) -> list[str]:
    """Given tokens with `<sil>` added at the ends where it is missing."""
    before = [] if tokens and tokens[0] == SILENCE else [SILENCE]
    behind = [] if tokens and tokens[-1] == SILENCE else [SILENCE]
    return [*before, *tokens, *behind]


@dataclass(frozen=True, kw_only=True)
class PhonemeTable:
    """A table of tokens and their ids.

    Attributes:
        marks: the punctuation marks, in the order of their ids.
        phones: the phones without stress, in the order of their ids.
    """

    marks: tuple[str, ...]
    phones: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self) > 1 << 16:
            raise ValueError(f"a phoneme table of {len(self):,} ids does not fit uint16")
        if len(self._ids) != len(self):
            raise ValueError("a symbol occurs twice in the phoneme table")

    @staticmethod
    def default() -> PhonemeTable:
        """The table in the package."""
        return _default()

    def with_extra(self, path: str | Path) -> PhonemeTable:
        """This table with the phones of a file appended, in the order of the file.

        Args:
            path: a text file in UTF-8 with a phone on each line, without stress marks; blank lines
                and phones that are in the table already are skipped.

        Raises:
            UserError: the file cannot be read, a line is not a phone, or there are too many.
        """
        path = Path(path)
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except OSError as error:
            raise UserError(f"cannot read the extra phonemes {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"the extra phonemes {path} are not a text file in UTF-8") from error
        extra: dict[str, None] = {}
        for number, line in enumerate(lines, 1):
            symbol = line.strip()
            if not symbol:
                continue
            if problem := _problem(symbol):
                raise UserError(f"extra phonemes {path}, line {number}: {symbol!r} {problem}")
            if symbol not in self._ids:
                extra[symbol] = None
        if not extra and not any(line.strip() for line in lines):
            raise UserError(f"the extra phonemes {path} are empty: write a phone on each line")
        room = ((1 << 16) - len(self)) // len(STRESSES)
        if len(extra) > room:
            raise UserError(f"{path} has {len(extra):,} new phones; there is room for {room:,}")
        return PhonemeTable(marks=self.marks, phones=(*self.phones, *extra))

    def __len__(self) -> int:
        return self._base + len(STRESSES) * len(self.phones)

    def ids(self, tokens: Sequence[str]) -> np.ndarray:
        """The ids of N tokens: (N,) uint16.

        Raises:
            UtteranceError: UNKNOWN_PHONEME, a token is not in the table.
        """
        try:
            return np.fromiter((self._ids[t] for t in tokens), np.uint16, len(tokens))
        except KeyError as error:
            raise UtteranceError(
                Reason.UNKNOWN_PHONEME,
                f"{error.args[0]!r} is not in the phoneme table; add it with --extra-phonemes",
            ) from None

    def symbols(self, ids: Iterable[int] | np.ndarray) -> list[str]:
        """The tokens of N ids.

        Raises:
            ValueError: an id is not in the table.
        """
        symbols = self._symbols
        result = []
        for i in ids:
            if not 0 <= i < len(symbols):
                raise ValueError(f"the phoneme table has ids 0 to {len(symbols) - 1}, got {i}")
            result.append(symbols[int(i)])
        return result

    def phone_and_stress(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Split ids into phone and stress, so that a model can add two embeddings.

        Args:
            ids: ids in an array of any shape.

        Returns:
            phones in [0, `phone_count`), where specials and marks keep their ids, and stresses in
            [0, 3); int64 in the shape of the ids.
        """
        ids = np.asarray(ids, np.int64)
        above = ids - self._base
        is_phone = above >= 0
        phone = np.where(is_phone, self._base + above // len(STRESSES), ids)
        return phone, np.where(is_phone, above % len(STRESSES), 0)

    def extends(self, other: PhonemeTable) -> bool:
        """Whether each id of another table means the same here; this table may have more."""
        return self.marks == other.marks and self.phones[: len(other.phones)] == other.phones

    @property
    def phone_count(self) -> int:
        """Number of values that the phones of `phone_and_stress` can have."""
        return self._base + len(self.phones)

    @cached_property
    def optional(self) -> frozenset[str]:
        """Tokens that may last 0 frames: `<sil>`, `|` and the punctuation marks."""
        return frozenset((SILENCE, BORDER, *self.marks))

    @cached_property
    def digest(self) -> str:
        """A hash of everything that decides the ids."""
        return short_hash({"specials": SPECIALS, "marks": self.marks, "phones": self.phones})

    def to_json(self) -> dict[str, Any]:
        """The table as JSON values, to be stored in a dataset."""
        return {
            "specials": list(SPECIALS),
            "marks": list(self.marks),
            "stresses": list(STRESSES),
            "phones": list(self.phones),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> PhonemeTable:
        """The table whose `to_json` gave these values.

        Raises:
            UserError: the values are not a phoneme table, or one of another layout.
        """
        layout = (value.get("specials"), value.get("stresses"))
        if layout != (list(SPECIALS), list(STRESSES)):
            raise UserError("not a phoneme table with a layout that this version of ns2 can read")
        try:
            return PhonemeTable(marks=tuple(value["marks"]), phones=tuple(value["phones"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the phoneme table is damaged: {error}") from error

    @cached_property
    def _base(self) -> int:
        return len(SPECIALS) + len(self.marks)

    @cached_property
    def _symbols(self) -> tuple[str, ...]:
        phones = (stress + phone for phone in self.phones for stress in STRESSES)
        return (*SPECIALS, *self.marks, *phones)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self._symbols)}

    def __contains__(self, token: object) -> bool:
        return token in self._ids


@cache
def _default() -> PhonemeTable:
    text = resources.files("ns2.pipeline.dataset").joinpath(_RESOURCE).read_text("utf-8")
    return PhonemeTable.from_json(json.loads(text))


def _problem(symbol: str) -> str:
    """Why a line of a file is not a phone, or ""."""
    if symbol[0] in STRESSES[1:]:
        return "begins with a stress mark: write the phone alone, all three stresses are added"
    if any(char.isspace() or not char.isprintable() for char in symbol):
        return "is not a single symbol: write a phone on each line"
    return ""
