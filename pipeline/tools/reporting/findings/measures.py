"""The measures of utterances that a report shows: their names for people, and which end is bad."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ns2.pipeline.dataset.index import CONFIDENCE
from ns2.pipeline.dataset.losses import LOSS
from ns2.pipeline.dataset.reader import Dataset

LOWEST, HIGHEST = "lowest", "highest"
_BOTH = (LOWEST, HIGHEST)


@dataclass(frozen=True)
class Measure:
    """A number of each utterance.

    Attributes:
        name: the field of the index.
        title: what people call it.
        unit: of its values; "" for none.
        ends: the ends at which utterances are worth a look.
    """

    name: str
    title: str
    unit: str = ""
    ends: tuple[str, ...] = _BOTH


_KNOWN = (
    Measure("seconds", "length", "s"),
    Measure("phone_rate", "phones a second"),
    Measure("f0_median", "median F0", "Hz"),
    Measure("voiced_share", "voiced share", ends=(LOWEST,)),
    Measure("level_db", "level", "dB", (LOWEST,)),
    Measure("align_score", "alignment score", ends=(LOWEST,)),
    Measure("border_error", "borders expected to be off", ends=(HIGHEST,)),
    Measure("worst_word", "borders of the worst word", ends=(HIGHEST,)),
    Measure(CONFIDENCE, "confidence", ends=(LOWEST,)),
    Measure("lufs", "loudness", "LUFS"),
    Measure("true_peak", "true peak", "dBTP", (HIGHEST,)),
    Measure("bandwidth", "bandwidth", "Hz", (LOWEST,)),
    Measure("snr", "signal to noise", "dB", (LOWEST,)),
    Measure("clipped_share", "clipped share", ends=(HIGHEST,)),
    Measure("leading_silence", "silence before", "s", (HIGHEST,)),
    Measure("trailing_silence", "silence behind", "s", (HIGHEST,)),
    Measure("mos_overall", "MOS overall", ends=(LOWEST,)),
    Measure("mos_signal", "MOS of the signal", ends=(LOWEST,)),
    Measure("mos_background", "MOS of the background", ends=(LOWEST,)),
    Measure("mos_p808", "MOS P.808", ends=(LOWEST,)),
    Measure("voice_distance", "distance to the speaker's voice", ends=(HIGHEST,)),
    Measure(LOSS, "loss in training", ends=(HIGHEST,)),
)


_PLACES = frozenset({"worst_word_time"})
"""Numbers of the index that measure nothing."""


def measures_of(dataset: Dataset) -> list[Measure]:
    """The measures of a dataset: those of ns2, then those of other stages."""
    numbers = (pa.types.is_floating, pa.types.is_integer)
    there = {
        field.name for field in dataset.index_schema if any(is_(field.type) for is_ in numbers)
    }
    known = [measure for measure in _KNOWN if measure.name in there]
    names = {measure.name for measure in known}
    own = [name for name in dataset.card.scalars if name in there - names - _PLACES]
    return [*known, *(Measure(name, name) for name in own)]
