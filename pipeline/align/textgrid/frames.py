"""From a TextGrid's tiers to tokens, words and durations on the frame grid.

A frame belongs to what is spoken at its centre, so a border at t seconds lies before the first
frame whose centre is not earlier. Letters for shapes: N tokens, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np

from ns2.pipeline.align.textgrid.read import Interval, TextGrid, Tier
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import BORDER, SILENCE, FrameGrid, Reason
from ns2.pipeline.dataset.phoneme_table import PAD, PhonemeTable

SILENCES = frozenset(
    {"", "sil", "sp", "silence", "pau", "<eps>", "<sil>", "<p:>", "#", "h#", BORDER}
)
"""Labels of silence in any case: of Praat, MFA, HTK, Kaldi, Festival, WebMAUS and TIMIT. MFA's
`spn` is none: it stands for a word without a pronunciation."""

LENGTH_TOLERANCE = 1.5
"""Frames that a TextGrid may be longer or shorter than its audio."""
_BORDER_TOLERANCE = 1.0  # frames that a phone may reach over its word's border
_GAP = 0.5  # frames; what is shorter between two intervals is no gap
_NOISE = 1e-3  # s that intervals may overlap: what rounding in other tools leaves
_EXACT = 1e-6  # s
_TIE = 1e-6  # frames: times in whole ms often hit a centre, up to rounding


@dataclass(frozen=True, kw_only=True)
class TierNames:
    """Which tiers are read.

    Attributes:
        phones: name of the phone tier; "phones" is also "Phones" and "<speaker> - phones".
        words: likewise; a tier of this default name may be missing, "" reads none.
    """

    phones: str = "phones"
    words: str = "words"


DEFAULT_NAMES = TierNames()


@dataclass(frozen=True)
class Aligned:
    """What a TextGrid says of an utterance.

    Attributes:
        tokens, words: as of `ns2.pipeline.text.pronunciation.Pronunciation`.
        durations: (N,) uint16 frames; they sum to T.
    """

    tokens: tuple[str, ...]
    words: tuple[tuple[str, int, int], ...]
    durations: np.ndarray


def align_textgrid(
    textgrid: TextGrid,
    samples: int,
    grid: FrameGrid,
    names: TierNames = DEFAULT_NAMES,
    marks: Callable[[Sequence[str]], Sequence[str]] = lambda words: [""] * len(words),
) -> Aligned:
    """Tokens and their frames.

    Args:
        samples: S of the audio at the grid's rate.
        marks: gives the punctuation mark behind each word of the word tier, "" for none. A mark
            stands for the pause behind its word; behind the last one it has frames only where an
            interval is labelled with it.

    Raises:
        UtteranceError: it does not fit its audio, or itself; says where.
    """
    _check_length(textgrid, samples, grid)
    tier = _find_tier(textgrid, names.phones, "--phone-tier")
    phones = [
        Interval(one.start, one.end, _symbol(one.label)) for one in _spoken(textgrid, tier, "phone")
    ]
    if not phones:
        raise UtteranceError(
            Reason.TEXTGRID_NO_PHONES, f"the tier {tier.name!r} holds nothing but silence"
        )
    phones = _without_gaps(phones, _GAP * grid.hop_length / grid.sample_rate)
    edges = _edges(phones, textgrid.end, samples, grid)
    word_tier = _find_words(textgrid, tier, names.words)
    if word_tier is None:
        members = _stretches(edges)
        labels = ["".join(p.label for p in phones[m[0] : m[-1] + 1]) for m in members]
        behind = [""] * len(labels)
    else:
        pairs = _members(phones, _spoken(textgrid, word_tier, "word"), grid)
        labels, members = [word.label for word, _ in pairs], [inside for _, inside in pairs]
        behind = list(marks(labels))
    frames, last = grid.frames(samples), edges[-1][1]
    for word, (mark, end) in _pauses(tier, phones, members).items():
        behind[word] = mark
        if word == len(labels) - 1:
            last = max(last, _edge(end, textgrid.end, frames, grid))
    return _assemble(phones, edges, list(zip(labels, members, behind, strict=True)), last, frames)


def _check_length(textgrid: TextGrid, samples: int, grid: FrameGrid) -> None:
    seconds, tolerance = samples / grid.sample_rate, LENGTH_TOLERANCE / grid.frame_rate
    if textgrid.start > _NOISE:
        raise UtteranceError(
            Reason.TEXTGRID_LENGTH,
            f"the TextGrid begins at {textgrid.start:.3f} s, and audio at 0; in Praat: "
            "Modify times > Shift times to",
        )
    if abs(textgrid.end - seconds) > tolerance:
        than = "longer" if textgrid.end > seconds else "shorter"
        raise UtteranceError(
            Reason.TEXTGRID_LENGTH,
            f"the TextGrid lasts {textgrid.end:.3f} s, {than} than its audio of {seconds:.3f} s",
        )


def _find_tier(textgrid: TextGrid, name: str, option: str, speaker: str = "") -> Tier:
    """The one tier of a name: as written, else in any case, else of one speaker (as MFA has it).

    Raises:
        UtteranceError: there is none, or there are several, or it holds points.
    """
    wanted = name.casefold()
    levels = (
        [tier for tier in textgrid.tiers if speaker and tier.name == f"{speaker} - {name}"],
        [tier for tier in textgrid.tiers if tier.name == name],
        [tier for tier in textgrid.tiers if tier.name.casefold() == wanted],
        [tier for tier in textgrid.tiers if tier.name.casefold().endswith(f" - {wanted}")],
    )
    found = next((level for level in levels if level), [])
    if len(found) != 1:
        there = ", ".join(repr(tier.name) for tier in found or textgrid.tiers)
        what = f"{len(found)} tiers fit" if found else "no tier is named"
        which = "they are" if found else "its tiers are"
        raise UtteranceError(
            Reason.TEXTGRID_NO_TIER, f"{what} {name!r}; {which} {there}: name one with {option}"
        )
    if found[0].intervals is None:
        raise UtteranceError(
            Reason.TEXTGRID_NO_TIER,
            f"the tier {found[0].name!r} is one of points; one of intervals is expected",
        )
    return found[0]


def _find_words(textgrid: TextGrid, phones: Tier, name: str) -> Tier | None:
    """The word tier, of the phone tier's speaker; None where there need be none."""
    if not name:
        return None
    speaker, dash, _ = phones.name.rpartition(" - ")
    try:
        return _find_tier(textgrid, name, "--word-tier", speaker if dash else "")
    except UtteranceError:
        fits = any(tier.name.casefold().endswith(name.casefold()) for tier in textgrid.tiers)
        if fits or name != DEFAULT_NAMES.words:
            raise
        return None


