"""`--min-align-score`: utterances whose text is not what is said are filtered, and come back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview
from ns2.pipeline.tools.collect import collect
from ns2.pipeline.tools.verify.check import verify
from tests.support.preprocessing import contents, identities, run_inline

COLUMNS = ("mel", "phonemes", "durations")


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


def scores(out: Path) -> dict[str, float]:
    table = pq.read_table(out / "index.parquet", columns=["key", "align_score"]).to_pydict()
    return dict(zip(table["key"], table["align_score"], strict=True))


def test_it_filters_what_aligns_badly_and_takes_it_back(
    swapped: tuple[Path, set[str]], tmp_path: Path
) -> None:
    corpus, bad = swapped
    out = tmp_path / "out"
    run_inline(corpus, out, None, columns=COLUMNS)
    whole, found = contents(out), scores(out)
    worst_good = min(score for key, score in found.items() if key not in bad)
    assert max(found[key] for key in bad) < worst_good
    least = (worst_good + max(found[key] for key in bad)) / 2

    summary = run_inline(corpus, out, None, columns=COLUMNS, min_align_score=least)
    left_out = {(r.key, str(r.kind), str(r.reason), r.stage) for r in summary.rejected}
    assert left_out == {(key, "filtered", "badly_aligned", "durations") for key in bad}
    assert not summary.stage_seconds  # the others are copied
    assert set(scores(out)) == set(found) - bad
    assert verify(out).faults == []

    again = identities(out)
    asked = Options(columns=COLUMNS, shard_utterances=4, min_align_score=least)
    assert not any(column.missing for column in preview(corpus, out, asked).columns)
    summary = run_inline(corpus, out, None, columns=COLUMNS, min_align_score=least)
    assert not summary.stage_seconds and not summary.made
    assert identities(out) == again

    collect(out)  # the scores of those left out are known though no tar holds them
    summary = run_inline(corpus, out, None, columns=COLUMNS, min_align_score=least)
    assert not summary.stage_seconds and not summary.made
    filtered = contents(out)

    anew = tmp_path / "anew"
    run_inline(corpus, anew, None, columns=COLUMNS, min_align_score=least)
    collect(anew)
    assert contents(anew) == filtered

    run_inline(corpus, out, None, columns=COLUMNS)
    collect(out)
    assert contents(out) == whole
