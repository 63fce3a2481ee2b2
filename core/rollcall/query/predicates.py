"""What a test may ask of one value.

Values are those of JSON: text, numbers, booleans, arrays and objects; null is no value. Nothing is coerced: the text
`8` is not the number 8, and no boolean is a number. A language that compares more loosely says so by its predicates.
"""

import fnmatch
import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Final

from rollcall.patterns import Anchor, Pattern, PatternError

_SPECIAL: Final = re.compile(r"[*?\[]")

Scalar = str | int | float | bool
Accepts = Callable[[Any], bool]
"""Says whether a value is what is asked for. It is made once and asked ten thousand times."""


def key(value: Any) -> Any:
    """The same for values that are equal in JSON, and for no others: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return (value,)
    if isinstance(value, list):
        return ("[", *map(key, value))
    if isinstance(value, dict):
        return ("{", *sorted((name, key(inner)) for name, inner in value.items()))
    return value


@dataclass(frozen=True, slots=True)
class Present:
    """Accepts any value."""

    def accepts(self, value: Any) -> bool:
        """Whether the value is what is asked for."""
        return value is not None


@dataclass(frozen=True)
class Equals:
    """Accepts one of the values, and arrays with one of them among their items."""

    values: tuple[Scalar, ...]

    @cached_property
    def keys(self) -> frozenset[Any]:
        """The keys of the values."""
        return frozenset(map(key, self.values))

    def accepts(self, value: Any) -> bool:
        """Whether the value is what is asked for."""
        if isinstance(value, list):
            return any(key(item) in self.keys for item in value)
        return key(value) in self.keys


class Bound(Enum):
    """Which side of a limit is accepted."""

    BELOW = "<"
    UP_TO = "<="
    FROM = ">="
    ABOVE = ">"


_NUMBERS: Final = (int, float)
_COMPARISONS: Final[dict[Bound, Callable[[Any, Any], bool]]] = {
    Bound.BELOW: operator.lt,
    Bound.UP_TO: operator.le,
    Bound.FROM: operator.ge,
    Bound.ABOVE: operator.gt,
}


@dataclass(frozen=True)
class Compares:
    """Accepts values on one side of a limit: numbers of a number, texts of a text, by their code points."""

    bound: Bound
    limit: str | int | float

    @cached_property
    def accepts(self) -> Accepts:
        """Says whether a value is what is asked for."""
        compare, limit = _COMPARISONS[self.bound], self.limit
        if isinstance(limit, str):
            return lambda value: isinstance(value, str) and compare(value, limit)
        return lambda value: type(value) in _NUMBERS and compare(value, limit)


@dataclass(frozen=True)
class Like:
    """Accepts texts that consist of these pieces in their order, with anything between them.

    ("", "a", "") is any text with an `a` in it, ("a", "") one that begins with it, ("a",) is `a` itself. `fold`:
    capital and small letters are the same. Numbers and booleans count as their JSON text.
    """

    pieces: tuple[str, ...]
    fold: bool = True

    @cached_property
    def accepts(self) -> Accepts:
        """Says whether a value is what is asked for."""
        fits = _fits(tuple(piece.lower() for piece in self.pieces) if self.fold else self.pieces)
        if self.fold:
            return _of_text(lambda text: fits(text.lower()))
        return _of_text(fits)


@dataclass(frozen=True)
class Matches:
    """Accepts texts that a regular expression matches; numbers and booleans count as their JSON text.

    Raises PatternError, when it is made, for what is no regular expression (docs/adr/0010).
    """

    pattern: str
    fold: bool = False
    anchor: Anchor = Anchor.NOWHERE

    def __post_init__(self) -> None:
        _ = self.accepts

    @cached_property
    def accepts(self) -> Accepts:
        """Says whether a value is what is asked for."""
        return _of_text(Pattern(self.pattern, self.anchor, fold=self.fold).accepts)


@dataclass(frozen=True)
class Glob:
    """Accepts texts that a shell pattern matches as a whole: `*`, `?`, `[abc]`, `[!abc]`; letters as they are.

    A set that nothing can be in, like `[z-a]`, fits nothing.
    """

    pattern: str

    def __post_init__(self) -> None:
        if not self.plain:
            _ = self.accepts

    @property
    def plain(self) -> bool:
        """Whether only the pattern itself fits, as a text."""
        return not _SPECIAL.search(self.pattern)

    @cached_property
    def accepts(self) -> Accepts:
        """Says whether a value is what is asked for."""
        if self.plain:
            return lambda value: isinstance(value, str) and value == self.pattern
        try:
            # Python's translation of shell patterns does not try again what it has found.
            matches = re.compile(fnmatch.translate(self.pattern)).match
        except re.error as error:
            raise PatternError(str(error)) from None
        return lambda value: isinstance(value, str) and matches(value) is not None


class Which(Enum):
    """How the items of an array compare with a list."""

    ALL = "@>"
    """The array has all of the listed."""
    ONLY = "<@"
    """The array has none but listed ones."""
    ANY = "&&"
    """The array has any of the listed."""


@dataclass(frozen=True)
class Holds:
    """Accepts arrays by their items."""

    which: Which
    values: tuple[Scalar, ...]

    @cached_property
    def _keys(self) -> frozenset[Any]:
        return frozenset(map(key, self.values))

    def accepts(self, value: Any) -> bool:
        """Whether the value is what is asked for."""
        if not isinstance(value, list):
            return False
        items = frozenset(map(key, value))
        match self.which:
            case Which.ALL:
                return items >= self._keys
            case Which.ONLY:
                return items <= self._keys
            case Which.ANY:
                return not items.isdisjoint(self._keys)


Predicate = Present | Equals | Compares | Like | Matches | Glob | Holds


def _fits(pieces: tuple[str, ...]) -> Callable[[str], bool]:
    """Says whether a text consists of the pieces, in their order, with anything between them."""
    first, *others = pieces
    if not others:
        return first.__eq__
    *middle, last = others
    if first == last == "" and len(middle) == 1:
        (needle,) = middle
        return lambda text: needle in text
    if last == "" and not middle:
        return lambda text: text.startswith(first)

    def fits(text: str) -> bool:
        if not text.startswith(first):
            return False
        place = len(first)
        for piece in middle:
            found = text.find(piece, place)
            if found < 0:
                return False
            place = found + len(piece)
        return len(text) - len(last) >= place and text.endswith(last)

    return fits


def _of_text(fits: Callable[[str], bool]) -> Accepts:
    """Asks that of texts, and of numbers and booleans by their JSON text."""

    def accepts(value: Any) -> bool:
        if type(value) is str:
            return fits(value)
        return isinstance(value, int | float) and fits(json.dumps(value))

    return accepts
