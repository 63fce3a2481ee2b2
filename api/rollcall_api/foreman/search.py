"""Searches for hosts in Foreman's words (contract §6)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from rollcall.query.ast import EVERYTHING, And, Has, Query, Statement
from rollcall.query.errors import QueryError
from rollcall.query.evaluate import Steps
from rollcall.query.foreman import Subject, parse
from rollcall.query.foreman.tokens import quoted as quoted_word
from rollcall.query.predicates import Present
from rollcall_api import host_search
from rollcall_api.cache import Cache
from rollcall_api.foreman import lists
from rollcall_api.foreman.host_fields import FIELDS, Lookup, within
from rollcall_api.foreman.requests import Bag
from rollcall_api.foreman.taxonomies import Context, Taxonomies
from rollcall_api.host_search import Sees, Translate
from rollcall_api.jobs import Member
from rollcall_api.pace import Pace
from rollcall_api.problems import BadSearch
from rollcall_api.records import Host


def read(text: str, subject: Subject, *, targeting: bool = False) -> Query:
    """What a search asks. Raises BadSearch for one that is not understood."""
    try:
        return parse(text, subject, datetime.now(UTC), targeting=targeting)
    except QueryError as error:
        raise BadSearch(error.message) from None


def quoted(names: Sequence[str]) -> str:
    """The query that finds exactly the hosts of these names."""
    return f"name ^ ({', '.join(map(quoted_word, names))})"


class HostSearch:
    """Finds hosts by Foreman's fields. Raises BadSearch for what is not understood, or asks too much."""

    def __init__(self, cache: Cache, taxonomies: Taxonomies, pace: Pace) -> None:
        self._cache = cache
        self._taxonomies = taxonomies
        self._hosts = host_search.HostSearch(cache, pace)

    async def targets(self, text: str, context: Context, sees: Sees) -> list[Host]:
        """The hosts that a job's search query selects, by name; those that take no new work are left out.

        Only those of the context's organization and location; `sees` tells which jobs a query may ask about.
        """
        statement = Statement(read(text, FIELDS, targeting=True))
        return await self._hosts.targets(statement, self._translate(context, sees))

    async def of_members(self, text: str, members: Sequence[Member], sees: Sees) -> Sequence[Member]:
        """The hosts of a job that a query selects, by name; a blank query keeps all, in their order."""
        if not text.strip():
            return members
        statement = Statement(read(text, FIELDS, targeting=True))
        return await self._hosts.among(members, statement, self._translate(None, sees))

    async def sorted_members(self, order: str, members: Sequence[Member], sees: Sees) -> Sequence[Member]:
        """The hosts in the order that a parameter asks for, else by name. Raises E4."""
        if not order.strip():
            return sorted(members, key=lambda member: member.name)
        wanted = lists.asked(FIELDS, {"order": order}).order
        return await self._hosts.among(members, Statement(EVERYTHING, wanted), self._translate(None, sees))

    async def listed(self, bag: Bag, context: Context, sees: Sees) -> tuple[list[str], int]:
        """The names of the hosts that the parameters ask for, and how many there are without the search. Raises E4."""
        numbered = Has(("id",), Present())
        total = await self._hosts.count(And((numbered, self._within(context))))
        asked = lists.asked(FIELDS, bag)
        statement = Statement(And((numbered, asked.query)), asked.order)
        return await self._hosts.names(statement, self._translate(context, sees)), total

    def _translate(self, context: Context | None, sees: Sees) -> Translate:
        return partial(self._translated, context=context, sees=sees)

    def _translated(self, query: Query, context: Context | None, sees: Sees) -> Steps[Query]:
        translated = yield from Lookup(self._cache, self._taxonomies, sees).translated(query)
        return translated if context is None else And((self._within(context), translated))

    def _within(self, context: Context) -> Query:
        return within(context.organization, context.location, self._taxonomies)
