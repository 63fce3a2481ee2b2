"""Query parameters of a list, `[or__|chain__][not__]PATH[__LOOKUP]=VALUE` (contracts/awx.md §5.1, §5.3)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rollcall.query.ast import And, Entry, Has, Not, Path, Query, SomeItem, both, either
from rollcall.query.awx.lookups import LOOKUPS, boolean, look_up
from rollcall.query.awx.models import SEARCHED, Model, Relation
from rollcall.query.errors import MAX_LENGTH, QueryError
from rollcall.query.fields import Field, Kind
from rollcall.query.predicates import Like

RESERVED: Final = frozenset(
    {"page", "page_size", "format", "order", "order_by", "count_disabled", "no_truncate", "host_filter", "limit"}
)
"""Parameters that are no filters."""
MAX_STEPS: Final = 8
_TERM: Final = re.compile(r'"([^"]*)"|([^\s,"]+)')
_NULL: Final = frozenset({"none", "null"})


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path has led: the step that is a field, or the relation, and the relations to many on the way."""

    arrays: tuple[Path, ...]
    """Paths of arrays, each from the item of the one before it."""
    path: Path
    """From the last array's item, or the row."""
    end: Field | Relation
    name: str


def parse(parameters: Iterable[tuple[str, str]], model: Model) -> Query:
    """The query in the parameters of a list's address; everything, without filters.

    Raises QueryError in AWX's words, whose position counts from the beginning of `KEY=VALUE`.
    """
    filters: list[tuple[tuple[Path, ...], Query]] = []
    alone: list[Query] = []
    alternatives: list[Query] = []
    searches: dict[str, list[Query]] = {}
    for key, value in parameters:
        if key in RESERVED and key != "limit":
            continue
        if len(key) + len(value) > MAX_LENGTH:
            raise QueryError(f"a filter is longer than {MAX_LENGTH} characters", MAX_LENGTH)
        if key == "search":
            alone.append(_search(model, value))
            continue
        group, negated, path = _prefixes(key)
        try:
            if key.endswith("__search"):
                searches.setdefault(key, []).append(_search_related(model, key.removesuffix("__search"), value))
                continue
            arrays, query = _filter(model, path, value)
        except QueryError as error:
            error.position = _place_of(error.subject, key)
            raise
        if group == "or":
            found = _within(arrays, query)
            alternatives.append(Not(found) if negated else found)
        elif group == "chain" or negated:
            found = _within(arrays, query)
            alone.append(Not(found) if negated else found)
        else:
            filters.append((arrays, query))
    found_all = [*_joined(filters), *alone, *(either(*queries) for queries in searches.values())]
    return _flat(both(*found_all, *([either(*alternatives)] if alternatives else [])))


def _place_of(subject: str, key: str) -> int:
    """Where in `KEY=VALUE` the wrong step of a path is, or else the value."""
    steps = key.split("__")
    if subject not in steps:
        return len(key) + 1
    last = len(steps) - 1 - steps[::-1].index(subject)
    return len("__".join((*steps[:last], "")))


def _flat(query: Query) -> Query:
    if not isinstance(query, And):
        return query
    parts = [inner for part in query.parts for inner in (part.parts if isinstance(part, And) else (part,))]
    return And(tuple(parts))


def _prefixes(key: str) -> tuple[str, bool, str]:
    group = next((name for name in ("or", "chain") if key.startswith(f"{name}__")), "")
    rest = key.removeprefix(f"{group}__") if group else key
    return group, rest.startswith("not__"), rest.removeprefix("not__")


def _joined(filters: Sequence[tuple[tuple[Path, ...], Query]]) -> list[Query]:
    """One query for all filters by the same relation to many: the same related thing must pass all of them."""
    by_arrays: dict[tuple[Path, ...], list[Query]] = {}
    for arrays, query in filters:
        by_arrays.setdefault(arrays, []).append(query)
    return [_within(arrays, both(*queries)) for arrays, queries in by_arrays.items()]


def _within(arrays: Sequence[Path], query: Query) -> Query:
    for path in reversed(arrays):
        query = SomeItem(path, query)
    return query


