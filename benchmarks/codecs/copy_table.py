"""The figures of `benchmarks.copies`: by group and codec, as values, a table, and limits.

Letters for shapes: T frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.codecs.copy_groups import LJ, Clip
from benchmarks.codecs.copy_measures import RECORDING, Copied, Values
from benchmarks.support.machine import verdict
from ns2.pipeline.sound.measures import PitchErrors
from ns2.train.evaluation.judges.words import WordErrors, spoken_words, word_errors

SIGNAL_LIMIT, P808_LIMIT = 0.25, 0.3
"""How far below the recordings the means of copies may lie."""
WORDS_LIMIT = 0.02
"""How far above the recordings the share of wrong words may lie, in all pooled groups together."""
STOI_LIMIT, STOI_LIMIT_LJ, PESQ_LIMIT_LJ = 0.90, 0.92, 2.0
POOLED = "pooled"
"""The name of the English groups together."""


def figures(
    copied: Sequence[Copied], known: Mapping[str, Values], pooled: Sequence[str]
) -> dict[str, Any]:
    """Return the figures of all groups: by group, then by codec, recordings first.

    Args:
        copied: the measured recordings.
        known: the values by key.
        pooled: the groups whose wrong words are counted together as well.
    """
    groups: dict[str, list[Copied]] = {}
    for one in copied:
        groups.setdefault(one.clip.group, []).append(one)
    found = {
        name: {
            "clips": len(those),
            "seconds": sum(one.seconds for one in those),
            "versions": {version: _version(version, those, known) for version in those[0].waves},
        }
        for name, those in groups.items()
    }
    together = [one for one in copied if one.clip.group in pooled]
    if together:
        found[POOLED] = {
            "groups": list(pooled),
            "clips": len(together),
            "seconds": sum(one.seconds for one in together),
            "versions": {
                version: _words(version, together, known) for version in together[0].waves
            },
        }
    return found


def _version(name: str, those: Sequence[Copied], known: Mapping[str, Values]) -> Values:
    """Return the figures of recordings, or of copies by one codec, over a group."""
    voices = [known[one.waves[name]] for one in those]
    values = {measure: _mean(voices, measure) for measure in ("signal", "p808")}
    values |= _words(name, those, known)
    f0 = np.concatenate([voice["f0"] for voice in voices])
    values["voiced_share"] = float(np.mean(f0 > 0))
    if name != RECORDING:
        pairs = [known[one.pairs[name]] for one in those]
        values |= {measure: _mean(pairs, measure) for measure in ("stoi", "pesq", "log_mel")}
        values |= _pitch([pitch_errors(name, one, known) for one in those])
    return values


def _mean(values: Sequence[Values], name: str) -> float | None:
    """Return the mean of what could be measured."""
    there = [value[name] for value in values if value.get(name) is not None]
    return float(np.mean(there)) if there else None


def _words(name: str, those: Sequence[Copied], known: Mapping[str, Values]) -> Values:
    """Return the wrong words of some recordings or copies; nothing where none were recognised."""
    counts = [heard_wrongly(one.clip, known[one.waves[name]]) for one in those]
    there = [count for count in counts if count is not None]
    if not there:
        return {}
    wrong = sum(there[1:], there[0])
    return {
        "word_errors": wrong.total,
        "word_insertions": wrong.insertions,
        "word_deletions": wrong.deletions,
        "word_substitutions": wrong.substitutions,
        "words": wrong.words,
        "word_error_rate": wrong.rate,
    }


def heard_wrongly(clip: Clip, voice: Values) -> WordErrors | None:
    """Return the wrong words in a recording or copy; None where none were recognised."""
    if "heard" not in voice:
        return None
    heard = spoken_words(voice["heard"], clip.language)
    return word_errors(heard, spoken_words(clip.text, clip.language))


def pitch_errors(name: str, one: Copied, known: Mapping[str, Values]) -> PitchErrors:
    """Return the errors of a copy's F0 (T,) against its recording's."""
    copy, original = known[one.waves[name]], known[one.originals[name]]
    return PitchErrors.of(np.array(copy["f0"]), np.array(original["f0"]))


def _pitch(errors: Sequence[PitchErrors]) -> Values:
    together = PitchErrors.together(errors)
    cents = np.abs(together.cents)
    return {
        "f0_median_cents": float(np.median(cents)) if len(cents) else None,
        "voicing_error": together.voicing,
    }


def clip_rows(copied: Sequence[Copied], known: Mapping[str, Values]) -> list[Values]:
    """Return the figures of each recording and of its copies, for JSON."""
    return [
        {
            "group": one.clip.group,
            "id": one.clip.id,
            "text": one.clip.text,
            "seconds": one.seconds,
            "versions": {
                name: {
                    **_version(name, [one], known),
                    "heard": known[key].get("heard"),
                }
                for name, key in one.waves.items()
            },
        }
        for one in copied
    ]


_COLUMNS = (
    ("signal", "signal", "{:.2f}"),
    ("P.808", "p808", "{:.2f}"),
    ("words wrong", "word_error_rate", "{:.1%}"),
    ("F0, cents", "f0_median_cents", "{:.1f}"),
    ("voicing wrong", "voicing_error", "{:.1%}"),
    ("voiced", "voiced_share", "{:.0%}"),
    ("STOI", "stoi", "{:.3f}"),
    ("PESQ", "pesq", "{:.2f}"),
    ("log-mel", "log_mel", "{:.3f}"),
)


def render(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the table of `figures`."""
    for name, group in found.items():
        versions = group["versions"]
        if name == POOLED and len(group["groups"]) == 1:  # its wrong words stand in its own table
            continue
        columns = [c for c in _COLUMNS if any(v.get(c[1]) is not None for v in versions.values())]
        if not columns:
            continue
        about = " + ".join(group["groups"]) if name == POOLED else name
        yield f"\n{about}: {group['clips']} recordings, {group['seconds'] / 60:.1f} minutes"
        width = max(len(version) for version in versions)
        yield " " * width + "".join(f"{title:>15}" for title, _, _ in columns)
        for version, values in versions.items():
            cells = "".join(f"{_cell(values, measure, form):>15}" for _, measure, form in columns)
            yield f"{version:<{width}}{cells}"


