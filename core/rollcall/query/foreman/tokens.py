"""The words of the search language (contracts/foreman.md §6.1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rollcall.query.errors import MAX_LENGTH, QueryError


class Sign(Enum):
    """What is no word: operators and punctuation. The value is the word that upstream's errors use for it."""

    AND = "and"
    OR = "or"
    NOT = "not"
    SET = "notnull"
    NULL = "null"
    EQUAL = "eq"
    UNEQUAL = "ne"
    GREATER = "gt"
    LESS = "lt"
    AT_MOST = "lte"
    AT_LEAST = "gte"
    LIKE = "like"
    UNLIKE = "unlike"
    IN = "in"
    NOT_IN = "notin"
    OPEN = "lparen"
    CLOSE = "rparen"
    COMMA = "comma"


COMPARISONS: Final = frozenset(
    {
        Sign.EQUAL,
        Sign.UNEQUAL,
        Sign.GREATER,
        Sign.LESS,
        Sign.AT_MOST,
        Sign.AT_LEAST,
        Sign.LIKE,
        Sign.UNLIKE,
        Sign.IN,
        Sign.NOT_IN,
    }
)
KEYWORDS: Final = {
    "and": Sign.AND,
    "or": Sign.OR,
    "not": Sign.NOT,
    "set?": Sign.SET,
    "has": Sign.SET,
    "null?": Sign.NULL,
    "before": Sign.LESS,
    "after": Sign.GREATER,
    "at": Sign.EQUAL,
}
_SYMBOLS: Final = {
    "&": Sign.AND,
    "&&": Sign.AND,
    "|": Sign.OR,
    "||": Sign.OR,
    "-": Sign.NOT,
    "!": Sign.NOT,
    "=": Sign.EQUAL,
    "==": Sign.EQUAL,
    "!=": Sign.UNEQUAL,
    "<>": Sign.UNEQUAL,
    ">": Sign.GREATER,
    "<": Sign.LESS,
    "<=": Sign.AT_MOST,
    ">=": Sign.AT_LEAST,
    "~": Sign.LIKE,
    "!~": Sign.UNLIKE,
    "^": Sign.IN,
    "!^": Sign.NOT_IN,
    "(": Sign.OPEN,
    ")": Sign.CLOSE,
    ",": Sign.COMMA,
}
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | "(?P<quoted>(?:[^"\\]|\\.)*)(?:"|\Z|\\\Z)
      | (?P<symbol>&&?|\|\|?|<>|[<>!=]=|!~|!\^|[=~<>(),!^-])
      | (?P<word>[^=~<>&|)(,\s]+)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word (then `sign` is None) or a sign, and where it begins."""

    text: str
    position: int
    sign: Sign | None = None


def tokens(query: str) -> list[Token]:
    """The words and signs of a query. Raises QueryError for one that is too long."""
    if len(query) > MAX_LENGTH:
        raise QueryError(f"the query is longer than {MAX_LENGTH} characters", MAX_LENGTH)
    return list(_tokens(query))


def _tokens(query: str) -> Iterator[Token]:
    place = 0
    while match := _TOKEN.match(query, place):
        start, place = place, match.end()
        match match.lastgroup:
            case "quoted":
                yield Token(re.sub(r"\\(.)", r"\1", match["quoted"], flags=re.DOTALL), start)
            case "symbol":
                yield Token(match["symbol"], start, _SYMBOLS[match["symbol"]])
            case "word":
                yield Token(match["word"], start, KEYWORDS.get(match["word"].lower()))


def quoted(text: str) -> str:
    """The text as one word, in quotes if it needs them."""
    match = _TOKEN.fullmatch(text)
    if match and match.lastgroup == "word" and text.lower() not in KEYWORDS:
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
