"""The work on one shard: its batches, their results, and the commit of its targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ns2.pipeline.core.schema import PASSING, Rejection
from ns2.pipeline.dataset.shards import Marker, Member, Stored, read_marker
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.work.failure import as_rejection
from ns2.pipeline.preprocess.work.messages import (
    CRASHED,
    Batch,
    BatchResult,
    Outcome,
    Sent,
    Task,
    batches,
)
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.screening import Screened
from ns2.pipeline.preprocess.work.shard_state import ShardState
from ns2.pipeline.preprocess.work.writing import InParcel, Order, write_target
from ns2.pipeline.stages.graph import SCREEN, SOURCES


class ShardJob:
    """Brings some columns of one shard up to date.

    First `batches` says what is to be computed, then `add` takes the results, then `commit`
    writes what is missing. Between two runs nothing but committed targets counts.

    Attributes:
        state: what is known of the shard; a new one after each result.
    """

    def __init__(self, scene: Scene, shard: Shard, columns: Sequence[str]) -> None:
        self.state = ShardState.load(scene, shard, columns)
        self._scene, self._by_key = scene, {source.key: source for source in shard.sources}
        self._made: dict[tuple[str, str], Member | Sent] = {}
        self._waiting = 0
        self._unsaved = self.state.recovered
        if scene.filters:
            for source in shard.sources:
                self._remember_scores(source)

    @property
    def number(self) -> int:
        """The shard's number."""
        return self.state.shard.number

    @property
    def planned(self) -> int:
        """The number of utterances planned for the shard, whatever becomes of them."""
        return len(self.state.shard.sources)

    @property
    def complete(self) -> bool:
        """Whether all results that were asked for are there."""
        return self._waiting == 0

    def batches(self) -> list[Batch]:
        """What is to be computed; empty if every array exists somewhere."""
        state, targets = self.state, self._scene.targets
        unscreened = any(s.key not in state.screened for s in state.shard.sources)
        members = state.members()
        # Without a screening the members, and so the targets' names, are not known yet.
        missing = [
            column
            for column in state.columns
            if unscreened or not targets.exists(column, self.number, members)
        ]
        included = {source.key for source in members}
        found = batches(
            self.number,
            [
                self._task(source, missing)
                if source.key in included or source.key not in state.screened
                else None
                for source in state.shard.sources
            ],
        )
        self._waiting = len(found)
        return found

    def _task(self, source: Source, missing: Sequence[str]) -> Task | None:
        """What is to be made of an utterance, or None where there is nothing to do.

        Args:
            missing: columns whose targets are missing.
        """
        screened = self.state.screened.get(source.key)
        columns = tuple(c for c in missing if self.state.stored(c, source) is None)
        if screened is not None and not columns:
            return None
        return replace(
            self._scene.task(source, columns),
            stored=self._required(columns, source, screened is not None),
            samples=int(screened.scalars["samples"]) if screened else None,
        )

    def _required(
        self, columns: Sequence[str], source: Source, screened: bool
    ) -> dict[str, Stored]:
        """Stored columns that the missing ones read."""
        stages = self._scene.graph.stages
        needed = {r for column in columns for r in stages[column].requires}
        stored: dict[str, Stored] = {}
        for name in needed - set(SOURCES) - set(columns):
            if stages[name].column is None or (name in SCREEN and not screened):
                continue
            found = self.state.stored(name, source)
            if found is not None:
                stored[name] = found
        return stored

    def add(self, result: BatchResult) -> list[Rejection]:
        """Take a batch's results; gives the utterances that turned out to be excluded."""
        self._waiting -= 1
        # What was made, and what was found out, is kept; then it is seen who is excluded by that.
        screened: dict[str, Screened] = {}
        scores: dict[tuple[str, str], float] = {}
        for outcome in result.outcomes:
            row = self._screening(outcome)
            if row is not None:
                screened[row.key] = row
            self._remember_failure(outcome)
            for column, member in outcome.members.items():
                self._made[outcome.key, column] = member
                for one in self._scene.filters:
                    if one.column == column and one.scalar in member.scalars:
                        scores[outcome.key, one.scalar] = member.scalars[one.scalar]
        self._unsaved |= bool(screened)
        self.state = self.state.with_found(screened, scores)
        excluded: list[Rejection] = []
        for outcome in result.outcomes:
            source = self._by_key[outcome.key]
            failure = self.state.exclusion(source)
            self._remember_scores(source)
            if failure is not None:
                excluded.append(as_rejection(source, failure))
        return excluded

    def _screening(self, outcome: Outcome) -> Screened | None:
        """What was found out by screening an utterance, if it was screened."""
        failed = _failed_screening(outcome)
        if outcome.screened is None and not failed:
            return None
        return Screened(
            key=outcome.key,
            source=self._scene.screen_state(self._by_key[outcome.key]),
            scalars=outcome.screened or {},
            failure=outcome.failure if failed else None,
        )

    def _remember_failure(self, outcome: Outcome) -> None:
        """Remember failures that the store of screenings does not keep."""
        failure, source = outcome.failure, self._by_key[outcome.key]
        if failure is None:
            return
        if not _failed_screening(outcome):
            place = self._scene.place(failure.stage, source)
        elif failure.reason in PASSING:
            place = self._scene.screen_place(source)
        else:
            return
        self._scene.remembered.failures[place] = failure

    def _remember_scores(self, source: Source) -> None:
        """Remember scores that exclude their utterance: no tar will hold them any more."""
        if source.key in self.state.screened:
            for one, score, _ in self.state.filtered(source):
                self._scene.remembered.scores[self._scene.place(one.column, source)] = score

    def commit(self) -> list[Marker]:
        """Write the screening and every missing target of the shard."""
        self._save_screening()
        scene, members = self._scene, self.state.members()
        markers = []
        for column in self._lacking(members):
            arrays = (self._member(column, source) for source in members)
            folder = scene.targets.folder(column)
            marker = write_target(scene.graph, folder, self.number, column, arrays)
            scene.targets.note(marker)
            markers.append(marker)
        self._made.clear()
        return markers

    def order(self, url: str) -> Order | None:
        """Write the screening, and say what a worker is to write; None where nothing is missing.

        Args:
            url: of the dataset.
        """
        self._save_screening()
        members = self.state.members()
        parcels: dict[Any, int] = {}
        targets: dict[str, list[Stored | InParcel]] = {}
        for column in self._lacking(members):
            places = targets[column] = []
            for source in members:
                made = self._made.get((source.key, column))
                if isinstance(made, Sent):
                    number = parcels.setdefault(made.parcel, len(parcels))
                    places.append(InParcel(parcel=number, key=source.key, column=column))
                else:
                    places.append(self._stored(column, source))
        if not targets:
            return None
        return Order(shard=self.number, url=url, targets=targets, parcels=tuple(parcels))

    def adopt(self, files: Iterable[Path]) -> list[Marker]:
        """Take over markers that a worker has written.

        Raises:
            ValueError: one can't be read, or is not of this shard as it is now.
        """
        members, targets = self.state.members(), self._scene.targets
        markers = [read_marker(file) for file in files]
        for marker in markers:
            if marker.path != targets.path(marker.column, self.number, members):
                raise ValueError(f"{marker.path.name} is not what was ordered")
            targets.note(marker)
        self._made.clear()
        return markers

    def _save_screening(self) -> None:
        if self._unsaved:
            lasting = [
                row
                for row in self.state.screened.values()
                if row.failure is None or row.failure.reason not in PASSING
            ]
            self._scene.screens.save(self.number, lasting)
            self._unsaved = False

    def _lacking(self, members: Sequence[Source]) -> list[str]:
        """Columns whose targets are missing."""
        targets = self._scene.targets
        return [
            column
            for column in self.state.columns
            if members and not targets.exists(column, self.number, members)
        ]

    def _member(self, column: str, source: Source) -> Member:
        """An utterance's member: just made, or copied from an older tar."""
        made = self._made.get((source.key, column))
        return made if isinstance(made, Member) else self._stored(column, source).member()

    def _stored(self, column: str, source: Source) -> Stored:
        stored = self.state.stored(column, source)
        if stored is None:
            raise RuntimeError(f"{column} of {source.key} was neither made nor found")
        return stored


def _failed_screening(outcome: Outcome) -> bool:
    """Whether an utterance can't be used at all, whatever columns are asked for."""
    return outcome.failure is not None and outcome.failure.stage in (*SCREEN, CRASHED)
