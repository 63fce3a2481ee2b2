"""What every answer of the dialect carries, whoever makes it: a route, the gate, or nobody (contract §1.3)."""

import time
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollcall_api.foreman.taxonomies import CONTEXT, Context, Taxonomies
from rollcall_api.whole import WHOLE

_CHECKSUMMED: Final = ("/api", "/foreman_tasks")
"""The beginnings of paths whose answers tell of the description's checksum; `/api` is also that of `/apidoc`."""
_WITH_HEADERS: Final = frozenset({"http.response.start", WHOLE})
_YOUNG_SECONDS: Final = 0.25
"""How long an answer counts as young after it was seen that all watches work; an age that grows is always looked at."""
_YOUNG: Final = (b"age", b"0")


class Frame:
    """The ASGI layer that adds the headers with the organization and location of the request, the checksum, and how
    old the answer may be (RFC 9111 §5.1): the seconds since the cache was last known to be complete."""

    def __init__(self, app: ASGIApp, taxonomies: Taxonomies, checksum: str, age: Callable[[], float]) -> None:
        self._app = app
        self._taxonomies = taxonomies
        self._checksum = (b"apipie-checksum", checksum.encode())
        self._age = age
        self._young_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = scope[CONTEXT] = Context(self._taxonomies)
        path = scope["path"]

        async def send_framed(message: Message) -> None:
            if message["type"] in _WITH_HEADERS:
                checksum = [self._checksum] if path.startswith(_CHECKSUMMED) else ()
                message["headers"] = [*message["headers"], *context.headers, *checksum, self._told_age()]
            await send(message)

        await self._app(scope, receive, send_framed)

    def _told_age(self) -> tuple[bytes, bytes]:
        now = time.monotonic()
        if now < self._young_until:
            return _YOUNG
        age = self._age()
        if age > 0:
            return b"age", b"%d" % age
        self._young_until = now + _YOUNG_SECONDS
        return _YOUNG
