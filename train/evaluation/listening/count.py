"""Counting the answers of a listening test by its key; nothing else is needed.

Intervals are by resampling listeners, or sentences where there are fewer than four listeners.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import parse_json, read_small
from ns2.train.evaluation.zero_shot.intervals import FEWEST_SPEAKERS, Figure, Share, figure

_LARGEST = 1 << 24
"""The most bytes of a file of answers, or of a key."""
_REFERENCE_POINTS, _REFERENCE_SHARE = 90, 0.15
"""A listener who gives the hidden reference fewer points in more of the trials is told of (ITU-R
BS.1534-3 leaves such listeners out)."""


@dataclass(frozen=True)
class _Answer:
    """What a listener says of one trial: points by system, or the better of two systems."""

    listener: str
    sentence: str
    points: Mapping[str, float]
    pair: tuple[str, ...] = ()


def counted(key_file: Path, files: Sequence[Path]) -> dict[str, Any]:
    """The means of all answers, with intervals, as values for JSON.

    Args:
        key_file: the key that was written beside the test's folder.
        files: answers of listeners.

    Raises:
        UserError: a file is no key or no answers, or they are of another test.
    """
    key = _read(key_file, "key of a listening test")
    _check_key(key_file, key)
    answers: list[_Answer] = []
    sessions: dict[str, object] = {}
    notes = []
    for file in files:
        given = _read(file, "file of answers to a listening test")
        if given.get("test") != key["test"]:
            raise UserError(f"{file} has answers to another listening test than {key_file} is of")
        session = given.get("session")
        if not (isinstance(session, str) and session):
            raise UserError(f"{file} does not tell whose answers it has (session): save it again")
        if session in sessions:
            notes.append(_told_twice(file, same=sessions[session] == given.get("answers")))
            continue
        sessions[session] = given.get("answers")
        answers += _answers(file, given, key, session)
    if not answers:
        raise UserError("no trial is answered in these files")
    found = _points(key, answers) if key["method"] == "mushra" else _pairs(key, answers)
    listeners = {one.listener for one in answers}
    notes += _few(len(listeners), len({one.sentence for one in answers}))
    notes += _unreliable(key, answers)
    return {
        "test": key["test"],
        "method": key["method"],
        "listeners": len(listeners),
        "trials": len(answers),
        **found,
        "notes": notes,
    }


def _read(file: Path, what: str) -> dict[str, Any]:
    try:
        value = parse_json(read_small(file, _LARGEST).decode("utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is no {what}: {error}") from error
    if not isinstance(value, dict) or value.get("listening_test") != 1:
        raise UserError(f"{file} is no {what}")
    return value


def _check_key(file: Path, key: Mapping[str, Any]) -> None:
    """See that a key has what `write_test` writes.

    Raises:
        UserError: it has not, such as answers that were named in its place.
    """
    try:
        systems = set(key["systems"])
        told = [one for trial in key["trials"].values() for one in trial["samples"].values()]
        named = all(isinstance(trial["key"], str) for trial in key["trials"].values())
        sound = named and systems.issuperset(told) and isinstance(key["test"], str)
        sound = sound and key["method"] in ("mushra", "pairwise")
    except (KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise UserError(
            f"{file} is no key of a listening test, or is damaged: name the file FOLDER-key.json "
            "that was written beside the test's folder"
        )


def _told_twice(file: Path, *, same: bool) -> str:
    """A note on a second file of one listener."""
    if same:
        return f"{file.name} is a copy of answers that are counted already"
    return (
        f"{file.name} has other answers of a listener who is counted already, and is left out: of "
        "several files of one listener the one that is named first counts"
    )


def _few(listeners: int, sentences: int) -> list[str]:
    """A note on what intervals are by, where listeners are few."""
    if listeners >= FEWEST_SPEAKERS:
        return []
    few = _people(listeners)
    if sentences >= FEWEST_SPEAKERS:
        return [f"{few}: intervals are by resampling sentences"]
    return [
        f"{few}, {sentences} sentences: an interval takes {FEWEST_SPEAKERS} of either at least, so "
        "none is given"
    ]


def _people(listeners: int) -> str:
    return "1 listener" if listeners == 1 else f"{listeners} listeners"


def _answers(
    file: Path, given: Mapping[str, Any], key: Mapping[str, Any], listener: str
) -> Iterator[_Answer]:
    """The answers of a file, checked against the key."""
    done: set[str] = set()
    try:
        for one in given["answers"]:
            trial = key["trials"][one["trial"]]
            if one["trial"] in done:
                raise ValueError(f"trial {one['trial']} is answered twice")
            done.add(one["trial"])
            systems = trial["samples"]
            if key["method"] == "mushra":
                points = {systems[name]: float(value) for name, value in one["scores"].items()}
                if set(points) != set(systems.values()):
                    raise ValueError("points are missing")
                if not all(0 <= value <= 100 for value in points.values()):
                    raise ValueError("points lie outside of 0 to 100")
                yield _Answer(listener, trial["key"], points)
            else:
                best = one["preferred"]
                names = tuple(sorted(systems.values()))
                wins = dict.fromkeys(names, 0.5 if best == "" else 0.0)
                if best:
                    wins[systems[best]] = 1.0
                yield _Answer(listener, trial["key"], wins, names)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{file} has answers that do not fit the key ({why}): name a file that the page of "
            "this very test has saved"
        ) from error


def _points(key: Mapping[str, Any], answers: Sequence[_Answer]) -> dict[str, Any]:
    """The mean points of each system."""
    systems = {}
    for name, title in key["systems"].items():
        made = _figure(answers, name)
        if made is not None:
            systems[name] = {"title": title, "points": made.value, "interval": made.interval}
    return {"systems": systems}


def _pairs(key: Mapping[str, Any], answers: Sequence[_Answer]) -> dict[str, Any]:
    """How often each system of a pair is preferred; an answer "no difference" counts for both."""
    pairs = []
    for names in sorted({one.pair for one in answers}):
        first, second = names
        made = _figure([one for one in answers if one.pair == names], first)
        assert made is not None
        count = sum(one.pair == names for one in answers)
        titles = [key["systems"][name] for name in (first, second)]
        pairs.append(
            {
                "first": titles[0],
                "second": titles[1],
                "answers": count,
                "first_preferred": made.value,
                "interval": made.interval,
            }
        )
    return {"pairs": pairs}


def _figure(answers: Sequence[_Answer], system: str) -> Figure | None:
    """A system's mean, by resampling listeners, or sentences where listeners are few."""
    few = len({one.listener for one in answers}) < FEWEST_SPEAKERS
    groups = [one.sentence if few else one.listener for one in answers]
    shares: list[Share | None] = [
        (one.points[system], 1.0) if system in one.points else None for one in answers
    ]
    return figure(groups, shares)


