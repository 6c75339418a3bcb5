"""The options of `ns2 evaluate`; loads no torch, so that the command can show them.

The text below a field is the help text of its option.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ns2.pipeline.core.errors import OptionError
from ns2.train.speak.speaking import SpeakingOptions

Protocol = Literal["zero-shot"]


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
    """The speech recogniser that counts wrong words: Whisper base if no MODEL is named; a model of
    faster-whisper or transformers by name or folder; or pocketsphinx. They suit real voices."""

    speaker_model: str = ""
    """The model that says how similar a voice is to the prompt's: resemblyzer, or a model of
    transformers with x-vectors by name or folder, such as microsoft/wavlm-base-plus-sv."""

    mos: bool = False
    """DNSMOS predicts how good listeners would find each version, from 1 to 5 (P.835, P.808)."""

    protocol: Protocol | None = None
    """The protocol that is followed: zero-shot speaks sentences of speakers that the run never
    heard, each with a short prompt out of another utterance of the speaker."""

    prompt_seconds: tuple[float, ...] = (3.0,)
    """The lengths of the prompts of --protocol zero-shot in seconds, such as 3,5,10; utterances are
    joined where one is shorter.  [default: 3]"""

    def __post_init__(self) -> None:
        if not self.prompt_seconds or not all(0 < one < 3600 for one in self.prompt_seconds):
            raise OptionError("--prompt-seconds takes numbers above 0, such as 3,5,10")
        if len(set(self.prompt_seconds)) < len(self.prompt_seconds):
            raise OptionError("--prompt-seconds names a length twice")
        if self.prompt_seconds != (3.0,) and not self.protocol:
            raise OptionError("--prompt-seconds is for --protocol zero-shot")
        if self.limit < 1:
            raise OptionError(f"--limit has to be at least 1, got {self.limit}")