def _filter(model: Model, path: str, value: str) -> tuple[tuple[Path, ...], Query]:
    steps = path.split("__")
    if steps[-1] == "int" and len(steps) > 1:
        steps.pop()
        value = str(int(value)) if re.fullmatch(r"\s*-?[0-9]{1,40}\s*", value) else value
    lookup = steps.pop() if len(steps) > 1 and steps[-1] in LOOKUPS else "exact"
    place = walk(model, steps)
    if isinstance(place.end, Relation):
        return place.arrays, _related(place, place.end, lookup, value)
    if place.name == "type" and lookup == "exact":
        lookup = "in"
    return place.arrays, look_up(place.name, place.path, place.end, lookup, value)


def walk(model: Model, steps: Sequence[str]) -> _Place:
    """Follows the names to a field or relation. Raises QueryError in AWX's words."""
    if len(steps) > MAX_STEPS:
        raise QueryError(f"the path has more than {MAX_STEPS} steps", 0, expected="a shorter path", subject=steps[-1])
    arrays: list[Path] = []
    path: Path = ()
    seen: set[str] = set()
    end: Field | Relation | None = None
    for name in steps:
        if isinstance(end, Field):
            raise QueryError(f"No related model for field {name}.", 0, expected="a comparison", subject=name)
        if isinstance(end, Relation):
            model = end.model()
            if end.many:
                arrays.append(path)
                path = (Entry.VALUE,)
        if name in seen:
            message = f"Loops not allowed in filters, detected on field {name}."
            raise QueryError(message, 0, expected="another field", subject=name)
        end = model.find(name)
        if isinstance(end, Relation):
            seen.add(name)
        path = (*path, *end.path)
    assert end is not None, "a path has a step"
    return _Place(tuple(arrays), path, end, steps[-1])


def _related(place: _Place, relation: Relation, lookup: str, value: str) -> Query:
    """A comparison of a relation itself: by id, or whether there is one."""
    identity = Field(("id",), Kind.INTEGER)
    if relation.many:
        inner = (Entry.VALUE, "id")
        if lookup == "isnull":
            some = SomeItem(place.path, look_up("id", inner, identity, "isnull", "false"))
            return Not(some) if boolean(value) else some
        return SomeItem(place.path, _by_id(place.name, inner, identity, lookup, value))
    return _by_id(place.name, (*place.path, "id"), identity, lookup, value)


def _by_id(name: str, path: Path, identity: Field, lookup: str, value: str) -> Query:
    if lookup == "exact" and value.lower() in _NULL:
        return look_up("id", path, identity, "isnull", "true")
    if lookup == "exact" and not re.fullmatch(r"-?[0-9]{1,40}", value):
        raise QueryError(f"Invalid {name} id: {value}", 0, expected="an id", subject=value)
    return look_up(name, path, identity, lookup, value)


def _search(model: Model, text: str) -> Query:
    """Rows that have each term somewhere."""
    names = [name for name in SEARCHED if name != "playbook" and name in model.fields]
    if not names:
        names = [name for name in ("stdout", "host_name") if name in model.fields]
    return both(*(_anywhere(model, names, term, ()) for term in _terms(text)))


def _search_related(model: Model, path: str, text: str) -> Query:
    """Rows with a related thing that has each term, which commas separate, somewhere."""
    place = walk(model, path.split("__"))
    if not isinstance(place.end, Relation):
        raise QueryError(f"No related model for field {place.name}.", 0, expected="a relation", subject=place.name)
    related = place.end.model()
    start: Path = (Entry.VALUE,) if place.end.many else place.path
    names = [name for name in SEARCHED if name in related.fields]
    found = both(*(_anywhere(related, names, term, start) for term in text.split(",") if term))
    return _within((*place.arrays, place.path) if place.end.many else place.arrays, found)


def _anywhere(model: Model, names: Iterable[str], term: str, start: Path) -> Query:
    paths = [(*start, *field.path) for name in names if isinstance(field := model.fields[name], Field)]
    return either(*(Has(path, Like(("", term, ""))) for path in paths))


def _terms(text: str) -> list[str]:
    return [match[1] if match[1] is not None else match[2] for match in _TERM.finditer(text)]
