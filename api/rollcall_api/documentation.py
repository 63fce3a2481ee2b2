"""A page of what there is to ask for, made of the OpenAPI document; it loads nothing from elsewhere."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

Schema = Mapping[str, Any]

_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em}code{font-size:90%}"
    "h2{margin-top:2em}details{margin:.3em 0}td,th{padding:.1em 1em .1em 0;text-align:left;vertical-align:top}"
)


def page(document: Mapping[str, Any]) -> str:
    """The page, in HTML."""
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f'<h1>{title}</h1><p>The same, for programs: <a href="/openapi.json">/openapi.json</a>.</p>'
        + "".join(_sections(document["paths"]))
        + _shapes(document.get("components", {}).get("schemas", {}))
    )


def _sections(paths: Mapping[str, Any]) -> Iterator[str]:
    tagged: dict[str, list[str]] = {}
    for path, operations in paths.items():
        for method, operation in operations.items():
            entry = _operation(method.upper(), path, operation)
            tagged.setdefault((operation.get("tags") or ["Other"])[0], []).append(entry)
    for tag, entries in tagged.items():
        yield f"<h2>{escape(tag)}</h2>{''.join(entries)}"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(_rows(operation))
    table = f"<table><tr><th>parameter<th>in<th>what it means{rows}</table>" if rows else "<p>No parameters.</p>"
    told = "".join(_answer_row(status, answer) for status, answer in (operation.get("responses") or {}).items())
    answers = f"<table><tr><th>answer<th>when<th>body{told}</table>"
    summary = escape(operation.get("summary") or "")
    return f"<details><summary><code>{method} {escape(path)}</code> {summary}</summary>{table}{answers}</details>"


def _rows(operation: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters") or ():
        yield _row(parameter["name"], parameter["in"], parameter.get("description", ""))
    body = (operation.get("requestBody") or {}).get("content", {}).get("application/json", {}).get("schema", {})
    yield from _body_rows(body, "")


def _body_rows(schema: Mapping[str, Any], within: str) -> Iterator[str]:
    for name, inner in (schema.get("properties") or {}).items():
        full_name = f"{within}.{name}" if within else name
        yield _row(full_name, "body", inner.get("description", ""))
        yield from _body_rows(inner, full_name)


def _row(name: str, place: str, description: str) -> str:
    return f"<tr><td><code>{escape(name)}</code><td>{place}<td>{escape(description)}"


def _answer_row(status: str, answer: Mapping[str, Any]) -> str:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    when = escape(answer.get("description", ""))
    return f"<tr><td><code>{status}</code><td>{when}<td><code>{escape(outline(schema))}</code>"


def _shapes(schemas: Mapping[str, Schema]) -> str:
    """The bodies that answers name, each by itself."""
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td><code>{escape(outline(schema))}</code>"
        for name, schema in schemas.items()
    )
    return f"<h2>Bodies of errors</h2><table>{rows}</table>" if rows else ""


def outline(schema: Schema) -> str:
    """A schema in a line: `{id: integer, name: string or null, hosts: [string], mode?: string}`."""
    if "anyOf" in schema:
        return " or ".join(outline(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    kind = schema.get("type", "anything")
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(_of_kind(one, schema) for one in kinds)


def _of_kind(kind: str, schema: Schema) -> str:
    if kind == "array":
        return f"[{outline(schema.get('items', {}))}]"
    if kind == "object" and "properties" in schema:
        required = schema.get("required", ())
        keys = (f"{name}{'' if name in required else '?'}: {outline(of)}" for name, of in schema["properties"].items())
        return f"{{{', '.join(keys)}}}"
    if "enum" in schema and kind != "null":
        return " | ".join(str(value) for value in schema["enum"])
    return kind
