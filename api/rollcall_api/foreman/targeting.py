"""Which hosts a create asks for, and when they are chosen (contract §4.4)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollcall.query.ast import EVERYTHING, parts
from rollcall.query.errors import MAX_LENGTH
from rollcall.query.foreman.tokens import quoted as quoted_word
from rollcall.query.hostrows import TARGETS
from rollcall.resources.targeting import QueryLanguage, Targeting
from rollcall_api import targets
from rollcall_api.cache import Cache
from rollcall_api.foreman import search
from rollcall_api.foreman.errors import e1, e4
from rollcall_api.foreman.requests import boolean, is_blank
from rollcall_api.foreman.search import HostSearch
from rollcall_api.foreman.taxonomies import DEFAULT_LOCATION, DEFAULT_ORGANIZATION, Context, Taxonomies, Taxonomy
from rollcall_api.host_search import Sees
from rollcall_api.records import Host, Inventory

STATIC: Final = "static_query"
DYNAMIC: Final = "dynamic_query"
_NO_QUERY: Final = (
    "Targeting: Bookmark Must select a bookmark or enter a search query, "
    "Search query Must select a bookmark or enter a search query"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Among which hosts a job's are looked for."""

    search: HostSearch
    taxonomies: Taxonomies
    context: Context
    """The organization and the location."""
    sees: Sees
    """Which jobs a query may ask about."""
    may_view_hosts: bool

    def find(self, text: str, cache: Cache) -> Host | None:
        """The host of that id or name, if it may be seen."""
        host = find_host(text, cache) if self.may_view_hosts else None
        if host is None or not self.taxonomies.belongs(host, self.context.organization, self.context.location):
            return None
        return host


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for, and what is wrong with it."""

    query: str | None
    hosts: tuple[Host, ...] | None
    """The hosts that were given one by one, by name; None where a query selects them."""
    bookmark: Inventory | None
    dynamic: bool
    randomized: bool | None
    problems: tuple[str, ...]


def read(given: Mapping[str, Any], cache: Cache, scope: Scope, *, may_view_inventories: bool) -> Wish:
    """The parameters. Raises 422 for a host in `host_ids` that there is not."""
    bookmark = _bookmark(given.get("bookmark_id"), cache) if may_view_inventories else None
    type_ = STATIC if not is_blank(given.get("feature")) else given.get("targeting_type")
    hosts = _listed(given, cache, scope)
    query = _query(given) if hosts is None else search.quoted([host.name for host in hosts])
    if query is None and bookmark is not None:
        query = bookmark_query(bookmark)
    randomized = None
    if not is_blank(given.get("randomized_ordering")) or given.get("randomized_ordering") is False:
        randomized = boolean(given, "randomized_ordering")
    return Wish(query, hosts, bookmark, type_ == DYNAMIC, randomized, tuple(_problems(query, type_)))


async def stored(wish: Wish, scope: Scope) -> Targeting:
    """The targeting as the job has it. Raises BadSearch, E4 for a query that is too long, and TooManyHosts."""
    query = wish.query or ""
    if wish.dynamic:
        return _late(wish, query, scope.context)
    if wish.hosts is not None:
        return targets.chosen(targets.schedulable(wish.hosts), shuffled=wish.randomized is True)
    _check_length(query)
    found = await scope.search.targets(query, scope.context, scope.sees)
    return targets.chosen(found if scope.may_view_hosts else [], shuffled=wish.randomized is True)


def bookmark_query(bookmark: Inventory) -> str | None:
    """The search query of a bookmark; None for an Inventory that is none."""
    query = bookmark.resource.spec.query
    return query.text if query is not None and query.language is QueryLanguage.FOREMAN else None


def _late(wish: Wish, query: str, context: Context) -> Targeting:
    _check_length(query)
    asked, shuffled = search.read(query, TARGETS, targeting=True), wish.randomized is True
    if context.is_narrow:
        return targets.asked_for(QueryLanguage.FOREMAN, _narrowed(query, context), shuffled=shuffled)
    if wish.bookmark is not None:
        return targets.of_inventory(wish.bookmark.name, shuffled=shuffled)
    if EVERYTHING in parts(asked):
        return targets.every_host(shuffled=shuffled)
    return targets.asked_for(QueryLanguage.FOREMAN, query, shuffled=shuffled)


def _narrowed(query: str, context: Context) -> str:
    """The query for hosts of an organization and a location only; the operator asks it, and knows the words alone."""
    chosen = (
        ("organization", context.organization, DEFAULT_ORGANIZATION),
        ("location", context.location, DEFAULT_LOCATION),
    )
    tests = [_belonging(field, one, one == default) for field, one, default in chosen if one is not None]
    text = " and ".join([f"({query})"] * bool(query.strip()) + tests)
    _check_length(text)
    return text


def _belonging(field: str, taxonomy: Taxonomy, is_default: bool) -> str:
    test = f"{field} = {quoted_word(taxonomy.name)}"
    return f"({test} or null? {field})" if is_default else test


def _check_length(query: str) -> None:
    if len(query) > MAX_LENGTH:
        raise e4(
            f"The query is longer than {MAX_LENGTH} characters; with targeting_type {STATIC}, host_ids may be more"
        )


def _problems(query: str | None, type_: Any) -> Iterator[str]:
    if query is None:
        yield _NO_QUERY
    if is_blank(type_):
        yield "Targeting: Targeting type can't be blank, Targeting type is not included in the list"
    elif type_ not in (STATIC, DYNAMIC):
        yield "Targeting: Targeting type is not included in the list"


def _query(given: Mapping[str, Any]) -> str | None:
    """The search query; a text in `host_ids` only where there is no other."""
    query, host_ids = given.get("search_query"), given.get("host_ids")
    if not is_blank(query):
        return str(query)
    return None if is_blank(host_ids) else str(host_ids)


def _listed(given: Mapping[str, Any], cache: Cache, scope: Scope) -> tuple[Host, ...] | None:
    """The hosts in a list of ids and names, by name; None where there is a query, or no list."""
    listed = given.get("host_ids")
    if not is_blank(given.get("search_query")) or is_blank(listed) or not isinstance(listed, list):
        return None
    found: dict[str, Host] = {}
    for element in listed:
        host = scope.find(str(element), cache)
        if host is None:
            raise e1(422, f"Host with id '{element}' was not found")
        found[host.name] = host
    return tuple(found[name] for name in sorted(found))


def find_host(text: str, cache: Cache) -> Host | None:
    """The host of that id or name."""
    numbered = cache.hosts.numbered(int(text)) if re.fullmatch(r"[0-9]{1,18}", text) else None
    return numbered or cache.hosts.named(text)


def _bookmark(given: Any, cache: Cache) -> Inventory | None:
    if is_blank(given) or not re.fullmatch(r"[0-9]{1,18}", str(given)):
        return None
    found = cache.inventories.numbered(int(str(given)))
    return found if found is not None and bookmark_query(found) is not None else None
