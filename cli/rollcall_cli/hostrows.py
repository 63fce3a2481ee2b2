"""Hosts in manifests as rows: what queries can ask of one."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from rollcall import ids
from rollcall.names import API_VERSION
from rollcall.query.foreman import HOSTS, Subject
from rollcall.query.index import Row
from rollcall_cli.errors import CommandError

STDIN: Final = Path("-")
_LISTS: Final = ("List", "HostList", "InventoryList")
_KNOWN: Final = frozenset(
    {"name", "id", "uid", "created", "address", "domain", "organization", "location", "groups", "facts", "variables"}
    | {"variableNames"}
)
TARGETS: Final = Subject(
    {name: field for name, field in HOSTS.fields.items() if field.path[0] in _KNOWN}, HOSTS.prefixes
)
"""The fields of Foreman's language that hosts have here."""

Document = Mapping[str, Any]


def rows(hosts: Iterable[Document], above: Mapping[str, frozenset[str]] | None = None) -> dict[str, Row]:
    """The rows of Hosts, by name. `above`: for groups, those that they are part of."""
    found = (_row(host, above or {}) for host in hosts)
    return {row["name"]: row for row in found}


def _row(host: Document, above: Mapping[str, frozenset[str]]) -> Row:
    metadata, spec = host["metadata"], host.get("spec") or {}
    name = str(metadata["name"])
    variables = spec.get("variables") or {}
    created = metadata.get("creationTimestamp")
    direct = spec.get("groups") or ()
    return {
        "name": name,
        "id": ids.read(metadata.get("labels") or {}),
        "uid": metadata.get("uid"),
        "created": _moment(created).timestamp() if created else None,
        "address": spec.get("address") or name,
        "domain": name.partition(".")[2] or None,
        "organization": spec.get("organization"),
        "location": spec.get("location"),
        "groups": sorted({*direct, *(outer for group in direct for outer in above.get(group, ()))}),
        "facts": spec.get("facts") or {},
        "variables": variables,
        "variableNames": list(variables),
        "trusted": {"certname": name},
    }


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def groups_above(inventory: Document) -> Mapping[str, frozenset[str]]:
    """For each group of an Inventory, those that it is part of, at whatever distance."""
    parents: dict[str, set[str]] = {}
    for name, group in (inventory["spec"].get("groups") or {}).items():
        for child in group.get("children") or ():
            parents.setdefault(child, set()).add(name)

    def outer(name: str) -> frozenset[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            new = parents.get(waiting.pop(), set()) - found
            found |= new
            waiting.extend(new)
        return frozenset(found)

    return {name: outer(name) for name in parents}


def read(paths: Sequence[Path]) -> tuple[list[Document], dict[str, Document]]:
    """The Hosts, and the Inventories by name, in files of manifests or on stdin. Raises CommandError."""
    found = [document for path in paths for document in _objects(path)]
    hosts = [document for document in found if document["kind"] == "Host"]
    inventories = {document["metadata"]["name"]: document for document in found if document["kind"] == "Inventory"}
    return hosts, inventories


def _objects(path: Path) -> Iterator[Document]:
    """The objects of ours in a file, those in lists too."""
    try:
        text = sys.stdin.read() if path == STDIN else path.read_text(encoding="utf-8")
        documents = [json.loads(text)] if text.lstrip().startswith("{") else list(yaml.load_all(text, Loader=_Loader))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}") from None
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise CommandError(f"{path} holds no manifests: {error}") from None
    for document in documents:
        if isinstance(document, Mapping) and document.get("kind") in _LISTS:
            yield from filter(_is_ours, document.get("items") or ())
        elif _is_ours(document):
            yield document


def _is_ours(document: Any) -> bool:
    match document:
        case {"apiVersion": version, "kind": str(), "metadata": {"name": str()}}:
            return bool(version == API_VERSION)
        case _:
            return False


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads lists of ten thousand hosts in seconds where libyaml is there."""
