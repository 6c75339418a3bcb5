"""Tiny datasets with made-up arrays that keep the contract; they are written quickly.

They are written by the real writer, index and card code; only the stages are left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.hashing import canonical_json, sha256_file, short_hash
from ns2.pipeline.core.schema import (
    BORDER,
    COLUMNS,
    SILENCE,
    ColumnSpec,
    FrameGrid,
    Kind,
    Reason,
    Rejection,
    Utterance,
)
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.index import index_schema, row_crc
from ns2.pipeline.dataset.layout import FORMAT, FORMAT_VERSION
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.shards import Marker, Member, TarWriter, encode_value
from ns2.pipeline.dataset.sums import checksum_text, target_checksums
from ns2.pipeline.preprocess.finish.publish import (
    Publisher,
    ShardContent,
    index_rows,
    write_index,
    write_rejected,
)
from ns2.pipeline.preprocess.finish.statistics import add_sums, f0_statistics
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.work.screening import Screened
from ns2.pipeline.stages.graph import Graph

GRID = FrameGrid()
MEL_CONFIG = {"bins": 20, "fmin": 0.0, "fmax": 12_000.0}
TABLE = PhonemeTable(marks=(",", ".", "?"), phones=tuple("abdefghijklmnoprstuvwzæðŋɐɑɔəɛɡɪɹɾʃʊʌʒθ"))
ENTRIES = 64
LATENT_DIM = 3

Change = Callable[[str, str, Any], Any]
"""Takes a column, a key and the value that would be written; returns the value to write."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a made-up dataset holds.

    Attributes:
        shards, per_shard: the number of shards, and of utterances in each.
        columns: the names of the columns.
        frames: the smallest and largest T of an utterance.
        quantizers: Q of the codes.
        change: applied to every value before it is written, to make a wrong dataset whose
            checksums are right.
        change_row: the same for index rows; returns the rows to write in place of a row.
        change_card: the same for the JSON values of the card.
        seed: the seed of all values.
        words: the words of every utterance.
    """

    shards: int = 3
    per_shard: int = 3
    columns: tuple[str, ...] = tuple(COLUMNS)
    frames: tuple[int, int] = (24, 40)
    quantizers: int = 4
    change: Change | None = None
    change_row: Callable[[dict[str, Any]], list[dict[str, Any]]] | None = None
    change_card: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    seed: int = 0
    words: tuple[str, ...] = field(default=("so", "much", "light"))


def specs(recipe: Recipe) -> dict[str, ColumnSpec]:
    """The specifications of a recipe's columns."""
    sizes: dict[str, int] = {"Q": recipe.quantizers, "M": MEL_CONFIG["bins"]}  # type: ignore[dict-item]
    return {
        name: ColumnSpec(
            name=name, dtype=COLUMNS[name][0], dims=tuple(sizes.get(d, d) for d in COLUMNS[name][1])
        )
        for name in recipe.columns
    }


def make_values(
    rng: np.random.Generator, recipe: Recipe, source: Source, table: PhonemeTable
) -> dict[str, Any]:
    """All columns of one utterance, true to the contract."""
    frames = int(rng.integers(*recipe.frames, endpoint=True))
    samples = frames * GRID.hop_length - int(rng.integers(0, GRID.hop_length))
    phones = [s for s in table.symbols(range(1, len(table))) if s not in table.optional]
    tokens, words = [SILENCE], []
    for word in source.utterance.text.split():
        if words:
            tokens.append(BORDER)
        first = len(tokens)
        tokens += [str(phone) for phone in rng.choice(phones, size=2)]
        words.append([word, first, len(tokens)])
    tokens.append(SILENCE)
    least = np.array([0 if token in table.optional else 1 for token in tokens])
    durations = least + rng.multinomial(frames - least.sum(), np.full(len(tokens), 1 / len(tokens)))
    f0 = np.where(rng.random(frames) < 0.6, rng.uniform(80, 300, frames), 0)
    f0[0] = 120.0  # at least one frame is voiced
    return {
        "codes": rng.integers(0, ENTRIES, (recipe.quantizers, frames)).astype(np.uint16),
        "mel": rng.normal(-4, 2, (MEL_CONFIG["bins"], frames)).astype(np.float16),
        "f0": f0.astype(np.float32),
        "phonemes": np.asarray(table.ids(tokens)).astype(np.uint16),
        "durations": durations.astype(np.uint16),
        "meta": {
            "text": source.utterance.text,
            "phonemes": tokens,
            "words": words,
            "speaker": source.utterance.speaker,
            "language": source.utterance.language,
            "id": source.utterance.id,
            "source": source.utterance.source,
            "audio_hash": source.audio_hash,
            "samples": samples,
        },
    }


