"""Searches for hosts, in the index of the cache: which a job gets, which of a job's are shown, which a list has."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from rollcall.query.ast import Query, Statement
from rollcall.query.evaluate import Steps, finding, selecting
from rollcall_api.cache import Cache
from rollcall_api.jobs import Member
from rollcall_api.lists import check
from rollcall_api.pace import Pace
from rollcall_api.problems import Unavailable
from rollcall_api.records import Host, Job
from rollcall_api.targets import schedulable

Sees = Callable[[Job], bool]
"""Whether who asks may see a job."""
Translate = Callable[[Query], Steps[Query]]
"""Turns what only the dialect knows of hosts into tests of what the index has; that can be long work."""

_ATTEMPTS: Final = 10


class HostSearch:
    """Finds hosts. Each search raises BadSearch when it asks too much, and Unavailable."""

    def __init__(self, cache: Cache, pace: Pace) -> None:
        self._cache = cache
        self._pace = pace

    async def names(self, statement: Statement, translate: Translate) -> list[str]:
        """The names of the hosts that are selected, in their order."""
        index = self._cache.hosts.index
        check(statement, index)
        for _ in range(_ATTEMPTS):
            layout = index.layout
            found = await self._pace.run(self._selecting(statement, translate))
            if index.layout == layout:
                return found
        raise Unavailable("hosts are being deleted faster than they can be searched")

    async def count(self, query: Query) -> int:
        """How many hosts there are that the query asks for, of what the index has."""
        return (await self._pace.run(finding(query, self._cache.hosts.index))).bit_count()

    async def targets(self, statement: Statement, translate: Translate) -> list[Host]:
        """The hosts that a job would get: those that are selected, but for those that take no new work."""
        found = (self._cache.hosts.named(name) for name in await self.names(statement, translate))
        return schedulable(host for host in found if host is not None)

    async def among(self, members: Sequence[Member], statement: Statement, translate: Translate) -> Sequence[Member]:
        """Those hosts of a job that are selected, in the order that is asked for."""
        known = {member.name: member for member in members}
        return [known[name] for name in await self.names(statement, translate) if name in known]

    def _selecting(self, statement: Statement, translate: Translate) -> Steps[list[str]]:
        query = yield from translate(statement.query)
        return (yield from selecting(replace(statement, query=query), self._cache.hosts.index))
