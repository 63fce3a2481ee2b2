"""What a create asks for, checked in Foreman's order and with Foreman's words (contract §2.3 and §4).

Nothing is written before everything has been checked.
"""

import random
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollcall.inputs import InputError, InputValue, bind_inputs, plain
from rollcall.resources.jobtemplate import InputType
from rollcall.resources.meta import USER_NAME
from rollcall_api.cache import Cache
from rollcall_api.foreman import search
from rollcall_api.foreman.cron import is_cron_line
from rollcall_api.foreman.errors import e1, invalid
from rollcall_api.foreman.requests import boolean, is_blank
from rollcall_api.jobs import JobRequest, echo_key
from rollcall_api.records import Host, Template

DIALECT: Final = "foreman"
TARGETING_TYPES: Final = ("static_query", "dynamic_query")
MAX_TIMEOUT_SECONDS: Final = 31_536_000
MAX_HOSTS: Final = 10_000
_NO_QUERY: Final = (
    "Targeting: Bookmark Must select a bookmark or enter a search query, "
    "Search query Must select a bookmark or enter a search query"
)
_LENGTHS: Final = {"ssh_user": 256, "description_format": 1024}
_CREDENTIALS: Final = {
    "password": "password",
    "key_passphrase": "passphrase",
    "effective_user_password": "become-password",
}
"""Parameters, and the keys of the Secret that they become."""
_OF_SSH: Final = ("effective_user", "effective_user_password")


def parse(bag: Mapping[str, Any], cache: Cache, may_view_templates: bool, may_view_hosts: bool) -> JobRequest:
    """The job that the parameters ask for. Raises the contract's errors."""
    given = bag.get("job_invocation", bag)
    if not isinstance(given, dict):
        raise invalid("Job invocation must be a hash")
    for key in ("inputs", "ssh", "recurrence", "scheduling", "concurrency_control"):
        if not is_blank(given.get(key)) and not isinstance(given[key], dict):
            raise invalid(f"{_sentence(key)} must be a hash")
    # Both spellings are in use (§2.3).
    given = {**given, **{key: value for key, value in _filled(given.get("ssh")).items() if key in _OF_SSH}}
    template = _template(given, cache, may_view_templates)
    inputs = given.get("inputs") or {}
    _check_known_inputs(template, inputs)
    if not is_blank(given.get("bookmark_id")) and not is_blank(given.get("search_query")):
        text = "Cannot specify both bookmark_id and search_query"
        raise e1(500, f"{_error_code(text)} [Foreman::Exception]: {text}")
    # An invalid triggering keeps the rest from being looked at (§4.9).
    if problems := [*_triggering(given)]:
        raise invalid(*problems)
    query = _query(given, cache, may_view_hosts)
    bound, secret_inputs, input_problems = _bind(template, inputs)
    # Where the template does not let it, an effective user is ignored (§4.3).
    effective_user = _text(given, "effective_user") if template.overridable else None
    problems = [*_targeting(given, query), *_attributes(given), *_effective_user(effective_user), *input_problems]
    if problems:
        raise invalid(*problems)
    hosts = _hosts(query, cache, may_view_hosts)
    if len(hosts) > MAX_HOSTS:
        raise invalid(f"Targeting: {len(hosts)} hosts match, and a job can have at most {MAX_HOSTS}")
    if boolean(given, "randomized_ordering"):
        random.SystemRandom().shuffle(hosts)
    control = given.get("concurrency_control") or {}
    return JobRequest(
        template=template,
        inputs=bound,
        secret_inputs=secret_inputs,
        hosts=[host.name for host in hosts],
        user=_text(given, "ssh_user"),
        effective_user=effective_user,
        credentials={key: value for name, key in _CREDENTIALS.items() if (value := _text(given, name))},
        concurrency=_number(control.get("concurrency_level")),
        execution_timeout=_number(given.get("execution_timeout_interval")),
        description_format=_text(given, "description_format"),
        echo=dict(_echo(given)),
    )


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


