"""A page of what there is to ask for, made of the OpenAPI document; it loads nothing from elsewhere."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

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
    summary = escape(operation.get("summary") or "")
    return f"<details><summary><code>{method} {escape(path)}</code> {summary}</summary>{table}</details>"


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
