"""What an Inventory makes of its hosts: the groups that they are in, and the variables that they have.

Groups form a tree of any depth, or rather a net: a group can have several parents. A host's variables are laid over
each other in Ansible's order: those of all hosts, then each group's, the deeper after the higher and equally deep
ones by name, then the host's own.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from rollcall.resources.host import GROUP_NAME, MAX_VARIABLES_BYTES, Host, json_size
from rollcall.resources.inventory import Inventory, InventoryGroup

ALL: Final = "all"
"""The group that Ansible has every host in."""
UNGROUPED: Final = "ungrouped"
"""The group that Ansible has those hosts in that are in no other."""

_MAX_NAMED: Final = 6
"""How many names of a circle are told, of which the last is the first."""


class InventoryError(ValueError):
    """The inventory cannot be used as it is written; the message says what to change."""


class Groups:
    """The groups of an inventory, with those above each."""

    def __init__(self, groups: Mapping[str, InventoryGroup]) -> None:
        """Raises InventoryError for groups that contain themselves, and for names that no group can have."""
        if wrong := next((name for name in groups if not re.fullmatch(GROUP_NAME, name)), None):
            raise InventoryError(f"spec.groups: {wrong[:80]!r} is no name of a group; it must match {GROUP_NAME}")
        self._parents: defaultdict[str, list[str]] = defaultdict(list)
        for name, group in groups.items():
            for child in group.children:
                self._parents[child].append(name)
        self.names = frozenset(groups) | frozenset(self._parents)
        """All groups that the inventory names, also those that no host is in."""
        self._depths = self._measured(groups)
        self._found: dict[tuple[str, ...], tuple[str, ...]] = {}

    def of(self, host: Host) -> tuple[str, ...]:
        """The groups that the host is in and all above them: the higher first, equally deep ones by name."""
        direct = host.spec.groups
        if direct not in self._found:  # many hosts are in the same groups
            self._found[direct] = tuple(sorted(self._above(direct), key=lambda name: (self._depths.get(name, 1), name)))
        return self._found[direct]

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
        """How deep each group lies, by the longest way to it; those at the top have 1."""
        left = {name: len(self._parents.get(name, ())) for name in self.names}
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


def _short(circle: list[str]) -> str:
    """The circle in words; of a long one the beginning and the end, whose group is the same."""
    left = len(circle) - _MAX_NAMED
    shown = circle if left <= 0 else [*circle[: _MAX_NAMED - 1], f"{left} more", circle[-1]]
    return " -> ".join(shown)


class InventoryView:
    """An inventory as the hosts of a job have it."""

    def __init__(self, inventory: Inventory) -> None:
        """Raises InventoryError as `Groups` does."""
        self._spec = inventory.spec
        self.groups = Groups(inventory.spec.groups)

    def of(self, host: Host) -> Host:
        """The host with all the groups and the variables that the inventory gives it."""
        groups = self.groups.of(host)
        spec = host.spec.model_copy(update={"groups": groups, "variables": self.variables(host)})
        return host.model_copy(update={"spec": spec})

    def variables(self, host: Host) -> dict[str, Any]:
        """The host's variables, with those that it has from the inventory."""
        found = dict(self._spec.variables)
        everybody = (ALL, *(() if host.spec.groups else (UNGROUPED,)))
        for name in (*everybody, *self.groups.of(host)):
            if group := self._spec.groups.get(name):
                found |= group.variables
        return found | host.spec.variables


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
