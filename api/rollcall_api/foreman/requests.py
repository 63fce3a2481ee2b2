"""Parameters as Foreman reads them: path, query and JSON body in one bag, on every method (contract §1.2)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request

from rollcall_api.foreman.errors import e1, malformed_json
from rollcall_api.foreman.nesting import nested
from rollcall_api.foreman.taxonomies import CONTEXT, Context
from rollcall_api.lists import DEFAULT_PER_PAGE
from rollcall_api.lists import Page as Part

Bag = dict[str, Any]

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_PARAMETERS: Final = 4_096
"""In a query string; a body is bounded by its bytes."""
_SHORT_BYTES: Final = 500
_BRACKET: Final = re.compile(rb"\[|%5[Bb]")
_TRUE: Final = frozenset({"true", "1", "t", "yes", "y", "on"})
_FALSE: Final = frozenset({"false", "0", "f", "no", "n", "off", ""})
_LEADING_NUMBER: Final = re.compile(r"\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)")
_ID: Final = re.compile(r"[0-9]{1,18}")


async def read_bag(request: Request) -> Bag:
    """All parameters but those of the path; the query's come before the body's.

    Raises the errors of contract §1.4 in their order: taxonomy 404, then media type 415, then malformed JSON 400.
    """
    scope = request.scope
    text: bytes = scope["query_string"]
    query: Bag = {}
    context: Context = scope[CONTEXT]
    if text:
        query = parse_query(text)
        context.choose(query)
    content_type, has_body = "", False
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            has_body = True
    is_json = content_type.partition(";")[0].strip().lower() == "application/json"
    if scope["method"] in ("POST", "PUT") and not is_json:
        raise e1(
            415,
            f"Media type in 'Content-Type: {content_type}' is unsupported in API v2 for POST and PUT requests. "
            "Please use 'Content-Type: application/json'.",
        )
    if not has_body or not is_json:
        return query
    bag = parse_body(await _read_body(request)) | query
    context.choose(bag)
    return bag


def parse_query(text: bytes) -> Bag:
    """The parameters in a query string, nested as Rails nests them; of a repeated name the last counts.

    Raises 400 for too many parameters, and for names that contradict each other or are nested too deeply.
    """
    pairs = (_known_pairs if len(text) <= _SHORT_BYTES else _pairs)(text)
    return nested(pairs) if _BRACKET.search(text) else dict(pairs)


def _pairs(query: bytes) -> Sequence[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("utf-8", "replace"), True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        message = f"The query string has more than {MAX_PARAMETERS} parameters; a JSON body may have more"
        raise e1(400, message) from None


# Who polls asks the same again and again.
_known_pairs = lru_cache(1_000)(_pairs)


async def _read_body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise e1(413, f"The request body is larger than {MAX_BODY_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def parse_body(body: bytes) -> Bag:
    """The parameters in a JSON body; an empty one, and one that is not an object, has none."""
    if not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed_json(str(error)) from None
    return document if isinstance(document, dict) else {}


def is_blank(value: Any) -> bool:
    """Whether there is nothing in a value, as Rails' `blank?` has it."""
    return value is None or value is False or value in ([], {}) or (isinstance(value, str) and not value.strip())


def filled(group: Any) -> dict[str, Any]:
    """The entries of a hash that have a value."""
    return {key: value for key, value in (group or {}).items() if not is_blank(value)}


def boolean(bag: Mapping[str, Any], key: str, default: bool = False) -> bool:
    """A boolean parameter in any of its spellings. Raises 400 for what is neither true nor false."""
    if key not in bag:
        return default
    value = bag[key]
    text = "" if value is None else str(value).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise e1(400, f"{key} must be one of: true, false, 1, 0.")


def identifier(text: str) -> int | None:
    """A numeric id in a path; None for anything but digits."""
    return int(text) if _ID.fullmatch(text) else None


def since(bag: Mapping[str, Any]) -> float | None:
    """The `since` parameter: its leading number, 0 without one, None when not given (§5.3)."""
    value = bag.get("since")
    if value is None or value == "":
        return None
    match = _LEADING_NUMBER.match(str(value))
    return float(match[1]) if match else 0.0


@dataclass(frozen=True, slots=True)
class Page(Part):
    """The page as the parameters name it; what was asked for is what the answer says, though no page is so long."""

    @classmethod
    def parse(cls, bag: Mapping[str, Any]) -> "Page":
        """The page that the parameters ask for. Raises 400 for what is not a positive number (§1.8)."""
        if "page" not in bag and "per_page" not in bag:
            return _FIRST_PAGE
        per_page = bag.get("per_page")
        return cls(
            _positive(bag.get("page"), "page", 1),
            None if per_page == "all" else _positive(per_page, "per_page", DEFAULT_PER_PAGE),
        )


_FIRST_PAGE: Final = Page()


def _positive(value: Any, key: str, default: int) -> int:
    if value is None or value == "":
        return default
    text = str(value)
    if isinstance(value, bool) or not _ID.fullmatch(text) or int(text) == 0:
        raise e1(400, f"{key} must be a positive number" + (" or 'all'" if key == "per_page" else ""))
    return int(text)
