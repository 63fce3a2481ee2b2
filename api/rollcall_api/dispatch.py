"""Takes a request straight to its handler, past FastAPI's layers, which cost several times what a handler does.

The routes are FastAPI's own, so that its OpenAPI document describes exactly what is served.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from re import Match
from typing import Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall_api.traffic import BEGAN, RouteCount, Traffic

Handler = Callable[[Request], Awaitable[Response]]
Entry = tuple[Callable[[str], Match[str] | None], Handler, RouteCount]

_KNOWN_PATHS: Final = 1_000
"""Of so many the routes are remembered: who polls asks for the same again and again."""
_LONG_PATH: Final = 200
"""A path of more characters is not worth it."""


class Dispatch:
    """Serves the given routes itself and leaves every other request to the application behind it."""

    def __init__(self, routes: Sequence[BaseRoute], otherwise: ASGIApp, traffic: Traffic) -> None:
        self._otherwise = traffic.unrouted(otherwise)
        self._routes: dict[str, list[Entry]] = {}
        self._known = lru_cache(_KNOWN_PATHS)(self._find)
        for route in routes:
            if isinstance(route, APIRoute):
                handler = route.get_route_handler()
                for method in sorted(route.methods or ()):
                    count = traffic.route(_dialect(route), route.path, method)
                    self._routes.setdefault(method, []).append((route.path_regex.match, handler, count))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; the first route of that method and path has it."""
        if scope["type"] == "http":
            path = scope["path"]
            found = (self._known if len(path) <= _LONG_PATH else self._find)(scope["method"], path)
            if found is not None:
                handler, count, parameters = found
                scope["path_params"] = {**parameters}
                response = await handler(Request(scope, receive, send))
                try:
                    await response(scope, receive, send)
                finally:
                    count.add(response.status_code, time.perf_counter() - scope[BEGAN])
                return
        await self._otherwise(scope, receive, send)

    def _find(self, method: str, path: str) -> tuple[Handler, RouteCount, Mapping[str, str]] | None:
        """What the first route of that method and path has, and what the path says."""
        for match, handler, count in self._routes.get(method, ()):
            if found := match(path):
                return handler, count, found.groupdict()
        return None


def _dialect(route: APIRoute) -> str:
    """The dialect that has the route, which is a package of that name."""
    return str(route.endpoint.__module__).split(".")[1]
