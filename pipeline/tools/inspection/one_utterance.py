"""What one utterance of a dataset is: as JSON values, and as text for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.index import CONFIDENCE
from ns2.pipeline.dataset.reader import Dataset

DOUBTFUL = 0.9
"""Starts of phonemes with less confidence than this are worth a look; they are few."""

_NEAREST_AMONG = 100_000
"""Close names are looked for among the first keys only, since comparing texts is slow."""

_ROW_FIELDS = ("id", "split", "speaker", "language", "text", "seconds", "frames", "shard")
_MEASURES = ("audio_hash", "level_db", "voiced_share", "f0_median", "phone_rate", "align_score")


def find(dataset: Dataset, name: str) -> str:
    """The key of an utterance that a person names by its key or by the corpus's own id.

    Raises:
        UserError: there is no such utterance; the message names the keys nearest to it.
    """
    if name in dataset:
        return name
    where = pc.index(dataset.index["id"], name).as_py()
    if where >= 0:
        return dataset.keys[where]
    near = difflib.get_close_matches(name, dataset.keys[:_NEAREST_AMONG], n=3)
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise UserError(f"{dataset.root} has no utterance {name!r}{hint}")


def describe(dataset: Dataset, name: str, *, confidence: bool = False) -> dict[str, Any]:
    """What one utterance is, as JSON values.

    `phonemes` lists its tokens with begin and length in seconds and the length in frames, where
    the dataset has durations; `words` likewise.

    Args:
        dataset: an open dataset.
        name: the utterance's key or id.
        confidence: add to each token the probability that it starts where it seems to.

    Raises:
        UserError: there is no such utterance, or its confidences can't be worked out.
        ValueError: its arrays are damaged.
    """
    key = find(dataset, name)
    row, scalars = dataset.row(key), dataset.card.scalars
    arrays = {column: dataset.read(column, key, check=True) for column in dataset.columns}
    meta = arrays.get("meta", {})
    found: dict[str, Any] = {
        "key": key,
        **{field: row[field] for field in _ROW_FIELDS},
        **{field: row[field] for field in (CONFIDENCE,) if row.get(field) is not None},
        "source": meta.get("source"),
        **({"piece": meta["piece"]} if "piece" in meta else {}),
        "samples": meta.get("samples"),
        **{field: row[field] for field in _MEASURES},
        **({"scalars": {name: row[name] for name in scalars}} if scalars else {}),
        "shapes": {
            column: list(array.shape)
            for column, array in arrays.items()
            if isinstance(array, np.ndarray)
        },
        "files": {column: row[f"{column}_file"] for column in dataset.columns},
        **_tokens_and_words(dataset, arrays),
    }
    if (worst := worst_word(dataset, row, arrays)) is not None:
        found["worst_word"] = worst
    if confidence:
        if "phonemes" not in found:
            raise UserError(f"{dataset.root} has no meta, which holds the phonemes as texts")
        from ns2.pipeline.tools.inspection.border_confidence import border_confidences

        confidences = border_confidences(dataset, key)
        for token, value in zip(found["phonemes"], confidences, strict=True):
            token["confidence"] = round(float(value), 4)
    return found


def _tokens_and_words(dataset: Dataset, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """`phonemes` and `words` with their times; without durations the tokens alone."""
    if "meta" not in arrays:
        return {}
    spans = token_spans(dataset, arrays)
    if spans is None:
        return {"phonemes": [{"token": token} for token in arrays["meta"]["phonemes"]]}
    return {
        "phonemes": [
            {"token": token, "begin": begin, "seconds": end - begin, "frames": frames}
            for token, begin, end, frames in spans
        ],
        "words": [
            {"word": word, "begin": begin, "seconds": spans[behind - 1][2] - begin}
            for word, first, behind in arrays["meta"]["words"]
            for begin in [spans[first][1]]
        ],
    }


def token_spans(
    dataset: Dataset, arrays: Mapping[str, Any]
) -> list[tuple[str, float, float, int]] | None:
    """Where each token of an utterance lies in time.

    Args:
        dataset: gives the frame rate.
        arrays: the utterance's arrays by column.

    Returns:
        (token, begin and end in seconds, frames) of each; None without meta or durations.
    """
    if "meta" not in arrays or "durations" not in arrays:
        return None
    rate = dataset.grid.frame_rate
    durations = arrays["durations"].astype(np.int64)
    ends = np.cumsum(durations)
    return [
        (token, float((end - frames) / rate), float(end / rate), int(frames))
        for token, end, frames in zip(arrays["meta"]["phonemes"], ends, durations, strict=True)
    ]


def worst_word(
    dataset: Dataset, row: Mapping[str, Any], arrays: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The word of an utterance whose borders are the least sure.

    Args:
        dataset: gives the frame rate.
        row: the utterance's row of the index.
        arrays: its arrays by column.

    Returns:
        the `word`, the second at which it `begin`s, and its `border_error`; None where the dataset
        does not tell it.
    """
    begin, spans = row.get("worst_word_time"), token_spans(dataset, arrays)
    if begin is None or spans is None:
        return None
    first = next((i for i, span in enumerate(spans) if _lasts_from(span, begin)), len(spans))
    for word, start, behind in arrays["meta"]["words"]:
        if start <= first < behind:
            return {"word": word, "begin": begin, "border_error": row["worst_word"]}
    return None


