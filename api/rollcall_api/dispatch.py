"""Takes a request straight to its handler, past FastAPI's layers, which cost several times what a handler does.

The routes are FastAPI's own, so that its OpenAPI document describes exactly what is served.
"""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from re import Match

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall_api.traffic import BEGAN, RouteCount, Traffic

Entry = tuple[Callable[[str], Match[str] | None], Callable[[Request], Awaitable[Response]], RouteCount]


class Dispatch:
    """Serves the given routes itself and leaves every other request to the application behind it."""

    def __init__(self, routes: Sequence[BaseRoute], otherwise: ASGIApp, traffic: Traffic) -> None:
        self._otherwise = traffic.unrouted(otherwise)
        self._routes: defaultdict[str, list[Entry]] = defaultdict(list)
        for route in routes:
            if isinstance(route, APIRoute):
                handler = route.get_route_handler()
                for method in sorted(route.methods or ()):
                    count = traffic.route(_dialect(route), route.path, method)
                    self._routes[method].append((route.path_regex.match, handler, count))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; the first route of that method and path has it."""
        if scope["type"] == "http":
            path = scope["path"]
            for match, handler, count in self._routes.get(scope["method"], ()):
                if found := match(path):
                    scope["path_params"] = found.groupdict()
                    response = await handler(Request(scope, receive, send))
                    try:
                        await response(scope, receive, send)
                    finally:
                        count.add(response.status_code, time.perf_counter() - scope[BEGAN])
                    return
        await self._otherwise(scope, receive, send)


def _dialect(route: APIRoute) -> str:
    """The dialect that has the route, which is a package of that name."""
    return str(route.endpoint.__module__).split(".")[1]
