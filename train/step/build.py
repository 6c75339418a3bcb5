"""A new model for a dataset: it takes codebooks, statistics of latents, and phonemes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ns2.pipeline.core.errors import UserError
from ns2.train.data.alike import codebooks_of
from ns2.train.data.selection import COLUMNS

if TYPE_CHECKING:
    from ns2.model.tts.ns2 import NS2
    from ns2.model.tts.ns2_config import NS2Config, Sizes
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable
    from ns2.pipeline.dataset.reader import Dataset


_SAMPLE = 512
"""Utterances from which the correlation of latents is estimated."""


def sizes_of(dataset: Dataset, table: PhonemeTable | None = None) -> Sizes:
    """The sizes of a model that a dataset decides.

    Args:
        table: a phoneme table that has all ids of the dataset's; None for the dataset's own.

    Raises:
        UserError: the dataset lacks a column that a model learns from.
    """
    from ns2.model.tts.ns2_config import Sizes

    quantizers, entries, latent_dim = _codebooks(dataset).shape
    table = table or dataset.phoneme_table
    return Sizes(
        latent_dim=latent_dim,
        quantizers=quantizers,
        entries=entries,
        phonemes=len(table),
        phones=table.phone_count,
        frame_rate=dataset.grid.frame_rate,
    )


def usual_sizes() -> Sizes:
    """The sizes with EnCodec at 12 kbit/s and the phoneme table that comes with ns2."""
    from ns2.model.tts.ns2_config import Sizes
    from ns2.pipeline.dataset.phoneme_table import PhonemeTable

    table = PhonemeTable.default()
    return Sizes(phonemes=len(table), phones=table.phone_count)


def build_model(
    dataset: Dataset, config: NS2Config, *, seed: int = 0, table: PhonemeTable | None = None
) -> NS2:
    """A model with random weights for a dataset.

    Args:
        table: see `sizes_of`.

    Raises:
        UserError: the dataset lacks a column that a model learns from, or its latents never vary.
    """
    import torch

    from ns2.model.tts.ns2 import NS2

    table = table or dataset.phoneme_table
    sizes = sizes_of(dataset, table)
    statistics = dataset.card.statistics["latents"]
    phone, stress = table.phone_and_stress(np.arange(sizes.phonemes))
    books = _codebooks(dataset)
    correlation = None
    if config.diffusion.latents == "whitened":
        correlation = torch.from_numpy(_correlation(dataset, books, statistics))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = NS2(config, sizes)
    try:
        return model.fit_to(
            codebooks=torch.from_numpy(books),
            latent_mean=torch.tensor(statistics["mean"]),
            latent_std=torch.tensor(statistics["std"]),
            latent_correlation=correlation,
            phone_of=torch.from_numpy(phone),
            stress_of=torch.from_numpy(stress),
        )
    except ValueError as error:
        raise UserError(f"{dataset.root}: {error}") from error


def border_ids(table: PhonemeTable) -> np.ndarray:
    """Whether each phoneme id is silence, a word border or a punctuation mark; (V,) bool."""
    return np.array([token in table.optional for token in table.symbols(range(len(table)))])


def _correlation(dataset: Dataset, books: np.ndarray, statistics: dict[str, Any]) -> np.ndarray:
    """The correlation of the latents' channels, (D, D), in utterances spread over the dataset."""
    mean, std = (np.array(statistics[name])[:, None] for name in ("mean", "std"))
    total, frames = np.zeros((books.shape[2],) * 2), 0
    for position in np.linspace(0, len(dataset) - 1, min(_SAMPLE, len(dataset))).astype(int):
        try:
            codes = dataset.read("codes", int(position), check=True)
        except (ValueError, OSError):
            continue  # training tells of damage, where it reads this utterance
        latents = sum(book[row] for book, row in zip(books, codes, strict=True)).T
        latents = (latents.astype(np.float64) - mean) / np.maximum(std, 1e-9)
        total += latents @ latents.T
        frames += latents.shape[1]
    if not frames:
        raise UserError(f"{dataset.root}: no codes can be read; `ns2 verify` says why")
    return total / frames


def _codebooks(dataset: Dataset) -> np.ndarray:
    """The codec's codebooks (Q, E, D) of a dataset that has all that a model learns from."""
    for column in COLUMNS:
        if column not in dataset.card.columns:
            raise UserError(
                f"{dataset.root} has no column {column}, which a model learns from; run "
                "`ns2 preprocess` with all columns"
            )
    return codebooks_of(dataset)
