"""The state of an utterance's sources: what its targets' names depend on.

A file is unchanged if its path, size and mtime are as last seen; otherwise its content decides.
What was seen is kept in `.state/sources.parquet`, outside the promise about bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.align.textgrid.find import find_textgrids
from ns2.pipeline.core.atomic import atomic_write, stamp
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.schema import Kind, Piece, Reason, Rejection, Utterance
from ns2.pipeline.corpora.corpus import Corpus
from ns2.pipeline.corpora.reading import audio_path, read_corpus
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.sound.pieces import is_whole, recording_seconds
from ns2.pipeline.text.lexicon import Lexicon


def open_corpus(path: Path, options: Options) -> Corpus:
    """Read a corpus; with `--limit`, what is found is its first utterances by key.

    Raises:
        UserError: there is none.
    """
    corpus = read_corpus(path.absolute(), options.layout, options.fields)
    if options.limit is None:
        return corpus
    found: list[Utterance | Rejection] = [*corpus.utterances, *corpus.rejected]
    found.sort(key=lambda entry: (entry.key, entry.id))
    first = found[: options.limit]
    return replace(
        corpus,
        utterances=tuple(entry for entry in first if isinstance(entry, Utterance)),
        rejected=tuple(entry for entry in first if isinstance(entry, Rejection)),
    )


def find_sources(
    corpus: Corpus,
    options: Options,
    states: SourceStates,
    advance: Callable[[int], None] = lambda count: None,
    lexicon: Lexicon | None = None,
) -> tuple[list[Source], list[Rejection]]:
    """Hash the sources of a corpus.

    Args:
        advance: called with the number of utterances that were hashed since.
        lexicon: the entries for the words of a text are a part of the text's state.

    Returns:
        sources, sorted by key, and the utterances whose audio or TextGrid can't be read.

    Raises:
        OptionError: TextGrids are to be read, and not one is there.
    """
    utterances, textgrids, missing = corpus.utterances, None, list[Rejection]()
    if options.textgrids is not None:
        textgrids, missing = find_textgrids(options.textgrids.absolute(), utterances)
        utterances = tuple(u for u in utterances if u.key in textgrids)
        advance(len(missing))
    sources, unreadable = read_sources(
        utterances,
        states,
        locate=lambda utterance: audio_path(corpus.root, utterance),
        language=options.language,
        textgrids=textgrids,
        lexicon=lexicon,
        advance=advance,
    )
    return sources, [*missing, *unreadable]


HASH_DIGITS = 16
_THREADS = 8  # more than cores: a network's storage answers late
_CHUNK = 512
_PART = 16
_SAVE_SECONDS = 60.0


_HASHES = {
    "audio_file": "audio_hash",
    "text": "text_hash",
    "record": "record_hash",
    "textgrid": "textgrid_hash",
}


@dataclass(frozen=True, slots=True)
class Source:
    """An utterance with the hashes of what it is made from.

    Attributes:
        key: its WebDataset key.
        audio_hash: of the audio file's bytes, and of the piece if it is one.
        text_hash: of transcript and language, and of phonemes that are given, or else of a
            lexicon's entries for the words in it.
        record_hash: of id, source, speaker and language.
        stamp: size and mtime_ns of the audio file when it was hashed.
        textgrid: file of its TextGrid, None where none is read; with its hash and stamp.
    """

    utterance: Utterance
    key: str
    audio_hash: str
    text_hash: str
    record_hash: str
    stamp: tuple[int, int] | None = None
    textgrid: Path | None = None
    textgrid_hash: str = ""
    textgrid_stamp: tuple[int, int] | None = None

    def state(self, sources: tuple[str, ...]) -> str:
        """The state of these sources as one word."""
        return "-".join([getattr(self, _HASHES[name]) for name in sources])


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
        self._lengths: dict[str, float] = {}
        self._looked: set[str] = set()
        self._changed = False
        if path.is_file():
            try:
                table = pq.read_table(path, page_checksum_verification=True).to_pydict()
                columns = (table["path"], table["size"], table["mtime_ns"], table["hash"])
            except (pa.ArrowException, OSError, KeyError, ValueError):
                return  # only a cache: what is lost is hashed again
            for name, size, mtime, digest in zip(*columns, strict=True):
                self._seen[name] = (size, mtime, digest)
            lengths = zip(table["path"], table.get("seconds", ()), strict=False)
            self._lengths = {name: length for name, length in lengths if length is not None}

    def seen(self, file: Path) -> bool:
        """Whether a file was hashed before, in whatever state."""
        return str(file) in self._seen

    def look(self, file: Path) -> tuple[str, tuple[int, int]]:
        """Hash of a file's content, from memory where the file has not changed, and its stamp.

        Raises:
            OSError: it can't be read.
        """
        now = stamp(file)
        seen = self._seen.get(str(file))
        fresh = not self._checksum or str(file) in self._looked  # pieces share a file
        if seen is not None and seen[:2] == now and fresh:
            return seen[2], now
        digest = sha256_file(file)[:HASH_DIGITS]
        if stamp(file) != now:
            raise UserError(f"{file} changes while it is read; run again once it is at rest")
        if seen is None or seen[2] != digest:
            self._lengths.pop(str(file), None)
        self._seen[str(file)] = (*now, digest)
        self._looked.add(str(file))
        self._changed = True
        return digest, now

    def settled(self, file: Path, piece: Piece) -> Piece | None:
        """A piece of a recording, or None if it is all of it, so that its state is the file's."""
        name = str(file)
        if piece.offset or piece.channel is not None:
            return piece
        if name not in self._lengths:
            length = recording_seconds(file)
            if length is None:
                return piece
            self._lengths[name] = length
            self._changed = True
        return None if is_whole(piece, self._lengths[name]) else piece

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
                **self._length_column(names),
            }
        )
        with atomic_write(self._path) as file:
            pq.write_table(table, file, write_page_checksum=True)
        self._changed = False

    def _length_column(self, names: Sequence[str]) -> dict[str, pa.Array]:
        """Lengths of recordings as far as they were asked for; no column where none was."""
        if not self._lengths:
            return {}
        lengths = [self._lengths.get(name) for name in names]
        return {"seconds": pa.array(lengths, pa.float64())}


