"""Objects in a bucket: faults that pass are met by trying again, others are named."""

from __future__ import annotations

import http.server
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler as Handler
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509  # which moto needs
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.remote import objects as remote
from ns2.pipeline.remote.faults import (
    ExistsError,
    MissingError,
    NoRangesError,
    RemoteError,
    ShortError,
    gave_up,
    lasting_fault,
)
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


@pytest.mark.parametrize("folder", ["a b/ü", "odd#1", "odd#2", "a%20b", "why?x=1", "~[+]"])
def test_signs_of_names_stand_for_themselves(proxy: Proxy, s3: S3Server, folder: str) -> None:
    place = Objects(f"s3://bucket/{folder}")
    place.put("ä #%?.bin", folder.encode())
    assert f"{folder}/ä #%?.bin" in s3.names()
    assert [name for name, *_ in place.names()] == ["ä #%?.bin"]
    assert place.read("ä #%?.bin") == folder.encode()


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
        ("400 Bad Request", "AuthorizationHeaderMalformed", "another region.*AWS_REGION"),
        ("301 Moved Permanently", "", "another region.*AWS_REGION"),
        ("416 Range Not Satisfiable", "InvalidRange", "ends before the bytes"),
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


def test_an_object_that_is_too_short_is_named(proxy: Proxy) -> None:
    for begin in (len(DATA) - 5, len(DATA) + 5):  # the server sends less, or nothing
        with pytest.raises(ShortError, match="data ends before the bytes"):
            Objects("s3://bucket/objects").read("data", begin, begin + 10)
    assert len(proxy.lines) == 2


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


MACHINE = "Error performing PUT http://169.254.169.254/latest/api/token in 1s - {}\n\nDebug"
"""What obstore says where no credentials are set: a machine of a cloud may give some."""


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("s3://bucket/x", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket/x", "GOOGLE_SERVICE_ACCOUNT"),
        ("az://bucket/x", "AZURE_STORAGE_ACCOUNT_KEY"),
    ],
)
def test_missing_credentials_are_named_for_each_kind_of_store(url: str, hint: str) -> None:
    denied = OSError(MACHINE.format("Server returned non-2xx status code: 403 Forbidden: no"))
    assert re.search(f"there are no credentials: .*{hint}", str(lasting_fault(denied, url)))
    unheard = OSError(MACHINE.format("HTTP error: error sending request"))
    assert lasting_fault(unheard, url) is None  # a machine that gives some may be busy
    assert re.search(f"there are no credentials: .*{hint}", str(gave_up(unheard, url, 9)))


def test_a_certificate_that_is_not_accepted_is_named(tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    pem.write_bytes(self_signed())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        before = TRAFFIC.requests
        with pytest.raises(RemoteError, match="certificate of the server is not accepted"):
            Objects(f"https://127.0.0.1:{server.server_port}/x").read("a")
        assert TRAFFIC.requests == before + 1
        server.shutdown()


def self_signed() -> bytes:
    """A key, and a certificate for 127.0.0.1 that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=1,
        not_valid_before=now - timedelta(days=1), not_valid_after=now + timedelta(days=1),
    )  # fmt: skip
    own = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = made.add_extension(own, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    kind = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, kind, plain)
    return secret + signed.public_bytes(serialization.Encoding.PEM)


def test_a_web_server_is_not_written_to() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
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


INTERRUPTED = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from ns2.pipeline.remote.objects import lasting_pool
pool = lasting_pool(2, "ns2-test") if sys.argv[1] == "lasting" else ThreadPoolExecutor(2)
begin = threading.Thread.start
def interrupted(thread):
    begin(thread)
    raise KeyboardInterrupt
threading.Thread.start = interrupted
try:
    pool.submit(print)
except KeyboardInterrupt:
    time.sleep(0.5)  # its thread waits for more by now
"""


@pytest.mark.parametrize("pool", ["lasting", "plain"])
def test_a_thread_that_an_interrupt_met_as_it_started_ends_with_the_process(pool: str) -> None:
    """Python's own pool, for comparison, would be waited for without an end."""
    command = [sys.executable, "-c", INTERRUPTED, pool]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            ended = process.wait(timeout=60 if pool == "lasting" else 5) == 0
        except subprocess.TimeoutExpired:
            ended = False
            process.kill()
    assert ended == (pool == "lasting")
