"""Tars and markers: what is written is what any reader finds, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.shards import (
    Member,
    TarWriter,
    decode_value,
    encode_value,
    marker_bytes,
    read_marker,
    read_member,
    target_digest,
)

MEL = ColumnSpec(name="mel", dtype="float16", dims=(80, "T"))
META = ColumnSpec(name="meta", dtype="json", dims=())


def members(count: int = 5, seed: int = 0) -> list[tuple[Member, np.ndarray]]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        array = rng.normal(size=(80, 3 + i)).astype(np.float16)
        data, shape = encode_value(MEL, array)
        scalars = {"score": float(i)} if i % 2 else {}
        member = Member(key=f"k{i}", data=data, shape=shape, source=f"s{i}", scalars=scalars)
        made.append((member, array))
    return made


def write(folder: Path, made: list[tuple[Member, np.ndarray]]) -> Path:
    writer = TarWriter(folder, 7, MEL)
    for member, _ in made:
        writer.add(member)
    return writer.commit({"sum": 0.1}).path


def test_offsets_point_at_whole_npy_files(tmp_path: Path) -> None:
    made = members()
    marker = read_marker(write(tmp_path, made))
    content = marker.tar.read_bytes()
    for row, (_, array) in zip(marker.rows, made, strict=True):
        found = np.load(io.BytesIO(content[row.offset : row.offset + row.size]), allow_pickle=False)
        np.testing.assert_array_equal(found, array)
        assert row.shape == array.shape
        assert read_member(marker.tar, row) == content[row.offset : row.offset + row.size]


def test_the_tar_is_a_plain_one_without_time_or_owner(tmp_path: Path) -> None:
    made = members()
    marker = read_marker(write(tmp_path, made))
    with tarfile.open(marker.tar) as tar:
        infos = tar.getmembers()
    assert [info.name for info in infos] == [f"k{i}.mel.npy" for i in range(5)]
    assert {(i.mtime, i.uid, i.gid, i.uname, i.gname) for i in infos} == {(0, 0, 0, "", "")}
    assert hashlib.sha256(marker.tar.read_bytes()).hexdigest() == marker.sha256


def test_the_same_members_give_the_same_bytes_and_name(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", members()), write(tmp_path / "b", members())
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".tar").read_bytes() == second.with_suffix(".tar").read_bytes()
    other = write(tmp_path / "a", members(count=4))
    assert other.name != first.name


def test_marker_survives_writing_and_reading(tmp_path: Path) -> None:
    path = write(tmp_path, members())
    marker = read_marker(path)
    assert marker_bytes(marker) == path.read_bytes()
    assert marker.summary == {"sum": 0.1}
    assert [dict(row.scalars) for row in marker.rows] == [
        {},
        {"score": 1.0},
        {},
        {"score": 3.0},
        {},
    ]
    assert marker.digest == target_digest((f"k{i}", f"s{i}") for i in range(5))


def test_nothing_is_seen_before_commit_nor_after_abort(tmp_path: Path) -> None:
    writer = TarWriter(tmp_path, 0, MEL)
    writer.add(members()[0][0])
    assert not list(tmp_path.glob("0*"))
    writer.abort()
    assert not list(tmp_path.iterdir())


def test_a_damaged_member_is_not_given_out(tmp_path: Path) -> None:
    marker = read_marker(write(tmp_path, members()))
    content = bytearray(marker.tar.read_bytes())
    content[marker.rows[2].offset + 150] ^= 1
    marker.tar.write_bytes(content)
    assert read_member(marker.tar, marker.rows[1])
    with pytest.raises(ValueError, match="k2 is damaged"):
        read_member(marker.tar, marker.rows[2])


def test_what_is_no_marker_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "00000-0.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match="not a readable marker"):
        read_marker(path)


def test_values_of_another_dtype_are_refused() -> None:
    with pytest.raises(ValueError, match="expected float16, got float32"):
        encode_value(MEL, np.zeros((80, 2), np.float32))
    assert decode_value(META, encode_value(META, {"b": 1, "a": "ə"})[0]) == {"a": "ə", "b": 1}


def test_no_pickle_is_loaded() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        decode_value(MEL, buffer.getvalue())


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
