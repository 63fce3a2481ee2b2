"""Which rows a query selects, and why."""

from collections.abc import Generator, Sequence
from typing import TypeVar

from rollcall.query.ast import (
    EACH_NAME,
    EVERYTHING,
    GROUPS,
    NAME,
    NOTHING,
    And,
    Constant,
    Direction,
    Entry,
    Has,
    Members,
    Not,
    Or,
    Order,
    Path,
    Place,
    Query,
    Slice,
    SomeEntry,
    SomeItem,
    Statement,
    both,
    either,
)
from rollcall.query.index import NO_ROWS, Bits, Index
from rollcall.query.predicates import Glob, Predicate, Present

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work with stops in it, at which whoever does it can let others in between."""


class OutOfRangeError(ValueError):
    """A query takes rows by place, and there is none at that place."""


def at_once(work: Steps[T]) -> T:
    """What comes of the work, done without a stop."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def select(statement: Statement, index: Index) -> list[str]:
    """The names of the selected rows, in the order that is asked for. Raises OutOfRangeError."""
    return at_once(selecting(statement, index))


def rows(query: Query, index: Index) -> Bits:
    """The rows that a query selects. Raises OutOfRangeError."""
    return at_once(finding(query, index))


def selecting(statement: Statement, index: Index) -> Steps[list[str]]:
    """As `select`, with a stop after each test and each order; the index must keep its rows in the meantime."""
    found = yield from finding(statement.query, index)
    names = index.names(found)
    for order in reversed(statement.order):
        yield
        names = _sorted(names, order, index)
    end = None if statement.limit is None else statement.offset + statement.limit
    return names[statement.offset : end]


def finding(query: Query, index: Index) -> Steps[Bits]:
    """As `rows`, with a stop after each test; the index must keep its rows in the meantime."""
    match query:
        case Constant(value):
            return index.all if value else NO_ROWS
        case Has(path, predicate):
            yield from _learning(path, index)
            return index.having(path, predicate)
        case Not(part):
            return index.all & ~(yield from finding(part, index))
        case And(parts) | Or(parts):
            every = isinstance(query, And)
            found = index.all if every else NO_ROWS
            for part in parts:
                some = yield from finding(part, index)
                found = found & some if every else found | some
            return found
        case SomeEntry(path, part):
            return (yield from finding(spelled_out(path, part, index), index))
        case SomeItem(path, part):
            items, owners = index.items(path)
            selected = yield from finding(_of_item(part), items)
            return index.bits({owners[name] for name in items.names(selected)})
        case Members(predicate, rows_too):
            return _members(predicate, index, rows_too=rows_too)
        case Slice(part, first, last):
            selected = yield from finding(part, index)
            return index.bits(index.names(selected)[first : None if last is None else last + 1])
        case Place(part, place):
            return _at((yield from finding(part, index)), index, place)


def _learning(path: Path, index: Index) -> Steps[None]:
    """A stop before the test, and one more where each row must be looked at before it."""
    yield
    if index.learn(path):
        yield


def known_groups(predicate: Predicate, index: Index) -> bool:
    """Whether there is a group whose name the predicate accepts, also one that no row is in."""
    if isinstance(predicate, Glob) and predicate.plain:
        return predicate.pattern in index.groups or index.having(GROUPS, predicate) != NO_ROWS
    return any(map(predicate.accepts, index.groups)) or any(map(predicate.accepts, index.values(GROUPS)))


def _members(predicate: Predicate, index: Index, *, rows_too: bool) -> Bits:
    of_groups = index.having(GROUPS, predicate)
    if not rows_too and known_groups(predicate, index):
        return of_groups
    return of_groups | index.having(NAME, predicate)


def _at(found: Bits, index: Index, place: int) -> Bits:
    names = index.names(found)
    if names and not -len(names) <= place < len(names):
        raise OutOfRangeError(f"there are {len(names)}, and none of them is at place {place}")
    return index.bits(names[place : place + 1] if place != -1 else names[-1:])


def spelled_out(path: Path, part: Query, index: Index) -> Query:
    """A `SomeEntry` of these without entries: for each name that one has in any row, what the part says of it."""
    names = sorted(index.values((*path, EACH_NAME)))
    return either(*(_of_entry(part, (*path, name), name) for name in names))


def _of_entry(part: Query, place: Path, name: str) -> Query:
    """Selects the rows whose entry of that name and place is selected by the part."""
    said = _substituted(part, place, name)
    return said if said == NOTHING else both(Has(place, Present()), said)


def _substituted(part: Query, place: Path, name: str) -> Query:
    match part:
        case Has((Entry.NAME,), predicate):
            return Constant(predicate.accepts(name))
        case Has((Entry.VALUE, *rest), predicate):
            return Has((*place, *rest), predicate)
        case Not(inner):
            said = _substituted(inner, place, name)
            return Constant(not said.value) if isinstance(said, Constant) else Not(said)
        case And(parts):
            said_all = [_substituted(inner, place, name) for inner in parts]
            return NOTHING if NOTHING in said_all else both(*said_all)
        case Or(parts):
            said_all = [_substituted(inner, place, name) for inner in parts]
            return EVERYTHING if EVERYTHING in said_all else either(*said_all)
        case _:
            return part


def _of_item(part: Query) -> Query:
    """The same of rows that have the item as their `value`."""
    match part:
        case Has((Entry.VALUE, *rest), predicate):
            return Has(("value", *rest), predicate)
        case SomeItem((Entry.VALUE, *rest), inner):
            return SomeItem(("value", *rest), inner)
        case Not(inner):
            return Not(_of_item(inner))
        case And(parts):
            return And(tuple(map(_of_item, parts)))
        case Or(parts):
            return Or(tuple(map(_of_item, parts)))
        case _:
            return part


def _sorted(names: Sequence[str], order: Order, index: Index) -> list[str]:
    """The names by a value of their rows; rows without a value come first or last."""
    places = dict(zip(names, index.places(order.path, names), strict=True))
    lacking = [name for name in names if places[name] < 0]
    having = [name for name in names if places[name] >= 0]
    having.sort(key=places.__getitem__, reverse=order.direction is Direction.DESCENDING)
    return lacking + having if order.missing_first else having + lacking
