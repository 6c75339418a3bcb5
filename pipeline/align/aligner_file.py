"""Trains an aligner into a file, loads it, and lists what decides its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ns2.model.aligner.aligner_config import VERSION, AlignerConfig
from ns2.pipeline.align.bundled_network import bundled_network, network_digest, refiner_digest
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.reading import check_regular, parse_json
from ns2.pipeline.core.versions import version

if TYPE_CHECKING:
    from torch import Tensor

    from ns2.model.aligner.expectation import Progress
    from ns2.model.aligner.hmm import Aligner
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable

AlignerInit = Literal["bundled", "bundled-2", "bundled-1", "none"]

SILENCE_WEIGHTS = {"bundled": 8.0, "bundled-2": 5.0}
"""The `silence_weight` of aligners that start from these networks."""

INNER_MOVES = {"bundled": 1}
"""Their `inner_moves`."""

_NEWER = {"silence_weight": 0.0, "trusted_silence": 1.0, "inner_moves": 0}
"""Fields of the configuration that datasets of before do not name, and what these had."""

LIBRARIES = ("torch", "numpy")
"""Distributions whose versions decide the values of a trained aligner."""

_HEADER = "ns2-aligner"  # one entry only: safetensors writes several in random order


def aligner_config(
    config: AlignerConfig | None = None, *, init: AlignerInit = "bundled"
) -> dict[str, Any]:
    """All that decides a trained aligner, except its sample and seed, as JSON values.

    Args:
        config: None for `default_config`.
        init: as in `train_and_save`.
    """
    libraries = {name: version(name) for name in LIBRARIES}
    refiner = None if init == "none" else refiner_digest(init)
    return {
        "version": VERSION,
        "libraries": libraries,
        "network": None if init == "none" else network_digest(init),
        **({"refiner": refiner} if refiner else {}),  # datasets of before do not name it
        **_values(config or default_config(init)),
    }


def default_config(init: AlignerInit = "bundled") -> AlignerConfig:
    """The configuration of an aligner that starts from a network, or from none."""
    if init not in SILENCE_WEIGHTS:
        return AlignerConfig()
    return AlignerConfig(
        silence_weight=SILENCE_WEIGHTS[init],
        trusted_silence=0.0,
        inner_moves=INNER_MOVES.get(init, 0),
    )


def _values(config: AlignerConfig) -> dict[str, Any]:
    """The fields of a configuration; of those newer than datasets, those that change something."""
    return {name: v for name, v in asdict(config).items() if _NEWER.get(name) != v}


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
        examples: (mel (M, T) float16, ids (N,) uint16) as stored, in a fixed order; each is read
            several times.
        path: where to write the safetensors file; it appears when it is whole.
        config: None for `default_config`.
        table: the phoneme table of the ids.
        init: "bundled", "bundled-2" and "bundled-1" start from networks that come with the package,
            "none" from equal models of all phones.
        seed: seed of the training.
        progress: called with the number of passes done, the number of all passes, and the loss.

    Raises:
        ValueError: there are no examples, or an example cannot be aligned.
    """
    import torch
    from safetensors.torch import save

    from ns2.model.aligner.expectation import train_aligner
    from ns2.model.aligner.hmm import aligner_to_tensors

    config = config or default_config(init)
    ids = np.arange(len(table))
    phone_of, _ = table.phone_and_stress(ids)
    aligner = train_aligner(
        _Tensors(examples),
        config,
        phone_of=torch.tensor(phone_of, dtype=torch.int64),
        optional=torch.tensor([symbol in table.optional for symbol in table.symbols(ids)]),
        seed=seed,
        progress=progress,
        trained=None if init == "none" else bundled_network(table, init),
    )
    header = {"version": VERSION, "config": _values(config)}
    data = save(aligner_to_tensors(aligner), metadata={_HEADER: canonical_json(header)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(data)


def load_aligner(path: Path) -> Aligner:
    """Load the aligner that `train_and_save` wrote.

    Raises:
        UserError: the file is missing, damaged, or of another version.
    """
    from safetensors import SafetensorError, safe_open

    from ns2.model.aligner.hmm import aligner_from_tensors

    remedy = "delete it and run again: it will be trained anew from its recorded sample"
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            header = parse_json((file.metadata() or {})[_HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header["version"] != VERSION:
            raise UserError(f"{path} was made by another version of ns2; {remedy}")
        return aligner_from_tensors(AlignerConfig(**header["config"]), tensors)
    except FileNotFoundError as error:
        raise UserError(f"the aligner {path} is missing; run again to train it") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a complete aligner ({error}); {remedy}") from error


class _Tensors(Sequence["tuple[Tensor, Tensor]"]):
    """Examples as tensors, which are made when they are read."""

    def __init__(self, examples: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, number: Any) -> Any:
        return as_tensors(*self._examples[number])


def as_tensors(mel: np.ndarray, tokens: np.ndarray) -> tuple[Any, Any]:
    """Tensors of a stored log-mel and of ids; a log-mel in writable memory is not copied."""
    import torch

    stored = mel if isinstance(mel, np.ndarray) and mel.flags.writeable else np.array(mel)
    return torch.from_numpy(stored), torch.tensor(np.asarray(tokens).astype(np.int64))
