"""Typed inputs, script rendering and descriptions.

A script is a Jinja template in which every inserted value is quoted for the shell; only `| raw` inserts a value as it
is. (`{{ input }}` pasted into a script unquoted is how shell injection happens.) Templates insert, compare and choose;
they do not loop, call or assign: the shell does that, and no author can make the operator compute without end.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rollcall.resources.host import Host
from rollcall.resources.jobtemplate import InputType, JobTemplate, TemplateInput

MAX_SCRIPT_BYTES: Final = 262_144
MAX_DESCRIPTION_LENGTH: Final = 255
_FILTERS: Final = ("default", "d", "lower", "upper", "trim", "length", "int", "float", "abs")
_ALLOWED: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.Name, nodes.Getattr),
    *(nodes.Getitem, nodes.Const, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or),
    *(nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    *(nodes.Pow, nodes.Concat, nodes.List, nodes.Tuple, nodes.Keyword, nodes.EvalContextModifier),
)
_MAX_NUMBER: Final = 2**64
_MAX_EXPONENT: Final = 64
_PLACEHOLDER: Final = re.compile(r"%\{([^}]*)\}")
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})

InputValue = str | int | float | bool


class InputError(ValueError):
    """An input is missing, unknown or of the wrong type; the message tells the invoker which and what to do."""


class RenderError(ValueError):
    """A script cannot be rendered; the message tells the template's author why."""


def bind_inputs(template: JobTemplate, given: Mapping[str, Any]) -> dict[str, InputValue]:
    """The value of each of the template's inputs, typed, defaults included; an input without either is ''.

    Raises InputError for the first group of mistakes found: unknown names, missing values, wrong types.
    """
    declared = {entry.name: entry for entry in template.spec.inputs}
    if unknown := sorted(set(given) - set(declared)):
        known = ", ".join(declared) or "none"
        raise InputError(f"template {template.metadata.name} has no input {', '.join(unknown)}, only: {known}")
    values = {name: given.get(name, entry.default) for name, entry in declared.items()}
    missing = [name for name, entry in declared.items() if entry.required and values[name] in (None, "")]
    if missing:
        raise InputError(f"template {template.metadata.name} needs a value for: {', '.join(missing)}")
    return {name: "" if value is None else _typed(declared[name], value) for name, value in values.items()}


def _typed(entry: TemplateInput, value: Any) -> InputValue:
    """The value in the input's type. Raises InputError when it has none."""
    if isinstance(value, (dict, list)):
        raise InputError(f"input {entry.name} must be a single {entry.type.value} value, not a list or an object")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    match entry.type:
        case InputType.STRING:
            return text
        case InputType.CHOICE:
            if text not in entry.options:
                raise InputError(f"input {entry.name} must be one of {', '.join(entry.options)}, not {text!r}")
            return text
        case InputType.INTEGER if re.fullmatch(r"[+-]?\d{1,19}", text):
            return int(text)
        case InputType.NUMBER if _NUMBER.fullmatch(text) and isfinite(float(text)):
            return float(text)
        case InputType.BOOLEAN if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        case _:
            raise InputError(f"input {entry.name} must be of type {entry.type.value}, not {text!r}")


class _Raw(str):
    """Text that is inserted unquoted."""

    __slots__ = ()


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _insert(value: Any) -> str:
    return value if isinstance(value, _Raw) else shlex.quote(_plain(value))


class _Values:
    """Named values of a script. Not a dict: an input may be called `items` or `keys`."""

    def __init__(self, values: Mapping[str, InputValue]) -> None:
        self.__values = dict(values)

    def __getitem__(self, name: str) -> InputValue:
        return self.__values[name]


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox that also bounds what an expression may compute: an author's `10 ** 10 ** 10` would stop everybody."""

    intercepted_binops = frozenset({"**", "*", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (_small(left) and isinstance(right, int) and abs(right) <= _MAX_EXPONENT):
            raise SecurityError("the power is too large")
        if operator == "*" and not (_small(left) and _small(right)):
            raise SecurityError("only numbers can be multiplied")
        if operator == "%" and not (_small(left) and _small(right)):
            raise SecurityError("% is for numbers; join texts with ~")
        return super().call_binop(context, operator, left, right)


def _small(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= _MAX_NUMBER


def _environment() -> ImmutableSandboxedEnvironment:
    environment = _Environment(
        undefined=StrictUndefined, finalize=_insert, keep_trailing_newline=True, autoescape=False
    )
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.filters["raw"] = lambda value: _Raw(_plain(value))
    environment.globals.clear()
    return environment


_ENVIRONMENT: Final = _environment()


@lru_cache(maxsize=256)
def _compile(script: str) -> Template:
    """The template. Raises TemplateError for what is no template, or uses more of the language than is allowed."""
    tree = _ENVIRONMENT.parse(script)
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            raise TemplateSyntaxError(f"{type(node).__name__.lower()} is not allowed here", node.lineno)
    return _ENVIRONMENT.from_string(script)


def render_script(template: JobTemplate, inputs: Mapping[str, InputValue], host: Host) -> str:
    """The script for one host. Raises RenderError when the template cannot be rendered or becomes too long."""
    assert template.spec.ssh is not None, "admission demands spec.ssh for provider SSH"
    title = f"the script of template {template.metadata.name}"
    try:
        pieces = _compile(template.spec.ssh.script).generate(
            inputs=_Values(inputs), host=_Values({"name": host.metadata.name, "address": host.address})
        )
        text = _join(pieces, f"{title} is over {MAX_SCRIPT_BYTES} bytes")
    except RenderError:
        raise
    except TemplateError as error:
        line = f" in line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        raise RenderError(f"{title} cannot be rendered{line}: {error.message or error}") from None
    except Exception as error:  # an author's expression may raise anything, as 1 / 0 does
        raise RenderError(f"{title} cannot be rendered: {type(error).__name__}: {error}") from None
    return text


def _join(pieces: Iterable[str], too_long: str) -> str:
    """The rendered text; stops as soon as it is too long."""
    text: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece.encode())
        if size > MAX_SCRIPT_BYTES:
            raise RenderError(too_long)
        text.append(piece)
    return "".join(text)


def describe(template: JobTemplate, inputs: Mapping[str, InputValue], override: str | None = None) -> str:
    """The description of an invocation, at most 255 characters (contracts/foreman.md §4.7)."""
    format_ = override or template.spec.description_format or _default_format(template)
    known = {name: _plain(value) for name, value in inputs.items()}
    known |= {"template_name": template.title, "job_category": template.spec.category}
    return _PLACEHOLDER.sub(lambda match: known.get(match[1]) or "''", format_)[:MAX_DESCRIPTION_LENGTH]


def _default_format(template: JobTemplate) -> str:
    inputs = " ".join(f'{entry.name}="%{{{entry.name}}}"' for entry in template.spec.inputs)
    return "%{template_name}" + (f" with inputs {inputs}" if inputs else "")
