"""The end of a run: ledger, index, checksums and card, made from the markers alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from ns2.pipeline.core.atomic import member_folder
from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.core.schema import Kind, Rejection
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import Card, Counts
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.shards import Marker
from ns2.pipeline.dataset.sums import check_vouched, checksum_text, target_checksums, vouched_sums
from ns2.pipeline.preprocess.aligner_asset import AlignerRecord
from ns2.pipeline.preprocess.finish.publish import (
    Publisher,
    index_rows,
    read_content,
    write_index,
    write_rejected,
)
from ns2.pipeline.preprocess.finish.readme import write_readme
from ns2.pipeline.preprocess.finish.splits import assign_split
from ns2.pipeline.preprocess.finish.statistics import add_sums, f0_statistics, latent_statistics
from ns2.pipeline.preprocess.finish.surveys import survey_all, what_surveys_say
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.recipe import describe, describe_column, described_options
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
        sums: what the card's statistics are made of, by the folder of a column.
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
    sums: dict[str, dict[str, Any]] = field(default_factory=dict)
    stage_seconds: Counter[str] = field(default_factory=Counter)
    stage_audio_seconds: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)

    @property
    def rejected_share(self) -> float:
        """Rejected (not filtered) utterances over those found."""
        rejected = sum(rejection.kind == Kind.REJECTED for rejection in self.rejected)
        return rejected / self.found if self.found else 0.0

    def reasons(self) -> dict[tuple[str, str], int]:
        """How many utterances were left out, by kind and reason."""
        return dict(sorted(Counter((str(r.kind), str(r.reason)) for r in self.rejected).items()))

    def counted_reasons(self) -> dict[str, int]:
        """How many utterances were left out by reason, rejected and filtered ones together."""
        counted = Counter[str]()
        for (_, reason), count in self.reasons().items():
            counted[reason] += count
        return dict(counted)

    def render(self, out: str | Path) -> str:
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


@dataclass
class Tally:
    """What is counted of a dataset while its index is written, shard by shard.

    Attributes:
        counts: of rows, by what they hold.
        speakers: all of them.
        tars, bytes: of the current tars, by column.
        sums: float64 sums over all frames, by column.
        checksums: (name, SHA-256) of tars and markers.
    """

    counts: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    speakers: set[str] = field(default_factory=set)
    tars: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    sums: dict[str, dict[str, Any]] = field(default_factory=dict)
    checksums: list[tuple[str, str]] = field(default_factory=list)

    def add_markers(self, out: Path, markers: Mapping[str, Marker]) -> None:
        """Count the targets of a shard."""
        self.checksums.extend(target_checksums(out, markers.values()))
        for column, marker in markers.items():
            add_sums(self.sums.setdefault(column, {}), marker.summary)
            self.bytes[column] += marker.size
            self.tars[column] += 1

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Count an utterance."""
        self.counts["frames"] += row["frames"]
        self.counts["phones"] += row["phones"]
        self.splits[row["split"]] += 1
        self.languages[row["language"]] += 1
        self.speakers.add(row["speaker"])

    def statistics(self) -> dict[str, Any]:
        """The card's statistics."""
        found: dict[str, Any] = {}
        if self.sums.get("codes"):
            found["latents"] = latent_statistics(self.sums["codes"])
        if self.sums.get("f0"):
            found["f0"] = f0_statistics(self.sums["f0"])
        return found


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

    def carry_out(self, unusable: Sequence[Rejection]) -> None:
        """Put everything in place, the card last.

        Args:
            unusable: utterances that were rejected before any stage saw them.

        Raises:
            UserError: a marker, tar or asset that was there before is damaged.
        """
        out, summary, tally = self.out, self.summary, Tally()
        vouched = vouched_sums(out)
        # The index is written beside the one that is there; all that the card tells is counted.
        summary.rejected = list(unusable)
        scalars = [name for column in self.columns for name in self.scene.graph.scalars(column)]
        schema = index_schema(self.columns, scalars, confidence=self._confidence)
        index = self._write_index(schema, tally, vouched)
        self._check_ledger()
        summary.column_bytes = {c: tally.bytes[c] for c in self.columns}
        summary.sums = {self.scene.graph.folder(c): sums for c, sums in tally.sums.items() if sums}
        assets = self._write_assets()
        tally.checksums += self._checksums(assets)
        # What was there before must still be what the last card vouched for.
        try:
            check_vouched(out, tally.checksums, vouched)
        except BaseException:
            index.unlink()
            raise
        # Ledger, index, checksums and card are put in place, in this order; then what tells of it.
        publisher = Publisher(out)
        publisher.replace(layout.REJECTED, write_rejected(out / layout.REJECTED, summary.rejected))
        publisher.replace(layout.INDEX, index)
        tally.checksums += self._checksums([out / layout.INDEX, out / layout.REJECTED])
        checksums = checksum_text(tally.checksums).encode()
        publisher.write(layout.SUMS, checksums)
        card = self._card(tally, assets, hashlib.sha256(checksums).hexdigest())
        publisher.write(layout.CARD, card.text().encode())
        write_readme(out, card)

    def _write_index(self, schema: pa.Schema, tally: Tally, vouched: Mapping[str, str]) -> Path:
        """Write the index beside the one that is there, and count what it holds.

        Args:
            vouched: SHA-256 by name, as the last card vouched for them.
        """
        return write_index(self.out / layout.INDEX, self._rows(tally), schema)

    def _rows(self, tally: Tally) -> Iterator[Mapping[str, Any]]:
        """Index rows shard by shard, each counted; those left out go to the summary."""
        scene, summary = self.scene, self.summary
        rate = scene.graph.grid.sample_rate
        surveys = survey_all(scene, self.shards, self.columns)
        for shard in self.shards:
            state = ShardState.load(scene, shard, self.columns)
            samples = sum(row.scalars.get("samples", 0) for row in state.screened.values())
            summary.hours_found += samples / 3600 / rate
            members = state.members()
            summary.rejected += self._left_out(state, members)
            if not members:
                continue
            content = read_content(
                scene.targets, shard.number, members, state.screened, self.columns
            )
            tally.add_markers(self.out, content.markers)
            for row in index_rows(
                content,
                self.out,
                scene.graph,
                language=scene.language,
                split=self._split,
                confidence=self._confidence,
                surveyed=what_surveys_say(surveys, content, scene.graph),
            ):
                tally.add_row(row)
                summary.hours += row["seconds"] / 3600
                summary.written += 1
                yield row

    @cached_property
    def _confidence(self) -> bool:
        """Whether the corpus gives a confidence."""
        return any(
            source.utterance.confidence is not None
            for shard in self.shards
            for source in shard.sources
        )

    @staticmethod
    def _left_out(state: ShardState, members: Sequence[Source]) -> list[Rejection]:
        """The ledger's rows of utterances of a shard that are not in the dataset."""
        included = {source.key for source in members}
        left_out: list[Rejection] = []
        for source in state.shard.sources:
            if source.key not in included:
                failure = state.exclusion(source)
                assert failure is not None
                left_out.append(as_rejection(source, failure))
        return left_out

    def _check_ledger(self) -> None:
        found, written, left_out = (
            self.summary.found,
            self.summary.written,
            len(self.summary.rejected),
        )
        if found != written + left_out:
            raise RuntimeError(
                f"the ledger does not balance: found {found}, written {written}, "
                f"rejected or filtered {left_out}"
            )

    def _split(self, source: Source) -> str:
        return assign_split(
            source.utterance, val_share=self.options.val_share, val_by=self.options.val_by
        )

    def _write_assets(self) -> list[Path]:
        """Write the stages' assets; gives all files of the assets folder that are current."""
        folder, graph = self.out / layout.ASSETS, self.scene.graph
        member_folder(self.out, layout.ASSETS)
        written = [
            stage.write_asset(folder, graph.fingerprint(name))
            for name, stage in graph.stages.items()
            if name in self.columns or name in SCREEN
        ]
        paths = [path for path in written if path is not None]
        if self.aligner is not None:
            stem = f"aligner-{self.aligner.fingerprint}"
            paths += [folder / f"{stem}.json", folder / f"{stem}.safetensors"]
        return paths

    def _checksums(self, paths: Sequence[Path]) -> list[tuple[str, str]]:
        return [(path.relative_to(self.out).as_posix(), sha256_file(path)) for path in paths]

    def _card(self, tally: Tally, assets: Sequence[Path], sha256sums: str) -> Card:
        """What the dataset is."""
        summary, graph = self.summary, self.scene.graph
        kinds = Counter(rejection.kind for rejection in summary.rejected)
        return Card(
            ns2=version("ns2"),
            grid=graph.grid,
            corpus={"layout": self.layout},
            options=described_options(graph, self.options),
            counts=Counts(
                found=summary.found,
                written=summary.written,
                rejected=kinds[Kind.REJECTED],
                filtered=kinds[Kind.FILTERED],
                reasons=summary.counted_reasons(),
                hours=summary.hours,
                frames=tally.counts["frames"],
                phones=tally.counts["phones"],
                speakers=len(tally.speakers),
                splits=dict(sorted(tally.splits.items())),
                languages=dict(sorted(tally.languages.items())),
            ),
            columns={
                column: describe_column(
                    graph, column, tars=tally.tars[column], size=tally.bytes[column]
                )
                for column in self.columns
            },
            stages={
                name: describe(graph, name)
                for name, stage in graph.stages.items()
                if stage.column is None
            },
            screen=graph.screen_folder(),
            statistics=tally.statistics(),
            assets=tuple(path.relative_to(self.out).as_posix() for path in assets),
            sha256sums=sha256sums,
        ).sealed()
