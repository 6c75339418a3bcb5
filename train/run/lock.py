"""The lock of a run's folder: two trainings never write one run."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ns2.pipeline.core.atomic import open_end
from ns2.pipeline.core.errors import UserError
from ns2.train.run.names import LOCK

_UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of file systems that know no locks."""


@contextmanager
def run_lock(root: Path) -> Iterator[None]:
    """Hold the lock of a run's folder, which is there.

    The kernel lets go of it when its process ends, however it ends. File systems without locks have
    none.

    Raises:
        UserError: another process holds it, which the message names; or it is a link.
    """
    path = root / LOCK
    file = _held(path, root)
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _held(path: Path, root: Path) -> BinaryIO:
    """The lock file, locked."""
    while True:
        file = open_end(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            holder = path.read_text("utf-8", "replace")[:200] if path.is_file() else ""
            raise UserError(
                f"{root}: another `ns2 train` is at work on this run "
                f"({holder or 'it has just begun'}). Wait for it or stop it, or choose another "
                "folder."
            ) from error
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()  # its holder has removed it in between
