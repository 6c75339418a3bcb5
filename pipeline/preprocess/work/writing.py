"""Writing targets: in the dataset's folder, or by a worker straight into the bucket.

A worker keeps the arrays that it makes (`keep`), and tells the driver only that it has them. Once
all of a shard are there, one worker gets an `Order`, writes the tars in a temporary folder, and
puts each as a whole, before its marker.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns2.pipeline.dataset.bucket.putting import put_once
from ns2.pipeline.dataset.shards import Marker, Member, Stored, TarWriter, decode_value
from ns2.pipeline.preprocess.work.messages import BatchResult, Sent
from ns2.pipeline.remote.objects import Objects
from ns2.pipeline.stages.graph import Graph
from ns2.pipeline.stages.stage import Stage

Parcel = Mapping[tuple[str, str], Member]
"""What was made of the utterances of a batch, by key and column."""


@dataclass(frozen=True, kw_only=True)
class InParcel:
    """An array that was made and not written yet.

    Attributes:
        parcel: which of an order's parcels holds it.
        key, column: where in that.
    """

    parcel: int
    key: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """Targets of a shard that are to be written into a bucket.

    Attributes:
        url: of the dataset.
        targets: where the members of each lie, in order, by column.
        parcels: references to what was made.
    """

    shard: int
    url: str
    targets: Mapping[str, Sequence[Stored | InParcel]]
    parcels: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Written:
    """What has become of an order.

    Attributes:
        markers: the names in the dataset of those that were put; empty where arrays were lost with
            the machine that held them, and nothing was written.
    """

    shard: int
    markers: tuple[str, ...] = ()


def keep(result: BatchResult) -> Parcel:
    """Take the arrays out of a batch's result; in their place it tells of them."""
    parcel: dict[tuple[str, str], Member] = {}
    for outcome in result.outcomes:
        for column, member in outcome.arrays.items():
            parcel[outcome.key, column] = member
            outcome.members[column] = Sent(scalars=member.scalars)
    return parcel


def write_target(
    graph: Graph, folder: Path, shard: int, column: str, members: Iterable[Member]
) -> Marker:
    """Write the tar of a column of a shard, then its marker.

    Args:
        folder: of the column.
        members: in the order of the tar.
    """
    stage, spec = graph.stages[column], graph.spec(column)
    writer = TarWriter(folder, shard, spec)
    summarised = type(stage).summarise is not Stage.summarise
    arrays = []
    try:
        for member in members:
            writer.add(member)
            if summarised:
                arrays.append(decode_value(spec, member.data))
        return writer.commit(stage.summarise(arrays))
    except BaseException:
        writer.abort()
        raise


def write_far(graph: Graph, order: Order, parcels: Sequence[Parcel]) -> Written:
    """Write what is ordered into the bucket.

    Args:
        parcels: what the references of the order refer to.

    Raises:
        UserError: the bucket can't be read or written.
    """
    objects, markers = Objects(order.url), []
    for column, places in order.targets.items():
        name = graph.folder(column)
        members = (
            one.member() if isinstance(one, Stored) else parcels[one.parcel][one.key, one.column]
            for one in places
        )
        with tempfile.TemporaryDirectory(prefix="ns2-") as scratch:
            marker = write_target(graph, Path(scratch) / name, order.shard, column, members)
            for path in (marker.tar, marker.path):
                put_once(objects, f"{name}/{path.name}", path)
        markers.append(f"{name}/{marker.path.name}")
    return Written(shard=order.shard, markers=tuple(markers))
