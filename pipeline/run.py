"""`ns2 preprocess`: from a corpus to a dataset.

Reads the corpus, hashes its sources, plans shards, brings every target up to date, and puts
ledger, index and card in place. Whatever is done already is found and left alone.
"""

from __future__ import annotations

import fcntl
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ns2.pipeline import index as ix
from ns2.pipeline.assets import AlignerAsset, AlignerRecord, load_sample
from ns2.pipeline.corpora import audio_path, read_corpus
from ns2.pipeline.corpora.base import Corpus
from ns2.pipeline.executors.base import Executor
from ns2.pipeline.files import TEMPORARY, atomic_write, sha256_file, write_if_changed
from ns2.pipeline.graph import SCREEN, Graph
from ns2.pipeline.jobs import Scene, ShardJob, as_rejection
from ns2.pipeline.options import Options, build_graph, describe, described_options
from ns2.pipeline.plan import Shard, load_plan, plan_shards, save_plan
from ns2.pipeline.progress import Progress
from ns2.pipeline.schema import (
    COLUMNS,
    FORMAT,
    FORMAT_VERSION,
    Kind,
    Rejection,
    UserError,
    sealed,
)
from ns2.pipeline.screening import ScreenStore
from ns2.pipeline.sources import Source, SourceStates, read_sources
from ns2.pipeline.splits import assign_split
from ns2.pipeline.statistics import add_sums, f0_statistics, latent_statistics
from ns2.pipeline.targets import Targets
from ns2.pipeline.worker import Batch, Failure

ALIGNER_HOURS = 2.0
"""Cap on the aligner's sample: what bounds its cost on any corpus."""


@dataclass(kw_only=True)
class Summary:
    """What a run did.

    Attributes:
        found, written: utterances; found = written + len(rejected), filtered ones included.
        hours: of speech written.
        column_bytes: size of the current tars, by column.
        stage_seconds: spent in each stage of this run.
        stage_audio_seconds: of speech that each stage worked on in this run.
        made: targets that this run wrote, by column.
    """

    corpus: Corpus
    found: int = 0
    written: int = 0
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


def preprocess(
    corpus_path: Path, out: Path, options: Options, executor: Executor, progress: Progress
) -> Summary:
    """Turn a corpus into a dataset, or bring a dataset up to date with its corpus and options.

    Args:
        corpus_path: a folder or manifest that `read_corpus` knows.
        out: the dataset's folder; made where it does not exist.

    Raises:
        UserError: something that the user can put right; nothing that was written is lost.
    """
    graph = build_graph(options)
    progress.phase("reading the corpus")
    corpus = read_corpus(corpus_path, options.layout)
    for warning in corpus.warnings:
        progress.note(f"warning: {warning}")
    check_folder(out, graph)
    (out / ix.STATE).mkdir(parents=True, exist_ok=True)
    with _lock(out / ix.STATE / "lock", out):
        return _Run(corpus, out, options, graph, executor, progress).carry_out()


