"""Digests of lines: which lines there are, and what names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.corpora import lines
from ns2.pipeline.corpora.lines import read_lines

PUBLISHED = {
    b"hello": "cbd8a7b341bd9b025b1e906a48ae1d19",
    b"hello, world": "342fac623a5ebc8e4cdcbc079642414d",
    b"The quick brown fox jumps over the lazy dog.": "cd99481f9ee902c9695da1a38987b6e7",
}
"""MurmurHash3_x64_128 as the tests of other implementations give it."""


def test_digests_are_those_of_other_implementations(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(b"\n".join(PUBLISHED))
    found = [f"{a:016x}{b:016x}" for a, b in read_lines(tmp_path / "table").digests.tolist()]
    assert found == list(PUBLISHED.values())


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_lines_are_those_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(lines, "_BLOCK", block)
    rows = [b"\xef\xbb\xbfone", b"", b" \t\r", b"two words\r", b"x" * 40, b"", b"last, without end"]
    table = tmp_path / "table"
    table.write_bytes(b"\n".join(rows))
    found = read_lines(table)
    data = table.read_bytes()
    cut = [data[s : s + n] for s, n in zip(found.starts, found.sizes, strict=True)]
    assert cut == [rows[0], rows[3], rows[4], rows[6]]
    assert found.numbers.tolist() == [1, 4, 5, 7]


def test_each_byte_counts(tmp_path: Path) -> None:
    table = tmp_path / "table"
    line = bytes(range(64, 104))
    changed = [line[:i] + b"#" + line[i + 1 :] for i in range(len(line))]
    table.write_bytes(b"\n".join([line, *changed, line[:-1], line + b"a", b"", b""]))
    assert len(np.unique(read_lines(table).digests, axis=0)) == len(line) + 3


def test_an_empty_table_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(b"\n \n")
    assert len(read_lines(tmp_path / "table")) == 0
