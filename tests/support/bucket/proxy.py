"""A proxy that answers late, with errors, resets, cut or wrong bodies, or not at all.

Each connection is served by a thread; what a request meets is drawn from a seeded generator, so
that the shares of faults are those that were asked for.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_KINDS = ("error", "reset", "cut", "wrong")


@dataclass
class Faults:
    """What requests meet; may be changed while the proxy runs.

    Attributes:
        delay: seconds by which each answer is late.
        error, reset, cut, wrong: shares of requests that get a 500, a reset, half of a body, or a
            body with a wrong byte. The last two meet only GETs.
        gone: nobody listens: connections are refused as soon as they are made.
        wrong_at: the first GET whose line holds this gets a body with a wrong byte; then "".
        gone_at: the first request whose line holds this is not answered, and `gone` holds then.
        answer: (status line, body) that each request gets in place of the server's.
        no_ranges: ranges are ignored, as some servers do.
    """

    delay: float = 0.0
    error: float = 0.0
    reset: float = 0.0
    cut: float = 0.0
    wrong: float = 0.0
    gone: bool = False
    wrong_at: str = ""
    gone_at: str = ""
    answer: tuple[str, bytes] | None = None
    no_ranges: bool = False


@dataclass
class Proxy:
    """A proxy that runs.

    Attributes:
        endpoint: its URL.
        faults: what requests meet.
        met: how many requests met what; `ok` are those that met nothing.
        lines: the first line of every request, and its range.
        bytes: of all bodies that were passed on.
    """

    port: int
    target: int
    faults: Faults
    seed: int = 0
    met: Counter[str] = field(default_factory=Counter)
    lines: list[tuple[str, str]] = field(default_factory=list)
    bytes: int = 0

    def __post_init__(self) -> None:
        self._random, self._lock = random.Random(self.seed), threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Answer the requests of a connection until one of both sides ends it."""
        with client, suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            behind = b""
            while not self.faults.gone:
                found = _message(client, behind, has_body=True)
                if found is None:
                    return
                head, body, behind = found
                if not self._answer(client, head, body):
                    return

    def _answer(self, client: socket.socket, head: bytes, body: bytes) -> bool:
        """Answer one request; False if the connection ends with it."""
        faults, first = self.faults, head.split(b"\r\n", 1)[0].decode("latin-1")
        meets = self._draw(first.startswith("GET"))
        if faults.wrong_at and faults.wrong_at in first and first.startswith("GET"):
            meets, faults.wrong_at = "wrong", ""
        asked = re.search(rb"\r\nrange: *([^\r]*)", head, re.IGNORECASE)
        with self._lock:
            self.met[meets] += 1
            self.lines.append((first, asked[1].decode() if asked else ""))
        if faults.gone_at and faults.gone_at in first:
            faults.gone = True
        if faults.delay:
            time.sleep(faults.delay)
        if faults.gone:
            return False
        if meets == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if meets == "error" or faults.answer is not None:
            status, text = faults.answer or ("500 Internal Server Error", b"")
            sent = b"" if first.startswith("HEAD") else text
            client.sendall(
                f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n\r\n".encode() + sent
            )
            return True
        if faults.no_ranges:
            head = re.sub(rb"\r\nrange:[^\r]*", b"", head, flags=re.IGNORECASE)
        there = self._pass_on(head, body, first.startswith("HEAD"))
        if there is None:
            return False
        return self._send(client, *there, meets)

    def _draw(self, is_get: bool) -> str:
        with self._lock:
            drawn = self._random.random()
        for kind in _KINDS if is_get else _KINDS[:2]:
            share = getattr(self.faults, kind)
            if drawn < share:
                return kind
            drawn -= share
        return "ok"

    def _pass_on(self, head: bytes, body: bytes, is_head: bool) -> tuple[bytes, bytes] | None:
        """The server's answer, as head and body."""
        head = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE)
        head = head.removesuffix(b"\r\n\r\n") + b"\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.target), timeout=60) as server:
            server.sendall(head + body)
            found = _message(server, b"", has_body=not is_head)
        return None if found is None else found[:2]

    def _send(self, client: socket.socket, head: bytes, body: bytes, meets: str) -> bool:
        head = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE)
        if meets == "cut" and body:
            client.sendall(head + body[: len(body) // 2])
            return False
        if meets == "wrong" and body:
            at = len(body) // 2
            body = body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :]
        client.sendall(head + body)
        with self._lock:
            self.bytes += len(body)
        return True


def _message(
    connection: socket.socket, behind: bytes, *, has_body: bool
) -> tuple[bytes, bytes, bytes] | None:
    """Head and body of a request or an answer, and what came behind it; None where all ends."""
    data = bytearray(behind)
    while (end := data.find(b"\r\n\r\n")) < 0:
        more = connection.recv(1 << 16)
        if not more:
            return None
        data += more
    head, body = bytes(data[: end + 4]), data[end + 4 :]
    if b"\r\nexpect: 100-continue" in head.lower():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = re.sub(rb"\r\nexpect:[^\r]*", b"", head, flags=re.IGNORECASE)
    length = _LENGTH.search(head) if has_body else None
    if has_body and _CHUNKED.search(head):
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(1 << 20)
        return head, bytes(body), b""
    want = int(length[1]) if length else 0
    while len(body) < want:
        more = connection.recv(1 << 20)
        if not more:
            return None
        body += more
    return head, bytes(body[:want]), bytes(body[want:])


@contextmanager
def proxy_before(target: int, faults: Faults | None = None, seed: int = 0) -> Iterator[Proxy]:
    """A proxy before a port of this machine, which ends with the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        proxy = Proxy(listener.getsockname()[1], target, faults or Faults(), seed)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield proxy
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
