"""Members of small arrays lie in the marker, too, and a tar can be taken from there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.packed import tar_of, wrong_members
from ns2.pipeline.dataset.shards import (
    Marker,
    Member,
    TarWriter,
    encode_value,
    marker_bytes,
    read_marker,
)


def write(folder: Path, size: int, count: int = 9) -> Marker:
    """A tar with arrays of about so many bytes, and its marker."""
    spec = ColumnSpec(name="x", dtype="uint16", dims=("N",))
    rng, writer = np.random.default_rng(0), TarWriter(folder / "x-0", 3, spec)
    for i in range(count):
        data, shape = encode_value(spec, rng.integers(0, 300, size // 2 + i % 9, np.uint16))
        writer.add(Member(key=f"k{i}", data=data, shape=shape, source=""))
    return writer.commit({})


def end(marker: Marker) -> int:
    return marker.rows[-1].offset + marker.rows[-1].size


def test_small_members_are_at_their_places(tmp_path: Path) -> None:
    marker = write(tmp_path, 160, 64)
    tar = marker.tar.read_bytes()
    found = tar_of(marker.path.read_bytes(), end(marker))
    assert found is not None and len(found) == -(-end(marker) // 512) * 512
    for row in marker.rows:
        own = slice(row.offset, row.offset + row.size)
        assert found[own] == tar[own]
        found = found[: row.offset] + bytes(row.size) + found[row.offset + row.size :]
    assert not any(found)
    assert marker.path.stat().st_size < len(tar) / 2
    assert read_marker(marker.path) == marker


@pytest.mark.parametrize(("size", "count"), [(1000, 9), (2_000_000, 3), (0, 0)])
def test_others_are_in_the_tar_alone(tmp_path: Path, size: int, count: int) -> None:
    marker = write(tmp_path, size, count)
    assert tar_of(marker.path.read_bytes(), 1 << 20) is None
    assert marker.path.read_bytes() == marker_bytes(marker)


def test_a_marker_that_is_damaged_or_another_is_refused(tmp_path: Path) -> None:
    marker = write(tmp_path, 160)
    data = marker.path.read_bytes()
    for at in range(0, len(data), 37):
        wrong = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        try:
            found = tar_of(wrong, end(marker))
        except ValueError:
            continue
        # what names and counts the columns has no checksum
        assert found in (None, tar_of(data, end(marker)))
    with pytest.raises(ValueError, match="has a member at"):
        tar_of(data, end(marker) - 1)


def test_a_copy_that_is_not_that_of_the_tar_is_found(tmp_path: Path) -> None:
    marker = write(tmp_path, 160)
    crcs = [row.crc32 for row in marker.rows]
    assert list(wrong_members(marker.path, crcs)) == []
    crcs[4] ^= 1
    assert list(wrong_members(marker.path, crcs)) == [4]
