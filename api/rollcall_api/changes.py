"""What dialects ask to be different about templates, inventories and hosts, and how that is written into manifests.

What a change does not mention stays as it is, also what no dialect knows of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from rollcall.resources.jobtemplate import InputType
from rollcall.resources.providers import Provider
from rollcall.resources.targeting import QueryLanguage
from rollcall_api.cluster import Object


class Keep(Enum):
    """Stands for a value that is not to be changed."""

    KEEP = auto()


KEEP: Final = Keep.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChange:
    """How an input of a template is to be. A field that is None or blank is taken away."""

    was: str | None = None
    """The name of the input so far; None for a new one."""
    removed: bool = False
    name: str | Keep = KEEP
    description: str | Keep = KEEP
    required: bool | Keep = KEEP
    hidden: bool | Keep = KEEP
    default: str | Keep | None = KEEP
    options: tuple[str, ...] | Keep = KEEP
    """The values of a choice; without any it is one no longer."""
    value_from: Mapping[str, str] | Keep | None = KEEP
    """The `fact` or `variable` of the host that has the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChange:
    """How a JobTemplate is to be. A field that is None or blank is taken away."""

    title: str | Keep = KEEP
    category: str | Keep | None = KEEP
    description_format: str | Keep | None = KEEP
    script: str | Keep = KEEP
    """The whole script, in our language, also in the place of steps."""
    effective_user: str | Keep | None = KEEP
    overridable: bool | Keep = KEEP
    """Whether a job may name another effective user."""
    inputs: tuple[InputChange, ...] = ()
    features: Mapping[str, bool] = field(default_factory=dict)
    """Labels of features, and whether the template serves them."""
    notes: Mapping[str, str | None] = field(default_factory=dict)
    """Annotations of the dialect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryChange:
    """How an Inventory of a query is to be."""

    language: QueryLanguage
    query: str | Keep = KEEP
    notes: Mapping[str, str | None] = field(default_factory=dict)
    """Annotations of the dialect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostChange:
    """How a Host is to be."""

    address: str | Keep = KEEP
    organization: str | Keep = KEEP
    location: str | Keep = KEEP
    unschedulable: bool | Keep = KEEP
    """Whether it takes no new work."""


def new_script() -> Object:
    """A JobTemplate that has yet to become one, of a script over SSH."""
    return {"metadata": {}, "spec": {"provider": Provider.SSH.value, "ssh": {}}}


def new_inventory() -> Object:
    """An Inventory that has yet to become one."""
    return {"metadata": {}, "spec": {}}


def change_template(body: Object, change: TemplateChange) -> None:
    """Writes the change into a JobTemplate; script and users only where it is a script over SSH."""
    spec = body["spec"]
    _note(body, change.notes)
    _set(spec, "displayName", change.title)
    _set(spec, "category", change.category)
    _set(spec, "descriptionFormat", change.description_format)
    if change.script is not KEEP:
        spec["ssh"].pop("steps", None)
        spec["ssh"]["script"] = change.script
    if change.effective_user is not KEEP or change.overridable is not KEEP:
        policy = dict(spec["ssh"].get("effectiveUser") or {})
        _set(policy, "name", change.effective_user)
        _set(policy, "overridable", change.overridable)
        _set(spec["ssh"], "effectiveUser", policy if policy.keys() & {"name", "overridable"} else None)
    for each in change.inputs:
        spec["inputs"] = _with_input(spec.get("inputs") or [], each)
    for label, serves in change.features.items():
        others = [known for known in spec.get("features") or [] if known != label]
        spec["features"] = [*others, label] if serves else others


def _with_input(entries: list[Object], change: InputChange) -> list[Object]:
    if change.was is None:
        return [*entries, _changed({}, change)]
    if change.removed:
        return [known for known in entries if known["name"] != change.was]
    return [_changed(known, change) if known["name"] == change.was else known for known in entries]


def _changed(known: Object, change: InputChange) -> Object:
    entry = dict(known)
    for key, value in (
        ("name", change.name),
        ("description", change.description),
        ("required", change.required),
        ("hidden", change.hidden),
        ("default", change.default),
        ("valueFrom", change.value_from),
    ):
        _set(entry, key, value)
    if change.options is not KEEP:
        _set(entry, "options", list(change.options))
        if change.options:
            entry["type"] = InputType.CHOICE.value
        elif entry.get("type") == InputType.CHOICE:
            entry["type"] = InputType.STRING.value
    return entry


def change_inventory(body: Object, change: InventoryChange) -> None:
    """Writes the change into an Inventory of a query."""
    _note(body, change.notes)
    if change.query is not KEEP:
        body["spec"]["query"] = {"language": change.language.value, "text": change.query}


def change_host(body: Object, change: HostChange) -> None:
    """Writes the change into a Host."""
    spec = body.setdefault("spec", {})
    for key, value in (
        ("address", change.address),
        ("organization", change.organization),
        ("location", change.location),
        ("unschedulable", change.unschedulable),
    ):
        _set(spec, key, value)


def _note(body: Object, notes: Mapping[str, str | None]) -> None:
    for key, value in notes.items():
        _set(body["metadata"].setdefault("annotations", {}), key, value)


def _set(target: Object, key: str, value: Any) -> None:
    if value is KEEP:
        return
    if value in (None, "", False, []):
        target.pop(key, None)
    else:
        target[key] = dict(value) if isinstance(value, Mapping) else value
