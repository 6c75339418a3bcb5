"""The figures of `ns2 evaluate` over all utterances: as values for JSON, and as a table.

Letters for shapes: n utterances, N phonemes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.measures import DurationErrors, PitchErrors, error_interval, error_rate
from ns2.pipeline.text.clauses import base_language
from ns2.train.evaluation.evaluator import RECORDING, VERSIONS, Measured, Result
from ns2.train.evaluation.phones import LANGUAGE

UNKNOWN_SHARE = 0.02
"""Of the phones of the texts that the classifier does not know, from where on it is told."""


def summary(results: Sequence[Result], grid: FrameGrid, known: frozenset[str]) -> dict[str, Any]:
    """Figures of all utterances together, as values for JSON.

    Args:
        known: phones that the classifier can hear.
    """
    names = [name for name in VERSIONS if name in results[0].versions]
    spoken = [result.utterance for result in results]
    silent = PhonemeTable.default().optional
    return {
        "utterances": len(results),
        "phones": sum(len(result.phones) for result in results),
        "versions": {name: _version(name, results) for name in names},
        "durations": asdict(
            DurationErrors.of(
                [result.durations for result in results],
                [one.durations for one in spoken],
                [np.array([token not in silent for token in one.tokens]) for one in spoken],
                grid.frame_rate,
            )
        ),
        "predicted_pitch": _pitch([result.pitch for result in results]),
        "notes": list(_notes(results, known)),
    }


def _version(name: str, results: Sequence[Result]) -> dict[str, Any]:
    found = [result.versions[name] for result in results]
    errors = [one.errors for one in found]
    sizes, seconds = [len(result.phones) for result in results], [one.seconds for one in found]
    values: dict[str, Any] = {
        "title": VERSIONS[name],
        "seconds": sum(seconds),
        "phone_error_rate": error_rate(errors, sizes),
        "phone_error_interval": list(error_interval(errors, sizes)),
        "voiced_share": float(np.average([one.voiced for one in found], weights=seconds)),
        "spectrum_to_prompt_db": float(np.mean([one.colour for one in found])),
        "f0_to_prompt_semitones": _to_prompt(name, results),
    }
    if found[0].words is not None:
        wrong, words = [one.words or 0 for one in found], [len(result.words) for result in results]
        values["word_error_rate"] = error_rate(wrong, words)
        values["word_error_interval"] = list(error_interval(wrong, words))
    if found[0].log_mel is not None:
        values["log_mel_l1"] = float(np.mean([one.log_mel for one in found]))
    if found[0].pitch is not None:
        values["pitch"] = _pitch([one.pitch for one in found if one.pitch is not None])
    if found[0].similarity is not None:
        values["speaker_similarity"] = float(np.mean([one.similarity for one in found]))
    return values


def _pitch(errors: Sequence[PitchErrors]) -> dict[str, float | None]:
    together = PitchErrors.together(errors)
    return {
        "rmse_semitones": together.semitones,
        "gross_error": together.gross,
        "voicing_error": together.voicing,
    }


def _to_prompt(name: str, results: Sequence[Result]) -> float | None:
    """How far median F0s lie from the prompts', mean of absolute semitones."""
    pairs = [
        (found, result.prompt_f0)
        for result in results
        if (found := result.versions[name].f0) and result.prompt_f0
    ]
    if not pairs:
        return None
    return float(np.mean([abs(12 * np.log2(found / prompt)) for found, prompt in pairs]))


def _notes(results: Sequence[Result], known: frozenset[str]) -> Iterator[str]:
    if RECORDING not in results[0].versions:
        yield "recordings are not measured: a dataset holds no audio; --corpus FOLDER names it"
    phones = [phone for result in results for phone in result.phones]
    unknown = sorted({phone for phone in phones if phone not in known})
    share = sum(phone not in known for phone in phones) / max(len(phones), 1)
    if share > UNKNOWN_SHARE:
        yield (
            f"{share:.0%} of the phones are none that the classifier knows "
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
    own = [result.utterance.key for result in results if result.utterance.own_prompt]
    if own:
        yield (
            f"{len(own)} of {len(results)} utterances are the only ones of their speaker, so their "
            f"own beginning is the prompt: {', '.join(own[:5])}{' ...' if len(own) > 5 else ''}"
        )


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A value for JSON of each utterance."""
    return [
        {
            "key": result.utterance.key,
            "text": result.utterance.text,
            "speaker": result.utterance.speaker,
            "prompt": result.utterance.prompt_key,
            "phones": " ".join(result.phones),
            "prompt_f0_median": result.prompt_f0,
            "versions": {name: _row(one, result) for name, one in result.versions.items()},
        }
        for result in results
    ]


def _row(one: Measured, result: Result) -> dict[str, Any]:
    values: dict[str, Any] = {
        "seconds": one.seconds,
        "heard": " ".join(one.heard),
        "phone_errors": one.errors,
        "phone_error_rate": one.errors / max(len(result.phones), 1),
        "f0_median": one.f0,
        "voiced_share": one.voiced,
        "spectrum_to_prompt_db": one.colour,
        "log_mel_l1": one.log_mel,
        "pitch": None if one.pitch is None else _pitch([one.pitch]),
        "word_errors": one.words,
        "speaker_similarity": one.similarity,
    }
    return {name: value for name, value in values.items() if value is not None}


def render(found: dict[str, Any]) -> str:
    """The figures of `summary` for people."""
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
    """What the predictors of durations and pitch get wrong, for people."""
    durations, pitch = found["durations"], found["predicted_pitch"]
    correlation = durations["correlation"]
    yield (
        f"durations: {durations['milliseconds']:.0f} ms off a phone, correlation "
        f"{'-' if correlation is None else f'{correlation:.2f}'}, "
        f"{durations['length']:.0%} of the true length"
    )
    yield (
        f"pitch for true durations: {_told(pitch['rmse_semitones'], '{:.2f} semitones')} (RMSE), "
        f"voicing wrong in {pitch['voicing_error']:.1%} of frames"
    )


def table_columns(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Titles of the table's columns, and their cells by version; what nothing has is left out."""
    versions = found["versions"]
    for title, path, form in (
        ("phones wrong", "phone_error_rate", "{:.1%}"),
        ("words wrong", "word_error_rate", "{:.1%}"),
        ("log-mel L1", "log_mel_l1", "{:.3f}"),
        ("F0 RMSE, st", "pitch.rmse_semitones", "{:.2f}"),
        ("voicing wrong", "pitch.voicing_error", "{:.1%}"),
        ("voiced", "voiced_share", "{:.0%}"),
        ("F0 to prompt, st", "f0_to_prompt_semitones", "{:.1f}"),
        ("spectrum to prompt, dB", "spectrum_to_prompt_db", "{:.1f}"),
        ("speaker similarity", "speaker_similarity", "{:.3f}"),
    ):
        cells = {name: _told(_at(values, path), form) for name, values in versions.items()}
        if any(cell != "-" for cell in cells.values()):
            yield title, cells
        interval = path.replace("_rate", "_interval")
        if interval != path and all(interval in values for values in versions.values()):
            yield "95 %", {name: _span(values[interval]) for name, values in versions.items()}


def _at(values: dict[str, Any], path: str) -> float | None:
    value: Any = values
    for name in path.split("."):
        value = None if value is None else value.get(name)
    return value


def _told(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _span(interval: Sequence[float]) -> str:
    return f"{interval[0]:.1%}-{interval[1]:.1%}"
