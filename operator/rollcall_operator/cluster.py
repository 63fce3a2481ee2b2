"""The operator's only way to the API server: plain JSON over the Kubernetes client's connection."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import kopf
import orjson
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from yarl import URL

from rollcall.names import API_VERSION
from rollcall_operator import metrics
from rollcall_operator.packed import Packed
from rollcall_operator.paths import path as _path
from rollcall_operator.paths import query as _query
from rollcall_operator.slots import Slots

Document = dict[str, Any]

PAGE: Final = 500
REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
FOLLOW_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10)
WATCH_SECONDS: Final = 300
"""How long the API server keeps a watch open."""
WATCH_SILENCE_SECONDS: Final = 90
"""How long a watch may say nothing. A bookmark comes every minute: after that the connection is taken for forgotten."""
MAX_REQUESTS: Final = 32
"""How many requests may be under way at once, besides followed logs."""
BESIDE_URGENT: Final = 6
"""How many of them others may make while urgent ones are under way."""
TOO_MANY: Final = 429
MAX_SENDS: Final = 5
"""How often a request is sent, at most, while the API server puts it off (429)."""
MAX_PUT_OFF_SECONDS: Final = 10.0
"""How long to wait at most before it is sent again, whatever the server says."""
_READS: Final = frozenset({"get", "list"})
_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
"""By the verbs of RBAC."""
LONGEST_LINE: Final = 1024 * 1024
"""How much of a log's line is waited for to its end."""
LONGEST_EVENT: Final = 16 * 1024 * 1024
"""How long a watch event may be: etcd takes no object of more than 1.5 MiB, which its JSON may double."""
_JSON: Final = "application/json"
_METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class ClusterError(Exception):
    """The API server did not do what it was asked: no answer (status 0), or one that says why."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = 1.0
        """How many seconds the server wants to be left alone (RFC 9110, 10.2.3), where it says so."""


class NotFoundError(ClusterError):
    """404: the object, or the pod's container, is not there."""


class ConflictError(ClusterError):
    """409: the object was changed, or exists already."""


class RefusedError(ClusterError):
    """403 or 422: the API server will not take the object as it is."""


_ERRORS: Final = {404: NotFoundError, 409: ConflictError, 403: RefusedError, 422: RefusedError}


