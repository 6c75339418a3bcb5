"""The `durations` column: frames of each phoneme, from an aligner trained on the corpus.

Letters for shapes: T frames, N tokens, M mel bins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ns2.model.aligner.aligner_config import VERSION, AlignerConfig
from ns2.pipeline.aligner_network import bundled_network, network_digest
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import ColumnSpec, Reason
from ns2.pipeline.stages.base import Item, Product, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ns2.model.aligner.expectation import Progress
    from ns2.model.aligner.hmm import Aligner
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable

AlignerInit = Literal["bundled", "none"]

_HEADER = "ns2-aligner"  # one entry only: safetensors writes several in random order


class DurationsStage(Stage):
    """Mel and phonemes to durations uint16 (N,), and the scalar `align_score`.

    Requires `mel`: (M, T) float16 as stored, and `phonemes`: (N,) ids.
    """

    name: ClassVar[str] = "durations"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("mel", "phonemes")
    libraries: ClassVar[tuple[str, ...]] = ("torch", "numpy")
    assets: ClassVar[tuple[str, ...]] = ("aligner",)

    def __init__(self, aligner_path: Path | None = None) -> None:
        """Name a trained aligner; it is loaded later.

        Args:
            aligner_path: a file that `train_and_save` made; None as long as it is not settled,
                which is enough to plan with.
        """
        # workers may have another working directory
        self._path = None if aligner_path is None else Path(aligner_path).absolute()

    @property
    def config(self) -> Mapping[str, Any]:
        """Nothing of its own: the aligner is an asset with its own fingerprint."""
        return {}

    @property
    def column(self) -> ColumnSpec:
        """Durations uint16 (N,)."""
        return ColumnSpec(name="durations", dtype="uint16", dims=("N",))

    def setup(self) -> None:
        """Load the aligner.

        Raises:
            UserError: its file is missing or damaged.
        """
        _ = self._aligner

    def compute(self, item: Item) -> Product:
        """Durations that sum to T, at least 1 for phones; `align_score`, at most 0.

        Raises:
            UtteranceError: MORE_PHONES_THAN_FRAMES.
        """
        from ns2.model.aligner.hmm import align
        from ns2.model.aligner.monotonic import NoPathError

        mel, tokens = as_tensors(item.inputs["mel"], item.inputs["phonemes"])
        try:
            found = align(self._aligner, mel, tokens)
        except NoPathError as error:
            raise UtteranceError(Reason.MORE_PHONES_THAN_FRAMES, str(error)) from error
        durations = found.durations.numpy()
        if durations.max() > np.iinfo(np.uint16).max:
            raise ValueError(f"{item.key}: a token of {durations.max()} frames does not fit uint16")
        return Product(
            value=durations.astype(np.uint16), scalars={"align_score": round(found.score, 6)}
        )

    @cached_property
    def _aligner(self) -> Aligner:
        if self._path is None:
            raise RuntimeError("the aligner is not settled yet: durations can only be planned")
        return load_aligner(self._path)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: the file's name alone."""
        return {"_path": self._path}


def aligner_config(
    config: AlignerConfig | None = None, *, init: AlignerInit = "bundled"
) -> dict[str, Any]:
    """All that decides a trained aligner beside its sample and seed, as JSON values."""
    libraries = {name: version(name) for name in DurationsStage.libraries}
    return {
        "version": VERSION,
        "libraries": libraries,
        "network": network_digest() if init == "bundled" else None,
        **asdict(config or AlignerConfig()),
    }


def train_and_save(
    examples: Sequence[tuple[np.ndarray, np.ndarray]],
    path: Path,
    config: AlignerConfig | None = None,
    *,
    table: PhonemeTable,
    init: AlignerInit = "bundled",
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Train an aligner and write it to a file; equal input makes equal bytes.

    Args:
        examples: (mel (M, T) float16, ids (N,) uint16) as stored, in a fixed order; each is asked
            for several times.
        path: of the safetensors file; it appears when it is whole.
        config: None for the defaults.
        init: "bundled" starts with the network that comes with the package, "none" flat.
        progress: called with passes done, passes in all and a loss.

    Raises:
        ValueError: no examples, or one that can't be aligned.
    """
    import torch
    from safetensors.torch import save

    from ns2.model.aligner.expectation import train_aligner
    from ns2.model.aligner.hmm import aligner_to_tensors

    config = config or AlignerConfig()
    ids = np.arange(len(table))
    phone_of, _ = table.phone_and_stress(ids)
    aligner = train_aligner(
        _Tensors(examples),
        config,
        phone_of=torch.tensor(phone_of, dtype=torch.int64),
        optional=torch.tensor([symbol in table.optional for symbol in table.symbols(ids)]),
        seed=seed,
        progress=progress,
        trained=bundled_network(table) if init == "bundled" else None,
    )
    header = {"version": VERSION, "config": asdict(config)}
    data = save(aligner_to_tensors(aligner), metadata={_HEADER: canonical_json(header)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(data)


def load_aligner(path: Path) -> Aligner:
    """The aligner that `train_and_save` wrote.

    Raises:
        UserError: the file is missing, damaged, or of another version.
    """
    from safetensors import SafetensorError, safe_open

    from ns2.model.aligner.hmm import aligner_from_tensors

    remedy = "delete it and run again: it is trained anew from its recorded sample"
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header["version"] != VERSION:
            raise UserError(f"{path} was made by another version of ns2; {remedy}")
        return aligner_from_tensors(AlignerConfig(**header["config"]), tensors)
    except FileNotFoundError as error:
        raise UserError(f"the aligner {path} is missing; run again to train it") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a whole aligner ({error}); {remedy}") from error


class _Tensors(Sequence["tuple[Tensor, Tensor]"]):
    """Examples as tensors, made when they are asked for."""

    def __init__(self, examples: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, number: Any) -> Any:
        return as_tensors(*self._examples[number])


def as_tensors(mel: np.ndarray, tokens: np.ndarray) -> tuple[Any, Any]:
    """Tensors of a stored mel, in its own memory where torch can write there, and of ids."""
    import torch

    stored = mel if isinstance(mel, np.ndarray) and mel.flags.writeable else np.array(mel)
    return torch.from_numpy(stored), torch.tensor(np.asarray(tokens).astype(np.int64))
