"""`--where`: conditions held against Python's own evaluation, row by row."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.where import parse_where

SCHEMA = pa.schema(
    [("seconds", pa.float64()), ("frames", pa.int32()), ("crc", pa.uint32()),
     ("speaker", pa.string()), ("align_score", pa.float64()), ("shape", pa.list_(pa.int32()))]
)  # fmt: skip
NUMBERS, TEXTS = ("seconds", "frames", "crc", "align_score"), ("speaker",)


def random_rows(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.2 else value

    return [
        {
            "seconds": maybe(float(rng.integers(0, 5)) / 2),
            "frames": maybe(int(rng.integers(-3, 4))),
            "crc": maybe(int(rng.integers(0, 2)) * (2**32 - 1)),
            "speaker": maybe(str(rng.choice(["a", "b", "ü", "A"]))),
            "align_score": maybe(float(rng.integers(-3, 1))),
            "shape": [1],
        }
        for _ in range(count)
    ]


def random_condition(rng: np.random.Generator, depth: int) -> str:
    kind = rng.integers(0, 7) if depth else rng.integers(3, 7)
    if kind < 2:
        word = ("and", "or")[kind]
        parts = (random_condition(rng, depth - 1) for _ in range(rng.integers(2, 4)))
        return "(" + f" {word} ".join(parts) + ")"
    if kind == 2:
        return f"(not {random_condition(rng, depth - 1)})"
    numbers = bool(rng.random() < 0.7)
    column = str(rng.choice(NUMBERS if numbers else TEXTS))

    def constant() -> str:
        value = rng.choice([-2, -1, 0.5, 1, 1.5, 2, 2**32 - 1, 10**12])
        return repr(float(value)) if numbers else repr(str(rng.choice(["a", "b", "ü", "zz"])))

    if kind == 3:
        return f"{column} {rng.choice(['is', 'is not'])} None"
    if kind == 4:
        items = ", ".join(constant() for _ in range(rng.integers(0, 3)))
        return f"{column} {rng.choice(['in', 'not in'])} [{items}]"
    operators = ["<", "<=", ">", ">=", "==", "!="]
    text = f"{constant()} {rng.choice(operators)} {column}"
    if kind == 5:
        other = str(rng.choice(NUMBERS if numbers else TEXTS))
        text += f" {rng.choice(operators)} {rng.choice([constant(), other])}"
    return text


def truth(node: Any, row: dict[str, Any]) -> bool | None:
    """Three-valued logic over Python's own comparisons."""
    if isinstance(node, ast.BoolOp):
        values = [truth(value, row) for value in node.values]
        decides = isinstance(node.op, ast.Or)
        return decides if decides in values else None if None in values else not decides
    if isinstance(node, ast.UnaryOp):
        value = truth(node.operand, row)
        return None if value is None else not value
    found: list[bool | None] = []
    sides = [node.left, *node.comparators]
    for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
        one = ast.Expression(ast.Compare(left, [operator], [right]))
        code = compile(ast.fix_missing_locations(one), "", "eval")
        names = {n.id for side in (left, right) for n in ast.walk(side) if isinstance(n, ast.Name)}
        missing = any(row[name] is None for name in names)
        asks = isinstance(operator, ast.Is | ast.IsNot)
        found.append(None if missing and not asks else eval(code, {}, row))
    return False if False in found else None if None in found else True


def test_conditions_take_the_rows_that_python_takes() -> None:
    rng = np.random.default_rng(0)
    taken = 0
    for _ in range(300):
        text = random_condition(rng, 3)
        rows = [{**row, "n": i} for i, row in enumerate(random_rows(rng, 40))]
        table = pa.Table.from_pylist(rows, SCHEMA.append(pa.field("n", pa.int64())))
        where = parse_where(text, SCHEMA)
        tree = ast.parse(text, mode="eval").body
        expected = [row["n"] for row in rows if truth(tree, row) is True]
        assert table.filter(where.expression)["n"].to_pylist() == expected, text
        assert set(where.columns) <= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        taken += len(expected)
    assert taken > 2000


def test_the_columns_that_are_read_are_told() -> None:
    where = parse_where(" seconds < 12 and (speaker == 'a' or 1 < seconds) ", SCHEMA)
    assert where.columns == ("seconds", "speaker")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("second < 12", "no column second; did you mean seconds"),
        ("align_scor > 1 and frames > 2", "did you mean align_score"),
        ("xyzzy == 1", "it has key, id, shard"),
        ("speaker < 12", "speaker is a text and 12 a number; write texts in quotes"),
        ("seconds == 'long'", "seconds is a number and 'long' a text"),
        ("speaker == seconds", "speaker is a text and seconds a number"),
        ("speaker in ('a', 3)", "speaker is a text and 3 a number"),
        ("speaker in 'abc'", "must be a list"),
        ("3 in (3, 4)", "must be a column"),
        ("speaker in (speaker,)", "must be a constant"),
        ("seconds", "is a column, not a condition"),
        ("1 < 2", "both constants"),
        (f"seconds < {'9' * 400}", "is larger than any number"),
        (f"seconds in (1, -{'9' * 400})", "is larger than any number"),
        (f"seconds < {'9' * 5000}", "9"),
        ("12", "is not a condition"),
        ("len(speaker) > 3", r"`len\(speaker\)` is neither a column"),
        ("seconds + 1 > 3", r"`seconds \+ 1` is neither"),
        ("__import__('os').system('true')", "is not a condition"),
        ("seconds == None", "write `is None`"),
        ("seconds is 3", "write COLUMN is None"),
        ("seconds == True", "`True` is neither"),
        ("codes_shape == 3", "type list"),
        ("seconds <", "is not a condition"),
        ("", "is not a condition"),
        ("seconds < 1; frames", "is not a condition"),
        ("not " * 5000 + "seconds < 1", "is not a condition"),
    ],
)
def test_what_is_no_condition_is_told(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_where(text, index_schema(["codes"]))


def test_many_conditions_are_no_deep_nest() -> None:
    text = " or ".join(f"frames == {i}" for i in range(3000))
    table = pa.table({"frames": pa.array([-1, 5, 2999, 3000], pa.int32())})
    where = parse_where(text, table.schema)
    assert table.filter(where.expression)["frames"].to_pylist() == [5, 2999]
