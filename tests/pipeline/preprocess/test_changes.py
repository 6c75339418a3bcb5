"""A run that reads only the rows that changed writes what a run that reads all of them writes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.layout import finished_file
from ns2.pipeline.preprocess.executors.inline import InlineExecutor
from ns2.pipeline.preprocess.finish import partial, publish
from ns2.pipeline.preprocess.finish.finisher import Summary
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview
from ns2.pipeline.preprocess.run import preprocess
from tests.support.preprocessing import contents

Rows = list[dict[str, Any]]


class Told(Progress):
    """Keeps what a run notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def read_rows(self) -> int | None:
        """How many rows were read; None for all."""
        lines = [line for line in self.notes if "rows of the manifest are read" in line]
        return int(lines[0].split()[0]) if lines else None


def run(folder: Path, out: Path, options: Options) -> tuple[Summary, Told]:
    told = Told()
    return preprocess(folder / "manifest.jsonl", out, options, InlineExecutor(), told), told


def write(folder: Path, rows: Rows) -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "manifest.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")


def rows_of(folder: Path) -> Rows:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def options(weights: Path) -> Options:
    return Options(
        codec_weights=weights,
        quantizers=4,
        shard_utterances=3,
        columns=("f0", "phonemes"),
        val_share=0.3,
    )


@pytest.fixture(scope="module")
def first(spoken: Path, tmp_path_factory: pytest.TempPathFactory, options: Options) -> Path:
    """A manifest of ten utterances in four shards, one of them rejected, one filtered."""
    folder = tmp_path_factory.mktemp("first")
    shutil.copytree(spoken / "wavs", folder / "audio")
    rows = []
    for line in (spoken / "metadata.csv").read_text("utf-8").splitlines():
        name, text, *_ = line.split("|")
        rows.append({"id": name, "audio": f"audio/{name}.wav", "text": text, "speaker": "a"})
    rows[0]["text"] = "…"  # nothing to speak: rejected in its shard
    shutil.copy(folder / rows[4]["audio"], folder / "audio" / "unspoken.wav")
    rows.insert(4, {"id": "blank", "audio": "audio/unspoken.wav", "text": " "})  # in no shard
    write(folder, rows)
    run(folder, folder / "out", options)
    return folder


@pytest.fixture
def made(first: Path, tmp_path: Path, options: Options) -> Path:
    """A copy of it that has been run once more, since it lies elsewhere now."""
    shutil.copytree(first, tmp_path / "made")
    run(tmp_path / "made", tmp_path / "made" / "out", options)
    return tmp_path / "made"


