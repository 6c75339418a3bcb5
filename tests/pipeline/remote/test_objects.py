"""Objects in a bucket: faults that pass are met by trying again, others are named."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.remote import objects as remote
from ns2.pipeline.remote.faults import ExistsError, MissingError, NoRangesError, RemoteError
from ns2.pipeline.remote.objects import TRAFFIC, Objects
from ns2.pipeline.remote.urls import copy_folder, is_url, make_folder, parse_size
from tests.support.bucket.proxy import Proxy, proxy_before
from tests.support.bucket.server import S3Server, environment
from tests.support.factories import ROOT

DATA = bytes(range(256)) * 100


@pytest.fixture(scope="module")
def filled(s3: S3Server) -> S3Server:
    s3.put("objects/data", DATA)
    return s3


@pytest.fixture
def proxy(filled: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy_before(filled.port) as proxy:
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(remote, "PATIENCE", 20.0)
        yield proxy


def test_objects_are_put_read_listed_and_deleted(proxy: Proxy) -> None:
    place = Objects("s3://bucket/own/")
    place.put("a/b", b"first")
    assert place.read("a/b") == b"first" and place.read("a/b", 1, 3) == b"ir"
    with pytest.raises(ExistsError):
        place.put("a/b", b"second", create=True)
    size, tag = place.size("a/b")
    assert size == 5
    assert place.put("a/b", b"third", tag=tag) != tag
    with pytest.raises(ExistsError):
        place.put("a/b", b"fourth", tag=tag)
    assert [(name, size) for name, size, _ in place.names()] == [("a/b", 5)]
    place.delete("a/b")
    place.delete("a/b")
    with pytest.raises(MissingError, match="own/a/b is not there"):
        place.read("a/b")


@pytest.mark.parametrize("kind", ["error", "reset", "cut"])
def test_faults_that_pass_cost_retries(proxy: Proxy, kind: str) -> None:
    place, before = Objects("s3://bucket/objects"), TRAFFIC.retries
    setattr(proxy.faults, kind, 0.3)
    for i in range(20):
        assert place.read("data", i, i + 9000) == DATA[i : i + 9000]
    assert proxy.met[kind] > 0 and TRAFFIC.retries - before == proxy.met[kind]


ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>No.</Message></Error>"


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        ("403 Forbidden", "RequestTimeTooSkewed", "machine's clock"),
        ("403 Forbidden", "InvalidAccessKeyId", "credentials.*AWS_ACCESS_KEY_ID"),
        ("403 Forbidden", "AccessDenied", "access is denied"),
        ("401 Unauthorized", "", "credentials"),
        ("404 Not Found", "NoSuchKey", "data is not there"),
        ("404 Not Found", "NoSuchBucket", "no such bucket.*AWS_ENDPOINT_URL"),
    ],
)
def test_faults_that_last_are_named_at_once(
    proxy: Proxy, status: str, code: str, message: str
) -> None:
    proxy.faults.answer = (status, ERROR.format(code).encode() if code else b"")
    with pytest.raises(RemoteError, match=message):
        Objects("s3://bucket/objects").read("data", 0, 10)
    assert len(proxy.lines) == 1


def test_a_server_that_stays_away_is_named(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 1.0)
    proxy.faults.gone = True
    with pytest.raises(RemoteError, match=r"can't be reached, tried [2-9] times"):
        Objects("s3://bucket/objects").read("data")


def test_a_server_without_ranges_is_named(proxy: Proxy) -> None:
    proxy.faults.no_ranges = True
    with pytest.raises(NoRangesError, match="byte ranges"):
        Objects("s3://bucket/objects").read("data", 5, 15)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "minio", "s3://minio", "http://"])
def test_an_endpoint_that_is_no_url_is_named(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UserError, match=f"AWS_ENDPOINT_URL is {endpoint}, expected https"):
        Objects("s3://bucket/objects")


def test_a_web_server_is_not_written_to() -> None:
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = Objects(f"http://127.0.0.1:{server.server_port}/x")
        with pytest.raises(RemoteError, match="can't be written to a place of this kind"):
            place.put("lease", b"", create=True)
        with pytest.raises(RemoteError, match="can't be written to a place of this kind"):
            place.names()
        server.shutdown()


def test_a_folder_of_copies_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NS2_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"copies .*/file can't be used .*name another one with"):
        make_folder(copy_folder("s3://bucket/objects"))


def test_web_servers_are_read(proxy: Proxy) -> None:
    place = Objects(f"{proxy.endpoint}/bucket/objects")
    assert place.read("data", 5, 15) == DATA[5:15] and place.size("data")[0] == len(DATA)
    with pytest.raises(MissingError):
        place.read("nothing")


def test_other_urls_go_through_fsspec(tmp_path: Path) -> None:
    place = Objects(f"file://{tmp_path}")
    place.put("a/b", b"first")
    assert place.read("a/b", 1, 3) == b"ir"
    assert [(name, size) for name, size, _ in place.names()] == [("a/b", 5)]
    with pytest.raises(MissingError):
        place.read("nothing")
    with pytest.raises(RemoteError, match="know no conditions; write to S3"):
        place.put("lease", b"mine", create=True)
    assert [name for name, *_ in place.names()] == ["a/b"]
    with pytest.raises(UserError, match="nonsense"):
        Objects("nonsense://a/b")


def test_a_patience_that_is_no_number_is_told(tmp_path: Path) -> None:
    wrong = {**os.environ, "NS2_REMOTE_PATIENCE": "long"}
    command = [sys.executable, "-m", "ns2.cli", "inspect", "s3://bucket/shards"]
    found = subprocess.run(command, capture_output=True, env=wrong, cwd=ROOT)
    assert found.returncode == 1 and b"Traceback" not in found.stderr
    assert b"NS2_REMOTE_PATIENCE is a number of seconds, got 'long'" in found.stderr


def test_urls_are_told_from_paths() -> None:
    assert is_url("s3://bucket/shards") and is_url("https://host/shards")
    assert not is_url("shards") and not is_url("/a/s3:/b") and not is_url(Path("s3://b"))


@pytest.mark.parametrize(
    ("text", "size"), [("200G", 200 * 10**9), ("1.5T", 15 * 10**11), ("512 MB", 512 * 10**6)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "5", "-3G"])
def test_wrong_sizes_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--cache-size"):
        parse_size(text)


def test_nothing_of_other_packages_is_loaded_for_a_folder() -> None:
    code = (
        "import sys; from ns2.pipeline.dataset import Dataset; import ns2.train.data.prefetch; "
        "print([n for n in ('obstore', 'fsspec', 'boto3', 's3fs') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ)
    assert found.stdout.strip() == b"[]", found.stderr
