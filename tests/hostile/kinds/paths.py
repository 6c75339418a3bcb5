"""Paths in the index, the card and SHA256SUMS that lead elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ns2.pipeline.core.hashing import sha256_file
from tests.hostile.kinds import Place, kind
from tests.hostile.sealing import change_card, change_index, seal


def _file(name: str, new: str | Callable[[Place], str] | None, *, in_ci: bool = False) -> None:
    @kind(f"file of an array {name}", in_ci=in_ci)
    def make(place: Place) -> None:
        path = new(place) if callable(new) else new
        change_index(place.dataset, lambda row: {**row, "meta_file": path}, only=0)


_file("lies outside", "../victim/secret.tar", in_ci=True)
_file("is absolute", lambda place: str(place.victim / "secret.tar"))
_file("is a device", "/dev/zero")
_file("is random without end", "/dev/urandom")
_file("hides its way out", lambda place: _hidden(place))
_file("is empty", "")
_file("is null", None)
_file("is the folder itself", ".")
_file("has a NUL", "meta\0.tar")
_file("is very long", "meta/" * 3000 + "a.tar")


def _hidden(place: Place) -> str:
    folder = next(path.name for path in place.dataset.glob("meta-*"))
    return f"{folder}/00000-0123456789abcdef/../../../victim/secret.tar"


def _all_files(name: str, new: str, *, in_ci: bool = False) -> None:
    @kind(f"all files of arrays {name}", in_ci=in_ci)
    def make(place: Place) -> None:
        change_index(place.dataset, lambda row: {**row, "mel_file": new, "codes_file": new})


_all_files("lie outside", "../victim/secret.tar")
_all_files("are a device", "/dev/zero")


def _asset(name: str, new: str, *, in_ci: bool = False) -> None:
    @kind(f"asset {name}", in_ci=in_ci)
    def make(place: Place) -> None:
        def change(card: dict[str, Any]) -> dict[str, Any]:
            kept = [one for one in card["assets"] if "phonemes" not in one]
            return {**card, "assets": [*kept, new]}

        change_card(place.dataset, change)


_asset("lies outside", "assets/phonemes-../../../victim/secret.json", in_ci=True)
_asset("lies outside, plainly", "../victim/secret.json")
_asset("is a device", "/dev/zero")
_asset("is no name", "assets/")


@kind("SHA256SUMS names a file outside")
def listed_outside(place: Place) -> None:
    secret = place.victim / "secret.json"
    seal(place.dataset, {"../victim/secret.json": sha256_file(secret)})


@kind("SHA256SUMS names an absolute path")
def listed_absolute(place: Place) -> None:
    secret = place.victim / "secret.json"
    seal(place.dataset, {str(secret): sha256_file(secret)})


@kind("SHA256SUMS names a device")
def listed_device(place: Place) -> None:
    seal(place.dataset, {"/dev/zero": "0" * 64})


@kind("shard has a negative number")
def negative_shard(place: Place) -> None:
    change_index(place.dataset, lambda row: {**row, "shard": -1 - row["shard"]})


@kind("shard is null")
def null_shard(place: Place) -> None:
    change_index(place.dataset, lambda row: {**row, "shard": None}, only=0)
