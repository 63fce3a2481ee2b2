"""The grammar of the search language (contracts/foreman.md §6.2).

`and` and `or` have no precedence: they chain to the right. Words side by side, or with a comma between them, all have
to hold, and bind loosest. What stands at the end with nothing to work on counts for nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from rollcall.query.ast import EVERYTHING, NOTHING, And, Not, Or, Query, in_one_row
from rollcall.query.errors import MAX_DEPTH, QueryError
from rollcall.query.foreman.conditions import Conditions
from rollcall.query.foreman.fields import Subject
from rollcall.query.foreman.tokens import COMPARISONS, Sign, Token, tokens

_NODES: Final[Mapping[Sign, type[And] | type[Or]]] = {Sign.AND: And, Sign.OR: Or}
_EMPTY_LIST: Final = (Sign.IN, Sign.OPEN, Sign.CLOSE)


def parse(text: str, subject: Subject, now: datetime, *, targeting: bool = False) -> Query:
    """The query in a text; everything, for a blank one. Raises QueryError.

    `now` is what times like `2 hours ago` are counted from; its zone is that of times without one. With `targeting`, a
    query that ends in an empty list selects nothing: upstream forgets the list and looks for the field's name.
    """
    found = tokens(text)
    if targeting and tuple(token.sign for token in found[-3:]) == _EMPTY_LIST:
        return NOTHING
    while found and found[-1].sign is not None:
        found.pop()
    return _Parser(found, Conditions(subject, now)).sequence(0, outermost=True)


class _Parser:
    def __init__(self, found: Sequence[Token], conditions: Conditions) -> None:
        self._tokens = found
        self._place = 0
        self._conditions = conditions

    def sequence(self, depth: int, *, outermost: bool = False) -> Query:
        """Expressions side by side, up to the end or a closing parenthesis."""
        if depth > MAX_DEPTH:
            raise QueryError(f"parentheses are nested more than {MAX_DEPTH} deep", self._position)
        expressions: list[Query] = []
        while self._place < len(self._tokens):
            if self._sign is Sign.CLOSE:
                self._place += 1
                if not outermost:
                    break
                continue
            expressions.append(self._expression(depth))
        return in_one_row(And, expressions) if expressions else EVERYTHING

    def _expression(self, depth: int) -> Query:
        """Operands with `and` and `or` between them."""
        operands: list[Query] = []
        operators: list[Sign] = []
        while True:
            operands.append(self._operand(depth))
            if self._sign not in (Sign.AND, Sign.OR):
                break
            operators.append(self._next().sign or Sign.AND)
        return self._chained(operands, operators)

    def _chained(self, operands: list[Query], operators: list[Sign]) -> Query:
        """The operands, each with all that follows it: operators of one kind in a row make one node."""
        chain, kind, turns = [operands.pop()], operators[-1] if operators else Sign.AND, 0
        for operator, operand in zip(reversed(operators), reversed(operands), strict=True):
            if operator is not kind:
                chain, kind, turns = [in_one_row(_NODES[kind], reversed(chain))], operator, turns + 1
            chain.append(operand)
        if turns > MAX_DEPTH:
            raise QueryError(f"'and' and 'or' take turns more than {MAX_DEPTH} times", self._position)
        return in_one_row(_NODES[kind], reversed(chain)) if len(chain) > 1 else chain[0]

    def _operand(self, depth: int) -> Query:
        if depth > MAX_DEPTH:
            raise QueryError(f"negations are nested more than {MAX_DEPTH} deep", self._position)
        match self._sign:
            case Sign.OPEN:
                self._place += 1
                return self.sequence(depth + 1)
            case Sign.NOT:
                self._place += 1
                return Not(self._operand(depth + 1))
            case Sign.SET:
                self._place += 1
                return self._conditions.present(self._word())
            case Sign.NULL:
                self._place += 1
                return Not(self._conditions.present(self._word()))
            case _:
                return self._comparison()

    def _comparison(self) -> Query:
        if self._sign is Sign.COMMA:
            self._place += 1
        if self._sign in COMPARISONS:
            sign = self._next().sign
            assert sign is not None, "a comparison is a sign"
            return self._conditions.anywhere(sign, self._word())
        word = self._word()
        if self._sign not in COMPARISONS:
            return self._conditions.word(word)
        sign = self._next().sign
        assert sign is not None, "a comparison is a sign"
        values = self._list() if sign in (Sign.IN, Sign.NOT_IN) else (self._word(),)
        return self._conditions.compare(word, sign, values)

    def _list(self) -> tuple[Token, ...]:
        """The words in parentheses, or one without."""
        if self._sign is not Sign.OPEN:
            return (self._word(),)
        self._place += 1
        words: list[Token] = []
        while self._place < len(self._tokens):
            token = self._next()
            if token.sign is Sign.CLOSE:
                break
            if token.sign is None:
                words.append(token)
        return tuple(words)

    def _word(self) -> Token:
        if self._place >= len(self._tokens) or self._sign is not None:
            found = f":{self._sign.value}" if self._sign else "nil"
            raise QueryError(f"Value expected but found {found}", self._position, expected="a word", subject=found)
        return self._next()

    def _next(self) -> Token:
        self._place += 1
        return self._tokens[self._place - 1]

    @property
    def _sign(self) -> Sign | None:
        return self._tokens[self._place].sign if self._place < len(self._tokens) else None

    @property
    def _position(self) -> int:
        if self._place < len(self._tokens):
            return self._tokens[self._place].position
        last = self._tokens[-1]
        return last.position + len(last.text)