def make_sources(recipe: Recipe, shard: int) -> list[Source]:
    """The utterances of a shard, sorted by key."""
    sources = []
    for i in range(recipe.per_shard):
        number = shard * recipe.per_shard + i
        utterance = Utterance(
            id=f"utt{number:04d}",
            source=f"wavs/utt{number:04d}.wav",
            text=" ".join(recipe.words),
            speaker=f"speaker{number % 2}",
            language="en-us",
            split="val" if number % 4 == 1 else "train",
        )
        sources.append(
            Source(
                utterance=utterance,
                key=utterance.key,
                audio_hash=short_hash(["audio", number, recipe.seed]),
                text_hash=short_hash(["text", number, recipe.seed]),
                record_hash=short_hash(["record", number]),
            )
        )
    return sources


def make_rejected() -> list[Rejection]:
    """A ledger of three: two rejected and one filtered."""
    common: Mapping[str, Any] = {"source": "wavs/x.wav", "message": "made up"}
    return [
        Rejection(id="x1", key="x1", kind=Kind.REJECTED, stage="audio",
                  reason=Reason.AUDIO_SILENT, **common),
        Rejection(id="x2", key="x2", kind=Kind.REJECTED, stage="tokens",
                  reason=Reason.NOTHING_SPEAKABLE, **common),
        Rejection(id="x3", key="x3", kind=Kind.FILTERED, stage="audio",
                  reason=Reason.TOO_LONG, **common),
    ]  # fmt: skip


def folder(column: str) -> str:
    """The folder of a column's tars."""
    return f"{column}-{short_hash([column], 12)}"


def make_dataset(root: Path, recipe: Recipe | None = None) -> Path:
    """Write a dataset and return its folder."""
    recipe = recipe or Recipe()
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(recipe.seed)
    contents = [_write_shard(root, recipe, shard, rng, TABLE) for shard in range(recipe.shards)]
    markers = [marker for content in contents for marker in content.markers.values()]
    rejected = make_rejected()
    publisher = Publisher(root)
    totals = _Totals()
    rows = _index_rows(root, recipe, contents, totals)
    index = write_index(root / layout.INDEX, rows, index_schema(recipe.columns))
    publisher.replace(layout.REJECTED, write_rejected(root / layout.REJECTED, rejected))
    publisher.replace(layout.INDEX, index)
    assets = _write_assets(root, recipe, TABLE)
    sums = target_checksums(root, markers)
    sums += [(name, sha256_file(root / name)) for name in (*assets, layout.INDEX, layout.REJECTED)]
    checksums = checksum_text(sums).encode()
    publisher.write(layout.SUMS, checksums)
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "ns2": "0.1.0",
        "grid": {
            "sample_rate": GRID.sample_rate,
            "hop_length": GRID.hop_length,
            "frame_rate": GRID.frame_rate,
        },
        "corpus": {"layout": "made-up"},
        "options": {"val_share": 0.02, "tiny": 1e-07},
        "counts": _count_values(totals, rejected),
        "columns": _column_values(recipe, markers),
        "stages": {},
        "statistics": _statistics(totals, markers),
        "assets": assets,
        "sha256sums": hashlib.sha256(checksums).hexdigest(),
    }
    if recipe.change_card is not None:
        card = recipe.change_card(card)
    publisher.write(layout.CARD, card_text(sealed(card)).encode())
    return root


@dataclass
class _Totals:
    """Sums over the rows of the index, before they are changed by a recipe."""

    written: int = 0
    hours: float = 0.0
    frames: int = 0
    phones: int = 0
    splits: Counter[str] = field(default_factory=Counter)


def _index_rows(
    root: Path, recipe: Recipe, contents: Sequence[ShardContent], totals: _Totals
) -> Iterator[dict[str, Any]]:
    """The rows of the index as the recipe changes them; adds up the totals meanwhile."""
    graph = Graph(grid=GRID, stages={}, assets={})
    for content in contents:
        for row in index_rows(
            content, root, graph, language="en-us", split=lambda s: s.utterance.split
        ):
            totals.written += 1
            totals.hours += row["seconds"] / 3600
            totals.frames += row["frames"]
            totals.phones += row["phones"]
            totals.splits[row["split"]] += 1
            changed = recipe.change_row(dict(row)) if recipe.change_row else [row]
            yield from ({**new, "row_crc": row_crc(new)} for new in changed)


def _count_values(totals: _Totals, rejected: Sequence[Rejection]) -> dict[str, Any]:
    return {
        "found": totals.written + len(rejected),
        "written": totals.written,
        "rejected": 2,
        "filtered": 1,
        "reasons": {str(rejection.reason): 1 for rejection in rejected},
        "hours": totals.hours,
        "frames": totals.frames,
        "phones": totals.phones,
        "speakers": min(2, totals.written),
        "splits": dict(sorted(totals.splits.items())),
        "languages": {"en-us": totals.written},
    }


