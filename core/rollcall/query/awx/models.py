"""What can be filtered by: fields, and relations to other things that have fields (contracts/awx.md §5.1, §5.4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from rollcall.query.ast import Path
from rollcall.query.errors import QueryError
from rollcall.query.fields import Field, Kind


class ForbiddenFieldError(QueryError):
    """Nobody may filter by a field, because its values are not for everybody: HTTP 403."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Filtering on {name} is not allowed.", 0, subject=name)


@dataclass(frozen=True, slots=True)
class Relation:
    """Leads to another thing, or with `many` to some."""

    path: Path
    model: "Callable[[], Model]"
    many: bool = False


@dataclass(frozen=True)
class Model:
    """A kind of things: its name in messages, its fields and relations."""

    name: str
    make: Callable[[], Mapping[str, Field | Relation]]
    forbidden: frozenset[str] = frozenset()

    @cached_property
    def fields(self) -> Mapping[str, Field | Relation]:
        """Fields and relations by name."""
        return {"id": Field(("id",), Kind.INTEGER), "pk": Field(("id",), Kind.INTEGER), **self.make()}

    def find(self, name: str) -> Field | Relation:
        """The field or relation of that name. Raises QueryError, and ForbiddenFieldError."""
        if name in self.forbidden:
            raise ForbiddenFieldError(name)
        found = self.fields.get(name)
        if found is None:
            raise QueryError(f"{self.name} has no field named '{name}'", 0, expected="a field", subject=name)
        return found


def _texts(*names: str) -> dict[str, Field]:
    return {name: Field((name,)) for name in names}


def _times(*names: str) -> dict[str, Field]:
    return {name: Field((name,), Kind.TIME) for name in names}


def _booleans(*names: str) -> dict[str, Field]:
    return {name: Field((name,), Kind.BOOLEAN) for name in names}


def _numbers(*names: str) -> dict[str, Field]:
    return {name: Field((name,), Kind.INTEGER) for name in names}


_NAMED: Final = _texts("name", "description")
_DATED: Final = _times("created", "modified")


def _one(name: str, model: Callable[[], Model]) -> dict[str, Relation]:
    return {name: Relation((name,), model)}


def _many(name: str, model: Callable[[], Model]) -> dict[str, Relation]:
    return {name: Relation((name,), model, many=True)}


def _job() -> Mapping[str, Field | Relation]:
    return {
        **_NAMED,
        **_DATED,
        **_times("started", "finished", "canceled_on"),
        **_texts("status", "job_type", "launch_type", "limit", "playbook", "type", "job_tags", "skip_tags"),
        **_texts("scm_revision", "execution_node", "controller_node", "job_explanation"),
        "artifacts": Field(("artifacts_text",)),
        "host_status_counts": Field(("host_status_counts_text",)),
        **_booleans("failed", "allow_simultaneous", "diff_mode"),
        **_numbers("forks", "verbosity", "timeout", "job_slice_count", "job_slice_number"),
        "elapsed": Field(("elapsed",), Kind.NUMBER),
        **_one("job_template", lambda: TEMPLATE),
        **_one("unified_job_template", lambda: TEMPLATE),
        **_one("inventory", lambda: INVENTORY),
        **_one("project", lambda: NAMED["Project"]),
        **_one("organization", lambda: NAMED["Organization"]),
        **_one("created_by", lambda: USER),
        **_one("modified_by", lambda: USER),
        **_one("schedule", lambda: NAMED["Schedule"]),
        **_one("instance_group", lambda: NAMED["InstanceGroup"]),
        **_many("labels", lambda: NAMED["Label"]),
        **_many("hosts", lambda: HOST),
        **_many("job_host_summaries", lambda: SUMMARY),
        **_many("job_events", lambda: EVENT),
    }


def _template() -> Mapping[str, Field | Relation]:
    return {
        **_NAMED,
        **_DATED,
        **_texts("job_type", "playbook", "limit", "type"),
        **_one("inventory", lambda: INVENTORY),
        **_one("project", lambda: NAMED["Project"]),
        **_one("organization", lambda: NAMED["Organization"]),
        **_many("labels", lambda: NAMED["Label"]),
    }


def _inventory() -> Mapping[str, Field | Relation]:
    return {
        **_NAMED,
        **_DATED,
        **_texts("kind"),
        **_numbers("total_hosts"),
        **_one("organization", lambda: NAMED["Organization"]),
        **_many("hosts", lambda: HOST),
    }


def _host() -> Mapping[str, Field | Relation]:
    return {
        **_NAMED,
        **_DATED,
        **_booleans("enabled"),
        **_one("inventory", lambda: INVENTORY),
        **_many("groups", lambda: NAMED["Group"]),
    }


def _summary() -> Mapping[str, Field | Relation]:
    return {
        **_texts("host_name"),
        **_booleans("failed"),
        **_numbers("changed", "dark", "failures", "ok", "processed", "skipped", "rescued", "ignored"),
        **_one("host", lambda: HOST),
    }


def _event() -> Mapping[str, Field | Relation]:
    return {
        **_texts("event", "host_name", "play", "task", "role", "stdout", "uuid", "parent_uuid"),
        **_booleans("failed", "changed"),
        **_numbers("counter", "event_level", "start_line", "end_line"),
        **_times("created", "modified"),
        **_one("host", lambda: HOST),
    }


_SECRETS: Final = frozenset({"extra_vars", "job_env", "job_args", "start_args"})
JOB: Final = Model("Job", _job, _SECRETS)
TEMPLATE: Final = Model("JobTemplate", _template, _SECRETS)
INVENTORY: Final = Model("Inventory", _inventory)
HOST: Final = Model("Host", _host)
SUMMARY: Final = Model("JobHostSummary", _summary)
EVENT: Final = Model("JobEvent", _event)
USER: Final = Model(
    "User",
    lambda: {**_texts("username", "first_name", "last_name", "email"), **_booleans("is_superuser")},
    frozenset({"password"}),
)
NAMED: Final = {
    name: Model(name, lambda: {**_NAMED, **_DATED})
    for name in ("Project", "Organization", "Schedule", "InstanceGroup", "Label", "Group")
}
SEARCHED: Final = ("name", "description", "username", "first_name", "last_name", "email", "playbook")
"""Where `RELATION__search` looks (contracts/awx.md §5.3)."""
