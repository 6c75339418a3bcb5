"""Whether data is what a run began with, whatever version of ns2 brought datasets up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from ns2.pipeline.core.hashing import short_hash
from ns2.train.data.identity import Identity
from ns2.train.data.selection import open_data
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.data.test_selection import change_card


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    return [make_dataset(tmp_path / str(seed), Recipe(shards=1, seed=seed)) for seed in (0, 1)]


def identity(roots: list[Path], where: str = "") -> Identity:
    return open_data(roots, where=where).identity


def as_recorded_by_0_1_0(roots: list[Path]) -> str:
    data = open_data(roots)
    cards = [dataset.card["digest"] for dataset in data.datasets]
    return short_hash([cards, "train", "", list(data.columns)], 64)


def test_versions_play_no_part_and_all_else_does(roots: list[Path]) -> None:
    before = identity(roots)
    change_card(roots[1], ns2="0.2.0")
    assert identity(roots).digest == before.digest
    for other in (identity(roots[::-1]), identity(roots[:1]), identity(roots, "frames > 0")):
        assert not other.was(before.digest)
    change_card(roots[0], options={})
    assert not identity(roots).was(before.digest)


def test_what_an_older_ns2_recorded_is_recognised_by_the_versions_beside_it(
    roots: list[Path],
) -> None:
    change_card(roots[1], ns2="0.0.9")
    recorded, versions = as_recorded_by_0_1_0(roots), ["0.1.0", "0.0.9"]
    assert identity(roots).was(recorded) and identity(roots).was(recorded, versions)
    change_card(roots[0], ns2="0.2.0")
    assert not identity(roots).was(recorded)  # nobody says which version it was
    assert identity(roots).was(recorded, versions)
    assert not identity(roots).was(recorded, versions[::-1])
    assert not identity(roots).was(recorded, versions[:1])
    change_card(roots[0], sha256sums="0" * 64)
    assert not identity(roots).was(recorded, versions)
