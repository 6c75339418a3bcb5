"""Corpora in a bucket, or behind a web server: read as folders that stand for them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.fields import Fields
from ns2.pipeline.corpora.folders import AUDIO_SUFFIXES, Lookup, split_suffix
from ns2.pipeline.corpora.layouts.lhotse import is_lhotse
from ns2.pipeline.corpora.layouts.manifest import table_of
from ns2.pipeline.corpora.manifest_rows import ManifestRows
from ns2.pipeline.corpora.rows import SUFFIXES
from ns2.pipeline.remote.standing import look_for, stand_for
from ns2.pipeline.remote.urls import is_url

_TEXTS = (*SUFFIXES, ".txt", ".lab", ".jsonl.gz", "metadata.parquet")
_SMALL = 1 << 20
"""The most bytes of a file of another kind that is copied: it may be a table without a suffix."""
_HELD = (".tar", ".parquet")
_HOLDERS = (*_HELD, ".arrow", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z")


def corpus_path(place: str | Path, fields: str | None = None) -> Path:
    """The path of a corpus; for a URL one that stands for it, as it is there now.

    Texts are copied to the cache, recordings are not.

    Args:
        fields: which fields of a manifest hold what, see `Fields.parse`.

    Raises:
        UserError: there is no corpus, it can't be read, or a web server's folder is named, which
            nothing lists.
    """
    if not is_url(place):
        return Path(place)
    url = str(place)
    if url.startswith(("http://", "https://")) and not url.lower().endswith(SUFFIXES):
        raise UserError(
            f"{url}: nothing lists the files of a web server; name a manifest that tells them, "
            "such as https://.../manifest.jsonl"
        )
    if url.lower().endswith(_HELD):
        raise _held(url, url.rpartition("/")[2])
    path = stand_for(url, _is_text)
    if (holder := _lone_holder(path)) is not None:
        raise _held(url, holder.name)
    with suppress(UserError):  # there is no manifest, or it can't be read, as its reader will say
        table = table_of(path)
        if not is_lhotse(table):
            rows = ManifestRows(table, Fields.parse(fields), Lookup(table.parent))
            look_for(table.parent, rows.audio())
    return path


def _lone_holder(path: Path) -> Path | None:
    """A file that may hold recordings, in a folder without any recording of its own."""
    found = None
    for one in path.rglob("*"):
        suffix = split_suffix(one.name)[1]
        if suffix in AUDIO_SUFFIXES:
            return None
        found = one if suffix in _HELD else found
    return found


def _held(url: str, name: str) -> UserError:
    return UserError(
        f"{url}: recordings inside of other files, such as {name}, are read from a disk alone; "
        "copy the corpus to one"
    )


def _is_text(name: str, size: int) -> bool:
    if name.lower().endswith(_TEXTS):
        return True
    suffix = split_suffix(name.rpartition("/")[2])[1]
    return size <= _SMALL and suffix not in AUDIO_SUFFIXES and suffix not in _HOLDERS
