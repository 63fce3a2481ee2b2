"""The language of scripts: a small part of Jinja, in which nothing takes long and no value gets into a message.

There are no loops, calls, assignments or attributes of Python objects. What is left is a tree of expressions, each
evaluated once; their number and depth are limited, numbers are small, and what makes text draws on a meter.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from jinja2 import (
    StrictUndefined,
    Template,
    TemplateError,
    TemplateRuntimeError,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
    nodes,
    pass_context,
)
from jinja2.filters import do_default, do_float, do_int
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from rollcall.inputs import listed, plain

MAX_NODES: Final = 4_000
MAX_DEPTH: Final = 80
MAX_TOKENS: Final = 20_000
MAX_COMPUTED_CHARACTERS: Final = 1_048_576
"""How much text the expressions of one rendering may make or search."""
_MAX_NUMBER: Final = 2**64
_MAX_EXPONENT: Final = 64
_METER: Final = "the meter"
"""No name of the language, so that no script can read it."""
_JOIN: Final = "(join)"
_IN: Final = "(in)"
_TESTS: Final = ("defined", "undefined", "none", "true", "false", "boolean", "integer", "float", "number", "string")
_ALLOWED: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.Name, nodes.Getattr),
    *(nodes.Getitem, nodes.Const, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or),
    *(nodes.Not, nodes.Neg, nodes.Pos, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    *(nodes.Pow, nodes.Concat, nodes.List, nodes.Tuple, nodes.Keyword),
)


class UseError(TemplateRuntimeError):
    """A script asks for what the language does not have; the message holds no value."""


class CertainError(UndefinedError):
    """A name is missing that no host and no value can bring."""


class Meter:
    """Counts down the text that a rendering may still make."""

    def __init__(self) -> None:
        self._left = MAX_COMPUTED_CHARACTERS

    def charge(self, text: str) -> str:
        """The text. Raises UseError when it was too much."""
        self._left -= len(text)
        if self._left < 0:
            raise UseError(f"its expressions make more than {MAX_COMPUTED_CHARACTERS} characters")
        return text


class Raw(str):
    """Text that is inserted unquoted."""

    __slots__ = ()


class Several:
    """What has entries, and is no text itself."""

    def __init__(self, label: str) -> None:
        self.label = label


class Names(Several):
    """Named values. Not a dict: an input may be called `items` or `keys`. A null counts as not there."""

    def __init__(self, label: str, values: Mapping[str, Any]) -> None:
        super().__init__(label)
        self._values = values

    def values(self) -> Mapping[str, Any]:
        """All values by name."""
        return self._values

    def find(self, name: object, label: str = "") -> Any:
        """The value of that name, `missing` without one; `label` is what it is called if it has entries itself."""
        value = self.values().get(name) if isinstance(name, str) else None
        return missing if value is None else _part(value, label)

    def __len__(self) -> int:
        return len(self.values())

    def __contains__(self, name: object) -> bool:
        return self.find(name) is not missing


class Entries(Several):
    """A list of a host's facts."""

    def __init__(self, label: str, values: list[Any]) -> None:
        super().__init__(label)
        self._values = values

    def find(self, index: object, label: str = "") -> Any:
        """The value at that place, `missing` without one; `label` as for names."""
        if type(index) is not int or not -len(self._values) <= index < len(self._values):
            return missing
        value = self._values[index]
        return missing if value is None else _part(value, label)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, value: object) -> bool:
        return value in self._values


def _part(value: Any, label: str) -> Any:
    match value:
        case dict():
            return Names(label, value)
        case list():
            return Entries(label, value)
        case _:
            return value


class _Missing(StrictUndefined):
    """A name that is not there. Whatever is below it is not there either, so that `a.b | default('')` can be said."""

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[UndefinedError] = UndefinedError,
    ) -> None:
        if hint is None and obj is missing:
            hint, exc = f"there is no {name!r} in a script; it reads inputs.NAME, host.NAME", CertainError
        super().__init__(hint, obj, name, exc)


class Language(ImmutableSandboxedEnvironment):
    """Looks names up, and bounds what an expression may compute: `10 ** 10 ** 10` would stop everybody."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`, which an author has written."""
        if isinstance(obj, Undefined):
            return obj
        if not isinstance(obj, Names):
            what = obj.label if isinstance(obj, Several) else "a single value"
            return self.undefined(f"{what} has no {attribute!r}", obj)
        found = obj.find(attribute, f"{obj.label}.{attribute}")
        if found is not missing:
            return found
        known = listed(sorted(obj.values())) or "nothing"
        certain = obj.label in ("inputs", "host")
        exc = CertainError if certain else UndefinedError
        return self.undefined(f"{obj.label} has no {attribute!r}; it has: {known}", obj, exc=exc)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, where the argument may be a secret."""
        for part in (obj, argument):
            if isinstance(part, Undefined):
                return part
        if isinstance(obj, Names | Entries):
            found = obj.find(argument, f"{obj.label}[...]")
            return self.undefined(f"{obj.label} has no such entry", obj) if found is missing else found
        if isinstance(obj, str) and type(argument) is int and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined("a single value has no such entry", obj)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`left operator right`, for small numbers; texts can be added."""
        _demand(left, right)
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _meter(context).charge(left + right)
        if not (_small(left) and _small(right)):
            raise UseError(f"{operator} is for numbers below 2 ** 64; join texts with ~")
        if operator == "**" and not (isinstance(right, int) and abs(right) <= _MAX_EXPONENT):
            raise UseError("the power is too large")
        return super().call_binop(context, operator, left, right)


def _demand(*values: Any) -> None:
    """Raise UndefinedError for a name that is not there."""
    for value in values:
        if isinstance(value, Undefined):
            str(value)