def read_sources(
    utterances: Sequence[Utterance],
    states: SourceStates,
    *,
    locate: Callable[[Utterance], Path],
    language: str,
    textgrids: Mapping[str, Path] | None = None,
    lexicon: Lexicon | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[list[Source], list[Rejection]]:
    """Hash all sources, several at a time, and remember the hashes every now and then.

    Args:
        locate: gives an utterance's audio file.
        language: of utterances that name none.
        textgrids: of all utterances, by key; None where none are read.
        lexicon: see `find_sources`.
        advance: called with the number of utterances that were hashed since.

    Returns:
        sources, sorted by key, and the utterances whose audio or TextGrid can't be read.
    """
    sources: list[Source] = []
    rejected: list[Rejection] = []
    saved = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:  # hashing lets other threads run
        for start in range(0, len(utterances), _CHUNK):
            chunk = utterances[start : start + _CHUNK]
            parts = [chunk[i : i + _PART] for i in range(0, len(chunk), _PART)]
            looks = pool.map(lambda part: [_look_at(states, locate, u) for u in part], parts)
            for utterance, found in itertools.chain(*looks):
                if isinstance(found, OSError):
                    rejected.append(_unreadable(utterance, found))
                    continue
                source = _source(utterance, utterance.language or language, lexicon, *found)
                if textgrids is not None:
                    beside = _look(states, textgrids[utterance.key])
                    if isinstance(beside, OSError):
                        rejected.append(_unreadable(utterance, beside, "textgrids"))
                        continue
                    source = replace(
                        source,
                        textgrid=textgrids[utterance.key],
                        textgrid_hash=beside[0],
                        textgrid_stamp=beside[1],
                    )
                sources.append(source)
            advance(len(chunk))
            if time.monotonic() - saved > _SAVE_SECONDS:
                states.save()
                saved = time.monotonic()
    sources.sort(key=lambda source: source.key)
    return sources, rejected


def _look_at(
    states: SourceStates, locate: Callable[[Utterance], Path], utterance: Utterance
) -> tuple[Utterance, tuple[str, tuple[int, int]] | OSError]:
    """Hash an utterance's audio; the utterance loses a piece that is all of the recording."""
    found = _look(states, locate(utterance))
    if utterance.piece is not None and not isinstance(found, OSError):
        piece = states.settled(locate(utterance), utterance.piece)
        utterance = replace(utterance, piece=piece)
    return utterance, found


def _look(states: SourceStates, file: Path) -> tuple[str, tuple[int, int]] | OSError:
    try:
        return states.look(file)
    except OSError as error:
        return error


def _source(
    utterance: Utterance, language: str, lexicon: Lexicon | None, audio: str, at: tuple[int, int]
) -> Source:
    used = [] if lexicon is None else lexicon.lines_for(utterance.text, language)
    who = (utterance.id, utterance.source, utterance.speaker, language)
    piece, given = utterance.piece, utterance.phonemes
    if piece is not None:
        audio = _hash_of(audio, *(repr(part) for part in piece.to_json().items()))
    return Source(
        utterance=utterance,
        key=utterance.key,
        audio_hash=audio,
        text_hash=_hash_of(utterance.text, language, *(given or used)),
        record_hash=_hash_of(*who),
        stamp=at,
    )


def _hash_of(*parts: str) -> str:
    """Hash of some strings; each is preceded by its length, so no two lists look alike."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]


def _unreadable(utterance: Utterance, error: OSError, stage: str = "audio") -> Rejection:
    missing = isinstance(error, FileNotFoundError | IsADirectoryError)
    reasons = {
        "audio": (Reason.AUDIO_UNREADABLE, Reason.AUDIO_MISSING),
        "textgrids": (Reason.TEXTGRID_UNREADABLE, Reason.TEXTGRID_MISSING),
    }
    return Rejection(
        id=utterance.id,
        key=utterance.key,
        source=utterance.source,
        kind=Kind.REJECTED,
        stage=stage,
        reason=reasons[stage][missing],
        message=error.strerror or type(error).__name__,
    )