def _column_values(recipe: Recipe, markers: Sequence[Marker]) -> dict[str, Any]:
    return {
        name: {
            "folder": folder(name),
            "dtype": spec.dtype,
            "dims": list(spec.dims),
            "tars": recipe.shards,
            "bytes": sum(marker.size for marker in markers if marker.column == name),
            "version": 1,
            "config": _config(name, recipe),
            "libraries": {},
            "requires": ["audio"],
        }
        for name, spec in specs(recipe).items()
    }


def _statistics(totals: _Totals, markers: Sequence[Marker]) -> dict[str, Any]:
    latents = {"frames": totals.frames, "mean": [0.5, -0.25, 1e-05], "std": [1.0, 2.0, 1.5]}
    f0_sums: dict[str, Any] = {}
    for marker in markers:
        if marker.column == "f0":
            add_sums(f0_sums, marker.summary)
    return {"latents": latents, **({"f0": f0_statistics(f0_sums)} if f0_sums else {})}


def _config(column: str, recipe: Recipe) -> dict[str, Any]:
    if column == "mel":
        return dict(MEL_CONFIG)
    if column == "codes":
        return {"codec": "made-up", "quantizers": recipe.quantizers, "weights": "0" * 64}
    return {}


def _write_shard(
    root: Path, recipe: Recipe, shard: int, rng: np.random.Generator, table: PhonemeTable
) -> ShardContent:
    sources = make_sources(recipe, shard)
    values = {source.key: make_values(rng, recipe, source, table) for source in sources}
    markers: dict[str, Marker] = {}
    for name, spec in specs(recipe).items():
        writer = TarWriter(root / folder(name), shard, spec)
        summary: dict[str, float] = {}
        for source in sources:
            value = values[source.key][name]
            scalars = _scalars(name, value)
            if name == "f0":
                add_sums(summary, _f0_sums(value))
            if recipe.change is not None:
                value = recipe.change(name, source.key, value)
            data, shape = (
                (value, ()) if isinstance(value, bytes) else encode_value(_of(value, spec), value)
            )
            state = source.state(("audio_file", "text") if name != "mel" else ("audio_file",))
            writer.add(
                Member(key=source.key, data=data, shape=shape, source=state, scalars=scalars)
            )
        markers[name] = writer.commit(summary)
    screened = {
        key: Screened(
            key=key,
            source="",
            scalars={
                "samples": made["meta"]["samples"],
                "phones": sum(token not in table.optional for token in made["meta"]["phonemes"]),
                "level_db": -23.5,
            },
        )
        for key, made in values.items()
    }
    return ShardContent(number=shard, members=tuple(sources), screened=screened, markers=markers)


def _of(value: Any, spec: ColumnSpec) -> ColumnSpec:
    """A specification that a value fits, so that wrong values can be written, too."""
    if spec.dtype == "json":
        return spec
    return ColumnSpec(name=spec.name, dtype=str(value.dtype), dims=spec.dims)


def _scalars(column: str, value: Any) -> dict[str, float]:
    if column == "f0":
        voiced = value[value > 0]
        return {
            "voiced_share": len(voiced) / len(value),
            "f0_median": float(np.median(voiced)),
        }
    return {"align_score": -1.25} if column == "durations" else {}


def _f0_sums(f0: np.ndarray) -> dict[str, float]:
    voiced = f0[f0 > 0].astype(np.float64)
    logs = np.log(voiced)
    return {
        "frames": len(f0),
        "voiced": len(voiced),
        "log_sum": float(logs.sum()),
        "log_sum_squares": float(np.square(logs).sum()),
        "min": float(voiced.min()),
        "max": float(voiced.max()),
    }


def _write_assets(root: Path, recipe: Recipe, table: PhonemeTable) -> list[str]:
    from safetensors.numpy import save

    (root / layout.ASSETS).mkdir(exist_ok=True)
    names = []
    if "phonemes" in recipe.columns:
        names.append(f"{layout.ASSETS}/phonemes-{short_hash(['phonemes'], 12)}.json")
        write_if_changed(root / names[-1], canonical_json(table.to_json()).encode())
    if "codes" in recipe.columns:
        books = np.zeros((recipe.quantizers, ENTRIES, LATENT_DIM), np.float32)
        names.append(f"{layout.ASSETS}/codebooks-{short_hash(['codes'], 12)}.safetensors")
        about = canonical_json({"name": "made-up", "entries": ENTRIES, "latent_dim": LATENT_DIM})
        write_if_changed(root / names[-1], save({"codebooks": books}, metadata={"codec": about}))
    return names
