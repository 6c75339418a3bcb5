"""AudioFolder: tables of metadata in folders of splits; and manifests of NeMo."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.corpora.reading import read_corpus
from tests.support.corpora_factories import put, reasons, touch

ROWS = [
    {"file_name": "a.wav", "transcription": "One, two.", "speaker_id": "ann"},
    {"file_name": "sub/b.wav", "transcription": "Three.", "speaker_id": "bob"},
]


def write(path: Path, rows: list[dict[str, str]] | None = None) -> None:
    rows = rows or ROWS
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [list(rows[0]), *([f'"{value}"' for value in row.values()] for row in rows)]
        path.write_text("".join(",".join(line) + "\n" for line in lines))


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_folders_of_splits(name: str, tmp_path: Path) -> None:
    for split in ("train", "test"):
        touch(tmp_path, f"{split}/a.wav", f"{split}/sub/b.wav")
        write(tmp_path / split / name)
    corpus = read_corpus(tmp_path)
    assert corpus.layout == "audiofolder" and not corpus.rejected and not corpus.warnings
    assert {u.id: (u.source, u.text, u.speaker, u.split) for u in corpus.utterances} == {
        "train/a": ("train/a.wav", "One, two.", "ann", "train"),
        "train/sub/b": ("train/sub/b.wav", "Three.", "bob", "train"),
        "test/a": ("test/a.wav", "One, two.", "ann", "test"),
        "test/sub/b": ("test/sub/b.wav", "Three.", "bob", "test"),
    }


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_a_table_above_its_splits(name: str, tmp_path: Path) -> None:
    rows = [
        {"file_name": f"{split}/a.wav", "text": split} for split in ("train", "validation", "test")
    ]
    touch(tmp_path, *(row["file_name"] for row in rows))
    write(tmp_path / name, rows)
    corpus = read_corpus(tmp_path)
    assert corpus.layout == "audiofolder"
    assert {u.id: u.split for u in corpus.utterances} == {
        "train/a": "train", "validation/a": "val", "test/a": "test",
    }  # fmt: skip


def test_one_folder(tmp_path: Path) -> None:
    """A lone table is read as a manifest, as ever; with its layout's name it is the same."""
    touch(tmp_path, "a.wav", "c.wav")
    write(tmp_path / "metadata.jsonl")
    one, other = read_corpus(tmp_path), read_corpus(tmp_path, "audiofolder")
    assert (one.layout, other.layout) == ("manifest", "audiofolder")
    assert one.utterances == other.utterances and len(one.utterances) == 1
    assert reasons(one) == reasons(other) == {"sub/b": Reason.AUDIO_MISSING}
    assert "audio without a row" in other.warnings[0] and "c.wav" in other.warnings[0]


def test_damaged_tables(tmp_path: Path) -> None:
    write(tmp_path / "train" / "metadata.parquet")
    data = (tmp_path / "train" / "metadata.parquet").read_bytes()
    (tmp_path / "train" / "metadata.parquet").write_bytes(data[:-3])
    with pytest.raises(UserError, match="with a field file_name"):
        read_corpus(tmp_path, "audiofolder")


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("name", ["manifest.json", "train_manifest.json", "manifest.jsonl"])
def test_manifests_of_nemo(name: str, absolute: bool, tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav")
    audio = str(tmp_path / "wavs" / "a.wav") if absolute else "wavs/a.wav"
    rows = [
        {"audio_filepath": audio, "duration": 2.5, "offset": 0.0, "text": "one"},
        {"audio_filepath": audio, "duration": 1.25, "offset": 2.5, "text": "two", "lang": "de"},
        {"audio_filepath": "gone.wav", "duration": 1.0, "text": "three"},
    ]
    put(tmp_path, {name: "".join(json.dumps(row) + "\n" for row in rows)})
    found = read_corpus(tmp_path if name.startswith("manifest") else tmp_path / name)
    assert found.layout == "manifest"
    assert {u.id: (u.source, u.piece, u.language) for u in found.utterances} == {
        "wavs/a": ("wavs/a.wav", Piece(duration=2.5), ""),
        "wavs/a@2.5": ("wavs/a.wav", Piece(offset=2.5, duration=1.25), "de"),
    }
    assert reasons(found) == {"gone": Reason.AUDIO_MISSING}
