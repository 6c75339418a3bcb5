"""Starts Ray so that it does the same whatever folder and environment the command is started in.

Ray's workers look for modules in the folder where the driver was when it joined: a `soxr.py` there
would take the place of the library. So the driver joins from an empty folder of its own, and its
own path of modules is that of the workers. Ray's files lie where there is room for them: the paths
of sockets have at most 107 characters, and `/tmp/ray` may be another user's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError

_SOCKET = "/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""The longest path of a socket below Ray's folder."""
_LONGEST = 107
_TRIES, _PAUSE = 30, 0.1
_PLACES = ("/tmp", "/var/tmp", "/dev/shm")


class RayFolder:
    """Where Ray keeps its files: its usual place, or one of our own; and where it is started.

    What is ours is deleted in the end: Ray's processes stay in the folder where they began.
    """

    def __init__(self) -> None:
        self._own: Path | None = None
        self._empty: Path | None = None

    def choose(self) -> dict[str, str]:
        """Arguments of `ray.init` that name a folder; empty where the usual one will do.

        Raises:
            UserError: there is no place for it.
        """
        if _fits(usual_folder()):
            return {}
        for place in (tempfile.gettempdir(), *_PLACES):
            with contextlib.suppress(OSError):
                own = Path(tempfile.mkdtemp(prefix="ns2-", dir=place))
                if len(f"{own}{_SOCKET}") <= _LONGEST:
                    self._own = own
                    return {"_temp_dir": str(own)}
                own.rmdir()
        raise UserError(
            f"Ray needs a folder for its files, but {usual_folder()} can't be written or is too "
            f"long a path, and none of {', '.join(_PLACES)} can be written either. Set "
            "RAY_TMPDIR to a short path of yours, or use --executor inline, which needs no Ray."
        )

    def remove(self) -> None:
        """Delete what is ours; Ray must have ended."""
        for folder in (self._own, self._empty):
            for _ in range(_TRIES):  # Ray's last processes may still write there
                if folder is None or not folder.exists():
                    break
                shutil.rmtree(folder, ignore_errors=True)
                time.sleep(_PAUSE if folder.exists() else 0)
        self._own = self._empty = None

    @contextlib.contextmanager
    def neutral(self) -> Iterator[None]:
        """While the block runs, this process is in an empty folder.

        What is started finds modules where this process does: PYTHONPATH has its `sys.path`.
        """
        path, here = os.environ.get("PYTHONPATH"), Path.cwd()
        if self._empty is None:
            self._empty = Path(tempfile.mkdtemp(prefix="ns2-"))
        parts = [str(here / part) for part in sys.path if os.pathsep not in part]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(parts))
        os.chdir(self._empty)
        try:
            yield
        finally:
            os.chdir(here)
            if path is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = path


def usual_folder() -> Path:
    """Where Ray keeps its files if it is not told otherwise."""
    base = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR")
    return Path(base or "/tmp") / "ray"


def _home_can_be_written() -> bool:
    """Whether there is a home folder, and files can be made in it."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() fails where there is none
    return home.is_dir() and os.access(home, os.W_OK | os.X_OK)


def _fits(folder: Path) -> bool:
    """Whether Ray can work in a folder: its sockets can be named there, and files be made."""
    if len(f"{folder}{_SOCKET}") > _LONGEST:
        return False
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return False
    latest = folder / "session_latest"  # a link that Ray replaces
    sticky = folder.exists() and folder.stat().st_mode & 0o1000
    return not (latest.is_symlink() and sticky and latest.lstat().st_uid != os.getuid())


def start_ray(folder: RayFolder, **arguments: Any) -> None:
    """Start Ray on this machine.

    Args:
        folder: where its files lie.
        arguments: of `ray.init`.

    Raises:
        UserError: it does not start; the message says why.
    """
    import ray

    named: dict[str, Any] = folder.choose()
    if not _home_can_be_written():  # where Ray would keep the token that its processes share
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        with folder.neutral():
            ray.init(address="local", **named, **arguments)
    except (UserError, KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        folder.remove()
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"Ray does not start on this machine: {why} Its files are in "
            f"{named.get('_temp_dir', usual_folder())}. --executor inline works without Ray, in "
            "this process alone."
        ) from error
