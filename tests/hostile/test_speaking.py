"""Runs of strangers that are to speak or to be judged: an error that says what is wrong, soon."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.test_runs import train
from tests.hostile.world import attempted, check, make_victim, snapshot

Change = Callable[[Path], None]


def _json(name: str, *place: str, value: Any) -> Change:
    """Sets a value in a JSON file of the run; without a place all of it."""

    def change(run: Path) -> None:
        path = run / name
        root = json.loads(path.read_text("utf-8"))
        here = root
        for part in place[:-1]:
            here = here[part]
        if place:
            here[place[-1]] = value
        path.write_text(json.dumps(root if place else value))

    return change


def _bytes(name: str, data: bytes) -> Change:
    return lambda run: (run / name).write_bytes(data) and None  # type: ignore[return-value]


def _other(name: str, make: Callable[[Path], Any]) -> Change:
    def change(run: Path) -> None:
        (run / name).unlink()
        make(run / name)

    return change


def _cut(run: Path) -> None:
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


FACTS = "speech/speech.json"
KINDS: dict[str, Change] = {
    "weights: a pipe": _other("model.safetensors", os.mkfifo),
    "weights: endless": _other("model.safetensors", lambda p: p.symlink_to("/dev/zero")),
    "weights: cut": _cut,
    "weights: no safetensors": _bytes("model.safetensors", b"PK\3\4" + b"\0" * 1000),
    "weights: a giant header": _bytes("model.safetensors", b"\xff" * 7 + b"\x7f{" + b" " * 100),
    "config: no object": _json("config.json", value=[]),
    "config: a giant width": _json("config.json", "model", "width", value=1_000_000),
    "config: giant layers": _json(
        "config.json", "model", "denoiser", "wavenet", "layers", value=100_000_000
    ),
    "config: a pipe": _other("config.json", os.mkfifo),
    "config: nested": _bytes("config.json", b"[" * 100_000),
    "speech: a pipe": _other(FACTS, os.mkfifo),
    "speech: a codec elsewhere": _json(FACTS, "codec", value="../../secret.safetensors"),
    "speech: a codec of zeros": _json(FACTS, "codec", value="/dev/zero"),
    "speech: no codec": _json(FACTS, "codec", value=None),
    "speech: no quantizers": _json(FACTS, "quantizers", value=10**12),
    "speech: words for numbers": _json(FACTS, "sample_rate", value="24000"),
    "speech: no hop": _json(FACTS, "hop_length", value=0),
    "speech: another language": _json(FACTS, "language", value="\x1b[2Jxx"),
    "speech: languages are a number": _json(FACTS, "languages", value=3),
    "speech: odd mel": _json(FACTS, "mel", value={"bins": 10**9}),
    "speech: odd f0": _json(FACTS, "f0", value={"f0_min": "low"}),
    "speech: no object": _json(FACTS, value=None),
    "phonemes: no object": _json("speech/phonemes.json", value=[]),
    "phonemes: numbers": _json("speech/phonemes.json", "phones", value=[1, 2, 3]),
}
IN_CI = ("weights: a pipe", "config: a giant width", "speech: a codec elsewhere")


@pytest.fixture(scope="module")
def sound(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset of the codec `mini`, and a run on it of one step."""
    folder = tmp_path_factory.mktemp("sound")
    rows = attempted(folder, [train(speech, folder / "run", 1)])
    assert rows[0]["code"] == 0, rows[0]
    return speech, folder / "run"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in IN_CI else pytest.mark.hostile) for name in KINDS],
)
def test_a_hostile_run(name: str, sound: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = sound[0], tmp_path / "a" / "run"
    shutil.copytree(sound[1], run)
    victim = make_victim(tmp_path / "victim")
    (tmp_path / "secret.safetensors").write_bytes(b"\0" * 100)
    KINDS[name](run)
    before = snapshot(victim)
    out = tmp_path / "a" / "out.wav"
    rows = attempted(
        tmp_path,
        [
            ["synthesize", str(run), "So much light.", "-o", str(out), "--steps", "1"],
            ["evaluate", str(run), str(data), "--steps", "1"],
        ],
    )
    check(rows, seconds=60)
    assert snapshot(victim) == before
    assert rows[0]["code"] == 1, rows[0]