def changed(place: int, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        rows = rows_of(folder)
        rows[place].update(values)
        write(folder, rows)

    return change


def edited(edit: Callable[[Rows], Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        rows = rows_of(folder)
        edit(rows)
        write(folder, rows)

    return change


def new(name: str, like: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**like, "id": name, **values}


def other_sound(folder: Path) -> None:
    first, second, *_ = sorted((folder / "audio").iterdir())
    shutil.copy(second, first)
    os.utime(first, ns=(1, 1))


def lost(pattern: str) -> Callable[[Path], None]:
    return lambda folder: sorted((folder / "out").glob(pattern))[1].unlink()


CHANGES: dict[str, tuple[Callable[[Path], None], int | None]] = {
    # what changes, and how many rows are read: those of its shards, and the one in no shard
    "a text": (changed(6, text="Another text altogether."), 4),
    "a speaker": (changed(6, speaker="b"), 4),
    "a blank text": (changed(6, text=" "), 4),
    "a text that was blank": (changed(4, text="Now it says something."), 1),
    "a row in front of others": (edited(lambda r: r.insert(2, new("x", r[3]))), 2),
    "many rows behind": (edited(lambda r: r.extend(new(f"x{i}", r[i]) for i in range(5, 9))), 5),
    "a row less": (edited(lambda r: r.pop(7)), 3),
    "a shard less": (edited(lambda r: r.__delitem__(slice(1, 4))), 4),
    "another order": (edited(lambda r: r.append(r.pop(5))), None),
    "an id that is there": (edited(lambda r: r.append(new(r[9]["id"], r[5]))), None),
    "a line that is there": (edited(lambda r: r.append(r[9])), None),
    "a broken line": (edited(lambda r: r.append('{"id": "y", "audio": ')), 2),
    "no such audio": (edited(lambda r: r.append(new("z", r[5], audio="audio/none.wav"))), 2),
    "another first line": (changed(0, text="…!"), None),
    "a field more": (changed(6, odd="x"), 4),
    "a confidence": (changed(6, confidence=0.5), None),
    "a recording": (other_sound, 4),
    "only its time": (
        lambda folder: os.utime(folder / "audio" / "speak003-00003.wav", ns=(1, 1)),
        4,
    ),
    "no recording": (lambda folder: sorted((folder / "audio").iterdir())[5].unlink(), 4),
    "no recording of a row in no shard": (
        lambda folder: (folder / "audio" / "unspoken.wav").unlink(),
        1,
    ),
    "no marker": (lost("phonemes-*/*.parquet"), 4),
    "no tar": (lost("f0-*/*.tar"), 4),
    "no screening": (lost(".state/screen-*/*.parquet"), 4),
    "no index": (lambda folder: (folder / "out" / "index.parquet").unlink(), None),
    "no plan": (lambda folder: (folder / "out" / ".state" / "plan.parquet").unlink(), None),
    "no card": (lambda folder: (folder / "out" / "dataset.json").unlink(), None),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_dataset_is_the_same(made: Path, options: Options, what: str) -> None:
    change, read = CHANGES[what]
    change(made)
    shutil.copytree(made / "out", made / "whole")
    finished_file(made / "whole").unlink(missing_ok=True)
    plans = [preview(made / "manifest.jsonl", made / out, options) for out in ("out", "whole")]
    summary, told = run(made, made / "out", options)
    whole, long = run(made, made / "whole", options)
    assert contents(made / "out") == contents(made / "whole")
    assert (
        summary.render(Path("x")).split("stage ")[0] == whole.render(Path("x")).split("stage ")[0]
    )
    assert sorted(map(repr, summary.rejected)) == sorted(map(repr, whole.rejected))
    assert plans[0] == plans[1]
    assert long.read_rows is None and told.read_rows == read
    # and what it remembers is as good as what a run on all rows remembers
    kept = [(made / out / ".state" / "rows.parquet").is_file() for out in ("out", "whole")]
    assert kept[0] == kept[1]


def test_added_rows_open_no_marker_of_other_shards(made: Path, options: Options) -> None:
    rows = rows_of(made)
    write(made, [*rows, new("x", rows[5])])
    shutil.copytree(made / "out", made / "spoilt")
    for marker in (made / "spoilt").glob("*-*/*.parquet"):
        at = marker.stat()
        marker.write_bytes(bytes(at.st_size))
        os.utime(marker, ns=(at.st_atime_ns, at.st_mtime_ns))
    statistics = []
    for out in ("out", "spoilt"):
        run(made, made / out, options)
        statistics.append(json.loads((made / out / "dataset.json").read_text())["statistics"])
    assert statistics[0] == statistics[1] and statistics[0]["f0"]


def test_changes_follow_each_other(made: Path, options: Options) -> None:
    """Each run goes on from what the one before remembers; a row that comes back has its place."""
    whole, options = made / "whole", replace(options, columns=("codes", "f0"))
    run(made, made / "out", options)
    steps: list[Callable[[Rows], Any]] = [
        lambda rows: rows.extend(new(f"n{i}", rows[i], text=f"Number {i}.") for i in range(5, 8)),
        lambda rows: rows.pop(11),
        lambda rows: rows.__setitem__(6, {**rows[6], "text": "Once more, please."}),
        lambda rows: rows.insert(3, new("n5", rows[5], text="Number 5.")),
        lambda rows: rows.reverse() or rows.insert(0, rows.pop()),
    ]
    for number, step in enumerate(steps):
        edited(step)(made)
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(made / "out", whole)
        finished_file(whole).unlink()
        _, told = run(made, made / "out", options)
        run(made, whole, options)
        assert contents(made / "out") == contents(whole), number
        assert told.read_rows == (4, 3, 4, 4, 1)[number]


def test_notes_are_those_of_the_last_run(made: Path, options: Options) -> None:
    """A count of all utterances is told once, as it is now."""
    options = replace(options, min_confidence=0.5)
    changed(6, confidence=0.1)(made)
    changed(2, confidence=0.9)(made)
    run(made, made / "out", options)
    edited(lambda rows: rows.pop(9))(made)
    _, told = run(made, made / "out", options)
    _, again = run(made, made / "out", options)
    counted = ["--min-confidence 0.5 filters 1 of 9 utterances"]
    assert told.read_rows is not None
    assert [note for note in again.notes if note.startswith("--min")] == counted


def test_plans_know_the_confidence_of_rows_that_are_not_read(made: Path, options: Options) -> None:
    options = replace(options, min_confidence=0.5)
    changed(6, confidence=0.9)(made)
    run(made, made / "out", options)
    for change in (lambda folder: None, changed(9, text="Another text.")):
        change(made)
        found = preview(made / "manifest.jsonl", made / "out", options)
        assert "--min-confidence 0.5 filters 0 of 10 utterances" in found.notes


@pytest.mark.parametrize("what", ["many rows behind", "a row less", "no marker"])
def test_row_groups_without_changes_are_copied(
    made: Path, options: Options, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (publish, partial):
        monkeypatch.setattr(module, "ROW_GROUP", 2)
    kept, write_behind = list[int](), publish.write_behind

    def counting(file: BinaryIO, before: Path, groups: int, *args: Any, **options: Any) -> None:
        kept.append(groups)
        write_behind(file, before, groups, *args, **options)

    monkeypatch.setattr(publish, "write_behind", counting)
    (made / "out" / "index.parquet").unlink()
    run(made, made / "out", options)
    CHANGES[what][0](made)
    shutil.copytree(made / "out", made / "whole")
    finished_file(made / "whole").unlink(missing_ok=True)
    run(made, made / "out", options)
    assert kept and min(kept) > 0
    run(made, made / "whole", options)
    assert contents(made / "out") == contents(made / "whole")
    assert (made / "out" / "index.parquet").is_file()


@pytest.mark.large
def test_all_columns_are_the_same(made: Path, options: Options) -> None:
    """With the aligner, whose sample stays, and the columns that are made by it."""
    whole, options = made / "whole", replace(options, columns=())
    run(made, made / "out", options)
    edited(lambda rows: rows.extend(new(f"n{i}", rows[i], text="New.") for i in range(5, 7)))(made)
    changed(7, text="Another text altogether.")(made)
    shutil.copytree(made / "out", whole)
    finished_file(whole).unlink()
    _, told = run(made, made / "out", options)
    run(made, whole, options)
    assert contents(made / "out") == contents(whole)
    assert told.read_rows == 6
