"""The card: what is read of any JSON object, and what is written of a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.card import Card, card_text, open_card, read_card, sealed
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.plan.out_folder import check_folder
from ns2.pipeline.tools.verify.check import verify
from tests.support.dataset_factories import Recipe, make_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(change_card=lambda card: {**card, "screen": f"screen-{'a' * 12}"})
    return make_dataset(tmp_path_factory.mktemp("dataset") / "shards", recipe)


def values_of(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / layout.CARD).read_text("utf-8")))


def write(folder: Path, values: Any) -> Path:
    (folder / layout.CARD).write_text(json.dumps(values))
    return folder


def test_a_card_that_was_read_is_written_again_with_the_same_values(root: Path) -> None:
    card, values = open_card(root), values_of(root)
    assert card.sealed().raw == values and card.text() == (root / layout.CARD).read_text("utf-8")


def test_a_card_has_the_values_of_its_file(root: Path) -> None:
    card, values = open_card(root), values_of(root)
    assert card.grid == FrameGrid(sample_rate=24_000, hop_length=320)
    assert card.counts.written == 9 and card.counts.splits == values["counts"]["splits"]
    assert card.columns["codes"].spec("codes").dims == (4, "T")
    assert card.columns["codes"].config == values["columns"]["codes"]["config"]
    assert card.digest == values["digest"] and card.screen == values["screen"]
    assert dict(card) == values


def test_fields_of_newer_versions_stay_in_the_mapping(root: Path, tmp_path: Path) -> None:
    values = values_of(root)
    values["licence"] = "CC0"
    values["columns"]["mel"]["compression"] = "none"
    (tmp_path / layout.CARD).write_text(card_text(sealed(values)))
    card = open_card(tmp_path)
    assert card["licence"] == "CC0"
    assert sealed(card)["digest"] == card.digest != open_card(root).digest
    assert card.columns == open_card(root).columns


def test_a_card_with_nothing_but_what_reading_needs_is_read(tmp_path: Path) -> None:
    values = {
        "format": layout.FORMAT,
        "grid": {"sample_rate": 16_000, "hop_length": 200},
        "counts": {"written": 3},
        "columns": {"f0": {"dtype": "float32", "dims": ["T"]}},
    }
    dataset = Dataset(write(tmp_path, values))
    assert (len(dataset), dataset.columns, dataset.grid.frame_rate) == (3, ("f0",), 80.0)
    assert dataset.card.options == {} and dataset.card.assets == ()


@pytest.mark.parametrize("part", ["grid", "counts", "columns"])
def test_a_card_without_what_reading_needs_is_refused(
    part: str, root: Path, tmp_path: Path
) -> None:
    values = values_of(root)
    for damaged in ({k: v for k, v in values.items() if k != part}, {**values, part: "nonsense"}):
        with pytest.raises(UserError, match=f"damaged: it has no {part}"):
            open_card(write(tmp_path, damaged))
        faults = verify(write(tmp_path, sealed(damaged))).faults
        assert f"has no {part}" in {f.message for f in faults if f.place == layout.CARD}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"ns2-dataset"'])
def test_a_file_without_a_json_object_is_not_a_card(text: str, tmp_path: Path) -> None:
    (tmp_path / layout.CARD).write_text(text)
    assert read_card(tmp_path) is None
    with pytest.raises(UserError, match="damaged, or not the card"):
        open_card(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": "a list of files"},
        {"columns": ["text", "audio"], "grid": None, "counts": 7, "stages": {"a": 1}, "assets": 3},
        {"format": "other", "grid": {"sample_rate": 24_000, "hop_length": 320}},
    ],
)
def test_the_json_of_another_program_is_not_written_over(values: Any, tmp_path: Path) -> None:
    card = read_card(write(tmp_path, values))
    assert card is not None and card == Card.from_json(values) and card.format != layout.FORMAT
    with pytest.raises(UserError, match="not the card of an ns2 dataset"):
        open_card(tmp_path)
    with pytest.raises(UserError, match="name another folder"):
        check_folder(tmp_path, FrameGrid())


def test_a_dataset_on_another_grid_is_not_written_over(root: Path) -> None:
    check_folder(root, FrameGrid())
    with pytest.raises(UserError, match="another frame grid: 24000 Hz"):
        check_folder(root, FrameGrid(sample_rate=16_000, hop_length=200))
