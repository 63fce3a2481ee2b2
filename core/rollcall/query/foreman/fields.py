"""The fields that can be searched for (contracts/foreman.md §6.4, §6.5, §6.7), and where rows have them.

Rows of hosts have `name`, `id`, `address`, `groups`, `organization`, `location`, `comment`, `facts`, `variables` and
the like; who shows more of a host puts it into the row under the name that the table gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rollcall.query.ast import EACH, Path
from rollcall.query.fields import Field, Kind

_TEXT = Kind.TEXT
_INTEGER = Kind.INTEGER


@dataclass(frozen=True, slots=True)
class Subject:
    """What is searched: fields by name, and fields whose names are made up of a prefix and what follows it."""

    fields: Mapping[str, Field]
    prefixes: Mapping[str, Path] = field(default_factory=dict)
    """`facts.` and the like: values of any kind, by a name with `::`, or else dots, for what is nested."""

    def find(self, name: str) -> Field | None:
        """The field of that name; None where there is no such."""
        if found := self.fields.get(name):
            return found
        for prefix, path in self.prefixes.items():
            rest = name.removeprefix(prefix)
            nested = tuple(rest.split("::" if "::" in rest else "."))
            if rest != name and all(nested):
                return Field((*path, *nested), Kind.ANY)
        return None

    @property
    def free_text(self) -> tuple[Field, ...]:
        """Where a word without a field is looked for."""
        return tuple(dict.fromkeys(entry for entry in self.fields.values() if entry.free_text))


def _groups() -> dict[str, Field]:
    names = ("hostgroup", "hostgroup_name", "hostgroup_title", "hostgroup_fullname")
    return {**dict.fromkeys(names, Field(("groups", EACH))), "parent_hostgroup": Field(("groups", EACH))}


_OS: Final = {
    "os": ("facts", "os", "name"),
    "os_title": ("facts", "os", "distro", "description"),
    "os_description": ("facts", "os", "distro", "description"),
    "os_major": ("facts", "os", "release", "major"),
    "os_minor": ("facts", "os", "release", "minor"),
    "architecture": ("facts", "os", "architecture"),
}

HOSTS: Final = Subject(
    {
        "name": Field(("name",), free_text=True),
        "id": Field(("id",), _INTEGER),
        "comment": Field(("comment",)),
        **_groups(),
        **{name: Field(path, Kind.ANY) for name, path in _OS.items()},
        "domain": Field(("domain",)),
        "ip": Field(("address",)),
        "mac": Field(("facts", "networking", "mac")),
        "organization": Field(("organization",)),
        "organization_id": Field(("organizationId",), _INTEGER),
        "location": Field(("location",)),
        "location_id": Field(("locationId",), _INTEGER),
        "managed": Field(("managed",), Kind.BOOLEAN),
        "build": Field(("build",), Kind.BOOLEAN),
        "last_report": Field(("lastContactTime",), Kind.TIME),
        "created_at": Field(("created",), Kind.TIME),
        "uuid": Field(("uid",)),
        "params_name": Field(("variableNames", EACH)),
        "execution_status": Field(("executionStatus",)),
        "job_invocation.id": Field(("jobs", EACH, "id"), _INTEGER),
        "job_invocation.result": Field(("jobs", EACH, "result")),
    },
    {"facts.": ("facts",), "params.": ("variables",)},
)

JOBS: Final = Subject(
    {
        "id": Field(("id",), _INTEGER, free_text=True),
        "job_category": Field(("category",), free_text=True),
        "description": Field(("description",), free_text=True),
        "host": Field(("hosts", EACH), free_text=True),
        "user": Field(("user",)),
        "owner": Field(("user",)),
        "started_at": Field(("started",), Kind.TIME, free_text=True),
        "start_at": Field(("startAt",), Kind.TIME, free_text=True),
        "ended_at": Field(("ended",), Kind.TIME, free_text=True),
        "status": Field(("statuses", EACH), operators=("eq", "ne")),
        "targeted_host_id": Field(("hostIds", EACH), _INTEGER, operators=("eq",)),
        "pattern_template_name": Field(("template",), operators=("eq",)),
        "recurring_logic.id": Field(("schedule", "id"), _INTEGER, free_text=True),
        "recurring_logic.purpose": Field(("schedule", "purpose"), free_text=True),
        "recurring": Field(("recurring",), Kind.BOOLEAN),
    }
)

TASKS: Final = Subject(
    {
        **{
            name: Field((name,), free_text=name in ("label", "state", "result"))
            for name in ("id", "action", "label", "state", "result", "resource_type")
        },
        "started_at": Field(("started",), Kind.TIME),
        "start_at": Field(("startAt",), Kind.TIME),
        "ended_at": Field(("ended",), Kind.TIME),
        "parent_task_id": Field(("parent",)),
        "duration": Field(("duration",), Kind.NUMBER),
        "resource_id": Field(("resourceId",), _INTEGER),
        "user.id": Field(("userId",), _INTEGER),
        "owner.id": Field(("userId",), _INTEGER),
        "user": Field(("user",)),
        "owner.login": Field(("user",)),
        "task_group.id": Field(("groupId",), _INTEGER),
    }
)
