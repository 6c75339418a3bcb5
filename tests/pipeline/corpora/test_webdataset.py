"""WebDataset: tars with audio and its text."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.held import TarMember
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.corpus import recording_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.sound.held.recordings import open_recording
from tests.support.corpora_factories import by_id, make_clips
from tests.support.held_factories import tar_samples, write_tar


def plain_tar(path: Path, *members: tuple[str, bytes]) -> Path:
    """A tar with these members, as any tool may write it."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_tars_of_webdataset(tmp_path: Path) -> None:
    told = {"text": "One.", "speaker": 7, "language": "de", "id": "first", "dnsmos": 3.1}
    samples: list[dict[str, Any]] = [
        {"__key__": "a/x", "flac": b"audio x", "json": told},
        {"__key__": "a/y", "mp3": b"audio y", "txt": "Two.\n"},
        {"__key__": "a/z", "wav": b"audio z", "mp3": b"other", "txt": "Three."},
    ]
    write_tar(tmp_path / "train" / "0.tar", samples[:2])
    write_tar(tmp_path / "dev" / "0.tar", samples[2:])
    corpus = read_corpus(tmp_path)
    assert corpus.layout == "webdataset" and not corpus.rejected
    assert corpus.warnings == (
        "fields of the tars that are not read: dnsmos; --fields says which field holds what",
    )
    found = by_id(corpus)
    assert {n: (u.source, u.text, u.speaker, u.language, u.split) for n, u in found.items()} == {
        "first": ("train/0.tar/a/x.flac", "One.", "7", "de", "train"),
        "a/y": ("train/0.tar/a/y.mp3", "Two.", "default", "", "train"),
        "a/z": ("dev/0.tar/a/z.wav", "Three.", "default", "", "val"),
    }
    for one in found.values():
        with open_recording(recording_of(corpus.root, one)) as audio:
            assert audio.read() == f"audio {one.source[-5 - ('flac' in one.source)]}".encode()


def test_fields_choose_of_the_json(tmp_path: Path) -> None:
    sample = {"__key__": "x", "wav": b"", "txt": "Raw", "json": {"norm": "Normal", "who": "ann"}}
    tar = write_tar(tmp_path / "x.tar", [sample])
    (plain,) = read_corpus(tar).utterances
    (chosen,) = read_corpus(tar, fields="text=norm,speaker=who").utterances
    assert (plain.text, plain.speaker) == ("Raw", "default")
    assert (chosen.text, chosen.speaker) == ("Normal", "ann")
    with pytest.raises(UserError, match="has the field other that"):
        read_corpus(tar, fields="text=other")


def test_samples_that_cannot_be_used(tmp_path: Path) -> None:
    plain_tar(
        tmp_path / "x.tar",
        ("./README.md", b"a readme"),
        ("./._a.wav", b"of another system"),
        ("./a.wav", b"audio"),
        ("./a.txt", b"Text."),
        ("b.wav", b"audio"),
        ("c.txt", b"Text."),
        ("d.wav", b"audio"),
        ("d.json", b"[1]"),
        ("e.wav", b"audio"),
        ("e.txt", b"\xff\xfe\xff"),
        ("f.wav", b"audio"),
        ("f.txt", b"  "),
        ("a.wav", b"again"),
        ("a.txt", b"Again."),
    )
    corpus = read_corpus(tmp_path)
    assert set(by_id(corpus)) == {"a"}
    assert sorted((one.id, one.reason) for one in corpus.rejected) == [
        ("a", Reason.DUPLICATE_ID),
        ("b", Reason.NO_TRANSCRIPT),
        ("c", Reason.AUDIO_MISSING),
        ("d", Reason.BAD_ROW),
        ("e", Reason.TRANSCRIPT_UNREADABLE),
        ("f", Reason.EMPTY_TRANSCRIPT),
    ]


def test_a_tar_that_is_cut_anywhere(tmp_path: Path) -> None:
    """What is whole is read; what is not, or may be missing, is in the ledger."""
    samples = tar_samples(make_clips(3, seconds=0.02))
    whole = write_tar(tmp_path / "whole.tar", samples).read_bytes()
    cut = tmp_path / "cut" / "x.tar"
    cut.parent.mkdir()
    complete = {u.id: u.held for u in read_corpus(tmp_path / "whole.tar").utterances}
    assert len(complete) == 3
    spans = [(one.offset, one.size) for one in complete.values() if isinstance(one, TarMember)]
    first, ends = min(spans)[0], [sum(span) for span in spans]
    for length in range(512, len(whole), 512 if len(whole) < 40_000 else 1_000):
        for more in (0, 17):
            cut.write_bytes(whole[: length + more])
            try:
                corpus = read_corpus(cut)
            except UserError:
                assert length < first  # no audio has begun
                continue
            found = by_id(corpus)
            assert set(found) <= set(complete)
            assert len(found) <= sum(end <= length + more for end in ends)
            ended = not whole[length + more :].strip(b"\0") and length + more >= max(ends) + 512
            if not ended:
                assert any(one.reason is Reason.AUDIO_TRUNCATED for one in corpus.rejected), length
            if length + more > max(ends) + 1_024:
                assert len(found) == 3


def test_damage_inside_is_told(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "x.tar", tar_samples(make_clips(3, seconds=0.02)))
    data = bytearray(tar.read_bytes())
    second = data.find(b"clip-0001.wav")
    data[second : second + 100] = b"\xff" * 100
    tar.write_bytes(data)
    corpus = read_corpus(tar)
    assert "clip-0000" in by_id(corpus)
    assert [one.reason for one in corpus.rejected if one.id.startswith("x.tar#")] == [
        Reason.AUDIO_TRUNCATED
    ]


