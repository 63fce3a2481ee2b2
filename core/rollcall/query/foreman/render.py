"""Queries as text of the search language; what `parse` makes of the text is the same query again."""

from datetime import UTC, datetime

from rollcall.query.ast import And, Constant, Has, Not, Or, Path, Query
from rollcall.query.errors import UnspeakableError
from rollcall.query.fields import Kind
from rollcall.query.foreman.fields import Subject
from rollcall.query.foreman.tokens import quoted
from rollcall.query.predicates import Bound, Compares, Equals, Like, Predicate, Present, Scalar

_SIGNS = {Bound.BELOW: "<", Bound.UP_TO: "<=", Bound.FROM: ">=", Bound.ABOVE: ">"}


def render(query: Query, subject: Subject) -> str:
    """The text of a query. Raises UnspeakableError for what only other languages can say."""
    match query:
        case Constant(True):
            return ""
        case And(parts) if len(parts) > 1:
            return " and ".join(_operand(part, subject) for part in parts)
        case Or(parts) if len(parts) > 1:
            return " or ".join(_operand(part, subject) for part in parts)
        case Not(Has(path, Present())):
            return f"null? {_name(path, subject)[0]}"
        case Not(part):
            return f"not {_operand(part, subject)}"
        case Has(path, predicate):
            return _test(path, predicate, subject)
        case _:
            raise UnspeakableError("scoped_search has no words for this query")


def _operand(query: Query, subject: Subject) -> str:
    text = render(query, subject)
    return f"({text})" if isinstance(query, And | Or) else text


def _test(path: Path, predicate: Predicate, subject: Subject) -> str:
    name, kind = _name(path, subject)
    match predicate:
        case Present():
            return f"set? {name}"
        case Equals((value,)):
            return f"{name} = {_value(value)}"
        case Equals(values):
            return f"{name} ^ ({', '.join(map(_value, values))})"
        case Like(pieces, True):
            plain = len(pieces) == 3 and pieces[0] == pieces[2] == ""
            return f"{name} ~ {quoted(pieces[1] if plain else '*'.join(pieces))}"
        case Compares(bound, limit):
            value = _moment(limit) if kind is Kind.TIME and not isinstance(limit, str) else _value(limit)
            return f"{name} {_SIGNS[bound]} {value}"
        case _:
            raise UnspeakableError("scoped_search has no words for this test")


def _name(path: Path, subject: Subject) -> tuple[str, Kind]:
    """The first name of a field at the path, and what values it has."""
    for name, field in subject.fields.items():
        if field.path == path:
            return quoted(name), field.kind
    for prefix, start in subject.prefixes.items():
        rest = path[len(start) :] if path[: len(start)] == start else ()
        name = prefix + "::".join(map(str, rest))
        found = subject.find(name)
        if found is not None and found.path == path:
            return quoted(name), Kind.ANY
    raise UnspeakableError("scoped_search has no name for a field of this query")


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(value) if isinstance(value, str) else quoted(repr(value))


def _moment(seconds: float) -> str:
    return f'"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"'
