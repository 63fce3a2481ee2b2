"""What queries select from small sets of rows."""

from collections.abc import Iterable
from typing import Any

from rollcall.query.ast import Query, Statement
from rollcall.query.errors import QueryError
from rollcall.query.evaluate import rows, select
from rollcall.query.index import Index


def index(*hosts: dict[str, Any], groups: Iterable[str] = ()) -> Index:
    """An index of rows that have names."""
    return Index({host["name"]: host for host in hosts}, groups=groups)


def selected(query: Query | Statement, of: Index) -> list[str]:
    """The names that are selected, in their order."""
    return select(query, of) if isinstance(query, Statement) else of.names(rows(query, of))


def assert_placed(error: QueryError, text: str) -> None:
    """The error's place is in the text, or at its end."""
    assert 0 <= error.position <= len(text), error
