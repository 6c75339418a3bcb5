"""`ns2 preprocess`: from a corpus to a dataset.

Reads the corpus, hashes its sources, plans shards, brings every target up to date, and puts
ledger, index and card in place. Whatever is done already is found and left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import member_folder, remove_temporaries
from ns2.pipeline.core.garbage import long_lived
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.core.schema import Kind, Rejection
from ns2.pipeline.corpora.corpus import Corpus
from ns2.pipeline.corpora.lines import read_lines
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import Card, read_card
from ns2.pipeline.dataset.layout import lock, plan_file, state_file
from ns2.pipeline.preprocess.aligner_asset import INPUTS, AlignerAsset, AlignerRecord, find_sample
from ns2.pipeline.preprocess.executors.executor import Executor
from ns2.pipeline.preprocess.executors.shard_jobs import ShardJobs
from ns2.pipeline.preprocess.finish.changes import Changes, changes_since, is_as_asked
from ns2.pipeline.preprocess.finish.finisher import Finisher, Summary
from ns2.pipeline.preprocess.finish.partial import PartialFinisher, can_finish
from ns2.pipeline.preprocess.finish.readme import write_readme
from ns2.pipeline.preprocess.finish.unchanged import (
    Done,
    Inputs,
    Last,
    Recalled,
    announces_work,
    inputs_of,
    keep_rows,
    renew,
)
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.confidence import confidence_note, sure_enough, without_note
from ns2.pipeline.preprocess.plan.out_folder import check_folder, place
from ns2.pipeline.preprocess.plan.placement import (
    Shard,
    add_to_plan,
    places_in,
    plan_shards,
    save_plan,
)
from ns2.pipeline.preprocess.plan.sources import Source, find_sources, names_of, open_corpus
from ns2.pipeline.preprocess.plan.states import SourceStates
from ns2.pipeline.preprocess.recipe import build_graph, lexicon_of, missing_measures, wanted_columns
from ns2.pipeline.preprocess.work.messages import BatchResult
from ns2.pipeline.preprocess.work.remembered import Remembered
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.shard_state import ShardState
from ns2.pipeline.stages.graph import Graph
from ns2.pipeline.text.numbers.notes import left_alone


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
    graph, out = build_graph(options), out.absolute()  # workers may run in another folder
    for note in missing_measures(options):
        progress.note(note)
    inputs = inputs_of(corpus_path, options, graph)
    with ExitStack() as held:
        back, known = None, inputs is not None and layout.finished_file(out).is_file()
        if inputs is not None and known:
            _hold(held, out, graph)
            progress.phase("looking for changes")
            if announces_work(out, inputs):
                executor.get_ready(graph, options.limits)
            back = _look_back(corpus_path, out, options, graph, inputs)
        if isinstance(back, Recalled):
            for note in back.notes:
                progress.note(note)
            return back.summary
        corpus = _read(corpus_path, options, progress) if back is None else back.corpus
        notes = _notes(corpus, options, graph, back)
        if back is not None:
            progress.note(
                f"{len(corpus.keys)} of {back.found} rows of the manifest are read; the others and "
                "what they need are as they were"
            )
        for note in notes:
            progress.note(note)
        if not known:  # a corpus that can't be read makes no folder
            _hold(held, out, graph)
        run = _Run(corpus, out, options, graph, executor, progress, back)
        summary = run.carry_out()
        _keep(out, inputs, run.done(summary, notes), back)
        return summary


def _hold(held: ExitStack, out: Path, graph: Graph) -> None:
    """Take the lock of a dataset's folder, which is ours."""
    check_folder(out, graph.grid)
    member_folder(out, layout.STATE)
    held.enter_context(lock(out / layout.LOCK, out))


def _look_back(
    corpus_path: Path, out: Path, options: Options, graph: Graph, inputs: Inputs
) -> Recalled | Changes | None:
    """What differs from what the last run saw; None where everything is to be read."""
    with long_lived():
        last = Last.load(out)
        if last is None:
            return None
        if last.rows is None:
            return _as_it_was(last, out, inputs)
        changes = changes_since(last, corpus_path, out, options, inputs)
    if changes is None:
        return None
    if changes.anything:
        fits = can_finish(changes, out, graph, options, wanted_columns(graph, options))
        return changes if fits else None
    if inputs != last.head["inputs"]:
        renew(out, inputs, last)
    return _recalled(last, out)


def _as_it_was(last: Last, out: Path, inputs: Inputs) -> Recalled | None:
    """The last run, where this one would find everything as that one left it."""
    if inputs != last.head["inputs"] or last.differing(out):
        return None
    return _recalled(last, out)