class _Run:
    """One run; its steps in order are in `carry_out`."""

    def __init__(
        self,
        corpus: Corpus,
        out: Path,
        options: Options,
        graph: Graph,
        executor: Executor,
        progress: Progress,
    ) -> None:
        self._corpus, self._out, self._options = corpus, out, options
        self._graph, self._executor, self._progress = graph, executor, progress
        self._summary = Summary(corpus=corpus)
        wanted = graph.closure(options.columns) & set(COLUMNS)
        self._columns = tuple(c for c in COLUMNS if c in wanted)
        self._failures: dict[tuple[str, str, str], Failure] = {}
        self._aligner: AlignerRecord | None = None

    def carry_out(self) -> Summary:
        for path in self._out.rglob(f"{TEMPORARY}*"):  # left by a run that was killed
            path.unlink(missing_ok=True)
        sources, self._unreadable = self._read_sources()
        self._shards = self._plan(sources)
        if "durations" in self._columns:
            self._settle_aligner()
        failed = -1
        while failed != len(self._failures):  # once more if an utterance had to be taken out
            failed = len(self._failures)
            self._make(self._ready_columns())
        return self._finish()

    def _read_sources(self) -> tuple[list[Source], list[Rejection]]:
        utterances = sorted(self._corpus.utterances, key=lambda u: u.key)
        utterances = utterances[: self._options.limit]
        states = SourceStates(
            self._out / ix.STATE / "sources.parquet", checksum=self._options.checksum
        )
        self._progress.phase("hashing sources", len(utterances))
        try:
            return read_sources(
                utterances,
                states,
                locate=lambda utterance: audio_path(self._corpus.root, utterance),
                language=self._options.language,
                advance=lambda: self._progress.advance(utterances=1),
            )
        finally:
            states.save()

    def _plan(self, sources: Sequence[Source]) -> tuple[Shard, ...]:
        state = self._out / ix.STATE / "plan.parquet"
        size = self._options.shard_utterances
        previous = load_plan(state, self._out / ix.INDEX, size)
        if previous and not any(source.key in previous for source in sources):
            raise UserError(
                f"{self._out} holds a dataset of other utterances: none of its {len(previous)} "
                "keys is in this corpus. Name another output folder."
            )
        shards = plan_shards(sources, previous, size)
        placed = {s.key: shard.number for shard in shards for s in shard.sources}
        if placed.items() - previous.items() or not state.is_file():
            save_plan(state, {**previous, **placed}, size)  # what comes back finds its place
        return shards

    def _ready_columns(self) -> tuple[str, ...]:
        return tuple(c for c in self._columns if not self._graph.missing_assets(c))

    def _scene(self) -> Scene:
        return Scene(
            graph=self._graph,
            targets=Targets(self._out, self._graph),
            screens=ScreenStore(self._out / ix.STATE / self._graph.screen_folder()),
            limits=self._options.limits,
            corpus=self._corpus.root,
            language=self._options.language,
            screen_sources=tuple(
                dict.fromkeys(s for name in SCREEN for s in self._graph.sources(name))
            ),
            failures=self._failures,
        )

    def _make(self, columns: Sequence[str]) -> None:
        """Bring these columns of all shards up to date."""
        scene, jobs = self._scene(), dict[int, ShardJob]()
        self._progress.phase(
            "making " + ", ".join(columns), sum(len(shard.sources) for shard in self._shards)
        )

        def commit(job: ShardJob) -> None:
            for marker in job.commit():
                self._summary.made[marker.column] += 1
            del jobs[job.number]

        def work() -> Iterator[Batch]:
            for shard in self._shards:
                job = jobs[shard.number] = ShardJob(scene, shard, columns)
                cut = job.batches()
                busy = sum(len(batch.works) for batch in cut)
                self._progress.advance(utterances=len(shard.sources) - busy, idle=True)
                if job.complete:
                    commit(job)
                yield from cut

        for result in self._executor.run(self._graph, scene.limits, work()):
            job = jobs[result.shard]
            excluded = job.add(result)
            self._summary.stage_seconds.update(result.seconds)
            self._summary.stage_audio_seconds.update(result.audio_seconds)
            self._progress.advance(
                utterances=len(result.done),
                seconds=max(result.audio_seconds.values(), default=0.0),
                rejected=len(excluded),
                stages=result.seconds,
            )
            if job.complete:
                commit(job)

    def _settle_aligner(self) -> None:
        """Find the aligner, or make what it is trained on and train it."""
        from ns2.pipeline.stages.durations import DurationsStage, aligner_config, train_and_save

        config = {**aligner_config(), "seed": self._options.seed, "hours": ALIGNER_HOURS}
        asset = AlignerAsset(self._out / ix.ASSETS, self._graph, config)
        record = asset.recorded()
        if record is None or not asset.weights(record).is_file():
            self._make(("phonemes", "mel") if record else self._ready_columns())
            scene = self._scene()
            examples = None
            if record is not None:
                examples = load_sample(record, scene.targets, self._graph, self._shards)
                if examples is None:  # the corpus changed before it was trained
                    asset.description(record).unlink()
            if examples is None:
                members = [
                    (source, known[source.key].scalars["samples"] / self._graph.grid.sample_rate)
                    for shard in self._shards
                    for known in [scene.screens.load(shard.number)]
                    for source in self._members(scene, shard)
                ]
                if not members:
                    return
                record = asset.choose(members, ALIGNER_HOURS)
                examples = load_sample(record, scene.targets, self._graph, self._shards)
                if examples is None:
                    raise RuntimeError("the aligner's sample can't be read back")
            assert record is not None
            self._progress.phase("training the aligner")
            train_and_save(
                examples,
                asset.weights(record),
                seed=self._options.seed,
                table=self._graph.stages["phonemes"].table,  # type: ignore[attr-defined]
                progress=self._progress.training,
            )
        self._aligner = record
        self._graph = self._graph.with_asset(
            "aligner", record.fingerprint, DurationsStage(asset.weights(record))
        )

    def _members(self, scene: Scene, shard: Shard) -> tuple[Source, ...]:
        return ShardJob(scene, shard, self._ready_columns()).members()

    def _finish(self) -> Summary:
        """Ledger, index, checksums and card, from the markers."""
        self._progress.phase("writing the index")
        scene, summary, out = self._scene(), self._summary, self._out
        columns = self._ready_columns()
        rejected = [*self._corpus.rejected, *self._unreadable]
        totals: dict[str, dict[str, Any]] = {column: {} for column in columns}
        sums: list[tuple[str, str]] = []
        counts: Counter[str] = Counter()
        speakers: set[str] = set()

        def rows() -> Iterator[Mapping[str, Any]]:
            for shard in self._shards:
                known = scene.screens.load(shard.number)
                members = self._members(scene, shard)
                included = {source.key for source in members}
                for source in shard.sources:
                    if source.key not in included:
                        why = scene.exclusion(source, known[source.key], columns)
                        assert why is not None
                        rejected.append(as_rejection(source, why))
                if not members:
                    continue
                content = ix.read_content(scene.targets, shard.number, members, known, columns)
                sums.extend(ix.target_checksums(out, content.markers.values()))
                for column, marker in content.markers.items():
                    add_sums(totals[column], marker.summary)
                    counts[f"bytes.{column}"] += marker.size
                    counts[f"shards.{column}"] += 1
                for row in ix.index_rows(
                    content, out, self._graph, language=self._options.language, split=self._split
                ):
                    counts["frames"] += row["frames"]
                    counts["phones"] += row["phones"]
                    counts[f"split.{row['split']}"] += 1
                    counts[f"language.{row['language']}"] += 1
                    speakers.add(row["speaker"])
                    summary.hours += row["seconds"] / 3600
                    summary.written += 1
                    yield row

        finish = ix.Finish(out)
        index = ix.write_index(out / ix.INDEX, rows(), ix.index_schema(columns))
        finish.replace(ix.REJECTED, ix.write_rejected(out / ix.REJECTED, rejected))
        finish.replace(ix.INDEX, index)
        summary.rejected = rejected
        limit = self._options.limit
        found = len(self._corpus.utterances)
        summary.found = min(limit, found) if limit else found
        summary.found += len(self._corpus.rejected)
        if summary.found != summary.written + len(rejected):
            raise RuntimeError(
                f"the ledger does not balance: found {summary.found}, written {summary.written}, "
                f"rejected or filtered {len(rejected)}"
            )
        summary.column_bytes = {c: counts[f"bytes.{c}"] for c in columns}
        for path in self._write_assets():
            sums.append((path.relative_to(out).as_posix(), sha256_file(path)))
        for name in (ix.INDEX, ix.REJECTED):
            sums.append((name, sha256_file(out / name)))
        checksums = ix.checksum_text(sums).encode()
        finish.write(ix.SUMS, checksums)
        card = self._card(totals, counts, len(speakers), checksums)
        finish.write(ix.CARD, ix.card_text(sealed(card)).encode())
        return summary

    def _split(self, source: Source) -> str:
        return assign_split(
            source.utterance, val_share=self._options.val_share, val_by=self._options.val_by
        )

    def _write_assets(self) -> list[Path]:
        """Phoneme table and codebooks; gives all files of the assets folder that are current."""
        folder = self._out / ix.ASSETS
        folder.mkdir(exist_ok=True)
        table = self._graph.stages["phonemes"].table  # type: ignore[attr-defined]
        paths = [folder / f"phonemes-{self._graph.fingerprint('phonemes')}.json"]
        write_if_changed(paths[0], table.to_json().encode())
        if "codes" in self._columns:
            path = folder / f"codebooks-{self._graph.fingerprint('codes')}.safetensors"
            codes = self._graph.stages["codes"]
            if not path.is_file():
                with atomic_write(path) as file:
                    file.write(codes.codebooks_asset())  # type: ignore[attr-defined]
            paths.append(path)
        if self._aligner is not None:
            stem = f"aligner-{self._aligner.fingerprint}"
            paths += [folder / f"{stem}.json", folder / f"{stem}.safetensors"]
        return paths

    def _card(
        self,
        totals: Mapping[str, Mapping[str, Any]],
        counts: Mapping[str, int],
        speakers: int,
        checksums: bytes,
    ) -> dict[str, Any]:
        import hashlib
        from importlib.metadata import version

        summary, graph = self._summary, self._graph
        kinds = Counter(str(one.kind) for one in summary.rejected)
        card: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "ns2": version("ns2"),
            "grid": {
                "sample_rate": graph.grid.sample_rate,
                "hop_length": graph.grid.hop_length,
                "frame_rate": graph.grid.frame_rate,
            },
            "corpus": {"layout": self._corpus.layout},
            "options": described_options(self._options),
            "counts": {
                "found": summary.found,
                "written": summary.written,
                "rejected": kinds["rejected"],
                "filtered": kinds["filtered"],
                "reasons": {reason: n for (_, reason), n in summary.reasons().items()},
                "hours": summary.hours,
                "frames": counts["frames"],
                "phones": counts["phones"],
                "speakers": speakers,
                "splits": _counts(counts, "split."),
                "languages": _counts(counts, "language."),
            },
            "columns": {
                column: {
                    "folder": graph.folder(column),
                    "dtype": graph.spec(column).dtype,
                    "dims": list(graph.spec(column).dims),
                    "tars": counts[f"shards.{column}"],
                    "bytes": counts[f"bytes.{column}"],
                    **describe(graph, column),
                }
                for column in self._ready_columns()
            },
            "stages": {name: describe(graph, name) for name in ("audio", "tokens")},
            "statistics": {},
            "assets": [path.relative_to(self._out).as_posix() for path in self._write_assets()],
            "sha256sums": hashlib.sha256(checksums).hexdigest(),
        }
        if totals.get("codes"):
            card["statistics"]["latents"] = latent_statistics(totals["codes"])
        if totals.get("f0"):
            card["statistics"]["f0"] = f0_statistics(totals["f0"])
        return card


