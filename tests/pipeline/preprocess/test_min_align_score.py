"""`--min-align-score` and `--max-border-error` filter wrong texts, and take them back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview
from ns2.pipeline.tools.collect import collect
from ns2.pipeline.tools.verify.check import verify
from tests.support.preprocessing import contents, identities, run_inline

COLUMNS = ("mel", "phonemes", "durations", "trust")
FILTERS = {
    "align_score": ("min_align_score", "badly_aligned", "durations"),
    "border_error": ("max_border_error", "doubtful_borders", "trust"),
}


@pytest.fixture(scope="module")
def swapped(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """The spoken corpus with the texts of two utterances exchanged, and their keys."""
    root = tmp_path_factory.mktemp("swapped") / "corpus"
    shutil.copytree(spoken, root)
    table = root / "metadata.csv"
    rows = [line.split("|") for line in table.read_text("utf-8").splitlines()]
    rows.sort(key=lambda row: len(row[1]))
    one, other = rows[4], rows[6]  # of like length, so that the phones fit into the frames
    one[1:], other[1:] = other[1:], one[1:]
    table.write_text("".join("|".join(row) + "\n" for row in rows), "utf-8")
    return root, {one[0], other[0]}


def scores(out: Path, name: str) -> dict[str, float]:
    """A number of each utterance, larger where its text fits less."""
    table = pq.read_table(out / "index.parquet", columns=["key", name]).to_pydict()
    sign = -1 if name == "align_score" else 1
    return {key: sign * value for key, value in zip(table["key"], table[name], strict=True)}


@pytest.mark.parametrize("name", FILTERS)
def test_it_filters_what_aligns_badly_and_takes_it_back(
    name: str, swapped: tuple[Path, set[str]], tmp_path: Path
) -> None:
    option, reason, stage = FILTERS[name]
    corpus, bad = swapped
    out = tmp_path / "out"
    run_inline(corpus, out, None, columns=COLUMNS)
    whole, found = contents(out), scores(out, name)
    worst_good = max(score for key, score in found.items() if key not in bad)
    assert min(found[key] for key in bad) > worst_good
    limit = (worst_good + min(found[key] for key in bad)) / 2
    limits: dict[str, Any] = {option: -limit if name == "align_score" else limit}

    summary = run_inline(corpus, out, None, columns=COLUMNS, **limits)
    left_out = {(r.key, str(r.kind), str(r.reason), r.stage) for r in summary.rejected}
    assert left_out == {(key, "filtered", reason, stage) for key in bad}
    assert not summary.stage_seconds  # the others are copied
    assert set(scores(out, name)) == set(found) - bad
    assert verify(out).faults == []

    again = identities(out)
    asked = Options(columns=COLUMNS, shard_utterances=4, **limits)
    assert not any(column.missing for column in preview(corpus, out, asked).columns)
    collect(out)  # the scores of those left out are known though no tar holds them
    summary = run_inline(corpus, out, None, columns=COLUMNS, **limits)
    assert not summary.stage_seconds and not summary.made
    assert identities(out).items() <= again.items()
    filtered = contents(out)

    anew = tmp_path / "anew"
    run_inline(corpus, anew, None, columns=COLUMNS, **limits)
    collect(anew)
    assert contents(anew) == filtered

    run_inline(corpus, out, None, columns=COLUMNS)
    collect(out)
    assert contents(out) == whole


def test_a_limit_needs_its_column() -> None:
    with pytest.raises(OptionError, match="name it in --columns"):
        Options(columns=("durations",), max_border_error=0.1)
    with pytest.raises(OptionError, match="from 0 to 1"):
        Options(max_border_error=1.5)
