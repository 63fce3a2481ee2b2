"""Searches for hosts: which a job gets, which of a job's are shown, and which a list has (contract §6)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rollcall.query.ast import EVERYTHING, And, Has, Query, Statement
from rollcall.query.errors import QueryError
from rollcall.query.evaluate import Steps, finding, selecting
from rollcall.query.foreman import Subject, parse
from rollcall.query.foreman.tokens import quoted as quoted_word
from rollcall.query.predicates import Present
from rollcall_api.cache import Cache
from rollcall_api.foreman import lists
from rollcall_api.foreman.errors import e4
from rollcall_api.foreman.host_fields import FIELDS, Lookup, Sees, within
from rollcall_api.foreman.requests import Bag
from rollcall_api.foreman.taxonomies import Context, Taxonomies
from rollcall_api.jobs import Member
from rollcall_api.pace import Pace
from rollcall_api.problems import Unavailable
from rollcall_api.records import Host

_ATTEMPTS: Final = 10


def read(text: str, subject: Subject, *, targeting: bool = False) -> Query:
    """What a search asks. Raises E4 for one that is not understood."""
    try:
        return parse(text, subject, datetime.now(UTC), targeting=targeting)
    except QueryError as error:
        raise e4(error.message) from None


def quoted(names: Sequence[str]) -> str:
    """The query that finds exactly the hosts of these names."""
    return f"name ^ ({', '.join(map(quoted_word, names))})"


class HostSearch:
    """Finds hosts, in the index that the cache keeps."""

    def __init__(self, cache: Cache, taxonomies: Taxonomies, pace: Pace) -> None:
        self._cache = cache
        self._taxonomies = taxonomies
        self._pace = pace

    async def targets(self, text: str, context: Context, sees: Sees) -> list[Host]:
        """The hosts that a job's search query selects, by name; those that take no new work are left out.

        Only those of the context's organization and location; `sees` tells which jobs a query may ask about.
        """
        names = await self._names(Statement(read(text, FIELDS, targeting=True)), context, sees)
        found = (self._cache.hosts.named(name) for name in names)
        return [host for host in found if host is not None and not host.resource.spec.unschedulable]

    async def of_members(self, text: str, members: Sequence[Member], sees: Sees) -> Sequence[Member]:
        """The hosts of a job that a query selects, by name; a blank query keeps all, in their order."""
        if not text.strip():
            return members
        query = read(text, FIELDS, targeting=True)
        names = frozenset(await self._names(Statement(query), None, sees))
        return sorted((member for member in members if member.name in names), key=lambda member: member.name)

    async def sorted_members(self, order: str, members: Sequence[Member], sees: Sees) -> Sequence[Member]:
        """The hosts in the order that a parameter asks for, else by name. Raises E4."""
        known = {member.name: member for member in members}
        if not order.strip():
            return [known[name] for name in sorted(known)]
        wanted = lists.asked(FIELDS, {"order": order}).order
        names = await self._names(Statement(EVERYTHING, wanted), None, sees)
        return [known[name] for name in names if name in known]

    async def listed(self, bag: Bag, context: Context, sees: Sees) -> tuple[list[str], int]:
        """The names of the hosts that the parameters ask for, and how many there are without the search. Raises E4."""
        numbered = Has(("id",), Present())
        chosen = And((numbered, within(context.organization, context.location, self._taxonomies)))
        total = (await self._pace.run(finding(chosen, self._cache.hosts.index))).bit_count()
        asked = lists.asked(FIELDS, bag)
        statement = Statement(And((numbered, asked.query)), asked.order)
        return await self._names(statement, context, sees), total

    async def _names(self, statement: Statement, context: Context | None, sees: Sees) -> list[str]:
        """The names of the hosts that are selected. Raises E4 for what asks too much."""
        index = self._cache.hosts.index
        lists.check(statement, index)
        for _ in range(_ATTEMPTS):
            layout = index.layout
            found = await self._pace.run(self._selecting(statement, context, sees))
            if index.layout == layout:
                return found
        raise Unavailable("hosts are being deleted faster than they can be searched")

    def _selecting(self, statement: Statement, context: Context | None, sees: Sees) -> Steps[list[str]]:
        query = yield from Lookup(self._cache, self._taxonomies, sees).translated(statement.query)
        if context is not None:
            query = And((within(context.organization, context.location, self._taxonomies), query))
        return (yield from selecting(Statement(query, statement.order), self._cache.hosts.index))
