"""Parses `--where "seconds < 12 and align_score > -3"`, a condition on index rows, for pyarrow.

The condition is parsed with `ast`, and nothing in it is ever executed. As in SQL, a comparison
with a missing value (null) is neither true nor false: `not` leaves it unknown, and a row is
selected only if the whole condition is true. `is None` and `is not None` test for missing values.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ns2.pipeline.core.errors import UserError

_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}
_ALLOWED = "comparisons (< <= > >= == !=), in, not in, is None, and, or, not"


@dataclass(frozen=True)
class Where:
    """A condition on rows of the index.

    Attributes:
        text: the condition as written.
        expression: the condition for `Table.filter` and dataset scanners.
        columns: names of the columns in it, in the order of their first use.
    """

    text: str
    expression: pc.Expression
    columns: tuple[str, ...]


def parse_where(text: str, schema: pa.Schema) -> Where:
    """Parse a condition on the columns of a schema.

    Raises:
        UserError: the text is not a condition, names an unknown column, or compares values of
            different kinds; the message says where, and what is allowed.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
        parser = _Parser(text, schema)
        expression = parser.condition(tree.body)
    except SyntaxError as error:
        raise UserError(f"--where {text!r} is not a condition: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise UserError(f"--where {text[:60]!r} is not a condition: {error}") from None
    return Where(text, expression, tuple(parser.columns))


@dataclass(frozen=True)
class _Value:
    """A side of a comparison: a column or a constant, and its kind, "number" or "text"."""

    expression: pc.Expression
    kind: str
    shown: str
    column: bool


@dataclass
class _Parser:
    text: str
    schema: pa.Schema
    columns: dict[str, None] = field(default_factory=dict)

    def condition(self, node: ast.expr) -> pc.Expression:
        """An expression that is true, false or null."""
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(value) for value in node.values]
            while len(parts) > 1:  # in pairs, so that long conditions do not nest deeply
                pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
                both = isinstance(node.op, ast.And)
                parts = [
                    p[0] if len(p) == 1 else p[0] & p[1] if both else p[0] | p[1] for p in pairs
                ]
            return parts[0]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.condition(node.operand)
        if isinstance(node, ast.Compare):
            return self.compare(node)
        if isinstance(node, ast.Name):
            self.column(node.id)
            raise self.error(node, "is a column, not a condition: compare it with something")
        raise self.error(node, f"is not a condition; allowed are {_ALLOWED}")

    def compare(self, node: ast.Compare) -> pc.Expression:
        """A comparison, or a chain of them: a < b < c."""
        found: pc.Expression | None = None
        left_node = node.left
        for operator, right_node in zip(node.ops, node.comparators, strict=True):
            link = self.link(left_node, operator, right_node)
            found = link if found is None else found & link
            left_node = right_node
        return found

    def link(self, left_node: ast.expr, operator: ast.cmpop, right_node: ast.expr) -> pc.Expression:
        """A comparison of two sides."""
        if isinstance(operator, ast.Is | ast.IsNot):
            left = self.value(left_node)
            is_none = isinstance(right_node, ast.Constant) and right_node.value is None
            if not (left.column and is_none):
                raise self.error(right_node, "cannot follow `is` here: write COLUMN is None")
            missing = left.expression.is_null()
            return missing if isinstance(operator, ast.Is) else ~missing
        if isinstance(operator, ast.In | ast.NotIn):
            inside = self.inside(self.value(left_node), right_node)
            return inside if isinstance(operator, ast.In) else ~inside
        left, right = self.value(left_node), self.value(right_node)
        if not (left.column or right.column):
            raise UserError(
                f"--where: {left.shown} and {right.shown} are both constants: name a column"
            )
        self.same_kind(left, right)
        return pc.Expression._call(_COMPARE[type(operator)], [left.expression, right.expression])

    def inside(self, left: _Value, node: ast.expr) -> pc.Expression:
        """Whether the value of a column is in a list; null if the value is missing."""
        if not left.column:
            raise UserError(f"--where: {left.shown} before `in` must be a column")
        if not isinstance(node, ast.Tuple | ast.List | ast.Set):
            raise self.error(node, 'after `in` must be a list: ("a", "b")')
        values = [self.value(item) for item in node.elts]
        for value in values:
            if value.column:
                raise UserError(f"--where: {value.shown} in a list must be a constant")
            self.same_kind(left, value)
        constants = [_constant(item) for item in node.elts]
        kind = pa.string() if left.kind == "text" else None
        among = pa.array(constants or [], kind if constants else pa.string())
        if left.kind == "number":
            doubles = pa.array([float(c) for c in constants], pa.float64())
            found = left.expression.cast(pa.float64()).isin(doubles)
        else:
            found = left.expression.isin(among)
        unknown = pc.scalar(pa.scalar(None, pa.bool_()))
        return pc.Expression._call("if_else", [left.expression.is_null(), unknown, found])

    def value(self, node: ast.expr) -> _Value:
        """A column or a constant."""
        if isinstance(node, ast.Name):
            return self.column(node.id)
        constant = _constant(node)
        if isinstance(constant, bool) or constant is None:
            hint = "; write `is None`" if isinstance(node, ast.Constant) else ""
            hint = hint if isinstance(node, ast.Constant) and node.value is None else ""
            raise self.error(node, f"is neither a column, a number nor a text{hint}")
        if isinstance(constant, str):
            return _Value(pc.scalar(constant), "text", repr(constant), False)
        # as a double, because an integer column would cut 10.5 to 10
        try:
            number = float(constant)
        except OverflowError:
            raise self.error(node, "is larger than any number in an index") from None
        return _Value(pc.scalar(number), "number", str(constant), False)

    def column(self, name: str) -> _Value:
        """A column of the index.

        Raises:
            UserError: no column has the name, or its values cannot be compared.
        """
        if name not in self.schema.names:
            near = difflib.get_close_matches(name, self.schema.names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else _known(self.schema)
            raise UserError(f"--where: the index has no column {name}; {hint}")
        kind = self.schema.field(name).type
        self.columns.setdefault(name)
        expression = pc.field(name)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return _Value(expression.cast(pa.float64()), "number", name, True)
        if pa.types.is_string(kind):
            return _Value(expression, "text", name, True)
        raise UserError(f"--where: {name} is of type {kind}, which cannot be compared")

    def same_kind(self, left: _Value, right: _Value) -> None:
        if left.kind != right.kind:
            raise UserError(
                f"--where: {left.shown} is a {left.kind} and {right.shown} a {right.kind}"
                + ("; write texts in quotes" if "number" in (left.kind, right.kind) else "")
            )

    def error(self, node: ast.expr, problem: str) -> UserError:
        source = ast.get_source_segment(self.text.strip(), node) or ast.unparse(node)
        return UserError(f"--where: `{source}` {problem}")


def _constant(node: ast.expr) -> Any:
    """The number or text of a node that is a constant, or None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _constant(node.operand)
        if isinstance(inner, bool) or not isinstance(inner, int | float):
            return None
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return node.value
    return None


def _known(schema: pa.Schema) -> str:
    """The columns that are of interest in a condition, for a message."""
    names = [name for name in schema.names if "_file" not in name and "_crc" not in name]
    return f"it has {', '.join(n for n in names if not n.endswith(('_offset', '_size', '_shape')))}"
