"""Searches for hosts: which a job gets, and which of a job's are shown (contract §6)."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rollcall.query.ast import Query, Statement
from rollcall.query.cost import CostError, check_cost
from rollcall.query.errors import QueryError
from rollcall.query.evaluate import rows
from rollcall.query.foreman import Subject, parse
from rollcall.query.foreman.order import parse_order
from rollcall.query.foreman.tokens import quoted as quoted_word
from rollcall.query.hostrows import TARGETS
from rollcall_api.cache import Cache, Hosts
from rollcall_api.foreman.errors import e4
from rollcall_api.foreman.host_fields import FIELDS, looked_up
from rollcall_api.jobs import Member
from rollcall_api.records import Host


def read(text: str, subject: Subject, *, targeting: bool = False) -> Query:
    """What a search asks. Raises E4 for one that is not understood."""
    try:
        return parse(text, subject, datetime.now(UTC), targeting=targeting)
    except QueryError as error:
        raise e4(error.message) from None


def quoted(names: Sequence[str]) -> str:
    """The query that finds exactly the hosts of these names."""
    return f"name ^ ({', '.join(map(quoted_word, names))})"


def target_hosts(text: str, cache: Cache) -> list[Host]:
    """The hosts that a job's search query selects, by name; those that take no new work are left out."""
    found = (cache.hosts.named(name) for name in _names(text, cache))
    return [host for host in found if host is not None and not host.resource.spec.unschedulable]


def select_members(text: str, members: Sequence[Member], cache: Cache) -> Sequence[Member]:
    """The hosts of a job that a query selects, by name; a blank query keeps all, in their order."""
    if not text.strip():
        return members
    names = frozenset(_names(text, cache))
    return sorted((member for member in members if member.name in names), key=lambda member: member.name)


def sort_members(order: str, members: Sequence[Member], hosts: Hosts) -> Sequence[Member]:
    """The hosts in the order that a parameter asks for, else by name. Raises E4."""
    members = sorted(members, key=lambda member: member.name)
    try:
        orders = parse_order(order, TARGETS)
    except QueryError as error:
        raise e4(error.message) from None
    for wanted in orders:
        ranks = hosts.index.ranks(wanted.path)
        descending = order.split()[1:2] and order.split()[1].lower() == "desc"
        members.sort(key=lambda member: ranks.get(member.name, -1), reverse=bool(descending))
    return members


def _names(text: str, cache: Cache) -> list[str]:
    query, index = read(text, FIELDS, targeting=True), cache.hosts.index
    try:
        check_cost(Statement(query), index)
    except CostError as error:
        raise e4(f"The search asks too much: {error}") from None
    return index.names(rows(looked_up(query, cache), index))
