"""Objects of a dataset that several processes may put: whole, once, and never changed."""

from __future__ import annotations

from pathlib import Path

from ns2.pipeline.remote.copies import is_copy
from ns2.pipeline.remote.faults import ExistsError
from ns2.pipeline.remote.objects import Objects


def put_once(objects: Objects, name: str, path: Path) -> str:
    """Put a file as an object unless the same is there already; what differs is damaged.

    The name of a tar or marker tells what it is made of, so whoever was first has put the same. A
    file that is too large for one request is put in any case.

    Returns:
        the object's tag.

    Raises:
        RemoteError: it can't be written.
    """
    try:
        return objects.put_file(name, path, create=True)
    except ExistsError:
        size, tag = objects.size(name)
        if is_copy(path, size, tag) or objects.read(name) == path.read_bytes():
            return tag
        return objects.put_file(name, path)
