"""Hashes of recordings and other files, computed once for a path, size and mtime.

They are kept in `.state/sources.parquet`, outside the promise about bytes. Of a file that holds
many recordings each has its own hash, for the size and mtime of that file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ns2.pipeline.core.atomic import atomic_write, stamp
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.schema import Piece
from ns2.pipeline.preprocess.plan.appended.more_rows import add_rows
from ns2.pipeline.sound.held.recordings import Place, hash_recording
from ns2.pipeline.sound.pieces import is_whole, recording_seconds

HASH_DIGITS = 16


class SourceStates:
    """Hashes of recordings, computed once for a path, size and mtime."""

    def __init__(
        self, path: Path, *, checksum: bool = False, only: Sequence[str] | None = None
    ) -> None:
        """Read what was seen before.

        Args:
            path: the state file; need not exist.
            checksum: hash every file, whatever its size and mtime say.
            only: names of the recordings that are asked for, if not all; of the others nothing is
                kept in memory, and what the file says of them stays.
        """
        self._path, self._checksum = path, checksum
        self._only = None if only is None else pa.array(sorted(set(only)), pa.string())
        self._seen: dict[str, tuple[int, int, str]] = {}
        self._lengths: dict[str, float] = {}
        self._looked: set[str] = set()
        self._holders: dict[str, tuple[int, int]] = {}  # stamps of changed files that hold others
        self._changed = False
        self._all_new = False  # nothing that is asked for is in the file
        if path.is_file():
            try:
                asked = self._asked(others=False)
                self._all_new = only is not None and not asked.num_rows
                table = asked.to_pydict()
                columns = (table["path"], table["size"], table["mtime_ns"], table["hash"])
            except (pa.ArrowException, OSError, KeyError, ValueError):
                return  # only a cache: what is lost is hashed again
            for name, size, mtime, digest in zip(*columns, strict=True):
                self._seen[name] = (size, mtime, digest)
            lengths = zip(table["path"], table.get("seconds", ()), strict=False)
            self._lengths = {name: length for name, length in lengths if length is not None}

    def _asked(self, *, others: bool) -> pa.Table:
        """The rows of the file that are asked for, or the others."""
        table = pq.read_table(self._path, page_checksum_verification=True)
        if self._only is None:
            return table.slice(0, 0) if others else table
        chosen = pc.is_in(table["path"], self._only)
        return table.filter(pc.invert(chosen) if others else chosen)

    def seen(self, place: Place) -> bool:
        """Whether a recording was hashed before, in whatever state."""
        return Recording.of(place).name in self._seen

    def look(self, place: Place) -> tuple[str, tuple[int, int]]:
        """Hash of a recording, from memory where its file has not changed, and the file's stamp.

        The file is the one that holds the recording, where it is none itself.

        Raises:
            OSError: it can't be read.
            UtteranceError: the file that holds it is damaged.
        """
        recording = Recording.of(place)
        name, now = recording.name, stamp(recording.path)
        seen = self._seen.get(name)
        fresh = not self._checksum or name in self._looked  # pieces share a file
        if seen is not None and seen[:2] == now and fresh:
            return seen[2], now
        digest = hash_recording(recording)[:HASH_DIGITS]
        if stamp(recording.path) != now:
            raise UserError(
                f"{recording.path} changes while it is read; run again once it is at rest"
            )
        if seen is None or seen[2] != digest:
            self._lengths.pop(name, None)
        self._seen[name] = (*now, digest)
        if recording.held is not None:
            self._holders[str(recording.path)] = now
        self._looked.add(name)
        self._changed = True
        return digest, now

    def settled(self, place: Place, piece: Piece) -> Piece | None:
        """A piece of a recording, or None if it is all of it, so that its state is the file's."""
        name = Recording.of(place).name
        if piece.offset or piece.channel is not None:
            return piece
        if name not in self._lengths:
            length = recording_seconds(place)
            if length is None:
                return piece
            self._lengths[name] = length
            self._changed = True
        return None if is_whole(piece, self._lengths[name]) else piece

    def save(self) -> None:
        """Write what was seen, if anything of it is new."""
        if not self._changed:
            return
        names = sorted(name for name in self._seen if not self._is_gone(name))
        rows = [self._seen[name] for name in names]
        table = pa.table(
            {
                "path": names,
                "size": pa.array([row[0] for row in rows], pa.int64()),
                "mtime_ns": pa.array([row[1] for row in rows], pa.int64()),
                "hash": [row[2] for row in rows],
                **self._length_column(names),
            }
        )
        if self._all_new and pq.read_schema(self._path).names == table.column_names:
            add_rows(self._path, table, write_page_checksum=True)
            self._changed = self._all_new = False
            return
        if self._only is not None and self._path.is_file():
            table = pa.concat_tables([self._asked(others=True), table], promote_options="default")
        with atomic_write(self._path) as file:
            pq.write_table(table, file, write_page_checksum=True)
        self._changed = False

    def _is_gone(self, name: str) -> bool:
        """Whether it is a place in a file that holds others, as that file was before."""
        holder, _, place = name.rpartition("#")
        now = self._holders.get(holder) if place else None
        return now is not None and self._seen[name][:2] != now

    def _length_column(self, names: Sequence[str]) -> dict[str, pa.Array]:
        """Lengths of recordings as far as they were asked for; no column where none was."""
        if not self._lengths:
            return {}
        lengths = [self._lengths.get(name) for name in names]
        return {"seconds": pa.array(lengths, pa.float64())}
