"""The grammar of PQL (contracts/puppet.md §8.1)."""

from collections.abc import Callable
from typing import Any, Final

from rollcall.query.ast import (
    EVERYTHING,
    And,
    Direction,
    Not,
    Or,
    Order,
    Query,
    SomeEntry,
    Statement,
    in_one_row,
)
from rollcall.query.errors import MAX_DEPTH, QueryError
from rollcall.query.fields import Field
from rollcall.query.pql import conditions
from rollcall.query.pql.fields import CERTNAME, ENTRY_FIELDS, FACTS, FIELDS, find
from rollcall.query.pql.tokens import Kind, Token, tokens

_RESERVED: Final = frozenset({"and", "or", "not", "is", "in", "null", "true", "false"})
_CONSTANTS: Final = {"true": True, "false": False}
_LEFT_OUT: Final = frozenset({"group", "match", "function", "count", "avg", "sum", "min", "max"})


def parse(text: str) -> Statement:
    """The statement in a text. Raises QueryError."""
    return _Parser(text).statement()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._end = len(text)
        self._place = 0
        self._depth = 0
        self._entity = ""
        self._fields: dict[str, Field] = {}

    def statement(self) -> Statement:
        entity = self._expect_word("an entity: inventory, nodes or facts")
        if entity.text not in FIELDS:
            message = f"the entity '{entity.text}' is not supported"
            raise QueryError(message, entity.position, expected=", ".join(FIELDS), subject=entity.text)
        self._entity, self._fields = entity.text, FIELDS[entity.text]
        if self._take("["):
            self._projection()
        self._expect("{")
        query = EVERYTHING if self._at_paging() or self._peek("}") else self._expression()
        order, offset, limit = self._paging()
        self._expect("}")
        if self._place < len(self._tokens):
            raise self._unexpected("the end of the query")
        if entity.text == FACTS:
            query = SomeEntry((FACTS,), query)
        return Statement(query, order, offset, limit)

    def _projection(self) -> None:
        start = self._position
        names = []
        if not self._peek("]"):
            names.append(self._field()[0])
            while self._take(","):
                names.append(self._field()[0])
        self._expect("]")
        if CERTNAME not in names:
            raise QueryError("the fields in [ ] lack certname, by which hosts are found", start, expected=CERTNAME)

    def _expression(self) -> Query:
        return self._row("or", self._conjunction, Or)

    def _conjunction(self) -> Query:
        return self._row("and", self._unary, And)

    def _row(self, word: str, operand: Callable[[], Query], node: type[And] | type[Or]) -> Query:
        parts = [operand()]
        while self._take(word):
            parts.append(operand())
        return in_one_row(node, parts)

    def _unary(self) -> Query:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError(f"the query is nested more than {MAX_DEPTH} deep", self._position)
        try:
            if self._take("!") or self._take("not"):
                return Not(self._unary())
            return self._primary()
        finally:
            self._depth -= 1

    def _primary(self) -> Query:
        if self._take("("):
            query = self._expression()
            self._expect(")")
            return query
        if self._entity != FACTS and self._peek(FACTS) and self._peek("{", 1):
            return self._subquery()
        _, field = self._field()
        if self._take("is"):
            positive = not self._take("not")
            self._expect("null")
            return conditions.null(field, missing=positive)
        if self._take("in"):
            return conditions.one_of(field, self._list())
        return self._comparison(field)

    def _subquery(self) -> Query:
        self._place += 2
        outer = self._entity, self._fields
        self._entity, self._fields = FACTS, ENTRY_FIELDS
        query = self._expression()
        self._entity, self._fields = outer
        self._expect("}")
        return SomeEntry((FACTS,), query)

    def _comparison(self, field: Field) -> Query:
        token = self._next("an operator")
        if token.text not in conditions.OPERATORS:
            if token.text == "~>":
                raise QueryError("the operator '~>' is not supported", token.position, subject="~>")
            self._place -= 1
            raise self._unexpected("an operator, `is null` or `in [...]`")
        position = self._position
        return conditions.compare(field, token.text, self._literal(), position)

    def _list(self) -> list[Any]:
        if not self._take("["):
            raise self._unexpected("a list in [ ]; subqueries are not supported here")
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._expect("]")
        return values

    def _field(self) -> tuple[str, Field]:
        token = self._next("a field")
        if token.kind not in (Kind.WORD, Kind.FIELD) or token.text in _RESERVED:
            self._place -= 1
            raise self._unexpected("a field")
        if token.kind is Kind.WORD and token.text in _LEFT_OUT:
            raise QueryError(f"'{token.text}' is not supported", token.position, subject=token.text)
        path = token.value if token.kind is Kind.FIELD else None
        return token.text, find(self._entity, self._fields, token.text, path, token.position)

    def _literal(self) -> Any:
        token = self._next("a value")
        if token.kind in (Kind.TEXT, Kind.NUMBER):
            return token.value
        if token.kind is Kind.WORD and token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        if token.kind is Kind.WORD and token.text.isdecimal():
            return int(token.text)
        self._place -= 1
        raise self._unexpected("a quoted text, a number, true or false")

    def _at_paging(self) -> bool:
        return any(self._peek(word) for word in ("limit", "offset")) or (self._peek("order") and self._peek("by", 1))

    def _paging(self) -> tuple[tuple[Order, ...], int, int | None]:
        order: tuple[Order, ...] = ()
        offset, limit = 0, None
        while not self._peek("}"):
            if self._take("limit"):
                limit = self._count()
            elif self._take("offset"):
                offset = self._count()
            elif self._take("order"):
                self._expect("by")
                order = self._orders()
            else:
                raise self._unexpected("`}`, limit, offset or order by")
        return order, offset, limit

    def _orders(self) -> tuple[Order, ...]:
        orders = [self._order()]
        while self._take(","):
            orders.append(self._order())
        return tuple(orders)

    def _order(self) -> Order:
        _, field = self._field()
        descending = self._take("desc")
        if not descending:
            self._take("asc")
        # PostgreSQL takes what is missing for the greatest.
        direction = Direction.DESCENDING if descending else Direction.ASCENDING
        return Order(field.path, direction, missing_first=descending)

    def _count(self) -> int:
        token = self._next("a number")
        if not token.text.isdecimal() or len(token.text) > 9:
            self._place -= 1
            raise self._unexpected("a number")
        return int(token.text)

    def _peek(self, text: str, ahead: int = 0) -> bool:
        place = self._place + ahead
        return (
            place < len(self._tokens)
            and self._tokens[place].text == text
            and self._tokens[place].kind in (Kind.WORD, Kind.SIGN)
        )

    def _take(self, text: str) -> bool:
        found = self._peek(text)
        self._place += found
        return found

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected(f"`{text}`")

    def _expect_word(self, expected: str) -> Token:
        token = self._next(expected)
        if token.kind is not Kind.WORD:
            self._place -= 1
            raise self._unexpected(expected)
        return token

    def _next(self, expected: str) -> Token:
        if self._place >= len(self._tokens):
            raise self._unexpected(expected)
        self._place += 1
        return self._tokens[self._place - 1]

    def _unexpected(self, expected: str) -> QueryError:
        if self._place >= len(self._tokens):
            return QueryError("the query ends too early", self._end, expected=expected)
        token = self._tokens[self._place]
        return QueryError(f"unexpected '{token.text}'", token.position, expected=expected, subject=token.text)

    @property
    def _position(self) -> int:
        return self._tokens[self._place].position if self._place < len(self._tokens) else self._end
