"""moto's S3 server as a process of its own, and the environment by which clients find it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    import pytest

BUCKET = "bucket"
_SECONDS = 60
_DIRECTLY = build_opener(ProxyHandler({}))
"""Whatever proxies the environment, or `urlopen` from an earlier one, may name."""
_HEADERS = {
    "Content-Type": "application/octet-stream",  # a form would be parsed
    "Authorization": "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0",  # nobody compares it
    "x-amz-acl": "public-read",
}


@dataclass(frozen=True)
class S3Server:
    """A server that runs.

    Attributes:
        port: on 127.0.0.1.
        bucket: a bucket that is there.
    """

    port: int
    bucket: str = BUCKET

    @property
    def endpoint(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, name: str, data: bytes) -> None:
        """Store an object, as any other program would."""
        self._ask("PUT", name, data)

    def get(self, name: str) -> bytes:
        """The bytes of an object."""
        return self._ask("GET", name)

    def delete(self, name: str) -> None:
        """Remove an object."""
        self._ask("DELETE", name)

    def upload(self, folder: Path, prefix: str) -> None:
        """Store every file below a folder, but what runs remember."""
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not name.startswith(".state"):
                self.put(f"{prefix}/{name}", path.read_bytes())

    def names(self, prefix: str = "") -> list[str]:
        """The names of all objects that begin so; at most a thousand."""
        import re

        listing = self._ask("GET", f"?list-type=2&prefix={prefix}").decode()
        return re.findall(r"<Key>([^<]*)</Key>", listing)

    def contents(self, prefix: str) -> dict[str, bytes]:
        """All objects below a prefix by their names relative to it."""
        found = self.names(f"{prefix}/")
        return {name.removeprefix(f"{prefix}/"): self.get(name) for name in found}

    def _ask(self, method: str, name: str, data: bytes | None = None) -> bytes:
        url = f"{self.endpoint}/{self.bucket}/{name}"
        asked = Request(url, data, _HEADERS, method=method)
        with _DIRECTLY.open(asked, timeout=_SECONDS) as answer:
            return bytes(answer.read())


def environment(endpoint: str) -> dict[str, str]:
    """The variables by which clients of S3 find a server without real accounts."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def reach(endpoint: str, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """Have this process use a server, with a cache of its own."""
    for name, value in environment(endpoint).items():
        patch.setenv(name, value)
    patch.setenv("NS2_CACHE", str(cache))
    patch.setenv("NS2_CACHE_SIZE", "1G")


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with an empty bucket, which ends with the block."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet) as process:
        try:
            server = S3Server(port)
            _wait_for(server, process)
            yield server
        finally:
            process.terminate()


def _wait_for(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            server.put("", b"")  # makes the bucket
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)
