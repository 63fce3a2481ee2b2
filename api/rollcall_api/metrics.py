"""What the facade's `/metrics` says; docs/metrics.md explains every name and label.

It is answered at a port of its own, because every path of the facade but the probes is behind authentication. No
label names a host, an invocation or a person: how many series there are follows from the routes.
"""

import platform
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.registry import Collector

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would be a second series for every counter
REGISTRY: Final = CollectorRegistry(support_collectors_without_names=True)
ProcessCollector(registry=REGISTRY)
BUILD: Final = Gauge(
    "rollcall_build_info",
    "1, with the versions of Rollcall and of Python.",
    ("version", "python"),
    registry=REGISTRY,
)
BUILD.labels(version("rollcall-operator"), platform.python_version()).set(1)
REQUESTS: Final = Counter(
    "rollcall_kubernetes_requests",
    "Requests to the API server, by RBAC verb, resource and HTTP status.",
    ("verb", "resource", "code"),
    registry=REGISTRY,
)
REQUEST_SECONDS: Final = Histogram(
    "rollcall_kubernetes_request_seconds",
    "How long the API server took to begin its answer.",
    ("verb",),
    buckets=_SECONDS,
    registry=REGISTRY,
)


@dataclass
class Answer:
    """How a request was answered."""

    code: int | None = None
    """The HTTP status; None while there is no answer."""


@contextmanager
def counted(method: str, path: str, query: Mapping[str, str | int]) -> Iterator[Answer]:
    """Counts one request to the API server."""
    answer = Answer()
    began = time.perf_counter()
    try:
        yield answer
    finally:
        verb, resource = _verb_and_resource(method, path, query)
        REQUESTS.labels(verb, resource, str(answer.code or "none")).inc()
        REQUEST_SECONDS.labels(verb).observe(time.perf_counter() - began)


def _verb_and_resource(method: str, path: str, query: Mapping[str, str | int]) -> tuple[str, str]:
    """What RBAC calls the request."""
    parts = path.split("/")[4 if path.startswith("/apis/") else 3 :]
    if not parts:
        return method.lower(), path  # no resource: the version, which tells that the API server is there
    resource, *rest = parts[2:] if parts[0] == "namespaces" and len(parts) > 2 else parts
    verbs = {"GET": "get" if rest else "list", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    verb = "watch" if "watch" in query else verbs[method]
    return verb, "/".join((resource, *rest[1:]))


@asynccontextmanager
async def serving(address: tuple[str, int] | None, *collectors: Collector) -> AsyncIterator[None]:
    """Answers `/metrics` at the address and port meanwhile, also with what these collectors tell."""
    if address is None:
        yield
        return
    for collector in collectors:
        REGISTRY.register(collector)
    server = web.Application()
    server.add_routes([web.get("/metrics", make_aiohttp_handler(REGISTRY))])
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, *address).start()
        yield
    finally:
        await runner.cleanup()
        for collector in collectors:
            REGISTRY.unregister(collector)
