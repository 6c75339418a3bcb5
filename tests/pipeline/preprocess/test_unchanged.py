"""A run that finds everything as it was reads no corpus; whatever changed is seen."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.layout import finished_file
from ns2.pipeline.preprocess.executors.inline import InlineExecutor
from ns2.pipeline.preprocess.finish.finisher import Summary
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.run import preprocess
from tests.support.preprocessing import contents, identities

OPTIONS = Options(columns=("mel",), shard_utterances=4)


class Told(Progress):
    """Keeps the phases of a run, and what it notes."""

    def __init__(self) -> None:
        super().__init__()
        self.phases: list[str] = []
        self.notes: list[str] = []

    def phase(self, name: str, total: int | None = None, *, unit: str = "utterances") -> None:
        self.phases.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


def run(manifest: Path, out: Path, options: Options = OPTIONS) -> tuple[Summary, Told]:
    told = Told()
    return preprocess(manifest, out, options, InlineExecutor(), told), told


def was_short(told: Told) -> bool:
    return told.phases == ["looking for changes"]


@pytest.fixture(scope="module")
def first(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of ten utterances, one of them silent, and the dataset of it."""
    folder = tmp_path_factory.mktemp("first")
    lines = (spoken / "metadata.csv").read_text("utf-8").splitlines()
    (folder / "audio").mkdir()
    rows = []
    for line in lines:
        name, text, *_ = line.split("|")
        shutil.copy(spoken / "wavs" / f"{name}.wav", folder / "audio")
        rows.append({"id": name, "audio": f"audio/{name}.wav", "text": text, "odd": "x"})
    rows[0]["text"] = "…"  # nothing to speak
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(folder / "manifest.jsonl", folder / "out")
    return folder


@pytest.fixture
def made(first: Path, tmp_path: Path) -> Path:
    """A copy of it, whose files have the times that they had."""
    shutil.copytree(first, tmp_path / "made", symlinks=True)
    # the corpus lies elsewhere now, so the first run there takes the long way
    run(tmp_path / "made" / "manifest.jsonl", tmp_path / "made" / "out")
    return tmp_path / "made"


def test_nothing_is_read_or_written(made: Path) -> None:
    before = identities(made / "out"), contents(made / "out", state=True)
    finished_file(made / "out").unlink()
    whole, long = run(made / "manifest.jsonl", made / "out")
    again, told = run(made / "manifest.jsonl", made / "out")
    assert was_short(told) and not was_short(long)
    assert again.render(Path("x")) == whole.render(Path("x"))
    assert again.rejected == whole.rejected and len(whole.rejected) == 1
    assert told.notes == long.notes and "odd" in " ".join(told.notes)
    assert (identities(made / "out"), contents(made / "out", state=True)) == before


def rewritten(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text("utf-8")), "utf-8")


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a row": lambda made: rewritten(made / "manifest.jsonl", lambda t: t.replace("odd", "ODD", 1)),
    "a recording": lambda made: touched(next((made / "audio").iterdir())),
    "no recording": lambda made: next((made / "audio").iterdir()).unlink(),
    "a tar": lambda made: touched(next((made / "out").rglob("*.tar"))),
    "no marker": lambda made: next((made / "out").rglob("mel-*/*.parquet")).unlink(),
    "no index": lambda made: (made / "out" / "index.parquet").unlink(),
    "no card": lambda made: (made / "out" / "dataset.json").unlink(),
    "no plan": lambda made: (made / "out" / ".state" / "plan.parquet").unlink(),
    "damage": lambda made: finished_file(made / "out").write_bytes(b"PAR1"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_is_seen(made: Path, what: str) -> None:
    CHANGES[what](made)
    summary, told = run(made / "manifest.jsonl", made / "out")
    assert not was_short(told)
    assert summary.made["mel"] == (1 if what in ("no marker", "no recording") else 0)
    missing = what == "no recording"
    assert was_short(run(made / "manifest.jsonl", made / "out")[1]) is not missing


def test_other_options_are_seen(made: Path) -> None:
    _, told = run(made / "manifest.jsonl", made / "out", replace(OPTIONS, val_share=0.5))
    assert not was_short(told)
    _, told = run(made / "manifest.jsonl", made / "out", replace(OPTIONS, checksum=True))
    assert not was_short(told)


def test_a_lexicon_that_changes_is_seen(made: Path, tmp_path: Path) -> None:
    """Its entries are a part of the texts' states, and no stage's settings name it."""
    lexicon, out = tmp_path / "lexicon.tsv", tmp_path / "out"
    word = json.loads((made / "manifest.jsonl").read_text("utf-8").splitlines()[1])["text"].split()[
        0
    ]
    options = Options(columns=("phonemes",), lexicon=lexicon)
    lexicon.write_text(f"{word}\tk ˈæ t\n", "utf-8")
    run(made / "manifest.jsonl", out, options)
    assert was_short(run(made / "manifest.jsonl", out, options)[1])
    lexicon.write_text(f"{word}\tk ˈɑː t\n", "utf-8")
    summary, told = run(made / "manifest.jsonl", out, options)
    assert not was_short(told) and summary.made["phonemes"] > 0
    # of the same length and time, it is told by its content
    seen = lexicon.stat()
    lexicon.write_text(f"{word}\tk ˈɔː t\n", "utf-8")
    os.utime(lexicon, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    summary, told = run(made / "manifest.jsonl", out, options)
    assert not was_short(told) and summary.made["phonemes"] > 0
