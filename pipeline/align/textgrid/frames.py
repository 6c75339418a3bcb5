"""Turns the tiers of a TextGrid into tokens, words and durations on the frame grid.

A frame belongs to the phone that is spoken at its centre, so a border at t seconds lies before the
first frame whose centre is not earlier. Letters for shapes: N tokens, T frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np

from ns2.pipeline.align.textgrid.read import Interval, TextGrid, Tier
from ns2.pipeline.align.textgrid.tiers import (
    DEFAULT_NAMES,
    NOISE,
    TierNames,
    find_tier,
    find_words,
    is_silent,
    spoken_intervals,
)
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import BORDER, SILENCE, FrameGrid, Reason
from ns2.pipeline.dataset.phoneme_table import PAD, PhonemeTable

LENGTH_TOLERANCE = 1.5
"""Number of frames by which a TextGrid may be longer or shorter than its audio."""
_BORDER_TOLERANCE = 1.0  # frames that a phone may reach over its word's border
_GAP = 0.5  # frames; less between two intervals is not a pause
_EXACT = 1e-6  # seconds
_TIE = 1e-6  # frames: times in whole ms often hit a frame's centre but for rounding


@dataclass(frozen=True)
class Aligned:
    """Tokens, words and durations of an utterance.

    Attributes:
        tokens: N tokens, as in `ns2.pipeline.text.pronunciation.Pronunciation`.
        words: (label, first token, end token), as in `Pronunciation`.
        durations: (N,) uint16 frames that sum to T.
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
    """Turn a TextGrid into tokens and their durations in frames.

    Args:
        textgrid: the TextGrid as its file has it.
        samples: number of samples of the audio, at the sample rate of the grid.
        grid: the frame grid.
        names: names of the phone tier and the word tier.
        marks: gives the punctuation mark behind each word of the word tier, or "". A mark stands
            for the pause behind its word; behind the last word it has frames only if an interval
            is labelled with it.

    Raises:
        UtteranceError: the TextGrid contradicts its audio or itself; the message says at what
            time.
    """
    # The phones, and the frames that each of them covers.
    _check_length(textgrid, samples, grid)
    tier = find_tier(textgrid, names.phones, "--phone-tier")
    phones = [
        Interval(interval.start, interval.end, symbol(interval.label))
        for interval in spoken_intervals(textgrid, tier, "phone")
    ]
    if not phones:
        raise UtteranceError(Reason.TEXTGRID_NO_PHONES, f"the tier {tier.name!r} has only silence")
    phones = _without_gaps(phones, _GAP * grid.hop_length / grid.sample_rate)
    edges = _edges(phones, textgrid.end, samples, grid)
    # The words: those of the word tier, else the stretches of phones between two pauses.
    word_tier = find_words(textgrid, tier, names.words)
    if word_tier is None:
        members = _stretches(edges)
        labels = ["".join(p.label for p in phones[m[0] : m[-1] + 1]) for m in members]
        behind = [""] * len(labels)
    else:
        pairs = _members(phones, spoken_intervals(textgrid, word_tier, "word"), grid)
        labels, members = [word.label for word, _ in pairs], [inside for _, inside in pairs]
        behind = list(marks(labels))
    # A mark that the phone tier has as a label is more certain than the transcript's.
    frames, last = grid.frames(samples), edges[-1][1]
    for word, (mark, end) in _pauses(tier, phones, members).items():
        behind[word] = mark
        if word == len(labels) - 1:
            last = max(last, _edge(end, textgrid.end, frames, grid))
    return _assemble(phones, edges, list(zip(labels, members, behind, strict=True)), last, frames)


def _check_length(textgrid: TextGrid, samples: int, grid: FrameGrid) -> None:
    seconds, tolerance = samples / grid.sample_rate, LENGTH_TOLERANCE / grid.frame_rate
    if textgrid.start > NOISE:
        raise UtteranceError(
            Reason.TEXTGRID_LENGTH,
            f"the TextGrid begins at {textgrid.start:.3f} s, but audio begins at 0; in Praat: "
            "Modify times > Shift times to",
        )
    if abs(textgrid.end - seconds) > tolerance:
        than = "longer" if textgrid.end > seconds else "shorter"
        raise UtteranceError(
            Reason.TEXTGRID_LENGTH,
            f"the TextGrid lasts {textgrid.end:.3f} s, {than} than its audio of {seconds:.3f} s",
        )


