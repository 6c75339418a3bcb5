"""Tars of a dataset and of an export, opened by webdataset as any other toolkit would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import COLUMNS
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.export import export
from ns2.pipeline.tools.tool_options import ExportOptions
from tests.support.dataset_factories import TABLE, Recipe, make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset(make_dataset(tmp_path_factory.mktemp("export") / "shards", Recipe()))


def samples(paths: list[Path]) -> list[dict[str, Any]]:
    import webdataset

    urls = [str(path) for path in paths]
    return list(webdataset.WebDataset(urls, shardshuffle=False).decode())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_each_column_opens_with_webdataset_in_the_same_order(dataset: Dataset) -> None:
    for column, (dtype, _) in COLUMNS.items():
        suffix = dataset.spec(column).suffix
        read = samples(dataset.tars(column))
        assert [sample["__key__"] for sample in read] == dataset.keys
        for sample in read:
            assert set(sample) - {"__url__", "__local_path__"} == {"__key__", suffix}
            expected = dataset.read(column, sample["__key__"])
            np.testing.assert_array_equal(sample[suffix], expected)
            assert dtype == "json" or sample[suffix].dtype == np.dtype(dtype)


def test_an_export_holds_all_columns_of_every_utterance(dataset: Dataset, tmp_path: Path) -> None:
    tars = export(dataset, tmp_path / "out", ExportOptions(shard_utterances=3))
    assert [path.name for path in tars] == [
        "train-00000.tar", "train-00001.tar", "train-00002.tar", "val-00000.tar",
    ]  # fmt: skip
    read = samples(tars)
    assert {sample["__key__"] for sample in read} == set(dataset.keys) and len(read) == 9
    assert len(samples(tars[:1])) == 3
    plain = {"uint16": np.int32, "float16": np.float32, "float32": np.float32}
    for sample in read:
        utterance, row = dataset[sample["__key__"]], dataset.row(sample["__key__"])
        for column, (dtype, _) in COLUMNS.items():
            if column == "meta":
                assert sample["meta.json"] == {
                    **utterance["meta"],
                    **{name: row[name] for name in ("split", "seconds", "frames")},
                }
                continue
            array = sample[f"{column}.npy"]
            assert array.dtype == plain[dtype]
            np.testing.assert_array_equal(array, utterance[column])  # no value has changed
        assert sample["__url__"].rpartition("/")[2].startswith(row["split"])
    for split in ("train", "val"):
        keys = [s["__key__"] for s in read if s["meta.json"]["split"] == split]
        assert keys == sorted(keys)


def test_the_description_says_what_is_there(dataset: Dataset, tmp_path: Path) -> None:
    tars = export(dataset, tmp_path / "out")
    described = json.loads((tmp_path / "out" / "export.json").read_text("utf-8"))
    assert (described["sample_rate"], described["hop_length"], described["frame_rate"]) == (
        24_000,
        320,
        75.0,
    )
    assert described["dataset"] == dataset.card["digest"]
    assert described["members"]["mel.npy"] == {
        "dtype": "float32", "dims": [20, "T"],
        "what": "log-mel spectrogram (M, T), natural logarithm",
    }  # fmt: skip
    assert [tar for split in described["splits"].values() for tar in split["tars"]] == [
        path.name for path in tars
    ]
    assert {name: one["utterances"] for name, one in described["splits"].items()} == {
        "train": 7, "val": 2,
    }  # fmt: skip
    for sample in samples(tars):
        assert set(described["members"]) <= set(sample)
        symbols = [described["phonemes"][i] for i in sample["phonemes.npy"]]
        assert symbols == sample["meta.json"]["phonemes"]
    assert len(described["phonemes"]) == len(TABLE)


def test_the_same_bytes_twice_and_nothing_else_left(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()  # an empty folder will do
    export(dataset, tmp_path / "one")
    export(dataset, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_columns_can_be_chosen(dataset: Dataset, tmp_path: Path) -> None:
    chosen = ExportOptions(columns=("codes", "meta"), shard_utterances=None)
    tars = export(dataset, tmp_path / "out", chosen)
    assert len(tars) == 2
    for sample in samples(tars):
        names = {name for name in sample if not name.startswith("__")}
        assert names == {"codes.npy", "meta.json"}
    with pytest.raises(UserError, match="no column video"):
        export(dataset, tmp_path / "other", ExportOptions(columns=("video",)))


def test_progress_counts_utterances(dataset: Dataset, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    export(dataset, tmp_path / "out", progress=lambda done, total: steps.append((done, total)))
    assert steps == [(i, 9) for i in range(1, 10)]


def test_splits_of_any_name_make_files(tmp_path: Path) -> None:
    def odd(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**row, "split": f"../dev {row['shard']}.x"}]

    root = make_dataset(tmp_path / "shards", Recipe(shards=2, change_row=odd))
    tars = export(Dataset(root), tmp_path / "out")
    assert len(tars) == 2 and all(path.parent == tmp_path / "out" for path in tars)
    assert len(samples(tars)) == 6


def test_places_that_cannot_take_it_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("")
    for out, message in (
        (tmp_path / "full", "not empty"),
        (tmp_path / "file", "is a file"),
        (dataset.root / "out", "inside the dataset"),
    ):
        with pytest.raises(UserError, match=message):
            export(dataset, out)
    assert contents(tmp_path / "full") == {"thesis.tex": b"years of work"}
    with pytest.raises(UserError, match="at least 1"):
        ExportOptions(shard_utterances=0)


def test_a_damaged_dataset_leaves_nothing(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "shards", Recipe(shards=1))
    row = Dataset(root).row("utt0002")
    path = root / row["codes_file"]
    data = bytearray(path.read_bytes())
    data[row["codes_offset"] + 200] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"codes of utt0002 is damaged.*ns2 verify"):
        export(Dataset(root), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
