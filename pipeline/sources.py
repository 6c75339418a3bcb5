"""The state of an utterance's sources: what its targets' names depend on.

A file is unchanged if its path, size and mtime are as last seen; otherwise its content decides.
What was seen is kept in `.state/sources.parquet`, outside the promise about bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.files import atomic_write, sha256_file
from ns2.pipeline.schema import Kind, Reason, Rejection, Utterance, short_hash

HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Source:
    """An utterance with the hashes of what it is made from.

    Attributes:
        key: its WebDataset key.
        audio_hash: of the audio file's bytes.
        text_hash: of transcript and language.
        record_hash: of id, source, speaker and language.
    """

    utterance: Utterance
    key: str
    audio_hash: str
    text_hash: str
    record_hash: str

    def state(self, sources: tuple[str, ...]) -> str:
        """The state of these sources as one word."""
        hashes = {
            "audio_file": self.audio_hash,
            "text": self.text_hash,
            "record": self.record_hash,
        }
        return "-".join(hashes[name] for name in sources)


class SourceStates:
    """Hashes of audio files, computed once for a path, size and mtime."""

    def __init__(self, path: Path, *, checksum: bool = False) -> None:
        """Read what was seen before.

        Args:
            path: the state file; need not exist.
            checksum: hash every file, whatever its size and mtime say.
        """
        self._path, self._checksum = path, checksum
        self._seen: dict[str, tuple[int, int, str]] = {}
        self._changed = False
        if path.is_file():
            try:
                table = pq.read_table(path).to_pydict()
            except (pa.ArrowException, OSError):
                return  # only a cache: what is lost is hashed again
            columns = (table["path"], table["size"], table["mtime_ns"], table["hash"])
            for source, size, mtime, digest in zip(*columns, strict=True):
                self._seen[source] = (size, mtime, digest)

    def __contains__(self, source: str) -> bool:
        """Whether a file was seen before."""
        return source in self._seen

    def audio_hash(self, source: str, file: Path) -> str:
        """Hash of a file's content, from memory where the file has not changed.

        Raises:
            OSError: it can't be read.
        """
        stat = file.stat()
        size, mtime = stat.st_size, stat.st_mtime_ns
        seen = self._seen.get(source)
        if seen is not None and seen[:2] == (size, mtime) and not self._checksum:
            return seen[2]
        digest = sha256_file(file)[:HASH_DIGITS]
        self._seen[source] = (size, mtime, digest)
        self._changed = True
        return digest

    def save(self) -> None:
        """Write what was seen, if anything of it is new."""
        if not self._changed:
            return
        names = sorted(self._seen)
        rows = [self._seen[name] for name in names]
        table = pa.table(
            {
                "path": names,
                "size": pa.array([row[0] for row in rows], pa.int64()),
                "mtime_ns": pa.array([row[1] for row in rows], pa.int64()),
                "hash": [row[2] for row in rows],
            }
        )
        with atomic_write(self._path) as file:
            pq.write_table(table, file)
        self._changed = False


def read_sources(
    utterances: Iterable[Utterance],
    states: SourceStates,
    *,
    locate: Callable[[Utterance], Path],
    language: str,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[Source], list[Rejection]]:
    """Hash all sources.

    Args:
        locate: gives an utterance's audio file.
        language: of utterances that name none.

    Returns:
        sources, sorted by key, and the utterances whose audio can't be read.
    """
    sources: list[Source] = []
    rejected: list[Rejection] = []
    for utterance in utterances:
        advance()
        spoken = utterance.language or language
        try:
            audio_hash = states.audio_hash(utterance.source, locate(utterance))
        except OSError as error:
            missing = isinstance(error, FileNotFoundError | IsADirectoryError)
            rejected.append(
                Rejection(
                    id=utterance.id,
                    key=utterance.key,
                    source=utterance.source,
                    kind=Kind.REJECTED,
                    stage="audio",
                    reason=Reason.AUDIO_MISSING if missing else Reason.AUDIO_UNREADABLE,
                    message=f"{error.strerror or error}",
                )
            )
            continue
        who = [utterance.id, utterance.source, utterance.speaker, spoken]
        sources.append(
            Source(
                utterance=utterance,
                key=utterance.key,
                audio_hash=audio_hash,
                text_hash=short_hash([utterance.text, spoken], HASH_DIGITS),
                record_hash=short_hash(who, HASH_DIGITS),
            )
        )
    sources.sort(key=lambda source: source.key)
    return sources, rejected