def _unreliable(key: Mapping[str, Any], answers: Sequence[_Answer]) -> list[str]:
    """A note on listeners who do not hear the hidden reference."""
    name = "recording" if "recording" in key["systems"] else "copy"
    if key["method"] != "mushra":
        return []
    low: dict[str, list[bool]] = {}
    for one in answers:
        low.setdefault(one.listener, []).append(one.points[name] < _REFERENCE_POINTS)
    count = sum(sum(each) > _REFERENCE_SHARE * len(each) for each in low.values())
    if not count:
        return []
    return [
        f"{count} of {len(low)} listeners give the hidden reference less than "
        f"{_REFERENCE_POINTS} points in more than {_REFERENCE_SHARE:.0%} of their trials; ITU-R "
        "BS.1534-3 would leave them out, and here they are counted"
    ]


def shown(found: Mapping[str, Any]) -> str:
    """The means for people."""
    return "\n".join(_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_people(found['listeners'])}, {found['trials']} answers"
    for one in found.get("systems", {}).values():
        yield f"{one['title']:<34} {one['points']:5.1f} points{_span(one['interval'], '{:.1f}')}"
    for one in found.get("pairs", ()):
        yield (
            f"{one['first']} rather than {one['second']}: {one['first_preferred']:.1%} of "
            f"{one['answers']}{_span(one['interval'], '{:.1%}')}"
        )
    for note in found["notes"]:
        yield f"note: {note}"


def _span(interval: Sequence[float] | None, form: str) -> str:
    if interval is None:
        return ""
    low, high = map(form.format, interval)
    return f" (95 %: {low} to {high})"
