"""What is known of a shard: who is in it, why others are not, and what it lacks.

Nothing here changes anything; `ShardJob` does the work, and makes a new state of what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ns2.pipeline.dataset.shards import Stored
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.work.failure import Failure, screen_failure
from ns2.pipeline.preprocess.work.filters import ScoreFilter
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.screening import Screened

_MARKED = {"samples", "level_db", "tokens", "phones"}
"""Scalars of the screening that markers hold too, and that tell all of it."""


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


@dataclass(frozen=True, kw_only=True)
class ShardState:
    """What is known of a shard, for some of its columns.

    Attributes:
        screened: what screening found, by key; utterances not screened yet are missing.
        recovered: whether some of it is not in the store of screenings, and should be.
        scores: of utterances whose columns were just made, by key and name.
    """

    scene: Scene
    shard: Shard
    columns: tuple[str, ...]
    screened: Mapping[str, Screened]
    recovered: bool = False
    scores: Mapping[tuple[str, str], float] = field(default_factory=dict)
    _stored: dict[str, dict[tuple[str, str], Stored]] = field(default_factory=dict)

    @classmethod
    def load(cls, scene: Scene, shard: Shard, columns: Sequence[str]) -> ShardState:
        """What the dataset's folder tells of a shard."""
        state = cls(scene=scene, shard=shard, columns=tuple(columns), screened={})
        known = scene.screens.load(shard.number)
        screened: dict[str, Screened] = {}
        recovered = False
        found = any(scene.targets.existing_names(column, shard.number) for column in columns)
        for source in shard.sources:
            row = known.get(source.key)
            if row is None or row.source != scene.screen_state(source):
                row = state._failed_before(source) or (state._recover(source) if found else None)
                recovered |= row is not None and row.failure is None
            if row is not None and state._is_conclusive(row):
                screened[source.key] = row
        return replace(state, screened=screened, recovered=recovered)

    def with_found(
        self, screened: Mapping[str, Screened], scores: Mapping[tuple[str, str], float]
    ) -> ShardState:
        """This state, and what was found out since."""
        return replace(
            self,
            screened={**self.screened, **screened},
            scores={**self.scores, **scores},
        )

    # -- screening

    def _failed_before(self, source: Source) -> Screened | None:
        """A screening that failed in this run for a reason that is not kept for the next."""
        failures = self.scene.remembered.failures
        failure = failures.get(self.scene.screen_place(source)) if failures else None
        if failure is None:
            return None
        return Screened(key=source.key, source=self.scene.screen_state(source), failure=failure)

    def _recover(self, source: Source) -> Screened | None:
        """An utterance's screening from markers, where the store of screenings has lost it."""
        scalars: dict[str, float] = {}
        for column in self.columns:
            found = self.stored(column, source)
            if found is not None:
                scalars.update(found.row.scalars)
        if not scalars.keys() >= _MARKED:
            return None
        return Screened(key=source.key, source=self.scene.screen_state(source), scalars=scalars)

    def _is_conclusive(self, row: Screened) -> bool:
        """Whether a screening went far enough to decide with these limits."""
        if row.failure is not None or "phones" in row.scalars:
            return True
        scene = self.scene
        return screen_failure(row.scalars, scene.limits, scene.graph.grid) is not None

    # -- membership

    def members(self) -> tuple[Source, ...]:
        """Utterances of the shard that are in the dataset, as far as is known."""
        return tuple(
            source
            for source in self.shard.sources
            if source.key in self.screened and self.exclusion(source) is None
        )

    def exclusion(self, source: Source) -> Failure | None:
        """Why a screened utterance is not in the dataset, if anything excludes it."""
        scene, screened = self.scene, self.screened[source.key]
        failure = screened.failure or screen_failure(
            screened.scalars, scene.limits, scene.graph.grid
        )
        if failure is not None:
            return failure
        if scene.remembered.failures:
            for column in self.columns:
                failure = scene.remembered.failures.get(scene.place(column, source))
                if failure is not None:
                    return failure
        return next((failure for _, _, failure in self.filtered(source)), None)

    def filtered(self, source: Source) -> Iterator[tuple[ScoreFilter, float, Failure]]:
        """The filters that exclude a screened utterance, with its scores and why."""
        for one in self.scene.filters:
            score = self._score(one, source)
            failure = None if score is None else one.failure(score)
            if score is not None and failure is not None:
                yield one, score, failure

    def _score(self, one: ScoreFilter, source: Source) -> float | None:
        """The number that a filter asks for, if it is known."""
        scene = self.scene
        if one.column not in self.columns:
            return None
        if (source.key, one.scalar) in self.scores:
            return self.scores[source.key, one.scalar]
        place = scene.place(one.column, source)
        if place in scene.remembered.scores:
            return scene.remembered.scores[place]
        stored = self.stored(one.column, source)
        return None if stored is None else stored.row.scalars.get(one.scalar)

    # -- targets

    def stored(self, column: str, source: Source) -> Stored | None:
        """Where an utterance's array lies, if some committed tar has it."""
        targets = self.scene.targets
        if column not in self._stored:
            self._stored[column] = targets.existing(column, self.shard.number)
        found = self._stored[column]
        return found.get((source.key, targets.state(column, source))) if found else None

    def outlook(self) -> Outlook:
        """What would have to be done for the shard."""
        unscreened = {s.key for s in self.shard.sources if s.key not in self.screened}
        likely = unscreened | {source.key for source in self.members()}
        expected = [source for source in self.shard.sources if source.key in likely]
        compute = {
            column: sum(self.stored(column, source) is None for source in expected)
            for column in self.columns
            if expected and not self.scene.targets.exists(column, self.shard.number, expected)
        }
        return Outlook(members=len(expected), unscreened=len(unscreened), compute=compute)
