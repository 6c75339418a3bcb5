"""Stores of other makers, by emulators that are no packages of Python: skipped where none is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from ns2.pipeline.dataset import Dataset
from ns2.pipeline.dataset.bucket.lease import Lease
from ns2.pipeline.remote.faults import ExistsError, MissingError, RemoteError
from ns2.pipeline.remote.objects import Objects
from tests.support.bucket.server import free_port
from tests.support.dataset_factories import Recipe, make_dataset

ACCOUNT = "devstoreaccount1"
KEY = (  # Azurite's own, which its documentation gives
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def make_container(endpoint: str) -> None:
    """Make the container `bucket`, which no client of objects does."""
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": "2020-10-02"}
    named = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = f"PUT{12 * chr(10)}{named}/{ACCOUNT}/{ACCOUNT}/bucket\nrestype:container"
    signed = hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signed).decode()}"
    asked = Request(f"{endpoint}/bucket?restype=container", method="PUT", headers=headers)
    with urlopen(asked, timeout=30):
        return


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Azurite with a container, and the variables by which clients find it."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not installed (npm install -g azurite)")
    port = free_port()
    words = [program, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    words += ["--location", str(tmp_path / "azurite"), "--blobPort", str(port)]
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", endpoint)
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    monkeypatch.setenv("NS2_CACHE", str(tmp_path / "cache"))
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    make_container(endpoint)
                    break
                except URLError:
                    if process.poll() is not None or time.monotonic() > until:
                        raise
                    time.sleep(0.2)
            yield
        finally:
            process.terminate()


def test_objects_of_azure(azure: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Objects("az://bucket/a folder #1")
    tag = place.put("ä b", b"first", create=True)
    with pytest.raises(ExistsError):
        place.put("ä b", b"second", create=True)
    assert place.size("ä b") == (5, tag) and place.names() == [("ä b", 5, tag)]
    assert place.put("ä b", b"third", tag=tag) != tag
    with pytest.raises(ExistsError):
        place.put("ä b", b"fourth", tag=tag)
    assert place.read("ä b", 1, 3) == b"hi"
    place.delete("ä b")
    with pytest.raises(MissingError):
        place.read("ä b")
    with Lease(place) as held:
        held.check()
    assert place.names() == []
    near = make_dataset(tmp_path / "near", Recipe(shards=2, per_shard=4))
    far = Objects("az://bucket/shards")
    for path in near.rglob("*"):
        if path.is_file():
            far.put_file(path.relative_to(near).as_posix(), path)
    for one, other in zip(Dataset(near), Dataset(far.url), strict=True):
        assert one["key"] == other["key"] and (one["codes"] == other["codes"]).all()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"another").decode())
    with pytest.raises(RemoteError, match="AZURE_STORAGE_ACCOUNT_KEY"):
        Objects("az://bucket/other").read("a")
