"""Typed inputs: what an invocation, its Secrets and the host give becomes the values that a script reads.

No message of this module holds a value that must not be shown.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from typing import Any, Final, TypeVar

from rollcall.patterns import MAX_MATCHED_LENGTH, PatternError, matches
from rollcall.resources.host import Host, facts_problem
from rollcall.resources.jobtemplate import InputType, JobTemplate, TemplateInput, ValueFrom

InputValue = str | int | float | bool
Number = TypeVar("Number", int, float)
SecretValues = Mapping[str, str | None]
"""Values that come from Secrets, by input; None for one that is there, but was not looked at."""

CONCEALED: Final = "*****"
"""What is shown in the place of a value that must not be shown."""
MAX_VALUE_BYTES: Final = 262_144
_SHOWN_LENGTH: Final = 60
_LISTED_LENGTH: Final = 300
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_NOTHING: Final[SecretValues] = {}


class InputError(ValueError):
    """An input is missing, unknown or of the wrong type; the message tells the invoker which and what to do."""


def bind_inputs(
    template: JobTemplate, given: Mapping[str, Any], secrets: SecretValues = _NOTHING
) -> dict[str, InputValue]:
    """The value of each input that an invocation gives, typed, defaults included; an input without either is ''.

    `given` are the values in the invocation's spec, which come before those of its Secrets; of the latter only those
    that are inputs count. Raises InputError for the first group of mistakes: unknown names, missing values, types.
    """
    entries = {entry.name: entry for entry in template.spec.inputs}
    _check_names(template, entries, given)
    asked = {name: entry for name, entry in entries.items() if entry.value_from is None}
    known = {name: value for name, value in secrets.items() if value is not None} | dict(given)
    values = {name: known.get(name, entry.default) for name, entry in asked.items()}
    unseen = {name for name, value in secrets.items() if value is None and name not in given} & set(asked)
    _check_required(template, asked, {name: value for name, value in values.items() if name not in unseen})
    bound: dict[str, InputValue] = {}
    for name, value in values.items():
        if name in unseen:
            bound[name] = stand_in(asked[name])
        else:
            hide = asked[name].concealed or name in secrets
            bound[name] = "" if value is None else _typed(asked[name], value, hide=hide)
    return bound


def read_host(template: JobTemplate, host: Host) -> dict[str, InputValue]:
    """The value of each input that is read from the host. Raises InputError with the path that it does not have."""
    sources = [(entry, entry.value_from) for entry in template.spec.inputs if entry.value_from is not None]
    if any(source.fact is not None for _, source in sources) and (problem := facts_problem(host)):
        raise InputError(f"Host {host.metadata.name}: {problem}")
    values: dict[str, InputValue] = {}
    for entry, source in sources:
        found = _found(host, source)
        value = entry.default if found is None else found
        if value is None:
            raise InputError(
                f"Host {host.metadata.name} has no spec.{source.path}, which input {entry.name} is read from;"
                " give it one there, or the input a default"
            )
        values[entry.name] = _typed(entry, value, hide=entry.concealed)
    return values


def _found(host: Host, source: ValueFrom) -> Any:
    """What the host has there, None for nothing."""
    if source.fact is None:
        return host.spec.variables.get(source.variable or "")
    found: Any = host.spec.facts
    for part in source.fact.split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and re.fullmatch(r"[0-9]{1,5}", part) and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def concealed_inputs(template: JobTemplate, from_secrets: Collection[str] = ()) -> frozenset[str]:
    """The inputs whose values must not be shown: those that the template says, and all that come from Secrets."""
    return frozenset(entry.name for entry in template.spec.inputs if entry.concealed or entry.name in from_secrets)


def hidden_texts(template: JobTemplate, values: Mapping[str, InputValue], secrets: SecretValues = _NOTHING) -> set[str]:
    """The texts that must not appear in any output, as they were given and as a script has them.

    A truth value is no secret: without `true` and `false` no output could be read.
    """
    texts: set[str] = set()
    concealed = concealed_inputs(template, secrets)
    for entry in template.spec.inputs:
        if entry.name in concealed and entry.type is not InputType.BOOLEAN:
            texts |= {plain(values.get(entry.name, "")), secrets.get(entry.name) or ""}
    return texts - {""}


def stand_in(entry: TemplateInput) -> InputValue:
    """A value of the input's type that takes the place of one that is not known, or not shown."""
    match entry.type:
        case InputType.STRING | InputType.SECRET:
            return CONCEALED
        case InputType.CHOICE:
            return entry.options[0] if entry.options else ""
        case InputType.BOOLEAN:
            return True
        case InputType.INTEGER:
            return round(_between(entry))
        case InputType.NUMBER:
            return _between(entry)


