"""The end of a run: ledger, index, checksums and card, made from the markers alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.schema import Kind, Rejection
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.layout import FORMAT, FORMAT_VERSION
from ns2.pipeline.dataset.sums import check_vouched, checksum_text, target_checksums, vouched_sums
from ns2.pipeline.preprocess.aligner_asset import AlignerRecord
from ns2.pipeline.preprocess.finish.publish import (
    Finish,
    index_rows,
    read_content,
    write_index,
    write_rejected,
)
from ns2.pipeline.preprocess.finish.splits import assign_split
from ns2.pipeline.preprocess.finish.statistics import add_sums, f0_statistics, latent_statistics
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.recipe import describe, described_options
from ns2.pipeline.preprocess.work.failure import as_rejection
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.shard_state import ShardState
from ns2.pipeline.stages.graph import SCREEN


@dataclass(kw_only=True)
class Summary:
    """What a run did.

    Attributes:
        found, written: utterances; found = written + len(rejected), filtered ones included.
        hours_found: of all that could be decoded.
        hours: of speech written.
        column_bytes: size of the current tars, by column.
        stage_seconds: spent in each stage of this run.
        stage_audio_seconds: of speech that each stage worked on in this run.
        made: targets that this run wrote, by column.
    """

    found: int = 0
    written: int = 0
    hours_found: float = 0.0
    hours: float = 0.0
    rejected: list[Rejection] = field(default_factory=list)
    column_bytes: dict[str, int] = field(default_factory=dict)
    stage_seconds: Counter[str] = field(default_factory=Counter)
    stage_audio_seconds: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)

    @property
    def rejected_share(self) -> float:
        """Rejected (not filtered) utterances over those found."""
        rejected = sum(one.kind == Kind.REJECTED for one in self.rejected)
        return rejected / self.found if self.found else 0.0

    def reasons(self) -> dict[tuple[str, str], int]:
        """How many utterances were left out, by kind and reason."""
        return dict(sorted(Counter((str(r.kind), str(r.reason)) for r in self.rejected).items()))

    def render(self, out: Path) -> str:
        """What a run did, for people.

        Args:
            out: the dataset's folder.
        """
        lines = [
            f"{out}: {self.found} utterances found ({self.hours_found:.2f} h decoded), "
            f"{self.written} written ({self.hours:.2f} h), {len(self.rejected)} left out"
        ]
        for (kind, reason), count in self.reasons().items():
            lines.append(f"  {kind:<10} {reason:<24} {count:>8}")
        if self.column_bytes:
            lines.append("column         size   new tars")
        for column, size in self.column_bytes.items():
            lines.append(f"  {column:<10} {size / 1e6:>7.1f} MB {self.made[column]:>6}")
        if self.stage_seconds:
            lines.append("stage        time   times real time")
        for stage, seconds in self.stage_seconds.items():
            speed = self.stage_audio_seconds[stage] / seconds if seconds else 0.0
            lines.append(f"  {stage:<10} {seconds:>6.1f} s {speed:>8.0f}x")
        return "\n".join(lines)


@dataclass(kw_only=True)
class Finisher:
    """Turns committed targets into a dataset; fills in the run's summary on the way.

    Attributes:
        layout: of the corpus.
        columns: of the dataset.
        aligner: what the durations' aligner was trained on; None without durations, or
            where they come from TextGrids.
    """

    out: Path
    options: Options
    layout: str
    scene: Scene
    shards: Sequence[Shard]
    columns: tuple[str, ...]
    aligner: AlignerRecord | None
    summary: Summary
    _totals: dict[str, dict[str, Any]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _speakers: set[str] = field(default_factory=set)
    _sums: list[tuple[str, str]] = field(default_factory=list)

    def carry_out(self, unusable: Sequence[Rejection]) -> None:
        """Put everything in place, the card last.

        Args:
            unusable: utterances that were rejected before any stage saw them.
        """
        out, summary = self.out, self.summary
        vouched = vouched_sums(out)
        summary.rejected = list(unusable)
        finish = Finish(out)
        index = write_index(out / layout.INDEX, self._rows(), index_schema(self.columns))
        if summary.found != summary.written + len(summary.rejected):
            raise RuntimeError(
                f"the ledger does not balance: found {summary.found}, written {summary.written}, "
                f"rejected or filtered {len(summary.rejected)}"
            )
        summary.column_bytes = {c: self._counts[f"bytes.{c}"] for c in self.columns}
        assets = self._write_assets()
        for path in assets:
            self._sums.append((path.relative_to(out).as_posix(), sha256_file(path)))
        try:
            check_vouched(out, self._sums, vouched)
        except BaseException:
            index.unlink()
            raise
        finish.replace(layout.REJECTED, write_rejected(out / layout.REJECTED, summary.rejected))
        finish.replace(layout.INDEX, index)
        for path in (out / layout.INDEX, out / layout.REJECTED):
            self._sums.append((path.relative_to(out).as_posix(), sha256_file(path)))
        checksums = checksum_text(self._sums).encode()
        finish.write(layout.SUMS, checksums)
        card = {
            **self._card(),
            "assets": [path.relative_to(out).as_posix() for path in assets],
            "sha256sums": hashlib.sha256(checksums).hexdigest(),
        }
        finish.write(layout.CARD, card_text(sealed(card)).encode())

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        """Index rows shard by shard; what else the card tells is counted on the way."""
        scene, counts, rate = self.scene, self._counts, self.scene.graph.grid.sample_rate
        for shard in self.shards:
            state = ShardState.load(scene, shard, self.columns)
            known, members = state.screened, state.members()
            samples = sum(one.scalars.get("samples", 0) for one in known.values())
            self.summary.hours_found += samples / 3600 / rate
            included = {source.key for source in members}
            for source in shard.sources:
                if source.key not in included:
                    why = state.exclusion(source)
                    assert why is not None
                    self.summary.rejected.append(as_rejection(source, why))
            if not members:
                continue
            content = read_content(scene.targets, shard.number, members, known, self.columns)
            self._sums.extend(target_checksums(self.out, content.markers.values()))
            for column, marker in content.markers.items():
                add_sums(self._totals.setdefault(column, {}), marker.summary)
                counts[f"bytes.{column}"] += marker.size
                counts[f"tars.{column}"] += 1
            for row in index_rows(
                content, self.out, scene.graph, language=scene.language, split=self._split
            ):
                counts["frames"] += row["frames"]
                counts["phones"] += row["phones"]
                counts[f"split.{row['split']}"] += 1
                counts[f"language.{row['language']}"] += 1
                self._speakers.add(row["speaker"])
                self.summary.hours += row["seconds"] / 3600
                self.summary.written += 1
                yield row

    def _split(self, source: Source) -> str:
        return assign_split(
            source.utterance, val_share=self.options.val_share, val_by=self.options.val_by
        )

    def _write_assets(self) -> list[Path]:
        """Phoneme table and codebooks; gives all files of the assets folder that are current."""
        folder, graph = self.out / layout.ASSETS, self.scene.graph
        folder.mkdir(exist_ok=True)
        paths = []
        for name, stage in graph.stages.items():
            if name in self.columns or name in SCREEN:
                path = stage.write_asset(folder, graph.fingerprint(name))
                paths += [path] if path is not None else []
        if self.aligner is not None:
            stem = f"aligner-{self.aligner.fingerprint}"
            paths += [folder / f"{stem}.json", folder / f"{stem}.safetensors"]
        return paths

    def _card(self) -> dict[str, Any]:
        """What the dataset is; without its files."""
        summary, graph, counts = self.summary, self.scene.graph, self._counts
        kinds = Counter(str(one.kind) for one in summary.rejected)
        statistics: dict[str, Any] = {}
        if self._totals.get("codes"):
            statistics["latents"] = latent_statistics(self._totals["codes"])
        if self._totals.get("f0"):
            statistics["f0"] = f0_statistics(self._totals["f0"])
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "ns2": version("ns2"),
            "grid": {
                "sample_rate": graph.grid.sample_rate,
                "hop_length": graph.grid.hop_length,
                "frame_rate": graph.grid.frame_rate,
            },
            "corpus": {"layout": self.layout},
            "options": described_options(graph, self.options),
            "counts": {
                "found": summary.found,
                "written": summary.written,
                "rejected": kinds["rejected"],
                "filtered": kinds["filtered"],
                "reasons": {reason: n for (_, reason), n in summary.reasons().items()},
                "hours": summary.hours,
                "frames": counts["frames"],
                "phones": counts["phones"],
                "speakers": len(self._speakers),
                "splits": _with_prefix(counts, "split."),
                "languages": _with_prefix(counts, "language."),
            },
            "columns": {
                column: {
                    "folder": graph.folder(column),
                    "dtype": graph.spec(column).dtype,
                    "dims": list(graph.spec(column).dims),
                    "tars": counts[f"tars.{column}"],
                    "bytes": counts[f"bytes.{column}"],
                    **describe(graph, column),
                }
                for column in self.columns
            },
            "stages": {name: describe(graph, name) for name in ("audio", "tokens")},
            "screen": graph.screen_folder(),
            "statistics": statistics,
        }


def _with_prefix(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {k.removeprefix(prefix): n for k, n in sorted(counts.items()) if k.startswith(prefix)}
