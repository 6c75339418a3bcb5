"""Recordings with TextGrids beside them, as people have them, as speech whose borders are known.

A tier of phones is needed; with a tier of words its borders are known as well. ARPAbet is turned
into IPA, since no network knows it otherwise. Recordings that are too long to be aligned as a whole
are cut in pauses.

Letters for shapes: S samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.making.known_borders import ARPABET, PAUSE, Spoken
from ns2.pipeline.align.textgrid.find import SUFFIX
from ns2.pipeline.align.textgrid.frames import symbol
from ns2.pipeline.align.textgrid.read import Interval, TextGrid, Tier, read_textgrid
from ns2.pipeline.align.textgrid.tiers import find_tier, spoken_intervals
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.schema import BORDER, Reason
from ns2.pipeline.corpora.folders import nfc, split_suffix, walk
from ns2.pipeline.sound.decode import read_audio

PHONE_TIERS = ("phones", "phone", "MAU", "phonemes", "segments")
"""What tiers of phones are called, by MFA, Praat's users, WebMAUS and others; the first that is
there is read."""
WORD_TIERS = ("words", "word", "ORT-MAU", "ORT")
_PIECE_SECONDS, _PAUSE_SECONDS = 20.0, 0.3
"""Recordings that are too long are cut in pauses of so many seconds, into pieces of about so many.
"""
_NOT_IPA = re.compile("([A-Z]+|[a-z]+)[0-2]?")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A recording and its labels: the spoken phones, and the words if a tier has them."""

    grid: Path
    audio: Path
    phones: Sequence[Interval]
    words: Sequence[Interval]


def labelled(
    folder: Path, phones: str | None, words: str | None, longest: float
) -> Iterator[Spoken]:
    """Recordings below a folder, and the borders that TextGrids of the same names have.

    Args:
        folder: any number of folders deep.
        phones: the name of the tier of phones; None for the first of `PHONE_TIERS`.
        words: that of the words, whose tier may be missing; None for the first of `WORD_TIERS`.
        longest: the seconds of recordings beyond which they are cut.
    """
    found = [one for pair in _pairs(folder) if (one := _read(*pair, phones, words)) is not None]
    arpabet = are_arpabet([phone.label for one in found for phone in one.phones])
    number = 0
    for one in found:
        try:
            wave, rate = read_audio(one.audio)
        except UtteranceError as error:
            print(f"{one.audio} is not measured: {error}")
            continue
        for begin, end in _pieces(one.phones, len(wave) / rate, longest):
            piece = wave[round(begin * rate) : round(end * rate)]
            # ids of any folder need not be keys of a dataset
            yield _spoken(f"labelled{number:05d}", one, arpabet, (begin, end), piece, rate)
            number += 1


def are_arpabet(labels: Sequence[str]) -> bool:
    """Whether labels are ARPAbet's: all of them are, and those of two letters are most of them."""
    bare = [label.rstrip("012").lower() for label in labels if _NOT_IPA.fullmatch(label)]
    known = [label for label in bare if label in ARPABET]
    two = sum(len(label) == 2 for label in known)
    return 0 < len(labels) == len(bare) and 0.95 * len(labels) <= len(known) <= 3 * two


def _pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """TextGrids with their recordings."""
    for below in sorted(walk(folder), key=lambda found: found.path):
        for name in sorted(below.files):
            stem, suffix = split_suffix(name)
            if suffix != SUFFIX:
                continue
            grid = folder / below.source(below.files[name])
            if (audio := below.find_audio(nfc(stem))) is None:
                print(f"{grid} has no recording beside it, and is not measured")
            else:
                yield grid, folder / below.source(audio)


