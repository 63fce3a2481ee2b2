"""Hosts as rows: what queries can ask of one.

A row makes nothing until it is asked: ten thousand hosts are kept in memory once, and their rows are views of them.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from rollcall import ids
from rollcall.query.foreman import HOSTS, Subject
from rollcall.resources.host import Host

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation that is all of the object once more."""
_FIELDS: Final[dict[str, Callable[[Host], Any]]] = {
    "name": lambda host: host.metadata.name,
    "id": lambda host: ids.read(host.metadata.labels),
    "uid": lambda host: host.metadata.uid or None,
    "created": lambda host: _epoch(host.metadata.creation_timestamp),
    "lastContactTime": lambda host: _epoch(host.status.last_contact_time),
    "address": lambda host: host.address,
    "domain": lambda host: host.metadata.name.partition(".")[2] or None,
    "organization": lambda host: host.spec.organization,
    "location": lambda host: host.spec.location,
    "groups": lambda host: list(host.spec.groups),
    "facts": lambda host: host.spec.facts,
    "variables": lambda host: host.spec.variables,
    "variableNames": lambda host: list(host.spec.variables),
    "trusted": lambda host: {"certname": host.metadata.name, "extensions": _extensions(host)},
    "environment": lambda host: host.metadata.labels.get("environment"),
    # Every host is managed, and none is being installed.
    "managed": lambda _: True,
    "build": lambda _: False,
}

TARGETS: Final = Subject(
    {name: field for name, field in HOSTS.fields.items() if field.path[0] in _FIELDS}, HOSTS.prefixes
)
"""The fields of Foreman's language that hosts have here. Any other is refused: what nobody knows of any host would be
false of all, and its negation true of all."""


class HostRow(Mapping[str, Any]):
    """A host as a row. `groups` are all that it is in, where an inventory puts it into more than it names itself."""

    __slots__ = ("_groups", "_host")

    def __init__(self, host: Host, groups: tuple[str, ...] | None = None) -> None:
        self._host = host
        self._groups = groups

    def __getitem__(self, name: str) -> Any:
        if name == "groups" and self._groups is not None:
            return list(self._groups)
        return _FIELDS[name](self._host)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of that name; the default for a name that no host has."""
        return self[name] if name in _FIELDS else default

    def __contains__(self, name: object) -> bool:
        return name in _FIELDS

    def __iter__(self) -> Iterator[str]:
        return iter(_FIELDS)

    def __len__(self) -> int:
        return len(_FIELDS)


def _extensions(host: Host) -> Mapping[str, str]:
    """What is said of a host from outside (contracts/puppet.md §8.2)."""
    noted = host.metadata.annotations.items()
    return {**{name: value for name, value in noted if name != _LAST_APPLIED}, **host.metadata.labels}


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
