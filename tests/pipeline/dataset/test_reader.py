"""`Dataset`: any array by position or key, straight from the tars."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ns2.pipeline.core.errors import DamageError, UserError
from ns2.pipeline.core.schema import COLUMNS
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.index import row_crc
from ns2.pipeline.dataset.open_maps import OpenMaps
from ns2.pipeline.dataset.reader import Dataset
from tests.support.dataset_factories import Recipe, folder, make_dataset
from tests.support.processes import loaded


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("dataset") / "shards", Recipe())


def by_hand(root: Path, column: str) -> dict[str, Any]:
    """All values of a column by key, through tarfile and numpy alone, in order."""
    values: dict[str, Any] = {}
    for path in sorted((root / folder(column)).glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                file = tar.extractfile(info)
                assert file is not None
                data = io.BytesIO(file.read())
                read = json.load if info.name.endswith(".json") else np.load
                values[info.name.split(".")[0]] = read(data)
    return values


def test_utterances_by_position_and_key_are_what_the_tars_hold(root: Path) -> None:
    dataset = Dataset(root)
    truth = {column: by_hand(root, column) for column in COLUMNS}
    keys = list(truth["mel"])
    assert dataset.keys == keys and len(dataset) == 9
    for i, key in enumerate(keys):
        for utterance in (dataset[i], dataset[key], dataset[i - len(keys)]):
            assert list(utterance) == ["key", *COLUMNS]
            assert utterance["key"] == key
            for column in COLUMNS:
                np.testing.assert_array_equal(utterance[column], truth[column][key])
    assert [utterance["key"] for utterance in dataset] == keys


def test_arrays_have_the_dtype_of_their_column_and_can_be_written_to(root: Path) -> None:
    utterance = Dataset(root)[0]
    for column, (dtype, _) in COLUMNS.items():
        if dtype == "json":
            assert isinstance(utterance[column], dict)
        else:
            assert utterance[column].dtype == np.dtype(dtype)
            utterance[column][...] = 0  # a copy: the dataset stays as it is
    assert Dataset(root)[0]["codes"].any()


def test_what_is_not_there_is_named(root: Path) -> None:
    dataset = Dataset(root)
    for position in (9, -10):
        with pytest.raises(IndexError, match="of 9"):
            dataset[position]
    with pytest.raises(KeyError, match="no utterance 'nobody'"):
        dataset["nobody"]
    assert "utt0003" in dataset and "nobody" not in dataset and 3 not in dataset
    with pytest.raises(UserError, match=r"no column video; it has codes, mel"):
        Dataset(root, columns=["mel", "video"])
    with pytest.raises(UserError, match="no column video"):
        dataset.tars("video")
    with pytest.raises(UserError, match="no asset aligner"):
        dataset.asset("aligner")


def test_only_the_columns_that_are_asked_for_are_read(root: Path, tmp_path: Path) -> None:
    dataset = Dataset(root, columns=["f0", "meta"])
    assert list(dataset[2]) == ["key", "f0", "meta"]
    few = Dataset(make_dataset(tmp_path / "few", Recipe(shards=1, columns=("mel", "f0"))))
    assert few.columns == ("mel", "f0") and list(few[0]) == ["key", "mel", "f0"]


def test_no_dataset_is_refused_with_the_way_out(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder"):
        Dataset(tmp_path / "nowhere")
    with pytest.raises(UserError, match="ns2 preprocess"):
        Dataset(tmp_path)
    card = json.loads((root / layout.CARD).read_text())
    for text, message in (
        ("{", "damaged"),
        (json.dumps({**card, "format": "other"}), "not the card of an ns2 dataset"),
        (json.dumps({**card, "format_version": 99}), "newer ns2"),
    ):
        (tmp_path / layout.CARD).write_text(text)
        with pytest.raises(UserError, match=message):
            Dataset(tmp_path)


def test_damage_is_noticed_on_reading(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "shards", Recipe(shards=1))
    (path,) = (root / folder("mel")).glob("*.tar")
    row = Dataset(root).row("utt0001")
    data = bytearray(path.read_bytes())
    data[row["mel_offset"] + row["mel_size"] - 1] ^= 1
    path.write_bytes(data)
    dataset = Dataset(root)
    assert dataset.read("mel", "utt0001").shape == tuple(row["mel_shape"])
    with pytest.raises(ValueError, match="mel of utt0001 is damaged"):
        dataset.read("mel", "utt0001", check=True)
    for key in ("utt0000", "utt0002"):
        dataset.read("mel", key, check=True)
    path.write_bytes(data[: row["mel_offset"] + 5])
    with pytest.raises(ValueError, match="ends before mel of utt0001"):
        Dataset(root).read("mel", 1)
    index = bytearray((root / layout.INDEX).read_bytes())
    begin = index.find(b"\x28\xb5\x2f\xfd")  # a zstd frame: the first page's data
    index[begin + 12] ^= 1
    (root / layout.INDEX).write_bytes(index)
    with pytest.raises(UserError, match="ns2 verify"):
        _ = Dataset(root).index


def test_it_travels_to_other_processes(root: Path) -> None:
    dataset = Dataset(root, columns=["codes"])
    first = dataset[0]["codes"]
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[0]["codes"], first)
    assert again.keys == dataset.keys


def test_mapped_arrays_are_read_only_and_outlive_their_map(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ns2.pipeline.dataset.mapped_tars.MAPS", OpenMaps(1))
    dataset, truth = Dataset(root), by_hand(root, "codes")
    arrays = [dataset.read("codes", i, check=True, copy=False) for i in range(9)]
    for array, expected in zip(arrays, truth.values(), strict=True):
        np.testing.assert_array_equal(array, expected)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_missing_tar_and_a_wrong_header_are_named(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "shards", Recipe(shards=2))
    first, second = sorted((root / folder("f0")).glob("*.tar"))
    first.unlink()
    row = Dataset(root).row(3)
    data = bytearray(second.read_bytes())
    shape = data.index(b"(%d,)" % row["f0_shape"][0])
    data[shape + 1 : shape + 3] = b"99"
    second.write_bytes(data)
    dataset = Dataset(root)
    with pytest.raises(ValueError, match=r"f0-.*tar with f0 of utt0000 is missing"):
        dataset.read("f0", 0)
    with pytest.raises(ValueError, match="f0 of utt0003 is damaged"):
        dataset.read("f0", 3)
    dataset.read("f0", 4)
    with pytest.raises(UserError, match="no column video"):
        dataset.read("video", 0)


def test_arrays_of_any_layout_are_read(tmp_path: Path) -> None:
    def other(column: str, key: str, value: Any) -> Any:
        if column == "mel":
            return np.asfortranarray(value)
        return value.reshape((1,) * 30 + value.shape) if column == "f0" else value

    root = make_dataset(tmp_path / "shards", Recipe(shards=1, change=other))
    dataset = Dataset(root)
    for key in dataset.keys:
        np.testing.assert_array_equal(dataset.read("mel", key), by_hand(root, "mel")[key])
        with pytest.raises(DamageError, match=f"f0 of {key}: expected shape"):  # too many axes
            dataset.read("f0", key)


def test_fields_are_read_without_the_rest(root: Path) -> None:
    dataset, rows = Dataset(root), pq.read_table(root / layout.INDEX).to_pylist()
    assert dataset.fields(["frames", "speaker"]).to_pylist() == [
        {"frames": row["frames"], "speaker": row["speaker"]} for row in rows
    ]
    names, codes = dataset.names("speaker")
    assert sorted(names) == ["speaker0", "speaker1"]
    assert [names[i] for i in codes] == [row["speaker"] for row in rows]
    assert dataset.numbers("seconds").tolist() == [row["seconds"] for row in rows]
    assert "index" not in vars(dataset) and dataset.key(4) == rows[4]["key"]
    with pytest.raises(UserError, match="no column colour"):
        dataset.fields(["colour"])


def test_few_tars_stay_open(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    all_open = [Dataset(root)[i] for i in range(9)]
    monkeypatch.setattr("ns2.pipeline.dataset.mapped_tars.MAPS", OpenMaps(2))
    mine = Path(shutil.copytree(root, tmp_path / "mine"))  # no other test has mapped these
    one, other = Dataset(mine), Dataset(mine)
    for i in (0, 8, 4, 0):
        for dataset in (one, other):
            np.testing.assert_array_equal(dataset[i]["mel"], all_open[i]["mel"])
        assert 1 <= open_maps(mine) <= 2


def test_where_no_map_can_be_let_go_bytes_are_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = by_hand(root, "codes")
    monkeypatch.setattr("ns2.pipeline.dataset.mapped_tars.MAPS", OpenMaps(1))
    mine = Path(shutil.copytree(root, tmp_path / "mine"))  # no other test has mapped these
    kept = Dataset(mine).read("mel", 0, copy=False)
    dataset = Dataset(mine)
    values = dataset.read_many("codes", np.arange(9), check=True)
    for value, expected in zip(values, truth.values(), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert open_maps(mine) == 1 and kept.size


def open_maps(root: Path) -> int:
    """The number of tars below a folder that this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum(str(root) in line and line.endswith(".tar") for line in lines)


