"""Foreman's JSON of job templates, and what a create or update of one asks for (contract §7.3)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollcall.names import GROUP
from rollcall.resources.jobtemplate import InputType, TemplateInput
from rollcall.resources.providers import Provider
from rollcall_api.cluster_names import slug
from rollcall_api.foreman.errors import e6
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.render import time
from rollcall_api.foreman.requests import is_blank
from rollcall_api.foreman.templating import TemplateTextError, converted
from rollcall_api.records import Template

Object = dict[str, Any]

TEXT: Final = f"foreman.{GROUP}/template"
"""The annotation with the text as it was given, where it was in ERB."""
PROVIDER: Final = f"foreman.{GROUP}/provider-type"
_PROVIDER_TYPES: Final = {Provider.SSH: "script", Provider.ANSIBLE: "Ansible", Provider.POD: "pod"}
_SCRIPT_TYPES: Final = frozenset({"ssh", "script", ""})
_INPUT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_MAX_NOTE: Final = 100_000


def item(template: Template) -> Object:
    """A template in a list."""
    resource, created = template.resource, template.resource.metadata.creation_timestamp
    moment = None if created is None else time(created)
    return {
        "id": template.id,
        "name": resource.title,
        "job_category": resource.spec.category,
        "provider_type": _PROVIDER_TYPES[resource.spec.provider],
        "snippet": False,
        "description_format": resource.spec.description_format,
        "created_at": moment,
        "updated_at": moment,
    }


def full(template: Template, raw: Mapping[str, Any]) -> Object:
    """A template by itself; `raw` is the stored object, which has its text."""
    notes = raw["metadata"].get("annotations") or {}
    shown = item(template)
    if notes.get(PROVIDER):
        shown["provider_type"] = notes[PROVIDER]
    return {
        **shown,
        "description": None,
        "template": _text(raw["spec"], notes),
        "locked": False,
        "cloned_from_id": None,
        "template_inputs": [template_input(template, entry) for entry in template.resource.spec.inputs],
        "effective_user": {
            "value": template.effective_user,
            "current_user": False,
            "overridable": template.overridable,
        },
        "locations": [],
        "organizations": [],
    }


def _text(spec: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """What is run: the script or the playbook; of steps, their scripts one after the other."""
    ansible = spec.get("ansible") or {}
    member = spec.get("ssh") or spec.get("pod") or {}
    script = member.get("script") or ansible.get("playbook")
    if script is None:
        script = "\n".join(str(step.get("script") or "") for step in member.get("steps") or ())
    noted = notes.get(TEXT)
    try:
        return noted if noted is not None and converted(noted) == script else str(script)
    except TemplateTextError:
        return str(script)


def template_input(template: Template, entry: TemplateInput) -> Object:
    """An input of a template."""
    source = entry.value_from
    kind = "user" if source is None else ("fact" if source.fact is not None else "variable")
    return {
        "id": number_of(f"{template.name}/{entry.name}"),
        "name": entry.name,
        "template_id": template.id,
        "input_type": kind,
        "fact_name": source.fact if source else None,
        "variable_name": source.variable if source else None,
        "puppet_class_name": None,
        "puppet_parameter_name": None,
        "description": entry.description or None,
        "required": entry.required,
        "advanced": False,
        "value_type": "plain",
        "resource_type": None,
        "options": "\n".join(entry.options) if entry.options else None,
        "default": entry.default,
        "hidden_value": entry.concealed,
    }


def created(given: Mapping[str, Any]) -> Object:
    """The JobTemplate, without a name, that the parameters ask for. Raises E6."""
    problems: dict[str, list[str]] = {}
    for key in ("name", "template"):
        if is_blank(given.get(key)):
            problems[key] = ["can't be blank"]
    if problems:
        raise e6(problems)
    body: Object = {"metadata": {}, "spec": {"provider": Provider.SSH.value, "ssh": {}}}
    change(body, given)
    body["spec"]["inputs"] = [declared(entry) for entry in given.get("template_inputs_attributes") or ()]
    return body


def object_name(title: str, id_: int) -> str:
    """The name of the object of a new template."""
    return f"{slug(title, 50)}-{id_}"


def change(body: Object, given: Mapping[str, Any]) -> None:
    """Puts what the parameters say into a JobTemplate. Raises E6, and leaves the rest as it is."""
    spec = body["spec"]
    notes = body["metadata"].setdefault("annotations", {})
    _refuse(spec, given)
    for key, field in (
        ("name", "displayName"),
        ("job_category", "category"),
        ("description_format", "descriptionFormat"),
    ):
        if key in given:
            _set(spec, field, None if is_blank(given[key]) else str(given[key]))
    if "provider_type" in given:
        _set(notes, PROVIDER, str(given["provider_type"] or "") or None)
    if "template" in given:
        text = str(given["template"] or "")
        if not text.strip():
            raise e6({"template": ["can't be blank"]})
        try:
            script = converted(text)
        except TemplateTextError as error:
            raise e6({"template": [str(error)]}) from None
        spec["ssh"].pop("steps", None)
        spec["ssh"]["script"] = script
        _set(notes, TEXT, text if text != script and len(text) <= _MAX_NOTE else None)
    user = given.get("effective_user_attributes") or given.get("effective_user")
    if isinstance(user, Mapping):
        policy = {"name": user.get("value") or None, "overridable": user.get("overridable") in (True, "true", "1", 1)}
        kept = {key: value for key, value in policy.items() if value}
        _set(spec["ssh"], "effectiveUser", {**(spec["ssh"].get("effectiveUser") or {}), **kept} if kept else None)


def _refuse(spec: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raises E6 for what this server cannot do with a template."""
    problems = {}
    for key in ("snippet", "locked"):
        if given.get(key) in (True, "true", "1", 1):
            problems[key] = ["is not supported by this server: leave it false"]
    if str(given.get("provider_type") or "").lower() not in _SCRIPT_TYPES:
        problems["provider_type"] = ["is not included in the list: by REST only script templates can be written"]
    if "ssh" not in spec:
        problems["template"] = ["is not a script: change the JobTemplate in Kubernetes"]
    if problems:
        raise e6(problems)


def _set(target: Object, key: str, value: Any) -> None:
    if value is None:
        target.pop(key, None)
    else:
        target[key] = value


def declared(given: Mapping[str, Any]) -> Object:
    """An input, as a JobTemplate declares it. Raises E6."""
    entry = dict(_declared(given))
    if not _INPUT_NAME.fullmatch(entry.get("name", "")):
        raise e6({"name": ["must be letters, digits and underscores, at most 63, and begin with no digit"]})
    return entry


def _declared(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "name", str(given.get("name") or "")
    options = given.get("options")
    if isinstance(options, str):
        options = options.splitlines()
    match given.get("input_type") or "user":
        case "user":
            yield "type", (InputType.CHOICE if options else InputType.STRING).value
            if options:
                yield "options", [str(option) for option in options]
        case "fact" if not is_blank(given.get("fact_name")):
            yield "valueFrom", {"fact": str(given["fact_name"]).replace("::", ".")}
        case "variable" if not is_blank(given.get("variable_name")):
            yield "valueFrom", {"variable": str(given["variable_name"])}
        case "fact" | "variable" as kind:
            raise e6({f"{kind}_name": ["can't be blank"]})
        case _:
            raise e6({"input_type": ["is not included in the list: user, fact, variable"]})
    for key, field in (("required", "required"), ("hidden_value", "hidden")):
        if given.get(key) in (True, "true", "1", 1):
            yield field, True
    for key in ("description", "default"):
        if not is_blank(given.get(key)):
            yield key, str(given[key])
