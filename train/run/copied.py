"""A run in a bucket: copied there while it trains, and brought back to speak or to go on.

One training at a time copies to a URL, and only one whose run is the one that is there: nothing of
another run is written over or deleted.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ns2.pipeline.core.atomic import is_temporary, observed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.bucket.lease import Lease
from ns2.pipeline.dataset.layout import LEASE
from ns2.pipeline.remote.copies import bring
from ns2.pipeline.remote.objects import Objects
from ns2.pipeline.remote.urls import copy_folder
from ns2.train.data.identity import Identity
from ns2.train.run.checkpoint import checkpoints
from ns2.train.run.folder import RunFolder
from ns2.train.run.names import ABOUT, BOARD, CHECKPOINTS, CONFIG, LOCK, SAMPLES, WEIGHTS

_LAST = (WEIGHTS, CONFIG)
"""What is copied last: where the newest of these is, what belongs to it is there, too. What tells
whose it is, is copied first."""
_STEP = re.compile(rf"{CHECKPOINTS}/([0-9]+)\.pt")


@contextmanager
def copied_to(
    url: str | None, run: Path, note: Callable[[str], None], *, fresh: bool = False
) -> Iterator[Copy]:
    """Copy a run to a bucket in the background, after each checkpoint and at the end.

    A run that is not in its folder, but in the bucket, is brought from there first. Nothing is
    copied before `Copy.begin`.

    Args:
        url: of the run in the bucket; None copies nothing.
        run: its folder.
        note: shows a message.
        fresh: nothing is brought.

    Raises:
        UserError: another training copies there, it can't be brought, or the last copy could not
            be made.
    """
    if url is None:
        yield Copy(None, run, fresh=fresh)
        return
    objects = Objects(url)
    # places that know no conditions, such as folders, have no leases
    with Lease(objects) if objects.conditional else nullcontext() as lease:
        if not fresh and not (run / CONFIG).exists() and bring_run(url, run):
            note(f"{run}: was brought from {url}")
        copier = _Copier(objects, run, note, lease)
        with observed(copier.told):
            yield Copy(copier, run, fresh=fresh)
        copier.finish()


class Copy:
    """Where a run is copied to, if anywhere."""

    def __init__(self, copier: _Copier | None, run: Path, *, fresh: bool) -> None:
        self._copier, self._run, self._fresh = copier, run, fresh

    def begin(self, data: Identity) -> None:
        """Copy from now on, if the place holds nothing, or this run and no later state of it.

        Args:
            data: what the run learns from.

        Raises:
            UserError: it holds something else, which would be written over.
        """
        if self._copier is None:
            return
        objects = self._copier.objects
        url, there = objects.url, [name for name, *_ in objects.names() if name != LEASE]
        what = _other_run(objects, there, self._run, data) if there else ""
        if what:
            raise UserError(
                f"{url} {what}, and nothing of it is written over: name another URL with --copy-to,"
                " or delete what is there"
            )
        last = max((int(found[1]) for name in there if (found := _STEP.fullmatch(name))), default=0)
        here = max((int(path.stem) for path in checkpoints(self._run)), default=0)
        if last > here and not self._fresh:
            raise UserError(
                f"{url} has this run up to step {last}, and {self._run} up to step {here}: name an "
                "empty folder with -o, and the run goes on from what is there; or another URL with "
                "--copy-to"
            )
        self._copier.start()


def _other_run(objects: Objects, there: list[str], run: Path, data: Identity) -> str:
    """What a place holds that is not this run; "" where it is, as far as it was copied."""
    if ABOUT not in there:
        saved = any(name.startswith(f"{CHECKPOINTS}/") for name in there)
        return "holds checkpoints of a run that does not tell which" if saved else "holds no run"
    mine = RunFolder(run)
    with tempfile.TemporaryDirectory(prefix="ns2-") as folder:
        theirs = RunFolder(Path(folder))
        names = [name for name in (CONFIG, ABOUT) if name in there]
        for name in names:
            (theirs.root / name).write_bytes(objects.read(name))
        config = mine.stored() if CONFIG in names else None
        what = theirs.is_other(config, mine.about(), data)
    return f"holds a run that {what}" if what else ""


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
    there = {name: (size, tag) for name, size, tag in objects.names() if name != LEASE}
    if CONFIG not in there:
        return False
    saved = [name for name in there if name.startswith(f"{CHECKPOINTS}/")]
    newest = saved[-2:] if checkpoints else []  # sorted: the newest, then best.pt
    skipped = tuple(f"{folder}/" for folder in (CHECKPOINTS, BOARD, SAMPLES))
    wanted = [name for name in there if not name.startswith(skipped)]
    # the settings come last: a folder that has them is a run, which is not brought again
    for names in ([name for name in (*newest, *wanted) if name != CONFIG], [CONFIG]):
        bring(objects, run, [(name, *there[name]) for name in names])
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

    def __init__(
        self, objects: Objects, run: Path, note: Callable[[str], None], lease: Lease | None
    ) -> None:
        self.objects, self._run, self._note = objects, run.absolute(), note
        self._lease = lease
        self._copied: dict[str, tuple[int, int]] = {}
        self._due, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="ns2-copier", daemon=True)

    def start(self) -> None:
        """Copy from now on."""
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
        except (UserError, OSError) as error:
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
            except (UserError, OSError) as error:
                self._note(f"a copy could not be made, and is tried again later: {error}")

    def _copy(self) -> None:
        """Put what has changed, weights and settings last, and remove old checkpoints.

        Raises:
            UserError: it can't be written, or another training copies there now.
        """
        names = sorted(self._names(), key=lambda name: (name in _LAST, name != ABOUT, name))
        for name in names:
            self._check_lease()
            try:
                status = (self._run / name).stat()
                stamp = (status.st_size, status.st_mtime_ns)
                if self._copied.get(name) != stamp:
                    self.objects.put_file(name, self._run / name)
                    self._copied[name] = stamp
            except FileNotFoundError:
                continue  # an old checkpoint that was deleted meanwhile
        saved = {name for name, *_ in self.objects.names(CHECKPOINTS)}
        for name in saved - set(self._names()):
            self._check_lease()
            self.objects.delete(name)
            self._copied.pop(name, None)

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _names(self) -> list[str]:
        files = (path for path in self._run.rglob("*") if path.is_file())
        return [
            path.relative_to(self._run).as_posix()
            for path in files
            if path.name != LOCK and not is_temporary(path.name)
        ]
