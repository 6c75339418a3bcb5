"""Corpora in a bucket are found as on a disk, and nothing of their recordings is copied."""

from __future__ import annotations

import http.server
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.corpus import Corpus, recording_of
from ns2.pipeline.corpora.in_bucket import corpus_path
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.remote import standing
from ns2.pipeline.sound.decode import read_audio
from tests.support import corpora_factories as write
from tests.support.bucket.proxy import Faults, proxy_before
from tests.support.bucket.server import S3Server, environment, reach
from tests.support.corpora_factories import make_clips, put, reasons


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    reach(s3.endpoint, tmp_path / "cache", monkeypatch)
    return s3


def found(corpus: Corpus) -> Corpus:
    """What is found, wherever the corpus lies."""
    return replace(corpus, root=Path(), table=None)


def waves(corpus: Corpus) -> dict[str, Any]:
    return {u.id: read_audio(recording_of(corpus.root, u)) for u in corpus.utterances}


WRITERS: dict[str, Callable[..., Path]] = {
    "ljspeech": write.write_ljspeech,
    "libritts": write.write_libritts,
    "librispeech": write.write_librispeech,
    "vctk": write.write_vctk,
    "mls": write.write_mls,
    "commonvoice": write.write_commonvoice,
    "pairs": write.write_pairs,
    "manifest": write.write_manifest,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_corpus_is_found_as_on_a_disk(bucket: S3Server, tmp_path: Path, name: str) -> None:
    near, clips = tmp_path / "mls_german", make_clips(3, rate=16_000)
    near.mkdir()
    WRITERS[name](near, clips)
    bucket.upload(near, f"{name}/mls_german")
    far = corpus_path(f"s3://bucket/{name}/mls_german/")
    here, there = read_corpus(near), read_corpus(far)
    assert found(there) == found(here) and len(there.utterances) == 3
    taken = {path: path.stat().st_blocks for path in far.rglob("*") if path.is_file()}
    assert not any(count for path, count in taken.items() if path.suffix in (".wav", ".flac"))
    for key, (wave, rate) in waves(here).items():
        assert rate == 16_000 and np.array_equal(waves(there)[key][0], wave)


def test_odd_names_are_found(bucket: S3Server, tmp_path: Path) -> None:
    near = tmp_path / "near"
    stems = ["a b", "ü#1", "50%", "x+y", "q?", "%41"]
    clips = [replace(clip, id=stem) for clip, stem in zip(make_clips(6), stems, strict=True)]
    write.write_pairs(near, clips)
    for path in near.rglob("*"):
        if path.is_file():
            standing.place_in(f"s3://bucket/odd/{path.relative_to(near)}")[0].put(
                f"odd/{path.relative_to(near)}", path.read_bytes()
            )
    bucket.put("odd/", b"")  # as consoles make folders
    bucket.put("odd/s0", b"beside a folder of this name")
    far = read_corpus(corpus_path("s3://bucket/odd"))
    assert found(far) == found(read_corpus(near))
    assert len(waves(far)) == 6


def rows(*audio: str) -> bytes:
    lines = (json.dumps({"id": str(i), "audio": a, "text": "x"}) for i, a in enumerate(audio))
    return "\n".join(lines).encode()


def test_a_manifest_names_objects_here_and_elsewhere(bucket: S3Server, tmp_path: Path) -> None:
    wave = write.write_audio(tmp_path / "a.wav", make_clips(1)[0].wave, 24_000).read_bytes()
    for name in ("named/audio/a.wav", "other/b.wav", "named/c.wav"):
        bucket.put(name, wave)
    audio = ["audio/a.wav", "s3://bucket/other/b.wav", "../other/b.wav", "s3://bucket/named/c.wav"]
    missing = ["s3://bucket/other/none.wav", "none.wav", "gs://bucket/other/b.wav"]
    missing += ["s3://bucket/other/\0.wav", "../other/" + 3000 * "x"]
    bucket.put("named/list.jsonl", rows(*audio, *missing))
    path = corpus_path("s3://bucket/named/list.jsonl")
    corpus = read_corpus(path)
    sources = ["audio/a.wav", "../other/b.wav", "../other/b.wav", "c.wav"]
    assert [u.source for u in corpus.utterances] == sources
    odd = {"list.jsonl:8": Reason.BAD_ROW}
    assert reasons(corpus) == dict.fromkeys("4568", Reason.AUDIO_MISSING) | odd
    assert len({w.tobytes() for w, _ in waves(corpus).values()}) == 1
    # what was there, and is not any more
    bucket.delete("other/b.wav")
    corpus = read_corpus(corpus_path("s3://bucket/named/list.jsonl"))
    assert [u.source for u in corpus.utterances] == ["audio/a.wav", "c.wav"]


def test_a_manifest_of_this_machine_asks_no_server(tmp_path: Path) -> None:
    put(tmp_path, {"manifest.jsonl": rows("s3://bucket/a.wav", "http://127.0.0.1:1/a.wav")})
    assert reasons(read_corpus(tmp_path)) == dict.fromkeys("01", Reason.AUDIO_MISSING)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server of a folder, which sends no ranges."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


def test_a_manifest_on_a_web_server(
    web: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = web
    monkeypatch.setenv("NS2_CACHE", str(tmp_path / "cache"))
    clip = make_clips(1)[0].wave
    for name in ("a b.wav", "deep/c.wav"):
        write.write_audio(folder / name, clip, 24_000)
    text = rows("a b.wav", f"{url}/a%20b.wav", "deep/c.wav", "none.wav", "http://127.0.0.1:1/a.wav")
    put(folder, {"manifest.jsonl": text})
    corpus = read_corpus(corpus_path(f"{url}/manifest.jsonl"))
    assert [u.source for u in corpus.utterances] == ["a b.wav", "a b.wav", "deep/c.wav"]
    assert reasons(corpus) == dict.fromkeys("34", Reason.AUDIO_MISSING)
    assert all(len(wave) == len(clip) for wave, _ in waves(corpus).values())
    with pytest.raises(UserError, match="nothing lists the files of a web server; name a manifest"):
        corpus_path(f"{url}/deep")


def test_a_folder_by_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NS2_CACHE", str(tmp_path / "cache"))
    near = write.write_ljspeech(tmp_path / "near", make_clips(2))
    far = read_corpus(corpus_path(f"file://{tmp_path}/near"))
    assert found(far) == found(read_corpus(near)) and len(waves(far)) == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/nowhere", "no corpus at s3://bucket/nowhere: no such object, and none below"),
        ("s3://no-such-bucket/x", "there is no such bucket; look at its name"),
        ("s3://bucket/held", "inside of other files, such as a.tar, are read from a disk alone"),
        ("s3://bucket/held/a.tar", "such as a.tar, are read from a disk alone"),
    ],
)
def test_what_is_wrong_is_told(bucket: S3Server, url: str, message: str) -> None:
    bucket.put("held/a.tar", b"x")
    with pytest.raises(UserError, match=message):
        read_corpus(corpus_path(url))


