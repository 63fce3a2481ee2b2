"""Lists: searched, ordered and cut into pages as contract §1.8 says.

Jobs and their tasks have their own way to what a search selects, in `job_search`, and hosts have theirs, in `search`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from rollcall.query.ast import Order, Statement
from rollcall.query.cost import CostError, check_cost
from rollcall.query.errors import QueryError
from rollcall.query.evaluate import Steps, selecting
from rollcall.query.foreman import Subject, parse, parse_order
from rollcall.query.index import Index
from rollcall_api.foreman.errors import JsonBytes, e4
from rollcall_api.foreman.requests import Bag, Page
from rollcall_api.pace import Pace, through

T = TypeVar("T")

Row = Mapping[str, Any]
Render = Callable[[str], Any]


async def listed(
    pace: Pace,
    rows: Iterable[tuple[str, Row]],
    subject: Subject,
    render: Render,
    bag: Bag,
    default: tuple[Order, ...] = (),
    rights: Mapping[str, bool] | None = None,
) -> JsonBytes:
    """The answer to a list: of these rows by key, the page that the parameters ask for, rendered by key.

    `default` is the order without one; that of the keys, unless given. Raises E4 for a search or an order that is not
    understood or asks too much, and 400 for a page that is none.
    """
    page, index = Page.parse(bag), Index()
    await pace.run(through(rows, lambda row: index.put(*row)))
    statement = asked(subject, bag, default)
    check(statement, index)
    keys = await pace.run(selecting(statement, index))
    return await paged(pace, keys, lambda key: orjson.dumps(render(key)), len(index), page, bag, rights)


def asked(subject: Subject, bag: Bag, default: tuple[Order, ...] = ()) -> Statement:
    """What the parameters search for, and in which order. Raises E4."""
    try:
        query = parse(str(bag.get("search") or ""), subject, datetime.now(UTC))
        return Statement(query, parse_order(str(bag.get("order") or ""), subject) or default)
    except QueryError as error:
        raise e4(error.message) from None


def check(statement: Statement, index: Index) -> None:
    """Raises E4 for what would take too long."""
    try:
        check_cost(statement, index)
    except CostError as error:
        raise e4(f"The search asks too much: {error}") from None


async def paged(
    pace: Pace,
    found: Sequence[T],
    encode: Callable[[T], bytes | None],
    total: int,
    page: Page,
    bag: Bag,
    rights: Mapping[str, bool] | None = None,
) -> JsonBytes:
    """The answer with a page of what was found, each encoded; `total` counts what there is without the search.

    What is gone by the time that it is encoded is None, and left out.
    """
    first, last = page.bounds(len(found))
    items = await pace.run(encoded(found[first:last], encode))
    return JsonBytes(envelope(items, total, len(found), page, bag, rights))


def encoded(keys: Iterable[T], encode: Callable[[T], bytes | None]) -> Steps[list[bytes]]:
    """The work of encoding each."""
    items: list[bytes] = []
    for key in keys:
        item = encode(key)
        if item is not None:
            items.append(item)
        yield
    return items


def envelope(
    items: Iterable[bytes],
    total: int,
    subtotal: int,
    page: Page,
    bag: Bag,
    rights: Mapping[str, bool] | None = None,
) -> bytes:
    """The object around a page of encoded items."""
    search = bag.get("search")
    by, *direction = str(bag.get("order") or "").split() or [""]
    head = {
        "total": total,
        "subtotal": subtotal,
        "page": page.number,
        "per_page": total if page.per_page is None else page.per_page,
        "search": None if search is None else str(search),
        "sort": {"by": by or None, "order": (direction[0] if direction else "ASC") if by else None},
        **(rights or {}),
    }
    name = str(bag.get("root_name") or "results")
    return b"%b,%b:[%b]}" % (orjson.dumps(head)[:-1], orjson.dumps(name), b",".join(items))
