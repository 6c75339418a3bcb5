"""What the index says of an utterance only once the values of all utterances are known.

A survey sees each array of its column twice: to learn of it, and to say what the index is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.shards import decode_value, read_members
from ns2.pipeline.preprocess.finish.publish import ShardContent, read_content
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.work.scene import Scene
from ns2.pipeline.preprocess.work.shard_state import ShardState
from ns2.pipeline.stages.graph import Graph
from ns2.pipeline.stages.stage import Survey


def survey_all(scene: Scene, shards: Sequence[Shard], columns: Sequence[str]) -> dict[str, Survey]:
    """The surveys of a dataset's columns, by column, after they have seen all utterances.

    Raises:
        UserError: a tar is damaged.
    """
    made = {column: scene.graph.stages[column].survey() for column in columns}
    surveys = {column: survey for column, survey in made.items() if survey is not None}
    for shard in shards if surveys else ():
        state = ShardState.load(scene, shard, columns)
        if members := state.members():
            content = read_content(
                scene.targets, shard.number, members, state.screened, tuple(surveys)
            )
            for column, survey in surveys.items():
                for speaker, value in _values(content, column, scene.graph):
                    survey.add(speaker, value)
    return surveys


def what_surveys_say(
    surveys: Mapping[str, Survey], content: ShardContent, graph: Graph
) -> list[dict[str, float | None]]:
    """Fields of the index, for each member of a shard; empty where there are no surveys."""
    said: list[dict[str, float | None]] = [{} for _ in content.members if surveys]
    for column, survey in surveys.items():
        for fields, (speaker, value) in zip(said, _values(content, column, graph), strict=True):
            fields.update(survey.fields(speaker, value))
    return said


def _values(content: ShardContent, column: str, graph: Graph) -> Iterator[tuple[str, Any]]:
    """(speaker, value) of each member of a shard.

    Raises:
        UserError: the tar is damaged.
    """
    spec, marker = graph.spec(column), content.markers[column]
    try:
        for source, data in zip(
            content.members, read_members(marker.tar, marker.rows), strict=True
        ):
            yield source.utterance.speaker, decode_value(spec, data)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{error}. Delete {marker.path} and run again: only what it stands for is made anew."
        ) from error
