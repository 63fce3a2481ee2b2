"""The part of a stand-in node that gives the logs of its containers, as a kubelet's server does."""

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from support.standin_runner import Log

_BATCH_SECONDS: Final = 0.02
"""How long lines of a log may wait to be sent together."""
_BATCH_BYTES: Final = 65_536


@dataclass
class Container:
    """A pod's container that has been started."""

    uid: str
    log: Log
    killed: asyncio.Event = field(default_factory=asyncio.Event)


Containers = dict[tuple[str, str], Container]
"""By namespace and name of their pod."""


class Logs:
    """The server."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    async def serve(self, address: str, certificate: Path) -> int:
        """Begin to answer; the port."""
        application = web.Application()
        application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._answer)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, address, 0, ssl_context=context, backlog=4096).start()
        return int(runner.addresses[0][1])

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        container = self._containers.get((request.match_info["namespace"], request.match_info["pod"]))
        if container is None:
            raise web.HTTPNotFound(text="no such container has been started here")
        since = request.query.get("sinceTime")
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await _tell(
                container.log,
                container.killed if request.query.get("follow") == "true" else None,
                datetime.fromisoformat(since).timestamp() if since else 0.0,
                response,
            )
        except ConnectionResetError:
            pass  # the reader has heard enough
        return response


async def _tell(log: Log, killed: asyncio.Event | None, since: float, response: web.StreamResponse) -> None:
    """Send the lines of a log, many at a time; without `killed` only those that are there, else as they become due."""
    waiting: list[bytes] = []
    length = 0

    async def send() -> None:
        nonlocal length
        if waiting:
            await response.write(b"".join(waiting))
        waiting.clear()
        length = 0

    for due, line in log.lines():
        if due < since:
            continue
        if due > time.time():
            await send()
            if killed is None or await happens(killed, max(due - time.time(), _BATCH_SECONDS)):
                break
        waiting.append(line)
        length += len(line)
        if length >= _BATCH_BYTES:
            await send()
    await send()


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event happens within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
