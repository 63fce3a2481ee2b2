"""Queries as arrays, PuppetDB's older language (contracts/puppet.md §8.3)."""

import json
from collections.abc import Sequence
from typing import Any, Final

from rollcall.query.ast import EVERYTHING, And, Direction, Not, Or, Order, Query, SomeEntry, Statement, in_one_row
from rollcall.query.errors import MAX_DEPTH, QueryError
from rollcall.query.fields import Field
from rollcall.query.pql import conditions
from rollcall.query.pql.fields import CERTNAME, ENTRY_FIELDS, FACTS, FIELDS, find
from rollcall.query.pql.tokens import field_path

_COMPARISONS: Final = frozenset({"=", "~", ">", "<", ">=", "<="})
_PAGING: Final = frozenset({"limit", "offset", "order_by"})


def parse_arrays(document: Any) -> Statement:
    """The statement in a JSON array.

    Raises QueryError, whose position is that of the array that is wrong, in the text that `json.dumps` makes of all.
    """
    match document:
        case ["from", str(entity), *rest] if entity in FIELDS:
            reader = _Reader(entity)
            try:
                return reader.statement(rest)
            except QueryError as error:
                error.position = _place_of(reader.reading, document) or 0
                raise
        case ["from", entity, *_]:
            raise _error(f"the entity {entity!r} is not supported", ", ".join(FIELDS))
        case _:
            raise _error('the query does not begin with "from"', '["from", ENTITY, FILTER]')


class _Reader:
    def __init__(self, entity: str) -> None:
        self._entity = entity
        self._fields = FIELDS[entity]
        self.reading: Any = None
        """The array that was read last."""

    def statement(self, rest: Sequence[Any]) -> Statement:
        parts = list(rest)
        query: Query = EVERYTHING
        if parts and not _is_paging(parts[0]):
            query = self._extracted(parts.pop(0))
        if self._entity == FACTS:
            query = SomeEntry((FACTS,), query)
        order: tuple[Order, ...] = ()
        offset, limit = 0, None
        for part in parts:
            self.reading = part
            match part:
                case ["limit", int(count)] if count >= 0 and not isinstance(count, bool):
                    limit = count
                case ["offset", int(count)] if count >= 0 and not isinstance(count, bool):
                    offset = count
                case ["order_by", [*fields]]:
                    order = tuple(self._order(field) for field in fields)
                case _:
                    raise _error(f"{_shown(part)} is no paging", '["limit", N], ["offset", N] or ["order_by", [...]]')
        return Statement(query, order, offset, limit)

    def _extracted(self, document: Any) -> Query:
        self.reading = document
        match document:
            case ["extract", fields, *inner] if len(inner) <= 1:
                names = fields if isinstance(fields, list) else [fields]
                if CERTNAME not in names:
                    raise _error("the extracted fields lack certname, by which hosts are found", CERTNAME)
                for name in names:
                    self._field(name)
                return self._filter(inner[0], 0) if inner else EVERYTHING
            case _:
                return self._filter(document, 0)

    def _filter(self, document: Any, depth: int) -> Query:
        self.reading = document
        if depth > MAX_DEPTH:
            raise _error(f"the query is nested more than {MAX_DEPTH} deep", "less")
        match document:
            case ["and", *parts] if parts:
                return in_one_row(And, [self._filter(part, depth + 1) for part in parts])
            case ["or", *parts] if parts:
                return in_one_row(Or, [self._filter(part, depth + 1) for part in parts])
            case ["not", part]:
                return Not(self._filter(part, depth + 1))
            case ["null?", field, bool(missing)]:
                return conditions.null(self._field(field), missing=missing)
            case ["in", field, ["array", [*values]]]:
                return conditions.one_of(self._field(field), [_scalar(value) for value in values])
            case ["subquery", "facts", part] if self._entity != FACTS:
                return self._subquery(part, depth)
            case [str(operator), field, value] if operator in _COMPARISONS:
                return conditions.compare(self._field(field), operator, _scalar(value), 0)
            case _:
                raise _error(f"{_shown(document)} is not supported", "a filter")

    def _subquery(self, document: Any, depth: int) -> Query:
        outer = self._entity, self._fields
        self._entity, self._fields = FACTS, ENTRY_FIELDS
        query = self._filter(document, depth + 1)
        self._entity, self._fields = outer
        return SomeEntry((FACTS,), query)

    def _field(self, document: Any) -> Field:
        match document:
            case ["fact", str(name)]:
                return find("inventory", {}, f"facts.{name}", ("facts", name), 0)
            case str(name):
                begin = name.partition(".")[0]
                path = field_path(name) if begin in ("facts", "trusted") and begin != name else None
                return find(self._entity, self._fields, name, path, 0)
            case _:
                raise _error(f"{_shown(document)} is not a field", "a field's name")

    def _order(self, document: Any) -> Order:
        match document:
            case [field, "asc" | "desc" as direction]:
                descending = direction == "desc"
                way = Direction.DESCENDING if descending else Direction.ASCENDING
                return Order(self._field(field).path, way, missing_first=descending)
            case [field] | field:
                return Order(self._field(field).path)


def _place_of(array: Any, document: Any) -> int | None:
    """Where an array begins in the JSON of a document that holds it; None if it does not."""
    if document is array:
        return 0
    place = 1
    for item in document if isinstance(document, list) else ():
        found = _place_of(array, item)
        if found is not None:
            return place + found
        place += len(json.dumps(item)) + len(", ")
    return None


def _is_paging(document: Any) -> bool:
    return isinstance(document, list) and any(document[:1] == [word] for word in _PAGING)


def _scalar(value: Any) -> str | int | float | bool:
    if isinstance(value, str | int | float):
        return value
    raise _error(f"{_shown(value)} is not a value", "a text, a number, true or false")


def _shown(document: Any) -> str:
    return str(document)[:60]


def _error(message: str, expected: str) -> QueryError:
    return QueryError(message, 0, expected=expected)
