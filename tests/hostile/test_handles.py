"""Many tars and few file handles."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from ns2.cli import main
from tests.hostile.test_runs import train
from tests.support import warm
from tests.support.dataset_factories import Recipe, make_dataset

ROOT = Path(__file__).parents[2]


def with_few_handles(words: list[str]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    main(words)


@pytest.mark.parametrize(
    ("datasets", "shards"), [(3, 10), pytest.param(12, 20, marks=pytest.mark.hostile)]
)
def test_few_handles_are_enough(datasets: int, shards: int, tmp_path: Path) -> None:
    roots = []
    for number in range(datasets):
        recipe = Recipe(shards=shards, seed=number)
        roots.append(str(make_dataset(tmp_path / f"data{number}", recipe)))
    assert sum(1 for _ in Path(roots[0]).rglob("*.tar")) >= 5 * shards
    command = train(Path(roots[0]), tmp_path / "run", 4, "--device", "cpu")
    command[2:2] = roots[1:]
    for words in (
        command,
        ["verify", roots[0], "--workers", "1"],
        ["export", roots[0], str(tmp_path / "exported")],
    ):
        done = warm.run(with_few_handles, words, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-3000:]