def _triggering(given: Mapping[str, Any]) -> Iterator[str]:
    recurrence = _filled(given.get("recurrence"))
    if recurrence:
        line = str(recurrence.get("cron_line", ""))
        if not is_cron_line(line):
            yield f"Triggering: Cronline {line} is not valid format of cron line"
        else:
            yield "Triggering: Recurrence is not supported by this server yet"
    elif _filled(given.get("scheduling")):
        yield "Triggering: Scheduling is not supported by this server yet"


def _filled(group: Any) -> dict[str, Any]:
    """The entries of a hash that have a value."""
    return {key: value for key, value in (group or {}).items() if not is_blank(value)}


def _query(given: Mapping[str, Any], cache: Cache, may_view_hosts: bool) -> str | list[Host] | None:
    """The search query, or the hosts of `host_ids` where they are listed; None without either."""
    query, host_ids = given.get("search_query"), given.get("host_ids")
    if not is_blank(query):
        return str(query)
    if is_blank(host_ids):
        return None
    if not isinstance(host_ids, list):
        return str(host_ids)
    found: dict[str, Host] = {}
    for element in host_ids:
        host = _host(str(element), cache) if may_view_hosts else None
        if host is None:
            raise e1(422, f"Host with id '{element}' was not found")
        found[host.name] = host
    return [found[name] for name in sorted(found)]


def _host(text: str, cache: Cache) -> Host | None:
    numbered = cache.hosts.numbered(int(text)) if re.fullmatch(r"[0-9]{1,18}", text) else None
    return numbered or cache.hosts.named(text)


def _targeting(given: Mapping[str, Any], query: str | list[Host] | None) -> Iterator[str]:
    if not is_blank(given.get("bookmark_id")):
        yield "Targeting: Bookmarks are not supported by this server yet"
    elif query is None:
        yield _NO_QUERY
    if not is_blank(given.get("feature")):
        return  # a feature's targeting type is always static_query
    if is_blank(given.get("targeting_type")):
        yield "Targeting: Targeting type can't be blank, Targeting type is not included in the list"
    elif given["targeting_type"] not in TARGETING_TYPES:
        yield "Targeting: Targeting type is not included in the list"


def _attributes(given: Mapping[str, Any]) -> Iterator[str]:
    control = given.get("concurrency_control") or {}
    yield from _must_be_positive("Concurrency level", control.get("concurrency_level"))
    if not is_blank(control.get("time_span")):
        yield "Time span is not supported by this server yet"
    timeout = given.get("execution_timeout_interval")
    yield from _must_be_positive("Execution timeout interval", timeout)
    if re.fullmatch(r"[0-9]{1,18}", str(timeout)) and int(str(timeout)) > MAX_TIMEOUT_SECONDS:
        yield f"Execution timeout interval: must be less than or equal to {MAX_TIMEOUT_SECONDS}"
    yield from _must_be_positive("Time to pickup", given.get("time_to_pickup"))
    for key, most in _LENGTHS.items():
        if len(_text(given, key) or "") > most:
            yield f"{_sentence(key)}: is too long (maximum is {most} characters)"


def _effective_user(name: str | None) -> Iterator[str]:
    if name is not None and not (re.fullmatch(USER_NAME, name) and len(name) <= 256):
        yield "Effective user: is invalid"


def _must_be_positive(name: str, value: Any) -> Iterator[str]:
    if not is_blank(value) and not re.fullmatch(r"0*[1-9][0-9]{0,17}", str(value)):
        yield f"{name}: must be greater than 0"


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


def _hosts(query: str | list[Host] | None, cache: Cache, may_view_hosts: bool) -> list[Host]:
    if isinstance(query, list):
        return query
    found = search.target_hosts(query or "", cache.hosts)
    return found if may_view_hosts else []


def _echo(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the resource has no field for, and a client expects to see again."""
    if is_blank(given.get("feature")) and given["targeting_type"] != TARGETING_TYPES[0]:
        yield echo_key(DIALECT, "targeting-type"), given["targeting_type"]
    if not is_blank(given.get("randomized_ordering")):
        yield echo_key(DIALECT, "randomized-ordering"), str(boolean(given, "randomized_ordering")).lower()
    if not is_blank(given.get("time_to_pickup")):
        yield echo_key(DIALECT, "time-to-pickup"), str(int(given["time_to_pickup"]))
