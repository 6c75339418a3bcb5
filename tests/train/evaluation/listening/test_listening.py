"""Listening tests: nothing tells what is what, a page is answered by keys, answers are counted."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.train.evaluation.listening.count import counted, shown
from ns2.train.evaluation.listening.folder import key_path, trials_of, write_test
from ns2.train.evaluation.listening.listening_config import Method
from ns2.train.evaluation.listening.samples import (
    SentenceSamples,
    at_level,
    low_passed,
    system_names,
)
from tests.support.browser import BrowserPage, browser

SYSTEMS = ("copy", "recording", "anchor", "run a", "run b")
RATE = 24_000


def sentences(count: int = 3, systems: tuple[str, ...] = SYSTEMS) -> list[SentenceSamples]:
    rng = np.random.default_rng(0)
    return [
        SentenceSamples(
            key=f"utterance-{i}",
            text=f"Sentence <b>{i}</b> & more.",
            waves={  # a model's speech is of another length than the recording
                name: 0.1 * rng.standard_normal(2400 - 100 * (name[:3] == "run")).astype("f4")
                for name in systems
            },
        )
        for i in range(count)
    ]


def made(folder: Path, method: Method = "mushra", **more: Any) -> tuple[Path, dict[str, Any]]:
    key = write_test(folder, sentences(**more), method, seed=0, rate=RATE, about={"split": "val"})
    value: dict[str, Any] = json.loads(key.read_text())
    return key, value


def answers(key: dict[str, Any], listener: str, points: dict[str, float]) -> dict[str, Any]:
    """What a listener answers who gives each system the same points everywhere."""
    given = [
        {"trial": name, "scores": {s: points[system] for s, system in trial["samples"].items()}}
        for name, trial in key["trials"].items()
    ]
    base = {"listening_test": 1, "test": key["test"], "method": key["method"]}
    return {**base, "session": listener, "listener": listener, "answers": given}


def scored(given: dict[str, Any], points: float) -> dict[str, Any]:
    """The first trial of some answers, with other points for everything."""
    first = given["answers"][0]
    return {**first, "scores": dict.fromkeys(first["scores"], points)}


@pytest.mark.parametrize("method", ["mushra", "pairwise"])
def test_nothing_in_the_folder_tells_what_is_what(method: Method, tmp_path: Path) -> None:
    key, told = made(tmp_path / "test", method)
    assert key == tmp_path / "test-key.json" == key_path(tmp_path / "test")
    page = (tmp_path / "test/index.html").read_text()
    files = sorted(path for path in (tmp_path / "test").rglob("*") if path.is_file())
    names = [path.stem for path in files if path.suffix == ".wav"]
    assert [path.suffix for path in files].count(".html") == 1 and len(names) == len(files) - 1
    assert all(re.fullmatch("[0-9a-f]{12}", name) for name in names)
    for word in ("recording", "copy", "anchor", "run a", "run b", "utterance-0", "val"):
        assert not re.search(rf"\b{word}\b", page), word
    assert "://" not in page and "<b>0" not in page
    assert len({path.stat().st_mtime for path in files if path.suffix == ".wav"}) == 1
    # in every trial the order of systems is another, so places tell nothing either
    orders = {tuple(trial["samples"].values()) for trial in told["trials"].values()}
    assert len(orders) > 1
    for trial in told["trials"].values():
        assert set(trial["samples"]) <= set(names)
    # no file has a size of its own, and none the content of another, as the reference has
    waves = [path for path in files if path.suffix == ".wav"]
    assert {soundfile.info(path).frames for path in waves} == {2400}
    assert len({path.read_bytes() for path in waves}) == len(waves)
    # what is heard is as it was
    given = {one.key: one.waves for one in sentences()}
    for trial in told["trials"].values():
        for name, system in trial["samples"].items():
            wave, _ = soundfile.read(tmp_path / f"test/samples/{name}.wav")
            expected = np.pad(given[trial["key"]][system], (0, 2400))[:2400]
            assert np.abs(wave - expected).max() < 2e-4


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    made(tmp_path / "test")
    with pytest.raises(UserError, match="is not empty"):
        made(tmp_path / "test")
    shutil.rmtree(tmp_path / "test")  # it was sent, and answers will come
    with pytest.raises(UserError, match=r"test-key\.json is the key of another"):
        made(tmp_path / "test")


def test_pairs_come_equally_often() -> None:
    trials = trials_of(sentences(10, ("copy", "recording", "run a", "run b")), "pairwise", 0)
    counts: dict[frozenset[str], int] = {}
    for trial in trials:
        pair = frozenset(trial.systems)
        counts[pair] = counts.get(pair, 0) + 1
    assert len(trials) == 30 and len(counts) == 6 and set(counts.values()) == {5}


def test_points_are_counted_with_intervals_over_listeners(tmp_path: Path) -> None:
    key, told = made(tmp_path / "test")
    files = []
    base = {"recording": 95.0, "copy": 80.0, "anchor": 20.0, "run a": 60.0, "run b": 40.0}
    for number, shift in enumerate((-5, 0, 0, 3)):
        points = {name: value + shift for name, value in base.items()}
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(answers(told, str(number), points)))
    found = counted(key, files)
    assert found["listeners"] == 4 and found["trials"] == 12
    for name, value in base.items():
        one = found["systems"][name]
        assert one["points"] == pytest.approx(value - 0.5)
        assert one["interval"][0] < value - 0.5 < one["interval"][1] <= value + 3
    assert not found["notes"]
    assert "run a" in shown(found) and "59.5 points (95 %: " in shown(found)
    # the same file twice counts once; few listeners are said to be few; so are deaf ones
    low = dict.fromkeys(base, 50.0)
    files[0].write_text(json.dumps(answers(told, "low", low)))
    again = counted(key, [files[0], files[0]])
    assert again["listeners"] == 1 and again["systems"]["copy"]["points"] == 50
    text = shown(again)
    assert (
        "copy of answers" in text and "1 listener, 3 answers" in text and "1 of 1 listeners" in text
    )


def test_preferences_are_counted(tmp_path: Path) -> None:
    key, told = made(tmp_path / "test", "pairwise", count=4, systems=("copy", "run a"))
    given = []
    for name, trial in told["trials"].items():
        by = {system: sample for sample, system in trial["samples"].items()}
        given.append({"trial": name, "preferred": by["run a"] if len(given) < 3 else ""})
    file = tmp_path / "a.json"
    file.write_text(json.dumps({**answers(told, "x", {"copy": 0, "run a": 0}), "answers": given}))
    ((pair,),) = [counted(key, [file])["pairs"]]
    assert (pair["first"], pair["second"], pair["answers"]) == ("codec copy", "run a", 4)
    assert pair["first_preferred"] == pytest.approx(0.5 / 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {**a, "test": "other"}, "another listening test"),
        (lambda a: {**a, "listening_test": 2}, "is no file of answers"),
        (lambda a: [a], "is no file of answers"),
        (lambda a: {**a, "answers": [{"trial": "t99", "scores": {}}]}, "it has no 't99'"),
        (lambda a: {**a, "answers": [{**a["answers"][0], "scores": {}}]}, "points are missing"),
        (lambda a: {**a, "answers": [scored(a, 101)]}, "outside of 0 to 100"),
        (lambda a: {**a, "answers": a["answers"] + a["answers"][:1]}, "is answered twice"),
        (lambda a: {**a, "session": ""}, "whose answers"),
        (lambda a: {**a, "answers": []}, "no trial is answered"),
        (lambda a: {**a, "answers": 7}, "do not fit the key"),
    ],
)  # fmt: skip
def test_answers_that_do_not_fit_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    key, told = made(tmp_path / "test")
    file = tmp_path / "a.json"
    file.write_text(json.dumps(change(answers(told, "x", dict.fromkeys(SYSTEMS, 50.0)))))
    done = CliRunner().invoke(main, ["evaluate", "--answers", str(key), str(file)])
    assert done.exit_code == 1 and message in done.output and "Traceback" not in done.output


@pytest.mark.parametrize(
    "change",
    [
        lambda key: {**key, "systems": {}},
        lambda key: {**key, "trials": []},
        lambda key: {name: value for name, value in key.items() if name != "test"},
        lambda key: {**key, "method": "abx"},
        lambda key: answers(key, "x", dict.fromkeys(SYSTEMS, 50.0)),
    ],
)
def test_what_is_no_key_is_refused(change: Any, tmp_path: Path) -> None:
    key, told = made(tmp_path / "test")
    file = tmp_path / "a.json"
    file.write_text(json.dumps(answers(told, "x", dict.fromkeys(SYSTEMS, 50.0))))
    key.write_text(json.dumps(change(told)))
    with pytest.raises(UserError, match=r"test-key\.json is no key of a listening test"):
        counted(key, [file])


def test_a_second_file_of_a_listener_is_left_out(tmp_path: Path) -> None:
    key, told = made(tmp_path / "test")
    files = [tmp_path / f"{name}.json" for name in ("first", "copy", "later")]
    for file, points in zip(files, (50.0, 50.0, 90.0), strict=True):
        file.write_text(json.dumps(answers(told, "x", dict.fromkeys(SYSTEMS, points))))
    found = counted(key, files)
    assert found["listeners"] == 1 and found["systems"]["copy"]["points"] == 50
    notes = "\n".join(found["notes"])
    assert "copy.json is a copy of answers" in notes and "later.json has other answers" in notes
    assert "1 listener, 3 sentences" in notes and "none is given" in notes


def test_levels_and_the_anchor() -> None:
    loud, quiet = (np.sin(np.arange(RATE) / 9) * g for g in (0.9, 0.01))
    assert at_level(loud) == pytest.approx(at_level(quiet), abs=1e-6)
    peaks = np.zeros(RATE, np.float32)
    peaks[::4000] = 0.1
    assert np.abs(at_level(peaks)).max() == pytest.approx(0.95)
    assert not at_level(np.zeros(9, np.float32)).any()
    low, high = (np.sin(2 * np.pi * hz * np.arange(RATE) / RATE) for hz in (1000, 5000))
    assert low_passed((low + high).astype(np.float32), RATE) == pytest.approx(low, abs=1e-3)


def test_runs_of_one_name_are_numbered() -> None:
    assert system_names([Path("a/run"), Path("b/run"), Path("c")]) == [
        "run run (1)", "run run (2)", "run c",
    ]  # fmt: skip


def test_the_command_makes_a_test_of_runs(speech: Path, spoken: Path, tmp_path: Path) -> None:
    settings = ["global_frames=900", "validate_frames=900", "samples=0"]
    settings += ["model.prompt.shortest=20"]
    settings += ["model.prompt.whole_below=60", "model.prompt.longest=60"]
    sets = [word for one in settings for word in ("--set", one)]
    command = ["train", str(speech), "-o", str(tmp_path / "one"), "--preset", "tiny", *sets]
    done = CliRunner().invoke(main, [*command, "--steps", "1"])
    assert done.exit_code == 0, done.output
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    base = ["evaluate", str(tmp_path / "one"), str(speech), "--corpus", str(spoken)]
    base += ["--steps", "2", "--limit", "2", "--listening-test", str(tmp_path / "test")]
    done = CliRunner().invoke(main, [*base, "--with", str(tmp_path / "two")])
    assert done.exit_code == 0, done.output
    key = json.loads((tmp_path / "test-key.json").read_text())
    assert set(key["systems"]) == {"recording", "copy", "anchor", "run one", "run two"}
    assert len(key["trials"]) == 2 and key["about"]["runs"]["run two"]["step"] == 1
    assert len(list((tmp_path / "test/samples").glob("*.wav"))) == 2 * (5 + 1)
    file = tmp_path / "a.json"
    file.write_text(json.dumps(answers(key, "x", dict.fromkeys(key["systems"], 70.0))))
    done = CliRunner().invoke(
        main, ["evaluate", "--answers", str(tmp_path / "test-key.json"), str(file)]
    )
    assert done.exit_code == 0 and "70.0 points" in done.output
    for words, message in (
        (["evaluate", str(tmp_path / "one")], "RUN DATASET"),
        (["evaluate", str(tmp_path / "one"), str(speech), "--with", str(speech)], "--with is for"),
        ([*base, *(["--with", str(tmp_path / "two")] * 4)], "compares 4 runs at most"),
        ([*base, "--protocol", "zero-shot"], "measures nothing"),
        ([*base, "-o", str(tmp_path / "figures")], "leave out -o"),
    ):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2 and message in done.output, done.output


# -- the page ----------------------------------------------------------------------------------

in_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")


def tab_to(page: BrowserPage, wanted: str) -> None:
    """Press Tab until an expression of the focused element is true."""
    for _ in range(40):
        if page.ask(f"(e => Boolean({wanted}))(document.activeElement)"):
            return
        page.press("Tab", 9)
    raise AssertionError(f"Tab does not reach {wanted}")


def downloaded(folder: Path) -> Path:
    """The answers, when the browser has saved them."""
    until = time.monotonic() + 60
    while not (found := list(folder.glob("answers-*.json"))):
        assert time.monotonic() < until, "nothing was saved"
        time.sleep(0.1)
    return found[0]


@pytest.mark.large
@in_chromium
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("method", ["mushra", "pairwise"])
def test_the_page_is_answered_by_keys(width: int, method: Method, tmp_path: Path) -> None:
    key, told = made(tmp_path / "test", method, count=2, systems=("copy", "recording", "run a"))
    wide = "document.documentElement.scrollWidth"
    with browser(tmp_path / "browser") as page:
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        page.open(tmp_path / "test/index.html", width)
        assert page.ask(wide) <= width
        tab_to(page, "e.id === 'begin'")
        page.press("Enter", 13, "\r")
        for number in range(len(told["trials"])):
            assert page.ask(wide) <= width
            assert page.ask("document.getElementById('place').textContent").startswith(
                f"Sentence {number + 1} of"
            )
            assert page.ask("document.getElementById('next').disabled") is True
            page.press("1", 49, "1")
            assert page.ask("playing !== null && playing.src.includes('samples/')")
            until = time.monotonic() + 60
            while page.ask("playing !== null && playing.readyState < 1"):
                assert time.monotonic() < until
            assert page.ask("document.getElementById('missing').textContent").startswith(
                "Give" if method == "mushra" else "Say"
            )
            if method == "mushra":
                for i in range(3):
                    tab_to(page, f"e === document.querySelectorAll('input[type=range]')[{i}]")
                    for _ in range(i + 1):
                        page.press("ArrowRight", 39)
            else:
                tab_to(page, "e.textContent === 'First is better'")
                page.press("Enter", 13, "\r")
            tab_to(page, "e.id === 'next'")
            page.press("Enter", 13, "\r")
        tab_to(page, "e.id === 'save'")
        page.press("Enter", 13, "\r")
        saved = downloaded(tmp_path)
    given = json.loads(saved.read_text())
    assert len(given["answers"]) == len(told["trials"]) and given["test"] == told["test"]
    if method == "mushra":
        for one in given["answers"]:
            assert sorted(one["scores"].values()) == [51, 52, 53]
    found = counted(key, [saved])
    assert found["trials"] == len(told["trials"])
