"""What a field, an operator and a value mean together (contracts/puppet.md §8.2)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rollcall.patterns import PatternError
from rollcall.query.ast import NOTHING, Has, Not, Query
from rollcall.query.errors import QueryError
from rollcall.query.fields import Field, Kind
from rollcall.query.predicates import Bound, Compares, Equals, Matches, Present, Scalar

OPERATORS: Final = ("=", "!=", "~", "!~", ">=", "<=", ">", "<")
_POSITIVE: Final = {"!=": "=", "!~": "~"}


def compare(field: Field, operator: str, value: Scalar, position: int) -> Query:
    """Rows whose field compares so with the value. Raises QueryError for a regular expression that cannot be read."""
    if operator in _POSITIVE:
        return Not(compare(field, _POSITIVE[operator], value, position))
    match operator:
        case "=":
            return one_of(field, (value,))
        case "~":
            return _matches(field, value, position)
        case _:
            limit = _moment(value) if field.kind is Kind.TIME else value
            if isinstance(limit, bool) or not isinstance(limit, int | float):
                return NOTHING
            return Has(field.path, Compares(Bound(operator), limit))


def one_of(field: Field, values: Sequence[Scalar]) -> Query:
    """Rows whose field has one of the values."""
    if field.kind is Kind.TIME:
        values = [moment for value in values if (moment := _moment(value)) is not None]
    return Has(field.path, Equals(tuple(values))) if values else NOTHING


def null(field: Field, *, missing: bool) -> Query:
    """Rows that lack the field, or those that have it."""
    present = Has(field.path, Present())
    return Not(present) if missing else present


def _matches(field: Field, value: Any, position: int) -> Query:
    if not isinstance(value, str):
        raise QueryError("a regular expression is a text", position, expected="a quoted text", subject=str(value))
    try:
        return Has(field.path, Matches(value))
    except PatternError as error:
        message = f"the regular expression '{value}' cannot be read: {error}"
        raise QueryError(message, position, expected="a regular expression", subject=value) from None


def _moment(value: Scalar) -> float | None:
    """Epoch seconds of an ISO time; of no other value."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
