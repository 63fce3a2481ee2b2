"""Statements as text of PQL; what `parse` makes of the text is the same statement again."""

import json
from datetime import UTC, datetime
from typing import Any

from rollcall.query.ast import (
    EVERYTHING,
    NAME,
    And,
    Direction,
    Entry,
    Has,
    Not,
    Or,
    Order,
    Path,
    Query,
    SomeEntry,
    Statement,
)
from rollcall.query.errors import UnspeakableError
from rollcall.query.pql.fields import FACTS, FIELDS
from rollcall.query.pql.tokens import quoted
from rollcall.query.predicates import Compares, Equals, Matches, Predicate, Present

_TIME = FIELDS["inventory"]["timestamp"].path


def render(statement: Statement) -> str:
    """The text of a statement about the inventory. Raises UnspeakableError for what only other languages can say."""
    parts = [] if statement.query == EVERYTHING else [_said(statement.query)]
    if statement.order:
        parts.append(f"order by {', '.join(map(_order, statement.order))}")
    if statement.offset:
        parts.append(f"offset {statement.offset}")
    if statement.limit is not None:
        parts.append(f"limit {statement.limit}")
    return f"inventory[certname] {{ {' '.join(parts)} }}"


def _said(query: Query) -> str:
    match query:
        case And(parts) if len(parts) > 1:
            return " and ".join(_operand(part) for part in parts)
        case Or(parts) if len(parts) > 1:
            return " or ".join(_operand(part) for part in parts)
        case Not(Has(path, Present())):
            return f"{_field(path)} is null"
        case Not(part):
            return f"!{_operand(part, always=True)}"
        case SomeEntry((begin,), part) if begin == FACTS:
            return f"facts {{ {_said(part)} }}"
        case Has(path, predicate):
            return _test(path, predicate)
        case _:
            raise UnspeakableError("PQL has no words for this query")


def _operand(query: Query, *, always: bool = False) -> str:
    text = _said(query)
    return f"({text})" if always or isinstance(query, And | Or) else text


def _test(path: Path, predicate: Predicate) -> str:
    field = _field(path)
    match predicate:
        case Present():
            return f"{field} is not null"
        case Equals((value,)):
            return f"{field} = {_value(path, value)}"
        case Equals(values):
            return f"{field} in [{', '.join(_value(path, value) for value in values)}]"
        case Matches(pattern, False):
            return f"{field} ~ {quoted(pattern)}"
        case Compares(bound, limit) if not isinstance(limit, str):
            return f"{field} {bound.value} {_value(path, limit)}"
        case _:
            raise UnspeakableError("PQL has no words for this test")


def _field(path: Path) -> str:
    if path == NAME:
        return "certname"
    if path in ((Entry.NAME,), (Entry.VALUE,)):
        return str(path[0].value)
    for name, field in FIELDS["inventory"].items():
        if field.path == path:
            return name
    first, *rest = path
    if first not in ("facts", "trusted") or not rest:
        raise UnspeakableError("PQL has no name for a field of this query")
    said = str(first)
    for step in rest:
        if isinstance(step, str):
            said += f".{quoted(step)}"
        elif isinstance(step, int) and not said.endswith("]") and said != first:
            said += f"[{step}]"
        else:
            raise UnspeakableError("PQL has no name for a field of this query")
    return said


def _value(path: Path, value: Any) -> str:
    if path == _TIME:
        return quoted(datetime.fromtimestamp(value, UTC).isoformat())
    return json.dumps(value, ensure_ascii=False)


def _order(order: Order) -> str:
    return (
        f"{_field(order.path)} {order.direction.value}"
        if order.direction is Direction.DESCENDING
        else _field(order.path)
    )
