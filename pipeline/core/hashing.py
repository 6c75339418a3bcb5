"""Hashes of values and files, and the JSON text by which values are hashed."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from ns2.pipeline.core.reading import open_regular


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that a value has only one text.

    Raises:
        ValueError: the value holds NaN or an infinity.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def short_hash(value: Any, digits: int = 16) -> str:
    """The first hex digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()[
        :digits
    ]


def unit_interval(text: str, salt: str) -> float:
    """A number in [0, 1) that depends only on text and salt, for drawing splits and samples."""
    digest = hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / math.ldexp(1.0, 64)


def sha256_file(path: Path) -> str:
    """The SHA-256 of a regular file's content, in 64 hex digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
