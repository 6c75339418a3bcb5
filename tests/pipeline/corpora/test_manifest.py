"""Manifests as corpora: their fields, and what goes wrong in their rows."""

import json
import shutil
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.reading import audio_path, read_corpus
from tests.support.corpora_factories import (
    Clip,
    make_clips,
    put,
    reasons,
    touch,
    write_libritts,
    write_ljspeech,
    write_manifest,
    write_pairs,
)
from tests.support.factories import tone

CLIPS = make_clips(4)


@pytest.mark.parametrize("name", ["manifest.jsonl", "manifest.csv", "other.ndjson", "other.csv"])
def test_manifest_fields(tmp_path, name):
    clips = [
        Clip(id="one", text='He said, "no".', wave=tone(0.02, 200), speaker="anna",
             language="de", split="train"),
        Clip(id="two", text="Zwei: öäü", wave=tone(0.02, 200), split="dev"),
    ]  # fmt: skip
    path = write_manifest(tmp_path, clips, name=name)
    corpus = read_corpus(path.parent if name.startswith("manifest") else path)
    assert corpus.root == tmp_path
    assert corpus.utterances == (
        Utterance(id="one", source="audio/one.wav", text='He said, "no".', speaker="anna",
                  language="de", split="train"),
        Utterance(id="two", source="audio/two.wav", text="Zwei: öäü", speaker="default",
                  split="val"),
    )  # fmt: skip


def lines(*rows: object) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def test_manifest_rows_that_go_wrong(tmp_path):
    touch(tmp_path, *(f"audio/{name}.wav" for name in "abcdefghijk"), "audio/extra.wav")
    (tmp_path / "audio/dir.wav").mkdir()
    rows = [
        {"audio": "audio/a.wav", "text": "fine"},
        {"audio_filepath": "./audio/b.wav", "transcript": "also fine", "speaker": 7, "id": 12},
        "",
        "{not json}",
        ["audio/c.wav", "text"],
        {"text": "no audio"},
        {"audio": "audio/nowhere.wav", "text": "x"},
        {"audio": "audio/dir.wav", "text": "x"},
        {"audio": "audio/c.wav"},
        {"audio": "audio/d.wav", "text": "  "},
        {"audio": "audio/e.wav", "text": 5},
        {"audio": "audio/f.wav", "text": "x", "split": "fold 3"},
        {"audio": "audio/a.wav", "text": "the same audio again"},
        {"audio": "audio/g.wav", "text": "\ud800"},
        {"audio": "audio/h.wav", "text": "x", "offset": -3.5},
        {"audio": "audio/\0.wav", "text": "x"},
        {"audio": "s3://bucket/a.wav", "text": "x"},
    ]
    text = lines(*rows).encode() + b'{"audio": "audio/i.wav", "text": "caf\xe9"}\n'
    put(tmp_path, {"manifest.jsonl": text})
    corpus = read_corpus(tmp_path)
    assert [(u.id, u.source, u.speaker) for u in corpus.utterances] == [
        ("12", "audio/b.wav", "7"),
        ("audio/a", "audio/a.wav", "default"),
    ]
    assert reasons(corpus) == {
        "manifest.jsonl:4": Reason.BAD_ROW,
        "manifest.jsonl:5": Reason.BAD_ROW,
        "manifest.jsonl:6": Reason.BAD_ROW,
        "audio/nowhere": Reason.AUDIO_MISSING,
        "audio/dir": Reason.AUDIO_MISSING,
        "audio/c": Reason.NO_TRANSCRIPT,
        "audio/d": Reason.EMPTY_TRANSCRIPT,
        "manifest.jsonl:11": Reason.BAD_ROW,
        "manifest.jsonl:12": Reason.BAD_ROW,
        "audio/a": Reason.DUPLICATE_ID,
        "audio/g": Reason.TRANSCRIPT_UNREADABLE,
        "manifest.jsonl:15": Reason.BAD_ROW,
        "manifest.jsonl:16": Reason.BAD_ROW,
        "s3:/bucket/a": Reason.AUDIO_MISSING,
        "manifest.jsonl:18": Reason.TRANSCRIPT_UNREADABLE,
    }
    assert corpus.found == 17
    messages = {r.id: r.message for r in corpus.rejected}
    assert "manifest.jsonl:12: unknown split 'fold 3'; use train, val or test" in messages.values()
    assert all(m.startswith("manifest.jsonl:") for i, m in messages.items() if i != "audio/a")
    assert corpus.warnings == (
        "audio without a row in manifest.jsonl: 4 (audio/extra.wav, audio/i.wav, audio/j.wav, ...)",
    )


def test_manifest_csv_rows_that_go_wrong(tmp_path):
    touch(tmp_path, *(f"{name}.wav" for name in "abcdef"))
    table = (
        b"\xef\xbb\xbfAudio; Text ;id\r\n"
        b"a.wav;fine, with a comma;\r\n"
        b"\r\n"
        b"b.wav;only two\r\n"
        b'c.wav;"quoted ""words""; and\r\nlines";c\r\n'
        b'd.wav;"bad" quotes;d\r\n'
        b"e.wav;caf\xe9;e\r\n"
        b"f.wav;last;f"
    )
    put(tmp_path, {"manifest.csv": table})
    corpus = read_corpus(tmp_path)
    assert {u.id: u.text for u in corpus.utterances} == {
        "a": "fine, with a comma",
        "c": 'quoted "words"; and lines',
        "f": "last",
    }
    assert reasons(corpus) == {
        "manifest.csv:4": Reason.BAD_ROW,
        "manifest.csv:7": Reason.BAD_ROW,
        "e": Reason.TRANSCRIPT_UNREADABLE,
    }


