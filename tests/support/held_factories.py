"""Corpora that are parquet files or tars, and their parts."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import webdataset

from tests.support.corpora_factories import Clip


def audio_bytes(clip: Clip, form: str = "wav") -> bytes:
    """A clip as the content of a file."""
    data = io.BytesIO()
    soundfile.write(data, clip.wave, clip.rate, format=form.upper())
    return data.getvalue()


def audio_rows(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """A row for each clip, with its audio in it."""
    return [
        {
            "audio": {"bytes": audio_bytes(clip), "path": f"{clip.id}.wav"},
            "text": clip.text,
            "speaker": clip.speaker,
        }
        for clip in clips
    ]


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], **options: Any) -> Path:
    """A parquet file as the library `datasets` writes it, with its features in the schema."""
    names = [name for name in rows[0] if name != "audio"]
    features: dict[str, Any] = {"audio": {"sampling_rate": 24_000, "_type": "Audio"}}
    columns: dict[str, pa.Array] = {
        "audio": pa.array(
            [row["audio"] for row in rows],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
    }
    for name in names:
        columns[name] = pa.array([row[name] for row in rows])
        features[name] = {"dtype": str(columns[name].type), "_type": "Value"}
    told = json.dumps({"info": {"features": features}})
    table = pa.table(columns).replace_schema_metadata({"huggingface": told})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **{"row_group_size": 100, **options})
    return path


def write_tar(path: Path, samples: Sequence[Mapping[str, Any]]) -> Path:
    """A tar as the library `webdataset` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(dict(sample))
    return path


def tar_samples(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """A sample for each clip, with its text in a .json and its audio as a wav."""
    return [
        {
            "__key__": clip.id,
            "wav": audio_bytes(clip),
            "json": {"text": clip.text, "speaker": clip.speaker},
        }
        for clip in clips
    ]
