"""What a field, a lookup and a value mean together (contracts/awx.md §5.1, §5.2, §5.4)."""

import json
import re
from datetime import UTC, datetime
from typing import Final

from rollcall.patterns import PatternError
from rollcall.query.ast import Has, Not, Path, Query
from rollcall.query.errors import QueryError
from rollcall.query.fields import Field, Kind
from rollcall.query.predicates import Bound, Compares, Equals, Like, Matches, Predicate, Present, Scalar

LOOKUPS: Final = frozenset(
    {
        "exact",
        "iexact",
        "contains",
        "icontains",
        "startswith",
        "istartswith",
        "endswith",
        "iendswith",
        "regex",
        "iregex",
        "gt",
        "gte",
        "lt",
        "lte",
        "in",
        "isnull",
        "search",
    }
)
_BOUNDS: Final = {"gt": Bound.ABOVE, "gte": Bound.FROM, "lt": Bound.BELOW, "lte": Bound.UP_TO}
_FOLDING: Final = frozenset({"iexact", "icontains", "istartswith", "iendswith", "iregex"})
_TRUE: Final = frozenset({"true", "1", "t"})
_FALSE: Final = frozenset({"false", "0", "f"})
_INTEGER: Final = re.compile(r"\s*-?[0-9]{1,40}\s*")
_DECIMAL: Final = re.compile(r"\s*-?[0-9]{1,40}(\.[0-9]{1,40})?\s*")
_TIME_FORM: Final = "YYYY-MM-DD HH:MM[:ss[.uuuuuu]][TZ]"


def look_up(name: str, path: Path, field: Field, lookup: str, value: str) -> Query:
    """Rows whose field at the path compares so with the value. Raises QueryError in AWX's words."""
    if lookup == "isnull":
        present = Has(path, Present())
        return Not(present) if boolean(value) else present
    if lookup in _FOLDING and field.kind is not Kind.TEXT:
        message = f"{name} is not a text field and cannot be filtered by case-insensitive search"
        raise QueryError(message, 0, expected="another lookup", subject=name)
    return Has(path, _predicate(field.kind, lookup, value))


def _predicate(kind: Kind, lookup: str, value: str) -> Predicate:
    fold = lookup in _FOLDING
    match lookup.removeprefix("i") if fold else lookup:
        case "exact" if fold:
            return Like((value,))
        case "exact":
            return Equals((scalar(kind, value),))
        case "contains":
            return Like(("", value, ""), fold)
        case "startswith":
            return Like((value, ""), fold)
        case "endswith":
            return Like(("", value), fold)
        case "regex":
            return _matches(value, fold)
        case "in":
            return Equals(_members(kind, value))
        case _:
            return Compares(_BOUNDS[lookup], _comparable(scalar(kind, value)))


def _comparable(value: Scalar) -> str | int | float:
    return int(value) if isinstance(value, bool) else value


def _members(kind: Kind, value: str) -> tuple[Scalar, ...]:
    if not value:
        raise QueryError("cannot provide empty value for __in", 0, expected="values with commas")
    return tuple(dict.fromkeys(scalar(kind, part) for part in value.split(",")))


def _matches(value: str, fold: bool) -> Matches:
    try:
        return Matches(value, fold)
    except PatternError as error:
        raise QueryError(str(error), 0, expected="a regular expression", subject=value) from None


def scalar(kind: Kind, value: str) -> Scalar:
    """The value of a field of that kind that a text stands for. Raises QueryError in AWX's words."""
    match kind:
        case Kind.INTEGER:
            if not _INTEGER.fullmatch(value):
                raise _wrong(value, "value must be an integer.", "an integer")
            return int(value)
        case Kind.NUMBER:
            if not _DECIMAL.fullmatch(value):
                raise _wrong(value, "value must be a decimal number.", "a decimal number")
            return float(value)
        case Kind.BOOLEAN:
            return boolean(value)
        case Kind.TIME:
            return _moment(value)
        case _:
            return value


def boolean(value: str) -> bool:
    """Whether a text means true. Raises QueryError in AWX's words."""
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise QueryError(f'Unable to convert "{value}" to boolean', 0, expected="true or false", subject=value)


def _moment(value: str) -> float:
    try:
        moment = datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _wrong(value, f"value has an invalid format. It must be in {_TIME_FORM} format.", "a time") from None


def _wrong(value: str, what: str, expected: str) -> QueryError:
    message = json.dumps([f"\u201c{value}\u201d {what}"], ensure_ascii=False)
    return QueryError(message, 0, expected=expected, subject=value)
