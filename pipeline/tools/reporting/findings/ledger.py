"""Why utterances are not in a dataset, with examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.layout import REJECTED
from ns2.pipeline.dataset.tables import read_table

EXAMPLES, _MOST = 3, 40


@dataclass(frozen=True, kw_only=True)
class Left:
    """Utterances that were left out for one reason.

    Attributes:
        kind: rejected or filtered.
        stage, reason: as the ledger has them.
        count: how many.
        examples: (id, message) of the first few.
    """

    kind: str
    stage: str
    reason: str
    count: int
    examples: tuple[tuple[str, str], ...]


def left_out(root: Path) -> list[Left]:
    """What the ledger of a dataset says, the most frequent reasons first.

    Raises:
        UserError: the ledger is missing or damaged.
    """
    names = ["kind", "stage", "reason"]
    try:
        table = read_table(root / REJECTED, [*names, "id", "message"])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"{root / REJECTED} can't be read: {error}; `ns2 verify` says more"
        ) from error
    groups = table.group_by(names).aggregate([("id", "count")]).to_pylist()
    groups.sort(key=lambda group: (-group["id_count"], *(str(group[name]) for name in names)))
    return [_left(table, group) for group in groups[:_MOST]]


def _left(table: pa.Table, group: dict[str, object]) -> Left:
    """A group of the ledger with its examples."""
    same = None
    for name in ("kind", "stage", "reason"):
        value = group[name]
        here = pc.is_null(table[name]) if value is None else pc.equal(table[name], value)
        same = here if same is None else pc.and_(same, here)
    rows = table.take(pc.indices_nonzero(pc.fill_null(same, False))[:EXAMPLES]).to_pylist()
    kind, stage, reason = (str(group[name] or "") for name in ("kind", "stage", "reason"))
    return Left(
        kind=kind,
        stage=stage,
        reason=reason,
        count=int(str(group["id_count"])),
        examples=tuple((str(row["id"]), str(row["message"] or "")) for row in rows),
    )
