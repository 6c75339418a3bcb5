"""`ns2 diff` compared with what the arrays and tables themselves say, read one by one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import COLUMNS
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.diff.difference_text import render
from ns2.pipeline.tools.diff.row_differences import FIELDS
from ns2.pipeline.tools.diff.two_datasets import diff
from tests.support.dataset_factories import Recipe, make_dataset
from tests.support.preprocessing import run_inline


def paths(changes: list[dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    return {one["path"]: (one.get("a"), one.get("b")) for one in changes}


def keys(those: Mapping[str, Any]) -> set[str]:
    assert those["count"] == len(those["keys"]) == len(set(those["keys"]))
    return set(those["keys"])


def slowly(a: Path, b: Path) -> dict[str, dict[str, set[str]]]:
    """Keys in both that differ, by column and by field: every array and every row compared."""
    first, second = Dataset(a), Dataset(b)
    common = [key for key in first.keys if key in second]
    columns = {
        name: {
            key
            for key in common
            if not np.array_equal(first.read(name, key), second.read(name, key))
        }
        for name in first.columns
        if name in second.columns
    }
    rows = [{row["key"]: row for row in one.index.to_pylist()} for one in (first, second)]
    scalars = [name for name in first.card.scalars if name in second.card.scalars]
    fields = {
        name: {key for key in common if rows[0][key][name] != rows[1][key][name]}
        for name in (*FIELDS, *scalars)
    }
    return {
        "columns": {name: those for name, those in columns.items() if those},
        "fields": {name: those for name, those in fields.items() if those},
    }


def check(a: Path, b: Path) -> dict[str, Any]:
    """Compare two datasets, check the result by `slowly`, and that the reverse mirrors it."""
    differences, truth = diff(a, b), slowly(a, b)
    json.dumps(differences, allow_nan=False)
    assert {n: keys(one) for n, one in differences["columns"]["changed"].items()} == truth[
        "columns"
    ]
    assert {n: keys(one) for n, one in differences["fields"].items()} == truth["fields"]
    everything = [*truth["columns"].values(), *truth["fields"].values()]
    assert keys(differences["utterances"]["changed"]) == set().union(*everything)
    mine, other = set(Dataset(a).keys), set(Dataset(b).keys)
    assert keys(differences["utterances"]["only_a"]) == mine - other
    assert keys(differences["utterances"]["only_b"]) == other - mine
    assert differences["utterances"]["both"] == len(mine & other)
    back = diff(b, a)
    for section in ("configuration", "counts", "statistics"):
        turned = {path: (y, x) for path, (x, y) in paths(back[section]).items()}
        assert turned == paths(differences[section])
    assert back["utterances"]["only_a"] == differences["utterances"]["only_b"]
    assert back["rejected"]["only_b"] == differences["rejected"]["only_a"]
    assert {n: keys(one) for n, one in back["fields"].items()} == truth["fields"]
    assert back["equal"] == differences["equal"]
    return differences


def test_a_copy_is_equal(dataset: Path, shards: Path) -> None:
    differences = check(dataset, shards)
    assert differences["equal"]
    assert "They hold the same" in render(differences)
    assert not differences["configuration"] and not differences["statistics"]


def test_another_pitch_range(spoken: Path, weights: Path, dataset: Path, shards: Path) -> None:
    run_inline(spoken, shards, weights, f0_max=160.0)
    differences = check(dataset, shards)
    assert not differences["equal"]
    assert set(differences["columns"]["changed"]) == {"f0"}
    assert differences["columns"]["changed"]["f0"]["reshaped"] == 0
    assert set(differences["fields"]) == {"voiced_share", "f0_median"}
    folders = [Dataset(root).card["columns"]["f0"]["folder"] for root in (dataset, shards)]
    assert paths(differences["configuration"]) == {
        "options.f0_max": (1100.0, 160.0),
        "columns.f0.config.f0_max": (1100.0, 160.0),
        "columns.f0.folder": tuple(folders),
    }
    assert not differences["counts"] and set(paths(differences["statistics"])) <= {
        f"statistics.f0.{name}" for name in ("voiced_share", "log_mean", "log_std", "min", "max")
    }
    text = render(differences)
    assert "options.f0_max: 1100.0 -> 160.0" in text and "f0_median" in text


def test_a_changed_transcript_a_removed_and_a_filtered_utterance(
    spoken: Path, weights: Path, dataset: Path, shards: Path, tmp_path: Path
) -> None:
    corpus = Path(shutil.copytree(spoken, tmp_path / "corpus"))
    table = corpus / "metadata.csv"
    index = Dataset(dataset).index.sort_by([("seconds", "descending")]).to_pylist()
    longest, changed, removed = (row["key"] for row in index[:3])
    lines = {line.split("|")[0]: line for line in table.read_text("utf-8").splitlines()}
    lines[changed] = f"{changed}|A new text.|A new text."
    del lines[removed]
    table.write_text("\n".join(lines.values()))
    run_inline(corpus, shards, weights, max_seconds=index[0]["seconds"] - 1e-3)
    differences = check(dataset, shards)
    assert keys(differences["utterances"]["only_a"]) == {longest, removed}
    assert differences["utterances"]["only_a"]["why"] == {"not found": 1, "too_long": 1}
    assert set(differences["columns"]["changed"]) == {"phonemes", "durations", "trust", "meta"}
    assert keys(differences["utterances"]["changed"]) == {changed}
    reshaped = {name: one["reshaped"] for name, one in differences["columns"]["changed"].items()}
    assert reshaped == {"phonemes": 1, "durations": 1, "trust": 1, "meta": 0}
    (example,) = differences["fields"]["text"]["examples"]
    assert (example["key"], example["b"]) == (changed, "A new text.")
    assert paths(differences["counts"])["counts.written"] == (10, 8)
    assert set(paths(differences["configuration"])) == {"options.max_seconds"}
    assert differences["rejected"]["only_a"]["count"] == 0
    assert differences["rejected"]["only_b"]["reasons"] == {"too_long": 1}
    assert differences["rejected"]["only_b"]["examples"][0]["id"] == longest
    # The latents' mean is a list of 128: shown by its largest difference.
    means = [np.array(Dataset(r).card["statistics"]["latents"]["mean"]) for r in (dataset, shards)]
    (mean,) = (one for one in differences["statistics"] if one["path"] == "statistics.latents.mean")
    assert mean["largest"] == np.abs(means[0] - means[1]).max() > 0
    text = render(differences)
    assert "2 only in A (in B: 1 not found, 1 too_long)" in text
    assert "1 rows only in B (1 too_long)" in text


def test_another_aligner(spoken: Path, weights: Path, dataset: Path, shards: Path) -> None:
    run_inline(spoken, shards, weights, seed=1)
    differences = check(dataset, shards)
    found = paths(differences["configuration"])
    assert found["aligner.config.seed"] == found["options.seed"] == (0, 1)
    assert "assets.aligner" in found and "columns.durations.folder" in found
    assert "aligner.sample" not in found  # the same utterances


def test_other_columns(tmp_path: Path) -> None:
    a = make_dataset(tmp_path / "a", Recipe())
    b = make_dataset(tmp_path / "b", Recipe(columns=tuple(c for c in COLUMNS if c != "mel")))
    differences = check(a, b)
    assert differences["columns"]["only_a"] == ["mel"] and differences["columns"]["only_b"] == []
    assert not differences["equal"] and "mel        only in A" in render(differences)


def test_all_is_different(tmp_path: Path) -> None:
    """Another seed gives other arrays, and another number of words another N."""
    a = make_dataset(tmp_path / "a", Recipe())
    b = make_dataset(tmp_path / "b", Recipe(seed=1, words=("much",), frames=(41, 60)))
    differences = check(a, b)
    assert differences["utterances"]["changed"]["count"] == 9
    shapes = {name: one["reshaped"] for name, one in differences["columns"]["changed"].items()}
    assert shapes == {**dict.fromkeys(COLUMNS, 9), "meta": 0}


def test_where_utterances_lie_is_no_difference(tmp_path: Path) -> None:
    a = make_dataset(tmp_path / "a", Recipe(shards=2, per_shard=3))
    b = make_dataset(tmp_path / "b", Recipe(shards=3, per_shard=2))
    differences = check(a, b)
    assert differences["equal"] and differences["a"]["digest"] != differences["b"]["digest"]
    shards = [Dataset(root).index["shard"].to_pylist() for root in (a, b)]
    moved = sum(x != y for x, y in zip(*shards, strict=True))
    assert differences["utterances"]["moved"] == moved > 0
    assert f"{moved} utterances lie in another shard" in render(differences)


def test_the_order_of_keys_and_of_rows_is_no_difference(tmp_path: Path) -> None:
    a = make_dataset(tmp_path / "a", Recipe(shards=1, per_shard=6))
    b = Path(shutil.copytree(a, tmp_path / "b"))

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(list(value))}
        return value

    card = json.loads((b / "dataset.json").read_text("utf-8"))
    (b / "dataset.json").write_text(card_text(turned(card)))
    rows = pq.read_table(b / "index.parquet")
    pq.write_table(rows.take(list(reversed(range(6)))), b / "index.parquet")
    assert (a / "dataset.json").read_text() != (b / "dataset.json").read_text()
    assert check(a, b)["equal"]


@pytest.mark.parametrize("shards", [0, 2])
def test_an_empty_dataset(tmp_path: Path, shards: int) -> None:
    a = make_dataset(tmp_path / "a", Recipe(shards=0))
    b = make_dataset(tmp_path / "b", Recipe(shards=shards))
    differences = check(a, b)
    assert differences["equal"] == (shards == 0)
    assert differences["utterances"]["only_b"]["count"] == 3 * shards
    render(differences)


def test_nothing_equals_nothing_only(tmp_path: Path) -> None:
    """A field that one index has a value for and the other has none."""
    empty = Recipe(change_row=lambda row: [{**row, "align_score": None}])
    a, b = make_dataset(tmp_path / "a", empty), make_dataset(tmp_path / "b", Recipe())
    differences = check(a, b)
    assert keys(differences["fields"]["align_score"]) == set(Dataset(a).keys)
    assert differences["fields"]["align_score"]["examples"][0]["a"] is None
    assert diff(a, make_dataset(tmp_path / "c", empty))["equal"]


def test_long_texts_are_shown_where_they_part(tmp_path: Path) -> None:
    words = ("so",) * 60
    a = make_dataset(
        tmp_path / "a", Recipe(shards=1, per_shard=1, frames=(400, 400), words=(*words, "much"))
    )
    b = make_dataset(
        tmp_path / "b", Recipe(shards=1, per_shard=1, frames=(400, 400), words=(*words, "light"))
    )
    text = render(check(a, b))
    assert 'so so much" -> "...' in text and 'so so light"' in text


def test_the_ledger(tmp_path: Path) -> None:
    a = make_dataset(tmp_path / "a", Recipe())
    b = Path(shutil.copytree(a, tmp_path / "b"))
    table = pq.read_table(b / "rejected.parquet")
    rows = [*table.to_pylist()[1:], table.to_pylist()[1]]  # one gone, one twice
    pq.write_table(type(table).from_pylist(rows, table.schema), b / "rejected.parquet")
    differences = check(a, b)
    assert not differences["equal"]
    assert differences["rejected"]["only_a"]["examples"] == [table.to_pylist()[0]]
    assert differences["rejected"]["only_b"]["examples"] == [table.to_pylist()[1]]


def test_long_lists_of_keys_end_but_counts_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ns2.pipeline.tools.diff.row_differences.MOST_KEYS", 2)
    recipe = Recipe(shards=1, per_shard=5, columns=("f0",))
    a = make_dataset(tmp_path / "a", recipe)
    b = make_dataset(tmp_path / "b", replace(recipe, shards=2, seed=1))
    differences = diff(a, b)
    assert differences["utterances"]["only_b"]["count"] == 5
    assert differences["utterances"]["only_b"]["keys"] == ["utt0005", "utt0006"]
    assert differences["columns"]["changed"]["f0"]["count"] == 5
    assert differences["columns"]["changed"]["f0"]["keys"] == ["utt0000", "utt0001"]


def test_what_is_no_dataset_or_damaged_is_refused(tmp_path: Path) -> None:
    a = make_dataset(tmp_path / "a", Recipe(shards=1))
    b = Path(shutil.copytree(a, tmp_path / "b"))
    card = json.loads((b / "dataset.json").read_text("utf-8"))
    (b / "dataset.json").write_text(json.dumps({**card, "ns2": "9"}))
    with pytest.raises(UserError, match=r"b/dataset\.json is damaged"):
        diff(a, b)
    (b / "dataset.json").write_text(card_text(sealed(card)))
    (b / "index.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"b/index\.parquet can't be read"):
        diff(a, b)
    with pytest.raises(UserError, match=r"no dataset\.json"):
        diff(tmp_path, a)


def test_the_command_exits_like_diff(tmp_path: Path) -> None:
    a = make_dataset(tmp_path / "a", Recipe())
    b = make_dataset(tmp_path / "b", Recipe(seed=1))
    said = CliRunner().invoke(main, ["diff", str(a), str(a)])
    assert (said.exit_code, "They hold the same" in said.output) == (0, True)
    said = CliRunner().invoke(main, ["diff", str(a), str(b)])
    assert (said.exit_code, "9 in both, 9 of them changed" in said.output) == (1, True)
    said = CliRunner().invoke(main, ["diff", str(a), str(b), "--json"])
    assert said.exit_code == 1 and json.loads(said.output) == diff(a, b)
    said = CliRunner().invoke(main, ["diff", str(a), str(tmp_path)])
    assert said.exit_code == 1 and "no dataset.json" in said.output
    assert CliRunner().invoke(main, ["diff", str(a)]).exit_code == 2
