"""CDRouter's filters, in PostgreSQL's operators (contracts/cdrouter.md §4.3).

A filter is one condition, `FIELD OPERATOR VALUE` without spaces; of several filters all must hold. The value is the
rest of the text as it is.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from rollcall.patterns import PatternError
from rollcall.query.ast import EVERYTHING, NOTHING, And, Has, Not, Query, both
from rollcall.query.errors import MAX_LENGTH, QueryError, UnspeakableError
from rollcall.query.fields import Field, Fields, Kind
from rollcall.query.predicates import Bound, Compares, Equals, Holds, Matches, Scalar, Which

_NAME: Final = r"[a-z_][a-z0-9_]*(?:\.[a-z0-9_]+)*"
_FIELD: Final = re.compile(_NAME)
_FILTER: Final = re.compile(
    rf"(?P<field>{_NAME})(?P<operator>!~\*|!~|~\*|~|!=|>=|<=|@>|<@|&&|=|>|<)(?P<value>.*)",
    re.DOTALL,
)
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_MEMBER: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,"]*))\s*(?:,|\Z)', re.DOTALL)
_BOOLEANS: Final = {"true": True, "false": False}
_ARRAYS: Final = frozenset({"@>", "<@", "&&"})
_PATTERNS: Final = frozenset({"~", "~*"})
_NEGATIVE: Final = {"!=": "=", "!~": "~", "!~*": "~*"}


def _fields(**kinds: str) -> dict[str, Field]:
    """Fields by kind, each at the path that its name says."""
    return {name: Field(tuple(name.split(".")), Kind(kind)) for kind, names in kinds.items() for name in names.split()}


JOBS: Final[Fields] = _fields(
    text="status package_name device_name config_name options.begin_at options.end_at options.extra_cli_args",
    integer="id package_id device_id config_id result_id user_id",
    boolean="active automatic uses_wireless uses_ics",
    time="created updated run_at",
    texts="interface_names options.tags options.skip_tests",
)
PACKAGES: Final[Fields] = _fields(
    text="name description",
    integer="id test_count user_id config_id device_id",
    boolean="use_as_testlist schedule.enabled",
    time="created updated",
    texts="tags testlist",
)


def parse(filters: Iterable[str], fields: Fields) -> Query:
    """The query in some filters; everything, without any. Raises QueryError, whose `subject` is the filter."""
    return both(*(_condition(text, fields) for text in filters))


def _condition(text: str, fields: Fields) -> Query:
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the filter is longer than {MAX_LENGTH} characters", MAX_LENGTH, subject=text)
    match = _FILTER.fullmatch(text)
    if match is None:
        if named := _FIELD.match(text):
            raise QueryError("this is no filter", named.end(), expected="an operator", subject=text)
        raise QueryError("this is no filter", 0, expected="a field, an operator and a value", subject=text)
    name, operator, value = match.groups()
    field = fields.get(name)
    if field is None:
        raise QueryError(f"there is no field '{name}'", 0, expected=", ".join(fields), subject=text)
    try:
        query = _test(field, _NEGATIVE.get(operator, operator), value)
    except PatternError as error:
        message = f"the regular expression cannot be read: {error}"
        raise QueryError(message, match.start("value"), expected="a regular expression", subject=text) from None
    except _UnsuitableError as error:
        raise QueryError(error.message, match.start(error.part), expected=error.expected, subject=text) from None
    return Not(query) if operator in _NEGATIVE else query


class _UnsuitableError(ValueError):
    def __init__(self, part: str, message: str, expected: str) -> None:
        super().__init__(message)
        self.part, self.message, self.expected = part, message, expected


def _test(field: Field, operator: str, value: str) -> Query:
    if (operator in _ARRAYS) != (field.kind is Kind.TEXTS):
        what = "an array" if field.kind is Kind.TEXTS else "no array"
        raise _UnsuitableError("operator", f"'{operator}' does not fit: the field is {what}", "another operator")
    if operator in _ARRAYS:
        return _members_test(field, Which(operator), _members(value))
    if operator in _PATTERNS:
        if field.kind is not Kind.TEXT:
            raise _UnsuitableError("operator", f"'{operator}' needs a field of text", "another operator")
        return Has(field.path, Matches(value, fold=operator == "~*"))
    meant = _scalar(field.kind, value)
    if operator == "=":
        return Has(field.path, Equals((meant,)))
    if isinstance(meant, bool):
        raise _UnsuitableError("operator", f"'{operator}' does not compare true and false", "= or !=")
    return Has(field.path, Compares(Bound(operator), meant))


def _members_test(field: Field, which: Which, members: Sequence[str]) -> Query:
    if not members and which is not Which.ONLY:
        return EVERYTHING if which is Which.ALL else NOTHING
    return Has(field.path, Holds(which, tuple(members)))


def _scalar(kind: Kind, text: str) -> Scalar:
    match kind:
        case Kind.INTEGER:
            if not _INTEGER.fullmatch(text):
                raise _UnsuitableError("value", f"'{text}' is not a number", "a whole number")
            return int(text)
        case Kind.BOOLEAN:
            if text not in _BOOLEANS:
                raise _UnsuitableError("value", f"'{text}' is neither true nor false", "true or false")
            return _BOOLEANS[text]
        case Kind.TIME:
            return _moment(text)
        case _:
            return text


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _UnsuitableError("value", f"'{text}' is not a time", "a date, or a time as in RFC 3339") from None


def _members(text: str) -> list[str]:
    """The members of `{a,"b,c"}`."""
    if not (text.startswith("{") and text.endswith("}")):
        raise _UnsuitableError("value", f"'{text}' is not a list", "{a,b}")
    inside = text[1:-1]
    if not inside.strip():
        return []
    members: list[str] = []
    place = 0
    while place <= len(inside):
        match = _MEMBER.match(inside, place)
        if match is None:
            raise _UnsuitableError("value", f"'{text}' is not a list", "members with commas in double quotes")
        members.append(re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match[1] is not None else match[2].strip())
        if not match[0].endswith(","):
            break
        place = match.end()
    return members


def render(query: Query, fields: Fields) -> list[str]:
    """The filters for a query. Raises UnspeakableError for what filters cannot say."""
    if query == EVERYTHING:
        return []
    return [_said(part, fields) for part in (query.parts if isinstance(query, And) else (query,))]


def _said(query: Query, fields: Fields) -> str:
    negated = isinstance(query, Not)
    test = query.part if isinstance(query, Not) else query
    if not isinstance(test, Has):
        raise UnspeakableError("filters have no words for this query")
    name = next((name for name, field in fields.items() if field.path == test.path), None)
    if name is None:
        raise UnspeakableError("filters have no name for a field of this query")
    operator, value = _operator(test, fields[name].kind)
    if negated and f"!{operator}" not in _NEGATIVE:
        raise UnspeakableError(f"filters have no words for what is not '{operator}'")
    return f"{name}{'!' if negated else ''}{operator}{value}"


def _operator(test: Has, kind: Kind) -> tuple[str, str]:
    match test.predicate:
        case Equals((value,)):
            return "=", _written(value, kind)
        case Compares(bound, limit):
            return bound.value, _written(limit, kind)
        case Matches(pattern, fold):
            return ("~*" if fold else "~"), pattern
        case Holds(which, values):
            members = (re.sub(r'(["\\])', r"\\\1", str(value)) for value in values)
            return which.value, "{" + ",".join(f'"{member}"' for member in members) + "}"
        case _:
            raise UnspeakableError("filters have no words for this test")


def _written(value: Scalar, kind: Kind) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind is Kind.TIME and not isinstance(value, str):
        return datetime.fromtimestamp(value, UTC).isoformat()
    return str(value)
