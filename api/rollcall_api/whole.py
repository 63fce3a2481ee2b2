"""Answers that are there as a whole leave with one write, head and body together.

An application of ASGI sends an answer in two messages, for each of which uvicorn goes through its checks and makes a
system call; together they cost as much as the rest of a short request. Where the scope's extensions have `WHOLE`, the
application may send one message of that type instead, with `status`, `headers` and `body`; the headers have the length
of the body, and say nothing of the connection. Whatever is out of the ordinary takes the two messages after all, so
that it stays uvicorn's: HEAD, a connection that is to be closed, one that cannot be written to yet, a long body.
"""

import re
from functools import lru_cache
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

WHOLE: Final = "rollcall.whole"
"""The extension, and the type of its message."""
_LONG: Final = 256 * 1024
"""A body of more bytes is not worth a copy behind its head, which would last as long as its reader takes."""
_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What may not be in a header (RFC 9110, section 5.5): with a line end it would be two of them."""


class WholeAnswers:
    """The layer between uvicorn and the application that makes one write of one message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        cycle = getattr(send, "__self__", None)
        if scope["type"] != "http" or not isinstance(cycle, RequestResponseCycle):
            await self._app(scope, receive, send)
            return

        async def send_whole(message: Message) -> None:
            if message["type"] != WHOLE:
                await send(message)
            elif len(message["body"]) <= _LONG and _is_ordinary(cycle):
                _write(cycle, message)
            else:
                await send({**message, "type": "http.response.start"})
                await send({"type": "http.response.body", "body": message["body"]})

        scope.setdefault("extensions", {})[WHOLE] = {}
        await self._app(scope, receive, send_whole)


def _is_ordinary(cycle: RequestResponseCycle) -> bool:
    """Whether nothing but the two writes is left to do for the answer."""
    return (
        cycle.keep_alive
        and not cycle.access_log
        and not cycle.disconnected
        and not cycle.response_started
        and not cycle.flow.write_paused
        and cycle.scope["method"] != "HEAD"
    )


def _write(cycle: RequestResponseCycle, message: Message) -> None:
    """Writes an answer and notes in the cycle what its own `send` would have noted."""
    head = _head(message["status"], (*cycle.default_headers, *message["headers"]))
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.message_event.set()
    cycle.transport.write(head + message["body"])
    cycle.on_response()


@lru_cache(500)
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The bytes before a body; within a second they are often the same.

    Raises ValueError for a forbidden header, and where the reader could not tell where the body ends.
    """
    if any(_FORBIDDEN.search(part) for header in headers for part in header):
        raise ValueError("a header has a character that no header may have")
    names = [name.lower() for name, _ in headers]
    if names.count(b"content-length") != 1 or b"transfer-encoding" in names or b"connection" in names:
        raise ValueError("a whole answer has one length, and does not say what becomes of the connection")
    return b"".join([STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers), b"\r\n"])
