"""Which hosts a create asks for, and when they are chosen (contract §4.4)."""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollcall.query.ast import EVERYTHING, parts
from rollcall.query.errors import MAX_LENGTH
from rollcall.query.hostrows import TARGETS
from rollcall.resources.targeting import MAX_HOSTS, QueryLanguage
from rollcall_api.cache import Cache
from rollcall_api.foreman import search
from rollcall_api.foreman.errors import e1, e4, invalid
from rollcall_api.foreman.requests import boolean, is_blank
from rollcall_api.objects import Object
from rollcall_api.records import Host, Inventory

STATIC: Final = "static_query"
DYNAMIC: Final = "dynamic_query"
_NO_QUERY: Final = (
    "Targeting: Bookmark Must select a bookmark or enter a search query, "
    "Search query Must select a bookmark or enter a search query"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for, and what is wrong with it."""

    query: str | None
    bookmark: Inventory | None
    dynamic: bool
    randomized: bool | None
    problems: tuple[str, ...]


def read(given: Mapping[str, Any], cache: Cache, *, may_view_hosts: bool, may_view_inventories: bool) -> Wish:
    """The parameters. Raises 422 for a host in `host_ids` that there is not."""
    bookmark = _bookmark(given.get("bookmark_id"), cache) if may_view_inventories else None
    type_ = STATIC if not is_blank(given.get("feature")) else given.get("targeting_type")
    query = _query(given, cache, may_view_hosts)
    if query is None and bookmark is not None:
        query = bookmark_query(bookmark)
    randomized = None
    if not is_blank(given.get("randomized_ordering")) or given.get("randomized_ordering") is False:
        randomized = boolean(given, "randomized_ordering")
    return Wish(query, bookmark, type_ == DYNAMIC, randomized, tuple(_problems(query, type_)))


def stored(wish: Wish, cache: Cache, may_view_hosts: bool) -> Object:
    """The targeting as the job has it. Raises E4 for a query that is not understood."""
    query = wish.query or ""
    if len(query) > MAX_LENGTH:
        raise e4(f"The query is longer than {MAX_LENGTH} characters")
    return _late(wish, query) if wish.dynamic else _chosen(wish, query, cache, may_view_hosts)


def bookmark_query(bookmark: Inventory) -> str | None:
    """The search query of a bookmark; None for an Inventory that is none."""
    query = bookmark.resource.spec.query
    return query.text if query is not None and query.language is QueryLanguage.FOREMAN else None


def _late(wish: Wish, query: str) -> Object:
    asked = search.read(query, TARGETS, targeting=True)
    which: Object = {"query": {"language": QueryLanguage.FOREMAN.value, "text": query}}
    if wish.bookmark is not None:
        which = {"inventoryRef": {"name": wish.bookmark.name}}
    elif EVERYTHING in parts(asked):
        which = {"selector": {}}
    return {**which, "resolve": "AtStart", **({"order": "Shuffled"} if wish.randomized else {})}


def _chosen(wish: Wish, query: str, cache: Cache, may_view_hosts: bool) -> Object:
    hosts = search.target_hosts(query, cache)
    if not may_view_hosts:
        hosts = []
    if len(hosts) > MAX_HOSTS:
        raise invalid(f"Targeting: {len(hosts)} hosts match, and a job can have at most {MAX_HOSTS}")
    names = [host.name for host in hosts]
    if wish.randomized:
        random.SystemRandom().shuffle(names)
    return {"hosts": names}


def _problems(query: str | None, type_: Any) -> Iterator[str]:
    if query is None:
        yield _NO_QUERY
    if is_blank(type_):
        yield "Targeting: Targeting type can't be blank, Targeting type is not included in the list"
    elif type_ not in (STATIC, DYNAMIC):
        yield "Targeting: Targeting type is not included in the list"


def _query(given: Mapping[str, Any], cache: Cache, may_view_hosts: bool) -> str | None:
    """The search query; that of `host_ids` only where there is no other."""
    query, host_ids = given.get("search_query"), given.get("host_ids")
    if not is_blank(query):
        return str(query)
    if is_blank(host_ids):
        return None
    if not isinstance(host_ids, list):
        return str(host_ids)
    names: set[str] = set()
    for element in host_ids:
        host = find_host(str(element), cache) if may_view_hosts else None
        if host is None:
            raise e1(422, f"Host with id '{element}' was not found")
        names.add(host.name)
    return search.quoted(sorted(names))


def find_host(text: str, cache: Cache) -> Host | None:
    """The host of that id or name."""
    numbered = cache.hosts.numbered(int(text)) if re.fullmatch(r"[0-9]{1,18}", text) else None
    return numbered or cache.hosts.named(text)


def _bookmark(given: Any, cache: Cache) -> Inventory | None:
    if is_blank(given) or not re.fullmatch(r"[0-9]{1,18}", str(given)):
        return None
    found = cache.inventories.numbered(int(str(given)))
    return found if found is not None and bookmark_query(found) is not None else None