def test_rows_carry_their_crc(root: Path) -> None:
    rows = pq.read_table(root / layout.INDEX).to_pylist()
    assert [row["key"] for row in rows] == Dataset(root).keys
    for row in rows:
        assert row_crc(row) == row["row_crc"]
        for name in row:
            if name != "row_crc":
                assert row_crc({**row, name: "changed"}) != row["row_crc"]
    assert Dataset(root).row(3) == rows[3] == Dataset(root).row(rows[3]["key"])


def test_grid_specs_and_tars(root: Path) -> None:
    dataset = Dataset(root)
    assert (dataset.grid.sample_rate, dataset.grid.hop_length) == (24_000, 320)
    assert dataset.spec("mel").dims == (20, "T") and dataset.spec("mel").suffix == "mel.npy"
    assert [path.name[:5] for path in dataset.tars("f0")] == ["00000", "00001", "00002"]
    assert all(path.is_file() for path in dataset.tars("f0"))
    assert dataset.asset("codebooks").is_file() and dataset.asset("phonemes").is_file()


def test_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "torchaudio", "ray", "pyworld", "phonemizer", "encodec", "soundfile")
    making = ("stages", "preprocess", "preprocess.work.worker", "preprocess.executors", "sound")
    code = "from ns2.pipeline.dataset import Dataset"
    assert not loaded(code, *heavy, "matplotlib", *(f"ns2.pipeline.{name}" for name in making))
