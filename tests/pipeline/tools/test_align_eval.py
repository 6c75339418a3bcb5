"""Errors against known truth, held against numbers worked out by hand and a plain bootstrap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.align_eval.against_truth import evaluate, report
from ns2.pipeline.tools.align_eval.error_figures import FIGURES, intervals
from ns2.pipeline.tools.align_eval.truth import Truth, read_truth
from tests.support.dataset_factories import Recipe, make_dataset
from tests.support.preprocessing import run_inline

OPTIONAL = ("<sil>", "|", ",")
TOKENS = ("<sil>", "a", "|", "ˈb", ",", "c", "<sil>")
DURATIONS = np.array([2, 3, 0, 4, 2, 5, 1])
"""Phones start at frames 2, 5 and 11 of 17: at 640, 1600 and 3520 samples of 5440."""


def row(**changed: Any) -> dict[str, Any]:
    """Truth at 24 kHz: b is found 10 ms too early, c 20 ms too late."""
    phones = [[0, ""], [0, "<word>"], [600, "a"], [1840, "ˈb"], [2560, ""], [3040, "c"], [5200, ""]]
    values = {"key": "one", "voice": "x", "sample_rate": 24_000, "samples": 5440, "phones": phones}
    return {name: value for name, value in (values | changed).items() if value is not None}


def measured(rows: list[dict[str, Any]], aligned: dict[str, Any]) -> dict[str, Any]:
    found = report(map(Truth.of, rows), aligned, OPTIONAL)
    json.dumps(found, allow_nan=False)
    return found


def test_figures_are_those_worked_out_by_hand() -> None:
    found = measured([row()], {"one": (TOKENS, DURATIONS)})
    overall = found["overall"]
    expected = {
        "signed": 5.0, "median": 15.0, "mean": 15.0, "p90": 19.0,
        "within10": 0.5, "within20": 1.0, "within30": 1.0, "within50": 1.0,
    }  # fmt: skip
    assert {name: overall[name] for name in FIGURES} == pytest.approx(expected)
    assert overall["phones"] == 2 and overall["intervals"] is None
    # cut evenly b starts at frame round(3 * 17 / 7) = 7, c at 12: 16.7 and 33.3 ms too late
    assert overall["even"]["mean"] == pytest.approx(25.0)
    assert overall["even"]["signed"] == pytest.approx(25.0)
    assert found["same_symbols"] == 1.0 and found["warnings"] == []
    # the pause lies from 106.7 to 126.7 ms, the comma from frame 9 to 11: 120 to 146.7 ms
    assert found["pauses"]["20"] == pytest.approx({"count": 1, "found": 0.0, "mean_share": 1 / 3})
    assert found["pauses"]["200"] == {"count": 0, "found": None, "mean_share": None}


def test_another_rate_and_grid_change_nothing() -> None:
    phones = [[start / 2, ipa] for start, ipa in row()["phones"]]
    half = row(sample_rate=12_000, samples=2720, phones=phones)
    aligned = {"one": (TOKENS, DURATIONS)}
    assert measured([half], aligned) == measured([row()], aligned)


def test_marks_of_a_language_are_no_phones() -> None:
    phones = row()["phones"]
    marked = row(phones=[*phones[:2], [600, "(en)"], phones[2], [700, "(en-us)"], *phones[3:]])
    aligned = {"one": (TOKENS, DURATIONS)}
    assert measured([marked], aligned) == measured([row()], aligned)


def test_voices_are_kept_apart_and_need_not_be_known() -> None:
    rows = [row(), row(key="two", voice="y"), row(key="three", voice=None, samples=None)]
    late = np.array([3, 3, 0, 4, 2, 4, 1])
    aligned = {
        key: (TOKENS, late if key == "two" else DURATIONS) for key in ("one", "two", "three")
    }
    found = measured(rows, aligned)
    assert list(found["voices"]) == ["", "x", "y"]
    frame = 1000 / 75
    assert found["voices"]["x"]["signed"] == pytest.approx(5.0)
    assert found["voices"][""]["signed"] == pytest.approx(5.0)
    assert found["voices"]["y"]["signed"] == pytest.approx(5.0 + frame)
    assert found["overall"]["phones"] == 6 and found["overall"]["utterances"] == 3
    assert found["overall"]["intervals"] is not None


def test_what_is_not_compared_is_counted() -> None:
    # without "c" phones differ in number; b and its neighbour a are in both
    fewer = (("<sil>", "a", "|", "b", "<sil>"), np.array([2, 3, 0, 11, 1]))
    rows = [row(), row(key="fewer"), row(key="none"), row(key="short")]
    aligned = {"one": (TOKENS, DURATIONS), "fewer": fewer, "short": (TOKENS, DURATIONS + 1)}
    found = measured(rows, aligned)
    assert found["utterances"] == {
        "truth": 4, "compared": 1, "skipped": 1, "missing": 1, "other_length": 1,
    }  # fmt: skip
    assert found["skipped_share"] == 0.5
    assert found["overall"]["phones"] == 2 and found["overall"]["mean"] == pytest.approx(15.0)
    assert found["agreeing_parts"]["phones"] == 1
    assert found["agreeing_parts"]["signed"] == pytest.approx(-10.0)
    assert [w.split(" ")[0] for w in found["warnings"]] == ["50.0%", "1"]
    # where no length is known, a phone behind the end gives it away
    assert measured([row(samples=None)], {"one": (TOKENS, DURATIONS // 2)})["utterances"] == {
        "truth": 1, "compared": 0, "skipped": 0, "missing": 0, "other_length": 1,
    }  # fmt: skip


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(5)
    utterances = [rng.normal(rng.normal(0, 8), 10, rng.integers(0, 30)) for _ in range(25)]
    found = intervals(utterances)
    assert found is not None and found == intervals(utterances)
    draws, generator = [], np.random.default_rng(0)
    for _ in range(1000):
        chosen = np.concatenate([utterances[i] for i in generator.integers(25, size=25)])
        size = np.abs(chosen)
        draws.append(
            [np.median(chosen), np.median(size), size.mean(), np.quantile(size, 0.9)]
            + [(size <= ms).mean() for ms in (10, 20, 30, 50)]
        )
    for name, expected in zip(FIGURES, np.quantile(draws, [0.025, 0.975], axis=0).T, strict=True):
        assert found[name] == pytest.approx(tuple(expected), rel=1e-9, abs=1e-9), name


def test_intervals_know_that_errors_of_an_utterance_hang_together() -> None:
    rng = np.random.default_rng(6)
    utterances = [np.abs(rng.normal(20, 5)) + rng.normal(0, 0.1, 30) for _ in range(400)]
    found = intervals(utterances)
    assert found is not None
    low, high = found["mean"]
    by_theory = 2 * 1.96 * np.std([some.mean() for some in utterances]) / np.sqrt(400)
    assert high - low == pytest.approx(by_theory, rel=0.1)
    assert low < np.concatenate(utterances).mean() < high


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 2 is not JSON"),
        ("[1, 2]", "line 2 is not a JSON object"),
        (json.dumps(row(key=None)), "line 2: has no field 'key'"),
        (json.dumps(row(sample_rate=None)), "line 2: has no field 'sample_rate'"),
        (json.dumps(row(phones=None)), "line 2: has no field 'phones'"),
        (json.dumps(row(sample_rate=0)), "sample_rate: expected more than 0"),
        (json.dumps(row(samples="many")), "samples: expected a number, got 'many'"),
        (json.dumps(row(phones={"a": 1})), "phones: expected a list"),
        (json.dumps(row(phones=[[0, "a"], [5]])), r"entry 1 of phones: expected \[start"),
        (json.dumps(row(phones=[["0", "a"]])), "entry 0 of phones: expected a number"),
        (
            json.dumps(row(phones=[[9, "a"], [5, "b"]])),
            "entry 1 of phones: starts must not",
        ),
        (json.dumps(row(key="first")), "line 2: key 'first' is already in line 1"),
    ],
)
def test_truth_that_is_not_as_it_should_be_is_named(
    line: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text(json.dumps(row(key="first")) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_truth(path)


def test_a_truth_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_truth(path)


def test_a_preprocessed_corpus_is_near_its_truth(
    dataset: Path, spoken: Path, tmp_path: Path
) -> None:
    found = evaluate(Dataset(dataset), spoken / "truth.jsonl")
    overall = found["overall"]
    assert found["utterances"]["compared"] == 10 and overall["phones"] > 250
    assert overall["mean"] * 3 < overall["even"]["mean"]
    assert found["same_symbols"] > 0.99
    low, high = overall["intervals"]["mean"]
    assert low < overall["mean"] < high
    rows = [json.loads(line) for line in (spoken / "truth.jsonl").read_text("utf-8").splitlines()]
    assert sum(voice["phones"] for voice in found["voices"].values()) == overall["phones"]
    assert set(found["voices"]) == {row["voice"] for row in rows}

    # truth that begins 20 ms later makes all errors 20 ms smaller
    for one in rows:
        one["phones"] = [[start + one["sample_rate"] // 50, ipa] for start, ipa in one["phones"]]
    moved = tmp_path / "moved.jsonl"
    moved.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    again = evaluate(Dataset(dataset), moved)["overall"]
    assert again["signed"] == pytest.approx(overall["signed"] - 20.0)


def test_ids_that_are_no_keys_are_found(corpus: Path, tmp_path: Path) -> None:
    for path in list(corpus.glob("wavs/*.wav")):
        path.rename(path.with_stem(path.stem.replace("-", ".")))
    for name in ("metadata.csv", "truth.jsonl"):
        text = (corpus / name).read_text("utf-8")
        (corpus / name).write_text(text.replace("speak003-", "speak003."), encoding="utf-8")
    out = tmp_path / "shards"
    run_inline(corpus, out, None, columns=("durations",))
    found = evaluate(Dataset(out), corpus / "truth.jsonl")
    assert found["utterances"]["compared"] == 10


def test_the_command_prints_the_figures_and_names_what_is_wrong(
    dataset: Path, spoken: Path, tmp_path: Path
) -> None:
    truth = spoken / "truth.jsonl"
    run = CliRunner().invoke
    done = run(main, ["align-eval", str(dataset), str(truth), "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["utterances"]["truth"] == 10
    text = run(main, ["align-eval", str(dataset), str(truth)]).stdout
    low, high = found["overall"]["intervals"]["median"]
    for part in (
        "10 utterances compared", f"{found['overall']['median']:.1f}", f"{low:.1f} to {high:.1f}",
        f"{found['overall']['within30']:.1%}", *found["voices"],
    ):  # fmt: skip
        assert part in text

    bare = make_dataset(tmp_path / "bare", Recipe(columns=("mel", "phonemes")))
    done = run(main, ["align-eval", str(bare), str(truth)])
    assert done.exit_code == 1 and "has no durations: run `ns2 preprocess`" in done.stderr
    strange = tmp_path / "strange.jsonl"
    strange.write_text(json.dumps(row(key="strange")), encoding="utf-8")
    done = run(main, ["align-eval", str(dataset), str(strange)])
    assert done.exit_code == 1 and "no key in common" in done.stderr and "'strange'" in done.stderr

    rows = truth.read_text("utf-8").splitlines()
    fewer = {**json.loads(rows[0]), "phones": [[0, "a"]]}
    strange.write_text("\n".join([json.dumps(fewer), *rows[1:]]), encoding="utf-8")
    done = run(main, ["align-eval", str(dataset), str(strange)])
    assert done.exit_code == 0 and "warning: 10.0% of the utterances are skipped" in done.stderr
