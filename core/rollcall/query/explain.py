"""Queries in words: what one asks, and why it selects a row or does not."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from rollcall.query.ast import (
    GROUPS,
    And,
    Constant,
    Direction,
    Each,
    Entry,
    Has,
    Members,
    Not,
    Or,
    Path,
    Place,
    Query,
    Slice,
    SomeEntry,
    SomeItem,
    Statement,
)
from rollcall.query.evaluate import rows
from rollcall.query.index import Index, values_at
from rollcall.query.predicates import Bound, Compares, Equals, Glob, Holds, Like, Matches, Predicate, Present, Which

MAX_SHOWN_VALUES: Final = 5
MAX_SHOWN_LENGTH: Final = 80
_INDENT: Final = "  "
_BOUNDS: Final = {
    Bound.BELOW: "is less than",
    Bound.UP_TO: "is at most",
    Bound.FROM: "is at least",
    Bound.ABOVE: "is more than",
}
_WHICH: Final = {
    Which.ALL: "has all of",
    Which.ONLY: "has nothing but",
    Which.ANY: "has any of",
}


def explain(statement: Statement) -> str:
    """What a statement asks, a condition on a line; what belongs to another line is indented below it."""
    lines = list(_lines(statement.query, lambda _: ""))
    for order in statement.order:
        way = "falling" if order.direction is Direction.DESCENDING else "rising"
        lines.append(f"ordered by {_place(order.path)}, {way}")
    if statement.limit is not None:
        lines.append(f"at most {statement.limit} of them")
    if statement.offset:
        lines.append(f"without the first {statement.offset}")
    return "\n".join(lines)


def why(query: Query, name: str, index: Index) -> str:
    """The query in words, where each line says whether it is true of the row of that name, and what the row has there.

    Raises KeyError when there is no such row.
    """
    row = index.row(name)
    if row is None:
        raise KeyError(name)
    bit = index.bits([name])

    def verdict(node: Query) -> str:
        said = "yes" if rows(node, index) & bit else "no"
        if isinstance(node, Has):
            found = [_value(value) for value in values_at(row, node.path)]
            said += f": it has {_some(found)}" if found else ": it has none"
        elif isinstance(node, Members):
            groups = [_value(group) for group in values_at(row, GROUPS) if node.predicate.accepts(group)]
            said += f": it is in {_some(groups)}" if groups else ": it is in no such group"
        return f"  [{said}]"

    return "\n".join(_lines(query, verdict))


def _lines(query: Query, remark: Callable[[Query], str], depth: int = 0) -> Iterator[str]:
    inner: tuple[Query, ...] = ()
    match query:
        case Constant(value):
            said = "everything" if value else "nothing"
        case Has(path, predicate):
            said = f"{_place(path)} {_asks(predicate)}"
        case Members(predicate, rows_too):
            also = "or its own name" if rows_too else "or, without such a group, its own name,"
            said = f"the name of a group it is in, {also} {_asks(predicate)}"
        case Not(part):
            said, inner = "not:", (part,)
        case And(parts):
            said, inner = "all of:", parts
        case Or(parts):
            said, inner = "any of:", parts
        case SomeEntry(path, part):
            said, inner = f"an entry of {_place(path)}, of which:", (part,)
        case SomeItem(path, part):
            said, inner = f"an item of {_place(path)}, of which:", (part,)
        case Slice(part, first, last):
            said, inner = (
                f"by name, from place {first} to {'the end' if last is None else f'place {last}'}, of:",
                (part,),
            )
        case Place(part, place):
            said, inner = f"by name, the one at place {place}, of:", (part,)
    # An entry of a row is no row: no verdict on it.
    of_inner = (lambda _: "") if isinstance(query, SomeEntry | SomeItem) else remark
    yield f"{_INDENT * depth}{said}{remark(query)}"
    for part in inner:
        yield from _lines(part, of_inner, depth + 1)


def _place(path: Path) -> str:
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif isinstance(step, Each):
            shown += " (each)" if step is Each.ITEM else " (each name)"
        elif isinstance(step, Entry):
            shown += f"its {step.value}"
        else:
            plain = step.replace("_", "").replace("-", "").isalnum()
            shown += ("." if shown else "") + (step if plain else json.dumps(step))
    return shown


def _asks(predicate: Predicate) -> str:
    match predicate:
        case Present():
            return "is there"
        case Equals((value,)):
            return f"is {_value(value)}"
        case Equals(values):
            return f"is one of {_some([_value(value) for value in values])}"
        case Compares(bound, limit):
            return f"{_BOUNDS[bound]} {_value(limit)}"
        case Like(pieces, fold):
            return f"is like {_value('*'.join(pieces))}" + (" in capital or small letters" if fold else "")
        case Matches(pattern, fold, anchor):
            where = {"search": "", "match": " from its beginning", "fullmatch": " as a whole"}[anchor.value]
            return f"matches /{pattern}/{'i' if fold else ''}{where}"
        case Glob(pattern):
            return f"fits {_value(pattern)}"
        case Holds(which, values):
            return f"{_WHICH[which]} {_some([_value(value) for value in values])}"


def _value(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= MAX_SHOWN_LENGTH else f"{shown[:MAX_SHOWN_LENGTH]}..."


def _some(shown: list[str]) -> str:
    more = len(shown) - MAX_SHOWN_VALUES
    return ", ".join(shown[:MAX_SHOWN_VALUES]) + (f" and {more} more" if more > 0 else "")
