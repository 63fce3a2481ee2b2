"""Names of query parameters that say where their values belong, read as Rails (Rack) reads them.

`a=1` is a value, `a[]=1` one more element of a list, `a[b]=1` an entry of a hash, `a[][b]=1` an entry of the last hash
of a list, or of a new one when the last has it already.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from rollcall_api.foreman.errors import e1

MAX_DEPTH: Final = 8
"""How many brackets a name can have; the parameters that there are need three."""
_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of these names and values. Raises 400 for names that contradict each other or go too deep.

    A name whose brackets do not match is one like any other, and so unknown.
    """
    bag: dict[str, Any] = {}
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        inner = _BRACKETS.findall(match[2]) if match else []
        if len(inner) > MAX_DEPTH:
            raise e1(400, f"Invalid query parameters: {name[:100]} is nested too deeply")
        _put(bag, [match[1], *inner] if match else [name], value, name)
    return bag


def _put(hash_: dict[str, Any], path: list[str], value: str, name: str) -> None:
    """Puts the value at the path, of which an empty part means a list."""
    key, *rest = path
    if not rest:
        hash_[key] = value
    elif rest[0] == "":
        _append(_child(hash_, key, [], name), rest[1:], value, name)
    else:
        _put(_child(hash_, key, {}, name), rest, value, name)


def _append(list_: list[Any], path: list[str], value: str, name: str) -> None:
    if not path:
        list_.append(value)
        return
    if path[0] == "":
        raise e1(400, f"Invalid query parameters: {name[:100]} is a list in a list")
    if not (list_ and isinstance(list_[-1], dict)) or _has(list_[-1], path):
        list_.append({})
    _put(list_[-1], path, value, name)


def _has(hash_: dict[str, Any], path: list[str]) -> bool:
    """Whether there is a value at the path already, other than a list, which takes more."""
    found: Any = hash_
    for key in path:
        if key == "" or not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    return True


def _child(hash_: dict[str, Any], key: str, empty: Any, name: str) -> Any:
    found = hash_.setdefault(key, empty)
    if type(found) is not type(empty):
        text = f"{name[:100]} is {_said(empty)}, and was {_said(found)} before"
        raise e1(400, f"Invalid query parameters: {text}")
    return found


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return "a hash"
    return "a list" if isinstance(value, list) else "a single value"
