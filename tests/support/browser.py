"""A page in a headless Chromium, moved by keys and asked by JavaScript; it has no network."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tests.support.processes import kill_tree

_SECONDS = 120.0
"""The longest wait, on a busy machine."""


class BrowserPage:
    """A page, spoken to by the DevTools protocol over two pipes: JSON, each ended by a zero."""

    def __init__(self, to: BinaryIO, back: BinaryIO) -> None:
        self._to, self._back, self._sent, self._session = to, back, 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._sent += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._sent, "method": method, "params": given, **session}
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._sent:
                assert "error" not in answer, (method, answer)
                found: dict[str, Any] = answer["result"]
                return found

    def _next(self) -> bytes:
        data = bytearray()
        while (one := self._back.read(1)) != b"\0":
            assert one, "the browser has ended"
            data += one
        return bytes(data)

    def open(self, path: Path, width: int, height: int = 900) -> None:
        """Open a file in a window of this size, and wait until it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=path.as_uri())
        until = time.monotonic() + _SECONDS
        while self.ask("location.href + ' ' + document.readyState") != f"{path.as_uri()} complete":
            assert time.monotonic() < until, "the page does not load"
            time.sleep(0.05)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go.

        Args:
            code: its Windows virtual key code.
            text: what it types, if anything.
        """
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, **_codes(code))
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **_codes(code))


def _codes(code: int) -> dict[str, int]:
    return {"windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code}


@contextmanager
def browser(folder: Path) -> Iterator[BrowserPage]:
    """Start Chromium with its files in a folder; all its processes end with the context."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    chromium = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
        "--disable-background-networking", f"--user-data-dir={folder}",
    ]  # fmt: skip
    # Chromium reads from descriptor 3 and writes to 4; sh knows none above 9
    shell = ["bash", "-c", f'exec "$@" 3<&{their_in} 4>&{their_out}', "bash", *chromium]
    process = subprocess.Popen(
        shell,
        pass_fds=(their_in, their_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_in)
    os.close(their_out)
    try:
        with os.fdopen(our_out, "wb") as to, os.fdopen(our_in, "rb") as back:
            yield BrowserPage(to, back)
    finally:
        kill_tree(process.pid)
        process.wait()