def _is_silent(label: str) -> bool:
    return label.lower() in SILENCES or label in PhonemeTable.default().marks


def _spoken(textgrid: TextGrid, tier: Tier, what: str) -> list[Interval]:
    """Intervals of a tier that are not silence, after a check of all its times.

    Of words only those without a label are left out: any other may be a word after all ("sp").

    Raises:
        UtteranceError: TEXTGRID_BAD_TIMES or TEXTGRID_OVERLAP.
    """
    before, spoken = Interval(0.0, 0.0, ""), list[Interval]()
    for one in tier.intervals or ():
        silent = not one.label if what == "word" else _is_silent(one.label)
        if one.end < one.start or (one.end == one.start and not silent):
            raise UtteranceError(
                Reason.TEXTGRID_BAD_TIMES,
                f"the {what} {one.label!r} begins at {one.start:.3f} s and ends at {one.end:.3f} s",
            )
        if one.end > textgrid.end + _NOISE:
            raise UtteranceError(
                Reason.TEXTGRID_BAD_TIMES,
                f"the {what} {one.label!r} ends at {one.end:.3f} s, behind the TextGrid's end at "
                f"{textgrid.end:.3f} s",
            )
        if one.start < before.end - _NOISE:
            raise UtteranceError(
                Reason.TEXTGRID_OVERLAP,
                f"the {what} {one.label!r} begins at {one.start:.3f} s, before {before.label!r} "
                f"ends at {before.end:.3f} s",
            )
        before = one
        if not silent:
            spoken.append(one)
    return spoken


def _symbol(label: str) -> str:
    """A phone's label in the form, composed or not, in which the phoneme table has it."""
    if label == PAD:
        raise UtteranceError(Reason.UNKNOWN_PHONEME, f"{PAD} is no phone; give it another name")
    forms = (label, normalize("NFC", label), normalize("NFD", label))
    return next((form for form in forms if form in PhonemeTable.default()), label)


def _without_gaps(phones: Sequence[Interval], least: float) -> list[Interval]:
    """Phones in which each lasts to the next one's start where less than `least` s lie between."""
    starts = [*(phone.start for phone in phones[1:]), math.inf]
    return [
        Interval(phone.start, start if start - phone.end < least else phone.end, phone.label)
        for phone, start in zip(phones, starts, strict=True)
    ]


def _edges(
    phones: Sequence[Interval], end: float, samples: int, grid: FrameGrid
) -> list[tuple[int, int]]:
    """[first, behind) frames of each phone; empty for one that has no frame's centre."""
    frames = grid.frames(samples)
    return [
        (_edge(phone.start, end, frames, grid), _edge(phone.end, end, frames, grid))
        for phone in phones
    ]


def _edge(seconds: float, end: float, frames: int, grid: FrameGrid) -> int:
    """The first frame whose centre is not before a time."""
    if seconds >= end - _EXACT:  # the last frame's centre may lie behind the audio's end
        return frames
    return min(frames, max(0, math.ceil(seconds * grid.frame_rate - 0.5 - _TIE)))


