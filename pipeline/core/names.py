"""The names that datasets and runs may give: keys, columns, and paths inside a folder.

Datasets come from anywhere, and names in them become names of files, members of tars and parts of
pages. Each reader and writer takes a key through `check_keys` and a path through `path_in`, so that
nothing outside the folder is ever named.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ns2.pipeline.core.schema import KEY, KEY_LENGTH

if TYPE_CHECKING:
    import pyarrow as pa

COLUMN_NAME = re.compile(r"[a-z][a-z0-9]{0,39}")
"""The name of a column or stage."""
SCALAR_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""The name of a number that a column brings along, which is a field of the index."""

_MOST_SHOWN = 60
_PATH = re.compile(r"[^\0\\]{1,4096}")


def encodable(text: str) -> bool:
    """Whether a text can be written in UTF-8; a file name in another encoding cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: object) -> str:
    """A name of a stranger for a message: quoted, on one line, and not too long."""
    text = name if isinstance(name, str) else str(name)
    more = "..." if len(text) > _MOST_SHOWN else ""
    return ascii(text[:_MOST_SHOWN]) + more


def key_faults(keys: pa.ChunkedArray, most: int = 20) -> list[tuple[str, str]]:
    """What is wrong with the keys of an index, as (key as it may be shown, message).

    A key has 1 to 80 letters, digits, `_` and `-`, and no other utterance has it.

    Args:
        keys: of all utterances.
        most: the most faults that are named.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(keys.type):
        keys = keys.cast(keys.type.value_type)
    if not pa.types.is_string(keys.type):
        return [("", f"keys are of type {keys.type}, expected string")]
    right = pc.fill_null(pc.match_substring_regex(keys, rf"\A(?:{KEY.pattern})\z"), False)
    wrong = keys.filter(pc.invert(right)).slice(0, most).to_pylist()
    faults = [
        (
            shown("" if key is None else key),
            f"is no key: expected 1 to {KEY_LENGTH} letters, digits, _ and -",
        )
        for key in wrong
    ]
    if not ascending(keys) and pc.count_distinct(keys, mode="all").as_py() < len(keys):
        counted = pc.value_counts(keys.combine_chunks())
        repeated = counted.filter(pc.greater(counted.field("counts"), 1)).slice(0, most)
        faults += [
            (str(one["values"]), f"the key is there {one['counts']} times")
            for one in repeated.to_pylist()
            if one["values"] is not None and KEY.fullmatch(one["values"])
        ]
    return faults[:most]


def ascending(keys: pa.ChunkedArray) -> bool:
    """Whether each key comes behind the one before, as mostly; then none is there twice.

    Of ten million keys that is known in a hundredth of the time that counting them takes.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = [chunk for chunk in keys.chunks if len(chunk)]
    inside = [(chunk[:-1], chunk[1:]) for chunk in chunks]
    between = [pa.array([chunk[at].as_py() for chunk in chunks], pa.string()) for at in (-1, 0)]
    pairs = [*inside, (between[0][:-1], between[1][1:])]
    return all(
        pc.all(pc.fill_null(pc.less(*pair), False)).as_py() for pair in pairs if len(pair[0])
    )


def check_keys(keys: pa.ChunkedArray) -> None:
    """See that all keys of an index are keys, and that each is there once.

    Raises:
        ValueError: naming the first that is not.
    """
    if faults := key_faults(keys, most=1):
        raise ValueError(f"key {faults[0][0]}: {faults[0][1]}")


def path_in(folder: Path, name: object) -> Path:
    """The path of a file that a dataset names relative to its folder.

    The name is relative, with forward slashes, and has no part that is empty, `.` or `..`. Whether
    the file is there, and whether it is a link, is not looked at: reading may follow a link to a
    regular file, writing and deleting go through `ns2.pipeline.core.atomic`.

    Raises:
        ValueError: it is another kind of name.
    """
    if isinstance(name, str) and _PATH.fullmatch(name):
        parts = name.split("/")
        if not any(part in ("", ".", "..") for part in parts):
            return folder.joinpath(*parts)
    raise ValueError(f"{shown(name)} does not name a file inside of {folder}")
