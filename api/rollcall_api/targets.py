"""Which hosts a new job is for: chosen at once and frozen, or found when it starts."""

import random
from collections.abc import Iterable, Sequence

from rollcall.resources.meta import LabelSelector
from rollcall.resources.targeting import (
    MAX_HOSTS,
    HostOrder,
    HostQuery,
    InventoryReference,
    QueryLanguage,
    Resolve,
    Targeting,
)
from rollcall_api.problems import TooManyHosts
from rollcall_api.records import Host


def schedulable(hosts: Iterable[Host]) -> list[Host]:
    """Those of the hosts that take new work."""
    return [host for host in hosts if not host.resource.spec.unschedulable]


def chosen(hosts: Sequence[Host], *, shuffled: bool = False) -> Targeting:
    """These hosts, in their order or in none. Raises TooManyHosts."""
    if len(hosts) > MAX_HOSTS:
        raise TooManyHosts(f"{len(hosts)} hosts match, and a job can have at most {MAX_HOSTS}")
    names = [host.name for host in hosts]
    if shuffled:
        random.SystemRandom().shuffle(names)
    return Targeting(hosts=tuple(names))


def every_host(*, shuffled: bool = False) -> Targeting:
    """All hosts that there are when the job starts."""
    return Targeting(selector=LabelSelector(), resolve=Resolve.AT_START, order=_order(shuffled))


def of_inventory(name: str, *, shuffled: bool = False) -> Targeting:
    """The hosts that an Inventory has when the job starts."""
    reference = InventoryReference(name=name)
    return Targeting(inventory_ref=reference, resolve=Resolve.AT_START, order=_order(shuffled))


def asked_for(language: QueryLanguage, text: str, *, shuffled: bool = False) -> Targeting:
    """The hosts that a query finds when the job starts; for a blank one there is `every_host`."""
    query = HostQuery(language=language, text=text)
    return Targeting(query=query, resolve=Resolve.AT_START, order=_order(shuffled))


def _order(shuffled: bool) -> HostOrder | None:
    return HostOrder.SHUFFLED if shuffled else None
