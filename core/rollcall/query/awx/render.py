"""Queries as parameters of a list's address; what `parse` makes of them is the same query again."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from rollcall.query.ast import EVERYTHING, And, Entry, Has, Not, Or, Path, Query, SomeItem
from rollcall.query.awx.models import Model, Relation
from rollcall.query.errors import UnspeakableError
from rollcall.query.fields import Field, Kind
from rollcall.query.predicates import Bound, Compares, Equals, Like, Matches, Predicate, Present, Scalar

_BOUNDS: Final = {Bound.ABOVE: "gt", Bound.FROM: "gte", Bound.BELOW: "lt", Bound.UP_TO: "lte"}

Parameter = tuple[str, str]


def render(query: Query, model: Model) -> list[Parameter]:
    """The parameters for a query. Raises UnspeakableError for what they cannot say."""
    if query == EVERYTHING:
        return []
    parts = query.parts if isinstance(query, And) else (query,)
    used: set[tuple[Path, ...]] = set()
    found: list[Parameter] = []
    groups = 0
    together = True  # as long as conditions on one related thing could be joined, which `parse` does first
    for part in parts:
        if isinstance(part, Or):
            groups += 1
            found.extend(_prefixed("or__", one, model) for one in part.parts)
        elif isinstance(part, SomeItem) and together and _arrays(part) not in used:
            used.add(_arrays(part))
            found.extend(_said(one, model) for one in _apart(part))
        else:
            parameter = _prefixed("chain__" if isinstance(part, SomeItem) else "", part, model)
            together = together and not parameter[0].startswith(("chain__", "not__"))
            found.append(parameter)
    if groups > 1:
        raise UnspeakableError("parameters can say one row of alternatives, and no more")
    return found


def _arrays(query: Query) -> tuple[Path, ...]:
    return (query.path, *_arrays(query.part)) if isinstance(query, SomeItem) else ()


def _apart(query: Query) -> Iterator[Query]:
    """The conditions on one related thing, each by itself."""
    if isinstance(query, SomeItem):
        yield from (SomeItem(query.path, part) for part in _apart(query.part))
    elif isinstance(query, And):
        yield from query.parts
    else:
        yield query


def _prefixed(prefix: str, query: Query, model: Model) -> Parameter:
    missing = isinstance(query, Not) and isinstance(query.part, Has) and isinstance(query.part.predicate, Present)
    if isinstance(query, Not) and not missing:
        prefix, query = f"{prefix}not__", query.part
    key, value = _said(query, model)
    return f"{prefix}{key}", value


def _said(query: Query, model: Model) -> Parameter:
    names: list[str] = []
    while isinstance(query, SomeItem):
        steps, end = _named(model, query.path)
        if not isinstance(end, Relation):
            raise UnspeakableError("parameters have no name for a relation of this query")
        names.extend(steps)
        model, query = end.model(), query.part
    missing = isinstance(query, Not)
    test = query.part if isinstance(query, Not) else query
    if not isinstance(test, Has) or (missing and not isinstance(test.predicate, Present)):
        raise UnspeakableError("parameters have no words for this query")
    steps, end = _named(model, test.path)
    if not isinstance(end, Field):
        raise UnspeakableError("parameters have no name for a field of this query")
    lookup, value = _lookup(test.predicate, end.kind, missing=missing)
    return "__".join((*names, *steps, lookup)), value


def _named(model: Model, path: Path) -> tuple[list[str], Field | Relation]:
    """The names that lead along a path, and what is at its end."""
    rest = path[1:] if path[:1] == (Entry.VALUE,) else path
    names: list[str] = []
    while True:
        for name, end in model.fields.items():
            if rest == end.path:
                return [*names, name], end
            if isinstance(end, Relation) and not end.many and rest[: len(end.path)] == end.path:
                names.append(name)
                model, rest = end.model(), rest[len(end.path) :]
                break
        else:
            raise UnspeakableError("parameters have no name for a field of this query")


def _lookup(predicate: Predicate, kind: Kind, *, missing: bool) -> Parameter:
    match predicate:
        case Present():
            return "isnull", "true" if missing else "false"
        case Equals((value,)):
            return "exact", _written(value, kind)
        case Equals(values):
            written = [_written(value, kind) for value in values]
            if any("," in value for value in written):
                raise UnspeakableError("parameters cannot list values with commas")
            return "in", ",".join(written)
        case Like((value,), True):
            return "iexact", value
        case Like(("", value, ""), fold):
            return f"{'i' if fold else ''}contains", value
        case Like((value, ""), fold):
            return f"{'i' if fold else ''}startswith", value
        case Like(("", value), fold):
            return f"{'i' if fold else ''}endswith", value
        case Matches(pattern, fold):
            return ("iregex" if fold else "regex"), pattern
        case Compares(bound, limit):
            return _BOUNDS[bound], _written(limit, kind)
        case _:
            raise UnspeakableError("parameters have no words for this test")


def _written(value: Scalar, kind: Kind) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    if kind is Kind.TIME and not isinstance(value, str):
        return datetime.fromtimestamp(value, UTC).isoformat()
    return str(value)
