"""How much a query asks: what takes longer than others can wait is refused before it is answered.

Equality costs next to nothing, however many values it names. A path that is asked about for the first time costs a
look at every row, and any other test one at every value there: tens of milliseconds with ten thousand rows.
"""

from collections.abc import Iterable
from typing import Final

from rollcall.query.ast import Has, Members, Place, Query, Slice, SomeEntry, SomeItem, Statement, parts
from rollcall.query.evaluate import spelled_out
from rollcall.query.index import Index
from rollcall.query.predicates import Equals, Glob, Present

MAX_PATHS: Final = 32
"""How many different fields and facts a query may ask about."""
MAX_TESTS: Final = 64
"""How many tests a query may have that are not for equality."""
MAX_ENTRIES: Final = 128
"""How many facts there may be for a query that asks about any of them."""
MAX_CONDITIONS: Final = 256
"""How many conditions a query may have where no index helps and every row is looked at."""


class CostError(ValueError):
    """A query asks too much; the message says of what."""


def check_cost(statement: Statement, index: Index) -> None:
    """Raises CostError for a query that would take too long."""
    found = list(parts(statement.query))
    nested = [node for node in found if isinstance(node, SomeEntry | SomeItem)]
    within = [part for node in nested for part in parts(node.part)]
    paths = {node.path for node in found if isinstance(node, Has | SomeEntry | SomeItem)}
    _refuse("different fields and facts", len(paths.union(order.path for order in statement.order)), MAX_PATHS)
    _refuse("tests other than equality", _tests(found), MAX_TESTS)
    _refuse("tests of the entries or items of one fact", len(within), MAX_TESTS)
    # Each of these asks about all that there is under any name.
    spelled = [
        part
        for node in nested
        if isinstance(node, SomeEntry)
        for part in parts(spelled_out(node.path, node.part, index))
    ]
    _refuse("facts at once", len({part.path for part in spelled if isinstance(part, Has)}), MAX_ENTRIES)
    _refuse("tests other than equality of all facts together", _tests(spelled), MAX_ENTRIES)


def check_scan(query: Query) -> None:
    """Raises CostError for a query that would take too long where rows are looked at one by one."""
    _refuse("conditions", sum(isinstance(node, Has) for node in parts(query)), MAX_CONDITIONS)


def _refuse(what: str, count: int, most: int) -> None:
    if count > most:
        raise CostError(f"it has {count} {what}, and may have {most}")


def _tests(nodes: Iterable[Query]) -> int:
    return sum(map(_is_test, nodes))


def _is_test(node: Query) -> bool:
    match node:
        case Has(_, Equals() | Present()):
            return False
        case Has(_, Glob() as glob) | Members(Glob() as glob):
            return not glob.plain
        case Has() | Members() | Place() | Slice():
            return True
        case _:
            return False
