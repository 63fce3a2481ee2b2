"""The API server: plain JSON over the Kubernetes client's configuration, authentication and transport.

This is the only module that knows the Kubernetes client. Answers that are not a success become the exceptions of
`problems`; a timeout or a broken connection is `Away`, and so is every request while the API server is silent.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from multidict import CIMultiDict

from rollcall.names import GROUP, VERSION, Kind
from rollcall_api.metrics import counted
from rollcall_api.problems import Away, Conflict, Expired, Forbidden, NotFound, Problem, Rejected, Unavailable
from rollcall_api.pulse import Pulse

Object = dict[str, Any]

CONNECTIONS: Final = 64
"""Connections to the API server that may be open at once; six of them are watches."""
REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=5)
LIST_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=5)
LOG_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
"""The API server asks the pod's node, and waits for it far longer than anybody who reads an output likes to."""
REVIEWS: Final = 24
"""How many questions about tokens and rights may be open at once, so that they leave connections to the others."""
REVIEW_SECONDS: Final = 10.0
"""How long such a question may wait for its turn and its answer."""
_ERRORS: Final[Mapping[int, type[Problem]]] = {
    400: Rejected,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    413: Rejected,
    422: Rejected,
}


class Impersonation(CIMultiDict[str]):
    """The headers under which a write is done in a user's name (Kubernetes user impersonation)."""

    @classmethod
    def of(cls, username: str, groups: tuple[str, ...]) -> "Impersonation":
        """The headers for one user; the API server adds `system:authenticated` by itself."""
        headers = cls({"Impersonate-User": username})
        for group in groups:
            headers.add("Impersonate-Group", group)
        return headers


def custom(kind: Kind, namespace: str, name: str | None = None) -> str:
    """The path of a custom resource of ours, or of its collection."""
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace, safe='')}/{kind.plural}"
    return path if name is None else f"{path}/{quote(name, safe='')}"


def core(plural: str, namespace: str, name: str | None = None) -> str:
    """The path of an object of the core group, or of its collection."""
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/{plural}"
    return path if name is None else f"{path}/{quote(name, safe='')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What is asked of the API server."""

    method: str
    path: str
    query: Mapping[str, str | int] | None = None
    body: Object | list[Object] | None = None
    headers: CIMultiDict[str] | None = None
    timeout: aiohttp.ClientTimeout = REQUEST_TIMEOUT


