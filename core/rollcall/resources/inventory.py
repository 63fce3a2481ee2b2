"""`Inventory`: a named set of hosts, with what they have in common."""

from typing import Annotated, Final

from pydantic import Field

from rollcall.resources.host import GroupName, JsonObject
from rollcall.resources.meta import Condition, LabelSelector, Model, Resource, rule
from rollcall.resources.targeting import HostNames, Query

MAX_GROUPS: Final = 1_000

_ONE_SOURCE: Final = rule(
    "[has(self.hosts), has(self.selector), has(self.query)].filter(given, given).size() == 1",
    "give exactly one of hosts, selector and query",
)


class InventoryGroup(Model):
    """A group of hosts, of other groups, or of both."""

    children: Annotated[
        tuple[GroupName, ...], Field(max_length=MAX_GROUPS, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """The groups whose hosts belong to this one too: names that Hosts have in `spec.groups`, or other groups here."""
    variables: JsonObject = {}
    """Settings of the hosts in this group, by name, any JSON values."""


class InventorySpec(Model):
    """Which hosts belong to the inventory, and what they have in common."""

    hosts: HostNames = None
    """The names of Host objects in the same namespace."""
    selector: LabelSelector | None = None
    """Selects Host objects in the same namespace by their labels. An empty selector selects all."""
    query: Query = None
    """Selects Host objects in the same namespace by what is known of them. Groups mean those below too."""
    variables: JsonObject = {}
    """Settings of all hosts, by name, any JSON values. A group's come before these, and a Host's own before all."""
    groups: Annotated[dict[str, InventoryGroup], Field(max_length=MAX_GROUPS)] = {}
    """Groups over those that Hosts name in `spec.groups`, by name. Where a host has a variable from several groups, the
    one that lies deeper in the tree counts, and of two that lie equally deep the one with the higher
    `ansible_group_priority` (1 when absent), then the later by name. What one host has from here is at most 64 KiB."""


class InventoryStatus(Model):
    """What Rollcall knows about the inventory."""

    hosts: int | None = None
    """How many hosts it has; those with `spec.unschedulable` are not counted. Absent while that is not known."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """`Valid` is False, with the reason, while no job can use the inventory as it is written."""
    observed_generation: int | None = None
    """The metadata.generation that this status describes."""


class Inventory(Resource):
    """A named set of hosts, by list, label selector or query, with variables and groups that they share."""

    spec: Annotated[InventorySpec, Field(json_schema_extra={"x-kubernetes-validations": [_ONE_SOURCE]})]
    """Which hosts belong to the inventory, and what they have in common."""
    status: InventoryStatus = InventoryStatus()
    """What Rollcall knows about the inventory."""
