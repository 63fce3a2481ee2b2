"""A reverse proxy in front of the API server that sees every request of the operator, and can disturb each of them."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web

from support.kube import Kube

T = TypeVar("T")

WRITES = ("POST", "PUT", "PATCH", "DELETE")
_NOT_PASSED_ON = ("host", "authorization", "content-length")
_NOT_PASSED_BACK = ("transfer-encoding", "content-length", "connection")


@dataclass(frozen=True)
class Call:
    """One request: its method, and its path with names replaced by their kind."""

    method: str
    path: str
    watch: bool = False
    caller: str = field(default="", compare=False)
    """The token that came with it."""
    agent: str = field(default="", compare=False)
    """What the program calls itself that sent it."""
    body: str = field(default="", compare=False, repr=False)
    """What it says, as JSON; not shown, because it may hold a Secret."""

    @classmethod
    def of(cls, request: web.Request, body: bytes) -> Self:
        path = re.sub(r"^/apis?/", "", re.sub(r"/namespaces/[^/]+", "", request.path))
        named = re.sub(r"(/v1\w*/\w+)/[^/]+", r"\1/NAME", "/" + path)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        agent = request.headers.get("User-Agent", "")
        watch = request.query.get("watch") == "true"
        return cls(request.method, named, watch, token, agent, body.decode(errors="replace"))

    @property
    def writes(self) -> bool:
        """Whether it changes something for good; the Lease is renewed all the time."""
        return self.method in WRITES and "/leases" not in self.path


@dataclass(frozen=True)
class Answer:
    """What the proxy says instead of the API server, as a Status object (`metav1.Status`)."""

    status: int
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.status, "reason": self.reason}
        said["message"] = f"the proxy says {self.status} {self.reason}"
        return web.json_response(said, status=self.status, headers=self.headers)


class Break(Enum):
    """How a stream, a watch or a followed log, is disturbed."""

    CUT = auto()
    """The connection is gone."""
    SILENT = auto()
    """The connection stays, but says no more."""
    EXPIRED = auto()
    """A watch ends with 410: its resource version is too old."""


class Faults:
    """What is done to requests; this does nothing. An Answer takes the place of the API server's."""

    async def before(self, call: Call) -> Answer | None:
        """Called before the request is passed on; with an Answer it is not."""

    async def after(self, call: Call) -> Answer | None:
        """Called when the request was carried out, before its answer is passed back. Not called for streams."""

    async def during(self, call: Call) -> Break:  # noqa: ARG002
        """Runs beside a stream, a watch or a followed log, and says in the end how to break it."""
        return await asyncio.Future[Break]()


@dataclass(eq=False)
class _Stream:
    """A stream that is being passed on, and how it is to be broken."""

    call: Call
    broken: asyncio.Future[Break] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    whole: bool = True
    """Whether what was passed on so far ends with a line."""


class Proxy:
    """Passes everything on, streams included, as far as the faults let it. It runs in a thread of its own."""

    def __init__(self, kube: Kube, faults: Faults | None = None) -> None:
        self._kube = kube
        self.faults = faults or Faults()
        self.url = ""
        self._streams: set[_Stream] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def kubeconfig(self, path: Path, token: str = "not-looked-at") -> Path:
        """A kubeconfig that leads here; faults know whoever uses it by the token."""
        cluster = {"name": "proxy", "cluster": {"server": self.url}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}
        user = {"name": "proxy", "user": {"token": token}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "users": [user]}
        path.write_text(yaml.safe_dump(config | {"current-context": "proxy"}))
        return path

    def refuse(self) -> None:
        """Be away: all connections are cut, and no new one is taken."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Be there again, at the same address."""
        self._do(self._accept())

    def disturb(self, how: Break, which: Callable[[Call], bool] = lambda _: True) -> int:
        """Break the streams that are open now; how many there were."""
        return self._do(self._disturb(how, which))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        connector = TCPConnector(ssl=self._kube.tls, limit=0)
        async with ClientSession(
            connector=connector, timeout=ClientTimeout(total=None), auto_decompress=False
        ) as session:
            self._session = session
            application = web.Application(client_max_size=2**26)
            application.router.add_route("*", "/{path:.*}", self._pass_on)
            self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
            self._port = 0
            await self._accept()
            self._port = self._runner.addresses[0][1]
            self.url = f"http://127.0.0.1:{self._port}"
            self._ready.set()
            await self._stop.wait()
            await self._runner.cleanup()
        streams = asyncio.all_tasks() - {asyncio.current_task()}
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)

    async def _accept(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await self._site.start()

    async def _refuse(self) -> None:
        await self._site.stop()
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _disturb(self, how: Break, which: Callable[[Call], bool]) -> int:
        chosen = [stream for stream in self._streams if which(stream.call) and not stream.broken.done()]
        for stream in chosen:
            stream.broken.set_result(how)
        return len(chosen)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = Call.of(request, body)
        if (answer := await self.faults.before(call)) is not None:
            return answer.response()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_PASSED_ON}
        url = self._kube.server + request.path_qs
        async with self._session.request(request.method, url, data=body or None, headers=headers) as upstream:
            said = {k: v for k, v in upstream.headers.items() if k.lower() not in _NOT_PASSED_BACK}
            if call.watch or request.query.get("follow") == "true":
                return await self._pass_stream(request, call, upstream, said)
            found = await upstream.read()
            if (answer := await self.faults.after(call)) is not None:
                return answer.response()
            return web.Response(status=upstream.status, headers=said, body=found)

    async def _pass_stream(
        self, request: web.Request, call: Call, upstream: ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        answer = web.StreamResponse(status=upstream.status, headers=headers)
        stream = _Stream(call)
        self._streams.add(stream)
        passing = asyncio.ensure_future(self._copy(upstream, answer, request, stream))
        breaking = asyncio.ensure_future(self.faults.during(call))
        try:
            events: set[asyncio.Future[Any]] = {passing, breaking, stream.broken}
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            if passing.done():
                return passing.result()
            how = breaking.result() if breaking.done() else stream.broken.result()
            passing.cancel()
            await self._break(how, answer, request, stream)
        except (ClientError, ConnectionResetError):
            pass  # one of both sides is gone
        finally:
            self._streams.discard(stream)
            passing.cancel()
            breaking.cancel()
        return answer

    async def _copy(
        self, upstream: ClientResponse, answer: web.StreamResponse, request: web.Request, stream: _Stream
    ) -> web.StreamResponse:
        await answer.prepare(request)
        async for data in upstream.content.iter_any():
            stream.whole = data.endswith(b"\n")
            await answer.write(data)
        return answer

    async def _break(self, how: Break, answer: web.StreamResponse, request: web.Request, stream: _Stream) -> None:
        match how:
            case Break.EXPIRED if stream.whole:
                status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"}
                status["message"] = "too old resource version: 1 (2)"
                if not answer.prepared:
                    await answer.prepare(request)
                await answer.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            case Break.SILENT:
                await self._stop.wait()
            case _:
                if request.transport is not None:
                    request.transport.abort()