def _stretches(edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Positions of phones between which there is no pause."""
    members = [[0]]
    for i in range(1, len(edges)):
        if edges[i][0] > edges[i - 1][1]:
            members.append([])
        members[-1].append(i)
    return members


def _members(
    phones: Sequence[Interval], words: Sequence[Interval], grid: FrameGrid
) -> list[tuple[Interval, list[int]]]:
    """Words and positions of their phones; a phone belongs to the word that its middle lies in.

    Raises:
        UtteranceError: TEXTGRID_WORDS where tiers contradict each other.
    """
    tolerance = _BORDER_TOLERANCE / grid.frame_rate
    members: list[list[int]] = [[] for _ in words]
    at = 0
    for i, phone in enumerate(phones):
        middle = (phone.start + phone.end) / 2
        while at < len(words) and words[at].end <= middle:
            at += 1
        if at == len(words) or words[at].start > middle:
            raise UtteranceError(
                Reason.TEXTGRID_WORDS,
                f"the phone {phone.label!r} at {phone.start:.3f} s lies in no word",
            )
        word = words[at]
        if phone.start < word.start - tolerance or phone.end > word.end + tolerance:
            raise UtteranceError(
                Reason.TEXTGRID_WORDS,
                f"the phone {phone.label!r} from {phone.start:.3f} to {phone.end:.3f} s reaches "
                f"over the border of the word {word.label!r} from {word.start:.3f} to "
                f"{word.end:.3f} s",
            )
        members[at].append(i)
    for word, inside in zip(words, members, strict=True):
        if not inside and not _is_silent(word.label):
            raise UtteranceError(
                Reason.TEXTGRID_WORDS,
                f"the word {word.label!r} at {word.start:.3f} s has no phones",
            )
    return [pair for pair in zip(words, members, strict=True) if pair[1]]


def _pauses(
    tier: Tier, phones: Sequence[Interval], members: Sequence[Sequence[int]]
) -> dict[int, tuple[str, float]]:
    """Marks that the phone tier has as labels of pauses, and their ends, by the word before."""
    marks, pauses = PhonemeTable.default().marks, dict[int, tuple[str, float]]()
    begins = [phones[inside[0]].start for inside in members] + [math.inf]
    for one in tier.intervals or ():
        if one.label not in marks:
            continue
        for k, inside in enumerate(members):
            behind = phones[inside[-1]].end <= one.start + _NOISE
            if behind and one.end <= begins[k + 1] + _NOISE:
                pauses[k] = (one.label, one.end)
                break
    return pauses


def _assemble(
    phones: Sequence[Interval],
    edges: Sequence[tuple[int, int]],
    words: Sequence[tuple[str, Sequence[int], str]],
    last: int,
    frames: int,
) -> Aligned:
    """All tokens: `<sil>` at both ends, a mark or `|` between words, `|` for pauses inside one.

    Args:
        words: label, positions of its phones, and the mark behind it or "".
        last: frame behind the pause of the last word's mark.
    """
    rows = [(SILENCE, edges[0][0], 0)]  # token, frames, least frames
    spans: list[tuple[str, int, int]] = []
    between = ""
    for label, inside, mark in words:
        first = len(rows) + (inside[0] > 0)  # behind the border
        for i in inside:
            gap = edges[i][0] - edges[i - 1][1] if i else 0
            if i and i == inside[0]:
                rows.append((between or BORDER, gap, 0))
            elif gap > 0:
                rows.append((BORDER, gap, 0))
            rows.append((phones[i].label, edges[i][1] - edges[i][0], 1))
        spans.append((label, first, len(rows)))
        between = mark
    if between:
        rows.append((between, last - edges[-1][1], 0))
    rows.append((SILENCE, frames - last, 0))
    durations = give_frames([row[1] for row in rows], [row[2] for row in rows])
    return Aligned(
        tokens=tuple(row[0] for row in rows),
        words=tuple(spans),
        durations=np.array(durations, np.uint16),
    )


def give_frames(durations: Sequence[int], least: Sequence[int]) -> list[int]:
    """Give every token its least number of frames, taken from the nearest that can spare one.

    Of two that are equally near the longer one gives; what lies between moves by a frame.

    Args:
        durations: (N,) frames that sum to T.
        least: (N,) 0 or 1.

    Raises:
        UtteranceError: MORE_PHONES_THAN_FRAMES.
    """
    given, count = list(durations), len(durations)
    if sum(least) > sum(given):
        raise UtteranceError(
            Reason.MORE_PHONES_THAN_FRAMES,
            f"{sum(least)} phones in {sum(given)} frames: is this the TextGrid of this recording?",
        )
    for i in range(count):
        while given[i] < least[i]:
            givers = (
                max(
                    (j for j in (i - far, i + far) if 0 <= j < count and given[j] > least[j]),
                    key=given.__getitem__,
                    default=None,
                )
                for far in range(1, count)
            )
            giver = next(j for j in givers if j is not None)
            given[giver] -= 1
            given[i] += 1
    return given
