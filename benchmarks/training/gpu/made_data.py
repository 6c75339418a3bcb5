"""Made-up training data: utterances with the lengths of speech, nothing on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ns2.model.tts.prompts import PromptConfig
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.train.data.epochs import mixed, plan_epoch, utterance_seeds

SPEECH = (4.3, 0.75, 20.0)
"""The median, spread (of the logarithm) and maximum of durations in seconds."""


class MadeData:
    """Takes the place of `ns2.train.data.selection.Data`."""

    columns = ("codes", "phonemes", "durations", "f0")
    split, where, digest = "train", "", "made"

    def __init__(self, count: int, seconds: tuple[float, float, float] = SPEECH) -> None:
        """Draw the lengths of `count` utterances; for `seconds` see `SPEECH`."""
        rng = np.random.default_rng(0)
        typical, spread, most = seconds
        drawn = np.clip(np.exp(rng.normal(np.log(typical), spread, count)), 0.4, most)
        self.frames = np.ceil(drawn * 75).astype(np.int32)
        self.shards = (np.arange(count) // 512).astype(np.int32)
        self._pool = rng.integers(0, 1024, (16, int(self.frames.max()) + 4096)).astype(np.uint16)
        self.grid = FrameGrid()
        self.table = table = PhonemeTable.default()
        self._ids = len(table)
        self.datasets = [SimpleNamespace(phoneme_table=table, root=Path("made"), grid=self.grid)]

    def __len__(self) -> int:
        return len(self.frames)

    def plan(
        self, *, seed: int, epoch: int, global_frames: int, prompts: PromptConfig | None = None
    ) -> Any:
        """Plan an epoch, as the real class does."""
        return plan_epoch(
            self.shards,
            self.frames,
            seed=seed,
            epoch=epoch,
            global_frames=global_frames,
            others=None if prompts is None else self._prompts(seed, epoch, prompts),
            prompts=prompts,
        )

    def _prompts(self, seed: int, epoch: int, config: PromptConfig) -> np.ndarray:
        """Frames of the prompts that come from other utterances, (n,) int32."""
        found = np.zeros(len(self), np.int32)
        whole = np.flatnonzero(self.frames < config.whole_below)
        others = mixed(utterance_seeds(seed, epoch, whole), whole, 17) % np.uint64(len(self))
        found[whole] = np.minimum(self.frames[others.astype(np.int64)], config.longest)
        return found

    def read(self, column: str, number: int, *, check: bool = False) -> np.ndarray:
        """Make up the array of a column."""
        frames = int(self.frames[number])
        if column == "codes":
            return self._pool[:, number % 4096 : number % 4096 + frames]
        rng = np.random.default_rng(number)
        tokens = min(max(3, round(frames / 4.6)), frames)
        if column == "phonemes":
            return rng.integers(1, self._ids, tokens).astype(np.uint16)
        if column == "durations":
            return (1 + rng.multinomial(frames - tokens, np.full(tokens, 1 / tokens))).astype("u2")
        return np.where(rng.random(frames) < 0.6, rng.uniform(80, 300, frames), 0).astype("f4")

    def read_many(
        self, column: str, numbers: Iterable[int], *, check: bool = False
    ) -> list[np.ndarray]:
        """Make up the arrays of several utterances."""
        return [self.read(column, int(number), check=check) for number in numbers]

    def keys(self, numbers: Iterable[int]) -> list[str]:
        """Return the keys of utterances."""
        return [str(number) for number in numbers]

    def other(self, number: int, seed: int) -> int:
        """Choose another utterance of the speaker; here all have one speaker."""
        return int(mixed(seed, number, 17)) % len(self)

    def check_unchanged(self) -> None:
        """Find nothing changed, since there are no files."""
