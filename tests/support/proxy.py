"""A reverse proxy in front of the API server that sees every write of the operator, and can kill it at one of them."""

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from support.kube import Kube

WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Write:
    """One write: its method, and its path with names replaced by their kind."""

    method: str
    path: str


class Proxy:
    """Passes everything on, streams included. `on_write(n, write)` is asked at the n-th write that counts.

    It says "before" to kill the client and lose the request, "after" to let the request through, kill the client and
    lose the answer, or None.
    """

    def __init__(self, kube: Kube, on_write: Callable[[int, Write], str | None], kill: Callable[[Write], None]) -> None:
        self._kube = kube
        self._on_write = on_write
        self._kill = kill
        self.writes: list[Write] = []
        self._counting = False
        self._victim = Write("", "")
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def kubeconfig(self, path: Path) -> Path:
        """A kubeconfig that leads here."""
        cluster = {"name": "proxy", "cluster": {"server": self.url}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}
        user = {"name": "proxy", "user": {"token": "not-looked-at"}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "users": [user]}
        path.write_text(yaml.safe_dump(config | {"current-context": "proxy"}))
        return path

    def count(self) -> None:
        """Begin to count."""
        self._counting = True

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
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()
        streams = asyncio.all_tasks() - {asyncio.current_task()}
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        verdict = self._judge(request)
        if verdict == "before":
            self._kill(self._victim)
            raise web.HTTPServiceUnavailable
        headers = {
            k: v for k, v in request.headers.items() if k.lower() not in ("host", "authorization", "content-length")
        }
        url = self._kube.server + request.path_qs
        async with self._session.request(request.method, url, data=body or None, headers=headers) as upstream:
            if verdict == "after":
                await upstream.read()
                self._kill(self._victim)
                raise web.HTTPServiceUnavailable
            skipped = ("transfer-encoding", "content-length", "connection")
            answer = web.StreamResponse(
                status=upstream.status, headers={k: v for k, v in upstream.headers.items() if k.lower() not in skipped}
            )
            try:
                await answer.prepare(request)
                async for data in upstream.content.iter_any():
                    await answer.write(data)
            except ConnectionResetError:
                pass  # the operator was killed
            return answer

    def _judge(self, request: web.Request) -> str | None:
        if not self._counting or request.method not in WRITES or "/leases" in request.path:
            return None  # the Lease is renewed all the time
        path = re.sub(r"^/apis?/", "", re.sub(r"/namespaces/[^/]+", "", request.path))
        write = Write(request.method, re.sub(r"(/v1\w*/\w+)/[^/]+", r"\1/NAME", "/" + path))
        self.writes.append(write)
        verdict = self._on_write(len(self.writes), write)
        if verdict is not None:
            self._victim = write
        return verdict
