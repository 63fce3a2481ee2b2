"""Hosts and Inventories in manifests."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from rollcall.names import API_VERSION
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall_cli.errors import CommandError

STDIN: Final = Path("-")
_LISTS: Final = ("List", "HostList", "InventoryList")
_KINDS: Final[Mapping[str, type[Host | Inventory]]] = {"Host": Host, "Inventory": Inventory}


def read(paths: Sequence[Path]) -> tuple[dict[str, Host], dict[str, Inventory]]:
    """The Hosts and the Inventories, by name, in files of manifests or on stdin. Raises CommandError."""
    found = [_parsed(document) for path in paths for document in _objects(path)]
    hosts = {entry.metadata.name: entry for entry in found if isinstance(entry, Host)}
    inventories = {entry.metadata.name: entry for entry in found if isinstance(entry, Inventory)}
    return hosts, inventories


def _parsed(document: Mapping[str, Any]) -> Host | Inventory:
    try:
        return _KINDS[document["kind"]].model_validate(document)
    except ValidationError as error:
        raise CommandError(f"{document['kind']} {document['metadata']['name']}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with the field's name and without the value."""
    found = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"


def _objects(path: Path) -> Iterator[Mapping[str, Any]]:
    """The objects of these kinds in a file, those in lists too."""
    try:
        text = sys.stdin.read() if path == STDIN else path.read_text(encoding="utf-8")
        documents = [json.loads(text)] if text.lstrip().startswith("{") else list(yaml.load_all(text, Loader=_Loader))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}") from None
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise CommandError(f"{path} holds no manifests: {error}") from None
    for document in documents:
        if isinstance(document, Mapping) and document.get("kind") in _LISTS:
            yield from filter(_is_wanted, document.get("items") or ())
        elif _is_wanted(document):
            yield document


def _is_wanted(document: Any) -> bool:
    match document:
        case {"apiVersion": version, "kind": kind, "metadata": {"name": str()}}:
            return bool(version == API_VERSION and kind in _KINDS)
        case _:
            return False


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads lists of ten thousand hosts in seconds where libyaml is there."""
