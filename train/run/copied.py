"""A run in a bucket: copied there while it trains, and brought back to speak or to go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ns2.pipeline.core.atomic import is_temporary, observed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.remote.copies import bring
from ns2.pipeline.remote.faults import RemoteError
from ns2.pipeline.remote.objects import Objects
from ns2.pipeline.remote.urls import copy_folder
from ns2.train.run.names import BOARD, CHECKPOINTS, CONFIG, LOCK, SAMPLES, WEIGHTS

_LAST = (WEIGHTS, CONFIG)
"""What is copied last: where the newest of these is, what belongs to it is there, too."""


@contextmanager
def copied_to(
    url: str | None, run: Path, note: Callable[[str], None], *, fresh: bool = False
) -> Iterator[None]:
    """Copy a run to a bucket in the background, after each checkpoint and at the end.

    A run that is not in its folder, but in the bucket, is brought from there first.

    Args:
        url: of the run in the bucket; None copies nothing.
        run: its folder.
        note: shows a message.
        fresh: nothing is brought.

    Raises:
        UserError: it can't be brought, or the last copy could not be made.
    """
    if url is None:
        yield
        return
    if not fresh and not (run / CONFIG).exists() and bring_run(url, run):
        note(f"{run}: was brought from {url}")
    copier = _Copier(Objects(url), run, note)
    with observed(copier.told):
        yield
    copier.finish()


def bring_run(url: str, run: Path, *, checkpoints: bool = True) -> bool:
    """Copy a run from a bucket to a folder.

    Args:
        checkpoints: whether the newest and the best are copied, too.

    Returns:
        whether there is a run.

    Raises:
        RemoteError: it can't be read.
    """
    objects = Objects(url)
    there = {name: tag for name, _, tag in objects.names()}
    if CONFIG not in there:
        return False
    saved = [name for name in there if name.startswith(f"{CHECKPOINTS}/")]
    newest = saved[-2:] if checkpoints else []  # sorted: the newest, then best.pt
    skipped = tuple(f"{folder}/" for folder in (CHECKPOINTS, BOARD, SAMPLES))
    wanted = [name for name in there if not name.startswith(skipped)]
    # the settings come last: a folder that has them is a run, which is not brought again
    for names in ([name for name in (*newest, *wanted) if name != CONFIG], [CONFIG]):
        bring(objects, run, [(name, there[name]) for name in names])
    return True


def run_folder(run: str | Path, *, checkpoints: bool = False) -> Path:
    """The folder of a run; for a URL that of its copy, which is brought up to date.

    Raises:
        UserError: there is no run.
    """
    if isinstance(run, Path):
        return run
    folder = copy_folder(run)
    if not bring_run(run, folder, checkpoints=checkpoints):
        raise UserError(f"{run} has no {CONFIG}: it is not a run, or its first copy is not there")
    return folder


class _Copier:
    """Copies what has changed of a run, in a thread, whenever its weights are written."""

    def __init__(self, objects: Objects, run: Path, note: Callable[[str], None]) -> None:
        self._objects, self._run, self._note = objects, run.absolute(), note
        self._copied: dict[str, tuple[int, int]] = {}
        self._due, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="ns2-copier", daemon=True)
        self._thread.start()

    def told(self, path: Path, there: bool) -> None:
        """Begin a copy where the weights of a checkpoint are complete."""
        if there and path.absolute() == self._run / WEIGHTS:
            self._due.set()

    def finish(self) -> None:
        """Copy what is left.

        Raises:
            UserError: it could not be copied.
        """
        self._over = True
        self._due.set()
        self._thread.join()
        try:
            self._copy()
        except (RemoteError, OSError) as error:
            raise UserError(
                f"the run is whole in {self._run}, and its last copy could not be made: {error}"
            ) from error

    def _work(self) -> None:
        while not self._over:
            self._due.wait()
            self._due.clear()
            if self._over:
                return
            try:
                self._copy()
            except (RemoteError, OSError) as error:
                self._note(f"a copy could not be made, and is tried again later: {error}")

    def _copy(self) -> None:
        """Put what has changed, weights and settings last, and remove old checkpoints."""
        names = sorted(self._names(), key=lambda name: (name in _LAST, name))
        for name in names:
            try:
                status = (self._run / name).stat()
                stamp = (status.st_size, status.st_mtime_ns)
                if self._copied.get(name) != stamp:
                    self._objects.put_file(name, self._run / name)
                    self._copied[name] = stamp
            except FileNotFoundError:
                continue  # an old checkpoint that was deleted meanwhile
        saved = {name for name, *_ in self._objects.names(CHECKPOINTS)}
        for name in saved - set(self._names()):
            self._objects.delete(name)
            self._copied.pop(name, None)

    def _names(self) -> list[str]:
        files = (path for path in self._run.rglob("*") if path.is_file())
        return [
            path.relative_to(self._run).as_posix()
            for path in files
            if path.name != LOCK and not is_temporary(path.name)
        ]
