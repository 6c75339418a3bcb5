"""People's recordings in each layout of others: the arrays of all are those of the plain layout."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview
from tests.support.factories import LJSPEECH, needs_ljspeech
from tests.support.held_factories import write_table, write_tar
from tests.support.preprocessing import run_inline

COLUMNS = ("codes", "mel", "f0", "phonemes", "durations", "meta")

pytestmark = needs_ljspeech


@dataclass(frozen=True)
class Row:
    """An utterance of the sample."""

    id: str
    text: str

    @property
    def path(self) -> Path:
        return (LJSPEECH / "wavs" / f"{self.id}.wav").resolve()

    @property
    def seconds(self) -> float:
        return float(soundfile.info(self.path).duration)


def sample(count: int) -> list[Row]:
    """The shortest utterances of the sample, in its order."""
    lines = (LJSPEECH / "metadata.csv").read_text("utf-8").splitlines()
    rows = [Row(line.split("|")[0], line.split("|")[-1]) for line in lines]
    short = sorted(rows, key=lambda row: row.seconds)[:count]
    return [row for row in rows if row in short]


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def plain(root: Path, rows: Sequence[Row]) -> None:
    (root / "wavs").mkdir()
    for row in rows:
        (root / "wavs" / row.path.name).symlink_to(row.path)
    text = "".join(f"{row.id}|{row.text}|{row.text}\n" for row in rows)
    (root / "metadata.csv").write_text(text, "utf-8")


def parquet(root: Path, rows: Sequence[Row]) -> None:
    held = [
        {
            "id": row.id,
            "audio": {"bytes": row.path.read_bytes(), "path": row.path.name},
            "text": row.text,
            "speaker": "LJ",
        }
        for row in reversed(rows)
    ]
    write_table(root / "train-00000-of-00001.parquet", held, row_group_size=3)


def webdataset(root: Path, rows: Sequence[Row]) -> None:
    samples = [
        {
            "__key__": row.id,
            "wav": row.path.read_bytes(),
            "json": {"text": row.text, "speaker": "LJ"},
        }
        for row in rows
    ]
    write_tar(root / "000000.tar", samples)


def lhotse(root: Path, rows: Sequence[Row]) -> None:
    found = []
    for row in rows:
        info = soundfile.info(row.path)
        said = {
            "id": row.id, "recording_id": row.id, "start": 0, "duration": info.duration,
            "channel": 0, "text": row.text, "speaker": "LJ",
        }  # fmt: skip
        recording = {
            "id": row.id, "sampling_rate": info.samplerate, "num_samples": info.frames,
            "duration": info.duration,
            "sources": [{"type": "file", "channels": [0], "source": str(row.path)}],
        }  # fmt: skip
        found.append({
            "id": f"{row.id}-0", "start": 0, "duration": info.duration, "channel": 0,
            "supervisions": [said], "recording": recording, "type": "MonoCut",
        })  # fmt: skip
    lines(root / "lj_cuts_all.jsonl.gz", found)


def kaldi(root: Path, rows: Sequence[Row]) -> None:
    """Segments that end within 10 ms of the recording's end are all of it."""
    for name, line in {
        "wav.scp": "{0.id} {0.path}\n",
        "segments": "{0.id} {0.id} 0.0 {0.seconds:.2f}\n",
        "text": "{0.id} {0.text}\n",
        "utt2spk": "{0.id} LJ\n",
    }.items():
        (root / name).write_text("".join(line.format(row) for row in rows), "utf-8")


def nemo(root: Path, rows: Sequence[Row]) -> None:
    found = [
        {
            "audio_filepath": str(row.path), "text": row.text, "duration": row.seconds,
            "offset": 0.0, "id": row.id, "speaker": "LJ",
        }
        for row in rows
    ]  # fmt: skip
    lines(root / "manifest.json", found)


def audiofolder(root: Path, rows: Sequence[Row]) -> None:
    for split, some in (("train", rows[1:]), ("test", rows[:1])):
        (root / split).mkdir()
        for row in some:
            (root / split / row.path.name).symlink_to(row.path)
        found = [
            {"file_name": row.path.name, "transcription": row.text, "id": row.id, "speaker": "LJ"}
            for row in some
        ]
        pq.write_table(pa.Table.from_pylist(found), root / split / "metadata.parquet")


LAYOUTS: tuple[Callable[[Path, Sequence[Row]], None], ...] = (
    parquet, webdataset, lhotse, kaldi, nemo, audiofolder,
)  # fmt: skip


def arrays(shards: Path, columns: Sequence[str]) -> dict[tuple[str, str], bytes]:
    """The bytes of all arrays by the id of the utterance and the column."""
    dataset = Dataset(shards)
    return {
        (row["id"], column): dataset.read(column, row["key"]).tobytes()
        for row in dataset.index.to_pylist()
        for column in columns
    }


def alike(tmp_path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Have each layout make the arrays of the plain one, and one anew where its text changes."""
    options: dict[str, Any] = {"codec": "mini", "columns": tuple(columns), "quantizers": None}
    (tmp_path / "plain").mkdir()
    plain(tmp_path / "plain", rows)
    run_inline(tmp_path / "plain", tmp_path / "made", None, **options)
    told = [name for name in columns if name != "meta"]
    expected = arrays(tmp_path / "made", told)
    assert len(expected) == len(rows) * len(told)
    for layout in LAYOUTS:
        root, out = tmp_path / layout.__name__, tmp_path / f"{layout.__name__}-made"
        root.mkdir()
        layout(root, rows)
        run_inline(root, out, None, **options)
        assert Dataset(out).card.corpus["layout"] == (
            "manifest" if layout is nemo else layout.__name__
        )
        assert arrays(out, told) == expected, layout.__name__
        for path in root.rglob("*"):
            path.unlink() if not path.is_dir() else None
        for path in root.iterdir():
            path.rmdir()
        layout(root, [replace(rows[0], text="Another text."), *rows[1:]])
        plan = preview(root, out, Options(shard_utterances=4, **options))
        found = {one.column: one.utterances for one in plan.columns}
        assert {n for n, count in found.items() if count} <= {"phonemes", "durations", "meta"}
        assert found["meta"] == found["phonemes"] == 1, (layout.__name__, found)


def test_arrays_are_those_of_the_plain_layout(tmp_path: Path) -> None:
    alike(tmp_path, sample(5), ("mel", "phonemes", "meta"))


@pytest.mark.large
def test_all_columns_of_the_sample_are_those_of_the_plain_layout(tmp_path: Path) -> None:
    alike(tmp_path, sample(32), COLUMNS)
