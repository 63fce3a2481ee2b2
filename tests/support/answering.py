"""An HTTP server in the test's own process, which the operator's connection asks in place of an API server.

For what no API server can be made to do when it is wanted: to put requests off, to fail, to answer so many times.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from kubernetes.aio.client import Configuration

from rollcall_operator.cluster import Cluster


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Cluster]:
    """A connection all of whose requests get this answer; `match_info["path"]` has their paths."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with Cluster(configuration) as cluster:
            yield cluster
    finally:
        await runner.cleanup()
