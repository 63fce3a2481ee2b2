"""What every answer of the dialect carries, whoever makes it: a route, the gate, or nobody (contract §1.3)."""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollcall_api.foreman.taxonomies import CONTEXT, Context, Taxonomies

_CHECKSUMMED: Final = ("/api", "/foreman_tasks")
"""The beginnings of paths whose answers tell of the description's checksum; `/api` is also that of `/apidoc`."""


class Frame:
    """The ASGI layer that adds the headers with the organization and location of the request, the checksum, and how
    old the answer may be (RFC 9111 §5.1): the seconds since the cache was last known to be complete."""

    def __init__(self, app: ASGIApp, taxonomies: Taxonomies, checksum: str, age: Callable[[], float]) -> None:
        self._app = app
        self._taxonomies = taxonomies
        self._checksum = (b"apipie-checksum", checksum.encode())
        self._age = age

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = scope[CONTEXT] = Context(self._taxonomies)
        checksum = [self._checksum] if scope["path"].startswith(_CHECKSUMMED) else []

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                age = (b"age", b"%d" % self._age())
                message["headers"] = [*message["headers"], *context.headers, *checksum, age]
            await send(message)

        await self._app(scope, receive, send_framed)
