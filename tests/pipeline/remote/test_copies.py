"""Copies of objects are what the server lists, whatever happens on their way."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5
from pathlib import Path

import pytest

from ns2.pipeline.remote import copies
from ns2.pipeline.remote.copies import bring, is_copy, mark, right_bytes, time_of
from ns2.pipeline.remote.faults import RemoteError
from ns2.pipeline.remote.objects import Objects
from tests.support.bucket.proxy import Proxy, proxy_before
from tests.support.bucket.server import S3Server, environment

MD5 = md5(b"hello").hexdigest()


@pytest.fixture
def proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    s3.put("copies/a", b"hello")
    with proxy_before(s3.port) as proxy:
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


def test_wrong_bytes_are_fetched_again(proxy: Proxy) -> None:
    proxy.faults.wrong, place = 0.4, Objects("s3://bucket/copies")
    for _ in range(10):
        assert right_bytes(place, "a", 5, f'"{MD5}"') == b"hello"
    assert proxy.met["wrong"] > 0


def test_an_object_that_has_changed_since_it_was_listed_is_refused(
    proxy: Proxy, s3: S3Server
) -> None:
    place = Objects("s3://bucket/copies")
    (listed,) = place.names()
    s3.put("copies/a", b"olleh")  # as long as before
    with pytest.raises(RemoteError, match="copies/a is not what the server lists"):
        right_bytes(place, *listed)


def test_a_tag_that_only_looks_like_an_md5_costs_one_more_request(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_OPAQUE", set[str]())
    place, tag = Objects("s3://bucket/copies"), "0" * 32
    monkeypatch.setattr(Objects, "size", lambda *_: (5, tag))  # as stores with KMS answer
    for _ in range(3):
        assert right_bytes(place, "a", 5, tag) == b"hello"
    assert len(proxy.lines) == 4


@pytest.mark.parametrize("tag", [f'"{MD5}"', '"abc-2"'])
def test_a_copy_is_known_by_its_bytes_or_by_its_time(tmp_path: Path, tag: str) -> None:
    file = tmp_path / "a"
    assert not is_copy(file, 5, tag)
    file.write_bytes(b"hello")
    mark(file, tag)
    assert is_copy(file, 5, tag) and not is_copy(file, 5, '"other-2"')
    assert file.stat().st_mtime_ns == time_of(tag) == time_of(tag.strip('"'))
    assert not is_copy(file, 6, tag)
    file.write_bytes(b"olleh")
    assert not is_copy(file, 5, tag)


def test_a_changed_object_is_copied_again(proxy: Proxy, s3: S3Server, tmp_path: Path) -> None:
    place = Objects("s3://bucket/copies")
    for content in (b"hello", b"olleh"):
        s3.put("copies/a", content)
        bring(place, tmp_path, place.names())
        assert (tmp_path / "a").read_bytes() == content
    before = (tmp_path / "a").stat()
    bring(place, tmp_path, place.names())
    assert (tmp_path / "a").stat() == before
