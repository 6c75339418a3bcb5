"""Mixtures: how often each utterance comes in an epoch, and where in it.

Utterances are in groups, such as the speakers of a dataset, and each group has a share of all
turns. Three rules make an epoch of them, and each of them needs the epoch's number alone:

- The groups lie side by side on a line as long as the epoch, each as long as its share of it, and
  one turn falls to each whole number, moved by a fraction that changes from epoch to epoch. So a
  group gets its share, rounded up or down, and so does any run of neighbours, such as a dataset.
- The utterances of a group come in turn, in an order that stays. So how often they come differs by
  at most one, in an epoch and in all epochs together.
- The turns of an utterance that comes k times in an epoch lie a k-th of the epoch apart. Utterances
  of one shard that come equally often have them at the same places, and are read together.

Letters for shapes: n utterances, N turns of an epoch, G groups.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ns2.model.tts.prompts import PromptConfig
from ns2.pipeline.core.errors import UserError
from ns2.train.data.epochs import WINDOW_SHARDS, WINDOW_STEPS, EpochPlan, mixed, plan_epoch
from ns2.train.data.mix import Mix, parse_mix

if TYPE_CHECKING:
    from ns2.pipeline.dataset.reader import Dataset

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio: multiples of it are spread evenly, however many there are."""
_FRACTION, _ORDER, _PLACE = 6, 7, 8
"""Purposes of random numbers, beside those of `plan_epoch`."""


@dataclass(frozen=True)
class Turns:
    """The turns of an epoch, in no particular order.

    Attributes:
        numbers: (N,) int32, of the utterances.
        turn: (N,) int32, how often the utterance has come in the epoch before.
        place: (N,) float64 in [0, 1), where in the epoch the turn lies.
    """

    numbers: np.ndarray
    turn: np.ndarray
    place: np.ndarray

    def windows(self, frames: np.ndarray, enough: int) -> np.ndarray:
        """The window of each turn: windows follow each other in the order of places.

        Args:
            frames: (N,), of the turns.
            enough: the least number of frames in a window; it also has 8 places at least, which are
                shards or parts of them.

        Returns:
            (N,) int32.
        """
        order = np.argsort(self.place, kind="stable")
        firsts = np.flatnonzero(np.diff(self.place[order], prepend=-1.0))
        sizes = np.diff(firsts, append=len(order))
        ends = np.cumsum(np.add.reduceat(frames[order], firsts, dtype=np.int64))
        stops: list[int] = []
        begin = 0
        while True:
            before = int(ends[begin - 1]) if begin else 0
            begin = max(begin + WINDOW_SHARDS, int(ends.searchsorted(before + enough)) + 1)
            if begin > len(ends):
                break
            stops.append(begin)
        # what is left at the end is too small: it joins the window before
        number = np.searchsorted(stops[:-1], np.arange(len(ends)), "right").astype(np.int32)
        window = np.empty(len(order), np.int32)
        window[order] = np.repeat(number, sizes)
        return window


