"""What an Ansible inventory holds, without Ansible's types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final


class Vaulted:
    """Stands for a value that Ansible Vault keeps, whatever it is."""

    __slots__ = ("ciphertext",)

    def __init__(self, ciphertext: str) -> None:
        self.ciphertext = ciphertext

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vaulted) and self.ciphertext == other.ciphertext

    def __hash__(self) -> int:
        return hash(self.ciphertext)

    def __repr__(self) -> str:
        return "Vaulted()"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Stands for what a template could not be evaluated to, with the reason."""

    reason: str


ALL: Final = "all"
UNGROUPED: Final = "ungrouped"
Variables = Mapping[str, Any]
"""By name: JSON values, with `Vaulted` anywhere in them."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of an inventory."""

    name: str
    children: Sequence[str] = ()
    hosts: Sequence[str] = ()
    """Those that are in it themselves, and not only in a child of it."""
    variables: Variables = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """A host of an inventory."""

    name: str
    own: Variables
    """What is said of the host itself."""
    effective: Variables
    """What it has with what its groups say, by Ansible's own order."""
    way: Variables
    """Those of the effective variables that say how it is reached, with templates evaluated, or else `Unanswered`."""


@dataclass(frozen=True, slots=True)
class Content:
    """An inventory, as Ansible reads it."""

    members: Mapping[str, Member]
    groups: Mapping[str, Group]
    """All groups, `all` and `ungrouped` among them."""
    selected: Sequence[str]
    """The hosts that a limit leaves, in the inventory's order."""
    locked_files: Sequence[str] = ()
    """Files that Ansible Vault keeps as a whole, which were not read."""
