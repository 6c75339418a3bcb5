"""The options of `ns2 demo`, and the folders that it makes; loads no torch.

The text below a field is the help text of its option.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ns2.pipeline.core.cores import usable_cores
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.preprocess.options import Options

FEWEST_SPOKEN = 30
"""The fewest utterances that espeak-ng speaks to train on: one for each of its speakers."""
_MOST_CORES = 8
"""The number of cores that are used unless more are asked for."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The options of a demo, and the folders that it makes."""

    root: Path
    """The folder of all that the demo makes."""

    corpus: Path | None = None
    """The recordings to learn from: a folder or a manifest that `ns2 preprocess` reads.  [default:
    espeak-ng speaks]"""

    layout: str | None = None
    """The layout of --corpus, such as ljspeech or manifest; without it the layout is recognised."""

    fields: str | None = None
    """Which columns of a table or fields of a manifest of --corpus hold what, as in id=1,text=2;
    without it they are taken by their names, or by the table as a whole."""

    language: str = Options.language
    """The espeak-ng voice that pronounces utterances whose language --corpus does not tell."""

    minutes: float = 12.0
    """The time that the model is trained for, in minutes."""

    utterances: int = 1200
    """The number of utterances to train on, of about 2.7 seconds each, without --corpus."""

    seed: int = 0
    """The seed of texts and speakers, of the model and of its noise."""

    cores: int | None = None
    """The number of CPU cores that work at the same time.  [default: all, 8 at most]"""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """The device that the model is trained and speaks on: cpu, cuda for a GPU, or auto for a GPU
    where torch finds one."""

    def __post_init__(self) -> None:
        for message in self._contradictions():
            raise UserError(message)

    def _contradictions(self) -> Iterator[str]:
        """Messages about options that are out of range, or do not go together."""
        if self.utterances < FEWEST_SPOKEN:
            yield f"--utterances has to be at least {FEWEST_SPOKEN}, one for each speaker"
        if not self.minutes > 0:
            yield f"--minutes has to be above 0, got {self.minutes:g}"
        if self.corpus is None:
            named = (self.layout, self.fields) != (None, None)
            if named or self.language != Demo.language:
                yield "--layout, --fields and --language are about recordings: name their --corpus"
        else:
            if self.utterances != Demo.utterances:
                yield "--utterances is for the demo without --corpus, of which all is used"
            if self.corpus.resolve() in (self.root.resolve(), *self.root.resolve().parents):
                yield (
                    f"{self.root} lies in the corpus, where its own files would be taken for "
                    "recordings: choose a folder elsewhere"
                )

    @property
    def remembered(self) -> dict[str, Any]:
        """What the folder keeps of the options: a demo that goes on has the same."""
        source: dict[str, Any] = {"utterances": self.utterances}
        if self.corpus is not None:
            place = str(self.corpus.resolve())
            source = {"corpus": place, "layout": self.layout, "language": self.language}
            if self.fields is not None:
                source["fields"] = self.fields
        return {**source, "minutes": self.minutes, "seed": self.seed}

    @property
    def workers(self) -> int:
        """The number of processes that work at the same time."""
        return self.cores or min(_MOST_CORES, usable_cores())

    @property
    def shards(self) -> Path:
        """The folder of the dataset."""
        return self.root / "shards"

    @property
    def run(self) -> Path:
        """The folder of the training, which holds the model."""
        return self.root / "run"

    @property
    def hello(self) -> Path:
        """The file of the sentence that is spoken in the end."""
        return self.root / "hello.wav"
