"""Small corpora in each layout, made of arrays and texts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ns2.pipeline.core.schema import Kind, Reason, Utterance, make_key
from ns2.pipeline.corpora.reading import Corpus
from tests.support.factories import tone


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One utterance to write.

    Attributes:
        id: name of its file; folders inside are allowed where the layout has none of its own.
        wave: (S,) or (S, channels).
    """

    id: str
    text: str
    wave: np.ndarray
    rate: int = 24_000
    speaker: str = ""
    language: str = ""
    split: str = ""


def make_clips(count: int, *, seconds: float = 0.2, rate: int = 24_000) -> list[Clip]:
    """Clips with different tones, texts and speakers (`s0`, `s1`)."""
    return [
        Clip(
            id=f"clip-{i:04}",
            text=f"This is clip number {i}.",
            wave=tone(seconds, 100 + 10 * i, rate),
            rate=rate,
            speaker=f"s{i % 2}",
        )
        for i in range(count)
    ]


def write_audio(path: Path, wave: np.ndarray, rate: int, subtype: str | None = None) -> Path:
    """Write a wave in the format that the suffix names (.opus is Ogg Opus); makes the folder."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".opus": ("OGG", "OPUS"), ".ogg": ("OGG", "VORBIS")}
    form, sub = kind.get(path.suffix.lower(), (path.suffix[1:].upper(), None))
    soundfile.write(path, wave, rate, format=form, subtype=subtype or sub)
    return path


def write_ljspeech(root: Path, clips: Iterable[Clip], suffix: str = ".wav") -> Path:
    """`metadata.csv` with id|text|text, and `wavs/`."""
    lines = []
    for clip in clips:
        write_audio(root / "wavs" / (clip.id + suffix), clip.wave, clip.rate)
        lines.append(f"{clip.id}|{clip.text}|{clip.text}\n")
    (root / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return root


def write_libritts(root: Path, clips: Iterable[Clip], suffix: str = ".wav") -> Path:
    """<split>/<speaker>/<chapter>/<id>.wav; a clip's split is a folder: `train-clean-100`."""
    for clip in clips:
        folder = root / (clip.split or "train-clean-100") / (clip.speaker or "84") / "1"
        write_audio(folder / (clip.id + suffix), clip.wave, clip.rate)
        (folder / f"{clip.id}.normalized.txt").write_text(clip.text, encoding="utf-8")
        (folder / f"{clip.id}.original.txt").write_text(f"{clip.text} (original)", "utf-8")
    return root


def write_librispeech(root: Path, clips: Iterable[Clip], suffix: str = ".flac") -> Path:
    """<subset>/<speaker>/1/<id>.flac and a table of each chapter, in capitals as the corpus has.

    A clip's split is a subset: `train-clean-100`; an id becomes `<speaker>-1-<id>`.
    """
    for clip in clips:
        speaker = clip.speaker or "84"
        folder = root / (clip.split or "train-clean-100") / speaker / "1"
        name = f"{speaker}-1-{clip.id}"
        write_audio(folder / (name + suffix), clip.wave, clip.rate)
        with (folder / f"{speaker}-1.trans.txt").open("a", encoding="utf-8") as table:
            table.write(f"{name} {clip.text.upper()}\n")
    return root


def write_vctk(root: Path, clips: Iterable[Clip], suffix: str = ".flac") -> Path:
    """VCTK 0.92; the second microphone hears half as much."""
    for clip in clips:
        speaker = clip.speaker or "p225"
        audio = root / "wav48_silence_trimmed" / speaker
        for microphone, gain in (("mic1", 1), ("mic2", 0.5)):
            name = f"{clip.id}_{microphone}{suffix}"
            write_audio(audio / name, gain * clip.wave, clip.rate)
        _write_vctk_text(root, clip, speaker)
    return root


def write_old_vctk(root: Path, clips: Iterable[Clip], suffix: str = ".wav") -> Path:
    """VCTK 0.80: `wav48/<speaker>/<id>.wav`."""
    for clip in clips:
        speaker = clip.speaker or "p225"
        write_audio(root / "wav48" / speaker / (clip.id + suffix), clip.wave, clip.rate)
        _write_vctk_text(root, clip, speaker)
    return root


