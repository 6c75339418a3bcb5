"""`ns2 preprocess` of a corpus in a bucket: the bytes that a copy on a disk gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.commands.making import TOO_MANY_REJECTED
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.dataset.layout import REJECTED
from tests.support.bucket.proxy import Proxy, proxy_before
from tests.support.bucket.server import S3Server, environment, reach
from tests.support.preprocessing import contents

URL = "s3://bucket/corpus"


def made(corpus: object, out: object, *more: object) -> str:
    words = ["preprocess", corpus, "-o", out, "--codec", "mini", "--shard-utterances", 4,
             "--val-share", 0.3, "--quantizers", 4, "--executor", "inline",
             *more]  # fmt: skip
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code in (0, TOO_MANY_REJECTED), done.output
    return done.output


@pytest.fixture
def proxy(
    s3: S3Server, spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    reach(s3.endpoint, tmp_path / "cache", monkeypatch)
    s3.upload(spoken, "corpus")
    with proxy_before(s3.port) as proxy:
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


def fetched(proxy: Proxy) -> list[str]:
    """The recordings that were fetched since it was asked last."""
    asked = [line.split(" ")[1] for line, _ in proxy.lines if line.startswith("GET")]
    proxy.lines.clear()
    return sorted(path.rpartition("/")[2] for path in asked if path.endswith(".wav"))


def test_the_bytes_are_those_of_a_copy_and_a_change_is_seen(
    proxy: Proxy, s3: S3Server, corpus: Path, speech: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out, names = tmp_path / "out", sorted(path.name for path in (corpus / "wavs").iterdir())
    made(URL, out)
    assert contents(out) == contents(speech)
    kept = [path for path in (tmp_path / "cache").rglob("*.wav") if path.stat().st_blocks]
    assert not kept and sorted({*fetched(proxy)}) == names
    # nothing to do, on this machine and on another
    made(URL, out)
    assert fetched(proxy) == []
    monkeypatch.setenv("NS2_CACHE", str(tmp_path / "other"))
    made(URL, out)
    assert fetched(proxy) == [] and contents(out) == contents(speech)
    # another recording of the same length, and one that is gone
    changed, gone = names[:2]
    wave = bytearray((corpus / "wavs" / changed).read_bytes())
    wave[-2000:] = bytes(2000)
    (corpus / "wavs" / changed).write_bytes(wave)
    (corpus / "wavs" / gone).unlink()
    near = shutil.copytree(speech, tmp_path / "near")
    made(corpus, near)
    s3.put(f"corpus/wavs/{changed}", bytes(wave))
    s3.delete(f"corpus/wavs/{gone}")
    made(URL, out)
    assert {*fetched(proxy)} == {changed}
    assert contents(out) == contents(near)


def test_a_manifest_from_a_bucket_to_a_bucket(
    proxy: Proxy, s3: S3Server, corpus: Path, tmp_path: Path
) -> None:
    table = (corpus / "metadata.csv").read_text("utf-8").splitlines()
    texts = dict(line.split("|")[:2] for line in table)
    rows = [{"audio": f"wavs/{name}.wav", "text": text} for name, text in sorted(texts.items())]
    rows.insert(3, {"audio": "wavs/none.wav", "text": "It is not there."})
    near = tmp_path / "manifest"
    shutil.copytree(corpus / "wavs", near / "wavs")
    (near / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    s3.upload(near, "manifest")
    words = ("--columns", "mel,meta")
    made(near, tmp_path / "near", *words)
    made("s3://bucket/manifest", "s3://bucket/made-of-manifest", *words)
    found = s3.contents("made-of-manifest")
    expected = contents(tmp_path / "near")
    assert {n: d for n, d in found.items() if not n.startswith(".state")} == expected
    (lost,) = pq.read_table(tmp_path / "near" / REJECTED).to_pylist()
    assert lost["reason"] == Reason.AUDIO_MISSING
    said = made("s3://bucket/manifest/manifest.jsonl", "s3://bucket/other", "--plan", *words)
    assert "10 utterances" in said
