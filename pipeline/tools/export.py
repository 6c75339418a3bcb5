"""`ns2 export`: WebDataset tars that hold all columns as plain numbers, for other toolkits.

    out/
      export.json               what is in the tars, see `export`
      train-00000.tar           the samples of the split `train` in the order of the dataset,
      train-00001.tar           `--shard-utterances` in each tar
      val-00000.tar             the samples of the split `val`

A sample has one member for each column: `<key>.codes.npy`, `.mel.npy`, `.f0.npy`, `.phonemes.npy`,
`.durations.npy` and `.meta.json`. Integers are int32 and floats float32, which every toolkit
takes, but for integers that int32 can't hold; values are those of the dataset. `meta.json` also
holds `split`, `seconds` and `frames`. Columns of a user's own are beside them.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.atomic import new_file, remove_abandoned, sync_folder, temporary_path
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import ColumnSpec, make_key
from ns2.pipeline.dataset.card import Card
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.dataset.shards import encode_value, member_info
from ns2.pipeline.tools.tool_options import ExportOptions

EXPORT_FORMAT = "ns2-export"
DESCRIPTION = "export.json"

_PLAIN = {
    **dict.fromkeys(("bool", "int8", "int16", "uint8", "uint16"), "int32"),
    **dict.fromkeys(("float16", "float64"), "float32"),
}
"""The dtype in an export by the dtype in the dataset: other toolkits compute with these."""

_MEANINGS = {
    "codes": "codec codes (Q, T), of Q quantizers",
    "mel": "log-mel spectrogram (M, T), natural logarithm",
    "f0": "pitch (T,) in Hz, 0 where unvoiced",
    "phonemes": "ids (N,) into the list `phonemes`",
    "durations": "frames (N,) of each phoneme; they sum to T",
    "trust": "probability (N,) that each phoneme starts within 50 ms of where durations put it",
    "meta": "text, phonemes as strings, words as [word, first, end), speaker, split and more",
}


def export(
    dataset: Dataset,
    out: Path,
    options: ExportOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write a dataset as tars that hold all columns; `out` appears when everything is written.

    `export.json` holds: format, digest of the dataset, sample_rate, hop_length, frame_rate,
    members (suffix, dtype, dims, what it is), splits (utterances, hours, tars), codec and mel
    settings, statistics, and `phonemes`, the symbols of all ids in order.

    Args:
        dataset: an open dataset.
        out: a folder that does not exist, or is empty.
        options: which columns are exported, and how many utterances a tar holds.
        progress: called with the number of utterances done and of all.

    Returns:
        the tars, in the order of splits.

    Raises:
        UserError: `out` is not empty or lies in the dataset, a column does not exist, or the
            dataset is damaged.
    """
    out, options = Path(out), options or ExportOptions()
    chosen = Dataset(dataset.place, options.columns or None)  # checks the columns
    _check_place(out, chosen.root)
    remove_abandoned(out.absolute())
    temporary = temporary_path(out.absolute())
    temporary.mkdir(parents=True)
    try:
        described = _write(chosen, temporary, options.shard_utterances, progress or _silent)
        sync_folder(temporary)
        temporary.rename(out)  # takes the place of an empty folder
        sync_folder(out.absolute().parent)
    except ValueError as error:
        raise UserError(f"{error}; `ns2 verify {chosen.place}` says more") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [out / tar for split in described["splits"].values() for tar in split["tars"]]


def _silent(done: int, total: int) -> None:
    pass


def _check_place(out: Path, root: Path) -> None:
    """Refuse a place that holds something already or lies inside the dataset."""
    if out.is_dir():
        if any(out.iterdir()):
            raise UserError(f"{out} is not empty; name a new folder for the export")
    elif out.exists():
        raise UserError(f"{out} is a file; name a folder for the export")
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{out} lies inside the dataset {root}; name a folder outside of it")


def _write(
    dataset: Dataset,
    folder: Path,
    shard_utterances: int | None,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Write all tars and their description, which is returned."""
    splits: dict[str, Any] = {}
    positions: dict[str, list[int]] = {}
    for position, split in enumerate(dataset.index["split"].to_pylist()):
        positions.setdefault(split, []).append(position)
    seconds = dataset.index["seconds"].to_pylist()
    done = 0
    for split, members in sorted(positions.items()):
        tars = []
        for number, chunk in enumerate(_chunks(members, shard_utterances)):
            tars.append(f"{make_key(split)}-{number:05d}.tar")
            for _ in _write_tar(dataset, folder / tars[-1], chunk):
                done += 1
                progress(done, len(dataset))
        hours = sum(seconds[i] for i in members) / 3600
        splits[split] = {"utterances": len(members), "hours": hours, "tars": tars}
    described = _describe(dataset, splits)
    text = json.dumps(described, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _write_file(folder / DESCRIPTION, text.encode())
    return described


def _chunks(members: Sequence[int], size: int | None) -> Iterator[list[int]]:
    """Parts of a list, each of this size but the last; the whole list where it is None."""
    rest = iter(members)
    while chunk := list(islice(rest, size)):
        yield chunk


def _write_tar(dataset: Dataset, path: Path, positions: Iterable[int]) -> Iterator[int]:
    """Write one tar; yields each position when its sample is written."""
    with new_file(path) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for position in positions:
                for name, data in _members(dataset, position):
                    tar.addfile(member_info(name, len(data)), BytesIO(data))
                yield position
        file.flush()
        os.fsync(file.fileno())


def _write_file(path: Path, data: bytes) -> None:
    with new_file(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _members(dataset: Dataset, position: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each member of a sample."""
    row = dataset.row(position)
    for column in dataset.columns:
        spec = plain_spec(dataset.spec(column))
        value = dataset.read(column, position, check=True)
        if column == "meta":
            value = {**value, **{name: row[name] for name in ("split", "seconds", "frames")}}
        elif spec.dtype != "json":
            value = value.astype(np.dtype(spec.dtype))
        yield f"{row['key']}.{spec.suffix}", encode_value(spec, value)[0]


def plain_spec(spec: ColumnSpec) -> ColumnSpec:
    """The specification of a column as it is exported."""
    return ColumnSpec(name=spec.name, dtype=_PLAIN.get(spec.dtype, spec.dtype), dims=spec.dims)


def _describe(dataset: Dataset, splits: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON values of export.json."""
    card = dataset.card
    specs = [plain_spec(dataset.spec(column)) for column in dataset.columns]
    described: dict[str, Any] = {
        "format": EXPORT_FORMAT,
        "format_version": 1,
        "dataset": card.digest,
        "ns2": card.ns2,
        "sample_rate": card.grid.sample_rate,
        "hop_length": card.grid.hop_length,
        "frame_rate": card.grid.frame_rate,
        "members": {
            spec.suffix: {
                "dtype": spec.dtype,
                "dims": list(spec.dims),
                "what": _MEANINGS.get(spec.name, ""),
            }
            for spec in specs
        },
        "splits": dict(splits),
        "codec": _config(card, "codes"),
        "mel": _config(card, "mel"),
        "statistics": card.statistics,
    }
    if "phonemes" in dataset.columns:
        table = dataset.phoneme_table
        described["phonemes"] = table.symbols(range(len(table)))
    return described


def _config(card: Card, column: str) -> Mapping[str, Any] | None:
    """The settings that a column was made with, or None where there is no such column."""
    return card.columns[column].config if column in card.columns else None
