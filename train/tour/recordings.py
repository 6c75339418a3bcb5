"""What a demo learns from, whoever speaks: the interface of the two kinds of recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Hello:
    """The sentence that is spoken in the end.

    Attributes:
        text: in words.
        prompt: a recording of the voice that speaks it.
        language: its espeak-ng voice; None for that of most utterances of the dataset.
    """

    text: str
    prompt: Path
    language: str | None = None


class Recordings(Protocol):
    """Recordings with texts, and what the commands of a demo have to know of them."""

    @property
    def place(self) -> Path:
        """The folder or manifest that `ns2 preprocess` reads."""
        ...

    def prepare(self) -> None:
        """Make them, or see that they suffice.

        Raises:
            UserError: they do not; the message says what to do.
        """
        ...

    def making(self) -> Sequence[str]:
        """The options of `ns2 preprocess` that they need."""
        ...

    def check(self) -> None:
        """See that the dataset holds enough of them.

        Raises:
            UserError: it does not; the message says what to do.
        """
        ...

    def judging(self, show: Callable[[str], None]) -> Sequence[str]:
        """The options of `ns2 evaluate` for judges that suit them.

        Args:
            show: prints a line about judges that are left out.
        """
        ...

    def hello(self) -> Hello:
        """The new sentence, and whose voice speaks it."""
        ...

    def learned(self) -> str:
        """What the model has learned, and who is to be heard: a sentence or two."""
        ...

    def voice(self) -> str:
        """The prompt of the command that a user may try next."""
        ...
