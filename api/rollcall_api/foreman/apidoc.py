"""The description of the dialect that clients build themselves from (contract §7.1)."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import orjson

from rollcall_api.foreman.description import Action

_INFO: Final = "<p>Rollcall answers here as Foreman Remote Execution does.</p>"


def document(actions: Iterable[Action]) -> bytes:
    """The encoded document of these routes, ordered by resource and name, so that the same routes give the same."""
    resources: dict[str, dict[str, Any]] = {}
    for action in sorted(actions, key=lambda action: (action.resource, action.name, action.path)):
        resource = resources.setdefault(action.resource, _resource(action.resource))
        known = next((method for method in resource["methods"] if method["name"] == action.name), None)
        if known is None:
            resource["methods"].append(action.apidoc())
        else:
            known["apis"] += action.apidoc()["apis"]
    docs = {"name": "Foreman", "info": _INFO, "copyright": "", "doc_url": "/apidoc", "api_url": ""}
    return orjson.dumps({"docs": {**docs, "resources": resources}})


def checksum(encoded: bytes) -> str:
    """The name under which clients keep the document; another document has another one."""
    return hashlib.sha256(encoded).hexdigest()[:32]


def _resource(name: str) -> dict[str, Any]:
    return {
        "doc_url": f"/apidoc/v2/{name}",
        "api_url": "",
        "name": name.replace("_", " ").capitalize(),
        "short_description": None,
        "full_description": None,
        "version": "v2",
        "formats": None,
        "metadata": None,
        "methods": [],
        "headers": [],
        "deprecated": False,
    }
