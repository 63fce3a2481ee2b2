"""Puts the facade together: the connection to the cluster, the shared parts, the dialects, and the gate before all."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall.outputkeys import StoreAddress
from rollcall_api import documentation, metrics
from rollcall_api.access import Access
from rollcall_api.auth import Authenticator, Gate, probe
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.dispatch import Dispatch
from rollcall_api.feed import report_end
from rollcall_api.foreman import answers as foreman_answers
from rollcall_api.foreman import errors as foreman_errors
from rollcall_api.foreman import routes as foreman_routes
from rollcall_api.foreman import routing as foreman_routing
from rollcall_api.foreman.frame import Frame
from rollcall_api.foreman.search import HostSearch
from rollcall_api.foreman.taxonomies import Taxonomies
from rollcall_api.jobs import Jobs
from rollcall_api.making import Janitor
from rollcall_api.objects import Objects
from rollcall_api.output import Outputs
from rollcall_api.output_store import open_stores
from rollcall_api.pace import Pace
from rollcall_api.sequences import Sequences
from rollcall_api.series import Series
from rollcall_api.throttle import MAX_FAILURES, WINDOW_SECONDS, Throttle
from rollcall_api.traffic import BEGAN, Traffic
from rollcall_api.users import Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the facade is told when it starts."""

    namespace: str
    """Whose objects it shows."""
    ids_namespace: str
    """Where the ConfigMap with the id sequences is."""
    users_dir: Path | None = None
    """The accounts that may log in with a password; none when absent."""
    output_stores: tuple[StoreAddress, ...] = ()
    """Where output may be, besides the cluster."""
    metrics_address: tuple[str, int] | None = None
    """Where `/metrics` is answered, an address and a port; nowhere when absent."""
    login_failures: int = MAX_FAILURES
    """After so many failures of one login from one address within the window, it is refused; `throttle` says more."""
    login_window_seconds: float = WINDOW_SECONDS
    """How long a failed login counts."""


class Facade:
    """The ASGI application, and the parts it is made of."""

    def __init__(self, settings: Settings) -> None:
        self.cluster = Cluster()
        self.cache = Cache(self.cluster, settings.namespace)
        self.access = Access(self.cluster, settings.namespace)
        sequences = Sequences(self.cluster, settings.ids_namespace)
        self.jobs = Jobs(self.cluster, self.cache, sequences, settings.namespace)
        stores = open_stores(settings.output_stores, self.cluster, settings.namespace)
        self.outputs = Outputs(self.cluster, settings.namespace, stores)
        throttle = Throttle(settings.login_failures, settings.login_window_seconds)
        self.authenticator = Authenticator(self.cluster, Users(settings.users_dir), throttle)
        objects = Objects(self.cluster, self.cache, sequences, settings.namespace)
        self.series = Series(self.jobs, objects, self.cache)
        self.janitor = Janitor(self.cluster, settings.namespace)
        taxonomies = Taxonomies(self.cache.hosts)
        pace = Pace()
        hosts = HostSearch(self.cache, taxonomies, pace)
        backend = foreman_routing.Backend(
            self.jobs, self.outputs, self.access, objects, taxonomies, self.series, pace, hosts
        )
        self.dialect = foreman_routes.Dialect(backend)
        self.api = self._api(self.dialect.router)
        self._metrics_address = settings.metrics_address
        self.traffic = Traffic()
        gate = Gate(
            Dispatch(self.dialect.router.routes, self.api, self.traffic),
            self.authenticator,
            canonical=foreman_routing.canonical,
            is_public=foreman_routing.is_public,
            refuse=self.traffic.refusing(foreman_errors.refused),
            away=self.traffic.refusing(foreman_errors.away),
        )
        self._app: ASGIApp = Frame(gate, taxonomies, self.dialect.checksum, lambda: self.cache.age)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        scope[BEGAN] = time.perf_counter()
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await self.cluster.open()
        self.cache.start()
        keepers = [asyncio.create_task(keeper.run()) for keeper in (self.cluster, self.series, self.janitor)]
        for keeper in keepers:
            keeper.add_done_callback(report_end)
        async with metrics.serving(self._metrics_address, self.traffic, self.cache):
            yield
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await self.jobs.settled()
        await self.cache.stop()
        await self.cluster.close()

    def _api(self, *dialects: APIRouter) -> FastAPI:
        """Probes, documentation, and the answer to every path that no dialect has."""
        api = FastAPI(title="Rollcall", docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=self._lifespan)
        for dialect in dialects:
            api.include_router(dialect)
        api.add_route("/healthz", self._healthz, include_in_schema=False)
        api.add_route("/readyz", self._readyz, include_in_schema=False)
        api.add_route("/docs", self._docs, include_in_schema=False)
        api.add_exception_handler(HTTPException, self._not_routed)
        api.openapi()["components"] = {"schemas": foreman_answers.ERRORS}
        return api

    async def _healthz(self, _: Request) -> Response:
        return probe(self.cache.alive)

    async def _readyz(self, _: Request) -> Response:
        return probe(self.cache.synced)

    async def _docs(self, _: Request) -> Response:
        return HTMLResponse(documentation.page(self.api.openapi()))

    async def _not_routed(self, request: Request, _: Exception) -> Response:
        return foreman_errors.not_routed(request.method, request.url.path)
