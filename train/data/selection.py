"""The data of a run: datasets joined, utterances chosen of them, an epoch planned.

    data = open_data(["shards"], where="seconds < 12")
    plan = data.plan(seed=0, epoch=0, global_frames=16_000)
    data.read("codes", int(plan.step(0)[0]))  # (Q, T)

torch is not imported here.

Letters for shapes: n utterances, T frames, N phonemes, Q quantizers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ns2.model.tts.prompts import PromptConfig
from ns2.pipeline.core.errors import DamageError, UserError
from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset.card import open_card
from ns2.pipeline.dataset.losses import join_losses
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.data.alike import check_alike, longest_table
from ns2.train.data.by_speaker import BySpeaker
from ns2.train.data.chosen import chosen_rows
from ns2.train.data.epochs import EpochPlan, check_frames, plan_epoch, utterance_seeds
from ns2.train.data.identity import Identity, content_digest
from ns2.train.data.mixture import Mixture, mixture_of, plan_turns

COLUMNS = ("codes", "phonemes", "durations", "f0")
"""The columns that NaturalSpeech 2 learns from."""


class EmptyError(UserError):
    """The split and the condition leave no utterance."""


class Data:
    """Chosen utterances of one or more datasets, numbered from 0 on.

    Attributes:
        datasets: in the order that was given.
        columns: the columns that are fetched.
        split, where: the split and the condition that utterances were chosen by.
        dataset_of: (n,) int16, the number of each utterance's dataset.
        position: (n,) int32, its place in that dataset's index.
        shards: (n,) int32, its shard, numbered through all datasets.
        frames: (n,) int32, T.
        identity: all that decides which utterance has which number, and what it holds.
        digest: of the identity, 64 hex digits.
        mixture: how often utterances come in an epoch; None where each comes once.
    """

    mixture: Mixture | None = None

    def __init__(
        self, datasets: Sequence[Dataset], columns: Sequence[str], *, split: str, where: str
    ) -> None:
        self.datasets, self.columns = tuple(datasets), tuple(columns)
        self.split, self.where = split, where.strip()
        check_alike(self.datasets, self.columns)
        parts, first_shard = [], 0
        for dataset in self.datasets:
            position, shards, frames = chosen_rows(dataset, split, where)
            parts.append((position, shards + first_shard, frames))
            first_shard += int(shards.max(initial=-1)) + 1
        self.position, self.shards, self.frames = (
            np.concatenate([part[i] for part in parts]) for i in range(3)
        )
        counts = [len(part[0]) for part in parts]
        self.dataset_of = np.repeat(np.arange(len(parts), dtype=np.int16), counts)
        self.identity = Identity(
            cards=[dataset.card for dataset in self.datasets],
            split=split,
            where=" ".join([self.where, *map(_joined_digest, self.datasets)]).strip(),
            columns=self.columns,
        )
        self.digest = self.identity.digest
        self._stamps = [dataset.stamp() for dataset in self.datasets]
        if not len(self):
            chosen = f"--where {where!r} in split {split!r}" if where else f"split {split!r}"
            raise EmptyError(f"{_names(self.datasets)}: {chosen} leaves no utterance")

    def __len__(self) -> int:
        return len(self.position)

    def of_split(self, split: str) -> Data | None:
        """The utterances of another split that meet the same condition; None if there are none."""
        try:
            return Data(self.datasets, self.columns, split=split, where=self.where)
        except EmptyError:
            return None

    def only(self, numbers: np.ndarray) -> Data:
        """A part of the utterances, numbered anew in their old order.

        Args:
            numbers: of the utterances, in any order.
        """
        numbers = np.sort(numbers)
        chosen = copy.copy(self)
        chosen.mixture = None
        for name in ("speakers", "_by_speaker"):
            chosen.__dict__.pop(name, None)
        chosen.dataset_of, chosen.position = self.dataset_of[numbers], self.position[numbers]
        chosen.shards, chosen.frames = self.shards[numbers], self.frames[numbers]
        chosen.digest = short_hash([self.digest, numbers.tolist()], 64)
        return chosen

    def mixed_by(self, mix: str, utterances: int = 0) -> Data:
        """The same utterances with a mixture, which decides how often each comes in an epoch.

        Args:
            mix: such as "5:3:1 speaker^0.5"; "" for all alike.
            utterances: the length of an epoch; 0 for as many as there are.

        Raises:
            UserError: the mix does not fit these utterances, see `mixture_of`.
        """
        chosen = copy.copy(self)
        chosen.mixture = None
        if mix.strip() or utterances:
            chosen.mixture = mixture_of(
                mix, utterances or len(self), self.datasets, self.dataset_of, self.position
            )
        return chosen

    @property
    def positions(self) -> list[np.ndarray]:
        """For each dataset the positions in its index of the utterances that are chosen."""
        return [self.position[self.dataset_of == i] for i in range(len(self.datasets))]

    @property
    def table(self) -> PhonemeTable:
        """The phoneme table of all datasets: that which has all ids of the others."""
        return longest_table([dataset.phoneme_table for dataset in self.datasets])

    @property
    def grid(self) -> FrameGrid:
        """The frame grid of all datasets."""
        return self.datasets[0].grid

    def key(self, number: int) -> str:
        """The key of an utterance in its dataset."""
        return self._dataset(number).key(self.position.item(number))

    def read(self, column: str, number: int, *, check: bool = False) -> Any:
        """One array of an utterance, read-only.

        Args:
            check: compare its CRC-32 with the index.

        Raises:
            DamageError: naming the key and the file.
        """
        return self.read_many(column, np.array([number]), check=check)[0]

    def read_many(self, column: str, numbers: np.ndarray, *, check: bool = False) -> list[Any]:
        """One array of each utterance, read-only: views of the mapped tars.

        Args:
            numbers: of the utterances.
            check: compare CRC-32s with the index.

        Raises:
            DamageError: naming the key and the file.
        """
        return self._each(numbers, lambda i, at: self._read(i, column, at, check))

    def keys(self, numbers: np.ndarray) -> list[str]:
        """The keys of utterances in their datasets, by the utterances' numbers."""
        return self._each(numbers, lambda i, at: self.datasets[i].keys_at(at))

    def _each(self, numbers: np.ndarray, get: Callable[[int, np.ndarray], list[Any]]) -> list[Any]:
        """Values that a function finds by dataset and positions, in the order of `numbers`."""
        positions = self.position[numbers]
        if len(self.datasets) == 1:
            return get(0, positions)
        owners = self.dataset_of[numbers]
        values: list[Any] = [None] * len(numbers)
        for owner in np.unique(owners).tolist():
            where = np.flatnonzero(owners == owner)
            for i, value in zip(where.tolist(), get(owner, positions[where]), strict=True):
                values[i] = value
        return values

    def _read(self, owner: int, column: str, positions: np.ndarray, check: bool) -> list[Any]:
        dataset = self.datasets[owner]
        try:
            arrays = dataset.read_many(column, positions, check=check)
            if check:
                _check_finite(column, arrays, lambda i: dataset.keys_at(positions[i : i + 1])[0])
            return arrays
        except (ValueError, OSError) as error:
            raise DamageError(
                f"{dataset.root}: an utterance can't be read: {error}; "
                "`ns2 verify` lists all that is damaged"
            ) from error

    def other(self, number: int, seed: int) -> int | None:
        """Another utterance of the same speaker, for a prompt; None where there is none.

        Speakers of different datasets are different, whatever their names.

        Args:
            seed: decides which utterance it is; any whole number.
        """
        found = int(self.others(np.array([number]), np.array([seed & (1 << 64) - 1], np.uint64))[0])
        return found if found >= 0 else None

    def others(self, numbers: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Of each utterance another one of the same speaker, as `other` chooses it.

        Args:
            numbers: (m,) of the utterances.
            seeds: (m,) uint64.

        Returns:
            (m,) int64; -1 where a speaker has no other.
        """
        return self._by_speaker.others(numbers, seeds)

    def plan(
        self, *, seed: int, epoch: int, global_frames: int, prompts: PromptConfig | None = None
    ) -> EpochPlan:
        """The plan of an epoch over these utterances.

        Args:
            prompts: the lengths of prompts, for plan 2; None makes plan 1.

        Raises:
            UserError: an utterance is longer than a step.
        """
        try:
            check_frames(self.frames, global_frames)
        except ValueError as error:
            longest = self.key(int(self.frames.argmax()))
            raise UserError(
                f"{_names(self.datasets)}: {error} (the longest is {longest})"
            ) from None
        turns = None
        if self.mixture is not None:
            turns = self.mixture.turns(self.shards, seed=seed, epoch=epoch)
        numbers = np.arange(len(self)) if turns is None else turns.numbers
        draw: dict[str, Any] = {"seed": seed, "epoch": epoch}
        others = None
        if prompts is not None:
            again = None if turns is None else turns.turn
            others = self.prompts_of_others(numbers, again, **draw, config=prompts)
        chosen = {**draw, "global_frames": global_frames, "others": others, "prompts": prompts}
        if turns is None:
            return plan_epoch(self.shards, self.frames, **chosen)
        return plan_turns(turns, self.frames[numbers], **chosen)

    def prompts_of_others(
        self,
        numbers: np.ndarray,
        turns: np.ndarray | None,
        *,
        seed: int,
        epoch: int,
        config: PromptConfig,
    ) -> np.ndarray:
        """Frames of the prompts that come from other utterances in an epoch.

        Args:
            numbers: (m,) of the utterances.
            turns: (m,), how often each has come in the epoch before; None where each comes once.

        Returns:
            (m,) int32; 0 for utterances that are long enough for a prompt of their own, and for
            those whose speaker has no other.
        """
        found = np.zeros(len(numbers), np.int32)
        whole = np.flatnonzero(self.frames[numbers] < config.whole_below)
        turns = None if turns is None else turns[whole]
        others = self.others(numbers[whole], utterance_seeds(seed, epoch, numbers[whole], turns))
        there = others >= 0
        found[whole[there]] = np.minimum(self.frames[others[there]], config.longest)
        return found

    def check_unchanged(self) -> None:
        """See that no dataset was changed since it was opened; a card's version of ns2 may be.

        Only where size or time of a card's file have changed is it read again.

        Raises:
            UserError: a dataset was changed.
        """
        for dataset, before in zip(self.datasets, self._stamps, strict=True):
            try:
                if dataset.stamp() == before:
                    continue
                now = content_digest(open_card(dataset.root))
                same = now == content_digest(dataset.card)
            except (OSError, UserError):
                same = False
            if not same:
                raise UserError(
                    f"{dataset.root} has changed since the run began: its card is not what it was. "
                    "Put the old dataset back, or start a new run with this one."
                )

    def prepare(self, *, check: bool) -> None:
        """Load what reading needs now; otherwise the first read loads it."""
        for dataset in self.datasets:
            dataset.prepare(self.columns, check=check)

    def _dataset(self, number: int) -> Dataset:
        return self.datasets[self.dataset_of.item(number)]

    @cached_property
    def speakers(self) -> tuple[list[tuple[int, str]], np.ndarray]:
        """All speakers as (dataset, name), and the speaker of each utterance, (n,) int32."""
        found: list[tuple[int, str]] = []
        of: list[np.ndarray] = []
        for i, dataset in enumerate(self.datasets):
            names, codes = dataset.names("speaker")
            of.append(codes[self.position[self.dataset_of == i]] + len(found))
            found += [(i, name) for name in names]
        return found, np.concatenate(of).astype(np.int32)

    @cached_property
    def _by_speaker(self) -> BySpeaker:
        return BySpeaker(self.speakers[1])


def open_data(
    roots: Sequence[str | Path],
    *,
    columns: Sequence[str] = COLUMNS,
    split: str = "train",
    where: str = "",
    losses: Path | None = None,
    expected: str | None = None,
) -> Data:
    """Open datasets to learn from.

    Args:
        columns: the columns to fetch.
        split: "train", "val" or "test"; "" for all.
        where: a condition on the index, as of `--where`; "" for none.
        losses: a run whose losses of utterances the condition may name.
        expected: the `digest` that a run recorded when it began; None does not compare it.

    Raises:
        UserError: there is no dataset, a column is missing, datasets do not go together, no
            utterance is left, the condition is wrong, or the digest is another.
    """
    if not roots:
        raise UserError("no dataset is given")
    datasets = [Dataset(root, columns) for root in roots]
    if losses is not None:
        for dataset in datasets:
            join_losses(dataset, losses)
    data = Data(datasets, columns, split=split, where=where)
    if expected is not None and not data.identity.was(expected):
        raise UserError(
            f"{_names(data.datasets)}: this is not what the run began with: another dataset, "
            "changed since, or other choices (datasets and their order, --where, split, columns). "
            "Take the same, or start a new run."
        )
    return data


def _joined_digest(dataset: Dataset) -> str:
    """A hash of what was joined to a dataset's index; empty for nothing."""
    values = [column.to_pylist() for column in dataset.joined.values()]
    return short_hash(values, 16) if values else ""


def _check_finite(column: str, arrays: Sequence[Any], key: Callable[[int], str]) -> None:
    """See that arrays hold neither NaN nor infinity; `key` names the utterance of one of them.

    Raises:
        ValueError: naming the first that does.
    """
    for i, array in enumerate(arrays):
        floats = isinstance(array, np.ndarray) and array.dtype.kind == "f"
        if floats and not np.isfinite(array).all():
            raise ValueError(f"{column} of {key(i)} holds values that are not finite")


def _names(datasets: Sequence[Dataset]) -> str:
    return ", ".join(dataset.place for dataset in datasets)
