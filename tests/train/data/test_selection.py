"""Data for training: datasets joined, utterances chosen, steps fetched in order; damage told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns2.model.tts.prompts import PromptConfig
from ns2.pipeline.core.errors import DamageError, UserError
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.data.prefetch import Fetched, Reader, Step
from ns2.train.data.selection import COLUMNS, Data, open_data
from tests.support.dataset_factories import Recipe, folder, make_dataset
from tests.support.processes import loaded

SMALL = 150
"""Frames of a step: about four utterances of the recipe."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "a", Recipe(shards=8, per_shard=4))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(
        tmp_path_factory.mktemp("data") / "b", Recipe(shards=2, per_shard=4, seed=1)
    )


def same(fetched: list[Fetched]) -> list[Fetched]:
    return fetched


def read(data: Data, **options: Any) -> list[Step]:
    options = {"seed": 0, "global_frames": SMALL, "epochs": 1, **options}
    with Reader(data, same, **options) as reader:
        return list(reader)


def keys(steps: Sequence[Step]) -> list[list[str]]:
    return [sorted(one.key for one in step.batch or ()) for step in steps]


def flip(root: Path, column: str, key: str) -> None:
    row = Dataset(root).row(key)
    path = root / row[f"{column}_file"]
    data = bytearray(path.read_bytes())
    data[row[f"{column}_offset"] + row[f"{column}_size"] - 1] ^= 1
    path.write_bytes(data)


def change_card(root: Path, **fields: Any) -> None:
    card = json.loads((root / layout.CARD).read_text())
    (root / layout.CARD).write_text(card_text(sealed({**card, **fields})))


def test_utterances_are_chosen_by_split_and_condition(root: Path) -> None:
    rows = Dataset(root).index.to_pylist()
    for split, where, taken in (
        ("train", "", lambda r: r["split"] == "train"),
        ("val", "frames < 33", lambda r: r["split"] == "val" and r["frames"] < 33),
        ("", "split == 'val'", lambda r: r["split"] == "val"),
        ("train", "frames > 30 or shard in (1, 2)",
         lambda r: r["split"] == "train" and (r["frames"] > 30 or r["shard"] in (1, 2))),
    ):  # fmt: skip
        data = open_data([root], split=split, where=where)
        expected = [row for row in rows if taken(row)]
        assert [data.key(i) for i in range(len(data))] == [row["key"] for row in expected]
        assert data.frames.tolist() == [row["frames"] for row in expected]
    with pytest.raises(UserError, match="leaves no utterance"):
        open_data([root], where="seconds > 100")
    with pytest.raises(UserError, match="did you mean frames"):
        open_data([root], where="frame > 100")