def _lasts_from(span: tuple[str, float, float, int], begin: float) -> bool:
    """Whether a token of some frames begins at a second, which was rounded."""
    return span[3] > 0 and abs(span[1] - begin) < 1e-3


def render_utterance(found: Mapping[str, Any], *, width: int = 100) -> str:
    """What `describe` found, for people: text, facts, and each token's length in milliseconds."""
    lines = [f"{found['key']}: {found['text']}", *_fact_lines(found)]
    tokens = found.get("phonemes", ())
    if tokens:
        timed = "seconds" in tokens[0]
        lines += ["", "  tokens, each with its milliseconds:" if timed else "  tokens:"]
        lines += _wrapped(map(_token_text, tokens), width)
    if any("confidence" in token for token in tokens):
        doubtful = [token for token in tokens if token["confidence"] < DOUBTFUL]
        lines += ["", "  starts in doubt, each with its second and the confidence in it:"]
        lines += _wrapped(
            (f"{t['token']} {t['begin']:.2f} s {t['confidence']:.2f}" for t in doubtful), width
        )
    return "\n".join(lines)


def _fact_lines(found: Mapping[str, Any]) -> list[str]:
    """Where the utterance comes from, what was measured of it, and the shapes of its arrays."""
    lines = [
        f"  {found['seconds']:.2f} s, {found['frames']} frames; speaker {found['speaker']}, "
        f"language {found['language']}, split {found['split']}, shard {found['shard']}",
    ]
    if found["id"] != found["key"] or found["source"]:
        source = f", source {found['source']}" if found["source"] else ""
        if isinstance(piece := found.get("piece"), dict):
            source += f" ({', '.join(f'{name} {value} s' for name, value in piece.items())})"
        lines.append(f"  id {found['id']}{source}")
    facts = [f"level {found['level_db']:.1f} dB"]
    if found["f0_median"]:
        facts.append(
            f"median pitch {found['f0_median']:.1f} Hz over {100 * found['voiced_share']:.0f}% "
            "voiced frames"
        )
    facts.append(f"{found['phone_rate']:.1f} phones a second")
    if found["align_score"] is not None:
        facts.append(f"alignment score {found['align_score']:.2f}")
    if "worst_word" in found:
        worst = found["worst_word"]
        facts.append(f"least sure of {worst['word']!r} at {worst['begin']:.2f} s")
    if CONFIDENCE in found:
        facts.append(f"confidence {found[CONFIDENCE]:g}")
    shapes = (f"{name} ({', '.join(map(str, s))})" for name, s in found["shapes"].items())
    scalars = [f"{n} {'-' if v is None else f'{v:g}'}" for n, v in found.get("scalars", {}).items()]
    more = ["  " + ", ".join(scalars)] if scalars else []
    return [*lines, "  " + ", ".join(facts), *more, "  " + ", ".join(shapes)]


def _token_text(token: Mapping[str, Any]) -> str:
    milliseconds = f" {1000 * token['seconds']:.0f}" if "seconds" in token else ""
    return f"{token['token']}{milliseconds}"


def _wrapped(words: Iterable[str], width: int) -> list[str]:
    """Words in lines, two spaces apart."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 2 > width:
            lines.append("")
        lines[-1] += f"  {word}" if lines[-1] else f"    {word}"
    return lines
