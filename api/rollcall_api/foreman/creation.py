"""What a create asks for, checked in Foreman's order and with Foreman's words (contract §2.3 and §4).

Nothing is written before everything has been checked.
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rollcall.inputs import InputError, InputValue, bind_inputs, plain
from rollcall.resources.jobtemplate import InputType
from rollcall.resources.meta import USER_NAME
from rollcall_api.cache import Cache
from rollcall_api.foreman import echo, targeting, triggering
from rollcall_api.foreman.errors import e1, invalid
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import filled, is_blank
from rollcall_api.job_manifests import JobRequest
from rollcall_api.records import Template

MAX_TIME_SPAN_SECONDS: Final = 2_592_000
MAX_TIMEOUT_SECONDS: Final = 31_536_000
_LENGTHS: Final = {"ssh_user": 256, "description_format": 1024}
_CREDENTIALS: Final = {
    "password": "password",
    "key_passphrase": "passphrase",
    "effective_user_password": "become-password",
}
"""Parameters, and the keys of the Secret that they become."""
_OF_SSH: Final = ("effective_user", "effective_user_password")


@dataclass(frozen=True, slots=True)
class Sight:
    """What the requester may see, of what a job is made of."""

    templates: bool
    hosts: bool
    inventories: bool


async def parse(
    bag: Mapping[str, Any], cache: Cache, sight: Sight, scope: targeting.Scope, now: datetime
) -> JobRequest:
    """The job that the parameters ask for. Raises the contract's errors."""
    given = _with_feature(_given(bag), cache)
    template = _template(given, cache, sight.templates)
    inputs = given.get("inputs") or {}
    _check_known_inputs(template, inputs)
    if not is_blank(given.get("bookmark_id")) and not is_blank(given.get("search_query")):
        text = "Cannot specify both bookmark_id and search_query"
        raise e1(500, f"{_error_code(text)} [Foreman::Exception]: {text}")
    # An invalid triggering keeps the rest from being looked at (§4.9).
    timing = triggering.read(given, cache, now)
    wish = targeting.read(given, cache, scope, may_view_inventories=sight.inventories)
    bound, secret_inputs, input_problems = _bind(template, inputs)
    # Where the template does not let it, an effective user is ignored (§4.3).
    effective_user = _text(given, "effective_user") if template.overridable else None
    problems = [
        *wish.problems,
        *_attributes(given),
        *_of_provider(given),
        *_effective_user(effective_user),
        *input_problems,
    ]
    if problems:
        raise invalid(*problems)
    control = given.get("concurrency_control") or {}
    return JobRequest(
        template=template,
        inputs=bound,
        secret_inputs=secret_inputs,
        targeting=await targeting.stored(wish, scope),
        user=_text(given, "ssh_user"),
        effective_user=effective_user,
        credentials={key: value for name, key in _CREDENTIALS.items() if (value := _text(given, name))},
        concurrency=_number(control.get("concurrency_level")),
        time_span=_number(control.get("time_span")),
        execution_timeout=_number(given.get("execution_timeout_interval")),
        description_format=_text(given, "description_format"),
        start_at=timing.start_at,
        start_before=timing.start_before,
        recurrence=timing.recurrence,
        echo={**echo.of_targeting(wish), **echo.of_wish(given, template), **timing.echo},
    )


