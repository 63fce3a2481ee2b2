"""Foreman's JSON of job templates, and what a create or update of one asks for (contract §7.3)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollcall.names import GROUP
from rollcall.resources.jobtemplate import TemplateInput
from rollcall.resources.providers import Provider
from rollcall_api.changes import KEEP, InputChange, Keep, TemplateChange
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
_WRITTEN_ELSEWHERE: Final = frozenset({"Ansible", "pod"})
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


def created(given: Mapping[str, Any]) -> TemplateChange:
    """What a new template is to be. Raises E6."""
    problems = {key: ["can't be blank"] for key in ("name", "template") if is_blank(given.get(key))}
    if problems:
        raise e6(problems)
    return wanted(given, None)


def object_name(title: str, id_: int) -> str:
    """The name of the object of a new template."""
    return f"{slug(title, 50)}-{id_}"


def wanted(given: Mapping[str, Any], shown: Mapping[str, Any] | None) -> TemplateChange:
    """What the parameters ask to be different from what is shown; without that, of a new template. Raises E6."""
    changes = _different(given, shown)
    _refuse(changes, shown)
    user = given.get("effective_user_attributes") or given.get("effective_user") or {}
    if not isinstance(user, Mapping):
        raise e6({"effective_user_attributes": ["must be a hash"]})
    of_user = _different(user, None if shown is None else shown["effective_user"])
    script, notes = _script(changes)
    if "provider_type" in changes:
        notes[PROVIDER] = _text_of(changes["provider_type"])
    change = TemplateChange(
        title=str(changes["name"]) if "name" in changes else KEEP,
        category=_text_of(changes["job_category"]) if "job_category" in changes else KEEP,
        description_format=_text_of(changes["description_format"]) if "description_format" in changes else KEEP,
        script=script,
        effective_user=_text_of(of_user["value"]) if "value" in of_user else KEEP,
        overridable=_flag(of_user["overridable"]) if "overridable" in of_user else KEEP,
        inputs=tuple(_inputs(given.get("template_inputs_attributes"), shown)),
        notes=notes,
    )
    of_script = (change.script, change.effective_user, change.overridable)
    if shown is not None and shown["provider_type"] in _WRITTEN_ELSEWHERE and any(x is not KEEP for x in of_script):
        raise e6({"template": ["is not a script: change the JobTemplate in Kubernetes"]})
    return change


def _different(given: Mapping[str, Any], shown: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is not as it is shown: clients send back what they have read."""
    if shown is None:
        return dict(given)
    return {key: value for key, value in given.items() if key not in shown or not _same(value, shown[key])}


def _same(given: Any, shown: Any) -> bool:
    if isinstance(shown, bool):
        return _flag(given) is shown
    return (is_blank(given) and is_blank(shown)) or str(given) == str(shown)


def _flag(value: Any) -> bool:
    return value in (True, "true", "1", 1)


def _text_of(value: Any) -> str | None:
    return None if is_blank(value) else str(value)


def _refuse(changes: Mapping[str, Any], shown: Mapping[str, Any] | None) -> None:
    """Raises E6 for what this server cannot do with a template."""
    problems: dict[str, list[str]] = {}
    for key in ("name", "template"):
        if key in changes and is_blank(changes[key]):
            problems[key] = ["can't be blank"]
    for key in ("snippet", "locked"):
        if _flag(changes.get(key)):
            problems[key] = ["is not supported by this server: leave it false"]
    provider = str(changes.get("provider_type") or "").lower()
    if provider not in _SCRIPT_TYPES or (provider and shown and shown["provider_type"] in _WRITTEN_ELSEWHERE):
        problems["provider_type"] = ["is not included in the list: by REST only script templates can be written"]
    if problems:
        raise e6(problems)


def _script(changes: Mapping[str, Any]) -> tuple[str | Keep, dict[str, str | None]]:
    """The script in our language, and the text as it was given where that is another."""
    if "template" not in changes:
        return KEEP, {}
    text = str(changes["template"])
    try:
        script = converted(text)
    except TemplateTextError as error:
        raise e6({"template": [str(error)]}) from None
    return script, {TEXT: text if text != script and len(text) <= _MAX_NOTE else None}


def _inputs(given: Any, shown: Mapping[str, Any] | None) -> Iterator[InputChange]:
    """The inputs of a template: those with an id or the name of one are changed, or taken away by `_destroy`."""
    listed = list(given.values()) if isinstance(given, Mapping) else given or []
    if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
        raise e6({"template_inputs_attributes": ["must be a list of hashes"]})
    known = [] if shown is None else shown["template_inputs"]
    for entry in listed:
        id_, name = entry.get("id"), entry.get("name")
        old = next(
            (each for each in known if str(each["id"]) == str(id_) or (id_ is None and each["name"] == name)), None
        )
        if old is None and id_ is not None:
            raise e6({"template_inputs_attributes": [f"has no input with id {id_}"]})
        if old is not None and _flag(entry.get("_destroy")):
            yield InputChange(was=old["name"], removed=True)
        elif not _flag(entry.get("_destroy")):
            yield declared(entry, old)


def declared(given: Mapping[str, Any], shown: Mapping[str, Any] | None = None) -> InputChange:
    """What the parameters ask to be different from an input as it is shown; without that, of a new one. Raises E6."""
    changes = _different(given, shown)
    name = changes.get("name", None if shown is not None else "")
    if name is not None and not _INPUT_NAME.fullmatch(str(name)):
        raise e6({"name": ["must be letters, digits and underscores, at most 63, and begin with no digit"]})
    options = changes.get("options")
    if isinstance(options, str):
        options = options.splitlines()
    if options is not None and not isinstance(options, list):
        raise e6({"options": ["must be a list, or lines of text"]})
    return InputChange(
        was=None if shown is None else shown["name"],
        name=KEEP if name is None else str(name),
        description=str(changes["description"] or "") if "description" in changes else KEEP,
        required=_flag(changes["required"]) if "required" in changes else KEEP,
        hidden=_flag(changes["hidden_value"]) if "hidden_value" in changes else KEEP,
        default=_text_of(changes["default"]) if "default" in changes else KEEP,
        options=tuple(str(option) for option in options or ()) if "options" in changes else KEEP,
        value_from=_source(changes, shown or {}),
    )


def _source(changes: Mapping[str, Any], shown: Mapping[str, Any]) -> Mapping[str, str] | Keep | None:
    """Where the value comes from: None for whoever makes a job."""
    if not changes.keys() & {"input_type", "fact_name", "variable_name"}:
        return KEEP
    kind = changes.get("input_type", shown.get("input_type")) or "user"
    if kind == "user":
        return None
    if kind not in ("fact", "variable"):
        raise e6({"input_type": ["is not included in the list: user, fact, variable"]})
    name = _text_of(changes.get(f"{kind}_name", shown.get(f"{kind}_name")))
    if name is None:
        raise e6({f"{kind}_name": ["can't be blank"]})
    return {kind: name.replace("::", ".")}
