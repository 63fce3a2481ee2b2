"""What a field, an operator and values mean together (contracts/foreman.md §6.3)."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from rollcall.query.ast import NOTHING, And, Has, Not, Or, Query, either
from rollcall.query.errors import QueryError
from rollcall.query.fields import Field, Kind
from rollcall.query.foreman.fields import Subject
from rollcall.query.foreman.times import Span, read_span
from rollcall.query.foreman.tokens import Sign, Token
from rollcall.query.predicates import Bound, Compares, Equals, Like, Present, Scalar

_NEGATIVE: Final = {Sign.UNEQUAL: Sign.EQUAL, Sign.UNLIKE: Sign.LIKE, Sign.NOT_IN: Sign.IN}
_BOUNDS: Final = {
    Sign.LESS: Bound.BELOW,
    Sign.AT_MOST: Bound.UP_TO,
    Sign.AT_LEAST: Bound.FROM,
    Sign.GREATER: Bound.ABOVE,
}
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")
_BOOLEANS: Final = {"true": True, "false": False}
MAX_FREE_WORDS: Final = 32
"""How many words without a field a query may have: each is a test of every field for free text."""


class Conditions:
    """Makes tests of the words of a query about one subject."""

    def __init__(self, subject: Subject, now: datetime) -> None:
        self._subject = subject
        self._now = now
        self._free_words = 0

    def present(self, name: Token) -> Query:
        """Rows that have the field."""
        return Has(self._field(name).path, Present())

    def word(self, word: Token) -> Query:
        """Rows in which the word is found; for the name of a boolean field, those in which it is true."""
        field = self._subject.fields.get(word.text)
        if field is not None and field.kind is Kind.BOOLEAN:
            return Has(field.path, Equals((True,)))
        return self.anywhere(Sign.LIKE, word)

    def anywhere(self, sign: Sign, word: Token) -> Query:
        """Rows of which any field for free text compares so with the word. Raises QueryError for one word too many."""
        self._free_words += 1
        if self._free_words > MAX_FREE_WORDS:
            raise QueryError(f"more than {MAX_FREE_WORDS} words are looked for without a field", word.position)
        positive = _NEGATIVE.get(sign, sign)
        found = [query for field in self._subject.free_text if (query := self._free(field, positive, word))]
        tests = tuple(part for query in found for part in (query.parts if isinstance(query, Or) else (query,)))
        query = either(*tests)
        return Not(query) if sign in _NEGATIVE else query

    def compare(self, name: Token, sign: Sign, values: Sequence[Token]) -> Query:
        """Rows whose field compares so with the values. Raises QueryError for what cannot be compared."""
        field = self._field(name)
        if field.operators and sign.value not in field.operators:
            raise _unsupported(name, sign, field)
        query = self._test(name, field, _NEGATIVE.get(sign, sign), values)
        return Not(query) if sign in _NEGATIVE else query

    def _field(self, name: Token) -> Field:
        field = self._subject.find(name.text)
        if field is None:
            message = f"Field '{name.text}' not recognized for searching!"
            raise QueryError(message, name.position, expected="a field", subject=name.text)
        return field

    def _free(self, field: Field, sign: Sign, word: Token) -> Query | None:
        """The test of one field for free text; None where the word makes no sense for it."""
        match field.kind:
            case Kind.INTEGER if not _INTEGER.fullmatch(word.text):
                return None
            case Kind.INTEGER:
                return self._numbers(word, field, Sign.EQUAL if sign is Sign.LIKE else sign, (word,))
            case Kind.TIME:
                span = read_span(word.text, self._now)
                return None if span is None else _in_span(field, Sign.EQUAL if sign is Sign.LIKE else sign, span)
            case _:
                return self._text(field, sign, (word,))

    def _test(self, name: Token, field: Field, sign: Sign, values: Sequence[Token]) -> Query:
        match field.kind:
            case Kind.TIME:
                return self._time(name, field, sign, values)
            case Kind.BOOLEAN:
                return _boolean(name, field, sign, values)
            case Kind.INTEGER | Kind.NUMBER:
                if sign is Sign.LIKE:
                    raise _unsupported(name, sign, field)
                return self._numbers(name, field, sign, values)
            case _:
                return self._text(field, sign, values)

    def _text(self, field: Field, sign: Sign, values: Sequence[Token]) -> Query:
        if sign is Sign.LIKE:
            return Has(field.path, Like(_pieces(values[0].text)))
        if sign in (Sign.EQUAL, Sign.IN):
            texts = tuple(dict.fromkeys(value.text for value in values))
            meant = tuple(_meant(texts)) if field.kind is Kind.ANY else texts
            return Has(field.path, Equals(meant)) if meant else NOTHING
        text = values[0].text
        number = field.kind is Kind.ANY and _NUMBER.fullmatch(text)
        return Has(field.path, Compares(_BOUNDS[sign], json.loads(text) if number else text))

    def _numbers(self, name: Token, field: Field, sign: Sign, values: Sequence[Token]) -> Query:
        pattern = _INTEGER if field.kind is Kind.INTEGER else _NUMBER
        numbers: list[int | float] = []
        for value in values:
            if not pattern.fullmatch(value.text):
                raise _invalid(name, value, "a number")
            numbers.append(float(value.text) if "." in value.text else int(value.text))
        if not numbers:
            return NOTHING
        if sign in (Sign.EQUAL, Sign.IN):
            return Has(field.path, Equals(tuple(dict.fromkeys(numbers))))
        return Has(field.path, Compares(_BOUNDS[sign], numbers[0]))

    def _time(self, name: Token, field: Field, sign: Sign, values: Sequence[Token]) -> Query:
        if sign is Sign.LIKE:
            raise _unsupported(name, sign, field)
        tests: list[Query] = []
        for value in values:
            span = read_span(value.text, self._now)
            if span is None:
                raise _invalid(name, value, 'a time, such as 2024-01-31 or "2 hours ago"')
            tests.append(_in_span(field, sign, span))
        return either(*tests)


def _boolean(name: Token, field: Field, sign: Sign, values: Sequence[Token]) -> Query:
    if sign not in (Sign.EQUAL, Sign.IN):
        raise _unsupported(name, sign, field)
    found: list[Scalar] = []
    for value in values:
        meant = _BOOLEANS.get(value.text.lower())
        if meant is None:
            raise QueryError(
                f"'{name.text}' should be one of 'true, false', but the query was '{value.text}'",
                value.position,
                expected="true or false",
                subject=value.text,
            )
        found.append(meant)
    return Has(field.path, Equals(tuple(dict.fromkeys(found)))) if found else NOTHING


def _in_span(field: Field, sign: Sign, span: Span) -> Query:
    """A comparison with all of a span: after it is after its end."""
    match sign:
        case Sign.GREATER if not span.whole:
            return Has(field.path, Compares(Bound.ABOVE, span.start))
        case Sign.AT_MOST if not span.whole:
            return Has(field.path, Compares(Bound.UP_TO, span.start))
        case Sign.GREATER:
            return Has(field.path, Compares(Bound.FROM, span.end))
        case Sign.AT_LEAST:
            return Has(field.path, Compares(Bound.FROM, span.start))
        case Sign.LESS:
            return Has(field.path, Compares(Bound.BELOW, span.start))
        case Sign.AT_MOST:
            return Has(field.path, Compares(Bound.BELOW, span.end))
        case _:
            after, before = Compares(Bound.FROM, span.start), Compares(Bound.BELOW, span.end)
            return And((Has(field.path, after), Has(field.path, before)))


def _pieces(text: str) -> tuple[str, ...]:
    """The text between wildcards; a text without any may stand anywhere."""
    pieces = tuple(re.split(r"[*%]", text))
    return pieces if len(pieces) > 1 else ("", text, "")


def _meant(texts: Iterable[str]) -> Iterable[Scalar]:
    """The texts, and the numbers and booleans that facts may have in their place: upstream's facts are all text."""
    for text in texts:
        yield text
        if _NUMBER.fullmatch(text) or text in _BOOLEANS:
            yield json.loads(text)


def _unsupported(name: Token, sign: Sign, field: Field) -> QueryError:
    return QueryError(
        f"the operator '{sign.value}' is not supported for field type '{field.kind.value}'",
        name.position,
        expected="another operator",
        subject=name.text,
    )


def _invalid(name: Token, value: Token, expected: str) -> QueryError:
    message = f"Value '{value.text}' is not valid for field '{name.text}'"
    return QueryError(message, value.position, expected=expected, subject=value.text)
