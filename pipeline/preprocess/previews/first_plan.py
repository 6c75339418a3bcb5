"""The plan of a new dataset of a manifest by columns: nothing is made yet, so it is all counts.

A few rows are read as a run reads them: those whose headers tell the mean length, and those of the
shards that a trial may take. Where the rows of a manifest are not alike enough, all are read so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.core.names import ascending
from ns2.pipeline.core.schema import Utterance
from ns2.pipeline.corpora.corpus import DEFAULT_SPEAKER, Corpus
from ns2.pipeline.corpora.fields import Fields, speaker_name
from ns2.pipeline.corpora.layouts.manifest import Manifest, table_of
from ns2.pipeline.corpora.plain_rows import PlainRows, plain_rows
from ns2.pipeline.corpora.reading import recognised
from ns2.pipeline.corpora.rows import has_lines
from ns2.pipeline.dataset import layout
from ns2.pipeline.preprocess.finish.splits import assign_split
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.stamps import stamps_of
from ns2.pipeline.preprocess.plan.unit_intervals import unit_intervals

_FEWEST = 20_000
"""Lines of fewer bytes are read one by one sooner than anything is compiled."""
_MOST_OTHERS = 0.2
"""The largest share of rows that are looked at one by one."""
SAMPLED, TRIED = 100, 16
"""Utterances whose length is looked at, and shards that a trial may take."""


@dataclass(frozen=True, kw_only=True)
class FirstPlan:
    """What a new dataset would hold.

    Attributes:
        table: the manifest.
        used: utterances that a stage would see.
        rejected: rows that can't be used.
        filtered: utterances that `--min-confidence` leaves out.
        splits: how many of those used are in each split.
        shards: how many there are, and of these, how many have an utterance that is used.
        confident: whether any of them has a confidence.
        notes: what the reader decided.
        sample: lines of utterances that tell the mean length.
        tried: by number of a shard, lines of its utterances that a trial may make.
    """

    table: Path
    used: int
    rejected: int
    filtered: int
    splits: Counter[str]
    shards: tuple[int, int]
    confident: bool
    notes: tuple[str, ...]
    sample: np.ndarray
    tried: dict[int, np.ndarray]

    def corpus(self, lines: np.ndarray, options: Options) -> Corpus:
        """The corpus of some lines.

        Args:
            lines: (k, 3) numbers, starts and sizes in bytes.
        """
        fields = Fields.parse(options.fields)
        return Manifest().read_some(self.table, fields, _cut(self.table, lines))


def first_plan(corpus_path: Path, out: Path, options: Options, *, trial: bool) -> FirstPlan | None:
    """Count what a new dataset of a manifest would hold.

    Args:
        trial: whether utterances for a trial are asked for.

    Returns:
        None where this is no new dataset, or no manifest whose rows are alike.
    """
    if options.limit is not None or options.textgrids is not None or _has_anything(out):
        return None
    try:
        if (options.layout or recognised(corpus_path.absolute()).name) != Manifest.name:
            return None
        table = table_of(corpus_path.absolute())
        if table.stat().st_size < _FEWEST or not has_lines(table):
            return None
        fields = Fields.parse(options.fields)
        parts = plain_rows(table, fields)
        return None if parts is None else _Counting(table, fields, options).plan(parts, trial)
    except (UserError, OSError, pa.ArrowException):
        return None  # the long way says what is wrong


def _has_anything(out: Path) -> bool:
    return any(out.glob("*-*/*.parquet")) or any((out / layout.STATE).glob("screen-*"))


def _cut(table: Path, lines: np.ndarray) -> Iterator[tuple[int, bytes]]:
    with table.open("rb") as file:
        for number, start, size in lines.tolist():
            file.seek(start)
            yield number, file.read(size + 1)


class _Counting:
    """Rows of a manifest while they are counted."""

    def __init__(self, table: Path, fields: Fields, options: Options) -> None:
        self._table, self._fields, self._options = table, fields, options
        self._keys, self._splits, self._speakers = (
            list[pa.Array](),
            list[pa.Array](),
            list[pa.Array](),
        )
        self._lines, self._confidence = list[np.ndarray](), list[np.ndarray]()
        self._others: list[np.ndarray] = []

    def plan(self, parts: Iterator[PlainRows], trial: bool) -> FirstPlan | None:
        for part in parts:
            self._add(part)
        others, lines = np.concatenate(self._others), _joined(self._lines)
        if not len(lines) or len(others) > _MOST_OTHERS * len(lines):
            return None
        # Rows that are no plain ones are read as a run reads them.
        others = others[np.argsort(others[:, 0])]
        corpus = Manifest().read_some(self._table, self._fields, _cut(self._table, others))
        rest = self._rest(corpus, others)
        usable = np.concatenate([np.ones(len(lines), np.bool_), rest.usable])
        every = lines if not len(others) else np.concatenate([lines, rest.lines])
        confidence = np.concatenate([_joined(self._confidence), rest.confidence])
        named = [
            pa.chunked_array([*parts, more])
            for parts, more in (
                (self._keys, rest.keys),
                (self._splits, rest.splits),
                (self._speakers, rest.speakers),
            )
        ]
        if (first := _first_of(named[0], every[:, 0])) is not None:
            usable &= first
        rejected = int((~usable).sum())
        if rejected:  # ten million rows are not copied without need
            every, confidence = every[usable], confidence[usable]
            named = [texts.filter(pa.array(usable)) for texts in named]
        keys, splits, speakers = named[0].combine_chunks(), named[1], named[2]
        least = self._options.min_confidence
        used = np.ones(len(every), np.bool_) if least is None else ~(confidence < least)
        return self._of(
            FirstPlan(
                table=self._table,
                used=int(used.sum()),
                rejected=rejected,
                filtered=int((~used).sum()),
                splits=self._counted(keys, splits, speakers, used),
                shards=(0, 0),
                confident=bool((~np.isnan(confidence)).any()),
                notes=tuple(corpus.notes),
                sample=every[:0],
                tried={},
            ),
            keys,
            every,
            used,
            trial,
        )

    def _add(self, part: PlainRows) -> None:
        """Keep the rows of a part whose audio is there; the others are looked at one by one."""
        sizes, _ = stamps_of(self._table.parent, pa.chunked_array([part.sources]))
        there = sizes >= 0
        lines = np.stack([part.numbers, part.starts, part.sizes], 1)
        self._others += [part.others, lines[~there]]
        chosen = pa.array(there)
        self._lines.append(lines[there])
        self._keys.append(part.keys.filter(chosen))
        self._splits.append(part.splits.filter(chosen))
        self._speakers.append(part.speakers.filter(chosen))
        self._confidence.append(part.confidence[there])

    def _rest(self, corpus: Corpus, lines: np.ndarray) -> _Rest:
        found: dict[str, Utterance] = {u.key: u for u in corpus.utterances}
        seen: set[str] = set()
        usable = []
        for key in corpus.keys:
            usable.append(key in found and key not in seen)
            seen.add(key)
        chosen = [found.get(key) for key in corpus.keys]
        return _Rest(
            lines=lines,
            keys=pa.array(corpus.keys, pa.string()),
            usable=np.array(usable, np.bool_),
            splits=pa.array(["" if u is None else u.split for u in chosen], pa.string()),
            speakers=pa.array(["" if u is None else u.speaker for u in chosen], pa.string()),
            confidence=np.array(
                [np.nan if u is None or u.confidence is None else u.confidence for u in chosen],
                np.float64,
            ),
        )

    def _of(
        self, plan: FirstPlan, keys: pa.Array, lines: np.ndarray, used: np.ndarray, trial: bool
    ) -> FirstPlan:
        """A plan with its shards, and lines of those utterances that are looked at closely.

        Args:
            keys, lines, used: of all usable rows, and which of them a stage would see.
        """
        size = self._options.shard_utterances
        count = filled = -(-len(keys) // size)
        tried = dict[int, np.ndarray]()
        if trial or not used.all():
            order = np.asarray(pc.sort_indices(keys))
            filled = len(np.unique(np.flatnonzero(used[order]) // size))
            numbers = sorted(range(count), key=lambda n: unit_interval(str(n), "trial"))
            for number in numbers[: TRIED if trial else 0]:
                members = order[number * size : (number + 1) * size]
                if used[members].any():
                    tried[number] = lines[np.sort(members[used[members]])]
        asked = np.flatnonzero(used)
        drawn = unit_intervals(keys, "preview")[asked]
        if len(drawn) > SAMPLED:
            asked = asked[drawn <= np.partition(drawn, SAMPLED)[SAMPLED]]
            drawn = drawn[drawn <= np.partition(drawn, SAMPLED)[SAMPLED]]
        sample = asked[np.argsort(drawn, kind="stable")[:SAMPLED]]
        return replace(plan, shards=(count, filled), sample=lines[np.sort(sample)], tried=tried)

    def _counted(
        self, keys: pa.Array, splits: pa.ChunkedArray, speakers: pa.ChunkedArray, used: np.ndarray
    ) -> Counter[str]:
        """How many utterances are in each split, see `assign_split`."""
        options, chosen = self._options, pa.array(used)
        named = splits.filter(chosen)
        counts = Counter({v["values"]: v["counts"] for v in pc.value_counts(named).to_pylist()})
        left = counts.pop("", 0)
        if not left:
            return counts
        drawn = pc.and_(chosen, pc.equal(splits, "").combine_chunks())
        if options.val_by == "utterance":
            share = unit_intervals(keys.filter(drawn), "split by utterance")
            val = int((share < options.val_share).sum())
            return counts + Counter({"val": val, "train": left - val})
        for one in pc.value_counts(speakers.filter(drawn)).to_pylist():
            speaker = speaker_name(one["values"]) or DEFAULT_SPEAKER
            like = Utterance(id="x", source="x", text="x", speaker=speaker)
            split = assign_split(like, val_share=options.val_share, val_by="speaker")
            counts[split] += one["counts"]
        return counts


@dataclass(frozen=True, kw_only=True)
class _Rest:
    """Rows that were looked at one by one.

    Attributes:
        lines: (k, 3) numbers, starts and sizes.
        usable: (k,) bool, whether each is an utterance, the first of its key.
        keys, splits, speakers, confidence: of each.
    """

    lines: np.ndarray
    keys: pa.Array
    usable: np.ndarray
    splits: pa.Array
    speakers: pa.Array
    confidence: np.ndarray


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Arrays as one; the list is emptied, so that they are not there twice."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _first_of(keys: pa.ChunkedArray, numbers: np.ndarray) -> np.ndarray | None:
    """Which rows are the first of their key, (n,) bool; None where no key comes twice."""
    if ascending(keys):
        return None
    codes = keys.dictionary_encode().unify_dictionaries()
    if len(codes.chunk(0).dictionary) == len(keys):
        return None
    places = np.concatenate([np.asarray(chunk.indices) for chunk in codes.chunks])
    order = np.argsort(numbers, kind="stable")
    _, first = np.unique(places[order], return_index=True)
    found = np.zeros(len(keys), np.bool_)
    found[order[first]] = True
    return found
