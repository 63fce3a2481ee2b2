"""Which hosts an invocation runs on, and which belong to an inventory.

Hosts that take no new work (`spec.unschedulable`) are left out, but where they are named one by one.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rollcall.inventory import Groups, InventoryError, check
from rollcall.names import Reason
from rollcall.query import ansible, foreman, pql
from rollcall.query.ast import EVERYTHING, Statement, parts
from rollcall.query.cost import CostError, check_cost
from rollcall.query.errors import QueryError
from rollcall.query.evaluate import OutOfRangeError, select
from rollcall.query.hostrows import TARGETS, HostRow
from rollcall.query.index import Index
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall.resources.meta import LabelOperator, LabelRequirement, LabelSelector
from rollcall.resources.targeting import HostQuery, InventoryReference, QueryLanguage, Targeting

_SAYS_SOMETHING: Final = re.compile(r"[^\s,:&!]")
"""Blanks of all kinds, what stands between terms and what stands before them say nothing."""
MAX_MESSAGE_LENGTH: Final = 32_768
"""The longest message that a condition can have."""


class TargetingError(ValueError):
    """The hosts cannot be told; `may_heal` when another object may turn up, or change."""

    def __init__(self, reason: Reason, message: str, *, may_heal: bool = False) -> None:
        super().__init__(message[:MAX_MESSAGE_LENGTH])
        self.reason = reason
        self.may_heal = may_heal


class UnknownHostsError(TargetingError):
    """Hosts are named that do not exist."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        shown = ", ".join(self.names[:5]) + (f" and {len(self.names) - 5} more" if len(self.names) > 5 else "")
        super().__init__(Reason.HOST_NOT_FOUND, f"no Host named {shown} in this namespace", may_heal=True)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What there is to choose from in a namespace."""

    hosts: Mapping[str, Host]
    index: Index = field(default_factory=Index)
    """The rows of those hosts that take work."""
    inventories: Mapping[str, Inventory | str] = field(default_factory=dict)
    """By name; a sentence for one that cannot be read."""


def resolve(targeting: Targeting, fleet: Fleet, now: datetime) -> tuple[str, ...]:
    """The names of the selected hosts: in the order given, or that a query asks for, else in that of the names.

    `now` is what a query counts times like `2 hours ago` from. Raises TargetingError.
    """
    if targeting.inventory_ref is not None:
        return _of_inventory(targeting.inventory_ref, fleet, now)
    return _selected(targeting.hosts, targeting.selector, targeting.query, fleet, now)


def members(inventory: Inventory, fleet: Fleet, now: datetime) -> tuple[str, ...]:
    """The names of the inventory's hosts that take work. Raises TargetingError."""
    spec = inventory.spec
    try:
        groups = check(inventory)
    except InventoryError as error:
        raise TargetingError(Reason.INVALID_SPEC, str(error)) from None
    if spec.query is not None and groups.names:
        fleet = Fleet(fleet.hosts, _rows(_schedulable(fleet.hosts), fleet.hosts, groups))
    found = _selected(spec.hosts, spec.selector, spec.query, fleet, now)
    return tuple(name for name in found if not fleet.hosts[name].spec.unschedulable)


def _of_inventory(reference: InventoryReference, fleet: Fleet, now: datetime) -> tuple[str, ...]:
    name = reference.name
    inventory = fleet.inventories.get(name)
    if not isinstance(inventory, Inventory):
        raise no_inventory(name, inventory)
    try:
        found = members(inventory, fleet, now)
    except TargetingError as error:
        raise TargetingError(error.reason, f"the Inventory {name}: {error}", may_heal=True) from None
    if reference.limit is None:
        return found
    limit = HostQuery(language=QueryLanguage.ANSIBLE, text=reference.limit)
    limited = _rows(found, fleet.hosts, Groups(inventory.spec.groups))
    chosen = frozenset(_answer(lambda: read(limit, limited, now), "the limit", limited))
    return tuple(name for name in found if name in chosen)


def no_inventory(name: str, unreadable: str | None) -> TargetingError:
    """The error about an inventory that is not there, or cannot be read for the reason given."""
    if unreadable is None:
        return TargetingError(
            Reason.INVENTORY_NOT_FOUND, f"there is no Inventory {name} in this namespace", may_heal=True
        )
    return TargetingError(Reason.INVALID_SPEC, f"the Inventory {name} cannot be read: {unreadable}", may_heal=True)


def _rows(names: Iterable[str], hosts: Mapping[str, Host], groups: Groups) -> Index:
    """The rows of these hosts with all groups that an inventory puts them into."""
    return Index({name: HostRow(hosts[name], groups.of(hosts[name])) for name in names}, groups=groups.names)


def _schedulable(hosts: Mapping[str, Host]) -> list[str]:
    return [name for name, host in hosts.items() if not host.spec.unschedulable]


def _selected(
    names: tuple[str, ...] | None, selector: LabelSelector | None, query: HostQuery | None, fleet: Fleet, now: datetime
) -> tuple[str, ...]:
    if query is not None:
        return _answer(lambda: read(query, fleet.index, now), f"the {query.language.value} query", fleet.index)
    if selector is not None:
        return tuple(sorted(n for n in _schedulable(fleet.hosts) if matches(selector, fleet.hosts[n].metadata.labels)))
    given = tuple(dict.fromkeys(names or ()))
    if missing := [name for name in given if name not in fleet.hosts]:
        raise UnknownHostsError(missing)
    return given


def read(query: HostQuery, index: Index, now: datetime) -> Statement:
    """What a query asks. Raises QueryError, also for one that names nothing, like a comma: in its language it may mean
    all hosts, and for its author hardly.
    """
    if not _SAYS_SOMETHING.search(query.text):
        raise QueryError("it is blank", 0, expected="what to select")
    match query.language:
        case QueryLanguage.FOREMAN:
            asked = foreman.parse(query.text, TARGETS, now, targeting=True)
            if EVERYTHING in parts(asked):
                raise QueryError("there is no condition, or none in a pair of parentheses", 0, expected="conditions")
            return Statement(asked)
        case QueryLanguage.ANSIBLE:
            return Statement(ansible.parse(query.text, frozenset(index.names(index.all))))
        case QueryLanguage.PQL:
            return pql.parse(query.text)


def _answer(ask: Callable[[], Statement], title: str, index: Index) -> tuple[str, ...]:
    try:
        statement = ask()
        check_cost(statement, index)
        return tuple(select(statement, index))
    except QueryError as error:
        raise TargetingError(Reason.INVALID_QUERY, f"{title} cannot be read: {error}") from None
    except CostError as error:
        raise TargetingError(Reason.INVALID_QUERY, f"{title} asks too much: {error}; make it simpler") from None
    except OutOfRangeError as error:
        raise TargetingError(Reason.INVALID_QUERY, f"{title} has no answer: {error}", may_heal=True) from None


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether the labels satisfy the selector, as the API server decides it (metav1.LabelSelector)."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _satisfies(requirement, labels) for requirement in selector.match_expressions
    )


def _satisfies(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case LabelOperator.IN:
            return value is not None and value in requirement.values
        case LabelOperator.NOT_IN:
            # An object without the label satisfies NotIn, as in apimachinery's labels.Requirement.
            return value is None or value not in requirement.values
        case LabelOperator.EXISTS:
            return value is not None
        case LabelOperator.DOES_NOT_EXIST:
            return value is None
