"""The state of an utterance's sources: what its targets' names depend on.

A file is unchanged if its path, size and mtime are as last seen; otherwise its content decides.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ns2.pipeline.align.textgrid.find import find_textgrids
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.schema import Kind, Reason, Rejection, Utterance
from ns2.pipeline.corpora.corpus import Corpus, recording_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.states import HASH_DIGITS, SourceStates
from ns2.pipeline.remote.objects import asking
from ns2.pipeline.sound.held.recordings import Place
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
        locate=lambda utterance: recording_of(corpus.root, utterance),
        language=options.language,
        textgrids=textgrids,
        lexicon=lexicon,
        advance=advance,
    )
    return sources, [*missing, *unreadable]


def names_of(corpus: Corpus) -> list[str]:
    """The names under which `SourceStates` keeps the recordings of a corpus."""
    return [recording_of(corpus.root, utterance).name for utterance in corpus.utterances]


_Located = tuple[Utterance, Recording]
_THREADS, _FAR_THREADS = 8, 32  # more than cores: a network's storage answers late
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
        audio_hash: of the recording's bytes, and of the piece if it is one.
        text_hash: of transcript and language, and of phonemes that are given, or else of a
            lexicon's entries for the words in it.
        record_hash: of id, source, speaker and language.
        stamp: size and mtime_ns of the audio file, or of what holds it, when it was hashed.
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


def read_sources(
    utterances: Sequence[Utterance],
    states: SourceStates,
    *,
    locate: Callable[[Utterance], Place],
    language: str,
    textgrids: Mapping[str, Path] | None = None,
    lexicon: Lexicon | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> tuple[list[Source], list[Rejection]]:
    """Hash all sources, several at a time, and remember the hashes every now and then.

    Args:
        locate: gives an utterance's recording.
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
    ordered = sorted(utterances, key=_place)  # what a file holds is read from front to end
    far = bool(ordered) and bool(Recording.of(locate(ordered[0])).url)
    with asking(_FAR_THREADS if far else _THREADS) as pool:  # hashing lets other threads run
        for start in range(0, len(ordered), _CHUNK):
            chunk = [(u, Recording.of(locate(u))) for u in ordered[start : start + _CHUNK]]
            looks = pool.map(lambda part: [_look_at(states, *one) for one in part], _parts(chunk))
            for utterance, found in itertools.chain(*looks):
                if isinstance(found, Exception):
                    rejected.append(_unreadable(utterance, found))
                    continue
                source = _source(utterance, utterance.language or language, lexicon, *found)
                if textgrids is not None:
                    beside = _look(states, textgrids[utterance.key])
                    if isinstance(beside, Exception):
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


def _place(utterance: Utterance) -> tuple[str, tuple[int, int]]:
    """What orders utterances by where a file holds them; others stay in their order."""
    held = utterance.held
    return ("", (0, 0)) if held is None else (held.file, held.place)


def _parts(chunk: Sequence[_Located]) -> list[Sequence[_Located]]:
    """Parts of a chunk for threads; what one file or object holds is not shared among them."""

    def holder_of(one: _Located) -> str | None:
        utterance, recording = one
        together = utterance.held or (recording.url and utterance.piece)
        return str(recording.path) if together else None

    parts: list[Sequence[_Located]] = []
    for holder, group in itertools.groupby(chunk, holder_of):
        some = list(group)
        size = _PART if holder is None else len(some)
        parts += [some[i : i + size] for i in range(0, len(some), size)]
    return parts


def _look_at(
    states: SourceStates, utterance: Utterance, recording: Recording
) -> tuple[Utterance, tuple[str, tuple[int, int]] | OSError | UtteranceError]:
    """Hash an utterance's audio; the utterance loses a piece that is all of the recording."""
    found = _look(states, recording)
    if utterance.piece is not None and not isinstance(found, Exception):
        piece = states.settled(recording, utterance.piece)
        utterance = replace(utterance, piece=piece)
    return utterance, found


def _look(
    states: SourceStates, place: Place
) -> tuple[str, tuple[int, int]] | OSError | UtteranceError:
    try:
        return states.look(place)
    except (OSError, UtteranceError) as error:
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


def _unreadable(
    utterance: Utterance, error: OSError | UtteranceError, stage: str = "audio"
) -> Rejection:
    if isinstance(error, UtteranceError):
        return _rejection(utterance, stage, error.reason, error.message)
    missing = isinstance(error, FileNotFoundError | IsADirectoryError)
    reasons = {
        "audio": (Reason.AUDIO_UNREADABLE, Reason.AUDIO_MISSING),
        "textgrids": (Reason.TEXTGRID_UNREADABLE, Reason.TEXTGRID_MISSING),
    }
    why = error.strerror or type(error).__name__
    return _rejection(utterance, stage, reasons[stage][missing], why)


def _rejection(utterance: Utterance, stage: str, reason: Reason, message: str) -> Rejection:
    return Rejection(
        id=utterance.id,
        key=utterance.key,
        source=utterance.source,
        kind=Kind.REJECTED,
        stage=stage,
        reason=reason,
        message=message,
    )
