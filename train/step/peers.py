"""Noticing that another process of a run has ended before its time.

Collectives of a GPU wait for a process that is gone until they time out, and a process that is
stuck in one of them can't raise anything. So each process holds a connection with the first one,
which the kernel closes when a process ends, however it ends. The first tells the others. A process
that is told ends, too: by an error when it next works with others, or else by its thread. A process
that is busy for long is not taken for one that has ended.

    process k --closed--> first process --"ended k"--> all others
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch._C._distributed_c10d import Store

from ns2.pipeline.core.errors import UserError

GRACE = 10.0
"""Seconds that a process has to end by itself, once another one has ended."""
_EVERY = 0.2
_KEY, _BYE, _ENDED = "ns2-peers", b"bye\n", b"ended %d\n"
_HELLO = 32 + 1 + 8 + 1
"""Bytes with which a process introduces itself: the token of the run, and its number."""
_CONNECT = 60.0
"""Seconds in which a process has to reach the first one."""


class Peers:
    """The other processes of a run, as far as they still are there.

    Attributes:
        ended: the number of a process that has ended before its time; None as long as all go on.
    """

    def __init__(self, rank: int, count: int, store: Store) -> None:
        """Connect with the first process, and begin to watch.

        Args:
            rank, count: of this process.
            store: that all processes share.
        """
        self.ended: int | None = None
        self._rank, self._count = rank, count
        self._busy, self._left = 0, False
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._joined: dict[int, socket.socket] = {}
        self._gone: set[int] = set()
        if rank == 0:
            self._token = secrets.token_hex(16)
            self._listener = _server()
            self._selector.register(self._listener, selectors.EVENT_READ)
            store.set(_KEY, f"{self._listener.getsockname()[1]} {self._token}")
        else:
            self._join_first(*store.get(_KEY).decode().split())
        self._thread = threading.Thread(target=self._watch, name="ns2-peers", daemon=True)
        self._thread.start()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While the block runs, this process does not wait for others and is left to its work."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def check(self) -> None:
        """See that all processes are still there.

        Raises:
            UserError: one has ended.
        """
        if self.ended is not None:
            raise UserError(self.told)

    def wait(self, seconds: float) -> None:
        """Wait for the news that a process has ended, where a collective has failed already."""
        until = time.monotonic() + seconds
        while self.ended is None and time.monotonic() < until:
            time.sleep(0.05)

    @property
    def told(self) -> str:
        """What is said of the process that has ended."""
        return (
            f"process {self.ended} of {self._count} (counted from 0) has ended, and no step can be "
            "done without it; its own message says why. The same command goes on from the newest "
            "checkpoint."
        )

    def leave(self, *, well: bool) -> None:
        """Stop watching.

        Args:
            well: the run has ended for all processes; otherwise the others are to notice.
        """
        self._left = True
        self._thread.join(5)
        if well:
            for one in self._joined.values():
                with contextlib.suppress(OSError):
                    one.sendall(_BYE)
        for one in self._joined.values():
            one.close()
        if self._listener is not None:
            self._listener.close()
        self._selector.close()

    # -- in the thread ---------------------------------------------------------------------------

    def _watch(self) -> None:
        """Listen to the other processes until this one leaves, or has to end."""
        since = time.monotonic()
        while not self._left:
            for key, _ in self._selector.select(_EVERY):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._listen(key.data)
            if self.ended is None or self._busy:
                since = time.monotonic()
            elif time.monotonic() - since > GRACE:
                print(f"Error: {self.told}", file=sys.stderr, flush=True)
                os._exit(1)

    def _join_first(self, port: str, token: str) -> None:
        """Connect with the first process; where that fails, only time-outs tell of its end."""
        try:
            first = socket.create_connection((os.environ["MASTER_ADDR"], int(port)), _CONNECT)
            first.sendall(f"{token} {self._rank:8d}\n".encode())
        except OSError as error:
            print(
                f"process {self._rank} can't reach process 0 at port {port} of "
                f"{os.environ['MASTER_ADDR']} ({error}): that another process has ended is "
                "noticed only when it is waited for too long",
                file=sys.stderr,
                flush=True,
            )
            return
        first.settimeout(None)
        self._join(0, first)

    def _accept(self) -> None:
        """Take a connection, if it is of a process of this run."""
        assert self._listener is not None
        found, _ = self._listener.accept()
        found.settimeout(5.0)
        try:
            words = found.recv(_HELLO, socket.MSG_WAITALL).decode().split()
            known = len(words) == 2 and secrets.compare_digest(words[0], self._token)
        except (OSError, UnicodeDecodeError):
            known = False
        if not known:
            found.close()
            return
        found.settimeout(None)
        self._join(int(words[1]), found)
        if self.ended is not None:
            with contextlib.suppress(OSError):
                found.sendall(_ENDED % self.ended)

    def _join(self, rank: int, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._joined[rank] = connection
        self._selector.register(connection, selectors.EVENT_READ, rank)

    def _listen(self, rank: int) -> None:
        """Read what a process says, or that it has ended."""
        connection = self._joined[rank]
        try:
            said = connection.recv(1024)
        except OSError:
            said = b""
        if said.startswith(_BYE):
            self._gone.add(rank)
        elif said:  # of the first process: another one has ended
            self._end(int(said.split()[1]))
        if not said:
            self._selector.unregister(connection)
            if rank not in self._gone:
                self._end(rank)

    def _end(self, rank: int) -> None:
        """Note that a process has ended, and tell the others."""
        if self.ended is not None:
            return
        self.ended = rank
        if self._rank == 0:
            for other, connection in self._joined.items():
                if other != rank:
                    with contextlib.suppress(OSError):
                        connection.sendall(_ENDED % rank)


def _server() -> socket.socket:
    """A socket that waits for processes: of this machine only, where all of them are on it."""
    here = os.environ["MASTER_ADDR"]
    if here in ("127.0.0.1", "localhost"):
        return socket.create_server((here, 0))
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))
