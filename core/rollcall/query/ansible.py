"""Ansible's host patterns, as in `--limit` and AWX's `limit` (contracts/awx.md §6.1).

Plain terms are united first, then all `&` terms narrow that down, then all `!` terms are taken out, wherever they
stand; without a plain term it begins with all hosts. A term is the name of groups or hosts, a shell pattern of names,
or `~` and a regular expression that must match from the beginning; it may end in a place or a range of places.
"""

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from rollcall.patterns import Anchor, PatternError
from rollcall.query.ast import (
    EVERYTHING,
    GROUPS,
    NAME,
    And,
    Constant,
    Has,
    Members,
    Not,
    Or,
    Place,
    Query,
    Slice,
    both,
    either,
)
from rollcall.query.errors import MAX_LENGTH, QueryError, UnspeakableError
from rollcall.query.predicates import Equals, Glob, Matches, Predicate, Present

_SUBSCRIPT: Final = re.compile(r"^(.+)\[(?:(-?[0-9]{1,6})|([0-9]{1,6})([:-])([0-9]{0,6}))\]$", re.DOTALL)
_ROWS_TOO: Final = re.compile(r"[.?*\[]|^~")
_BRACKETED: Final = r"\[[^\]]*\]"
_TERM: Final = re.compile(rf"(?:[^\s:\[\]]|{_BRACKETED})+")
_RANGE: Final = r"\[(?:[0-9]+:[0-9]+|[A-Za-z]:[A-Za-z])(?::[0-9]+)?\]"
_LABEL: Final = rf"(?:\w|{_RANGE})(?:[\w-]|{_RANGE})*"
_ADDRESS: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_UNGROUPED: Final = Not(Has(GROUPS, Present()))


def parse(text: str, names: AbstractSet[str] = frozenset()) -> Query:
    """The query in a pattern; everything, for a blank one. Raises QueryError.

    `names` are those of all hosts: a term that is exactly one of them is that host, whatever characters are in it.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the pattern is longer than {MAX_LENGTH} characters", MAX_LENGTH)
    united: list[Query] = []
    narrowed: list[Query] = []
    taken: list[Query] = []
    for term, position in _terms(text):
        if term in names:
            united.append(_host(term))
        elif term[0] == "&":
            narrowed.append(_term(term[1:], position + 1))
        elif term[0] == "!":
            taken.append(Not(_term(term[1:], position + 1)))
        else:
            united.append(_term(term, position))
    return both(either(*united) if united else EVERYTHING, *narrowed, *taken)


def _terms(text: str) -> Iterator[tuple[str, int]]:
    """The terms and where they begin. Raises QueryError for brackets that are not closed: without the rest of its set a
    regular expression may match every host."""
    spans: Iterable[tuple[int, str]]
    if "," in text:
        spans = ((match.start(), match[0]) for match in re.finditer(r"[^,]+", text))
    elif _ADDRESS.fullmatch(text) or _IPV6.fullmatch(text):
        spans = [(0, text)]
    else:
        spans = ((match.start(), match[0]) for match in _TERM.finditer(text))
    outside = re.sub(_BRACKETED, "", text)
    if bracket := next((sign for sign in "[]" if sign in outside), None):
        raise QueryError(f"a bracket is not closed: '{bracket}'", text.index(bracket), expected="pairs of [ and ]")
    for start, term in spans:
        if term.strip():
            yield term.strip(), start + len(term) - len(term.lstrip())


def _host(name: str) -> Query:
    return Has(NAME, Equals((name,)))


def _term(term: str, position: int) -> Query:
    """What a term without its `&` or `!` stands for."""
    if term.startswith("@"):
        raise QueryError("names cannot be read from a file", position, expected="names or patterns", subject=term)
    match = None if term.startswith("~") else _SUBSCRIPT.match(term)
    if match is None:
        return _named(term, position)
    base, place, first, _, last = match.groups()
    part = _named(base, position)
    if place is not None:
        return Place(part, int(place))
    # As in ansible-core, a range that ends at 0 is the place that it begins with.
    if last and int(last) == 0:
        return Place(part, int(first))
    return Slice(part, int(first), int(last) if last else None)


def _named(name: str, position: int) -> Query:
    try:
        predicate: Predicate = Matches(name[1:], anchor=Anchor.START) if name.startswith("~") else Glob(name)
    except PatternError as error:
        raise QueryError(f"'{name}' cannot be read: {error}", position, expected="a pattern", subject=name) from None
    if predicate.accepts("all"):
        return EVERYTHING
    members = Members(predicate, rows_too=_ROWS_TOO.search(name) is not None)
    return either(_UNGROUPED, members) if predicate.accepts("ungrouped") else members


def render(query: Query, names: AbstractSet[str] = frozenset()) -> str:
    """The pattern for a query, where these are hosts' names. Raises UnspeakableError for what patterns cannot say.

    A plain term that is a host's name means that host, and no group of its name; an `&` term means the group.
    """
    parts = query.parts if isinstance(query, And) else (query,)
    first, *others = parts
    if (isinstance(first, Not) and first != _UNGROUPED) or (isinstance(first, Members) and _said(first) in names):
        first, others = EVERYTHING, list(parts)
    united = first.parts if isinstance(first, Or) and first.parts[:1] != (_UNGROUPED,) else (first,)
    terms = [_said(part) for part in united]
    for part in others:
        terms.append(f"!{_said(part.part)}" if isinstance(part, Not) and part != _UNGROUPED else f"&{_said(part)}")
    return ",".join(terms)


def _said(query: Query) -> str:
    match query:
        case Constant(True):
            return "all"
        case Has(path, Equals((str(name),))) if path == NAME:
            return name
        case Or((ungrouped, Members(Glob(pattern)))) if ungrouped == _UNGROUPED:
            return pattern
        case Members(Glob(pattern)):
            return pattern
        case Members(Matches(pattern)):
            return f"~{pattern}"
        case Place(part, place):
            return f"{_said(part)}[{place}]"
        case Slice(part, start, end):
            return f"{_said(part)}[{start}:{'' if end is None else end}]"
        case _:
            raise UnspeakableError("host patterns have no words for this query")
