"""What lies on the disk as a dataset, and reading it.

`from ns2.pipeline.dataset import Dataset` opens one. What reads a dataset loads neither torch nor
anything that makes one.

`reader` opens a dataset by its `card`, `index_reader` and `mapped_tars`; `layout` holds every name
in its folder, `index` the schema of the index, `shards` the tars and their markers, `sums` the
checksums, and `where` conditions on the index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ns2.pipeline.dataset.card import open_card
    from ns2.pipeline.dataset.reader import Dataset

__all__ = ["Dataset", "open_card"]


def __getattr__(name: str) -> Any:
    """Load the module of a name when it is first used."""
    if name == "Dataset":
        from ns2.pipeline.dataset.reader import Dataset

        return Dataset
    if name == "open_card":
        from ns2.pipeline.dataset.card import open_card

        return open_card
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
