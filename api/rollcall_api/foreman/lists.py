"""Lists of what there are not many of: searched, ordered and cut into pages as contract §1.8 says.

Jobs have their own way, in `job_routes`, which does not look at all of them for a page.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from rollcall.query.ast import Order, Statement
from rollcall.query.errors import QueryError
from rollcall.query.evaluate import select
from rollcall.query.foreman import Subject, parse, parse_order
from rollcall.query.index import Index
from rollcall_api.foreman.errors import JsonBytes, e4
from rollcall_api.foreman.requests import Bag, Page

Row = Mapping[str, Any]
Render = Callable[[str], Any]


def listed(
    rows: Iterable[tuple[str, Row]], subject: Subject, render: Render, bag: Bag, default: tuple[Order, ...] = ()
) -> JsonBytes:
    """The answer to a list: of these rows by key, the page that the parameters ask for, rendered by key.

    `default` is the order without one; that of the keys, unless given. Raises E4 for a search or an order that is not
    understood, and 400 for a page that is none.
    """
    index = Index(dict(rows))
    page = Page.parse(bag)
    search = bag.get("search")
    keys = found(index, subject, bag, default)
    first, last = page.bounds(len(keys))
    items = [render(key) for key in keys[first:last]]
    return JsonBytes(orjson.dumps(envelope(items, len(index), len(keys), page, search, bag)))


def found(index: Index, subject: Subject, bag: Bag, default: tuple[Order, ...] = ()) -> list[str]:
    """The keys of the rows that the parameters select, in their order. Raises E4."""
    try:
        query = parse(str(bag.get("search") or ""), subject, datetime.now(UTC))
        order = parse_order(str(bag.get("order") or ""), subject)
        return select(Statement(query, order or default), index)
    except QueryError as error:
        raise e4(error.message) from None


def envelope(items: list[Any], total: int, subtotal: int, page: Page, search: Any, bag: Bag) -> dict[str, Any]:
    """The object around a page."""
    by, *direction = str(bag.get("order") or "").split() or [""]
    name = str(bag.get("root_name") or "results")
    body = {
        "total": total,
        "subtotal": subtotal,
        "page": page.number,
        "per_page": total if page.per_page is None else page.per_page,
        "search": None if search is None else str(search),
        "sort": {"by": by or None, "order": (direction[0] if direction else "ASC") if by else None},
    }
    return body | {name: items}
