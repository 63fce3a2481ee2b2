"""The operator's only way to the API server: plain JSON over the Kubernetes client's connection."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import kopf
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config

from rollcall.names import API_VERSION, Kind

Document = dict[str, Any]

PAGE: Final = 500
REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
FOLLOW_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
MAX_REQUESTS: Final = 32
"""How many requests may be under way at once, besides followed logs."""
_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_PATHS: Final = {
    **{kind.plural: f"/apis/{API_VERSION}" for kind in Kind},
    "pods": "/api/v1",
    "secrets": "/api/v1",
    "configmaps": "/api/v1",
    "events": "/apis/events.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}


class ClusterError(Exception):
    """The API server did not do what it was asked: no answer (status 0), or one that says why."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFoundError(ClusterError):
    """404: the object, or the pod's container, is not there."""


class ConflictError(ClusterError):
    """409: the object was changed, or exists already."""


class RefusedError(ClusterError):
    """403 or 422: the API server will not take the object as it is."""


_ERRORS: Final = {404: NotFoundError, 409: ConflictError, 403: RefusedError, 422: RefusedError}


class Cluster:
    """A connection to the API server."""

    def __init__(self, configuration: Configuration) -> None:
        configuration.connection_pool_maxsize = 0  # followed logs hold one each; requests are bounded here
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._slots = asyncio.Semaphore(MAX_REQUESTS)

    @classmethod
    async def connect(cls) -> Self:
        """Connect as the pod's ServiceAccount, else as the kubeconfig says."""
        configuration = Configuration()
        if _TOKEN.exists():
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(client_configuration=configuration)
        return cls(configuration)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def login(self) -> kopf.ConnectionInfo:
        """The same connection for kopf; asked for again when a token has expired."""
        configuration = self._configuration
        scheme, _, token = (await self._authorization()).partition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme or None,
            token=token or None,
        )

    async def get(self, plural: str, namespace: str, name: str) -> Document:
        """The object. Raises NotFoundError."""
        return await self._request("GET", _path(plural, namespace, name))

    async def list(self, plural: str, namespace: str | None = None, selector: str = "") -> AsyncIterator[Document]:
        """All objects of the kind, in the namespace or the cluster, read in pages."""
        token = ""
        while True:
            parameters = {"limit": str(PAGE), "labelSelector": selector, "continue": token}
            page = await self._request("GET", _path(plural, namespace), parameters=parameters)
            for item in page["items"]:
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def create(self, plural: str, document: Document) -> Document:
        """The object as stored. Raises ConflictError when one of that name exists, RefusedError."""
        return await self._request("POST", _path(plural, document["metadata"]["namespace"]), document)

    async def replace(self, plural: str, document: Document) -> Document:
        """The object as stored. Raises ConflictError when it was changed since it was read."""
        metadata = document["metadata"]
        return await self._request("PUT", _path(plural, metadata["namespace"], metadata["name"]), document)

    async def merge(self, plural: str, namespace: str, name: str, patch: Document, *, status: bool = False) -> Document:
        """The object after a JSON merge patch (RFC 7386), of its status if so asked."""
        path = _path(plural, namespace, name) + ("/status" if status else "")
        return await self._request("PATCH", path, patch, content_type="application/merge-patch+json")

    async def delete(self, plural: str, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Ask for the object's deletion, with its dependents; one that is gone, or another of that name, is fine."""
        options: Document = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._request("DELETE", _path(plural, namespace, name), options)
        except (NotFoundError, ConflictError):
            return

    async def delete_all(self, plural: str, namespace: str, selector: str) -> None:
        """Ask for the deletion of all objects that the label selector selects."""
        await self._request("DELETE", _path(plural, namespace), parameters={"labelSelector": selector})

    async def follow_log(self, namespace: str, pod: str, container: str, since: str | None) -> AsyncGenerator[bytes]:
        """The lines of a container's log from an RFC 3339 time on, as they are written, until the container ends.

        Raises NotFoundError when the pod is gone, ClusterError (400) while the container has not started.
        """
        parameters = {"container": container, "follow": "true"} | ({"sinceTime": since} if since else {})
        path = _path("pods", namespace, pod) + "/log"
        async with await self._send("GET", path, parameters=parameters, patience=FOLLOW_TIMEOUT) as response:
            rest = b""
            try:
                await _raise_for_status(response)
                async for data in response.content.iter_any():
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        yield line
            except (aiohttp.ClientError, TimeoutError) as error:
                raise ClusterError(0, "Disconnected", repr(error)) from error
            if rest:
                yield rest

    async def _request(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Document:
        async with self._slots:
            try:
                async with await self._send(
                    method, path, body, parameters=parameters, content_type=content_type, patience=REQUEST_TIMEOUT
                ) as response:
                    await _raise_for_status(response)
                    return json.loads(await response.read())  # type: ignore[no-any-return]
            except (aiohttp.ClientError, TimeoutError) as error:
                raise ClusterError(0, "Unreachable", repr(error)) from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        patience: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        if authorization := await self._authorization():
            headers["Authorization"] = authorization
        url = self._configuration.host + path + _query(parameters or {})
        try:
            answer = await self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=patience
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterError(0, "Unreachable", repr(error)) from error
        return answer.response  # type: ignore[no-any-return]

    async def _authorization(self) -> str:
        return await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or ""


def _path(plural: str, namespace: str | None, name: str | None = None) -> str:
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{_PATHS[plural]}{scope}/{plural}" + (f"/{name}" if name else "")


def _query(parameters: Mapping[str, str]) -> str:
    present = [f"{key}={quote(value, safe='')}" for key, value in parameters.items() if value]
    return "?" + "&".join(present) if present else ""


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    """Raise the error that an answer stands for. The message is the server's, which never repeats a Secret's data."""
    if response.status < 400:
        return
    try:
        status = json.loads(await response.read())
    except ValueError:
        status = {}
    error = _ERRORS.get(response.status, ClusterError)
    raise error(response.status, status.get("reason") or response.reason or "", status.get("message") or "")