class Cluster:
    """A connection pool to the API server."""

    def __init__(self) -> None:
        self._client: Any = None
        self._reviews = asyncio.Semaphore(REVIEWS)
        self.pulse = Pulse()

    async def open(self) -> None:
        """Reads the configuration: `KUBECONFIG`, else the pod's service account, else the user's kubeconfig."""
        configuration = Configuration()
        if not os.environ.get("KUBECONFIG") and os.environ.get("KUBERNETES_SERVICE_HOST"):
            load_incluster_config(client_configuration=configuration)
        else:
            path = os.environ.get("KUBECONFIG") or None
            await load_kube_config(config_file=path, client_configuration=configuration)
        configuration.connection_pool_maxsize = CONNECTIONS
        # By itself the client looks for proxies and ~/.netrc anew for each request, in another thread.
        configuration.client_session_kwargs = {"trust_env": False}
        self._client = ApiClient(configuration)

    async def run(self) -> None:
        """Looks for ever whether the API server answers."""
        await self.pulse.run(self._beat)

    async def _beat(self, seconds: float) -> None:
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._sent(_Request(method="GET", path="/version", timeout=timeout)):
            pass

    async def close(self) -> None:
        """Closes all connections."""
        if self._client is not None:
            await self._client.close()

    async def get(self, path: str, **query: str | int) -> Object:
        """One object, or one page of a collection."""
        return await self._json(_Request(method="GET", path=path, query=query))

    async def create(self, path: str, body: Object, impersonate: Impersonation | None = None) -> Object:
        """Stores a new object and returns it as stored. Raises Conflict when the name is taken."""
        return await self._json(_Request(method="POST", path=path, body=body, headers=impersonate))

    async def read_as(self, path: str, impersonate: Impersonation) -> Object:
        """One object, as far as that user may see it."""
        return await self._json(_Request(method="GET", path=path, headers=impersonate))

    async def replace(self, path: str, body: Object, impersonate: Impersonation | None = None) -> Object:
        """Stores the object if its resourceVersion is still the stored one. Raises Conflict when it is not."""
        return await self._json(_Request(method="PUT", path=path, body=body, headers=impersonate))

    async def merge(self, path: str, patch: Object, impersonate: Impersonation | None = None) -> Object:
        """Changes the object by a JSON merge patch (RFC 7386), and returns it as stored."""
        headers: CIMultiDict[str] = CIMultiDict(impersonate or {})
        headers["Content-Type"] = "application/merge-patch+json"
        return await self._json(_Request(method="PATCH", path=path, body=patch, headers=headers))

    async def amend(self, path: str, steps: Sequence[Object]) -> Object:
        """Changes the object by a JSON patch (RFC 6902), all steps or none. Raises Rejected when a test fails."""
        headers = CIMultiDict({"Content-Type": "application/json-patch+json"})
        return await self._json(_Request(method="PATCH", path=path, body=list(steps), headers=headers))

    async def delete(
        self, path: str, uid: str, impersonate: Impersonation | None = None, version: str | None = None
    ) -> None:
        """Deletes the object of this name and uid, at this resourceVersion if one is given. Raises Conflict when
        another one has the name, or it has changed since."""
        preconditions = {"uid": uid} | ({} if version is None else {"resourceVersion": version})
        body = {"preconditions": preconditions, "propagationPolicy": "Background"}
        await self._json(_Request(method="DELETE", path=path, body=body, headers=impersonate))

    def list_pages(self, path: str, limit: int = 500, **query: str | int) -> AsyncIterator[Object]:
        """The collection, page by page, all of one moment. Raises Expired when that moment is too long ago."""
        return self._pages(path, limit, query, "application/json")

    async def _pages(self, path: str, limit: int, query: Mapping[str, str | int], accept: str) -> AsyncIterator[Object]:
        headers = CIMultiDict({"Accept": accept})
        more: dict[str, str] = {}
        while True:
            parameters = {**query, "limit": limit, **more}
            request = _Request(method="GET", path=path, query=parameters, headers=headers, timeout=LIST_TIMEOUT)
            page = await self._json(request)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            more = {"continue": token}

    def list_metadata(self, path: str, **query: str | int) -> AsyncIterator[Object]:
        """As `list_pages`, but only the metadata of each object."""
        return self._pages(path, 500, query, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")

    async def watch(
        self, path: str, version: str, seconds: int, opened: Callable[[], None], **selector: str
    ) -> AsyncIterator[Object]:
        """The changes after a resource version, for so many seconds. Raises Expired when it is too old.

        `opened` is called once the API server has begun to answer, which may be long before the first change.
        """
        query: dict[str, str | int] = {
            **selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": seconds,
        }
        timeout = aiohttp.ClientTimeout(total=seconds + 30, sock_connect=5, sock_read=seconds + 15)
        async with self._answer(_Request(method="GET", path=path, query=query, timeout=timeout)) as answer:
            opened()
            rest = b""
            async for data in answer.content.iter_any():
                self.pulse.heard()
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield _event(line)

    async def pod_log(self, namespace: str, pod: str, container: str, since: str | None, limit: int) -> bytes:
        """What a container has said so far, at most `limit` bytes; empty while it has not started or is gone.

        Raises Unavailable also when only the node does not answer.
        """
        query: dict[str, str | int] = {"container": container, "limitBytes": limit}
        if since is not None:
            query["sinceTime"] = since
        try:
            path = core("pods", namespace, pod) + "/log"
            async with self._answer(_Request(method="GET", path=path, query=query, timeout=LOG_TIMEOUT)) as answer:
                return bytes(await answer.read())
        except (NotFound, Rejected):
            return b""

    async def review_token(self, token: str) -> Object:
        """The status of a TokenReview (authentication.k8s.io/v1)."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        return await self._review("/apis/authentication.k8s.io/v1/tokenreviews", body)

    async def review_access(self, spec: Object) -> Object:
        """The status of a SubjectAccessReview (authorization.k8s.io/v1)."""
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return await self._review("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)

    async def _review(self, path: str, body: Object) -> Object:
        try:
            async with asyncio.timeout(REVIEW_SECONDS), self._reviews:
                status: Object = (await self.create(path, body)).get("status") or {}
        except TimeoutError as error:
            raise Away("the API server does not say in time who may do what") from error
        except (Forbidden, NotFound, Rejected) as problem:
            # The facade's own fault, and none of the person's who asks.
            raise Unavailable(f"the facade may not ask who may do what: {problem}") from problem
        return status

    async def _json(self, request: _Request) -> Object:
        async with self._answer(request) as answer:
            document: Object = orjson.loads(await answer.read())
            return document

    @asynccontextmanager
    async def _answer(self, request: _Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """The open answer to a request. Raises a Problem for anything but a success; Away at once while the API
        server is silent, and as soon as it falls silent."""
        if self.pulse.is_silent:
            raise Away("the API server does not answer")
        try:
            async with self.pulse.waiting(), self._sent(request) as answer:
                yield answer
        except TimeoutError as error:
            raise Away("the API server has fallen silent") from error

    @asynccontextmanager
    async def _sent(self, request: _Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """The open answer to a request, whatever is known of the API server."""
        if self._client is None:
            raise Unavailable("there is no connection to the cluster yet")
        configuration = self._client.configuration
        url = configuration.host + request.path + (f"?{urlencode(request.query)}" if request.query else "")
        sent: CIMultiDict[str] = CIMultiDict(request.headers or {})
        sent.setdefault("Accept", "application/json")
        sent["User-Agent"] = "rollcall-api"
        # The hook behind this call reads a rotated service account token again.
        authorization = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if authorization:
            sent["Authorization"] = authorization
        try:
            with counted(request.method, request.path, request.query or {}) as count:
                response = await self._client.rest_client.request(
                    request.method, url, headers=sent, body=request.body, _request_timeout=request.timeout
                )
                count.code = response.status
            if response.status < 500:  # such an answer can come from a proxy that finds no API server
                self.pulse.heard()
            async with response.response as answer:
                if answer.status >= 400:
                    raise _problem(answer.status, await answer.read())
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            raise Away(f"the API server does not answer ({type(error).__name__})") from error


def _problem(status: int, body: bytes) -> Problem:
    try:
        message = str(orjson.loads(body).get("message") or "")
    except (orjson.JSONDecodeError, AttributeError):
        message = ""
    if status in _ERRORS:
        return _ERRORS[status](message or f"the API server answers {status}")
    return Unavailable(f"the API server answers {status}")


def _event(line: bytes) -> Object:
    event: Object = orjson.loads(line)
    if event["type"] == "ERROR":
        raise _problem(int(event["object"].get("code") or 500), orjson.dumps(event["object"]))
    return event
