"""`/healthz`, `/readyz` and `/metrics`.

Ready: the process runs, as the leader or waiting for its turn. Healthy: the leader's watches tell what happens. A watch
that died without a word shows when a full list holds what no event has told; the kubelet then starts the process anew.
"""

import asyncio
import logging
from typing import Final

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from rollcall_operator import metrics
from rollcall_operator.application import Application
from rollcall_operator.cluster import ClusterError

logger = logging.getLogger(__name__)

COMPARE_SECONDS: Final = 120.0
SETTLE_SECONDS: Final = 10.0
"""How long a watch may take to tell what a list shows already."""


class Health:
    """What the probes and Prometheus are told."""

    def __init__(self) -> None:
        self.trouble: str | None = None

    async def serve(self, port: int) -> web.AppRunner:
        """Begin to answer; the caller cleans the runner up."""
        server = web.Application()
        server.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", make_aiohttp_handler(metrics.REGISTRY)),
            ]
        )
        runner = web.AppRunner(server, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=port).start()
        return runner

    def lead(self, application: Application) -> None:
        """Tell from now on what the leader's store holds."""
        metrics.REGISTRY.register(application.tally)
        metrics.LEADER.set(1)

    async def watch_the_watches(self, application: Application) -> None:
        """Compare with full lists from time to time, for ever; also heals deletions that a watch has lost."""
        while True:
            await asyncio.sleep(COMPARE_SECONDS)
            try:
                self.trouble = await application.compare(SETTLE_SECONDS)
            except ClusterError as error:
                logger.warning("cannot compare with the cluster: %s", error)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(status=500 if self.trouble else 200, text=f"{self.trouble or 'ok'}\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")
