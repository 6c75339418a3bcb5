"""Manifests of lhotse: small ones as it writes them, and its own library where it is installed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.corpora.reading import read_corpus
from tests.support.corpora_factories import by_id, make_clips, reasons, touch, write_audio


def recording(name: str, **more: Any) -> dict[str, Any]:
    """A recording of 10 s with one channel."""
    source = {"type": "file", "channels": [0], "source": f"wavs/{name}.wav"}
    return {
        "id": name, "sources": [source], "sampling_rate": 16_000, "num_samples": 160_000,
        "duration": 10.0, "channel_ids": [0], **more,
    }  # fmt: skip


def said(name: str, start: float, duration: float, **more: Any) -> dict[str, Any]:
    return {
        "id": name, "recording_id": "a", "start": start, "duration": duration, "channel": 0,
        "text": f"Text of {name}.", "language": "English", "speaker": "ann", **more,
    }  # fmt: skip


def cut(name: str, start: float, duration: float, *supervisions: Any, **more: Any) -> Any:
    return {
        "id": f"{name}-0", "start": start, "duration": duration, "channel": 0,
        "supervisions": list(supervisions), "recording": recording("a"), "type": "MonoCut", **more,
    }  # fmt: skip


def write(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["cuts.jsonl", "corpus_cuts_train-clean.jsonl.gz"])
def test_cuts(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav")
    rows = [
        cut("one", 0, 10, said("one", 0, 10)),
        cut("two", 2.5, 4, said("two", 0, 4), said("three", 1.25, 2.5, speaker=None)),
    ]
    write(tmp_path / name, rows)
    for place in (tmp_path, tmp_path / name):
        corpus = read_corpus(place)
        assert corpus.layout == "lhotse" and not corpus.rejected
        found = by_id(corpus)
        assert {n: (u.piece, u.speaker) for n, u in found.items()} == {
            "one": (Piece(offset=0, duration=10), "ann"),
            "two": (Piece(offset=2.5, duration=4), "ann"),
            "three": (Piece(offset=3.75, duration=2.5), "default"),
        }
        assert found["one"].source == "wavs/a.wav" and found["one"].language == "en-us"


def test_numbers_that_are_none_in_what_is_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav")
    rows = [cut("one", 0, 10, said("one", 0, 10, custom={"snr": float("nan")}))]
    rows.append(cut("two", 0, 10, said("two", 0, float("nan"))))
    write(tmp_path / "cuts.jsonl", rows)
    corpus = read_corpus(tmp_path)
    assert list(by_id(corpus)) == ["one"] and list(reasons(corpus)) == ["two"]


def test_recordings_and_supervisions(tmp_path: Path) -> None:
    """Paths are relative to where the recipe ran, here two folders above."""
    touch(tmp_path, "wavs/a.wav", "wavs/b.wav")
    folder = tmp_path / "data" / "manifests"
    folder.mkdir(parents=True)
    for split in ("train", "dev"):
        name = {"train": "a", "dev": "b"}[split]
        write(folder / f"x_recordings_{split}.jsonl.gz", [recording(name)])
        rows = [said(f"{split}-{i}", 2 * i, 2, recording_id=name) for i in range(2)]
        write(folder / f"x_supervisions_{split}.jsonl.gz", [*rows, said("lost", 0, 1) | {
            "recording_id": "z", "id": f"lost-{split}"}])  # fmt: skip
    corpus = read_corpus(folder)
    assert {u.id: (u.source, u.split) for u in corpus.utterances} == {
        "train-0": ("../../wavs/a.wav", "train"), "train-1": ("../../wavs/a.wav", "train"),
        "dev-0": ("../../wavs/b.wav", "val"), "dev-1": ("../../wavs/b.wav", "val"),
    }  # fmt: skip
    assert set(reasons(corpus).values()) == {Reason.AUDIO_MISSING}
    (one, _) = read_corpus(folder / "x_recordings_dev.jsonl.gz").utterances
    assert one.id == "dev-0"


def test_channels(tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav", "left.wav", "right.wav")
    stereo = recording("a", sources=[
        {"type": "file", "channels": [0, 1], "source": "wavs/a.wav"}])  # fmt: skip
    files = recording("b", sources=[
        {"type": "file", "channels": [0], "source": "left.wav"},
        {"type": "file", "channels": [1], "source": "right.wav"}])  # fmt: skip
    rows = [
        cut("s", 0, 10, said("s", 0, 10, channel=1), recording=stereo, channel=1),
        cut("f", 0, 10, said("f", 0, 10, channel=1), recording=files, channel=1),
        cut(
            "m",
            0,
            10,
            said("m1", 0, 4, channel=1),
            said("m2", 4, 4, channel=[0]),
            recording=files,
            channel=[0, 1],
            type="MultiCut",
        ),
        cut("none", 0, 10, said("none", 0, 10, channel=2), recording=files, channel=2),
    ]
    corpus = read_corpus(write(tmp_path / "cuts.jsonl", rows))
    assert {u.id: (u.source, u.piece and u.piece.channel) for u in corpus.utterances} == {
        "s": ("wavs/a.wav", 1), "f": ("right.wav", None),
        "m1": ("right.wav", None), "m2": ("left.wav", None),
    }  # fmt: skip
    assert reasons(corpus) == {"none": Reason.AUDIO_MISSING}


ODD = {
    "multi": (
        cut("x", 0, 1, said("x", 0, 1, channel=[0, 1]), type="MultiCut", channel=[0, 1]),
        "the channels [0, 1]",
    ),
    "mixed": ({"id": "x", "tracks": [], "type": "MixedCut"}, "mix it first"),
    "padding": ({"id": "x", "duration": 1.0, "type": "PaddingCut"}, "PaddingCut"),
    "features": (
        {"id": "x", "start": 0, "duration": 1, "features": {}, "type": "MonoCut"}, "no recording"
    ),
    "command": (
        cut("x", 0, 1, said("x", 0, 1), recording=recording("a", sources=[
            {"type": "command", "channels": [0], "source": "sph2pipe a.sph"}])),
        "of the type \"command\", and ns2 reads files alone",
    ),
    "url": (
        cut("x", 0, 1, said("x", 0, 1), recording=recording("a", sources=[
            {"type": "url", "channels": [0], "source": "s3://bucket/a.wav"}])),
        "of the type \"url\"",
    ),
    "speed": (
        cut("x", 0, 1, said("x", 0, 1), recording=recording(
            "a", transforms=[{"name": "Speed", "kwargs": {"factor": 1.1}}])),
        "changed by Speed",
    ),
    "nowhere": (cut("x", 0, 1, said("x", 0, 1), recording=recording("gone")), "no file"),
    "no text": (cut("x", 0, 1, said("x", 0, 1, text=None)), "has no text"),
    "silent": (cut("x", 0, 1), "no supervision"),
    "truncated": (cut("x", 1, 2, said("x", -1, 5)), "not whole in the cut"),
    "times": (cut("x", 0, 1, said("x", "late", 1)), "expected seconds"),
    "list": ([1, 2], "no JSON object"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_not_read_has_its_reason(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav")
    row, why = ODD[name]
    write(tmp_path / "cuts.jsonl.gz", [row, cut("fine", 0, 10, said("fine", 0, 10))])
    corpus = read_corpus(tmp_path)
    assert set(by_id(corpus)) == {"fine"}
    (rejected,) = corpus.rejected
    assert why in rejected.message and rejected.message.startswith("cuts.jsonl.gz:1: ")


def test_overlapping_pieces_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav")
    rows = [cut(f"c{i}", i, 1.5, said(f"c{i}", 0, 1.5)) for i in (0, 1, 4)]
    corpus = read_corpus(write(tmp_path / "cuts.jsonl", rows))
    assert len(corpus.utterances) == 3
    (warning,) = corpus.warnings
    assert warning.startswith("1 pieces") and "such as c0 and c1:" in warning


def test_a_resampled_recording_is_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav")
    made = {"name": "Resample", "kwargs": {"source_sampling_rate": 1, "target_sampling_rate": 2}}
    row = cut("x", 0, 10, said("x", 0, 10), recording=recording("a", transforms=[made]))
    assert len(read_corpus(write(tmp_path / "cuts.jsonl", [row])).utterances) == 1


def test_files_that_are_cut_off(tmp_path: Path) -> None:
    touch(tmp_path, "wavs/a.wav")
    rows = [cut(f"c{i}", 0, 10, said(f"c{i}", 0, 10, text="word " * i)) for i in range(1, 200)]
    path = write(tmp_path / "cuts.jsonl.gz", rows)
    path.write_bytes(path.read_bytes()[:-200])
    corpus = read_corpus(tmp_path)
    assert 0 < len(corpus.utterances) < 199
    assert any("cut off or damaged" in one.message for one in corpus.rejected)
    path.write_bytes(b"no gzip")
    with pytest.raises(UserError, match="cut off or damaged"):
        read_corpus(tmp_path, "lhotse")


def test_all_rows_of_another_kind(tmp_path: Path) -> None:
    write(tmp_path / "cuts.jsonl", [{"id": "x", "tracks": [], "type": "MixedCut"}] * 2)
    with pytest.raises(UserError, match="MixedCut"):
        read_corpus(tmp_path)


def test_cuts_of_the_library_itself(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse", reason="lhotse is not installed")
    clips = make_clips(3, seconds=0.5)
    for clip in clips:
        write_audio(tmp_path / f"{clip.id}.wav", clip.wave, clip.rate)
    recordings = lhotse.RecordingSet.from_recordings(
        lhotse.Recording.from_file(tmp_path / f"{clip.id}.wav") for clip in clips
    )
    supervisions = lhotse.SupervisionSet.from_segments(
        lhotse.SupervisionSegment(
            id=clip.id, recording_id=clip.id, start=0, duration=0.5, text=clip.text
        )
        for clip in clips
    )
    cuts = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    (tmp_path / "m").mkdir()
    cuts.to_file(tmp_path / "m" / "cuts.jsonl.gz")
    recordings.to_file(tmp_path / "m" / "x_recordings_all.jsonl.gz")
    supervisions.to_file(tmp_path / "m" / "x_supervisions_all.jsonl.gz")
    for name in ("cuts", "x_supervisions_all"):
        corpus = read_corpus(tmp_path / "m" / f"{name}.jsonl.gz")
        assert {u.id: (u.text, u.source) for u in corpus.utterances} == {
            clip.id: (clip.text, f"../{clip.id}.wav") for clip in clips
        }
