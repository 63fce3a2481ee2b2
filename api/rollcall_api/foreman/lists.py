"""Lists as contract §1.8 has them: what their parameters ask for, and the object around a page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import orjson

from rollcall.query.ast import Order, Statement
from rollcall.query.errors import QueryError
from rollcall.query.foreman import Subject, parse, parse_order
from rollcall_api import lists
from rollcall_api.foreman.errors import JsonBytes, e4
from rollcall_api.foreman.requests import Bag, Page
from rollcall_api.lists import Row
from rollcall_api.pace import Pace

T = TypeVar("T")

Render = Callable[[str], Any]

ECHOED: Final = ("search", "order", "root_name")
"""The parameters that are to be seen around a page, besides those that say which page it is."""


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
    page = Page.parse(bag)
    keys, total = await lists.selected(pace, rows, asked(subject, bag, default))
    return await paged(pace, keys, lambda key: orjson.dumps(render(key)), total, page, bag, rights)


def asked(subject: Subject, bag: Bag, default: tuple[Order, ...] = ()) -> Statement:
    """What the parameters search for, and in which order. Raises E4."""
    try:
        query = parse(str(bag.get("search") or ""), subject, datetime.now(UTC))
        return Statement(query, parse_order(str(bag.get("order") or ""), subject) or default)
    except QueryError as error:
        raise e4(error.message) from None


async def paged(
    pace: Pace,
    found: Sequence[T],
    encode: Callable[[T], bytes | None],
    total: int,
    page: Page,
    bag: Bag,
    rights: Mapping[str, bool] | None = None,
) -> JsonBytes:
    """The answer with a page of what was found, each encoded; `total` counts what there is without the search."""
    items = await lists.items(pace, found, encode, page)
    return JsonBytes(envelope(items, total, len(found), page, bag, rights))


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
