"""`ns2 preprocess --plan`: what a run would make, why, and how much disk it takes; runs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ns2.pipeline.align.textgrid.find import SUFFIX
from ns2.pipeline.core.atomic import stamp
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.garbage import long_lived
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.schema import Piece, Rejection, Utterance
from ns2.pipeline.corpora.corpus import Corpus, recording_of
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.layout import plan_file, state_file
from ns2.pipeline.preprocess.aligner_asset import AlignerAsset
from ns2.pipeline.preprocess.finish.changes import Changes
from ns2.pipeline.preprocess.finish.partial import look_back
from ns2.pipeline.preprocess.finish.splits import assign_split
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.confidence import confidence_note, note_of, sure_enough
from ns2.pipeline.preprocess.plan.out_folder import check_folder, place
from ns2.pipeline.preprocess.plan.placement import Shard, load_plan, plan_shards
from ns2.pipeline.preprocess.plan.sources import Source, find_sources, names_of, open_corpus
from ns2.pipeline.preprocess.plan.states import SourceStates
from ns2.pipeline.preprocess.previews.first_plan import FirstPlan, first_plan
from ns2.pipeline.preprocess.previews.told import (
    ColumnPreview,
    Lacks,
    Preview,
    in_order,
    member_bytes_of,
    render,
)
from ns2.pipeline.preprocess.reasons import Counted, reason_of
from ns2.pipeline.preprocess.recipe import build_graph, lexicon_of, missing_measures, wanted_columns
from ns2.pipeline.preprocess.trial import Trial, Workload, try_some
from ns2.pipeline.preprocess.work.remembered import Remembered
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.shard_state import ShardState
from ns2.pipeline.sound.held.recordings import Place, for_decoder
from ns2.pipeline.stages.graph import Graph

_SAMPLED = 100


def preview(corpus_path: Path, out: Path, options: Options, trial_seconds: float = 0.0) -> Preview:
    """Find out what `preprocess` would do; nothing is written, no audio is decoded.

    Audio of new utterances is not hashed either.

    Args:
        trial_seconds: so long some utterances are really made, in a temporary folder, to see what
            all of them take; 0 makes none.

    Raises:
        UserError: as `preprocess` would.
    """
    graph, out = build_graph(options), out.absolute()
    check_folder(out, graph.grid)
    if (new := first_plan(corpus_path, out, options, trial=trial_seconds > 0)) is not None:
        return _of_first(new, out, options, graph, trial_seconds)
    with long_lived():
        there = _what_is_there(corpus_path, out, options, graph)
    shards, low = sure_enough(there.placed, options.min_confidence)
    used = [source for shard in shards for source in shard.sources]
    columns, back = wanted_columns(graph, options), there.back
    graph, train = _with_aligner(
        graph, out, options, wanted="durations" in columns, any_used=bool(used)
    )
    # What each shard lacks; quiet ones lack nothing.
    scene = Scene.of(graph, out, options, there.corpus, Remembered(out))
    known = tuple(column for column in columns if not graph.missing_assets(column))
    lacks = Lacks()
    for shard in shards:
        lacks.add(shard, ShardState.load(scene, shard, known).outlook())
    for column in set(columns) - set(known):  # the aligner is not even chosen
        lacks.everything(column, shards, len(used))
    quiet = [] if back is None else back.quiet_shards.tolist()
    numbers = sorted([*(shard.number for shard in shards), *quiet])
    seconds = _mean_seconds(used, there.corpus, scene, numbers)
    splits = split_counts((source.utterance for source in used), options)
    splits.update({} if back is None else back.splits)
    found = Preview(
        utterances=splits.total(),
        screened=lacks.screened,
        unusable=len(there.corpus.rejected)
        + len(there.unreadable)
        + len(low)
        + (0 if back is None else back.filtered + back.unread),
        splits=in_order(splits),
        shards=len(numbers),
        train_aligner=train,
        notes=(*missing_measures(options), *there.notes(options)),
        columns=tuple(
            lacks.preview(
                column,
                graph.fingerprint(column) if column in known else None,
                member_bytes_of(graph, column, seconds),
                reason_of(graph, column, out, there.counted, train, lacks.compute[column])
                if lacks.missing[column]
                else "",
            )
            for column in columns
        ),
    )
    return _tried(found, scene, lacks.workload(columns, seconds, train), options, trial_seconds)


def _tried(
    found: Preview, scene: Scene, work: Workload, options: Options, trial_seconds: float
) -> Preview:
    """A preview with a trial, if one is asked for and there is something to do."""
    if not trial_seconds or not work.tasks:
        return found
    return _with_trial(found, try_some(scene, work, options, trial_seconds))


def _of_first(
    new: FirstPlan, out: Path, options: Options, graph: Graph, trial_seconds: float
) -> Preview:
    """The preview of a new dataset that was counted by columns."""
    columns, corpus = wanted_columns(graph, options), new.corpus(new.sample, options)
    graph, train = _with_aligner(
        graph, out, options, wanted="durations" in columns, any_used=new.used > 0
    )
    scene = Scene.of(graph, out, options, corpus, Remembered(out))
    known = tuple(column for column in columns if not graph.missing_assets(column))

    def sources(some: Corpus) -> list[Source]:
        states = _Glimpse(state_file(out), checksum=options.checksum, only=names_of(some))
        return find_sources(some, options, states, lexicon=lexicon_of(graph))[0]

    count, filled = new.shards
    tried = [
        Shard(number, tuple(sources(new.corpus(lines, options))))
        for number, lines in sorted(new.tried.items())
    ]
    lacks = Lacks(screened=new.used, tasks=new.used, busy={one.number: one for one in tried})
    for column in columns:
        lacks.missing[column] = filled if column in known else count
        lacks.compute[column] = lacks.members[column] = new.used
    seconds = _mean_seconds(sources(corpus), corpus, scene, ())
    counted = Counted(utterances=new.used + new.filtered, new=new.used + new.filtered, planned=0)
    notes = [*missing_measures(options), *new.notes]
    if (least := options.min_confidence) is not None:
        every = new.used + new.filtered
        notes.append(note_of(least, new.confident, new.filtered, every))
    found = Preview(
        utterances=new.used,
        screened=new.used,
        unusable=new.rejected + new.filtered,
        splits=in_order(new.splits),
        shards=count,
        train_aligner=train,
        notes=tuple(notes),
        columns=tuple(
            lacks.preview(
                column,
                graph.fingerprint(column) if column in known else None,
                member_bytes_of(graph, column, seconds),
                reason_of(graph, column, out, counted, train, lacks.compute[column])
                if lacks.missing[column]
                else "",
            )
            for column in columns
        ),
    )
    return _tried(found, scene, lacks.workload(columns, seconds, train), options, trial_seconds)


@dataclass(frozen=True, kw_only=True)
class _There:
    """What there is, before anything is asked of a shard.

    Attributes:
        corpus: of all rows, or of those that are read anew.
        unreadable: utterances whose audio can't be read.
        placed: the shards of all others.
        counted: of the whole corpus.
        back: what differs from what the last run saw; None where all rows were read.
    """

    corpus: Corpus
    unreadable: Sequence[Rejection]
    placed: Sequence[Shard]
    counted: Counted
    back: Changes | None = None

    def notes(self, options: Options) -> Iterator[str]:
        """What is to be said of the corpus."""
        said = () if self.back is None else self.back.last.head["told"]
        yield from said
        yield from (note for note in self.corpus.notes if note not in said)
        if note := confidence_note(self.corpus, options, self.back):
            yield note


def _what_is_there(corpus_path: Path, out: Path, options: Options, graph: Graph) -> _There:
    """Read and place a corpus, or what has changed of it since the last run."""
    back = None
    if out.is_dir():
        check_folder(out, graph.grid)
        back = look_back(corpus_path, out, options, graph)
    corpus = open_corpus(corpus_path, options) if back is None else back.corpus
    check_folder(out, graph.grid)
    states = _glimpse(corpus, out, options, back)
    sources, unreadable = find_sources(corpus, options, states, lexicon=lexicon_of(graph))
    if back is None:
        placed, previous = place(sources, out, options)
        counted = Counted.of(sources, previous)
        return _There(corpus=corpus, unreadable=unreadable, placed=placed, counted=counted)
    placed = plan_shards(sources, back.places, options.shard_utterances, back.next_shard)
    return _There(
        corpus=corpus,
        unreadable=unreadable,
        placed=placed,
        counted=_counted(sources, back),
        back=back,
    )


def _counted(sources: Sequence[Source], back: Changes) -> Counted:
    """Count the utterances of a corpus of which some rows were read."""
    new = sum(source.key not in back.places for source in sources)
    quiet = int((~back.anew).sum())
    return Counted(utterances=quiet + len(sources), new=new, planned=back.planned)


def _with_trial(found: Preview, trial: Trial) -> Preview:
    """A preview with a trial, and the sizes that it found."""
    columns = (replace(c, bytes=trial.bytes.get(c.column, c.bytes)) for c in found.columns)
    return replace(found, trial=trial, columns=tuple(columns))


def _with_aligner(
    graph: Graph, out: Path, options: Options, *, wanted: bool, any_used: bool
) -> tuple[Graph, bool]:
    """The graph with the aligner, as far as it is known without training; would it be trained?"""
    if not wanted or not graph.missing_assets("durations"):
        return graph, False
    asset = AlignerAsset(out, graph, options)
    record = asset.recorded()
    trained = record is not None and asset.is_trained(record)
    if record is not None and not options.retrain_aligner:
        graph = asset.apply(graph, record)
    return graph, any_used and (options.retrain_aligner or not trained)


def split_counts(utterances: Iterable[Utterance], options: Options) -> Counter[str]:
    """The number of utterances that would be in each split, by its name; train first."""
    counts = Counter(
        assign_split(utterance, val_share=options.val_share, val_by=options.val_by)
        for utterance in utterances
    )
    return Counter(in_order(counts))


def _glimpse(corpus: Corpus, out: Path, options: Options, back: Changes | None) -> _Glimpse:
    """States of sources that hash as little as a plan allows."""
    only = None if back is None else names_of(corpus)
    states = _Glimpse(state_file(out), checksum=options.checksum, only=only)
    if any(out.glob("*-*/*.parquet")):  # a corpus that has moved is to be recognised
        planned: Mapping[str, int] = {} if back is None else back.places
        if back is None:
            planned, _ = load_plan(plan_file(out), out / layout.INDEX)
        places = (recording_of(corpus.root, u) for u in corpus.utterances if u.key in planned)
        states.known = {place.name for place in places if not states.seen(place)}
    return states


class _Glimpse(SourceStates):
    """Hashes only files of utterances that were planned before: others are new anyway."""

    def __init__(self, path: Path, *, checksum: bool, only: Sequence[str] | None) -> None:
        super().__init__(path, checksum=checksum, only=only)
        self.known: set[str] = set()

    def look(self, place: Place) -> tuple[str, tuple[int, int]]:
        """Hash of a recording or a TextGrid, or a word that no hash is."""
        recording = Recording.of(place)
        if recording.suffix == SUFFIX or self._is_known(recording):  # those are small
            return super().look(place)
        if recording.path.is_dir():
            raise IsADirectoryError(f"{recording.path} is a folder")
        return "new", stamp(recording.path)

    def settled(self, place: Place, piece: Piece) -> Piece | None:
        """A piece of a recording, or None if it is all of it; of a new file it is not asked."""
        return super().settled(place, piece) if self._is_known(Recording.of(place)) else piece

    def _is_known(self, recording: Recording) -> bool:
        return recording.name in self.known or self.seen(recording)


def _mean_seconds(
    sources: Sequence[Source], corpus: Corpus, scene: Scene, shards: Sequence[int]
) -> float:
    """Mean length of an utterance in s: as screened, else by the headers of some files.

    What the limits leave out counts as nothing, since nothing is made of it.
    """
    import soundfile

    lengths = [
        row.scalars["samples"] / scene.graph.grid.sample_rate
        for number in shards[:4]
        for row in scene.screens.load(number).values()
        if "samples" in row.scalars
    ]
    if lengths:
        return _mean_within(lengths, scene)
    chosen = sorted(sources, key=lambda s: unit_interval(s.key, "preview"))[:_SAMPLED]
    for source in chosen:
        piece = source.utterance.piece
        if piece is not None and piece.duration is not None:
            lengths.append(piece.duration)
            continue
        try:
            recording = recording_of(corpus.root, source.utterance)
            whole = for_decoder(recording)
            lengths.append(soundfile.info(whole).duration)
        except (OSError, RuntimeError, UtteranceError):
            continue
    return _mean_within(lengths, scene) if lengths else 0.0


def _mean_within(lengths: Sequence[float], scene: Scene) -> float:
    """The mean of lengths in s, of which those beyond the limits count as 0."""
    limits = scene.limits
    within = (one for one in lengths if limits.min_seconds <= one <= limits.max_seconds)
    return sum(within) / len(lengths)


__all__ = ["ColumnPreview", "Preview", "preview", "render", "split_counts"]
