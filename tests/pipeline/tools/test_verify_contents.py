"""`verify` on tiny datasets whose files are sound, and contradict each other or the contract."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save

from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.shards import table_bytes
from ns2.pipeline.tools.verify.check import verify
from tests.support.dataset_factories import ENTRIES, Recipe, make_dataset
from tests.support.verifying import TINY, damaged, members, messages, places, reseal, tar


def test_an_index_value_that_still_reads_is_pinned_to_its_key(root: Path) -> None:
    rows = pq.read_table(root / layout.INDEX).to_pylist()
    rows[2]["seconds"] += 1e-9
    schema = index_schema(TINY.columns)
    (root / layout.INDEX).write_bytes(table_bytes(pa.Table.from_pylist(rows, schema)))
    for resealed in (False, True):
        if resealed:
            reseal(root)
        faults = [f for f in verify(root).faults if f.key]
        assert [(f.place, f.shard, f.key) for f in faults] == [(layout.INDEX, 1, rows[2]["key"])]
        assert "row_crc" in faults[0].message


def test_many_faults_of_one_tar_are_cut_short(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "shards", Recipe(shards=1, per_shard=30, columns=("f0",)))
    path = tar(root, "f0", 0)
    data = bytearray(path.read_bytes())
    for _, begin, _ in members(path):
        data[begin + 640] ^= 1
    path.write_bytes(data)
    faults = verify(root).faults
    assert len(faults) == 21
    assert "10 more" in faults[-1].message


def test_an_extra_row_is_found(tmp_path: Path) -> None:
    def twice(row: dict[str, Any]) -> list[dict[str, Any]]:
        again = {**row, "key": "ghost", "id": "ghost"}
        return [row, again] if row["key"] == "utt0001" else [row]

    root = make_dataset(tmp_path / "shards", Recipe(shards=2, per_shard=2, change_row=twice))
    faults = verify(root).faults
    assert (layout.INDEX, "written: 5, the card says 4") in {(f.place, f.message) for f in faults}
    assert {("mel", 0, "ghost"), ("codes", 0, "ghost")} <= places(faults)


def test_a_key_that_is_there_twice_is_found(tmp_path: Path) -> None:
    def twice(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [row, row] if row["key"] == "utt0001" else [row]

    root = make_dataset(tmp_path / "shards", Recipe(shards=1, change_row=twice))
    assert "key utt0001: the key is there 2 times" in messages(verify(root).faults)


def test_a_row_left_out_is_found(tmp_path: Path) -> None:
    root = make_dataset(
        tmp_path / "shards",
        Recipe(shards=2, per_shard=2, change_row=lambda r: [] if r["key"] == "utt0003" else [r]),
    )
    assert ("mel", 1, "utt0003") in places(verify(root).faults)


def _longer(column: str, key: str, value: Any) -> Any:
    return np.concatenate([value, value[..., :1]], axis=-1)


def _not_finite(column: str, key: str, value: Any) -> Any:
    value = value.copy()
    value[..., 3] = np.inf
    return value


def _moved_duration(column: str, key: str, value: Any) -> Any:
    value = value.copy()
    value[0] += value[1]  # the first phone keeps no frame, the sum stays
    value[1] = 0
    return value


def _meta(**changes: Any) -> Callable[[str, str, Any], Any]:
    return lambda column, key, value: {**value, **changes}


def _pickled(column: str, key: str, value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("column", "change", "message"),
    [
        ("mel", _longer, "expected shape"),
        ("codes", _longer, "expected shape"),
        ("f0", _longer, "expected shape"),
        ("durations", _longer, "expected shape"),
        ("phonemes", _longer, "expected shape"),
        ("mel", lambda c, k, v: v[:-1], "expected shape"),
        ("mel", lambda c, k, v: v.astype(np.float32), "expected float16"),
        ("mel", _not_finite, "not finite"),
        ("f0", lambda c, k, v: -v, "Hz"),
        ("codes", lambda c, k, v: v + np.uint16(ENTRIES), f"expected values below {ENTRIES}"),
        ("durations", lambda c, k, v: v + np.uint16(1), "expected a sum of"),
        ("durations", _moved_duration, "expected at least 1 frame, got 0"),
        ("phonemes", lambda c, k, v: v[::-1].copy(), "meta says"),
        ("phonemes", lambda c, k, v: v + np.uint16(60_000), "phoneme table"),
        ("meta", lambda c, k, v: {"text": v["text"]}, "has no phonemes"),
        ("meta", _meta(words=[["so", 1, 3], ["much", 2, 6]]), "word 'much' spans"),
        ("meta", _meta(words=[["so", 1, 300]]), "word 'so' spans"),
        ("mel", _pickled, "allow_pickle"),
        ("mel", lambda c, k, v: b"not an array", ""),
        ("meta", lambda c, k, v: b"{not json", ""),
        ("meta", lambda c, k, v: b"[]", "expected an object"),
    ],
)  # fmt: skip
def test_the_contract_holds_also_where_all_checksums_do(
    tmp_path: Path, column: str, change: Callable[[str, str, Any], Any], message: str
) -> None:
    def one(where: str, key: str, value: Any) -> Any:
        return change(where, key, value) if (where, key) == (column, "utt0001") else value

    root = make_dataset(tmp_path / "shards", Recipe(shards=1, per_shard=2, change=one))
    faults = verify(root).faults
    assert (column, 0, "utt0001") in places(faults), messages(faults)
    assert message in messages([f for f in faults if f.column == column])
    assert {fault.key for fault in faults} == {"utt0001"}, messages(faults)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 7}, "frames is 7, its samples make"),
        ({"phones": 99}, "phones is 99, its phonemes make 6"),
        ({"seconds": 0.125}, "seconds is 0.125, its samples make"),
        ({"text": "else"}, "text is 'else', meta says 'so much light'"),
        ({"speaker": "x"}, "speaker is 'x', meta says 'speaker1'"),
        ({"voiced_share": 0.25}, "voiced_share is 0.25, its f0 makes"),
        ({"mel_offset": 1024}, "offset is 512, the index says 1024"),
        ({"mel_shape": [20, 1]}, "the index says [20, 1]"),
        ({"mel_crc32": 5}, "the index says 5"),
        ({"align_score": 0.0}, "align_score is -1.25, the index says 0.0"),
        ({"mel_file": "mel-0/00000-0.tar"}, "refer to several tars"),
        ({"shard": 1}, "is not its tar"),
    ],
)
def test_index_values_are_held_against_arrays_and_markers(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    def one(row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**row, **changes} if row["key"] == "utt0001" else row]

    recipe = Recipe(shards=1, per_shard=3, change_row=one)
    if changes.get("mel_offset"):  # so that the first member is the one
        recipe = Recipe(shards=1, per_shard=3, change_row=lambda r: [
            {**r, **changes} if r["key"] == "utt0000" else r])  # fmt: skip
    faults = verify(make_dataset(tmp_path / "shards", recipe)).faults
    assert message in messages(faults)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"found": 8}, "the ledger does not balance: 8 found, 4 written, 2 rejected, 1 filtered"),
        ({"filtered": 2, "found": 8}, "filtered: 1, the card says 2"),
        ({"reasons": {}}, "reasons: {"),
        ({"written": 5, "found": 8}, "written: 4, the card says 5"),
        ({"splits": {"train": 4}}, "splits: {"),
        ({"hours": 1.0}, "hours: "),
        ({"speakers": 7}, "speakers: 2, the card says 7"),
    ],
)
def test_the_ledger_is_checked(root: Path, changes: dict[str, Any], message: str) -> None:
    reseal(root, lambda card: card["counts"].update(changes))
    faults = verify(root).faults
    assert len(faults) == 1 and message in faults[0].message, messages(faults)


def test_tars_and_bytes_of_the_card_are_checked(root: Path) -> None:
    reseal(root, lambda card: card["columns"]["mel"].update(bytes=1))
    (fault,) = verify(root).faults
    assert (fault.place, fault.column) == (layout.CARD, "mel")


def test_checksums_list_all_files_and_no_others(root: Path) -> None:
    sums = (root / layout.SUMS).read_text().splitlines(keepends=True)
    gone = next(line for line in sums if "codes-" in line and line.endswith(".tar\n"))
    extra = f"{'0' * 64}  mel-0123/00007-4567.tar\n"
    (root / layout.SUMS).write_text("".join([*(line for line in sums if line != gone), extra]))
    data = (root / layout.SUMS).read_bytes()
    reseal_sums = hashlib.sha256(data).hexdigest()
    card = json.loads((root / layout.CARD).read_text())
    (root / layout.CARD).write_text(card_text(sealed({**card, "sha256sums": reseal_sums})))
    faults = verify(root).faults
    assert {fault.place for fault in faults} == {layout.SUMS}
    assert f"does not list {gone.split()[1]}" in messages(faults)
    assert "lists mel-0123/00007-4567.tar" in messages(faults)
    assert places(faults) == {("codes", 0, ""), ("mel", 7, "")}


def test_a_card_with_the_same_meaning_but_other_bytes_is_found(root: Path) -> None:
    text = (root / layout.CARD).read_text()
    assert "1e-07" in text
    (root / layout.CARD).write_text(text.replace("1e-07", "1E-07"))  # one bit
    assert [fault.place for fault in verify(root).faults] == [layout.CARD]


def test_a_card_that_hangs_together_but_lacks_fields_is_survived(root: Path) -> None:
    card = json.loads((root / layout.CARD).read_text())
    for name in set(card) - {"digest", "format", "format_version"}:
        rest = {field: value for field, value in card.items() if field != name}
        with damaged(root / layout.CARD, card_text(sealed(rest)).encode()):
            verify(root)


def test_codebooks_that_are_not_finite_are_found_where_all_checksums_hold(root: Path) -> None:
    path = next((root / layout.ASSETS).glob("codebooks-*"))
    books = load_file(path)["codebooks"].copy()
    books[1, 2, 0] = np.nan
    path.write_bytes(save({"codebooks": books}))
    name = path.relative_to(root).as_posix()
    reseal(root)
    (fault,) = verify(root).faults
    assert fault.place == name and "codebooks hold values that are not finite" in fault.message
