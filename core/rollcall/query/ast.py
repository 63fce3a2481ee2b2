"""What a query asks of a row, whatever language it was written in.

A *row* is a JSON object: a host, or a job. A query says which rows it selects. There are two answers, never a third: a
row that lacks a value fails every test of it, and `Not` of such a test holds. The languages write their own rules for
missing values in these terms.

All nodes are frozen and compare by what they say, so that reading a query, writing it and reading it again gives an
equal one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rollcall.query.predicates import Predicate


class Each(Enum):
    """Steps of a path that lead to several places at once."""

    ITEM = "*"
    """To each item of an array."""
    NAME = "?"
    """To the name of each entry of an object that is not null."""


class Entry(Enum):
    """First steps of a path within a `SomeEntry` or `SomeItem`, which lead into the entry and not into the row."""

    NAME = "name"
    VALUE = "value"


EACH: Final = Each.ITEM
EACH_NAME: Final = Each.NAME
Step = str | int | Each | Entry
Path = tuple[Step, ...]
"""Where in a row a value is: names of entries, places in arrays from 0, each item of an array, each name."""

NAME: Final[Path] = ("name",)
"""Where a row has its name."""
GROUPS: Final[Path] = ("groups", EACH)
"""Where a row has the names of the groups that it is in, those included that have these groups as children."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Selects all rows, or none."""

    value: bool


EVERYTHING: Final = Constant(True)
NOTHING: Final = Constant(False)


@dataclass(frozen=True, slots=True)
class Has:
    """Selects rows that have a value at the path that the predicate accepts."""

    path: Path
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Not:
    """Selects what the part does not."""

    part: "Query"


@dataclass(frozen=True, slots=True)
class And:
    """Selects what all parts do; everything, without parts."""

    parts: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Selects what any part does; nothing, without parts."""

    parts: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class SomeEntry:
    """Selects rows of whose object at the path some single entry is selected by the part.

    The part asks for the entry's name and value by paths that begin with an `Entry`, as does PQL's
    `facts { name = "os" and value = "Debian" }`; other paths are the row's. An entry that is null is none.
    """

    path: Path
    part: "Query"


@dataclass(frozen=True, slots=True)
class SomeItem:
    """Selects rows of whose array at the path some single item is selected by the part.

    All paths in the part begin with `Entry.VALUE`, which is the item.
    """

    path: Path
    part: "Query"


@dataclass(frozen=True, slots=True)
class Members:
    """Selects the rows of all groups whose name the predicate accepts; without such a group, rows with such a name.

    `rows_too`: rows with such a name in either case. It is what a term of an Ansible host pattern means.
    """

    predicate: Predicate
    rows_too: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """Selects some of what the part does, by place in the order of names: from `first` to `last`, both included.

    Places count from 0; None stands for the end.
    """

    part: "Query"
    first: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """Selects the one at a place of what the part selects, in the order of names; nothing, of nothing."""

    part: "Query"
    place: int


Query = Constant | Has | Not | And | Or | SomeEntry | SomeItem | Members | Slice | Place


class Direction(Enum):
    """Which way rows are ordered."""

    ASCENDING = "asc"
    DESCENDING = "desc"


@dataclass(frozen=True, slots=True)
class Order:
    """By which value rows come, and where those without one stand."""

    path: Path
    direction: Direction = Direction.ASCENDING
    missing_first: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A query with the order and the part of its answer that is wanted; by name, and all of it, by default."""

    query: Query
    order: tuple[Order, ...] = ()
    offset: int = 0
    limit: int | None = None


def parts(query: Query) -> Iterator[Query]:
    """The query and everything in it, the outer before the inner."""
    waiting = [query]
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case And(inner) | Or(inner):
                waiting.extend(reversed(inner))
            case Not(part) | SomeEntry(_, part) | SomeItem(_, part) | Slice(part) | Place(part):
                waiting.append(part)


def in_one_row(node: type[And] | type[Or], found: Iterable[Query]) -> Query:
    """All of them, or any, with the parts of those that are such nodes themselves among the parts; one stays itself."""
    flat = [part for query in found for part in (query.parts if isinstance(query, node) else (query,))]
    return flat[0] if len(flat) == 1 else node(tuple(flat))


def both(*queries: Query) -> Query:
    """What all of them select, without needless nodes."""
    wanted = tuple(query for query in queries if query != EVERYTHING)
    return wanted[0] if len(wanted) == 1 else And(wanted) if wanted else EVERYTHING


def either(*queries: Query) -> Query:
    """What any of them selects, without needless nodes."""
    wanted = tuple(query for query in queries if query != NOTHING)
    return wanted[0] if len(wanted) == 1 else Or(wanted) if wanted else NOTHING
