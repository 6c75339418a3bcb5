"""Manifests as people have them, and what they have in common with tables of corpora."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.schema import Reason, Utterance
from ns2.pipeline.corpora.reading import read_corpus
from tests.pipeline.corpora.test_tables import read
from tests.support.corpora_factories import put, reasons, touch


def manifest(root: Path, name: str, content: str) -> Path:
    touch(root, *(f"{i}.wav" for i in "abc"))
    return put(root, {name: content}) / name


def test_a_json_array(tmp_path: Path) -> None:
    objects = [{"audio": "a.wav", "text": "one"}, {"audio": "b.wav", "text": "two"}, 5]
    for indent in (None, 2):
        path = manifest(tmp_path, "m.json", json.dumps(objects, indent=indent))
        corpus = read_corpus(path)
        assert [u.text for u in corpus.utterances] == ["one", "two"]
        assert reasons(corpus) == {"m.json:3": Reason.BAD_ROW}


def test_a_tsv_has_literal_quotation_marks(tmp_path: Path) -> None:
    path = manifest(
        tmp_path, "m.tsv",
        'path\tsentence\tid\na.wav\t"Yes," he said.\tx\nb.wav\t"quoted ""twice"""\ty\n'
        'c.wav\tshe said "no"\tz\n',
    )  # fmt: skip
    assert {u.id: u.text for u in read_corpus(path).utterances} == {
        "x": '"Yes," he said.', "y": 'quoted "twice"', "z": 'she said "no"',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", "file_name,transcription\na.wav,one\nb.wav,two\n"),
        ("metadata.jsonl", '{"file_name": "a.wav", "text": "one"}\n'
                           '{"file_name": "b.wav", "text": "two"}\n'),
        ("metadata.tsv", "file_name\ttext\na.wav\tone\nb.wav\ttwo\n"),
        ("manifest.tsv", "path\tsentence\na.wav\tone\nb.wav\ttwo\n"),
        ("manifest.json", '[{"path": "a.wav", "text": "one"}, {"path": "b.wav", "text": "two"}]'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("beside", [True, False])
def test_manifests_of_a_folder(tmp_path: Path, name: str, content: str, beside: bool) -> None:
    manifest(tmp_path, name, content)
    if beside:
        (tmp_path / "wavs").mkdir()
    corpus = read_corpus(tmp_path)
    assert corpus.layout == "manifest" and [u.text for u in corpus.utterances] == ["one", "two"]


def test_what_was_recognised_before_stays_so(tmp_path: Path) -> None:
    manifest(tmp_path, "metadata.jsonl", '{"file_name": "a.wav", "text": "one"}\n')
    put(tmp_path, {"b.txt": "beside"})
    assert read_corpus(tmp_path).layout == "pairs"
    manifest(tmp_path / "other", "metadata.jsonl", '{"file_name": "a.wav", "text": "one"}\n')
    manifest(tmp_path / "other", "manifest.csv", "audio,text\nb.wav,two\n")
    assert [u.text for u in read_corpus(tmp_path / "other").utterances] == ["two"]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_manifest_without_a_first_line_of_names(tmp_path: Path, suffix: str) -> None:
    part = "|" if suffix == "csv" else "\t"
    content = "".join(f"{i}.wav{part}ann{part}text {i}\n" for i in "abc")
    path = manifest(tmp_path, f"m.{suffix}", content)
    with pytest.raises(UserError, match="--fields audio=1,text=2"):
        read_corpus(path)
    corpus = read_corpus(path, fields="audio=1,speaker=2,text=3")
    assert read(corpus) == {i: (f"text {i}", "ann") for i in "abc"} and not corpus.warnings


def test_fields_of_manifests(tmp_path: Path) -> None:
    row = {"audio": "a.wav", "text": "raw", "clean": "spoken", "voice": 1.0, "lang": "de"}
    path = manifest(tmp_path, "m.jsonl", json.dumps(row) + "\n")
    corpus = read_corpus(path, fields="text=clean,speaker=voice,language=")
    assert corpus.utterances == (Utterance(id="a", source="a.wav", text="spoken", speaker="1"),)
    with pytest.raises(UserError, match="no row has the field klean"):
        read_corpus(path, fields="text=klean")
    with pytest.raises(UserError, match="fields of JSON have names"):
        read_corpus(path, fields="text=2")
    path = manifest(tmp_path, "m.csv", "Audio,Text,Clean\na.wav,raw,spoken\n")
    assert read_corpus(path, fields="text=Clean").utterances[0].text == "spoken"
    assert read_corpus(path, fields="text=3").utterances[0].text == "spoken"


def test_fields_that_are_unknown_are_named_once(tmp_path: Path) -> None:
    lines = [
        {"audio": "a.wav", "text": "one", "duration": 3.5, "emotion": "sad"},
        {"audio": "b.wav", "text": "two", "emotion": "sad", "speaker_name": "ann"},
    ]
    path = manifest(tmp_path, "m.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    corpus = read_corpus(path)
    # a manifest that was read before is read as before: its speakers are named by the option
    assert {u.speaker for u in corpus.utterances} == {"default"}
    assert corpus.warnings[1:] == (
        "fields of m.jsonl that are not read: emotion, speaker_name; if speaker_name is the "
        "speaker, add --fields speaker=speaker_name",
    )
    assert read_corpus(path, fields="speaker=speaker_name").utterances[1].speaker == "ann"


def test_names_of_other_toolkits_count_together(tmp_path: Path) -> None:
    path = manifest(tmp_path, "m.csv", "audio_file|text|speaker_name\na.wav|one|ann\n")
    corpus = read_corpus(path)
    assert corpus.utterances[0].speaker == "ann"


def test_paths_with_backslashes(tmp_path: Path) -> None:
    touch(tmp_path, "sub/x.wav")
    path = manifest(tmp_path, "m.jsonl", json.dumps({"audio": r"sub\x.wav", "text": "one"}))
    assert read_corpus(path).utterances[0].source == "sub/x.wav"


@pytest.mark.parametrize(
    ("value", "speaker"), [(1, "1"), (1.0, "1"), ("1.0", "1"), ("1.05", "1.05"), (None, "default")]
)
def test_numbers_as_speakers(tmp_path: Path, value: object, speaker: str) -> None:
    row = {"audio": "a.wav", "text": "one", "speaker": value}
    path = manifest(tmp_path, "m.jsonl", json.dumps(row))
    assert read_corpus(path).utterances[0].speaker == speaker


def test_fields_of_common_voice(tmp_path: Path) -> None:
    touch(tmp_path, "de/clips/a.mp3")
    put(tmp_path / "de", {
        "validated.tsv": "client_id\tpath\tsentence\tclean\tlocale\n"
                         "x\ta.mp3\t3 Äpfel\tdrei Äpfel\tde\n"
    })  # fmt: skip
    corpus = read_corpus(tmp_path / "de", fields="text=clean")
    assert [u.text for u in corpus.utterances] == ["drei Äpfel"]
    assert [u.text for u in read_corpus(tmp_path / "de").utterances] == ["3 Äpfel"]
    with pytest.raises(OptionError, match="in tables of Common Voice"):
        read_corpus(tmp_path / "de", fields="text=3")
    with pytest.raises(UserError, match="lacks plain"):
        read_corpus(tmp_path / "de", fields="text=plain")


def test_a_copy_in_a_less_common_format_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "a.m4a", "b.aiff")
    put(tmp_path, {"a.txt": "one", "b.txt": "two"})
    corpus = read_corpus(tmp_path)
    assert [u.source for u in corpus.utterances] == ["a.wav", "b.aiff"] and not corpus.rejected


def test_a_folder_of_manifests_of_other_names(tmp_path: Path) -> None:
    """Which of them is meant is open; those that may be are named."""
    for name in ("train_manifest.json", "dev_manifest.jsonl", "notes.json", "table.csv"):
        row = '{"audio_filepath": "a.wav", "text": "x"}' if "manifest" in name else '{"a": 1}'
        (tmp_path / name).write_text(row, "utf-8")
    why = r"2 \(dev_manifest\.jsonl, train_manifest\.json\) may be manifests: give the path of one"
    with pytest.raises(UserError, match=why):
        read_corpus(tmp_path)


def test_columns_of_one_name_are_told_where_they_are_read(tmp_path: Path) -> None:
    path = manifest(tmp_path, "m.csv", "audio,text,Text,x,x\na.wav,one,two,3,4\n")
    with pytest.raises(UserError, match="several columns are named text"):
        read_corpus(path)
    found = read_corpus(path, fields="audio=1,text=3")
    assert [u.text for u in found.utterances] == ["two"]
    path = manifest(tmp_path, "n.csv", "audio,text,x,x\na.wav,one,3,4\n")
    assert [u.text for u in read_corpus(path).utterances] == ["one"]
    with pytest.raises(UserError, match="several columns are named x"):
        read_corpus(path, fields="speaker=x")
