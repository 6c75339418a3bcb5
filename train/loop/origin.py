"""The run whose weights another one begins with: `ns2 train DATASET --init RUN`.

The model, its codebooks, the statistics of latents and the phoneme table are those of the other
run; a table that only appends phones to it is taken. Optimiser, schedule and data are new. A run
that has begun needs the other no more: its first checkpoint, of step 0, holds what it began with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.train.data.alike import Aspect, Makeup, differences, makeup_of
from ns2.train.data.selection import COLUMNS, Data
from ns2.train.run.checkpoint import checkpoints
from ns2.train.run.folder import RunFolder, began_with, learned_from
from ns2.train.run.names import BEST, CHECKPOINTS, CONFIG, INIT
from ns2.train.run.settings import TrainConfig
from ns2.train.speak.facts import Learned
from ns2.train.speak.weights import BEST_OF_RUN, LAST, Weights, read_weights


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The run that another one begins with.

    Attributes:
        root: its folder.
        config: its settings; those of the run that goes on, where that has begun.
        learned: what it can speak; the same.
        record: what the run that goes on has recorded of its beginning; None where it begins now.
    """

    root: Path
    config: TrainConfig
    learned: Learned
    record: Mapping[str, Any] | None = None

    def table(self, data: Data) -> PhonemeTable:
        """The phoneme table of a model that goes on with some data: the longer of both."""
        own = self.learned.table
        return data.table if data.table.extends(own) else own

    def weights(self) -> Weights:
        """Its averaged weights: the best where it was validated, else the last.

        Raises:
            UserError: there are none, or they are damaged.
        """
        advice = f"delete it to begin with the last weights of {self.root}"
        return read_weights(self.root, self._which, advice)

    @property
    def _which(self) -> str:
        return BEST_OF_RUN if (self.root / CHECKPOINTS / BEST).exists() else LAST

    def recorded(self, weights: Weights) -> dict[str, Any]:
        """What a run records of the weights that it begins with."""
        return {
            "run": str(self.root.resolve()),
            "weights": self._which,
            "step": weights.step,
            "sha256": _digest(weights.tensors),
            "learned": learned_from(RunFolder(self.root).about()),
        }

    def check(self, data: Data, weights: Weights) -> None:
        """See that its model can go on with some data.

        Raises:
            UserError: they have another codec, frame grid or phoneme table; the message says what
                differs.
        """
        facts = self.learned.facts
        books = weights.tensors.get("codebooks")
        own = Makeup(
            grid=FrameGrid(sample_rate=facts.sample_rate, hop_length=facts.hop_length),
            codebooks=None if books is None else books.float().numpy(),
            table=self.table(data),
        )
        for dataset in data.datasets:
            for difference in differences(own, makeup_of(dataset, COLUMNS)):
                first, other = difference.first, difference.other
                if difference.aspect is Aspect.CODEBOOKS:
                    first = f"{facts.codec}, {first}"
                    other = f"{dataset.card.config('codes').get('codec')}, {other}"
                raise UserError(
                    f"{self.root} (--init) and {dataset.root} have different {difference.what} "
                    f"({first}; {other}), so its model can't go on with that dataset. "
                    f"{_ADVICE[difference.aspect]}"
                )


_ADVICE = {
    Aspect.GRID: "Preprocess it with the codec that the run's dataset has.",
    Aspect.ARRAYS: "Preprocess it with the options that the run's dataset has.",
    Aspect.CODEBOOKS: "Preprocess it with the same --codec and --quantizers as the run's dataset.",
    Aspect.PHONEMES: "A table may only append phones to the run's: preprocess it with the "
    "--extra-phonemes that the run's dataset had, and further ones behind them.",
}


def open_origin(root: Path, out: Path, *, fresh: bool) -> Origin:
    """Open the run that another one begins with.

    Args:
        out: the folder of the run that begins. Where it has begun with this origin and has a
            checkpoint it is read in place of the origin, which may be gone or may have changed.
        fresh: the run that is there is deleted, and begins anew.

    Raises:
        UserError: the folder is no run, or the same run.
    """
    if root.resolve() == out.resolve():
        raise UserError(
            f"--init {root} is the run itself: a run that begins with its weights needs another "
            "folder (-o)"
        )
    folder = RunFolder(out)
    about = {} if fresh else folder.about()
    if began_with(about) == str(root.resolve()) and checkpoints(out):
        learned = Learned.of(out)
        return Origin(root=root, config=folder.stored(), learned=learned, record=about[INIT])
    if not (root / CONFIG).is_file():
        raise UserError(f"--init {root} is no run of `ns2 train`: it has no {CONFIG}")
    return Origin(root=root, config=RunFolder(root).stored(), learned=Learned.of(root))


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of weights, by the order of their names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].contiguous().numpy().tobytes())
    return found.hexdigest()
