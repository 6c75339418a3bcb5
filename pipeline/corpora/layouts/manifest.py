"""Manifests: JSON, CSV or TSV with audio, text and, if known, id, speaker, language and split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.corpora.corpus import Corpus, settle
from ns2.pipeline.corpora.fields import FIELDS, OTHERS, Fields
from ns2.pipeline.corpora.folders import Lookup
from ns2.pipeline.corpora.layouts.lhotse import is_lhotse
from ns2.pipeline.corpora.manifest_rows import ManifestRows
from ns2.pipeline.corpora.rows import JSON_SUFFIXES, SUFFIXES, has_lines, json_row, names_fields

NAMES = ("manifest.jsonl", "manifest.csv")
MORE_NAMES = ("manifest.json", "manifest.tsv", "metadata.jsonl", "metadata.json", "metadata.csv",
              "metadata.tsv")  # fmt: skip
"""Other names of a folder's manifest, taken where no file has one of `NAMES`."""


class Manifest:
    """Reader of a manifest, or of a folder with a file of one of `NAMES` or `MORE_NAMES`.

    Paths of audio are absolute, or relative to the folder of the manifest. Sources are always
    relative to that folder: for audio outside of it they begin with `..`. So a dataset never has an
    absolute path, and the audio is found as long as both folders lie the same way to each other.
    If a row has no id, it is the source without its suffix, and `@` and the offset behind it for a
    piece of a recording that begins later. The first line of a CSV names its fields; a field in
    quotation marks may have commas, and quotation marks that are doubled.

    A row that cannot be read is rejected, with the id `<file>:<line>`.
    """

    name = "manifest"
    looks_like = "a .jsonl or .csv file (or a folder with manifest.jsonl) with audio and text"

    def matches(self, root: Path) -> bool:
        """Whether the path is such a file, or a folder with one."""
        if root.is_file():
            return root.suffix.lower() in SUFFIXES and not is_lhotse(root)
        return any((root / name).is_file() for name in NAMES)

    def resembles(self, root: Path) -> bool:
        """Whether the path is a folder with a file of another name that has audio and text."""
        return root.is_dir() and any(is_manifest(root / name) for name in MORE_NAMES)

    def read(self, root: Path, fields: Fields | None = None) -> Corpus:
        """Find all rows of the manifest.

        Args:
            root: the file or its folder.
            fields: which fields or columns hold what; None takes them by their names.

        Raises:
            UserError: there is no manifest, there are two, or none of its rows can be read.
        """
        table = table_of(root)
        rows = ManifestRows(table, fields or Fields(), Lookup(table.parent))
        finds = rows.finds()
        if finds and all(getattr(find, "reason", None) is Reason.BAD_ROW for find in finds):
            raise UserError(
                f"{table}: no row can be read; the first, {getattr(finds[0], 'message', '')}"
            )
        corpus = settle(self.name, table.parent, finds, rows.warnings(), rows.notes())
        if not has_lines(table):
            return corpus
        return replace(corpus, table=table, keys=tuple(find.key for find in finds))

    def read_some(
        self, table: Path, fields: Fields | None, lines: Iterable[tuple[int, bytes]]
    ) -> Corpus:
        """Read some lines of a manifest as `read` does; audio without a row is not told.

        Args:
            table: of lines of JSON.
            fields: see `read`.
            lines: each with its number, in order, but the first one's byte order mark.

        Raises:
            UserError: `fields` takes a field that none of these rows has.
        """
        rows = ManifestRows(table, fields or Fields(), Lookup(table.parent))
        finds = rows.finds((number, json_row(line)) for number, line in lines)
        warnings = rows.warnings(last=False)
        corpus = settle(self.name, table.parent, finds, warnings, rows.notes())
        return replace(corpus, table=table, keys=tuple(find.key for find in finds))


def table_of(root: Path) -> Path:
    """The manifest of a folder, or the one that is named.

    Raises:
        UserError: there is none, or there are two.
    """
    if root.is_file():
        return root
    there = [root / name for name in NAMES if (root / name).is_file()]
    tables = there or [root / name for name in MORE_NAMES if (root / name).is_file()]
    if not tables:
        raise UserError(f"{root} has neither {' nor '.join(NAMES)}; give the path of the manifest")
    if len(tables) > 1:
        names = " and ".join(table.name for table in tables)
        raise UserError(f"{root} has both {names}; give the path of one of them")
    return tables[0]


def is_manifest(table: Path) -> bool:
    """Whether a file begins like a manifest."""
    if table.suffix.lower() not in SUFFIXES or not table.is_file():
        return False
    with table.open("rb") as file:
        start = file.read(65_536).decode("utf-8-sig", "replace")
    if table.suffix not in JSON_SUFFIXES:
        delimiters = "\t" if table.suffix == ".tsv" else ",;\t"
        return names_fields(start.split("\n")[0], delimiters)
    names = [f'"{name}"' for name in (*FIELDS["audio"], *OTHERS["audio"])]
    return any(name in start for name in names)
