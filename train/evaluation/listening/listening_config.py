"""The options of listening tests; loads no torch, so that the command can show them.

The text below a field is the help text of its option.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ns2.pipeline.core.errors import OptionError

Method = Literal["mushra", "pairwise"]
MOST_RUNS = 4
"""So many runs can be compared by one test."""


@dataclass(frozen=True, kw_only=True)
class ListeningConfig:
    """A listening test to make, or its answers to count."""

    listening_test: Path | None = None
    """A folder that is made for people to listen: samples without names in random order, and a page
    that saves answers. The key is written beside it."""

    others: tuple[Path, ...] = ()
    """Another run that --listening-test compares, up to four with RUN; may be repeated."""

    method: Method = "mushra"
    """How listeners answer: mushra, by points from 0 to 100 for all samples of a sentence beside a
    reference; or pairwise, by the better one of two samples."""

    answers: Path | None = None
    """The key of a listening test: the answers that are named in place of RUN and DATASET are
    counted."""

    def __post_init__(self) -> None:
        if self.others and self.listening_test is None:
            raise OptionError("--with is for --listening-test FOLDER")
        if len(self.others) >= MOST_RUNS:
            raise OptionError(f"a listening test compares {MOST_RUNS} runs at most, RUN included")
        if self.answers is not None and self.listening_test is not None:
            raise OptionError("--listening-test makes a test, and --answers counts one: give one")