def symbol(label: str) -> str:
    """The label of a phone in the Unicode form, NFC or NFD, that the phoneme table has."""
    if label == PAD:
        raise UtteranceError(
            Reason.UNKNOWN_PHONEME, f"{PAD} cannot be the label of a phone; rename it"
        )
    forms = (label, normalize("NFC", label), normalize("NFD", label))
    return next((form for form in forms if form in PhonemeTable.default()), label)


def _without_gaps(phones: Sequence[Interval], least: float) -> list[Interval]:
    """Phones that last to the start of the next one if the gap is shorter than `least` seconds."""
    starts = [*(phone.start for phone in phones[1:]), math.inf]
    return [
        Interval(phone.start, start if start - phone.end < least else phone.end, phone.label)
        for phone, start in zip(phones, starts, strict=True)
    ]


def _edges(
    phones: Sequence[Interval], end: float, samples: int, grid: FrameGrid
) -> list[tuple[int, int]]:
    """[first, end) frames of each phone; empty if it contains no centre of a frame."""
    frames = grid.frames(samples)
    return [
        (_edge(phone.start, end, frames, grid), _edge(phone.end, end, frames, grid))
        for phone in phones
    ]


def _edge(seconds: float, end: float, frames: int, grid: FrameGrid) -> int:
    """The first frame whose centre is not before a time in seconds."""
    if seconds >= end - _EXACT:  # the centre of the last frame may lie behind the audio
        return frames
    return min(frames, max(0, math.ceil(seconds * grid.frame_rate - 0.5 - _TIE)))


def _stretches(edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Positions of phones in groups without a pause inside: the words, if no tier has them."""
    members = [[0]]
    for i in range(1, len(edges)):
        if edges[i][0] > edges[i - 1][1]:
            members.append([])
        members[-1].append(i)
    return members


def _members(
    phones: Sequence[Interval], words: Sequence[Interval], grid: FrameGrid
) -> list[tuple[Interval, list[int]]]:
    """Words and the positions of their phones; a phone belongs to the word around its middle.

    Raises:
        UtteranceError: TEXTGRID_WORDS, the two tiers contradict each other.
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
        if not inside and not is_silent(word.label):
            raise UtteranceError(
                Reason.TEXTGRID_WORDS,
                f"the word {word.label!r} at {word.start:.3f} s has no phones",
            )
    return [pair for pair in zip(words, members, strict=True) if pair[1]]


def _pauses(
    tier: Tier, phones: Sequence[Interval], members: Sequence[Sequence[int]]
) -> dict[int, tuple[str, float]]:
    """Punctuation marks among the labels of the phone tier, and their ends, by the word before."""
    marks, pauses = PhonemeTable.default().marks, dict[int, tuple[str, float]]()
    begins = [phones[inside[0]].start for inside in members] + [math.inf]
    for interval in tier.intervals or ():
        if interval.label not in marks:
            continue
        for k, inside in enumerate(members):
            behind = phones[inside[-1]].end <= interval.start + NOISE
            if behind and interval.end <= begins[k + 1] + NOISE:
                pauses[k] = (interval.label, interval.end)
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
        phones: the phones of the phone tier.
        edges: [first, end) frames of each phone.
        words: label, positions of its phones, and the mark behind it or "".
        last: the end frame of the mark behind the last word.
        frames: the number of frames, T.
    """
    rows = [(SILENCE, edges[0][0], 0)]  # (token, frames, least frames)
    spans: list[tuple[str, int, int]] = []
    between = ""
    for label, inside, mark in words:
        first = len(rows) + (inside[0] > 0)  # a border comes first, except before the first word
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
    """Give every token its least number of frames, from the nearest token that can spare a frame.

    Of two tokens that are equally near the longer one gives; the tokens in between move by a frame.

    Args:
        durations: (N,) frames that sum to T.
        least: (N,) least number of frames of each token, 0 or 1.

    Returns:
        (N,) frames that sum to T.

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
