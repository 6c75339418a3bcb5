"""One writer for a dataset or run in a bucket: an object that its holder renews while it lives.

Clocks are not compared: who finds a lease watches whether it is renewed. A holder on this machine
that is gone is seen at once.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import parse_json
from ns2.pipeline.dataset.layout import LEASE
from ns2.pipeline.remote.faults import ExistsError, MissingError, RemoteError
from ns2.pipeline.remote.objects import Objects

RENEWED = 5.0
"""Seconds after which a holder renews its lease."""
ENDS = 30.0
"""Seconds without renewal after which a lease has ended."""


class Lease:
    """The lease of a dataset or run, held while the block lasts."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._tag, self._count, self._lost = "", 0, False
        self._over = threading.Event()
        self._holder = {"holder": secrets.token_hex(8), **_this_process()}

    def __enter__(self) -> Lease:
        """Take the lease.

        Raises:
            UserError: another process holds it.
        """
        try:
            self._tag = self._objects.put(LEASE, self._content(), create=True)
        except ExistsError:
            self._take_over()
        self._thread = threading.Thread(target=self._renew, name="ns2-lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if not self._lost:
            self._objects.delete(LEASE)

    def check(self) -> None:
        """See that the lease is still held.

        Raises:
            UserError: another process has taken it.
        """
        if self._lost:
            raise UserError(
                f"another ns2 has begun to work on {self._objects.url}, because this one was not "
                "heard of for too long. What is written stays."
            )

    def _content(self) -> bytes:
        self._count += 1
        return json.dumps({**self._holder, "renewed": self._count}).encode()

    def _take_over(self) -> None:
        """Take the lease of a holder that is gone.

        Raises:
            UserError: it is not.
        """
        try:
            tag = self._objects.size(LEASE)[1]
            holder = parse_json(self._objects.read(LEASE))
        except MissingError:  # given back just now
            holder, tag = None, ""
        except ValueError:
            holder = {}
        until = time.monotonic() + ENDS
        while tag and not _is_gone(holder) and time.monotonic() < until:
            time.sleep(RENEWED / 2)
            now = self._tag_now()
            if now != tag and now:
                raise self._held(holder)
            tag = now
        try:
            self._tag = self._objects.put(LEASE, self._content(), create=not tag, tag=tag)
        except ExistsError:
            raise self._held(holder) from None

    def _tag_now(self) -> str:
        try:
            return self._objects.size(LEASE)[1]
        except MissingError:
            return ""

    def _held(self, holder: Any) -> UserError:
        who = holder if isinstance(holder, dict) else {}
        return UserError(
            f"another ns2 is at work in {self._objects.url} (process {who.get('process', '?')} on "
            f"{who.get('host', '?')}); wait for it or stop it first"
        )

    def _renew(self) -> None:
        while not self._over.wait(RENEWED):
            try:
                self._tag = self._objects.put(LEASE, self._content(), tag=self._tag)
            except (ExistsError, MissingError):
                # a renewal whose answer was lost looks the same as the renewal of another, and
                # where there is none any more, another one may have come and gone
                if not self._is_own():
                    self._lost = True
                    return
            except RemoteError:
                continue  # once it can be reached again it shows whose lease it is

    def _is_own(self) -> bool:
        try:
            found = parse_json(self._objects.read(LEASE))
            self._tag = self._objects.size(LEASE)[1]
        except (RemoteError, ValueError):
            return False
        return isinstance(found, dict) and found.get("holder") == self._holder["holder"]


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "process": pid,
        "began": _began(pid),
    }


def _is_gone(holder: Any) -> bool:
    """Whether a holder was a process of this machine that is no more."""
    if not isinstance(holder, dict) or holder.get("boot") != _boot() or not _boot():
        return False
    return holder.get("began") != _began(holder.get("process"))


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _began(process: object) -> str:
    """When a process of this machine began, in ticks; empty where there is none."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]
