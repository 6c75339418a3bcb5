"""Sizes and times of many files at once, beside those that Python gives."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from ns2.pipeline.preprocess.plan import stamps
from ns2.pipeline.preprocess.plan.stamps import stamps_of


@pytest.mark.parametrize("few", [0, 1000])
def test_sizes_and_times_are_those_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(stamps, "_FEW", few)
    monkeypatch.setattr(stamps, "_PART", 3)
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "ä b.wav").write_bytes(b"12345")
    (tmp_path / "beside").write_bytes(b"123")
    (root / "link").symlink_to("folder/ä b.wav")
    (root / "broken").symlink_to("nothing")
    os.utime(root / "folder" / "ä b.wav", ns=(1, 1_234_567_890_123_456_789))
    os.utime(tmp_path / "beside", ns=(1, -1_500_000_000))
    names = ["folder/ä b.wav", "../beside", "link", "broken", "folder", "none", "x" * 5000]
    names += [str(tmp_path / "beside"), ""]
    sizes, times = stamps_of(root, pa.chunked_array([names[:4], names[4:]]))
    files = {0, 1, 2, 7}
    for i, name in enumerate(names):
        found = (root / name).stat() if i in files else None
        expected = (-1, -1) if found is None else (found.st_size, found.st_mtime_ns)
        assert (sizes[i], times[i]) == expected, name
