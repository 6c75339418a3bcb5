"""Keys that are paths, escape a name, or are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.dataset.shards import Member, TarWriter, read_marker, read_member
from tests.hostile.kinds import Place, kind
from tests.hostile.sealing import change_card, change_index, seal


def rename(place: Place, new: str | None) -> None:
    """Give the first utterance another key everywhere: index, markers and tars."""
    root = place.dataset
    columns = {path.name.split("-")[0]: path for path in root.glob("*-*") if path.is_dir()}
    moved: dict[str, dict[str, Any]] = {}
    gone: list[str] = []
    for column, folder in columns.items():
        marker = read_marker(next(folder.glob("00000-*.parquet")))
        spec = ColumnSpec(name=column, dtype="json" if column == "meta" else "uint8", dims=())
        members = [
            Member(key=row.key, data=read_member(marker.tar, row), shape=row.shape,
                   source=row.source, scalars=row.scalars)
            for row in marker.rows
        ]  # fmt: skip
        first = members[0]
        members[0] = Member(key=new or "", data=first.data, shape=first.shape,
                            source=first.source, scalars=first.scalars)  # fmt: skip
        gone += [marker.tar.relative_to(root).as_posix(), marker.path.relative_to(root).as_posix()]
        marker.tar.unlink()
        marker.path.unlink()
        writer = TarWriter(folder, 0, spec)
        for member in members:
            writer.add(member)
        moved[column] = {"marker": writer.commit(marker.summary)}
    _list_anew(root, gone, moved)

    def change(row: dict[str, Any]) -> dict[str, Any]:
        if row["shard"] != 0:
            return row
        number = change.number  # type: ignore[attr-defined]
        change.number += 1  # type: ignore[attr-defined]
        if number == 0:
            row["key"] = new
        for column, found in moved.items():
            made = found["marker"]
            row[f"{column}_file"] = made.tar.relative_to(root).as_posix()
            row[f"{column}_offset"] = made.rows[number].offset
        return row

    change.number = 0  # type: ignore[attr-defined]
    change_index(root, change)


def _list_anew(root: Path, gone: list[str], moved: dict[str, dict[str, Any]]) -> None:
    sums = root / "SHA256SUMS"
    lines = [line for line in sums.read_text("utf-8").splitlines() if line[66:] not in gone]
    for found in moved.values():
        marker = found["marker"]
        lines += [
            f"{'0' * 64}  {p.relative_to(root).as_posix()}" for p in (marker.tar, marker.path)
        ]
    sums.write_text("".join(f"{line}\n" for line in sorted(lines)), "utf-8")
    sizes = {
        column: sum(p.stat().st_size for p in root.glob(f"{column}-*/*.tar")) for column in moved
    }

    def change(card: dict[str, Any]) -> dict[str, Any]:
        for column, size in sizes.items():
            card["columns"][column]["bytes"] = size
        return card

    seal(root)
    change_card(root, change)


def _renamed(name: str, new: str | Callable[[Place], str] | None, *, in_ci: bool = False) -> None:
    @kind(f"key {name}", in_ci=in_ci)
    def make(place: Place) -> None:
        rename(place, new(place) if callable(new) else new)


_renamed("leads outside", "../../../victim/precious", in_ci=True)
_renamed("leads outside once", "../victim/precious")
_renamed("is absolute", lambda place: str(place.victim / "precious"))
_renamed("is a folder", "victim/precious")
_renamed("is two dots", "..")
_renamed("has a dot", "utt.0000")
_renamed("is empty", "")
_renamed("ends in a line break", "utt0000\n")
_renamed("has an escape sequence", "utt\x1b[2J")
_renamed("has other letters", "utterance-ä")
_renamed("has 81 characters", "k" * 81)
_renamed("turns the direction of writing", "utt‮gpj")


@kind("key is there twice", in_ci=True)
def twice(place: Place) -> None:
    first = pq.read_table(place.dataset / "index.parquet")["key"][0].as_py()
    change_index(place.dataset, lambda row: {**row, "key": first}, only=1)


@kind("key is null")
def null(place: Place) -> None:
    change_index(place.dataset, lambda row: {**row, "key": None}, only=0)
