"""Where the API server keeps what."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from rollcall.names import API_VERSION, Kind

_PATHS: Final = {
    **{kind.plural: f"/apis/{API_VERSION}" for kind in Kind},
    "pods": "/api/v1",
    "secrets": "/api/v1",
    "configmaps": "/api/v1",
    "events": "/apis/events.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "localsubjectaccessreviews": "/apis/authorization.k8s.io/v1",
}


def path(plural: str, namespace: str | None, name: str | None = None) -> str:
    """The path of an object, or of all of a kind in a namespace or the cluster."""
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{_PATHS[plural]}{scope}/{plural}" + (f"/{name}" if name else "")


def query(parameters: Mapping[str, str]) -> str:
    """The parameters as the end of an address; those that are empty are left out."""
    present = [f"{key}={quote(value, safe='')}" for key, value in parameters.items() if value]
    return "?" + "&".join(present) if present else ""