def _cell(values: Values, name: str, form: str) -> str:
    value = values.get(name)
    if value is None:
        return "-"
    text = form.format(value)
    if name == "word_error_rate":
        text += f" {values['word_errors']}/{values['words']}"
    return text


def limits(found: Mapping[str, Any], codec: str, first: str) -> list[Values]:
    """Return a codec's figures that have a limit: `group`, `limit`, `value`, `most` or `least`.

    Args:
        found: see `figures`.
        codec: the name of the codec.
        first: the codec of which F0 and voicing are the limits.
    """
    rows: list[Values] = []

    def add(group: str, limit: str, value: float | None, **bound: float | None) -> None:
        (edge,) = bound.values()
        if value is not None and edge is not None:
            good = value <= edge if "most" in bound else value >= edge
            rows.append({"group": group, "limit": limit, "value": value, **bound, "met": good})

    for name, group in found.items():
        recording, copy = group["versions"][RECORDING], group["versions"][codec]
        if name == POOLED:
            if "words" in copy:
                more = copy["word_error_rate"] - recording["word_error_rate"]
                add(name, "words wrong, more", more, most=WORDS_LIMIT)
            continue
        if copy["signal"] is not None:
            add(name, "signal, less", recording["signal"] - copy["signal"], most=SIGNAL_LIMIT)
            add(name, "P.808, less", recording["p808"] - copy["p808"], most=P808_LIMIT)
        add(name, "STOI", copy["stoi"], least=STOI_LIMIT_LJ if name == LJ else STOI_LIMIT)
        if name == LJ:
            add(name, "PESQ", copy["pesq"], least=PESQ_LIMIT_LJ)
        if codec != first:
            other = group["versions"][first]
            for title, measure in (("F0, cents", "f0_median_cents"), ("voicing", "voicing_error")):
                add(name, title, copy[measure], most=other[measure])
    return rows


def render_limits(codec: str, rows: Sequence[Values]) -> Iterator[str]:
    """Yield the lines of a codec's limits: what was not met, and how many were."""
    met = sum(row["met"] for row in rows)
    yield f"\n{verdict(met == len(rows))}: {codec} meets {met} of {len(rows)} limits"
    for row in rows:
        if not row["met"]:
            side, edge = ("most", row.get("most")) if "most" in row else ("least", row["least"])
            yield (
                f"  {row['group']}: {row['limit']} {row['value']:.3f}, "
                f"should be at {side} {edge:.3f}"
            )
