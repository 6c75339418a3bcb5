"""The fuzzer for a while, and that it finds what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.target import Target


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.large)])
def test_for_some_time(seconds: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.fuzz.run", "--seconds", str(seconds)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


@pytest.mark.parametrize("fault", ["error", "hang", "nothing said"])
def test_a_fault_is_found(
    fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.fuzz.run.SECONDS", 0.2)
    monkeypatch.setattr("tests.fuzz.run._bound_memory", lambda: None)

    def call(data: bytes, folder: Path) -> None:
        if b"\xff" in data:
            if fault == "error":
                raise KeyError("x")
            if fault == "nothing said":
                raise ValueError
            while True:
                pass

    target = Target(make=lambda folder: [b"good"], call=call, text=False, errors=(ValueError,))
    assert not fuzz("a target", target, 300, None, 0)
    said = capsys.readouterr().out
    kept = said.rstrip().rpartition("input: ")[2]
    assert b"\xff" in Path(kept).read_bytes()
