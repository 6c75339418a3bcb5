"""The plan of a new dataset by columns is the plan that reads every row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ns2.pipeline.preprocess import preview
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.previews import first_plan
from ns2.pipeline.preprocess.trial import Trial

OPTIONS = Options(columns=("mel", "f0"), shard_utterances=7, val_share=0.3)
ROWS = 60


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for sub in ("a", "b/c", "ü", ".hidden"):
        (folder / sub).mkdir(parents=True)
        for i in range(ROWS):
            wave = np.full(80 * (30 + i), 0.1)
            soundfile.write(folder / sub / f"{i}.wav", wave, 8_000, subtype="PCM_16")
    (folder / "a" / "Loud.WAV").write_bytes((folder / "a" / "1.wav").read_bytes())
    return folder


def plain(i: int) -> dict[str, Any]:
    return {"id": f"u{i:03d}", "audio": f"a/{i}.wav", "text": f"Row {i}.", "speaker": f"s{i % 3}"}


def each(**values: Any) -> list[dict[str, Any]]:
    """Rows that differ from plain ones; a value may be a function of the row's number."""
    found = []
    for i in range(ROWS):
        more = {name: v(i) if callable(v) else v for name, v in values.items()}
        row = {**plain(i), **more}
        found.append({name: value for name, value in row.items() if value != "no such field"})
    return found


ODD: list[Any] = [
    {"text": " "},
    {"text": "\n"},
    {"text": "\u3000"},
    {"text": "…"},
    {"text": None},
    {"text": 5},
    {"text": "\ud83d\ude00"},
    {"text": "übung"},
    {"text": "\\"},
    {"text": "a\0b"},
    {"text": "\ud800"},
    {"id": "u002"},
    {"id": 7},
    {"id": "7"},
    {"id": 1.5},
    {"id": ""},
    {"id": None},
    {"id": "with blank"},
    {"id": " u003 "},
    {"id": "ü"},
    {"id": "u.1"},
    {"id": "x" * 90},
    {"audio": "a/none.wav"},
    {"audio": "a/Loud.wav"},
    {"audio": "./a/3.wav"},
    {"audio": "ü/3.wav"},
    {"audio": ".hidden/3.wav"},
    {"audio": "a//3.wav"},
    {"audio": "a\\3.wav"},
    {"audio": "a"},
    {"audio": ""},
    {"audio": "b/../a/2.wav"},
    {"split": "dev"},
    {"split": "nonsense"},
    {"split": ""},
    {"speaker": 3},
    {"speaker": 1.5},
    {"speaker": "Jörg"},
    {"speaker": "2.0"},
    {"speaker": None},
    {"language": "de"},
    {"confidence": 0.2},
    {"confidence": 2},
    {"confidence": "0.2"},
    {"confidence": 1},
    {"offset": 0.01},
    {"offset": -1},
    {"offset": 0.01, "duration": 0},
    {"duration": 0.02},
    {"duration": "x"},
    {"phonemes": "a b"},
    {"more": {"a": [1]}},
]
"""What rows may hold beside plain ones."""

TABLES: dict[str, list[Any]] = {
    "plain": each(),
    "odd rows": [*each(), *({**plain(i), "id": f"odd{i}", **odd} for i, odd in enumerate(ODD))],
    "odd rows in all fields": [
        *each(split="train", offset=0, duration=0.3, confidence=0.9, language="en"),
        *(
            {
                **each(split="", offset=0.0, duration=0.2, confidence=0.4, language="")[i],
                "id": f"o{i}",
                **odd,
            }
            for i, odd in enumerate([o for o in ODD if o.keys() <= {"split", "offset", "duration"}])
        ),
    ],
    "no ids": each(id="no such field", audio=lambda i: f"b/c/{i}.wav"),
    "pieces without ids": each(id="no such field", audio="b/c/1.wav", offset=lambda i: i / 1000),
    "ids twice": each(id=lambda i: f"u{i % 50}"),
    "broken lines": [
        *each(),
        "{",
        "[1]",
        '"x"',
        "",
        "  ",
        '{"id": "y"} x',
        '{"id": "a", "id": "b"}',
    ],
    "splits": each(split=lambda i: ("train", "dev", "test", "")[i % 4]),
    "umlauts in escapes": each(text=lambda i: f"\u00dcber {i}"),
    "confidences": each(confidence=lambda i: round(i / ROWS, 3)),
    "other names": each(audio_filepath=lambda i: f"a/{i}.wav", audio="no such field"),
    "two texts": each(transcript="other"),
    "normalised texts": each(normalized_text="other"),
}


def write(folder: Path, rows: list[Any], name: str, ascii_only: bool = True) -> Path:
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=ascii_only) for r in rows]
    path = folder / f"{name}.jsonl"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))
    return path


def both(
    table: Path, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[preview.Preview, preview.Preview, bool]:
    """The plan by columns, the one that reads all rows, and whether columns did it."""
    monkeypatch.setattr(first_plan, "_MOST_OTHERS", 2.0)
    told: list[bool] = []
    real = first_plan.first_plan

    def asked(*arguments: Any, **more: Any) -> Any:
        found = real(*arguments, **more)
        told.append(found is not None)
        return found

    monkeypatch.setattr(preview, "first_plan", asked)
    monkeypatch.setattr(first_plan, "_FEWEST", 0)
    fast = preview.preview(table, tmp_path / "out", options)
    monkeypatch.setattr(first_plan, "_FEWEST", 1 << 40)
    return fast, preview.preview(table, tmp_path / "out", options), told[0]


BY_ROWS = ("two texts", "normalised texts")


@pytest.mark.parametrize("name", TABLES)
def test_it_is_the_plan_that_reads_all_rows(
    name: str, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ascii_only in (True, False):
        table = write(audio, TABLES[name], name, ascii_only)
        for options in (OPTIONS, replace(OPTIONS, min_confidence=0.5, val_by="speaker")):
            fast, slow, by_columns = both(table, options, tmp_path, monkeypatch)
            assert fast == slow
            assert by_columns != (name in BY_ROWS)


def test_a_trial_takes_the_same_utterances(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write(audio, TABLES["confidences"], "trial")
    taken: list[Any] = []

    def kept(scene: Any, work: Any, options: Any, limit: float) -> Any:
        taken.append(work)
        return Trial(problem="none")

    monkeypatch.setattr(preview, "try_some", kept)
    for few in (0, 1 << 40):
        monkeypatch.setattr(first_plan, "_FEWEST", few)
        preview.preview(table, tmp_path / "out", replace(OPTIONS, min_confidence=0.3), 1.0)
    fast, slow = taken
    assert [s.number for s in fast.busy] == [s.number for s in slow.busy]
    assert [s.sources for s in fast.busy] == [s.sources for s in slow.busy]
    assert (fast.tasks, fast.compute, fast.seconds) == (slow.tasks, slow.compute, slow.seconds)
