"""Takes a request straight to its handler, past FastAPI's layers, which cost several times what a handler does.

The routes are FastAPI's own, so that its OpenAPI document describes exactly what is served.
"""

from collections.abc import Awaitable, Callable, Sequence

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send


class Dispatch:
    """Serves the given routes itself and leaves every other request to the application behind it."""

    def __init__(self, routes: Sequence[BaseRoute], otherwise: ASGIApp) -> None:
        self._otherwise = otherwise
        self._routes = [
            (route.methods or set(), route.path_regex.match, route.get_route_handler())
            for route in routes
            if isinstance(route, APIRoute)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; the first route of that method and path has it."""
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            for methods, match, handler in self._routes:
                if method in methods and (found := match(path)):
                    scope["path_params"] = found.groupdict()
                    await _answer(handler, scope, receive, send)
                    return
        await self._otherwise(scope, receive, send)


async def _answer(
    handler: Callable[[Request], Awaitable[Response]], scope: Scope, receive: Receive, send: Send
) -> None:
    response = await handler(Request(scope, receive, send))
    await response(scope, receive, send)
