"""Manifests with pieces of recordings and given phonemes, to a dataset and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview
from ns2.pipeline.tools.verify.check import verify
from ns2.train.evaluation.held_out import recording
from tests.support.corpora_factories import put, reasons, touch
from tests.support.preprocessing import run_inline

COLUMNS = ("mel", "phonemes", "meta")
OPTIONS = Options(columns=COLUMNS, quantizers=4, shard_utterances=4)


@pytest.fixture(scope="module")
def spoken_long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, object]]]:
    """A long recording of four sentences, and the rows of its pieces; each is a file, too."""
    root = tmp_path_factory.mktemp("long")
    waves, rows, at = [], [], 0
    for i, text in enumerate(SENTENCES[:4]):
        wave, rate, _ = speak(text)
        soundfile.write(root / f"cut-{i}.wav", wave, rate)
        rows.append({
            "audio_filepath": "long.wav", "text": text, "id": f"u{i}",
            "offset": round(at / rate, 6), "duration": round(len(wave) / rate, 6),
        })  # fmt: skip
        waves.append(wave)
        at += len(wave)
    soundfile.write(root / "long.wav", np.concatenate(waves), rate)
    return root, rows


def manifest(root: Path, name: str, rows: list[dict[str, object]]) -> Path:
    put(root, {name: "".join(json.dumps(row) + "\n" for row in rows)})
    return root / name


def rejected(out: Path) -> dict[str, str]:
    rows = pq.read_table(out / "rejected.parquet").to_pylist()
    return {row["id"]: row["reason"] for row in rows}


def test_pieces_are_as_if_they_had_been_cut(
    spoken_long: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    root, rows = spoken_long
    run_inline(manifest(root, "pieces.jsonl", rows), tmp_path / "a", None, columns=COLUMNS)
    cut = [
        {"audio": f"cut-{i}.wav", "text": row["text"], "id": row["id"]}
        for i, row in enumerate(rows)
    ]
    run_inline(manifest(root, "cut.jsonl", cut), tmp_path / "b", None, columns=COLUMNS)
    assert verify(tmp_path / "a").faults == []
    pieces, whole = Dataset(tmp_path / "a"), Dataset(tmp_path / "b")
    assert len(pieces) == len(whole) == 4
    for one, other, row in zip(pieces, whole, rows, strict=True):
        np.testing.assert_array_equal(one["mel"], other["mel"])
        np.testing.assert_array_equal(one["phonemes"], other["phonemes"])
        assert one["meta"]["samples"] == other["meta"]["samples"]
        assert one["meta"]["piece"] == {"offset": row["offset"], "duration": row["duration"]}
        assert one["meta"]["source"] == "long.wav" and "piece" not in other["meta"]
        # and what it was made from is found again
        held = type("One", (), {
            "key": one["key"], "source": "long.wav", "samples": one["meta"]["samples"],
            "piece": Piece.from_json(one["meta"]["piece"]),
        })  # fmt: skip
        assert len(recording(pieces, root / "pieces.jsonl", held)) == one["meta"]["samples"]
    assert len({one["meta"]["audio_hash"] for one in pieces}) == 4


def test_a_changed_piece_is_made_anew_and_no_other(
    spoken_long: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    root, rows = spoken_long
    path = manifest(root, "changing.jsonl", rows)
    run_inline(path, tmp_path / "out", None, columns=COLUMNS)
    assert sum(c.utterances for c in preview(path, tmp_path / "out", OPTIONS).columns) == 0
    changed = [*rows[:3], {**rows[3], "duration": float(rows[3]["duration"]) - 0.2}]  # type: ignore[arg-type]
    manifest(root, "changing.jsonl", changed)
    plan = preview(path, tmp_path / "out", OPTIONS)
    assert {c.column: c.utterances for c in plan.columns} == {"mel": 1, "phonemes": 0, "meta": 1}
    assert plan.screened == 1


def test_an_old_manifest_with_durations_makes_nothing_anew(
    spoken_long: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    """Durations of whole recordings were not read before: what was made of them stays."""
    root, rows = spoken_long
    plain = [{"audio": f"cut-{i}.wav", "text": row["text"]} for i, row in enumerate(rows)]
    path = manifest(root, "old.jsonl", plain)
    run_inline(path, tmp_path / "out", None, columns=COLUMNS)
    kinds: list[dict[str, object]] = [
        {"duration": round(float(rows[0]["duration"]), 2)},  # type: ignore[arg-type]
        {"offset": 0, "duration": round(float(rows[1]["duration"]), 2)},  # type: ignore[arg-type]
        {"offset": 0.0, "duration": None},
        {"duration": 86_400.0},  # another unit, perhaps
    ]
    manifest(root, "old.jsonl", [{**a, **b} for a, b in zip(plain, kinds, strict=True)])
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.is_file()}
    plan = preview(path, tmp_path / "out", OPTIONS)
    assert all(column.missing == 0 for column in plan.columns) and plan.screened == 0
    run_inline(path, tmp_path / "out", None, columns=COLUMNS)
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.is_file()}


def test_pieces_beyond_the_end_are_rejected(
    spoken_long: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    root, rows = spoken_long
    path = manifest(root, "beyond.jsonl", [rows[0], {**rows[1], "duration": 500.0}])
    run_inline(path, tmp_path / "out", None, columns=COLUMNS)
    assert rejected(tmp_path / "out") == {"u1": "piece_beyond_end"}


def test_rows_of_pieces(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"audio": "a.wav", "text": "x", "offset": 0.0, "duration": 1.9},
        {"audio": "a.wav", "text": "x", "offset": 1.9, "duration": 2},
        {"audio": "a.wav", "text": "x", "offset": "4.5", "duration": ""},
        {"audio": "b.wav", "text": "x", "offset": 0},
        {"audio": "c.wav", "text": "x", "duration": "00:03"},
        {"audio": "d.wav", "text": "x", "offset": -1},
        {"audio": "e.wav", "text": "x", "offset": "late"},
        {"audio": "f.wav", "text": "x", "offset": 1, "duration": -2},
        {"audio": "g.wav", "text": "x", "offset": True},
    ]
    touch(tmp_path, *(f"{name}.wav" for name in "abcdefg"))
    corpus = read_corpus(manifest(tmp_path, "m.jsonl", rows))
    assert {u.id: u.piece for u in corpus.utterances} == {
        "a": Piece(duration=1.9),
        "a@1.9": Piece(offset=1.9, duration=2.0),
        "a@4.5": Piece(offset=4.5),
        "b": None,
        "c": None,
    }
    assert set(reasons(corpus).values()) == {Reason.BAD_ROW} and len(corpus.rejected) == 4
    assert "1 rows of m.jsonl have a duration that is no number" in corpus.warnings[-1]


# --- given phonemes -------------------------------------------------------------------------------


def test_given_phonemes_take_the_place_of_the_pronunciation(
    spoken_long: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    root, _ = spoken_long
    said = [
        {"audio": "cut-0.wav", "text": "Hello, you.", "phonemes": "h ə l ˈoʊ , j uː ."},
        {"audio": "cut-1.wav", "text": "Hello you", "phonemes": ["<sil>", "h", "ˈoʊ", "<sil>"]},
        {"audio": "cut-2.wav", "text": "Hello you"},
        {"audio": "cut-3.wav", "text": "Hello", "phonemes": "HH AH0"},
    ]
    path = manifest(root, "given.jsonl", said)  # type: ignore[arg-type]
    run_inline(path, tmp_path / "out", None, columns=COLUMNS)
    assert verify(tmp_path / "out").faults == []
    found = {u["key"]: u["meta"] for u in Dataset(tmp_path / "out")}
    assert " ".join(found["cut-0"]["phonemes"]) == "<sil> h ə l ˈoʊ , j uː . <sil>"
    assert found["cut-0"]["words"] == [["Hello,", 1, 5], ["you.", 6, 8]]
    assert found["cut-1"]["phonemes"] == ["<sil>", "h", "ˈoʊ", "<sil>"]
    assert found["cut-1"]["words"] == [["hˈoʊ", 1, 3]]
    assert rejected(tmp_path / "out") == {"cut-3": "unknown_phoneme"}
    # a change of them is a change of the text
    said[0]["phonemes"] = "h ə l ˈoʊ"
    manifest(root, "given.jsonl", said)  # type: ignore[arg-type]
    plan = preview(path, tmp_path / "out", OPTIONS)
    assert {c.column: c.utterances for c in plan.columns} == {"mel": 0, "phonemes": 1, "meta": 1}


@pytest.mark.parametrize("value", [5, ["h", 5], ["h ə"], {"h": 1}])
def test_phonemes_that_are_none(tmp_path: Path, value: object) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    rows = [{"audio": "a.wav", "text": "x", "phonemes": value}, {"audio": "b.wav", "text": "x"}]
    corpus = read_corpus(manifest(tmp_path, "m.jsonl", rows))
    assert reasons(corpus) == {"m.jsonl:1": Reason.BAD_ROW}


def test_the_card_tells_fields_where_they_were_given(
    spoken_long: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    root, rows = spoken_long
    renamed = [{**row, "words": row["text"], "text": "wrong"} for row in rows]
    path = manifest(root, "renamed.jsonl", renamed)
    run_inline(path, tmp_path / "out", None, columns=COLUMNS, fields="text=words")
    opened = Dataset(tmp_path / "out")
    assert opened.card["options"]["fields"] == "text=words"
    assert [u["meta"]["text"] for u in opened] == [row["text"] for row in rows]
    run_inline(path, tmp_path / "plain", None, columns=COLUMNS)
    assert "fields" not in Dataset(tmp_path / "plain").card["options"]