def _recalled(last: Last, out: Path) -> Recalled | None:
    found = last.recalled(out)
    if found is not None:
        for folder in layout.our_folders(out):  # left by a run that was killed
            remove_temporaries(folder)
        if (card := read_card(out)) is not None:
            write_readme(out, card)
    return found


def _read(corpus_path: Path, options: Options, progress: Progress) -> Corpus:
    progress.phase("reading the corpus")
    with long_lived():
        return open_corpus(corpus_path, options)


def _keep(out: Path, inputs: Inputs | None, done: Done, back: Changes | None) -> None:
    """Remember a run that has just finished."""
    table = done.corpus.table
    if inputs is None or table is None or done.options.limit is not None:
        keep_rows(out, inputs, done, None)
    elif back is not None:
        keep_rows(out, inputs, done, back.rows_now(done.rows(back.digests_anew)))
    else:
        lines = read_lines(table)
        as_read = is_as_asked(table, inputs) and len(lines) == len(done.corpus.keys)
        keep_rows(out, inputs, done, done.rows(lines.digests) if as_read else None)


def _notes(corpus: Corpus, options: Options, graph: Graph, back: Changes | None) -> list[str]:
    """What there is to say of a corpus."""
    notes = [*corpus.notes, *filter(None, [confidence_note(corpus, options, back)])]
    notes += [f"warning: {warning}" for warning in corpus.warnings]
    if "tokens" in graph.stages:
        texts = ((u.text, u.language or options.language) for u in corpus.utterances)
        notes += [f"note: {note}" for note in left_alone(texts)]
    return notes


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
        back: Changes | None = None,
    ) -> None:
        self._back = back
        self._sources: Sequence[Source] = ()
        self._places: dict[str, int] = {}
        self._hours_before = 0.0
        self._corpus, self._out, self._options = corpus, out, options
        self._graph, self._executor, self._progress = graph, executor, progress
        self._summary = Summary()
        self._columns = wanted_columns(graph, options)
        self._remembered = Remembered(out)
        self._aligner: AlignerRecord | None = None

    def carry_out(self) -> Summary:
        """Carry out the run: what there is, then its columns, the aligner in between, the end."""
        for folder in layout.our_folders(self._out):  # left by a run that was killed
            remove_temporaries(folder)
        with long_lived():
            self._sources, unreadable = self._find_sources()
            placed = self._place(self._sources)
        self._hours_before = self._decoded_before()
        self._shards, low = sure_enough(placed, self._options.min_confidence)
        self._unusable = [*unreadable, *low]
        if "durations" in self._columns and self._graph.missing_assets("durations"):
            self._settle_aligner()
        self._make(self._ready_columns())
        return self._finish()

    def done(self, summary: Summary, notes: Sequence[str]) -> Done:
        """What is remembered of this run.

        Args:
            notes: what was told of the corpus.
        """
        head = {"notes": (), "told": ()} if self._back is None else self._back.last.head
        return Done(
            corpus=self._corpus,
            told=tuple(dict.fromkeys((*head["told"], *self._corpus.notes))),
            options=self._options,
            sources=self._sources,
            places=self._places,
            summary=summary,
            notes=tuple(dict.fromkeys((*without_note(head["notes"]), *notes))),
        )

    def _find_sources(self) -> tuple[list[Source], list[Rejection]]:
        only = None if self._back is None else names_of(self._corpus)
        states = SourceStates(state_file(self._out), checksum=self._options.checksum, only=only)
        self._progress.phase("hashing sources", len(self._corpus.utterances))
        try:
            return find_sources(
                self._corpus,
                self._options,
                states,
                lambda count: self._progress.advance(utterances=count, idle=True),
                lexicon_of(self._graph),
            )
        finally:
            states.save()

    def _decoded_before(self) -> float:
        """Hours of the shards that are looked at again, as the last run counted them."""
        touched = () if self._back is None else sorted(self._back.touched)
        rows = (row for number in touched for row in self._scene().screens.load(number).values())
        samples = sum(row.scalars.get("samples", 0) for row in rows)
        return samples / 3600 / self._graph.grid.sample_rate

    def _place(self, sources: Sequence[Source]) -> tuple[Shard, ...]:
        back, size, file = self._back, self._options.shard_utterances, plan_file(self._out)
        if back is not None:
            shards = plan_shards(sources, back.places, size, back.next_shard)
            placed = self._places = places_in(shards)
            if new := placed.items() - back.places.items():
                add_to_plan(file, dict(new), size)
            return shards
        shards, previous = place(sources, self._out, self._options)
        placed = self._places = places_in(shards)
        if placed.items() - previous.items() or not file.is_file():
            # what comes back later finds its place
            save_plan(file, {**previous, **placed}, size)
        return shards

    def _ready_columns(self) -> tuple[str, ...]:
        return tuple(c for c in self._columns if not self._graph.missing_assets(c))

    def _scene(self) -> Scene:
        return Scene.of(self._graph, self._out, self._options, self._corpus, self._remembered)

    def _make(self, columns: Sequence[str]) -> None:
        """Bring these columns of all shards up to date."""
        total = sum(len(shard.sources) for shard in self._shards)
        self._progress.phase("making " + ", ".join(columns), total)
        jobs = ShardJobs(
            self._scene(), self._out, columns, self._executor, self._progress, self._count
        )
        jobs.carry_out(self._shards)
        self._summary.made.update(jobs.made)

    def _count(self, result: BatchResult, excluded: Sequence[Rejection]) -> None:
        """Count a batch in the summary, and show it."""
        self._summary.stage_seconds.update(result.seconds)
        self._summary.stage_audio_seconds.update(result.audio_seconds)
        self._progress.advance(
            utterances=len(result.outcomes),
            seconds=max(result.audio_seconds.values(), default=0.0),
            rejected=sum(rejection.kind == Kind.REJECTED for rejection in excluded),
            stages=result.seconds,
        )

    def _settle_aligner(self) -> None:
        """Find the aligner, or train it on its sample, which is chosen where none is recorded."""
        asset = AlignerAsset(self._out, self._graph, self._options)
        record = None if self._options.retrain_aligner else asset.recorded()
        # It was trained before: that aligner stays, whatever has become of the corpus.
        if record is not None and asset.is_trained(record):
            asset.check(record)
            self._use_aligner(asset, record)
            return
        # It was recorded, and its training was cut short or its weights were lost.
        if record is not None:
            self._make(INPUTS)
            if self._train_aligner(asset, record):
                self._use_aligner(asset, record)
                return
            asset.forget(record)  # the corpus changed before it was trained
        else:
            self._make(self._ready_columns())
        # A sample is chosen among all utterances that the dataset holds now.
        members = self._members_and_seconds()
        if not members:
            return
        record = asset.choose(members)
        if asset.is_trained(record):
            self._progress.note("the aligner's sample is the same: there is nothing to retrain")
        elif not self._train_aligner(asset, record):
            raise RuntimeError("the aligner's sample can't be read back")
        self._use_aligner(asset, record)

    def _train_aligner(self, asset: AlignerAsset, record: AlignerRecord) -> bool:
        """Train an aligner on its recorded sample; False if some of the sample is gone."""
        examples = find_sample(record, self._scene().targets, self._graph, self._shards)
        if examples is None:
            return False
        self._progress.phase("training the aligner")
        asset.train(record, examples, self._progress.training)
        return True

    def _use_aligner(self, asset: AlignerAsset, record: AlignerRecord) -> None:
        self._aligner = record
        self._graph = asset.apply(self._graph, record)

    def _members_and_seconds(self) -> list[tuple[Source, float]]:
        """Utterances that the dataset holds now, and how long each is."""
        scene, rate = self._scene(), self._graph.grid.sample_rate
        states = (ShardState.load(scene, shard, self._ready_columns()) for shard in self._shards)
        return [
            (source, state.screened[source.key].scalars["samples"] / rate)
            for state in states
            for source in state.members()
        ]

    def _finish(self) -> Summary:
        """Ledger, index, checksums and card, from the markers."""
        self._progress.phase("writing the index")
        back = self._back
        self._summary.found = self._corpus.found if back is None else back.found
        parts: dict[str, Any] = {
            "out": self._out,
            "options": self._options,
            "layout": self._corpus.layout,
            "scene": self._scene(),
            "shards": self._shards,
            "columns": self._ready_columns(),
            "aligner": self._aligner,
            "summary": self._summary,
        }
        finisher = (
            Finisher(**parts)
            if back is None
            else PartialFinisher(**parts, changes=back, hours_before=self._hours_before)
        )
        before = read_card(self._out)
        finisher.carry_out([*self._corpus.rejected, *self._unusable])
        self._tell_losses(before or Card())
        self._remembered.save(self._out)
        return self._summary

    def _tell_losses(self, before: Card) -> None:
        """Say what the dataset held before this run and holds no more."""
        lost = [c for c in before.columns if c not in self._ready_columns()]
        if lost:
            self._progress.note(
                f"the dataset no longer holds {', '.join(lost)}, which were not asked for; their "
                "tars stay until `ns2 gc`, and a run that asks for them finds them"
            )
        fewer = before.counts.written - self._summary.written
        if fewer > 0:
            self._progress.note(
                f"the dataset holds {fewer} utterances less than before; older tars hold them "
                "until `ns2 gc`"
            )
