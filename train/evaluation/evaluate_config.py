"""The options of `ns2 evaluate`; loads no torch, so that the command can show them.

The text below a field is the help text of its option.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.core.errors import OptionError
from ns2.train.speak.speaking import SpeakingOptions


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(SpeakingOptions):
    """Which utterances are spoken and compared, and by which judges."""

    split: str = "val"
    """The split of the dataset whose utterances are spoken."""

    limit: int = 20
    """The number of utterances that are drawn from the split, at most."""

    seed: int = 0
    """The seed that decides which utterances and prompts are drawn, and the noise."""

    corpus: Path | None = None
    """The corpus that DATASET was made from, whose recordings are then measured too; a dataset
    holds no audio."""

    recogniser: str = ""
    """The speech recogniser that counts wrong words: pocketsphinx if no MODEL is named, or a model
    of transformers by name or folder. It suits real voices only."""

    speaker_model: str = ""
    """The model of transformers, by name or folder, whose x-vectors say how similar a voice is to
    the prompt's, such as microsoft/wavlm-base-plus-sv."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise OptionError(f"--limit has to be at least 1, got {self.limit}")