def test_a_quotation_mark_that_is_never_closed_stops_the_run(tmp_path):
    # it would swallow the rows that follow, and nobody would know how many
    touch(tmp_path, "a.wav", "b.wav", "c.wav")
    put(tmp_path, {"m.csv": 'audio,text\na.wav,fine\nb.wav,"open\nc.wav,lost\n'})
    with pytest.raises(UserError, match=r"m\.csv: a quotation mark opened in line 3"):
        read_corpus(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "a.wav,hello\n", "first line must name the fields"),
        ("m.csv", "", "first line must name the fields"),
        ("m.jsonl", '{\n"audio": "a.wav"\n}', "on each line"),
        ("m.jsonl", '[\n{"audio": "a.wav"},\n{"audio": ]', "on each line"),
        ("m.jsonl", '[["a.wav", "x"], ["b.wav", "y"]]', "m.jsonl:1"),
        ("m.jsonl", json.dumps({"audio": "a.wav", "text": "x"}).encode("utf-16"), "UTF-16"),
        ("m.jsonl", '{"audio": "a.wav", "text": "x", "split": "fold"}', "unknown split"),
    ],
)
def test_manifests_in_which_nothing_is_right(tmp_path, name, content, message):
    put(tmp_path, {name: content, "a.wav": ""})
    with pytest.raises(UserError, match=message):
        read_corpus(tmp_path / name)


def test_two_manifests_in_one_folder(tmp_path):
    write_manifest(tmp_path, CLIPS[:1])
    write_manifest(tmp_path, CLIPS[:1], name="manifest.csv")
    with pytest.raises(UserError, match="give the path of one"):
        read_corpus(tmp_path)
    assert len(read_corpus(tmp_path / "manifest.csv").utterances) == 1


def test_audio_outside_the_manifests_folder_has_a_relative_source(tmp_path, monkeypatch):
    touch(tmp_path, "corpus/in.wav", "other/out.wav", "corpus/deep/dots.wav")
    (tmp_path / "link").symlink_to(tmp_path / "corpus", target_is_directory=True)
    rows = [
        {"audio": str(tmp_path / "corpus/in.wav"), "text": "absolute, inside"},
        {"audio": str(tmp_path / "other/out.wav"), "text": "absolute, outside"},
        {"audio": "deep/../deep/dots.wav", "text": "dots"},
    ]
    put(tmp_path, {"corpus/m.jsonl": lines(*rows)})
    monkeypatch.chdir(tmp_path / "other")
    for root in (tmp_path / "corpus", tmp_path / "link", Path("../corpus")):
        corpus = read_corpus(root / "m.jsonl")
        assert {u.source for u in corpus.utterances} == {
            "in.wav", "../other/out.wav", "deep/dots.wav",
        }  # fmt: skip
        assert {u.id for u in corpus.utterances} == {"in", "../other/out", "deep/dots"}
        assert all(audio_path(corpus.root, u).is_file() for u in corpus.utterances)


def test_no_path_of_this_machine_in_what_is_rejected(tmp_path):
    put(tmp_path, {"m.jsonl": lines(
        {"audio": str(tmp_path / "gone.wav"), "text": "x"},
        {"audio": str(tmp_path / "far/away/gone.wav"), "text": "x"},
        {"audio": "here.wav", "text": "x"},
    )})  # fmt: skip
    touch(tmp_path, "here.wav")
    pairs = put(tmp_path / "pairs", {"a.txt": "x", "a.wav": "", "b.wav": "", "c.wav": "",
                                     "c.txt": b"\xff"})  # fmt: skip
    for corpus in (read_corpus(tmp_path / "m.jsonl"), read_corpus(pairs)):
        assert len(corpus.rejected) == 2
        assert str(tmp_path) not in repr(corpus.rejected) + repr(corpus.utterances)


def test_a_moved_corpus_is_the_same(tmp_path):
    for write in (write_ljspeech, write_libritts, write_pairs, write_manifest):
        path = write(tmp_path / "here", CLIPS)
        before = read_corpus(path).utterances
        shutil.move(tmp_path / "here", tmp_path / "there")
        assert read_corpus(tmp_path / "there").utterances == before
        shutil.rmtree(tmp_path / "there")


@pytest.mark.parametrize(
    "piece",
    [
        {"offset": -1, "duration": 1},
        {"offset": "abc", "duration": 1},
        {"offset": float("nan"), "duration": 1},
        {"offset": 1, "duration": -1},
        {"offset": 1, "duration": 0},
    ],
    ids=str,
)
def test_bad_pieces_of_one_recording_are_bad_rows(tmp_path, piece):
    """Their line is their id, so that none is taken for a duplicate of another."""
    touch(tmp_path, "a.wav")
    row = {"audio_filepath": "a.wav", "text": "x"}
    good = {**row, "offset": 0, "duration": 1}
    put(tmp_path, {"manifest.jsonl": lines(good, {**row, **piece}, {**row, **piece})})
    corpus = read_corpus(tmp_path)
    assert [u.id for u in corpus.utterances] == ["a"]
    assert reasons(corpus) == dict.fromkeys(
        ["manifest.jsonl:2", "manifest.jsonl:3"], Reason.BAD_ROW
    )
    assert all("offset" in r.message or "duration" in r.message for r in corpus.rejected)