def _small(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= _MAX_NUMBER


def _meter(context: Context) -> Meter:
    meter = context.parent[_METER]
    assert isinstance(meter, Meter)
    return meter


def text_of(value: Any) -> str:
    """The value as text. Raises TemplateError for what is no single value, or not there."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return plain(value)
    if isinstance(value, Undefined):
        return str(value)  # raises, but for a choice without an else, which is nothing
    if isinstance(value, Several):
        raise UseError(f"{value.label} is not one value, but several: name one of them")
    raise UseError("only text, numbers and truth values can be inserted")


@pass_context
def _lower(context: Context, value: Any) -> str:
    return _meter(context).charge(text_of(value)).lower()


@pass_context
def _upper(context: Context, value: Any) -> str:
    return _meter(context).charge(text_of(value)).upper()


@pass_context
def _trim(context: Context, value: Any) -> str:
    return _meter(context).charge(text_of(value)).strip()


@pass_context
def _int(context: Context, value: Any, default: int = 0) -> int:
    return do_int(_meter(context).charge(value) if isinstance(value, str) else value, default)


@pass_context
def _float(context: Context, value: Any, default: float = 0.0) -> float:
    return do_float(_meter(context).charge(value) if isinstance(value, str) else value, default)


@pass_context
def _join(context: Context, values: Iterable[Any]) -> str:
    return "".join(_meter(context).charge(text_of(value)) for value in values)


@pass_context
def _in(context: Context, value: Any, container: Any) -> bool:
    _demand(value, container)
    if isinstance(container, str):
        return _meter(context).charge(text_of(value)) in _meter(context).charge(container)
    if isinstance(container, Several | list | tuple):
        return value in container  # type: ignore[operator]
    raise UseError("in is for texts, lists and names")


def _raw(value: Any) -> Raw:
    return Raw(text_of(value))


def _insert(value: Any) -> str:
    return value if isinstance(value, Raw) else shlex.quote(text_of(value))


def _language() -> Language:
    language = Language(
        finalize=_insert, undefined=_Missing, keep_trailing_newline=True, autoescape=False, optimized=False
    )
    language.filters = {
        "default": do_default, "d": do_default, "lower": _lower, "upper": _upper, "trim": _trim, "length": len,
        "int": _int, "float": _float, "abs": abs, "raw": _raw, _JOIN: _join, _IN: _in,
    }  # fmt: skip
    language.tests = {name: language.tests[name] for name in _TESTS}
    language.globals.clear()
    return language


_LANGUAGE: Final = _language()


class _Rewriter(NodeTransformer):
    """Puts what Jinja does by itself where the language can see it."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes), _JOIN, [], node.lineno)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            return nodes.Getattr(node.node, node.arg.value, "load", lineno=node.lineno)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        operators = [operand.op for operand in node.ops]
        if not {"in", "notin"} & set(operators):
            return node
        if len(operators) > 1:
            raise TemplateSyntaxError("a chain of comparisons cannot have an in", node.lineno)
        found = _filter(node.expr, _IN, [node.ops[0].expr], node.lineno)
        return found if operators == ["in"] else nodes.Not(found, lineno=node.lineno)


def _filter(node: nodes.Expr, name: str, arguments: list[nodes.Expr], line: int) -> nodes.Filter:
    return nodes.Filter(node, name, arguments, [], None, None, lineno=line)


def _check(tree: nodes.Template) -> None:
    """Raise TemplateSyntaxError for a tree that is too large or too deep, or has what is no part of the language."""
    layer: list[nodes.Node] = [tree]
    count = depth = 0
    while layer:
        count, depth = count + len(layer), depth + 1
        if count > MAX_NODES:
            raise TemplateSyntaxError(f"the script has more than {MAX_NODES} expressions", layer[-1].lineno)
        if depth > MAX_DEPTH:
            raise TemplateSyntaxError(f"more than {MAX_DEPTH} expressions are inside each other", layer[0].lineno)
        for node in layer:
            if not isinstance(node, _ALLOWED):
                raise TemplateSyntaxError(f"{type(node).__name__.lower()} is not allowed here", node.lineno)
        layer = [child for node in layer for child in node.iter_child_nodes()]


@dataclass(frozen=True, slots=True)
class Script:
    """A script that can be rendered, or the sentence that says why it cannot."""

    template: Template | None
    problem: str
    reads_host: bool
    """Whether what is rendered may differ from host to host."""

    def pieces(self, inputs: Names, host: Names) -> Iterator[str]:
        """The rendered text, piece by piece. Raises TemplateError, or what an expression raises."""
        assert self.template is not None
        return self.template.generate({"inputs": inputs, "host": host, _METER: Meter()})


@lru_cache(maxsize=256)
def compiled(text: str) -> Script:
    """The script. Whatever is wrong with it is in its `problem`: nothing is raised."""
    try:
        if any(True for _ in islice(_LANGUAGE.lex(text), MAX_TOKENS, None)):
            raise TemplateSyntaxError(f"the script has more than {MAX_TOKENS} tokens", 1)
        tree = _LANGUAGE.parse(text)
        _check(tree)
        reads_host = any(node.name == "host" for node in tree.find_all(nodes.Name))
        return Script(_LANGUAGE.from_string(_Rewriter().visit(tree)), "", reads_host)
    except TemplateSyntaxError as error:
        return Script(None, f" in line {error.lineno}: {error.message}", reads_host=False)
    except TemplateError as error:
        return Script(None, f": {error.message}", reads_host=False)
    except RecursionError:
        return Script(None, ": expressions or blocks are nested too deeply", reads_host=False)
    except Exception as error:
        return Script(None, f": {type(error).__name__}", reads_host=False)