class Cluster:
    """A connection to the API server."""

    def __init__(self, configuration: Configuration, watch_silence_seconds: int = WATCH_SILENCE_SECONDS) -> None:
        self._configuration = configuration
        self._watch_timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=watch_silence_seconds)
        # Only the client's TLS settings: its own session looks for proxies and ~/.netrc anew for each request.
        tls = ApiClient(configuration).rest_client.ssl_context
        # No limit: followed logs hold a connection each, and requests are bounded here.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls), trust_env=False)
        self._slots = Slots(MAX_REQUESTS, BESIDE_URGENT)
        self.asked = 0
        """How many requests were made so far, but for watches, logs and the Lease."""
        self.may_write_until = math.inf
        """The loop time from when on nothing is written: another may hold the Lease. A process that was stopped, or
        starved, cannot know what it has missed."""

    @classmethod
    async def connect(cls, watch_silence_seconds: int = WATCH_SILENCE_SECONDS) -> Self:
        """Connect as the pod's ServiceAccount, else as the kubeconfig says."""
        configuration = Configuration()
        if _TOKEN.exists():
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(client_configuration=configuration)
        return cls(configuration, watch_silence_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

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

    async def get(self, plural: str, namespace: str, name: str, *, urgent: bool = False) -> Document:
        """The object. Raises NotFoundError."""
        return await self._request("get", plural, _path(plural, namespace, name), urgent=urgent)

    def list(self, plural: str, namespace: str | None = None, selector: str = "") -> AsyncIterator[Document]:
        """All objects of the kind, in the namespace or the cluster, read in pages."""
        return self._list(plural, namespace, selector, _JSON)

    def list_metadata(self, plural: str, namespace: str | None = None, selector: str = "") -> AsyncIterator[Document]:
        """As `list`, but of each object only its metadata."""
        return self._list(plural, namespace, selector, _METADATA_ONLY)

    async def _list(self, plural: str, namespace: str | None, selector: str, accept: str) -> AsyncIterator[Document]:
        token = ""
        while True:
            page = await self._page(plural, namespace, selector, token, accept)
            for item in page["items"] or ():
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def _page(
        self, plural: str, namespace: str | None, selector: str, token: str, accept: str = _JSON
    ) -> Document:
        parameters = {"limit": str(PAGE), "labelSelector": selector, "continue": token}
        return await self._request("list", plural, _path(plural, namespace), parameters=parameters, accept=accept)

    async def snapshot(self, plural: str, namespace: str | None, selector: str) -> tuple[Packed, str]:
        """All objects of the kind as of one moment, and the resource version from which to watch on."""
        found = Packed()
        token = ""
        while True:
            page = await self._page(plural, namespace, selector, token)
            found.add(page["items"] or ())
            token = page["metadata"].get("continue", "")
            if not token:
                return found, page["metadata"]["resourceVersion"]

    async def watch(
        self, plural: str, namespace: str | None, selector: str, version: str
    ) -> AsyncGenerator[Sequence[Document]]:
        """The watch events after a resource version, some at a time as they come, until the API server ends it.

        Raises ClusterError, with status 410 when that version is too old to go on from.
        """
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": selector,
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        with metrics.Request("watch", plural) as request:
            path = _path(plural, namespace)
            answer = await self._send("GET", path, parameters=parameters, patience=self._watch_timeout)
            request.code = answer.status
        async with aclosing(_lines(answer, LONGEST_EVENT)) as batches:
            async for lines in batches:
                try:
                    events = [orjson.loads(line) for line in lines]
                except ValueError as error:  # the connection was cut in the middle of a line
                    raise ClusterError(0, "Disconnected", "half an event") from error
                good = [event for event in events if event["type"] != "ERROR"]
                yield good
                if len(good) < len(events):
                    raise _error(next(event["object"] for event in events if event["type"] == "ERROR"))

    async def schemas(self) -> Mapping[str, Document]:
        """The schemas of our kinds, by kind, as the API server publishes them (OpenAPI v3)."""
        published = await self._request("get", "openapi", f"/openapi/v3/apis/{API_VERSION}")
        found: Mapping[str, Document] = published["components"]["schemas"]
        return {name.rpartition(".")[2]: schema for name, schema in found.items()}

    async def create(self, plural: str, document: Document, *, urgent: bool = False) -> Document:
        """The object as stored; what is urgent waits behind no other request. Raises ConflictError, RefusedError."""
        path = _path(plural, document["metadata"]["namespace"])
        return await self._request("create", plural, path, document, urgent=urgent)

    async def replace(self, plural: str, document: Document, *, urgent: bool = False) -> Document:
        """The object as stored. Raises ConflictError when it was changed since it was read."""
        path = _path(plural, document["metadata"]["namespace"], document["metadata"]["name"])
        return await self._request("update", plural, path, document, urgent=urgent)

    async def merge(self, plural: str, namespace: str, name: str, patch: Document, *, status: bool = False) -> Document:
        """The object after a JSON merge patch (RFC 7386), of its status if so asked."""
        part = "/status" if status else ""
        path = _path(plural, namespace, name) + part
        return await self._request("patch", plural + part, path, patch)

    async def amend(self, plural: str, namespace: str, name: str, operations: Sequence[Document]) -> Document:
        """The object after a JSON patch (RFC 6902). Raises RefusedError, with status 422, when a `test` in it fails."""
        return await self._request("patch", plural, _path(plural, namespace, name), operations)

    async def delete(
        self, plural: str, namespace: str, name: str, *, uid: str | None = None, grace_seconds: int | None = None
    ) -> None:
        """Ask for the object's deletion, with its dependents; one that is gone, or another of that name, is fine."""
        options: Document = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._request("delete", plural, _path(plural, namespace, name), options)
        except (NotFoundError, ConflictError):
            return

    async def delete_all(self, plural: str, namespace: str, selector: str) -> None:
        """Ask for the deletion of all objects that the label selector selects."""
        parameters = {"labelSelector": selector}
        await self._request("deletecollection", plural, _path(plural, namespace), parameters=parameters)

    async def follow_log(
        self, namespace: str, pod: str, container: str, since: str | None
    ) -> AsyncGenerator[Sequence[bytes]]:
        """The lines of a container's log from an RFC 3339 time on, some at a time as they come, until it ends.

        Raises NotFoundError when the pod is gone, ClusterError (400) while the container has not started.
        """
        parameters = {"container": container, "follow": "true"} | ({"sinceTime": since} if since else {})
        path = _path("pods", namespace, pod) + "/log"
        with metrics.Request("get", "pods/log") as request:
            answer = await self._send("GET", path, parameters=parameters, patience=FOLLOW_TIMEOUT)
            request.code = answer.status
        metrics.LOGS_FOLLOWED.inc()
        try:
            async with aclosing(_lines(answer, LONGEST_LINE)) as batches:
                async for lines in batches:
                    yield lines
        finally:
            metrics.LOGS_FOLLOWED.dec()

    async def _request(
        self,
        verb: str,
        resource: str,
        path: str,
        body: Document | Sequence[Document] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        accept: str = _JSON,
        urgent: bool = False,
    ) -> Document:
        # A Lease is renewed in time however many other requests wait.
        async with contextlib.nullcontext() if resource == "leases" else self._slots.slot(urgent=urgent):
            sends = MAX_SENDS
            self.asked += resource != "leases"
            while True:
                if verb not in _READS and resource != "leases":
                    self._make_sure_to_lead()
                try:
                    return await self._ask(verb, resource, path, body, parameters=parameters, accept=accept)
                except ClusterError as error:
                    sends -= 1
                    if error.status != TOO_MANY or not sends:
                        raise
                    patience = min(error.retry_after, MAX_PUT_OFF_SECONDS)
                # The slot is kept: a server that has too much to do is to get less.
                await asyncio.sleep(patience)

    def _make_sure_to_lead(self) -> None:
        if asyncio.get_running_loop().time() > self.may_write_until:
            raise ClusterError(0, "NotLeading", "the Lease was not renewed in time, another may lead by now")

    async def _ask(
        self,
        verb: str,
        resource: str,
        path: str,
        body: Document | Sequence[Document] | None,
        *,
        parameters: Mapping[str, str] | None,
        accept: str,
    ) -> Document:
        try:
            with metrics.Request(verb, resource) as request:
                method = _METHODS[verb]
                answer = await self._send(
                    method, path, body, parameters=parameters, accept=accept, patience=REQUEST_TIMEOUT
                )
                async with answer as response:
                    said = await response.read()
                    request.code = response.status
                    await _raise_for_status(response)
                    return orjson.loads(said)  # type: ignore[no-any-return]
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterError(0, "Unreachable", repr(error)) from error
        except orjson.JSONDecodeError as error:  # some proxy's page: what became of the request is not known
            raise ClusterError(0, "NotJSON", str(error)) from error

    async def _send(
        self,
        method: str,
        path: str,
        body: Document | Sequence[Document] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        accept: str = _JSON,
        patience: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        kind_of_patch = "merge-patch" if isinstance(body, dict) else "json-patch"
        content_type = f"application/{kind_of_patch}+json" if method == "PATCH" else _JSON
        headers = {"Accept": accept, "Content-Type": content_type}
        if authorization := await self._authorization():
            headers["Authorization"] = authorization
        url = self._configuration.host + path + _query(parameters or {})
        try:
            return await self._session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=None if body is None else orjson.dumps(body),
                timeout=patience,
                proxy=self._configuration.proxy,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterError(0, "Unreachable", repr(error)) from error

    async def _authorization(self) -> str:
        return await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or ""


async def _lines(answer: aiohttp.ClientResponse, longest: int) -> AsyncGenerator[Sequence[bytes]]:
    """The lines of an answer, some at a time as they come; one that is too long is left out. Raises ClusterError."""
    async with answer as response:
        rest = b""
        try:
            await _raise_for_status(response)
            async for data in response.content.iter_any():
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > longest:
                    rest = b""  # what comes of it until the line ends is not one either
                if lines:
                    yield lines
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ClusterError(0, "Disconnected", repr(error)) from error
        if rest:
            yield [rest]


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    """Raise the error that an answer stands for."""
    if response.status < 400:
        return
    try:
        status = orjson.loads(await response.read())
    except ValueError:
        status = {}
    error = _error({**status, "code": response.status, "reason": status.get("reason") or response.reason})
    with contextlib.suppress(ValueError):  # an HTTP date, which Kubernetes does not use
        error.retry_after = max(0.0, float(response.headers.get("Retry-After", error.retry_after)))
    raise error


def _error(status: Document) -> ClusterError:
    """The error that a `metav1.Status` tells of. The message is the server's, which never repeats a Secret's data."""
    code = int(status.get("code") or 0)
    return _ERRORS.get(code, ClusterError)(code, status.get("reason") or "", status.get("message") or "")
