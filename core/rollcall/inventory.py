"""What an Inventory makes of its hosts: the groups that they are in, and the variables that they have.

Groups form a tree of any depth, or rather a net: a group can have several parents. A host's variables are laid over
each other in Ansible's order: those of all hosts, then each group's, the deeper after the higher, equally deep ones by
`ansible_group_priority` and then by name, then the host's own. The group `all` is above all others, so that it makes no
difference to how deep they lie whether it names them.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollcall.resources.host import GROUP_NAME, MAX_VARIABLES_BYTES, Host, json_size
from rollcall.resources.inventory import Inventory, InventoryGroup

ALL: Final = "all"
"""The group that Ansible has every host in."""
UNGROUPED: Final = "ungrouped"
"""The group that Ansible has those hosts in that are in no other."""
PRIORITY: Final = "ansible_group_priority"
"""The variable that says which of several equally deep groups comes later; it is none of their hosts'."""
MAX_GIVEN_BYTES: Final = 65_536
"""How large the variables may be that an inventory gives to one host."""

_MAX_NAMED: Final = 6
"""How many names of a circle are told, of which the last is the first."""


class InventoryError(ValueError):
    """The inventory cannot be used as it is written; the message says what to change."""


class Groups:
    """The groups of an inventory, with those above each."""

    def __init__(self, groups: Mapping[str, InventoryGroup]) -> None:
        """Raises InventoryError for a circle of groups, and for a name or a priority that no group can have."""
        if wrong := next((name for name in groups if not re.fullmatch(GROUP_NAME, name)), None):
            raise InventoryError(f"spec.groups: {wrong[:80]!r} is no name of a group; it must match {GROUP_NAME}")
        self._parents: defaultdict[str, list[str]] = defaultdict(list)
        for name, group in groups.items():
            if ALL in group.children:
                raise InventoryError(f"spec.groups.{name}.children: {ALL} is above all groups, and below none")
            for child in group.children:
                self._parents[child].append(name)
        self.names = frozenset(groups) | frozenset(self._parents)
        """All groups that the inventory names, also those that no host is in."""
        self._depths = self._measured(groups)
        self._priorities = {name: _priority(name, group) for name, group in groups.items()}
        self._found: dict[tuple[str, ...], tuple[str, ...]] = {}

    def of(self, host: Host) -> tuple[str, ...]:
        """The groups that the host is in and all above them, those first whose variables others are laid over."""
        direct = host.spec.groups
        if direct not in self._found:  # many hosts are in the same groups
            self._found[direct] = tuple(sorted(self._above(direct), key=self._place))
        return self._found[direct]

    def _place(self, name: str) -> tuple[int, int, str]:
        return self._depths.get(name, 0 if name == ALL else 1), self._priorities.get(name, 1), name

    def _above(self, names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self._parents.get(name, ()))
        return found

    def _measured(self, groups: Mapping[str, InventoryGroup]) -> dict[str, int]:
        """How deep each group lies below `all`, by the longest way to it; those at the top have 1."""
        left = {name: sum(above != ALL for above in self._parents.get(name, ())) for name in self.names - {ALL}}
        depths = {name: 1 for name, above in left.items() if not above}
        ready = deque(depths)
        while ready:
            name = ready.popleft()
            for child in groups[name].children if name in groups else ():
                depths[child] = max(depths.get(child, 1), depths[name] + 1)
                left[child] -= 1
                if not left[child]:
                    ready.append(child)
        if circle := next(self._circles(name for name, above in left.items() if above), None):
            raise InventoryError(f"spec.groups leads in a circle: {_short(circle)}; take one of them out")
        return depths

    def _circles(self, names: Iterable[str]) -> Iterator[list[str]]:
        """The circles of groups that lie in one, or below one: the way up from each leads into it."""
        within = set(names)
        for name in sorted(within):
            way = [name]
            while (above := next(parent for parent in self._parents[way[-1]] if parent in within)) not in way:
                way.append(above)
            yield [above, *reversed(way[way.index(above) :])]


def _priority(name: str, group: InventoryGroup) -> int:
    value = group.variables.get(PRIORITY, 1)
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", str(value)):
        raise InventoryError(f"spec.groups.{name}.variables.{PRIORITY} is no whole number")
    return int(value)


def _short(circle: list[str]) -> str:
    """The circle in words; of a long one the beginning and the end, whose group is the same."""
    left = len(circle) - _MAX_NAMED
    shown = circle if left <= 0 else [*circle[: _MAX_NAMED - 1], f"{left} more", circle[-1]]
    return " -> ".join(shown)


class InventoryView:
    """An inventory as the hosts of a job have it."""

    def __init__(self, inventory: Inventory) -> None:
        """Raises InventoryError as `Groups` does."""
        self._name = inventory.metadata.name
        self._spec = inventory.spec
        self.groups = Groups(inventory.spec.groups)
        self._found: dict[tuple[str, ...], _Given] = {}

    def of(self, host: Host) -> Host:
        """The host with all the groups and the variables that the inventory gives it."""
        groups = self.groups.of(host)
        spec = host.spec.model_copy(update={"groups": groups, "variables": self.variables(host)})
        return host.model_copy(update={"spec": spec})

    def variables(self, host: Host) -> dict[str, Any]:
        """The host's variables, with those that it has from the inventory."""
        return self._given(host).variables | host.spec.variables

    def problem(self, host: Host) -> str | None:
        """The sentence about variables that are too many in what the inventory gives to the host."""
        size = self._given(host).size
        if size <= MAX_GIVEN_BYTES:
            return None
        return (
            f"the Inventory {self._name} gives it variables of {size} bytes as JSON, more than {MAX_GIVEN_BYTES}; take"
            " some out of the inventory, or the host out of groups"
        )

    def _given(self, host: Host) -> "_Given":
        direct = host.spec.groups
        if direct not in self._found:  # many hosts are in the same groups
            found = dict(self._spec.variables)
            named = [name for name in self.groups.of(host) if name not in (ALL, UNGROUPED)]
            for name in (ALL, *(named or (UNGROUPED,))):
                if group := self._spec.groups.get(name):
                    found |= {key: value for key, value in group.variables.items() if key != PRIORITY}
            self._found[direct] = _Given(found, json_size(found))
        return self._found[direct]


@dataclass(frozen=True, slots=True)
class _Given:
    """Variables that an inventory gives to a host."""

    variables: dict[str, Any]
    size: int
    """In bytes, as JSON."""


def check(inventory: Inventory) -> Groups:
    """The inventory's groups. Raises InventoryError for what a schema cannot say."""
    groups = Groups(inventory.spec.groups)
    sets = {"spec.variables": inventory.spec.variables} | {
        f"spec.groups.{name}.variables": group.variables for name, group in inventory.spec.groups.items()
    }
    for place, variables in sets.items():
        if (size := json_size(variables)) > MAX_VARIABLES_BYTES:
            raise InventoryError(f"{place} has {size} bytes as JSON, more than {MAX_VARIABLES_BYTES}")
    return groups
