"""Which targets of a dataset exist, and what of older ones can be used again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ns2.pipeline.dataset.bucket.staging import url_of
from ns2.pipeline.dataset.shards import Marker, Stored, read_marker, target_digest, target_stem
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.stages.graph import Graph


class Targets:
    """Targets below an output folder, under the fingerprints of a graph."""

    def __init__(self, root: Path, graph: Graph) -> None:
        self._root, self._graph = root, graph
        self._folders: dict[str, Path] = {}
        self._listed: dict[str, dict[int, set[str]]] = {}
        self._sources: dict[str, tuple[str, ...]] = {}

    def folder(self, column: str) -> Path:
        """Where a column's tars lie."""
        if column not in self._folders:
            self._folders[column] = self._root / self._graph.folder(column)
        return self._folders[column]

    def state(self, column: str, source: Source) -> str:
        """The state of what a column reads of an utterance."""
        if column not in self._sources:
            self._sources[column] = self._graph.sources(column)
        return source.state(self._sources[column])

    def path(self, column: str, shard: int, members: Iterable[Source]) -> Path:
        """The marker that a target with these members has."""
        digest = target_digest((m.key, self.state(column, m)) for m in members)
        return self.folder(column) / f"{target_stem(shard, digest)}.parquet"

    def exists(self, column: str, shard: int, members: Iterable[Source]) -> bool:
        """Whether a target is committed, and its tar still there."""
        names = self.existing_names(column, shard)
        if not names:  # the digest takes longer
            return False
        path = self.path(column, shard, members)
        return path.name in names and path.with_suffix(".tar").is_file()

    def existing(self, column: str, shard: int) -> dict[tuple[str, str], Stored]:
        """Arrays of a shard in any committed tar of a column, by (key, source state)."""
        found: dict[tuple[str, str], Stored] = {}
        for name in sorted(self.existing_names(column, shard)):
            try:
                marker = read_marker(self.folder(column) / name)
            except ValueError:
                continue  # nothing of it is used; `ns2 verify` names it
            if marker.tar.is_file() and marker.tar.stat().st_size == marker.size:
                url = url_of(marker.tar)
                for row in marker.rows:
                    found[row.key, row.source] = Stored(tar=marker.tar, row=row, url=url)
        return found

    def note(self, marker: Marker) -> None:
        """Remember a target that was just committed."""
        self.existing_names(marker.column, marker.shard).add(marker.path.name)

    def existing_names(self, column: str, shard: int) -> set[str]:
        """Names of the markers of a column's shard; the folder is listed once."""
        if column not in self._listed:
            listed: dict[int, set[str]] = {}
            folder = self.folder(column)
            if folder.is_dir():
                for path in folder.iterdir():
                    number, _, rest = path.name.partition("-")
                    if rest.endswith(".parquet") and number.isdigit():
                        listed.setdefault(int(number), set()).add(path.name)
            self._listed[column] = listed
        return self._listed[column].setdefault(shard, set())
