"""The words of PQL (contracts/puppet.md §8.1)."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from rollcall.query.errors import MAX_LENGTH, QueryError


class Kind(Enum):
    """What a token is."""

    WORD = "a word"
    FIELD = "a field"
    TEXT = "a quoted text"
    NUMBER = "a number"
    SIGN = "a sign"


@dataclass(frozen=True, slots=True)
class Token:
    """One token: what it is, how it is written, what it stands for, and where it begins."""

    kind: Kind
    text: str
    value: Any
    position: int


_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<field>(?:facts|trusted)(?:\.(?:"(?:[^"\\]|\\.)*"|[^\s.",\[\](){}!<=>~]+)(?:\[[0-9]{1,9}\])?)+)
      | (?P<double>"(?:[^"\\]|\\.)*")
      | (?P<single>'[^']*')
      | (?P<number>-?[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]{1,3})?)?)(?![A-Za-z_])
      | (?P<word>[A-Za-z0-9_]+\??)
      | (?P<sign>!=|!~|>=|<=|~>|[=~><!(){}\[\],])""",
    re.VERBOSE | re.DOTALL,
)
_SEGMENT: Final = re.compile(r'\.(?:("(?:[^"\\]|\\.)*")|([^\s.",\[\](){}!<=>~]+))(?:\[([0-9]+)\])?', re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
_ESCAPED: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a query. Raises QueryError at what is none, and for a query that is too long."""
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the query is longer than {MAX_LENGTH} characters", MAX_LENGTH)
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            what = "a quoted text that does not end" if text[place] in "\"'" else f"'{text[place]}'"
            raise QueryError(
                f"unexpected {what}", place, expected="a field, an operator or a value", subject=text[place]
            )
        if match.lastgroup != "space":
            yield _token(match)
        place = match.end()


def _token(match: re.Match[str]) -> Token:
    text, position = match[0], match.start()
    match match.lastgroup:
        case "field":
            return Token(Kind.FIELD, text, field_path(text), position)
        case "double":
            return Token(Kind.TEXT, text, unquoted(text), position)
        case "single":
            return Token(Kind.TEXT, text, text[1:-1], position)
        case "number":
            return Token(Kind.NUMBER, text, _number(text, position), position)
        case "word":
            return Token(Kind.WORD, text, text, position)
        case _:
            return Token(Kind.SIGN, text, text, position)


def _number(text: str, position: int) -> int | float:
    if len(text) > 300:
        raise QueryError("the number is too long", position, expected="a shorter number")
    return float(text) if "." in text else int(text)


def field_path(text: str) -> tuple[str | int, ...]:
    """The path of a field like `facts.os."a name"[0]`, which begins with `facts` or `trusted`."""
    path: list[str | int] = [text.partition(".")[0]]
    for match in _SEGMENT.finditer(text, len(str(path[0]))):
        path.append(unquoted(match[1]) if match[1] is not None else match[2])
        if match[3] is not None:
            path.append(int(match[3]))
    return tuple(path)


def unquoted(text: str) -> str:
    """What a double-quoted text stands for: with JSON's escapes, and other backslashes as they are."""

    def meant(match: re.Match[str]) -> str:
        mark = match[1]
        if mark[0] == "u" and len(mark) == 5:
            return chr(int(mark[1:], 16))
        return _ESCAPES.get(mark, match[0])

    # Two escapes may stand for one character.
    return _ESCAPED.sub(meant, text[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def quoted(text: str) -> str:
    """The text in double quotes."""
    return json.dumps(text, ensure_ascii=False)