def test_wrong_credentials_are_told(bucket: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"<?xml version='1.0'?><Error><Code>InvalidAccessKeyId</Code></Error>"
    with proxy_before(bucket.port, Faults(answer=("403 Forbidden", text))) as proxy:
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UserError, match=r"credentials .*AWS_ACCESS_KEY_ID"):
            corpus_path("s3://bucket/corpus")


def test_a_file_that_stood_for_an_object_is_no_copy_of_it(bucket: S3Server) -> None:
    bucket.put("kinds/list.wav", rows("x.wav"))  # not copied with its folder
    folder = corpus_path("s3://bucket/kinds")
    assert not (folder / "list.wav").read_bytes().strip(b"\0")
    assert corpus_path("s3://bucket/kinds/list.wav").read_bytes() == rows("x.wav")


def test_what_is_there_is_seen_anew_each_time(bucket: S3Server, tmp_path: Path) -> None:
    near = write.write_ljspeech(tmp_path / "near", make_clips(3))
    bucket.upload(near, "moving")
    corpus_path("s3://bucket/moving")
    bucket.delete("moving/wavs/clip-0001.wav")
    put(near, {"metadata.csv": "clip-0000|new|new\nclip-0001|gone|gone\n"})
    bucket.put("moving/metadata.csv", (near / "metadata.csv").read_bytes())
    corpus = read_corpus(corpus_path("s3://bucket/moving"))
    assert [u.text for u in corpus.utterances] == ["new"]
    assert reasons(corpus) == {"clip-0001": Reason.AUDIO_MISSING}