def test_what_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(UserError, match="no member of its tars is audio"):
        read_corpus(tmp_path / "x.tar")
    with tarfile.open(tmp_path / "y.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.wav"))
    (tmp_path / "x.tar").unlink()
    for path in (tmp_path, tmp_path / "y.tar.gz"):
        with pytest.raises(UserError, match=r"no tar that can be read; compressed tars.* gunzip"):
            read_corpus(path)


def test_samples_whose_members_lie_apart(tmp_path: Path) -> None:
    names = ["a.wav", "b.wav", "a.txt", "c.wav", "b.json", "c.txt", "a.wav", "a.txt"]
    content = {"wav": b"audio", "txt": b"Text.", "json": b'{"text": "Json."}'}
    plain_tar(tmp_path / "x.tar", *((name, content[name[2:]]) for name in names))
    corpus = read_corpus(tmp_path)
    assert {u.id: u.text for u in corpus.utterances} == {"a": "Text.", "b": "Json.", "c": "Text."}
    assert [(one.id, one.reason) for one in corpus.rejected] == [("a", Reason.DUPLICATE_ID)]


def test_several_texts_of_a_sample(tmp_path: Path) -> None:
    names = ["a.lab", "a.normalized.txt", "a.txt", "b.lab", "b.normalized.txt", "c.lab"]
    members = [(name, name.encode()) for name in names]
    plain_tar(tmp_path / "x.tar", *members, *((f"{k}.wav", b"audio") for k in "abc"))
    assert {u.id: u.text for u in read_corpus(tmp_path).utterances} == {
        "a": "a.txt", "b": "b.normalized.txt", "c": "c.lab",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("lj-test-000000", "test"),
        ("librispeech_test-clean_000", "test"),
        ("mydata-validation", "val"),
        ("corpus.dev.0", "val"),
        ("voices-test03", "test"),
        ("test-clean/000", "test"),
        ("mine-eval/000", "val"),
        ("train-of-dev-kit", "train"),
        ("contest-000", ""),
        ("validated-000", ""),
    ],
)
def test_splits_in_names_of_tars(name: str, split: str, tmp_path: Path) -> None:
    write_tar(tmp_path / f"{name}.tar", [{"__key__": "a", "wav": b"audio", "txt": "One."}])
    write_tar(tmp_path / "other.tar", [{"__key__": "b", "wav": b"audio", "txt": "Two."}])
    told = {u.id: u.split for u in read_corpus(tmp_path).utterances}
    assert told == {"a": split, "b": ""}


def test_compressed_tars_beside_tars_are_named(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [{"__key__": "a", "wav": b"audio", "txt": "One."}])
    (tmp_path / "b.tar.gz").write_bytes(b"")
    assert read_corpus(tmp_path).warnings == (
        "compressed tars can't be read in place: 1 (b.tar.gz); unpack them with gunzip, "
        "or with tar where they hold a corpus of another layout",
    )


@pytest.mark.parametrize("mode", ["gz", "xz", "bz2"])
def test_tars_that_are_compressed_under_the_name_of_a_tar_are_named(
    mode: Any, tmp_path: Path
) -> None:
    content = plain_tar(tmp_path / "a.tar", ("a.wav", b"audio"), ("a.txt", b"One.")).read_bytes()
    packed = {"gz": gzip, "xz": lzma, "bz2": bz2}[mode].compress(content)
    (tmp_path / "a.tar").write_bytes(packed)
    for path in (tmp_path, tmp_path / "a.tar"):
        with pytest.raises(UserError, match=r"compressed tars.*1 \(a.tar\)"):
            read_corpus(path)
    write_tar(tmp_path / "b.tar", [{"__key__": "b", "wav": b"audio", "txt": "Two."}])
    corpus = read_corpus(tmp_path)
    assert [u.id for u in corpus.utterances] == ["b"] and "1 (a.tar)" in corpus.warnings[0]


def test_what_follows_the_end_of_a_tar_is_told(tmp_path: Path) -> None:
    """`cat` joins tars so that readers end where the first one ends."""
    parts = [
        plain_tar(tmp_path / f"{k}.tar", (f"{k}.wav", b"audio"), (f"{k}.txt", b"One.")).read_bytes()
        for k in "ab"
    ]
    (tmp_path / "a.tar").write_bytes(b"".join(parts))
    (tmp_path / "b.tar").write_bytes(parts[1] + bytes(50_000))  # zeros are no harm
    corpus = read_corpus(tmp_path)
    assert [u.id for u in corpus.utterances] == ["a", "b"]
    assert [(one.id, one.reason) for one in corpus.rejected] == [
        ("a.tar#2", Reason.AUDIO_TRUNCATED)
    ]
    assert "tar --concatenate" in corpus.rejected[0].message


def test_numbers_that_are_none_in_fields_that_are_not_read(tmp_path: Path) -> None:
    """Python writes NaN for what a measure can't say."""
    plain_tar(
        tmp_path / "a.tar",
        ("a.wav", b"audio"),
        ("a.json", b'{"text": "One.", "dnsmos": NaN, "snr": -Infinity, "more": [1e999]}'),
        ("b.wav", b"audio"),
        ("b.json", b'{"text": NaN}'),
    )
    corpus = read_corpus(tmp_path)
    assert [u.text for u in corpus.utterances] == ["One."]
    assert [one.id for one in corpus.rejected] == ["b"]


def test_fields_that_no_json_has_are_told_where_there_is_none(tmp_path: Path) -> None:
    plain_tar(tmp_path / "a.tar", ("a.wav", b"audio"), ("a.txt", b"One."))
    with pytest.raises(UserError, match=r"no .json has the field words.*there is no .json"):
        read_corpus(tmp_path, fields="text=words")
