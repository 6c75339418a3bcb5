"""Picks the phone tier and the word tier of a TextGrid, and the intervals in which is spoken."""

from __future__ import annotations

from dataclasses import dataclass

from ns2.pipeline.align.textgrid.read import Interval, TextGrid, Tier
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import BORDER, Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable

SILENCES = frozenset(
    {"", "sil", "sp", "silence", "pau", "<eps>", "<sil>", "<p:>", "#", "h#", BORDER}
)
"""Labels of silence, in any case, of Praat, MFA, HTK, Kaldi, Festival, WebMAUS and TIMIT. MFA's
`spn` is not among them: it stands for a word without a pronunciation."""

NOISE = 1e-3
"""Seconds that intervals may overlap, from rounding in other tools."""


@dataclass(frozen=True, kw_only=True)
class TierNames:
    """Names of the tiers that are read.

    A name fits in any case, and behind a speaker: "phones" fits "Phones" and "Mary - phones".

    Attributes:
        phones: name of the phone tier.
        words: name of the word tier, or "" to read none; the tier of the default name may be
            missing.
    """

    phones: str = "phones"
    words: str = "words"


DEFAULT_NAMES = TierNames()


def find_tier(textgrid: TextGrid, name: str, option: str, speaker: str = "") -> Tier:
    """The only tier of a name: as written, else in any case, else behind a speaker (as of MFA).

    Args:
        name: the name that is wanted.
        option: the option of the command line that sets the name, for messages.
        speaker: prefer the tier of this speaker.

    Raises:
        UtteranceError: TEXTGRID_NO_TIER, no tier or several have the name, or it has points.
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
        what = f"{len(found)} tiers have the name" if found else "no tier has the name"
        which = "they are" if found else "its tiers are"
        raise UtteranceError(
            Reason.TEXTGRID_NO_TIER,
            f"{what} {name!r}; {which} {there}: name the right tier with {option}",
        )
    if found[0].intervals is None:
        raise UtteranceError(
            Reason.TEXTGRID_NO_TIER,
            f"the tier {found[0].name!r} has points; a tier of intervals is expected",
        )
    return found[0]


def find_words(textgrid: TextGrid, phones: Tier, name: str) -> Tier | None:
    """The word tier, of the speaker of the phone tier; None if it is missing and may be."""
    if not name:
        return None
    speaker, dash, _ = phones.name.rpartition(" - ")
    try:
        return find_tier(textgrid, name, "--word-tier", speaker if dash else "")
    except UtteranceError:
        fits = any(tier.name.casefold().endswith(name.casefold()) for tier in textgrid.tiers)
        if fits or name != DEFAULT_NAMES.words:
            raise
        return None


def is_silent(label: str) -> bool:
    """Whether a label stands for silence: one of `SILENCES`, or a punctuation mark."""
    return label.lower() in SILENCES or label in PhonemeTable.default().marks


def spoken_intervals(textgrid: TextGrid, tier: Tier, what: str) -> list[Interval]:
    """Intervals of a tier that are not silence, after a check of the times of all intervals.

    Of a word tier only intervals without a label are left out: "sp" may be a word after all.

    Raises:
        UtteranceError: TEXTGRID_BAD_TIMES or TEXTGRID_OVERLAP.
    """
    before, spoken = Interval(0.0, 0.0, ""), list[Interval]()
    for interval in tier.intervals or ():
        silent = not interval.label if what == "word" else is_silent(interval.label)
        start, end = interval.start, interval.end
        if end < start or (end == start and not silent):
            raise UtteranceError(
                Reason.TEXTGRID_BAD_TIMES,
                f"the {what} {interval.label!r} begins at {start:.3f} s and ends at {end:.3f} s",
            )
        if end > textgrid.end + NOISE:
            raise UtteranceError(
                Reason.TEXTGRID_BAD_TIMES,
                f"the {what} {interval.label!r} ends at {end:.3f} s, behind the end of the "
                f"TextGrid at {textgrid.end:.3f} s",
            )
        if start < before.end - NOISE:
            raise UtteranceError(
                Reason.TEXTGRID_OVERLAP,
                f"the {what} {interval.label!r} begins at {start:.3f} s, before {before.label!r} "
                f"ends at {before.end:.3f} s",
            )
        before = interval
        if not silent:
            spoken.append(interval)
    return spoken