def _between(entry: TemplateInput) -> float:
    if entry.minimum is not None:
        return entry.minimum
    return 1.0 if entry.maximum is None else min(1.0, entry.maximum)


def plain(value: InputValue) -> str:
    """The value as text; a truth value as the shell would write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_names(template: JobTemplate, entries: Mapping[str, TemplateInput], given: Mapping[str, Any]) -> None:
    """Raise InputError for values that are not asked for, or not there."""
    title = f"template {template.metadata.name}"
    if unknown := sorted(set(given) - set(entries)):
        raise InputError(f"{title} has no input {listed(unknown)}, only: {listed(entries) or 'none'}")
    for name in given:
        source = entries[name].value_from
        if entries[name].type is InputType.SECRET:
            raise InputError(
                f"input {name} is a Secret and cannot be given in spec.inputs, where everybody can read it:"
                f" put it into a Secret under the key {name}, and name that Secret in spec.inputsFrom"
            )
        if source is not None:
            raise InputError(f"input {name} is read from each Host's spec.{source.path} and cannot be given")


def _check_required(
    template: JobTemplate, entries: Mapping[str, TemplateInput], values: Mapping[str, InputValue | None]
) -> None:
    missing = [name for name, value in values.items() if entries[name].required and value in (None, "")]
    if not missing:
        return
    secret = [name for name in missing if entries[name].type is InputType.SECRET]
    hint = f"; a Secret named in spec.inputsFrom must have: {listed(secret)}" if secret else ""
    raise InputError(f"template {template.metadata.name} needs a value for: {listed(missing)}{hint}")


def _typed(entry: TemplateInput, value: Any, *, hide: bool) -> InputValue:
    """The value in the input's type. Raises InputError when it has none."""
    if isinstance(value, (dict, list)):
        raise InputError(f"input {entry.name} must be a single {entry.type.value} value, not a list or an object")
    text = plain(value)
    shown = "" if hide else f", not {_short(text)}"
    _check_text(entry, text)
    match entry.type:
        case InputType.STRING | InputType.SECRET:
            _check_pattern(entry, text, shown)
            return text
        case InputType.CHOICE:
            if text not in entry.options:
                raise InputError(f"input {entry.name} must be one of {listed(entry.options)}{shown}")
            return text
        case InputType.INTEGER if _INTEGER.fullmatch(text):
            return _within(entry, int(text), shown)
        case InputType.NUMBER if _NUMBER.fullmatch(text) and isfinite(float(text)):
            return _within(entry, float(text), shown)
        case InputType.BOOLEAN if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        case _:
            raise InputError(f"input {entry.name} must be of type {entry.type.value}{shown}")


def _check_text(entry: TemplateInput, text: str) -> None:
    """Raise InputError for text that no script can hold."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InputError(f"input {entry.name} has a character that is none") from None
    if size > MAX_VALUE_BYTES:
        raise InputError(f"input {entry.name} has {size} bytes, more than {MAX_VALUE_BYTES}")
    if "\0" in text:
        raise InputError(f"input {entry.name} has a NUL character, which no shell can hold")


def _check_pattern(entry: TemplateInput, text: str, shown: str) -> None:
    if entry.pattern is None or (text == "" and not entry.required):
        return
    if len(text) > MAX_MATCHED_LENGTH:
        raise InputError(f"input {entry.name} has {len(text)} characters; with a pattern, at most {MAX_MATCHED_LENGTH}")
    try:
        fits = matches(entry.pattern, text)
    except PatternError as error:
        raise InputError(f"the pattern of input {entry.name} is no regular expression: {error}") from None
    if not fits:
        raise InputError(f"input {entry.name} must match {entry.pattern}{shown}")


def _within(entry: TemplateInput, number: Number, shown: str) -> Number:
    if entry.minimum is not None and number < entry.minimum:
        raise InputError(f"input {entry.name} must be at least {_bound(entry.minimum)}{shown}")
    if entry.maximum is not None and number > entry.maximum:
        raise InputError(f"input {entry.name} must be at most {_bound(entry.maximum)}{shown}")
    return number


def _bound(number: float) -> str:
    return str(int(number)) if number.is_integer() else str(number)


def _short(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]!r}..."


def listed(names: Iterable[str]) -> str:
    """The names with commas between them, cut when they are many."""
    text = ", ".join(names)
    return text if len(text) <= _LISTED_LENGTH else f"{text[:_LISTED_LENGTH]}..."
