"""What is known of each utterance before anything is written: can it be used, how long is it.

Kept a shard a file below `.state/screen-<fingerprint>/`, so that a run that goes on, or a changed
option, decodes nothing again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write, member_folder
from ns2.pipeline.core.schema import Kind, Reason
from ns2.pipeline.preprocess.work.failure import Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class Screened:
    """One utterance's screening: scalars of the screening stages, or why one failed."""

    key: str
    source: str
    scalars: Mapping[str, float] = field(default_factory=dict)
    failure: Failure | None = None


class ScreenStore:
    """Screenings by shard."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, shard: int) -> Path:
        """The file of a shard."""
        return self._folder / f"{shard:05d}.parquet"

    def load(self, shard: int) -> dict[str, Screened]:
        """What is known of a shard's utterances, by key."""
        path = self.path(shard)
        if not path.is_file():
            return {}
        try:
            return _rows(pq.read_table(path, page_checksum_verification=True).to_pydict())
        except (pa.ArrowException, OSError, KeyError, ValueError):
            return {}  # only a cache: what is lost is screened again

    def save(self, shard: int, rows: Iterable[Screened]) -> None:
        """Write a shard's screening."""
        ordered = sorted(rows, key=lambda row: row.key)
        names = sorted({name for row in ordered for name in row.scalars})
        table = pa.table(
            {
                "key": [row.key for row in ordered],
                "source": [row.source for row in ordered],
                "stage": [row.failure.stage if row.failure else "" for row in ordered],
                "reason": [str(row.failure.reason) if row.failure else "" for row in ordered],
                "message": [row.failure.message if row.failure else "" for row in ordered],
                **{
                    f"scalar.{name}": pa.array(
                        [row.scalars.get(name) for row in ordered], pa.float64()
                    )
                    for name in names
                },
            }
        )
        state = self._folder.parent
        member_folder(state.parent, state.name, self._folder.name)
        with atomic_write(self.path(shard)) as file:
            pq.write_table(table, file, write_page_checksum=True)


def _rows(columns: Mapping[str, list[Any]]) -> dict[str, Screened]:
    """Screenings by key, from the columns of a file."""
    names = [name for name in columns if name.startswith("scalar.")]
    known: dict[str, Screened] = {}
    for i, key in enumerate(columns["key"]):
        failure = None
        if columns["reason"][i]:
            failure = Failure(
                stage=columns["stage"][i],
                kind=Kind.REJECTED,
                reason=Reason(columns["reason"][i]),
                message=columns["message"][i],
            )
        known[key] = Screened(
            key=key,
            source=columns["source"][i],
            scalars={
                name.removeprefix("scalar."): columns[name][i]
                for name in names
                if columns[name][i] is not None
            },
            failure=failure,
        )
    return known
