"""The figures of `ns2 evaluate` over all utterances, as values for JSON and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.measures import DurationErrors, PitchErrors, error_interval, error_rate
from ns2.pipeline.sound.quality.dnsmos import MosScores
from ns2.pipeline.text.clauses import base_language
from ns2.train.evaluation.evaluator import RECORDING, VERSIONS, Measured, Result
from ns2.train.evaluation.judges.phones import LANGUAGE
from ns2.train.evaluation.judges.words import WordErrors

_EMPTY = "-"
UNKNOWN_SHARE = 0.02
"""The share of phones that the classifier does not know above which a note says so."""

UNFIT_RATE = 0.4
"""The error rate on the recordings themselves above which a judge does not know such voices: of the
phones of reversed speech, which nobody understands, it gets about 90 % wrong."""
_JUDGES = {
    "phone_error_rate": ("the phone classifier", "phones"),
    "word_error_rate": ("the recogniser of --wer", "words"),
}
"""Rates that a judge of voices gives: the judge, and what it gets wrong."""


def summary(results: Sequence[Result], grid: FrameGrid, known: frozenset[str]) -> dict[str, Any]:
    """The figures of all utterances together, as values for JSON.

    Args:
        results: of the utterances, one at least.
        grid: the dataset's frame grid.
        known: the phones that the classifier can hear.
    """
    names = [name for name in VERSIONS if name in results[0].versions]
    versions = {name: _version(name, results) for name in names}
    utterances = [result.utterance for result in results]
    silent = PhonemeTable.default().optional
    return {
        "utterances": len(results),
        "phones": sum(len(result.phones) for result in results),
        "versions": versions,
        "durations": asdict(
            DurationErrors.of(
                [result.durations for result in results],
                [utterance.durations for utterance in utterances],
                [
                    np.array([token not in silent for token in utterance.tokens])
                    for utterance in utterances
                ],
                grid.frame_rate,
            )
        ),
        "predicted_pitch": _pitch([result.pitch for result in results]),
        "unfit_rates": _unfit_rates(versions),
        "notes": [*_unfit_notes(versions), *_notes(results, known)],
    }


def _version(name: str, results: Sequence[Result]) -> dict[str, Any]:
    """The figures of a version; what was not measured is left out."""
    measured = [result.versions[name] for result in results]
    errors = [version.errors for version in measured]
    sizes = [len(result.phones) for result in results]
    seconds = [version.seconds for version in measured]
    values: dict[str, Any] = {
        "title": VERSIONS[name],
        "seconds": sum(seconds),
        "phone_error_rate": error_rate(errors, sizes),
        "phone_error_interval": _interval(errors, sizes),
        "voiced_share": float(np.average([v.voiced for v in measured], weights=seconds)),
        "spectrum_to_prompt_db": float(np.mean([version.colour for version in measured])),
        "f0_to_prompt_semitones": _to_prompt(name, results),
    }

    # A measure is there for all utterances or for none.
    first = measured[0]
    if first.words is not None:
        values |= _words([version.words for version in measured if version.words is not None])
    if first.log_mel is not None:
        values["log_mel_l1"] = float(np.mean([version.log_mel for version in measured]))
    if first.pitch is not None:
        pitches = [version.pitch for version in measured if version.pitch is not None]
        values["pitch"] = _pitch(pitches)
    if first.similarity is not None:
        values["speaker_similarity"] = float(np.mean([v.similarity for v in measured]))
    if first.mos is not None:
        scores = [version.mos for version in measured if version.mos is not None]
        values["mos"] = {
            field.name: float(np.mean([getattr(score, field.name) for score in scores]))
            for field in fields(MosScores)
        }
    return values


def _words(errors: Sequence[WordErrors]) -> dict[str, Any]:
    """The wrong words of all utterances together."""
    wrong, words = [error.total for error in errors], [error.words for error in errors]
    together = sum(errors[1:], errors[0])
    return {
        "words": together.words,
        "word_error_rate": error_rate(wrong, words),
        "word_error_interval": _interval(wrong, words),
        "word_insertions": together.insertions,
        "word_deletions": together.deletions,
        "word_substitutions": together.substitutions,
    }


def _interval(errors: Sequence[int], sizes: Sequence[int]) -> list[float] | None:
    """The interval of a rate; None for a single utterance, of which it would say nothing."""
    return list(error_interval(errors, sizes)) if len(errors) > 1 else None


def _pitch(errors: Sequence[PitchErrors]) -> dict[str, float | None]:
    """The errors of F0 over all frames together."""
    together = PitchErrors.together(errors)
    cents = np.abs(together.cents)
    return {
        "rmse_semitones": together.semitones,
        "median_cents": float(np.median(cents)) if len(cents) else None,
        "gross_error": together.gross,
        "voicing_error": together.voicing,
    }


def _to_prompt(name: str, results: Sequence[Result]) -> float | None:
    """The mean distance of median F0s to the prompts', in semitones; None if nothing is voiced."""
    pairs = [
        (f0, result.prompt_f0)
        for result in results
        if (f0 := result.versions[name].f0) and result.prompt_f0
    ]
    if not pairs:
        return None
    return float(np.mean([abs(12 * np.log2(f0 / prompt)) for f0, prompt in pairs]))


