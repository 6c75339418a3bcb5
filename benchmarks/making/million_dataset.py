"""What a whole run leaves behind for millions of made-up utterances, made without the run.

Each column has one real tar, to which the tars of all shards are hard links: members have other
keys in them, which nobody reads by. Markers, index, checksums, card and state are as a run writes
them, but for the checksums of the index's rows, which are 0.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ns2.pipeline.align.aligner_file import train_and_save
from ns2.pipeline.core.hashing import canonical_json, sha256_file
from ns2.pipeline.core.schema import Utterance
from ns2.pipeline.corpora.corpus import Corpus
from ns2.pipeline.corpora.lines import read_lines
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.shards import (
    MARKER_METADATA,
    Marker,
    Member,
    TarWriter,
    encode_value,
    table_bytes,
    target_digest,
    target_stem,
)
from ns2.pipeline.preprocess.aligner_asset import AlignerAsset
from ns2.pipeline.preprocess.finish import unchanged
from ns2.pipeline.preprocess.finish.finisher import Finisher, Summary, Tally
from ns2.pipeline.preprocess.finish.publish import write_rejected, write_tables
from ns2.pipeline.preprocess.finish.readme import write_readme
from ns2.pipeline.preprocess.finish.splits import assign_split
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan import placement
from ns2.pipeline.preprocess.plan.kept_rows import SPLITS, KeptRows
from ns2.pipeline.preprocess.plan.sources import Source, _source
from ns2.pipeline.preprocess.plan.states import SourceStates
from ns2.pipeline.preprocess.recipe import build_graph, phoneme_table, wanted_columns
from ns2.pipeline.preprocess.work.remembered import Remembered
from ns2.pipeline.preprocess.work.scene import Scene

_BLOCK = 128
"""Shards that are made together: those of a row group of the index."""


def make_dataset(manifest: Path, out: Path, options: Options, distinct: int) -> int:
    """Write a finished dataset of a manifest of `make_corpus`; returns the number of targets.

    Args:
        distinct: so many recordings there are, of which all others are links.
    """
    return _Making(manifest, out, options, distinct).carry_out()


@dataclass
class _Block:
    """Shards that are made together.

    Attributes:
        sources: of all their utterances, in order.
        splits: of each.
    """

    sources: list[Source]
    splits: list[str]


class _Making:
    def __init__(self, manifest: Path, out: Path, options: Options, distinct: int) -> None:
        self._manifest, self._out, self._options = manifest, out, options
        self._size, self._distinct = options.shard_utterances, distinct
        self._graph = build_graph(options)
        self._columns = wanted_columns(self._graph, options)
        self._corpus = Corpus(layout="manifest", root=manifest.parent, utterances=())
        self._tally, self._plan, self._kept = Tally(), list[pa.Table](), list[KeptRows]()
        self._hashes: list[tuple[str, tuple[int, int]]] = []
        self._rows = 0

    def carry_out(self) -> int:
        inputs = unchanged.inputs_of(self._manifest, self._options, self._graph)
        (self._out / layout.STATE).mkdir(parents=True)
        states = SourceStates(self._out / "none")
        with self._manifest.open("rb") as lines:
            names = [json.loads(line)["audio"] for line in islice(lines, self._distinct)]
        self._hashes = [states.look(self._corpus.root / name) for name in names]
        record = self._aligner(self._block(*next(self._blocks())))
        self._scene = scene = Scene.of(
            self._graph, self._out, self._options, self._corpus, Remembered()
        )
        self._members = self._real_tars()
        scalars = [name for column in self._columns for name in self._graph.scalars(column)]
        self._schema = index_schema(self._columns, scalars)
        (self._out / layout.STATE / self._graph.screen_folder()).mkdir()
        index = write_tables(self._out / layout.INDEX, self._tables(), self._schema)
        index.rename(self._out / layout.INDEX)
        write_rejected(self._out / layout.REJECTED, []).rename(self._out / layout.REJECTED)
        self._finish(scene, record)
        self._save_state(inputs)
        return sum(self._tally.tars.values())

    def _blocks(self) -> Iterator[tuple[int, list[bytes]]]:
        """Lines of the manifest, which are sorted by key, with the number of their first shard."""
        many, number = _BLOCK * self._size, 0
        with self._manifest.open("rb") as lines:
            while part := [*islice(lines, many)]:
                yield number, part
                number += -(-len(part) // self._size)

    def _block(self, number: int, lines: list[bytes]) -> _Block:
        """Utterances of lines, whose recordings are links to a few, each in its turn."""
        options, first = self._options, number * self._size
        rows = [json.loads(line) for line in lines]
        utterances = [
            Utterance(id=row["id"], source=row["audio"], text=row["text"], speaker=row["speaker"])
            for row in rows
        ]
        sources = [
            _source(one, options.language, None, *self._hashes[(first + i) % len(self._hashes)])
            for i, one in enumerate(utterances)
        ]
        splits = [
            assign_split(u, val_share=options.val_share, val_by=options.val_by) for u in utterances
        ]
        return _Block(sources, splits)

    def _aligner(self, first: _Block) -> Any:
        asset = AlignerAsset(self._out, self._graph, self._options)
        record = asset.choose((source, 1.0) for source in first.sources[:2000])
        table, rng = phoneme_table(self._options), np.random.default_rng(0)
        mel = rng.standard_normal((80, 75)).astype(np.float16)
        example = (mel, table.ids(["<sil>", "a", "b", "<sil>"]))
        train_and_save([example], asset.weights(record), table=table)
        self._graph = asset.apply(self._graph, record)
        return record

    def _real_tars(self) -> dict[str, Marker]:
        """A tar of each column, with as many members as a shard has."""
        rng = np.random.default_rng(1)
        frames = rng.integers(60, 400, self._size)
        tokens = [np.full(max(4, t // 8), t // max(4, t // 8), np.uint16) for t in frames.tolist()]
        for one, t in zip(tokens, frames.tolist(), strict=True):
            one[0] += t - int(one.sum())
        self._frames, self._phones = frames, [len(one) for one in tokens]
        found = {}
        for column in self._columns:
            spec, stage = self._graph.spec(column), self._graph.stages[column]
            values = [_value(spec, t, one, rng) for t, one in zip(frames, tokens, strict=True)]
            writer = TarWriter(self._out / self._graph.folder(column), 0, spec)
            for i, value in enumerate(values):
                data, shape = encode_value(spec, value)
                writer.add(Member(key=f"u{i:07d}", data=data, shape=shape, source="x"))
            found[column] = writer.commit(stage.summarise(values) if spec.dtype != "json" else {})
            found[column].path.unlink()
        return found

    def _tables(self) -> Iterator[pa.Table]:
        """Tables of the index, a block after the other; two processes make them."""
        _AT_WORK.append(self)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            for table, tally, plan, kept in pool.imap(_made_of, self._blocks()):
                self._plan.append(plan)
                self._kept.append(kept)
                self._tally.checksums += tally.checksums
                self._tally.splits.update(tally.splits)
                self._tally.bytes.update(tally.bytes)
                self._tally.tars.update(tally.tars)
                self._rows += table.num_rows
                yield table
        for column, marker in self._members.items():
            self._tally.sums[column] = dict(marker.summary)
            marker.tar.unlink()

    def make_block(
        self, block: tuple[int, list[bytes]]
    ) -> tuple[pa.Table, Tally, pa.Table, KeptRows]:
        """Write all shards of a block; returns what is to be known of them."""
        first, lines = block
        self._tally, found = Tally(), self._block(first, lines)
        parts = []
        for start in range(0, len(lines), self._size):
            end = start + self._size
            number = first + start // self._size
            parts.append(self._shard(number, found.sources[start:end], found.splits[start:end]))
        return (pa.concat_tables(parts).combine_chunks(), self._tally, *self._note(found, first))

    def _shard(self, number: int, sources: list[Source], splits: list[str]) -> pa.Table:
        """Write the targets and the screening of a shard; returns its rows of the index."""
        n, rate, scene = len(sources), self._graph.grid.sample_rate, self._scene
        states = dict[tuple[str, ...], list[str]]()
        frames, keys = self._frames[:n], [source.key for source in sources]
        samples = frames * self._graph.grid.hop_length
        scalars = {
            "samples": samples.astype(float),
            "level_db": np.full(n, -20.0),
            "tokens": np.array(self._phones[:n], float),
            "phones": np.array(self._phones[:n], float),
        }
        fields: dict[str, Any] = {
            "key": keys,
            "id": keys,
            "shard": np.full(n, number, np.int32),
            "split": splits,
            "speaker": [source.utterance.speaker for source in sources],
            "language": [self._options.language] * n,
            "text": [source.utterance.text for source in sources],
            "seconds": samples / rate,
            "frames": frames.astype(np.int32),
            "phones": np.array(self._phones[:n], np.int32),
            "audio_hash": [source.audio_hash for source in sources],
            "level_db": scalars["level_db"],
            "row_crc": np.zeros(n, np.uint32),
        }
        for column, real in self._members.items():
            names = self._graph.sources(column)
            if names not in states:
                states[names] = [source.state(names) for source in sources]
            fields |= self._target(column, real, number, keys, states[names], scalars)
        self._tally.splits.update(splits)
        screens = {
            "key": keys,
            "source": [scene.screen_state(source) for source in sources],
            **{name: [""] * n for name in ("stage", "reason", "message")},
            **{f"scalar.{name}": values for name, values in scalars.items()},
        }
        pq.write_table(pa.table(screens), scene.screens.path(number), write_page_checksum=True)
        return pa.table(
            [pa.array(fields[f.name], f.type) if f.name in fields else pa.nulls(n, f.type)
             for f in self._schema],
            schema=self._schema,
        )  # fmt: skip

    def _target(
        self, column: str, real: Marker, number: int, keys: list[str], state: list[str],
        scalars: dict[str, np.ndarray],
    ) -> dict[str, Any]:  # fmt: skip
        """Write a marker and a link to a tar; returns the column's fields of the index."""
        rows = real.rows[: len(keys)]
        digest = target_digest(zip(keys, state, strict=True))
        path = real.path.with_name(f"{target_stem(number, digest)}.parquet")
        where = {
            "offset": pa.array([row.offset for row in rows], pa.int64()),
            "size": pa.array([row.size for row in rows], pa.int64()),
            "shape": pa.array([row.shape for row in rows], pa.list_(pa.int32())),
            "crc32": pa.array([row.crc32 for row in rows], pa.uint32()),
        }
        metadata = {
            "column": column,
            "shard": number,
            "digest": digest,
            "sha256": real.sha256,
            "size": real.size,
            "summary": real.summary,
        }
        table = pa.table(
            {"key": keys, **where, "source": state,
             **{f"scalar.{name}": scalars[name] for name in sorted(scalars)}}
        ).replace_schema_metadata({MARKER_METADATA: canonical_json(metadata)})  # fmt: skip
        data = table_bytes(table)
        path.write_bytes(data)
        os.link(real.tar, path.with_suffix(".tar"))
        folder = path.parent.name
        self._tally.checksums += [
            (f"{folder}/{path.stem}.tar", real.sha256),
            (f"{folder}/{path.name}", hashlib.sha256(data).hexdigest()),
        ]
        self._tally.bytes[column] += real.size
        self._tally.tars[column] += 1
        name = f"{folder}/{path.stem}.tar"
        return {
            f"{column}_file": [name] * len(keys),
            **{f"{column}_{what}": values for what, values in where.items()},
        }

    def _note(self, block: _Block, first: int) -> tuple[pa.Table, KeptRows]:
        """What plan and state hold of a block."""
        n = len(block.sources)
        shards = (first + np.arange(n) // self._size).astype(np.int32)
        keys = pa.array([source.key for source in block.sources])
        stamps = np.array([source.stamp for source in block.sources], np.int64)
        kept = KeptRows(
            digests=np.zeros((n, 2), np.uint64),
            shards=shards,
            splits=np.array([SPLITS.index(split) for split in block.splits], np.int8),
            sizes=stamps[:, 0],
            times=stamps[:, 1],
            sources=pa.chunked_array(
                [pa.array([source.utterance.source for source in block.sources])]
            ),
        )
        return pa.table({"key": keys, "shard": shards}), kept

    def _finish(self, scene: Scene, record: Any) -> None:
        """Write checksums and card."""
        out, summary, tally = self._out, Summary(), self._tally
        whole = pq.read_table(
            out / layout.INDEX, columns=["frames", "phones", "seconds", "speaker"]
        )
        tally.counts["frames"] = int(whole["frames"].to_numpy().sum(dtype=np.int64))
        tally.counts["phones"] = int(whole["phones"].to_numpy().sum(dtype=np.int64))
        tally.speakers = set(whole["speaker"].unique().to_pylist())
        tally.languages[self._options.language] = self._rows
        summary.found = summary.written = self._rows
        summary.hours = float(np.add.accumulate(whole["seconds"].to_numpy() / 3600)[-1])
        summary.hours_found = summary.hours
        summary.sums = {self._graph.folder(c): sums for c, sums in tally.sums.items() if sums}
        summary.column_bytes = {column: tally.bytes[column] for column in self._columns}
        finisher = Finisher(
            out=out, options=self._options, layout="manifest", scene=scene, shards=(),
            columns=self._columns, aligner=record, summary=summary,
        )  # fmt: skip
        assets = finisher._write_assets()
        for path in (*assets, out / layout.INDEX, out / layout.REJECTED):
            tally.checksums.append((path.relative_to(out).as_posix(), sha256_file(path)))
        text = "".join(f"{digest}  {name}\n" for name, digest in sorted(tally.checksums)).encode()
        (out / layout.SUMS).write_bytes(text)
        card = finisher._card(tally, assets, hashlib.sha256(text).hexdigest())
        (out / layout.CARD).write_bytes(card.text().encode())
        write_readme(out, card)
        self._summary = summary

    def _save_state(self, inputs: str | None) -> None:
        out, root = self._out, self._corpus.root
        placement._write(layout.plan_file(out), pa.concat_tables(self._plan), self._size)
        self._plan.clear()
        lines, kept = read_lines(self._manifest), self._kept
        names = ("shards", "splits", "sizes", "times")
        rows = KeptRows(
            digests=lines.digests,
            **{name: np.concatenate([getattr(one, name) for one in kept]) for name in names},
            sources=pa.chunked_array([chunk for one in kept for chunk in one.sources.chunks]),
        )
        rows.save(layout.rows_file(out))
        import pyarrow.compute as pc

        paths = pc.binary_join_element_wise(pa.scalar(f"{root}"), rows.sources, "/")
        digests = pa.array([digest for digest, _ in self._hashes])
        seen = {
            "path": paths,
            "size": rows.sizes,
            "mtime_ns": rows.times,
            "hash": digests.take(pa.array(np.arange(len(rows)) % self._distinct)),
        }
        pq.write_table(pa.table(seen), layout.state_file(out), write_page_checksum=True)
        head = {
            "inputs": inputs,
            "summary": {name: getattr(self._summary, name) for name in unchanged._COUNTED},
            "notes": [],
            "told": [],
            "table": str(self._manifest),
            "rows": rows.digest,
            "missing": False,
            "retried": [],
        }
        unchanged._write(layout.finished_file(out), head, unchanged._as_they_are(out))


_AT_WORK: list[_Making] = []
"""What the processes that are forked work on."""


def _made_of(block: tuple[int, list[bytes]]) -> tuple[pa.Table, Tally, pa.Table, KeptRows]:
    return _AT_WORK[0].make_block(block)


def _value(spec: Any, frames: int, durations: np.ndarray, rng: np.random.Generator) -> Any:
    """A value of a column, of an utterance of so many frames."""
    if spec.dtype == "json":
        return {"text": "made up"}
    if spec.name == "durations":
        return durations
    sizes = {"T": int(frames), "N": len(durations)}
    shape = tuple(d if isinstance(d, int) else sizes[d] for d in spec.dims)
    if spec.dtype.startswith("float"):
        return (100 + rng.random(shape)).astype(spec.dtype)
    return rng.integers(1, 40, shape).astype(spec.dtype)
