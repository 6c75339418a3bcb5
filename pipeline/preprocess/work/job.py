"""The work on one shard: what is missing, what its batches are, and the commit of its targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ns2.pipeline.core.schema import PASSING, Rejection
from ns2.pipeline.dataset.shards import Marker, Member, Stored, TarWriter, decode_value
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.work.failure import Failure, as_rejection
from ns2.pipeline.preprocess.work.messages import (
    CRASHED,
    Batch,
    BatchResult,
    Encoded,
    Work,
    batches,
)
from ns2.pipeline.preprocess.work.remembered import badly_aligned
from ns2.pipeline.preprocess.work.scene import SCREENING, Scene
from ns2.pipeline.preprocess.work.screening import Screened
from ns2.pipeline.stages.graph import SCREEN, SOURCES
from ns2.pipeline.stages.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a shard lacks.

    Attributes:
        members: utterances that would be in it, if those not yet screened can be used.
        unscreened: utterances that would be screened.
        compute: for each column with a missing target, how many arrays exist nowhere.
    """

    members: int
    unscreened: int
    compute: dict[str, int]


class ShardJob:
    """Brings some columns of one shard up to date.

    First `batches` says what is to be computed, then `add` takes the results, then `commit`
    writes what is missing. Between two runs nothing but committed targets counts.
    """

    def __init__(self, scene: Scene, shard: Shard, columns: Sequence[str]) -> None:
        self._scene, self._shard, self._columns = scene, shard, tuple(columns)
        self._made: dict[tuple[str, str], Encoded] = {}
        self._stored: dict[str, dict[tuple[str, str], Stored]] = {}
        self._waiting = 0
        self._fresh = False  # whether screening found something new
        known = scene.screens.load(shard.number)
        self._screened: dict[str, Screened] = {}
        for source in shard.sources:
            row = known.get(source.key)
            if row is None or row.source != scene.screen_state(source):
                row = scene.failed_screening(source) or self._recovered(source)
                self._fresh |= row is not None and row.failure is None
            if row is not None and scene.knows(row):
                self._screened[source.key] = row

    def _recovered(self, source: Source) -> Screened | None:
        """An utterance's screening from markers, where the cache of screenings has lost it."""
        scalars: dict[str, float] = {}
        for column in self._columns:
            found = self._existing(column, source)
            if found is not None:
                scalars.update(found.row.scalars)
        if not {"samples", "level_db", "tokens", "phones"} <= scalars.keys():
            return None
        state = self._scene.screen_state(source)
        return Screened(key=source.key, source=state, scalars=scalars)

    def exclusion(self, source: Source) -> Failure | None:
        """Why a screened utterance is not in the dataset, if anything excludes it."""
        why = self._scene.exclusion(source, self._screened[source.key], self._columns)
        least = self._scene.min_align_score
        if why is not None or least is None or "durations" not in self._columns:
            return why
        score = self._score(source)
        return None if score is None or score >= least else badly_aligned(score, least)

    def _score(self, source: Source) -> float | None:
        """How well an utterance aligns, if that is known."""
        targets, made = self._scene.targets, self._made.get((source.key, "durations"))
        folder = targets.folder("durations").name
        place = (folder, source.key, targets.state("durations", source))
        if made is None and place in self._scene.scores:
            return self._scene.scores[place]
        stored = None if made is not None else self._existing("durations", source)
        told = made or (stored.row if stored is not None else None)
        score = None if told is None else told.scalars.get("align_score")
        if score is not None and score < (self._scene.min_align_score or 0.0):
            self._scene.scores[place] = score
        return score

    @property
    def screened(self) -> dict[str, Screened]:
        """What is known of the shard's utterances, by key."""
        return self._screened

    @property
    def number(self) -> int:
        """The shard's number."""
        return self._shard.number

    @property
    def planned(self) -> int:
        """Utterances of the shard, whatever becomes of them."""
        return len(self._shard.sources)

    @property
    def complete(self) -> bool:
        """All results that were asked for are there."""
        return self._waiting == 0

    def members(self) -> tuple[Source, ...]:
        """Utterances of the shard that are in the dataset, as far as is known."""
        return tuple(
            source
            for source in self._shard.sources
            if source.key in self._screened and self.exclusion(source) is None
        )

    def batches(self) -> list[Batch]:
        """What is to be computed; empty if every array exists somewhere."""
        unscreened = [s for s in self._shard.sources if s.key not in self._screened]
        members = self.members()
        targets = self._scene.targets
        # Without a screening the members, and so the targets' names, are not known yet.
        wanted = [
            column
            for column in self._columns
            if unscreened or not targets.exists(column, self.number, members)
        ]
        included = {source.key for source in members}
        works: list[Work | None] = []
        for source in self._shard.sources:
            screened = self._screened.get(source.key)
            if screened is not None and source.key not in included:
                works.append(None)
                continue
            columns = tuple(c for c in wanted if self._existing(c, source) is None)
            if screened is not None and not columns:
                works.append(None)
                continue
            works.append(
                Work(
                    key=source.key,
                    record=self._scene.record(source),
                    audio_file=str(self._scene.corpus / source.utterance.source),
                    columns=columns,
                    stored=self._required(columns, source, screened is not None),
                    samples=int(screened.scalars["samples"]) if screened else None,
                    stamp=source.stamp,
                    textgrid=None if source.textgrid is None else str(source.textgrid),
                    textgrid_stamp=source.textgrid_stamp,
                )
            )
        cut = batches(self.number, works)
        self._waiting = len(cut)
        return cut

    def outlook(self) -> Outlook:
        """What `batches` and `commit` would have to do."""
        unscreened = {s.key for s in self._shard.sources if s.key not in self._screened}
        likely = unscreened | {source.key for source in self.members()}
        expected = [source for source in self._shard.sources if source.key in likely]
        compute = {
            column: sum(self._existing(column, source) is None for source in expected)
            for column in self._columns
            if expected and not self._scene.targets.exists(column, self.number, expected)
        }
        return Outlook(members=len(expected), unscreened=len(unscreened), compute=compute)

    def _existing(self, column: str, source: Source) -> Stored | None:
        """Where an utterance's array lies, if some committed tar has it."""
        targets = self._scene.targets
        if column not in self._stored:
            self._stored[column] = targets.existing(column, self.number)
        stored = self._stored[column]
        return stored.get((source.key, targets.state(column, source))) if stored else None

    def _required(
        self, columns: Sequence[str], source: Source, screened: bool
    ) -> dict[str, Stored]:
        """Stored columns that the missing ones read."""
        graph = self._scene.graph
        needed = {r for column in columns for r in graph.stages[column].requires}
        stored: dict[str, Stored] = {}
        for name in needed - set(SOURCES) - set(columns):
            if graph.stages[name].column is None or (name in SCREEN and not screened):
                continue
            found = self._existing(name, source)
            if found is not None:
                stored[name] = found
        return stored

    def add(self, result: BatchResult) -> list[Rejection]:
        """Take a batch's results; gives the utterances that turned out to be excluded."""
        self._waiting -= 1
        by_key = {source.key: source for source in self._shard.sources}
        excluded: list[Rejection] = []
        for done in result.done:
            source = by_key[done.key]
            failure = done.failure
            unusable = failure is not None and failure.stage in (*SCREEN, CRASHED)
            if done.screened is not None or unusable:
                self._fresh = True
                self._screened[done.key] = Screened(
                    key=done.key,
                    source=self._scene.screen_state(source),
                    scalars=done.screened or {},
                    failure=failure if unusable else None,
                )
            if failure is not None and unusable and failure.reason in PASSING:
                state = self._scene.screen_state(source)
                self._scene.failures[SCREENING, done.key, state] = failure
            if failure is not None and not unusable:
                targets = self._scene.targets
                place = targets.folder(failure.stage).name
                state = targets.state(failure.stage, source)
                self._scene.failures[place, done.key, state] = failure
            for column, member in done.members.items():
                self._made[done.key, column] = member
            why = self.exclusion(source)
            if why is not None:
                excluded.append(as_rejection(source, why))
        return excluded

    def commit(self) -> list[Marker]:
        """Write the screening and every missing target of the shard."""
        if self._fresh:
            lasting = [
                row
                for row in self._screened.values()
                if row.failure is None or row.failure.reason not in PASSING
            ]
            self._scene.screens.save(self.number, lasting)
        members = self.members()
        markers = [
            self._write(column, members)
            for column in self._columns
            if members and not self._scene.targets.exists(column, self.number, members)
        ]
        self._made.clear()
        return markers

    def _write(self, column: str, members: Sequence[Source]) -> Marker:
        """Write one target, from what was made and from older tars."""
        targets, stage = self._scene.targets, self._scene.graph.stages[column]
        spec = self._scene.graph.spec(column)
        writer = TarWriter(targets.folder(column), self.number, spec)
        summarised = type(stage).summarise is not Stage.summarise
        arrays = []
        try:
            for source in members:
                member = self._member(column, source)
                writer.add(member)
                if summarised:
                    arrays.append(decode_value(spec, member.data))
            marker = writer.commit(stage.summarise(arrays))
        except BaseException:
            writer.abort()
            raise
        targets.note(marker)
        return marker

    def _member(self, column: str, source: Source) -> Member:
        """An utterance's member: just made, or copied."""
        state = self._scene.targets.state(column, source)
        made = self._made.get((source.key, column))
        if made is not None:
            data, shape, scalars = made.data, made.shape, made.scalars
        else:
            stored = self._existing(column, source)
            if stored is None:
                raise RuntimeError(f"{column} of {source.key} was neither made nor found")
            data = stored.read()
            shape, scalars = stored.row.shape, stored.row.scalars
        return Member(key=source.key, data=data, shape=shape, source=state, scalars=scalars)
