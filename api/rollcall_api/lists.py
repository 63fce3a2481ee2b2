"""Lists of what is in the cache: searched, ordered and cut into pages, whatever they look like in the end.

Jobs have their own way to what a search selects, in `job_search`, and hosts have theirs, in `host_search`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from rollcall.query.ast import Statement
from rollcall.query.cost import CostError, check_cost
from rollcall.query.evaluate import Steps, selecting
from rollcall.query.index import Index
from rollcall_api.pace import Pace, through
from rollcall_api.problems import BadSearch

T = TypeVar("T")

Row = Mapping[str, Any]
Encode = Callable[[T], bytes | None]

DEFAULT_PER_PAGE: Final = 20
MAX_PER_PAGE: Final = 10_000
"""However many are asked for, no page has more."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted; `per_page` None stands for all."""

    number: int = 1
    per_page: int | None = DEFAULT_PER_PAGE

    def bounds(self, count: int) -> tuple[int, int]:
        """Where the page begins in a list of so many, and where it would end if the list were long enough."""
        size = min(count if self.per_page is None else self.per_page, MAX_PER_PAGE)
        first = (self.number - 1) * size
        return first, first + size


async def selected(pace: Pace, rows: Iterable[tuple[str, Row]], statement: Statement) -> tuple[Sequence[str], int]:
    """The keys of those rows that a search selects, in its order, and how many there are without it.

    Raises BadSearch for what would take too long.
    """
    index = Index()
    await pace.run(through(rows, lambda row: index.put(*row)))
    check(statement, index)
    return await pace.run(selecting(statement, index)), len(index)


def check(statement: Statement, index: Index) -> None:
    """Raises BadSearch for what would take too long."""
    try:
        check_cost(statement, index)
    except CostError as error:
        raise BadSearch(f"The search asks too much: {error}") from None


async def items(pace: Pace, found: Sequence[T], encode: Encode[T], page: Page) -> list[bytes]:
    """The page of what was found, each encoded; what is gone by the time that it is encoded is None, and left out."""
    first, last = page.bounds(len(found))
    return await pace.run(encoded(found[first:last], encode))


def encoded(keys: Iterable[T], encode: Encode[T]) -> Steps[list[bytes]]:
    """The work of encoding each."""
    found: list[bytes] = []
    for key in keys:
        item = encode(key)
        if item is not None:
            found.append(item)
        yield
    return found
