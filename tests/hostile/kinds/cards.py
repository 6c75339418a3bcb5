"""Cards whose values are of the wrong type, endless, or lead elsewhere."""

from __future__ import annotations

from typing import Any

from tests.hostile.kinds import Place, kind
from tests.hostile.sealing import change_card


def put(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Change one value by its dotted path."""
    *above, last = path.split("/")
    here = values
    for name in above:
        here = here[name]
    here[last] = value
    return values


def _card(name: str, path: str, value: Any, *, in_ci: bool = False) -> None:
    @kind(f"card: {name}", in_ci=in_ci)
    def make(place: Place) -> None:
        change_card(place.dataset, lambda card: put(card, path, value))


def _renamed_column(name: str, new: str, *, in_ci: bool = False) -> None:
    @kind(f"card: {name}", in_ci=in_ci)
    def make(place: Place) -> None:
        def change(card: dict[str, Any]) -> dict[str, Any]:
            card["columns"][new] = card["columns"].pop("f0")
            return card

        change_card(place.dataset, change)


_renamed_column("a column's name leads outside", "../../victim/precious", in_ci=True)
_renamed_column("a column's name is absolute", "/victim")
_renamed_column("a column's name has a line break", "f0\n")
_card("a column's folder leads outside", "columns/f0/folder", "../victim")
_card("a column's folder is another's", "columns/f0/folder", "mel-0123456789ab")
_card("a dtype holds objects", "columns/f0/dtype", "O")
_card("a dtype is no dtype", "columns/f0/dtype", "float32, (1000000000,)float64")
_card("a dtype is another", "columns/mel/dtype", "float64")
_card("an axis is negative", "columns/mel/dims", [-1, "T"])
_card("an axis is giant", "columns/mel/dims", [10**15, "T"])
_card("axes are a number", "columns/mel/dims", 3)
_card("axes are objects", "columns/mel/dims", [{}, []])
_card("a column is a list", "columns/f0", [])
_card("counts are texts", "counts/written", "9")
_card("counts are giant", "counts/written", 10**18)
_card("counts are negative", "counts/written", -1)
_card("splits are a list", "counts/splits", ["train"])
_card("hours are a text", "counts/hours", "many")
_card("the hop length is 0", "grid/hop_length", 0)
_card("the sample rate is 0", "grid/sample_rate", 0)
_card("the sample rate is giant", "grid/sample_rate", 10**12)
_card("the hop length is a text", "grid/hop_length", "320")
_card("the format's version is a text", "format_version", "1")
_card("the format is a number", "format", 1)
_card("options are a list", "options", [1, 2])
_card("assets are numbers", "assets", [1, 2])
_card("assets are an object", "assets", {"a": 1})
_card("statistics are a text", "statistics", "mean")
_card("statistics of latents are texts", "statistics/latents/mean", ["a"])
_card("the screening leads outside", "screen", "../../victim")
_card("a list of numbers doubles the time", "options/numbers", [-1.5e-10] * 60 + ["x"], in_ci=True)
_card("stages are a list", "stages", [])
_card("a config is a list", "columns/codes/config", [])
_card("a codec is a path", "columns/codes/config/codec", "/dev/zero")
_card("quantisers are giant", "columns/codes/config/quantizers", 10**9)


def _raw(name: str, text: bytes, *, in_ci: bool = False) -> None:
    @kind(f"card: {name}", in_ci=in_ci)
    def make(place: Place) -> None:
        (place.dataset / "dataset.json").write_bytes(text)


_raw("nested 100,000 deep", b'{"format": "ns2-dataset", "grid": ' + b"[" * 100_000, in_ci=True)
_raw("a number of 5,000 digits", b'{"format_version": ' + b"9" * 5000 + b"}")
_raw("not a number", b'{"format": "ns2-dataset", "counts": {"hours": NaN}}')
_raw("infinite", b'{"format": "ns2-dataset", "counts": {"hours": 1e999}}')
_raw("a list", b"[1, 2, 3]")
_raw("numbers that never end their list", b'{"a": [' + b"1, " * 40 + b'"x"]}')
_raw("bytes that are no text", b"\xff\xfe\x00{}")
_raw("empty", b"")