def _given(bag: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes, those of `ssh` among them: both spellings are in use (§2.3)."""
    given = bag.get("job_invocation", bag)
    if not isinstance(given, dict):
        raise invalid("Job invocation must be a hash")
    for key in ("inputs", "ssh", "recurrence", "scheduling", "concurrency_control"):
        if not is_blank(given.get(key)) and not isinstance(given[key], dict):
            raise invalid(f"{_sentence(key)} must be a hash")
    return {**given, **{key: value for key, value in filled(given.get("ssh")).items() if key in _OF_SSH}}


def _with_feature(given: dict[str, Any], cache: Cache) -> dict[str, Any]:
    """The attributes with the label of a feature that is given by its id (§2.3)."""
    id_ = given.get("remote_execution_feature_id")
    if is_blank(id_) or not is_blank(given.get("feature")) or not is_blank(given.get("job_template_id")):
        return given
    labels = {label for template in cache.templates for label in template.resource.spec.features}
    found = next((label for label in sorted(labels) if str(number_of(f"feature/{label}")) == str(id_)), None)
    return given if found is None else {**given, "feature": found}


def _of_provider(given: Mapping[str, Any]) -> Iterator[str]:
    """What is given to a provider (§2.3): nothing that changes what is run may be ignored."""
    for key, value in filled(given.get("ansible") if isinstance(given.get("ansible"), dict) else {}).items():
        if key in ("tags", "skip_tags"):
            yield f"Ansible: {_sentence(key)} cannot be given to a job: they are in the template ({value!s:.100})"


def _text(given: Mapping[str, Any], key: str) -> str | None:
    value = given.get(key)
    return None if is_blank(value) else str(value)


def _number(value: Any) -> int | None:
    return None if is_blank(value) else int(value)


def _sentence(name: str) -> str:
    """`job_category` as people write it: `Job category`."""
    return name.replace("_", " ").lower().capitalize()


def _error_code(text: str) -> str:
    """Foreman numbers the texts of its exceptions by their checksum."""
    return f"ERF42-{zlib.crc32(text.encode()) % 10_000:04}"


def _template(given: Mapping[str, Any], cache: Cache, may_view: bool) -> Template:
    feature, id_ = given.get("feature"), given.get("job_template_id")
    if not is_blank(feature) and not is_blank(id_):
        raise e1(500, "Only one of feature or job_template_id can be specified")
    found: Template | None = None
    if may_view and not is_blank(feature):
        found = cache.templates.for_feature(str(feature))
    elif may_view and re.fullmatch(r"[0-9]{1,18}", str(id_)):
        found = cache.templates.numbered(int(str(id_)))
    if found is None:
        shown = "" if is_blank(id_) or not is_blank(feature) else id_
        raise e1(404, f"Template with id '{shown}' was not found")
    return found


def _check_known_inputs(template: Template, inputs: Mapping[str, Any]) -> None:
    declared = {entry.name for entry in template.resource.spec.inputs}
    for name in inputs:
        if name not in declared:
            text = f"Unknown input {name} for template {template.resource.title}"
            raise e1(500, f"{_error_code(text)} [Foreman::Exception]: {text}")


def _attributes(given: Mapping[str, Any]) -> Iterator[str]:
    control = given.get("concurrency_control") or {}
    yield from _must_be_positive("Concurrency level", control.get("concurrency_level"))
    yield from _must_be_positive("Time span", control.get("time_span"), MAX_TIME_SPAN_SECONDS)
    timeout = given.get("execution_timeout_interval")
    yield from _must_be_positive("Execution timeout interval", timeout, MAX_TIMEOUT_SECONDS)
    yield from _must_be_positive("Time to pickup", given.get("time_to_pickup"))
    for key, most in _LENGTHS.items():
        if len(_text(given, key) or "") > most:
            yield f"{_sentence(key)}: is too long (maximum is {most} characters)"


def _effective_user(name: str | None) -> Iterator[str]:
    if name is not None and not (re.fullmatch(USER_NAME, name) and len(name) <= 256):
        yield "Effective user: is invalid"


def _must_be_positive(name: str, value: Any, most: int | None = None) -> Iterator[str]:
    if is_blank(value):
        return
    if isinstance(value, bool) or not re.fullmatch(r"0*[1-9][0-9]{0,17}", str(value)):
        yield f"{name}: must be greater than 0"
    elif most is not None and int(str(value)) > most:
        yield f"{name}: must be less than or equal to {most}"


def _bind(template: Template, inputs: Mapping[str, Any]) -> tuple[dict[str, InputValue], dict[str, str], list[str]]:
    """The inputs' values, defaults included; the values of those that must not be shown; and what is wrong."""
    title = template.resource.title
    prefix = f"Template {title[:1].upper()}{title[1:].lower()}: "
    declared = template.resource.spec.inputs
    if problems := [prefix + problem for problem in _input_problems(template, inputs)]:
        return {}, {}, problems
    strings = {entry.name for entry in declared if entry.type in (InputType.STRING, InputType.SECRET)}
    # A blank value of another type than text is no value at all.
    given = {k: v for k, v in inputs.items() if v is not None and (k in strings or not isinstance(v, str) or v.strip())}
    concealed = {entry.name for entry in declared if entry.concealed}
    secret = {name: plain(value) for name, value in given.items() if name in concealed}
    try:
        bound = bind_inputs(template.resource, {k: v for k, v in given.items() if k not in concealed}, secret)
    except InputError as error:
        return {}, {}, [f"{prefix}{error}"]
    shown = {k: v for k, v in bound.items() if k not in concealed and (k in given or v != "")}
    return shown, secret, []


def _input_problems(template: Template, inputs: Mapping[str, Any]) -> Iterator[str]:
    declared = template.resource.spec.inputs
    missing = [e.name for e in declared if e.required and e.default is None and e.name not in inputs]
    if missing:
        yield f"Not all required inputs have values. Missing inputs: {', '.join(missing)}"
    for entry in declared:
        value = inputs.get(entry.name)
        if entry.required and entry.name in inputs and is_blank(value) and value is not False:
            yield f"Input {entry.name.lower()}: Value can't be blank"
        elif entry.type is InputType.CHOICE and not is_blank(value) and str(value) not in entry.options:
            yield f"Input {entry.name.lower()}: Value is not included in the list"
        elif entry.concealed and isinstance(value, (dict, list)):
            yield f"Input {entry.name.lower()}: Value must be a single value"
