"""What a target of the fuzzer is, and the targets by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ns2.model.codec.interface import CodecError
from ns2.pipeline.core.errors import UserError, UtteranceError

OURS = (UserError, UtteranceError, CodecError)
"""The errors of ns2, which are sentences; a target may have others that its function documents."""

Make = Callable[[Path], Sequence[bytes]]
Call = Callable[[bytes, Path], None]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that reads what strangers wrote.

    Attributes:
        make: makes valid inputs; it may leave files in the folder that `call` then finds there.
        call: reads one input; an error that is not among `errors` is a fault of ns2.
        tokens: parts of the format.
        text: whether inputs are texts.
        errors: the errors that `call` may raise.
        share: of the time, relative to the others.
    """

    make: Make
    call: Call
    tokens: Sequence[bytes] = ()
    text: bool = True
    errors: tuple[type[Exception], ...] = OURS
    share: float = 1.0


TARGETS: dict[str, Target] = {}


def put(folder: Path, name: str, data: bytes) -> Path:
    """Write an input to a file."""
    path = folder / name
    path.write_bytes(data)
    return path


def all_targets() -> dict[str, Target]:
    """All targets by name."""
    for family in ("text", "files", "sound"):
        importlib.import_module(f"tests.fuzz.targets_{family}")
    return TARGETS
