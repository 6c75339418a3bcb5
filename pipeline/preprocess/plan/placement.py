"""Which utterance lies in which shard, and which targets are missing.

Shards are planned from the sorted keys of all utterances; an utterance never changes its shard,
and utterances added later form new shards. The plan is kept in `.state/plan.parquet`; where that
is lost, the index tells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write, delete
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.preprocess.plan.appended.more_rows import add_rows
from ns2.pipeline.preprocess.plan.sources import Source

_SIZE = b"ns2.shard_utterances"


@dataclass(frozen=True)
class Shard:
    """A fixed group of utterances, sorted by key."""

    number: int
    sources: tuple[Source, ...]


def places_in(shards: Iterable[Shard]) -> dict[str, int]:
    """The shard of each key."""
    return {source.key: shard.number for shard in shards for source in shard.sources}


def plan_shards(
    sources: Sequence[Source], previous: Mapping[str, int], size: int, first: int | None = None
) -> tuple[Shard, ...]:
    """Shards of all utterances: known ones where they were, new ones in new shards.

    Args:
        sources: sorted by key.
        previous: shard of each key planned before.
        size: utterances a shard.
        first: number of the first new shard; None for the one behind all of `previous`.
    """
    members: dict[int, list[Source]] = {}
    new: list[Source] = []
    for source in sources:
        number = previous.get(source.key)
        if number is None:
            new.append(source)
        else:
            members.setdefault(number, []).append(source)
    if first is None:
        first = max(previous.values(), default=-1) + 1
    for i in range(0, len(new), size):
        members[first + i // size] = new[i : i + size]
    return tuple(Shard(number, tuple(members[number])) for number in sorted(members))


def load_plan(state: Path, index: Path) -> tuple[dict[str, int], int | None]:
    """Shard of each key, as planned before, and the utterances a shard; empty for a new dataset.

    Args:
        state: `.state/plan.parquet`.
        index: `index.parquet`, for a dataset that has lost its state; it does not tell the size.

    Raises:
        UserError: both are lost.
    """
    try:
        table = pq.read_table(state, page_checksum_verification=True)
        size = int(table.schema.metadata[_SIZE])
        return _places(table), size
    except FileNotFoundError:
        pass
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        delete(state)  # damaged: the index tells nearly the same
    try:
        return _places(pq.read_table(index, columns=["key", "shard"])), None
    except FileNotFoundError:
        return {}, None
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{index} can't be read ({error}), and there is no {state} to tell the shards. "
            f"Restore one of them, or delete {index} to plan anew."
        ) from error


def _places(table: pa.Table) -> dict[str, int]:
    return dict(zip(table["key"].to_pylist(), table["shard"].to_pylist(), strict=True))


def save_plan(state: Path, placed: Mapping[str, int], size: int) -> None:
    """Write the shard of each key."""
    _write(state, _table(placed), size)


def add_to_plan(state: Path, placed: Mapping[str, int], size: int) -> None:
    """Write the shards of keys that have none yet behind those that are there."""
    if pq.read_schema(state).names != ["key", "shard"]:
        before = pq.read_table(state, columns=["key", "shard"], page_checksum_verification=True)
        _write(state, pa.concat_tables([before, _table(placed)]), size)
        return
    add_rows(state, _table(placed), write_page_checksum=True)


def _table(placed: Mapping[str, int]) -> pa.Table:
    keys = sorted(placed)
    shards = pa.array([placed[key] for key in keys], pa.int32())
    return pa.table({"key": pa.array(keys, pa.string()), "shard": shards})


def _write(state: Path, table: pa.Table, size: int) -> None:
    table = table.replace_schema_metadata({_SIZE: str(size)})
    with atomic_write(state) as file:
        pq.write_table(table, file, write_page_checksum=True)