def _counts(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {k.removeprefix(prefix): n for k, n in sorted(counts.items()) if k.startswith(prefix)}


_OURS = re.compile(
    r"dataset\.json|index\.parquet|rejected\.parquet|SHA256SUMS|assets|\.state"
    rf"|{re.escape(TEMPORARY)}.*|({'|'.join(COLUMNS)})-[0-9a-f]+"
)


def check_folder(out: Path, graph: Graph) -> None:
    """Refuse an output folder that is not a dataset of ours, or one on another grid.

    Raises:
        UserError: says what was found there.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder for the dataset")
    if not out.is_dir():
        return
    foreign = sorted(path.name for path in out.iterdir() if not _OURS.fullmatch(path.name))
    if foreign:
        raise UserError(
            f"{out} holds files that are not of a dataset ({', '.join(foreign[:5])}). "
            "Name a new folder, or the folder of a dataset to bring up to date."
        )
    card = ix.read_card(out)
    if card is not None:
        grid = card.get("grid", {})
        if (grid.get("sample_rate"), grid.get("hop_length")) != (
            graph.grid.sample_rate,
            graph.grid.hop_length,
        ):
            raise UserError(
                f"{out} holds a dataset on another frame grid ({grid}); name another folder"
            )


@contextmanager
def _lock(path: Path, out: Path) -> Iterator[None]:
    """Hold the lock of a dataset's folder: one run at a time."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"another `ns2 preprocess` is at work in {out}; wait for it or stop it first"
            ) from error
        yield