def _read(grid: Path, audio: Path, phones: str | None, words: str | None) -> Labelled | None:
    """The labels of a recording; None, which is said, if they can't be read."""
    try:
        found = read_textgrid(grid)
        tier = _tier(found, phones, PHONE_TIERS, "--tier")
        if tier is None:
            raise UtteranceError(
                Reason.TEXTGRID_NO_TIER,
                f"no tier is called {', '.join(PHONE_TIERS)}; its tiers are "
                f"{', '.join(repr(tier.name) for tier in found.tiers)}: name one with --tier",
            )
        spoken = spoken_intervals(found, tier, "phone")
        of_words = _tier(found, words, WORD_TIERS, "--word-tier")
        spoken_words = [] if of_words is None else spoken_intervals(found, of_words, "word")
    except (UserError, UtteranceError, OSError) as error:
        print(f"{grid} is not measured: {error}")
        return None
    if not spoken:
        print(f"{grid} is not measured: nothing is spoken in it")
        return None
    return Labelled(grid=grid, audio=audio, phones=spoken, words=spoken_words)


def _tier(grid: TextGrid, name: str | None, usual: Sequence[str], option: str) -> Tier | None:
    """The tier of a name, or the first of those that are usual; None if there is none of these."""
    if name is not None:
        return find_tier(grid, name, option)
    for one in usual:
        if any(_called(tier, one) for tier in grid.tiers):
            return find_tier(grid, one, option)
    return None


def _called(tier: Tier, name: str) -> bool:
    """Whether a tier has a name, in any case or behind a speaker."""
    return f" - {tier.name}".casefold().endswith(f" - {name}".casefold())


def _pieces(
    phones: Sequence[Interval], seconds: float, longest: float
) -> Iterator[tuple[float, float]]:
    """The begin and end of the pieces of a recording; all of it, unless it is too long."""
    begin = 0.0
    if seconds > longest:
        for one, following in pairwise(phones):
            middle = (one.end + following.start) / 2
            pause = following.start - one.end
            if pause >= _PAUSE_SECONDS and middle - begin >= _PIECE_SECONDS:
                yield begin, middle
                begin = middle
    yield begin, seconds


def _spoken(
    key: str,
    one: Labelled,
    arpabet: bool,
    piece: tuple[float, float],
    wave: np.ndarray,
    rate: int,
) -> Spoken:
    """A piece of a recording, with its phones and the pauses between them."""
    begin, behind = piece
    phones = [phone for phone in one.phones if begin <= phone.start < behind]
    sounds: list[tuple[float, str]] = []
    end = phones[0].start
    for phone in phones:
        if phone.start > end + 1e-3:
            sounds.append((end - begin, PAUSE))
        sounds.append((phone.start - begin, _ipa(phone.label, arpabet)))
        end = phone.end
    words = _words(phones, one.words)
    return Spoken(
        key=key,
        wave=wave,
        rate=rate,
        sounds=[*sounds, (end - begin, PAUSE)],
        tokens=_tokens([_ipa(phone.label, arpabet) for phone in phones], words) if words else None,
        ends=[phone.end - begin for phone in phones],
        words=words,
    )


def _ipa(label: str, arpabet: bool) -> str:
    """The token of a label; tokens have no blanks."""
    known = ARPABET.get(label.rstrip("012").lower()) if arpabet else None
    return "_".join((known or symbol(label)).split())


def _words(phones: Sequence[Interval], words: Sequence[Interval]) -> list[tuple[int, int]]:
    """The first phone of each word and that behind it; a phone is its word's around its middle."""
    middles = np.array([(phone.start + phone.end) / 2 for phone in phones])
    found = [
        (int(np.searchsorted(middles, word.start)), int(np.searchsorted(middles, word.end)))
        for word in words
    ]
    return [(first, behind) for first, behind in found if first < behind]


def _tokens(symbols: Sequence[str], words: Sequence[tuple[int, int]]) -> list[str]:
    """The phones, with a border wherever a word begins or ends."""
    edges = {edge for word in words for edge in word} - {0, len(symbols)}
    return [
        token
        for i, phone in enumerate(symbols)
        for token in ([BORDER, phone] if i in edges else [phone])
    ]