def _write_vctk_text(root: Path, clip: Clip, speaker: str) -> None:
    text = root / "txt" / speaker / f"{clip.id}.txt"
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text(clip.text + "\n", encoding="utf-8")


def write_mls(root: Path, clips: Iterable[Clip], suffix: str = ".flac") -> Path:
    """One language of MLS; its name is the root's, an id becomes `<speaker>_1_<id>`."""
    for clip in clips:
        speaker = clip.speaker or "1"
        folder, name = root / (clip.split or "train"), f"{speaker}_1_{clip.id}"
        write_audio(folder / "audio" / speaker / "1" / (name + suffix), clip.wave, clip.rate)
        with (folder / "transcripts.txt").open("a", encoding="utf-8") as table:
            table.write(f"{name}\t{clip.text}\n")
    return root


COMMON_VOICE_COLUMNS = (
    "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes",
    "age", "gender", "accents", "variant", "locale", "segment",
)  # fmt: skip


def write_commonvoice(root: Path, clips: Iterable[Clip], suffix: str = ".mp3") -> Path:
    """One locale of Common Voice; a clip's split is `train`, `dev`, `test`, or none of them."""
    tables: dict[str, list[str]] = {name: [] for name in ("train", "dev", "test", "validated")}
    for clip in clips:
        write_audio(root / "clips" / (clip.id + suffix), clip.wave, clip.rate)
        known = {
            "client_id": clip.speaker,
            "path": clip.id + suffix,
            "sentence": clip.text,
            "locale": clip.language or "en",
        }
        row = "\t".join(known.get(column, "") for column in COMMON_VOICE_COLUMNS) + "\n"
        for table in {"validated", clip.split} - {""}:
            tables[table].append(row)
    for name, rows in tables.items():
        text = "\t".join(COMMON_VOICE_COLUMNS) + "\n" + "".join(rows)
        (root / f"{name}.tsv").write_text(text, encoding="utf-8")
    return root


def write_pairs(
    root: Path, clips: Iterable[Clip], suffix: str = ".wav", transcript: str = ".txt"
) -> Path:
    """<speaker>/<id>.wav with <id>.txt beside it."""
    for clip in clips:
        path = root / clip.speaker / clip.id
        write_audio(path.with_name(path.name + suffix), clip.wave, clip.rate)
        path.with_name(path.name + transcript).write_text(clip.text + "\n", encoding="utf-8")
    return root


def manifest_rows(root: Path, clips: Iterable[Clip], suffix: str = ".wav") -> list[dict[str, str]]:
    """Write the audio to `audio/` and give the rows of a manifest."""
    rows = []
    for clip in clips:
        write_audio(root / "audio" / (clip.id + suffix), clip.wave, clip.rate)
        row = {
            "audio": f"audio/{clip.id}{suffix}",
            "text": clip.text,
            "id": clip.id,
            "speaker": clip.speaker,
            "language": clip.language,
            "split": clip.split,
        }
        rows.append({name: value for name, value in row.items() if value})
    return rows


def write_manifest(
    root: Path, clips: Sequence[Clip], suffix: str = ".wav", name: str = "manifest.jsonl"
) -> Path:
    """`manifest.jsonl` or `manifest.csv`, and `audio/`; gives the manifest's own path."""
    rows = manifest_rows(root, clips, suffix)
    if name.endswith(".csv"):
        fields = list(dict.fromkeys(field for row in rows for field in row))
        table = io.StringIO()
        writer = csv.DictWriter(table, fields)
        writer.writeheader()
        writer.writerows(rows)
        text = table.getvalue()
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (root / name).write_text(text, encoding="utf-8", newline="")
    return root / name


def put(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Files with content, in `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def touch(root: Path, *names: str) -> Path:
    """Files that only have to exist: readers never open audio."""
    return put(root, dict.fromkeys(names, b""))


def reasons(corpus: Corpus) -> dict[str, Reason]:
    """Why a reader rejected what it did, by id."""
    assert all(r.kind is Kind.REJECTED and r.stage == "corpus" for r in corpus.rejected)
    assert all(r.key == make_key(r.id) for r in corpus.rejected)
    return {r.id: r.reason for r in corpus.rejected}


def by_id(corpus: Corpus) -> dict[str, Utterance]:
    """What a reader found, by id."""
    return {u.id: u for u in corpus.utterances}
