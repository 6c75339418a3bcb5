"""docs/reading.md: its code runs, and prints what the dataset holds."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from ns2.pipeline.dataset.reader import Dataset
from tests.docs.pages import blocks, read
from tests.support.dataset_factories import Recipe, make_dataset


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """The dataset, and the lines that each piece of code of the page prints."""
    folder = tmp_path_factory.mktemp("reading")
    root = make_dataset(folder / "shards", Recipe())
    pieces = blocks(read("docs/reading.md"), "python")
    assert len(pieces) == 3
    found = []
    with contextlib.chdir(folder):
        for piece in pieces:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(piece, {})
            found.append(out.getvalue().splitlines())
    return root, found


def test_reading_by_position(printed: tuple[Path, list[list[str]]]) -> None:
    root, (by_position, _, _) = printed
    first = Dataset(root)[0]
    assert by_position == [f"{first['key']} {first['codes'].shape} {first['f0'].shape}"]


def test_reading_in_the_order_of_training(printed: tuple[Path, list[list[str]]]) -> None:
    root, (_, lines, _) = printed
    rows = [row for row in Dataset(root).index.to_pylist() if row["split"] == "train"]
    assert lines[0] == f"{len(rows)} utterances" and lines[-1].endswith("s of waiting")
    steps = [[int(n) for n in line.split()] for line in lines[1:-1]]
    assert sum(step[2] for step in steps) == len(rows)
    assert sum(step[3] for step in steps) == sum(row["frames"] for row in rows)


def test_reading_as_a_stream(printed: tuple[Path, list[list[str]]]) -> None:
    root, (_, _, stream) = printed
    assert stream == [f"{u['key']} {u['codes'].shape} {u['f0'].shape}" for u in Dataset(root)]
