"""Parquet files with audio in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.held import ParquetCell
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.corpora.corpus import recording_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.sound.held.recordings import open_recording
from tests.support.corpora_factories import by_id, make_clips, reasons, touch
from tests.support.held_factories import audio_rows, write_table


def row(number: int, **more: Any) -> dict[str, Any]:
    audio = {"bytes": b"audio %d" % number, "path": f"{number}.wav"}
    return {"audio": audio, "text": f"text {number}", **more}


def test_files_of_a_hub(tmp_path: Path) -> None:
    rows = [row(i, speaker_id=i % 2, language="English") for i in range(5)]
    write_table(tmp_path / "data" / "train-00000-of-00002.parquet", rows[:3], row_group_size=2)
    write_table(tmp_path / "data" / "train-00001-of-00002.parquet", rows[3:4])
    write_table(tmp_path / "data" / "validation-00000-of-00001.parquet", rows[4:])
    corpus = read_corpus(tmp_path)
    assert corpus.layout == "parquet" and not corpus.rejected and not corpus.warnings
    found = by_id(corpus)
    assert {name: one.split for name, one in found.items()} == {
        "0": "train", "1": "train", "2": "train", "3": "train", "4": "val",
    }  # fmt: skip
    assert found["2"].source == "data/train-00000-of-00002.parquet/2.wav"
    assert found["2"].held == ParquetCell(
        file="data/train-00000-of-00002.parquet", column="audio.bytes", group=1, row=0
    )
    assert (found["3"].text, found["3"].speaker, found["3"].language) == ("text 3", "1", "en-us")
    for name, one in found.items():
        with open_recording(recording_of(corpus.root, one)) as audio:
            assert audio.read() == f"audio {name}".encode()


def test_a_lone_split_is_none(tmp_path: Path) -> None:
    write_table(tmp_path / "train-00000-of-00001.parquet", [row(0), row(1)])
    assert {u.split for u in read_corpus(tmp_path).utterances} == {""}
    write_table(tmp_path / "named.parquet", [row(2, split="train")])
    assert {u.split for u in read_corpus(tmp_path / "named.parquet").utterances} == {"train"}


@pytest.mark.parametrize("path", ["/home/ann/x.wav", "C:\\data\\x.wav", "hf://a/b/x.wav"])
def test_paths_of_other_machines_are_not_kept(path: str, tmp_path: Path) -> None:
    rows = [{"audio": {"bytes": b"a", "path": path}, "text": "x"}]
    (one,) = read_corpus(write_table(tmp_path / "a.parquet", rows)).utterances
    assert (one.id, one.source) == ("x", "a.parquet/x.wav")


def test_normalised_texts_come_first(tmp_path: Path) -> None:
    """As in the layout of LJSpeech itself."""
    rows = [row(0, normalized_text="zero"), row(1, normalized_text=" ")]
    path = write_table(tmp_path / "a.parquet", rows)
    corpus = read_corpus(path)
    assert {u.id: u.text for u in corpus.utterances} == {"0": "zero", "1": "text 1"}
    assert corpus.notes[0].startswith("normalized_text is taken as the text")
    assert {u.text for u in read_corpus(path, fields="text=text").utterances} == {
        "text 0", "text 1",
    }  # fmt: skip


def test_names_of_labels(tmp_path: Path) -> None:
    """`datasets` keeps whole numbers, and the names for them in the schema."""
    path = write_table(tmp_path / "a.parquet", [row(0, speaker=1), row(1, speaker=0)])
    features = {"speaker": {"names": ["ann", "bob"], "_type": "ClassLabel"}}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(pq.read_table(path).replace_schema_metadata(told), path)
    assert {u.id: u.speaker for u in read_corpus(path).utterances} == {"0": "bob", "1": "ann"}


def test_fields_and_ids(tmp_path: Path) -> None:
    rows = [
        {**row(0), "sentence": "one", "utt": "a", "begin": 0.5, "long": 1.5},
        {**row(1), "sentence": "two", "utt": "b", "begin": 0.0, "long": 2.0},
    ]
    path = write_table(tmp_path / "a.parquet", rows)
    corpus = read_corpus(path, fields="text=sentence,id=utt,offset=begin,duration=long")
    assert {u.id: (u.text, u.piece) for u in corpus.utterances} == {
        "a": ("one", Piece(offset=0.5, duration=1.5)),
        "b": ("two", Piece(offset=0.0, duration=2.0)),
    }
    plain = read_corpus(path)
    assert {u.id: u.text for u in plain.utterances} == {"0": "text 0", "1": "text 1"}
    assert "not read: utt, begin, long;" in plain.warnings[0]
    with pytest.raises(UserError, match="no column nothing"):
        read_corpus(path, fields="text=nothing")
    with pytest.raises(OptionError, match="no field"):
        read_corpus(path, fields="txt=sentence")


@pytest.mark.parametrize("form", ["binary", "large_string", "dictionary", "paths"])
def test_forms_of_columns(form: str, tmp_path: Path) -> None:
    """Bytes and texts are read in whichever form Arrow writes them; bytes come before paths."""
    audio: pa.Array = pa.array([b"a0", b"a1", b"a1"])
    text: pa.Array = pa.array(["one", "two", "two"])
    columns = {"audio": audio, "text": text}
    if form == "dictionary":
        columns = {"audio": audio.dictionary_encode(), "text": text.dictionary_encode()}
    elif form == "large_string":
        columns = {"audio": audio.cast(pa.large_binary()), "text": text.cast(pa.large_string())}
    elif form == "paths":
        paths = pa.array(["x/0.wav", "x/1.wav", "x/2.wav"])
        columns = {
            "path": paths,
            "file": pa.array([{"bytes": a.as_py()} for a in audio]),
            **columns,
        }
        del columns["audio"]
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)
    corpus = read_corpus(tmp_path)
    assert [one.text for one in corpus.utterances] == ["one", "two", "two"]
    for one, data in zip(corpus.utterances, audio.to_pylist(), strict=True):
        with open_recording(recording_of(corpus.root, one)) as file:
            assert file.read() == data


def test_columns_within_columns(tmp_path: Path) -> None:
    rows = [row(i, text=None, info={"said": f"said {i}", "by": {"name": "ann"}}) for i in range(2)]
    path = write_table(tmp_path / "a.parquet", [{**row(2), "info": None}, *rows])
    corpus = read_corpus(path, fields="text=info.said,speaker=info.by.name")
    assert {u.id: (u.text, u.speaker) for u in corpus.utterances} == {
        "0": ("said 0", "ann"), "1": ("said 1", "ann"),
    }  # fmt: skip
    assert reasons(corpus) == {"2": Reason.NO_TRANSCRIPT}
    with pytest.raises(UserError, match=r"columns are .*info, info\.said, info\.by"):
        read_corpus(path, fields="text=info.nothing")


def test_tables_that_hubs_make_of_tars(tmp_path: Path) -> None:
    """A column for each suffix, and the key: `.json` is a struct."""
    told = {"text": "one", "speaker": "ann"}
    audio = {"bytes": b"a", "path": "k0.flac"}
    rows = [{"flac": audio, "json": told, "__key__": "k0"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    rows = [{"mp3": audio, "txt": "two", "__key__": "k1"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    corpus = read_corpus(tmp_path)
    assert {u.id: (u.text, u.speaker) for u in corpus.utterances} == {
        "k0": ("one", "ann"), "k1": ("two", "default"),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["bytes", "path", "struct of paths"])
def test_other_forms_of_the_audio(form: str, tmp_path: Path) -> None:
    touch(tmp_path, "data/wavs/0.wav", "data/wavs/1.wav")
    paths = ["wavs/0.wav", "wavs/1.wav", "wavs/2.wav"]
    audio: pa.Array = {
        "bytes": pa.array([b"a0", b"a1", None], pa.large_binary()),
        "path": pa.array(paths),
        "struct of paths": pa.array(
            [{"bytes": None, "path": path} for path in paths],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        ),
    }[form]
    (tmp_path / "data").mkdir(exist_ok=True)
    table = pa.table({"audio": audio, "text": ["x", "y", "z"], "id": [7, 8, 9]})
    pq.write_table(table, tmp_path / "data" / "a.parquet")
    corpus = read_corpus(tmp_path)
    found = by_id(corpus)
    if form == "bytes":
        assert set(found) == {"7", "8", "9"} and all(one.held for one in found.values())
        assert found["8"].source == "data/a.parquet/1"
    else:
        assert {name: one.source for name, one in found.items()} == {
            "7": "data/wavs/0.wav", "8": "data/wavs/1.wav",
        }  # fmt: skip
        assert not any(one.held for one in found.values())
        assert reasons(corpus) == {"9": Reason.AUDIO_MISSING}


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    rows = [row(0), row(1, text=" "), row(2, text=None), row(3, split="x"), row(4), row(4)]
    rows = [{"split": "", **one} for one in rows]
    corpus = read_corpus(write_table(tmp_path / "a.parquet", rows))
    assert set(by_id(corpus)) == {"0", "4"}
    assert reasons(corpus) == {
        "1": Reason.EMPTY_TRANSCRIPT, "2": Reason.NO_TRANSCRIPT, "3": Reason.BAD_ROW,
        "4": Reason.DUPLICATE_ID,
    }  # fmt: skip


def test_texts_that_are_not_utf8_cost_their_rows(tmp_path: Path) -> None:
    texts = pa.array([b"fine", b"\xff\xfe", b"good"]).cast(pa.binary())
    table = pa.table({"audio": pa.array([b"a", b"b", b"c"]), "id": ["a", "b", "c"]})
    wrong = pa.StringArray.from_buffers(3, texts.buffers()[1], texts.buffers()[2])
    pq.write_table(table.append_column("text", wrong), tmp_path / "a.parquet")
    corpus = read_corpus(tmp_path)
    assert set(by_id(corpus)) == {"a", "c"}
    assert reasons(corpus) == {"b": Reason.TRANSCRIPT_UNREADABLE}


def test_damaged_files_are_in_the_ledger(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", audio_rows(make_clips(3)))
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    (tmp_path / "none.parquet").write_bytes(b"")
    (tmp_path / "page.parquet").write_bytes(data)
    corpus = read_corpus(tmp_path)
    assert len(corpus.utterances) == 3
    assert reasons(corpus) == {
        "cut.parquet": Reason.AUDIO_UNREADABLE,
        "none.parquet": Reason.AUDIO_UNREADABLE,
        **{u.id: Reason.DUPLICATE_ID for u in corpus.utterances},
    }
    with pytest.raises(UserError, match="can't be read as parquet"):
        read_corpus(tmp_path / "cut.parquet")


def test_each_row_of_a_damaged_page_of_texts_is_in_the_ledger(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "a.parquet", [row(i) for i in range(10)], row_group_size=4, compression="gzip"
    )
    chunk = pq.read_metadata(path).row_group(1).column(2)
    data = bytearray(path.read_bytes())
    at = chunk.dictionary_page_offset
    data[at : at + 40] = b"\xff" * 40
    path.write_bytes(data)
    corpus = read_corpus(path)
    assert set(by_id(corpus)) == {"0", "1", "2", "3", "8", "9"}
    assert reasons(corpus) == {f"a.parquet#{i}": Reason.AUDIO_UNREADABLE for i in range(4, 8)}


@pytest.mark.parametrize("seed", range(4))
def test_any_wrong_byte_costs_rows_and_no_more(seed: int, tmp_path: Path) -> None:
    """Whatever is damaged: every row of the other file is there, and no error escapes."""
    import numpy as np

    rng = np.random.default_rng(seed)
    clean = write_table(tmp_path / "a.parquet", [row(i) for i in range(20)], row_group_size=5)
    data = clean.read_bytes()
    write_table(tmp_path / "b.parquet", [row(i) for i in range(20, 23)])
    for _ in range(25):
        damaged = bytearray(data)
        damaged[int(rng.integers(4, len(data)))] ^= int(rng.integers(1, 256))
        clean.unlink()
        clean.write_bytes(damaged)
        try:
            found = by_id(read_corpus(tmp_path))
        except UserError:  # a column has lost its name
            continue
        assert {"20", "21", "22"} <= set(found)


def test_which_column_is_the_text_may_be_open(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", [{"audio": row(0)["audio"], "words": "x"}])
    with pytest.raises(UserError, match=r"which column is the text.*--fields text="):
        read_corpus(path)
    with pytest.raises(UserError, match="give a name"):
        read_corpus(path, fields="text=1")
    pq.write_table(pa.table({"text": ["x"]}), path)
    with pytest.raises(UserError, match="no parquet file with audio"):
        read_corpus(path)


@pytest.mark.parametrize(
    ("names", "fields", "told"),
    [
        (("audio", "text", "text"), None, "several columns are named text"),
        (("audio", "audio", "text"), None, "several columns are named audio"),
        (("audio", "text", "x", "x"), "speaker=x", "several columns are named x"),
        (("audio", "text"), "text=audio", "audio is the audio, and not text"),
        (("audio", "text"), "audio=sound", "a column sound of audio.*columns are audio, text"),
        (("info", "text"), "audio=info.audio", "a column info.audio of audio.*columns are info"),
    ],
)
def test_columns_that_cannot_be_what_they_are_taken_for(
    names: tuple[str, ...], fields: str | None, told: str, tmp_path: Path
) -> None:
    audio = pa.array([row(0)["audio"]])
    inner = pa.array([{"audio": row(0)["audio"]}])
    columns = [{"audio": audio, "info": inner}.get(name, pa.array(["x"])) for name in names]
    pq.write_table(pa.table(columns, names=list(names)), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=told):
        read_corpus(tmp_path, "parquet", fields=fields)


def test_columns_of_one_name_that_are_not_read_do_no_harm(tmp_path: Path) -> None:
    columns = [pa.array([row(0)["audio"]]), *(pa.array([one]) for one in ("One.", "a", "b"))]
    pq.write_table(pa.table(columns, names=["audio", "text", "x", "x"]), tmp_path / "a.parquet")
    assert [u.text for u in read_corpus(tmp_path).utterances] == ["One."]


@pytest.mark.parametrize(("audio", "text"), [("file", "sentence"), ("path", "transcription")])
def test_columns_of_paths_are_recognised(audio: str, text: str, tmp_path: Path) -> None:
    touch(tmp_path, "0.wav")
    table = pa.Table.from_pylist([{audio: "0.wav", text: "one"}])
    pq.write_table(table, tmp_path / "data-validation.parquet")
    corpus = read_corpus(tmp_path)
    assert corpus == read_corpus(tmp_path, "parquet")
    assert [(u.id, u.text, u.split) for u in corpus.utterances] == [("0", "one", "val")]
