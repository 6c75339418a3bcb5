"""What a value of a dataset must be, whatever its checksum says: checked wherever one is read.

A value that breaks it would end far from here: as an index behind the end of an embedding on a GPU,
or as an endless loop over frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.names import shown
from ns2.pipeline.core.reading import check_regular
from ns2.pipeline.core.schema import META_FIELDS, ColumnSpec

_TEXTS = ("text", "speaker", "language", "id", "source", "audio_hash")
_MOST_SAMPLES = 1 << 33
_INFINITE = float("inf")


class Contract:
    """The contract of one dataset's values."""

    def __init__(
        self,
        frames: Callable[[], np.ndarray],
        codebooks: Callable[[], Path | None],
        ids: Callable[[], int],
    ) -> None:
        """Take what tells the contract; each is called once, when it is needed.

        Args:
            frames: gives T of all utterances, (n,).
            codebooks: gives the file of the codebooks, None where there is none.
            ids: gives the number of phoneme ids.
        """
        self._read_frames, self._find_codebooks, self._count_ids = frames, codebooks, ids

    def check(self, spec: ColumnSpec, position: int, value: Any) -> None:
        """Check a value of an utterance.

        Raises:
            ValueError: saying what was expected and what came.
        """
        if spec.dtype == "json":
            if spec.name == "meta":
                check_meta(value)
            return
        frames = self._frames.item(position)
        if "T" in spec.dims and (size := value.shape[spec.dims.index("T")]) != frames:
            raise ValueError(f"expected {frames} frames, got {size}")  # `check_kind` saw the rest
        if (check := _CHECKS.get(spec.name)) is not None:
            check(self, value, frames)
        elif value.dtype.kind == "f":
            _check_finite(value)

    @cached_property
    def _frames(self) -> np.ndarray:
        return self._read_frames()

    @cached_property
    def _entries(self) -> int | None:
        """E, the number of entries of a codebook; None where the dataset has no codebooks."""
        path = self._find_codebooks()
        return None if path is None else entries_of(path)

    @cached_property
    def _ids(self) -> int:
        return self._count_ids()

    def _check_codes(self, codes: np.ndarray, frames: int) -> None:
        if self._entries is not None:
            _check_below("codes", codes, self._entries)

    def _check_phonemes(self, phonemes: np.ndarray, frames: int) -> None:
        _check_below("ids", phonemes, self._ids)

    def _check_durations(self, durations: np.ndarray, frames: int) -> None:
        total = int(np.add.reduce(durations, dtype=np.int64))
        if total != frames:
            raise ValueError(f"expected a sum of {frames} frames, got {total}")

    def _check_f0(self, f0: np.ndarray, frames: int) -> None:
        # neither NaN nor infinity passes both comparisons
        if f0.size and not (np.minimum.reduce(f0) >= 0 and np.maximum.reduce(f0) < _INFINITE):
            raise ValueError("expected Hz of 0 or more, got a negative or no number")

    def _check_trust(self, trust: np.ndarray, frames: int) -> None:
        if trust.size and not (np.minimum.reduce(trust) >= 0 and np.maximum.reduce(trust) <= 1):
            raise ValueError("expected probabilities, got a number below 0, above 1, or none")


_CHECKS: dict[str, Callable[[Contract, np.ndarray, int], None]] = {
    "codes": Contract._check_codes,
    "phonemes": Contract._check_phonemes,
    "durations": Contract._check_durations,
    "f0": Contract._check_f0,
    "trust": Contract._check_trust,
}


def entries_of(path: Path) -> int:
    """The number of entries of a codebook, from the file of the codebooks.

    Raises:
        ValueError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        with safe_open(path, framework="numpy") as file:
            shape = file.get_slice("codebooks").get_shape()
        return int(shape[1])  # (Q, E, D)
    except (OSError, SafetensorError, IndexError) as error:
        raise ValueError(f"{path.name} can't be read: {error}") from None


def check_kind(spec: ColumnSpec, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Check dtype, byte order, the number of axes, and the axes of fixed size.

    Raises:
        ValueError: saying what was expected and what came.
    """
    if dtype != np.dtype(spec.dtype):
        raise ValueError(f"expected {spec.dtype}, got {dtype.str}")
    fits = len(shape) == len(spec.dims) and all(
        size == dim for dim, size in zip(spec.dims, shape, strict=True) if isinstance(dim, int)
    )
    if not fits:
        raise ValueError(f"expected shape {spec.dims}, got {shape}")


def check_meta(meta: Any) -> Mapping[str, Any]:
    """Check that an utterance's meta has its fields, and its word spans in order in the tokens.

    Returns:
        the meta.

    Raises:
        ValueError: saying what is wrong.
    """
    if not isinstance(meta, dict):
        raise ValueError(f"expected an object, got {type(meta).__name__}")
    missing = [name for name in META_FIELDS if name not in meta]
    if missing:
        raise ValueError(f"has no {', '.join(missing)}")
    for name in _TEXTS:
        if not isinstance(meta[name], str):
            raise ValueError(f"{name} is {shown(meta[name])}, expected a text")
    samples, tokens, words = meta["samples"], meta["phonemes"], meta["words"]
    if not (_is_whole(samples) and 0 < samples < _MOST_SAMPLES):
        raise ValueError(f"samples are {shown(samples)}, expected a whole number above 0")
    if not (isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)):
        raise ValueError(f"phonemes are {shown(tokens)}, expected a list of texts")
    if not (isinstance(words, list) and all(map(_is_span, words))):
        raise ValueError(f"words are {shown(words)}, expected a list of [word, first, end]")
    end = 0
    for word, first, behind in words:
        if not end <= first < behind <= len(tokens):
            raise ValueError(
                f"word {shown(word)} spans tokens [{first}, {behind}); it must begin at {end} or "
                f"later and end by {len(tokens)}"
            )
        end = behind
    return meta


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_span(word: Any) -> bool:
    fits = isinstance(word, list) and len(word) == 3 and isinstance(word[0], str)
    return fits and _is_whole(word[1]) and _is_whole(word[2])


def _check_finite(value: np.ndarray) -> None:
    if not np.isfinite(value).all():
        raise ValueError("holds values that are not finite")


def _check_below(what: str, value: np.ndarray, most: int) -> None:
    if value.size and (largest := int(np.maximum.reduce(value, axis=None))) >= most:
        raise ValueError(f"expected {what} below {most}, got {largest}")
