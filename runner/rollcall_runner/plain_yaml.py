"""Values as YAML that Ansible takes as they are: it evaluates no template expression in any of their strings.

The text is ASCII, and every string in it is double-quoted and tagged `!unsafe`, which Ansible documents for this.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_BEYOND_ASCII: Final = re.compile(r"[^\x20-\x7e]")


def plain_yaml(value: Any) -> str:
    """One line of YAML for a value such as JSON can hold."""
    match value:
        case str():
            return f"!unsafe {_quoted(value)}"
        case Mapping():
            return "{" + ", ".join(f"{_quoted(str(key))}: {plain_yaml(entry)}" for key, entry in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(plain_yaml, value)) + "]"
        case float():
            return f'!!float "{value!r}"'  # YAML 1.1 reads `1e+16` as text
        case _:
            return json.dumps(value)


def _quoted(text: str) -> str:
    return '"' + _BEYOND_ASCII.sub(_escaped, text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xD800 <= code < 0xE000:
        code = 0xFFFD  # half of a character, which no file can hold
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
