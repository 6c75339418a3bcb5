"""Ray that starts in a thread, while a run looks for changes."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.preprocess.executors.inline import InlineExecutor
from ns2.pipeline.preprocess.executors.ray_executor import RayExecutor
from ns2.pipeline.preprocess.executors.warming import InThread
from ns2.pipeline.preprocess.finish import unchanged
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.run import preprocess
from tests.support.preprocessing import contents


def test_a_thread_has_a_working_directory_of_its_own(tmp_path: Path) -> None:
    before, places = Path.cwd(), list[Path]()

    def work() -> None:
        os.chdir(tmp_path)
        places.append(Path.cwd())

    thread = InThread(work)
    thread.result()
    assert Path.cwd() == before
    assert places == [tmp_path]
    thread.end()


def test_an_error_is_told_where_the_result_is_needed() -> None:
    def work() -> None:
        raise UserError("Ray does not start")

    thread = InThread(work)
    thread.wait()
    with pytest.raises(UserError, match="does not start"):
        thread.result()
    thread.end()


@pytest.fixture
def manifest(spoken: Path, tmp_path: Path) -> Path:
    """A manifest of six utterances."""
    shutil.copytree(spoken / "wavs", tmp_path / "corpus" / "audio")
    path = tmp_path / "corpus" / "manifest.jsonl"
    add_rows(path, spoken, 0, 6)
    return path


def add_rows(manifest: Path, spoken: Path, begin: int, end: int) -> None:
    lines = (spoken / "metadata.csv").read_text("utf-8").splitlines()[begin:end]
    with manifest.open("a", encoding="utf-8") as out:
        for name, text, *_ in (line.split("|") for line in lines):
            out.write(json.dumps({"id": name, "audio": f"audio/{name}.wav", "text": text}) + "\n")


def test_rows_are_added_by_ray_that_starts_early(
    manifest: Path, spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Options(columns=("f0", "phonemes"), shard_utterances=2)
    preprocess(manifest, tmp_path / "inline", chosen, InlineExecutor(), Progress())
    shutil.copytree(tmp_path / "inline", tmp_path / "ray")
    preprocess(manifest, tmp_path / "ray", chosen, InlineExecutor(), Progress())
    add_rows(manifest, spoken, 6, 9)
    monkeypatch.setattr(unchanged, "_MANY_ROWS", 0)
    before, threads = Path.cwd(), threading.active_count()
    with RayExecutor(workers=1) as executor:
        preprocess(manifest, tmp_path / "ray", chosen, executor, Progress())
        assert executor._begun is not None
        assert Path.cwd() == before
    assert threading.active_count() <= threads + 1  # Ray has one of its own
    preprocess(manifest, tmp_path / "inline", chosen, InlineExecutor(), Progress())
    assert contents(tmp_path / "ray") == contents(tmp_path / "inline")
    # and what is the same announces nothing
    with RayExecutor(workers=1) as executor:
        preprocess(manifest, tmp_path / "ray", chosen, executor, Progress())
        assert executor._begun is None