def _unfit_rates(versions: dict[str, dict[str, Any]]) -> list[str]:
    """The rates whose judge finds the recordings themselves wrong; none without recordings."""
    recordings = versions.get(RECORDING, {})
    return [name for name in _JUDGES if recordings.get(name, 0.0) > UNFIT_RATE]


def _unfit_notes(versions: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A sentence about each judge that does not know such voices."""
    for name in _unfit_rates(versions):
        judge, wrong = _JUDGES[name]
        rate = versions[RECORDING][name]
        yield (
            f"{judge} does not know such voices: it gets {rate:.1%} of the {wrong} of the "
            f"recordings themselves wrong, so its other figures in this table say nothing"
        )


def _notes(results: Sequence[Result], known: frozenset[str]) -> Iterator[str]:
    """What a reader has to know to judge the figures."""
    # Without recordings the codec's copy is the best that can be compared with.
    if RECORDING not in results[0].versions:
        yield "recordings are not measured: a dataset holds no audio; --corpus FOLDER names it"

    # The classifier is wrong about phones that it does not know, however well they are spoken.
    phones = [phone for result in results for phone in result.phones]
    unknown = sorted({phone for phone in phones if phone not in known})
    share = sum(phone not in known for phone in phones) / max(len(phones), 1)
    if share > UNKNOWN_SHARE:
        yield (
            f"the classifier does not know {share:.0%} of the phones "
            f"({' '.join(unknown[:12])}): phone error rates are too high by as much"
        )
    others = sorted(
        {
            result.utterance.language
            for result in results
            if base_language(result.utterance.language) != LANGUAGE
        }
    )
    if others:
        yield (
            f"the phone classifier learned English, not {', '.join(others)}: "
            "compare phone error rates with the copy's, not with 0"
        )

    # Speech is easily like a prompt that is part of the same recording.
    own = [result.utterance.key for result in results if result.utterance.own_prompt]
    if own:
        yield (
            f"{len(own)} of {len(results)} utterances are the only ones of their speaker, so their "
            f"own beginning is the prompt: {', '.join(own[:5])}{' ...' if len(own) > 5 else ''}"
        )


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The figures of each utterance, as values for JSON."""
    return [
        {
            "key": result.utterance.key,
            "text": result.utterance.text,
            "speaker": result.utterance.speaker,
            "prompt": result.utterance.prompt_key,
            "phones": " ".join(result.phones),
            "prompt_f0_median": result.prompt_f0,
            "versions": {
                name: _row(measured, result) for name, measured in result.versions.items()
            },
        }
        for result in results
    ]


def _row(measured: Measured, result: Result) -> dict[str, Any]:
    """The figures of a version of an utterance; what was not measured is left out."""
    values: dict[str, Any] = {
        "seconds": measured.seconds,
        "heard": " ".join(measured.heard),
        "phone_errors": measured.errors,
        "phone_error_rate": measured.errors / max(len(result.phones), 1),
        "f0_median": measured.f0,
        "voiced_share": measured.voiced,
        "spectrum_to_prompt_db": measured.colour,
        "log_mel_l1": measured.log_mel,
        "pitch": None if measured.pitch is None else _pitch([measured.pitch]),
        "speaker_similarity": measured.similarity,
        "mos": None if measured.mos is None else asdict(measured.mos),
        **_row_words(measured),
    }
    return {name: value for name, value in values.items() if value is not None}


def _row_words(measured: Measured) -> dict[str, Any]:
    """What a recogniser heard, and the words of it that are wrong; nothing without one."""
    if measured.words is None:
        return {}
    return {
        "heard_text": measured.heard_text,
        "word_errors": measured.words.total,
        "word_insertions": measured.words.insertions,
        "word_deletions": measured.words.deletions,
        "word_substitutions": measured.words.substitutions,
    }


def render(found: dict[str, Any]) -> str:
    """The figures of `summary` as a text for people."""
    return "\n".join(_lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['utterances']} utterances, {found['phones']:,} phones"
    yield ""
    columns = list(table_columns(found))
    table = [["", *(title for title, _ in columns)]]
    for name in found["versions"]:
        table.append([VERSIONS[name], *(cells[name] for _, cells in columns)])
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join((row[0].ljust(widths[0]), *cells)).rstrip()
    yield ""
    yield from predicted_lines(found)
    for note in found["notes"]:
        yield f"note: {note}"


def predicted_lines(found: dict[str, Any]) -> Iterator[str]:
    """The errors of the predictors of durations and pitch, as lines for people."""
    durations, pitch = found["durations"], found["predicted_pitch"]
    correlation = durations["correlation"]
    yield (
        f"durations: {durations['milliseconds']:.0f} ms off a phone, correlation "
        f"{_cell(correlation, '{:.2f}')}, "
        f"{durations['length']:.0%} of the true length"
    )
    yield (
        f"pitch for true durations: {_cell(pitch['rmse_semitones'], '{:.2f} semitones')} (RMSE), "
        f"voicing wrong in {pitch['voicing_error']:.1%} of frames"
    )


_COLUMNS = (
    ("phones wrong", "phone_error_rate", "{:.1%}"),
    ("words wrong", "word_error_rate", "{:.1%}"),
    ("log-mel L1", "log_mel_l1", "{:.3f}"),
    ("F0 RMSE, st", "pitch.rmse_semitones", "{:.2f}"),
    ("voicing wrong", "pitch.voicing_error", "{:.1%}"),
    ("voiced", "voiced_share", "{:.0%}"),
    ("F0 to prompt, st", "f0_to_prompt_semitones", "{:.1f}"),
    ("spectrum to prompt, dB", "spectrum_to_prompt_db", "{:.1f}"),
    ("speaker similarity", "speaker_similarity", "{:.3f}"),
    ("MOS signal", "mos.signal", "{:.2f}"),
    ("background", "mos.background", "{:.2f}"),
    ("overall", "mos.overall", "{:.2f}"),
    ("P.808", "mos.p808", "{:.2f}"),
    ("words inserted", "word_insertions", "{:d}"),
    ("deleted", "word_deletions", "{:d}"),
    ("substituted", "word_substitutions", "{:d}"),
)
"""Columns of the table: title, dotted name of the figure, format. A rate is followed by its
confidence interval."""


def table_columns(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """The titles of the table's columns, and their cells by version; empty columns are left out."""
    versions = found["versions"]
    for title, path, form in _COLUMNS:
        cells = {name: _cell(_at(values, path), form) for name, values in versions.items()}
        if any(cell != _EMPTY for cell in cells.values()):
            yield title, cells
        interval = path.replace("_rate", "_interval")
        if interval != path and all(values.get(interval) for values in versions.values()):
            yield "95 %", {name: _span(values[interval]) for name, values in versions.items()}


def _at(values: dict[str, Any], path: str) -> float | None:
    """A figure by its dotted name; None where it was not measured."""
    value: Any = values
    for name in path.split("."):
        value = None if value is None else value.get(name)
    return value


def _cell(value: float | None, form: str) -> str:
    return _EMPTY if value is None else form.format(value)


def _span(interval: Sequence[float]) -> str:
    return f"{interval[0]:.1%}-{interval[1]:.1%}"