class Mixture:
    """The groups of utterances and their shares of an epoch.

    Attributes:
        utterances: N, the turns of an epoch.
        share: (G,) float64 that sum to 1.
        size: (G,) int64, the number of utterances in each group.
    """

    def __init__(self, group: np.ndarray, share: np.ndarray, utterances: int) -> None:
        """Keep groups and shares.

        Args:
            group: (n,) from 0 to G - 1; each group has an utterance.
            share: (G,), of the turns.
            utterances: N.
        """
        self.group, self.share, self.utterances = group, share, utterances
        self.size = np.bincount(group, minlength=len(share))
        ends = np.concatenate([[0.0], np.cumsum(share)]) / share.sum() * utterances
        ends[-1] = utterances
        self._whole = np.floor(np.minimum(ends, utterances)).astype(np.int64)
        self._from = 1 - (np.minimum(ends, utterances) - self._whole)
        self._ordered: tuple[int, np.ndarray] | None = None

    def turns(self, shards: np.ndarray, *, seed: int, epoch: int) -> Turns:
        """The turns of an epoch.

        Args:
            shards: (n,) the shard of each utterance, small whole numbers from 0 on.
        """
        count, before = self.counts(seed, epoch)
        size, first = self.size, np.cumsum(self.size) - self.size

        def each(values: np.ndarray) -> np.ndarray:
            return np.repeat(values.astype(np.int32), count)

        local = np.arange(self.utterances, dtype=np.int32) - each(np.cumsum(count) - count)
        sizes = each(size)
        turn, slot = np.divmod(local, sizes)
        times = each(count // size) + (slot < each(count % size))
        at = (each(before % size) + slot) % sizes + each(first)
        numbers = self._in_turn(seed)[at]
        chance = mixed(seed, epoch, _PLACE, np.arange(int(shards.max()) + 1)) >> np.uint64(11)
        place = (turn + (chance.astype(np.float64) / 2**53)[shards[numbers]]) / times
        return Turns(numbers, turn, place)

    def counts(self, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The turns of each group in an epoch and in all epochs before it, (G,) int64 each."""
        steps = np.arange(epoch + 1, dtype=np.uint64) * _GOLDEN + mixed(seed, _FRACTION)
        fraction = (steps >> np.uint64(11)).astype(np.float64) / 2**53
        now = self._whole + (fraction[-1] >= self._from)
        earlier = np.sort(fraction[:-1])
        before = epoch * self._whole + epoch - earlier.searchsorted(self._from)
        return np.diff(now), np.diff(before)

    def _in_turn(self, seed: int) -> np.ndarray:
        """Utterances by group, and in the order in which those of a group come; (n,) int32."""
        if self._ordered is None or self._ordered[0] != seed:
            key = mixed(seed, _ORDER, np.arange(len(self.group))) >> np.uint64(32)
            key |= self.group.astype(np.uint64) << np.uint64(32)
            self._ordered = seed, np.argsort(key, kind="stable").astype(np.int32)
        return self._ordered[1]


def plan_turns(
    turns: Turns,
    frames: np.ndarray,
    *,
    seed: int,
    epoch: int,
    global_frames: int,
    others: np.ndarray | None,
    prompts: PromptConfig | None,
) -> EpochPlan:
    """Plan an epoch of turns, as `plan_epoch` does.

    Args:
        frames: (N,), of the utterances whose turns they are.
        others: (N,), frames of prompts that come from other utterances; None makes plan 1.
    """
    counted = frames if others is None else np.minimum(frames + others, global_frames)
    plan = plan_epoch(
        np.zeros(0, np.int32),
        frames,
        seed=seed,
        epoch=epoch,
        global_frames=global_frames,
        others=others,
        prompts=prompts,
        window=turns.windows(counted, WINDOW_STEPS * global_frames),
    )
    return replace(plan, order=turns.numbers[plan.order], turns=turns.turn[plan.order])


def mixture_of(
    mix: str,
    utterances: int,
    datasets: Sequence[Dataset],
    dataset_of: np.ndarray,
    position: np.ndarray,
) -> Mixture:
    """The mixture that a text asks for.

    Args:
        mix: such as "5:3:1 speaker^0.5"; "" makes one group of all utterances.
        utterances: N, of an epoch.
        dataset_of, position: (n,), where the utterances lie.

    Raises:
        UserError: the text is wrong, there are more or fewer shares than datasets, a dataset has no
            utterance, or a column is missing, holds no groups, or has no value for an utterance.
    """
    try:
        asked = parse_mix([mix])
    except ValueError as error:
        raise UserError(str(error)) from error
    group, share = np.zeros(len(dataset_of), np.int64), np.ones(1)
    for codes, weight in _levels(asked, datasets, dataset_of, position):
        group, share = _divided(group, share, codes, weight)
    return Mixture(group.astype(np.int32), share, utterances)


def _levels(
    mix: Mix, datasets: Sequence[Dataset], dataset_of: np.ndarray, position: np.ndarray
) -> Iterator[tuple[np.ndarray, float | np.ndarray]]:
    """Each division: (n,) values as whole numbers, and their shares or the power of their counts.

    Raises:
        UserError: see `mixture_of`.
    """
    if mix.shares:
        _check_shares(mix, datasets, dataset_of)
        yield dataset_of.astype(np.int64), np.array(mix.shares)
    for column, power in mix.powers.items():
        yield _values(column, datasets, dataset_of, position), power


def _divided(
    group: np.ndarray, share: np.ndarray, codes: np.ndarray, weight: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Groups and their shares after each group was divided by the values of its utterances."""
    values = int(codes.max()) + 1
    both = group * values + codes
    if len(share) * values <= max(2**22, 4 * len(both)):
        there = np.flatnonzero(np.bincount(both))
        number = np.zeros(int(there[-1]) + 1, np.int64)
        number[there] = np.arange(len(there))
        group = number[both]
    else:
        there, group = np.unique(both, return_inverse=True)
    parent, value = np.divmod(there, values)
    own = weight[value] if isinstance(weight, np.ndarray) else _powers(np.bincount(group), weight)
    return group, share[parent] * own / np.bincount(parent, own)[parent]


def _powers(counts: np.ndarray, power: float) -> np.ndarray:
    """Powers of whole numbers, the same on every machine: processors' own differ in last bits."""
    different, where = np.unique(counts, return_inverse=True)
    exponent = Decimal(repr(power))
    found: np.ndarray = np.array([float(Decimal(one) ** exponent) for one in different.tolist()])
    return found[where]


def _check_shares(mix: Mix, datasets: Sequence[Dataset], dataset_of: np.ndarray) -> None:
    """See that each dataset has a share, and utterances.

    Raises:
        UserError: one has not.
    """
    if len(mix.shares) != len(datasets):
        names = ", ".join(str(dataset.root) for dataset in datasets)
        raise UserError(
            f"the mix {mix.text.partition(' ')[0]} has {len(mix.shares)} shares, and the datasets "
            f"are {len(datasets)} ({names}); give one share for each, in their order"
        )
    empty = np.flatnonzero(np.bincount(dataset_of, minlength=len(datasets)) == 0)
    if len(empty):
        raise UserError(
            f"{datasets[empty[0]].root}: --where and --split leave no utterance of this dataset, "
            "which has a share in the mix; leave it out of the command"
        )


def _values(
    column: str, datasets: Sequence[Dataset], dataset_of: np.ndarray, position: np.ndarray
) -> np.ndarray:
    """The values of utterances in a column as whole numbers from 0 on, (n,) int64.

    Speakers of different datasets are different, whatever their names.

    Raises:
        UserError: see `mixture_of`.
    """
    number: dict[object, int] = {}
    parts = []
    for i, dataset in enumerate(datasets):
        chosen = position[dataset_of == i]
        names, codes = _coded(dataset, column, chosen)
        keys = [(i if column == "speaker" else 0, name) for name in names]
        numbers = np.array([number.setdefault(key, len(number)) for key in keys], np.int64)
        parts.append(numbers[codes] if len(codes) else np.zeros(0, np.int64))
    return np.concatenate(parts)


def _coded(dataset: Dataset, column: str, rows: np.ndarray) -> tuple[list[object], np.ndarray]:
    """The different values of rows of a column, and (m,) int64 which of them each row has.

    Raises:
        UserError: see `mixture_of`.
    """
    schema = dataset.index_schema
    if column not in schema.names:
        near = difflib.get_close_matches(column, schema.names, 1)
        hint = f"did you mean {near[0]}?" if near else "a mix is over one such as speaker"
        raise UserError(f"--mix: the index of {dataset.root} has no column {column}; {hint}")
    text = pa.types.is_string(schema.field(column).type)
    values = dataset.fields([column], codes=[column] if text else [])[column]
    values = values.take(pa.array(rows))
    if values.null_count:
        raise UserError(
            f"--mix: {values.null_count:,} utterances of {dataset.root} have no {column}; leave "
            f'them out with --where "{column} is not None"'
        )
    if not text and not _are_whole(values):
        raise UserError(
            f"--mix: the column {column} of {dataset.root} names no groups, which are texts or "
            "whole numbers, such as those of speaker and language"
        )
    if not text:
        values = pc.dictionary_encode(values).unify_dictionaries()
    if not values.num_chunks:
        return [], np.zeros(0, np.int64)
    codes = np.concatenate([np.asarray(chunk.indices) for chunk in values.chunks])
    return values.chunk(0).dictionary.to_pylist(), codes.astype(np.int64)


def _are_whole(values: pa.ChunkedArray) -> bool:
    """Whether values are whole numbers, of whatever type; scalars of stages are float64."""
    kind = values.type
    if pa.types.is_floating(kind):
        return bool(pc.all(pc.equal(values, pc.floor(values)), min_count=0).as_py())
    return bool(pa.types.is_integer(kind))