def test_datasets_are_joined(root: Path, second: Path) -> None:
    data = open_data([root, second], split="")
    assert len(data) == 40 and len(set(data.shards.tolist())) == 10
    for number in (0, 31, 32, 39):
        dataset = Dataset([root, second][number // 32])
        for column in COLUMNS:
            expected = dataset.read(column, number % 32)
            np.testing.assert_array_equal(data.read(column, number), expected)
    numbers = np.array([33, 0, 39, 5])
    assert data.keys(numbers) == [data.key(i) for i in numbers.tolist()]
    for number, array in zip(numbers.tolist(), data.read_many("f0", numbers), strict=True):
        np.testing.assert_array_equal(array, data.read("f0", number))
    steps = read(data)
    assert sorted(one.number for step in steps for one in step.batch) == list(range(40))


def test_datasets_that_do_not_go_together_are_told(root: Path, tmp_path: Path) -> None:
    def other(name: str, recipe: Recipe) -> Path:
        return make_dataset(tmp_path / name, recipe)

    grid = {"sample_rate": 16_000, "hop_length": 320, "frame_rate": 50.0}
    grids = other("grid", Recipe(change_card=lambda card: {**card, "grid": grid}))
    with pytest.raises(UserError, match=r"frame grids \(24000 Hz, hop 320; 16000 Hz, hop 320\)"):
        open_data([root, grids])
    with pytest.raises(UserError, match="arrays of codes"):
        open_data([root, other("codes", Recipe(quantizers=8))])
    books = other("books", Recipe())
    asset = Dataset(books).asset("codebooks")
    asset.write_bytes(asset.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match="different codebooks"):
        open_data([root, books])
    table = other("table", Recipe())
    phones = Dataset(table).asset("phonemes")
    text = json.loads(phones.read_text())
    phones.write_text(json.dumps({**text, "phones": [*text["phones"][:-1], "ħ"]}))
    with pytest.raises(UserError, match=r"different phoneme tables \(id \d+ is 'θ'.*is 'ħ'\)"):
        open_data([root, table])
    longer = other("longer", Recipe())  # that only appends to the table goes together with it
    phones = Dataset(longer).asset("phonemes")
    phones.write_text(json.dumps({**text, "phones": [*text["phones"], "ħ"]}))
    for roots in ([root, longer], [longer, root]):
        assert open_data(roots).table.phones[-1] == "ħ"
    with pytest.raises(UserError, match="no column durations; it has"):
        open_data([other("few", Recipe(columns=("codes", "f0", "phonemes")))])


def test_another_utterance_of_the_speaker(root: Path, second: Path) -> None:
    data = open_data([root, second], where="frames > 26")
    names, of = data.speakers
    rows = [Dataset(r).index.to_pylist() for r in (root, second)]
    for i in range(len(data)):
        dataset = int(data.dataset_of[i])
        assert names[of[i]] == (dataset, rows[dataset][data.position[i]]["speaker"])
    for i in range(len(data)):
        drawn = {data.other(i, seed) for seed in range(300)}
        assert drawn == set(np.flatnonzero(of == of[i]).tolist()) - {i}
        assert data.other(i, 7) == data.other(i, 7)
    key = data.key(0)
    assert open_data([root], split="", where=f"key == '{key}'").other(0, 3) is None


def test_an_epoch_has_every_utterance_once_with_its_arrays(root: Path) -> None:
    data = open_data([root])
    steps = read(data, threads=3, ahead=5)
    assert [step.step for step in steps] == list(range(len(steps)))
    fetched = [one for step in steps for one in step.batch]
    assert sorted(one.number for one in fetched) == list(range(len(data)))
    dataset = Dataset(root)
    for one in fetched:
        assert list(one.arrays) == list(COLUMNS) and one.other is None
        for column, array in one.arrays.items():
            np.testing.assert_array_equal(array, dataset.read(column, one.key))
            assert not array.flags.writeable
    for step in steps:
        assert step.frames == step.global_frames == sum(data.frames[o.number] for o in step.batch)
        assert step.frames <= SMALL and step.utterances == len(step.batch)
    assert len({one.seed for one in fetched}) == len(fetched)


def test_ranks_have_the_same_steps_and_threads_change_nothing(root: Path) -> None:
    data = open_data([root])
    whole = read(data)
    for ranks in (2, 3, 7):
        parts = [read(data, rank=rank, ranks=ranks, threads=1 + rank) for rank in range(ranks)]
        for alone, *shares in zip(whole, *parts, strict=True):
            together = sorted(key for share in keys(shares) for key in share)
            assert together == keys([alone])[0]
            assert {share.global_utterances for share in shares} == {alone.utterances}
    assert any(step.batch is None and step.frames == 0 for part in parts for step in part)
    seeds = {one.key: one.seed for step in whole for one in step.batch}
    assert all(
        one.seed == seeds[one.key] for part in parts for step in part for one in step.batch or ()
    )


def test_a_reader_goes_on_where_it_is_told_to(root: Path) -> None:
    data = open_data([root])
    whole = read(data, epochs=3)
    assert {step.epoch for step in whole} == {0, 1, 2}
    for i, step in enumerate(whole):
        rest = read(data, epochs=3, start=step.next)
        assert [(s.epoch, s.step) for s in rest] == [(s.epoch, s.step) for s in whole[i + 1 :]]
        assert keys(rest) == keys(whole[i + 1 :])
    count = sum(step.epoch == 0 for step in whole)
    assert keys(read(data, epochs=2, start=(0, count))) == keys(read(data, epochs=2, start=(1, 0)))
    first, other = (sorted(keys(s for s in whole if s.epoch == e)) for e in (0, 1))
    assert first != other
    with Reader(data, same, seed=0, global_frames=SMALL) as endless:
        assert [next(endless).epoch for _ in range(3 * count)][-1] >= 2
        assert endless.steps(0) == count and endless.meter.steps == 3 * count


def test_short_utterances_come_with_another_of_their_speaker(root: Path) -> None:
    data = open_data([root])
    for step in read(data, other_below=33):
        for one in step.batch:
            if data.frames[one.number] >= 33:
                assert one.other is None
                continue
            which = data.other(one.number, one.seed)
            assert which != one.number and one.other is not None and which is not None
            np.testing.assert_array_equal(one.other, data.read("codes", which))


def test_the_plan_knows_the_prompts_that_are_fetched(root: Path) -> None:
    data = open_data([root])
    config = PromptConfig(shortest=10, longest=28, whole_below=33)
    plan = data.plan(seed=0, epoch=0, global_frames=SMALL, prompts=config)
    assert plan.lengths is not None
    fetched = read(data, other_below=33, prompts=config)
    assert len(fetched) == len(plan)
    seen = 0
    for number, step in enumerate(fetched):
        lengths = plan.lengths.part(plan.places(number))
        assert [one.number for one in step.batch] == plan.step(number).tolist()
        for one, prompt in zip(step.batch, lengths.prompts.tolist(), strict=True):
            assert one.share == plan.prompt_share(number)
            if one.other is not None:
                assert prompt == min(one.other.shape[1], 28)
                seen += 1
    assert seen > 5


def test_a_flipped_bit_is_told_at_its_step_or_skipped(root: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(root, shards)
    data = open_data([shards])
    good = read(data)
    bad = good[5].batch[0].key
    flip(shards, "f0", bad)
    data = open_data([shards])
    with Reader(data, same, seed=0, global_frames=SMALL) as reader:
        assert keys([next(reader) for _ in range(5)]) == keys(good[:5])
        with pytest.raises(
            DamageError, match=rf"can't be read: f0-.*\.tar: f0 of {bad} is damaged"
        ):
            next(reader)
    with Reader(data, same, seed=0, global_frames=SMALL, epochs=1, on_damage="skip") as reader:
        steps = list(reader)
        assert reader.meter.skipped == 1 and len(steps) == len(good)
    assert keys(steps) == [[key for key in step if key != bad] for step in keys(good)]
    assert [len(step.skipped) for step in steps].index(1) == 5 and bad in steps[5].skipped[0]
    assert keys(read(data, check=False)) == keys(good)


def test_a_missing_tar_is_told(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "shards")
    next(iter(sorted((tmp_path / "shards" / folder("durations")).glob("*.tar")))).unlink()
    data = open_data([tmp_path / "shards"])
    with pytest.raises(DamageError, match=r"tar with durations of utt\d+ is missing"):
        read(data)
    steps = read(data, on_damage="skip")
    assert sum(len(step.skipped) for step in steps) == int((data.shards == 0).sum())


def test_a_dataset_that_changed_is_told(root: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(root, shards)
    data = open_data([shards])
    assert open_data([shards], expected=data.digest).digest == data.digest
    for choice in ({"where": "seconds > 0"}, {"split": "val"}, {"columns": ["codes"]}):
        with pytest.raises(UserError, match="not what the run began with"):
            open_data([shards], expected=data.digest, **choice)
    with Reader(data, same, seed=0, global_frames=SMALL, ahead=1) as reader:
        next(reader)
        text = (shards / layout.CARD).read_text()
        (shards / layout.CARD).write_text(text)  # written again, the same
        next(reader)
        change_card(shards, ns2="0.2.0")  # brought up to date by a newer ns2
        next(reader)
        change_card(shards, sha256sums="0" * 64)
        with pytest.raises(UserError, match="has changed since the run began"):
            next(reader)
    with pytest.raises(UserError, match="not what the run began with"):
        open_data([shards], expected=data.digest)
    data = open_data([shards])
    (shards / layout.CARD).unlink()
    with pytest.raises(UserError, match="has changed since the run began"):
        read(data)


def test_errors_of_collate_and_arguments_are_raised(root: Path) -> None:
    data = open_data([root])

    def broken(fetched: list[Fetched]) -> None:
        raise RuntimeError(f"no batch of {len(fetched)}")

    with (
        Reader(data, broken, seed=0, global_frames=SMALL) as reader,
        pytest.raises(RuntimeError, match="no batch of"),
    ):
        next(reader)
    with pytest.raises(UserError, match=r"more frames than a step.*the longest is utt"):
        Reader(data, same, seed=0, global_frames=30)
    for wrong in (
        {"rank": 1},
        {"threads": 0},
        {"ahead": 0},
        {"on_damage": "x"},
        {"start": (0, -1)},
    ):
        with pytest.raises(ValueError, match=r"rank|threads|on_damage|start"):
            Reader(data, same, seed=0, global_frames=SMALL, **wrong)


def test_batches_are_pinned_where_asked(root: Path) -> None:
    class Batch:
        pinned = False

        def pin_memory(self) -> Batch:
            made = Batch()
            made.pinned = True
            return made

    for pin in (False, True):
        options: dict[str, Any] = {"seed": 0, "global_frames": SMALL, "epochs": 1, "pin": pin}
        with Reader(open_data([root]), lambda _: Batch(), **options) as reader:
            assert {step.batch.pinned for step in reader} == {pin}


def test_waiting_is_metered(root: Path) -> None:
    import time

    def slow(fetched: list[Fetched]) -> int:
        time.sleep(0.02)
        return len(fetched)

    with Reader(
        open_data([root]), slow, seed=0, global_frames=SMALL, threads=1, epochs=1
    ) as slowly:
        steps = len(list(slowly))
    assert slowly.meter.waited >= 0.02 * steps * 0.9 and slowly.meter.fetching >= 0.02 * steps


def test_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "ray", "pyworld", "phonemizer", "soundfile", "parselmouth")
    assert not loaded("import ns2.train.data.prefetch", *heavy)
