"""The part of Foreman's search language that is understood so far: one condition on a name or an id.

Each function serves one use and is what a full query engine will replace.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollcall_api.cache import Table
from rollcall_api.foreman.errors import ForemanError, e4
from rollcall_api.jobs import Member, View
from rollcall_api.records import Host

_CONDITION: Final = re.compile(r"\s*(name|id)\s*(=|\^)\s*(.*?)\s*", re.DOTALL)
_VALUE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s,()="~<>&|]+)')
_SEPARATOR: Final = re.compile(r"[\s,]*")
HOST_QUERIES: Final = "name = x, name ^ (a, b), id = 1, id ^ (1, 2)"
JOB_QUERIES: Final = "id = 1, id ^ (1, 2)"
JOB_ORDERS: Final[dict[str, Callable[[View], Any]]] = {
    "job_category": lambda view: view.template.resource.spec.category if view.template else None,
    "description": lambda view: view.description,
    "started_at": lambda view: view.job.created,
    "start_at": lambda view: view.job.created,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A field whose value is one of these."""

    field: str
    values: tuple[str, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The values as ids. Raises 400 when one is not a number."""
        for value in self.values:
            if not re.fullmatch(r"[0-9]{1,18}", value):
                raise e4(f"Value '{value}' is not valid for field 'id'")
        return tuple(int(value) for value in self.values)


def parse(query: str, fields: Iterable[str], understood: str) -> Condition | None:
    """The condition in a query; None for a blank one, which everything satisfies. Raises 400 for all else."""
    if not query.strip():
        return None
    match = _CONDITION.fullmatch(query)
    if match is None or match[1] not in fields:
        raise _not_understood(query, understood)
    values = _members(match[3]) if match[2] == "^" else _values(match[3])
    if values is None or (match[2] == "=" and len(values) != 1):
        raise _not_understood(query, understood)
    return Condition(match[1], tuple(values))


def _not_understood(query: str, understood: str) -> ForemanError:
    return e4(f"The query '{query}' is not understood. This server understands: {understood}")


def _members(text: str) -> list[str] | None:
    return _values(text[1:-1]) if len(text) >= 2 and text[0] == "(" and text[-1] == ")" else None


def _values(text: str) -> list[str] | None:
    """The words and quoted texts, separated by commas or spaces; None when there is anything else."""
    values: list[str] = []
    position = _SEPARATOR.match(text).end()  # type: ignore[union-attr] # the pattern matches anywhere
    while position < len(text):
        match = _VALUE.match(text, position)
        if match is None:
            return None
        values.append(match[2] if match[2] is not None else re.sub(r"\\(.)", r"\1", match[1]))
        after = _SEPARATOR.match(text, match.end()).end()  # type: ignore[union-attr]
        if after == match.end() and after < len(text):
            return None
        position = after
    return values


def quoted(names: Sequence[str]) -> str:
    """The query that finds exactly the hosts of these names."""
    return f"name = {names[0]}" if len(names) == 1 else f"name ^ ({', '.join(names)})"


def target_hosts(query: str, hosts: Table[Host]) -> list[Host]:
    """The hosts that a job's search query selects, by name."""
    condition = parse(query, ("name", "id"), HOST_QUERIES)
    if condition is None:
        found: Iterable[Host | None] = hosts
    elif condition.field == "name":
        found = (hosts.named(name) for name in set(condition.values))
    else:
        found = (hosts.numbered(id_) for id_ in set(condition.ids))
    return sorted((host for host in found if host is not None), key=lambda host: host.name)


def select_members(query: str, members: Sequence[Member]) -> Sequence[Member]:
    """The hosts of a job that a query selects, by name; a blank query keeps all, in their order."""
    condition = parse(query, ("name", "id"), HOST_QUERIES)
    if condition is None:
        return members
    if condition.field == "name":
        names = set(condition.values)
        found = [member for member in members if member.name in names]
    else:
        wanted = set(condition.ids)
        found = [member for member in members if member.host is not None and member.host.id in wanted]
    return sorted(found, key=lambda member: member.name)


def select_jobs(query: str, ids: Sequence[int]) -> Sequence[int]:
    """The ids of the jobs that a query selects, ascending like those given."""
    condition = parse(query, ("id",), JOB_QUERIES)
    if condition is None:
        return ids
    wanted = set(condition.ids)
    return [id_ for id_ in ids if id_ in wanted]


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted; `key` None stands for the id."""

    key: Callable[[View], Any] | None
    descending: bool
    by: str | None = None
    direction: str | None = None


DEFAULT_ORDER: Final = Order(None, True)


def job_order(text: str) -> Order:
    """The order of jobs that a parameter asks for (§6.6). Raises 400 for an unknown field."""
    by, *rest = text.split() or [""]
    if not by:
        return DEFAULT_ORDER
    if by != "id" and by not in JOB_ORDERS:
        raise e4(f"the field '{by}' in the order statement is not valid field for search")
    direction = rest[0] if rest else "ASC"
    return Order(JOB_ORDERS.get(by), direction.lower() == "desc", by, direction)
