"""Readers who are slower than we write, and how long they are waited for.

The server keeps what it has not sent yet. Nothing else bounds that: it waits for a reader for ever. So whoever takes
nothing at all for twenty seconds is cut off, and sooner when much is kept for all of them together, or when others wait
for their turn (`rollcall_api.room`). Who takes little but takes it steadily is never cut off.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PATIENCE_SECONDS: Final = 20.0
HURRIED_SECONDS: Final = 1.5
"""How long a reader may take nothing while others have to wait for it."""
UNSENT_BYTES: Final = 32 * 1024 * 1024
"""What may be kept for all readers together before they are hurried; of twice as much, somebody is cut off at once."""
KERNEL_BYTES: Final = 256 * 1024
"""What the kernel may take of an answer ahead of its reader; by itself it takes megabytes."""
_LOOK_SECONDS: Final = 0.25


@dataclass(slots=True)
class _Reader:
    """What is known of a reader: the bytes that it has still to take, here and in the kernel, and when it took some."""

    untaken: int
    took: float


class Readers:
    """The connections with something unsent; `waited_for` says whether somebody waits until one of them is done."""

    def __init__(
        self,
        waited_for: Callable[[], bool],
        patience: float = PATIENCE_SECONDS,
        hurried: float = HURRIED_SECONDS,
        most: int = UNSENT_BYTES,
    ) -> None:
        self._waited_for = waited_for
        self._patience = patience
        self._hurried = hurried
        self._most = most
        self._readers: dict[asyncio.Transport, _Reader] = {}
        self._answered: set[asyncio.Transport] = set()
        self._looking: asyncio.TimerHandle | None = None

    def protocol(self, *arguments: Any, **options: Any) -> "ReaderProtocol":
        """The protocol of a new connection, as uvicorn makes it."""
        return ReaderProtocol(self, *arguments, **options)

    def watch(self, transport: asyncio.Transport) -> None:
        """Watches a connection, from now on until all is sent."""
        if transport not in self._readers:
            self._readers[transport] = _Reader(_untaken(transport), asyncio.get_running_loop().time())
            self._make_room(transport)
        self._look_soon()

    def answered(self, transport: asyncio.Transport) -> None:
        """Notes that a whole answer was written; if the next look still finds some of it here, it is watched.

        The event loop sends only after it has done everything else, so that right now all answers are unsent.
        """
        self._answered.add(transport)
        self._look_soon()

    def took(self, transport: asyncio.Transport) -> None:
        """Notes that a reader has taken something."""
        if reader := self._readers.get(transport):
            reader.took = asyncio.get_running_loop().time()

    def forget(self, transport: asyncio.Transport) -> None:
        """Forgets a connection that is gone."""
        self._readers.pop(transport, None)
        self._answered.discard(transport)

    def _look_soon(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _make_room(self, newest: asyncio.Transport) -> None:
        """Cuts off those who have taken nothing for longest while too much is kept, but not whom we write to now."""
        others = sorted(self._readers.keys() - {newest}, key=lambda transport: self._readers[transport].took)
        kept = sum(transport.get_write_buffer_size() for transport in self._readers)
        for transport in others:
            if kept <= 2 * self._most:
                return
            kept -= transport.get_write_buffer_size()
            self._cut_off(transport)

    def _cut_off(self, transport: asyncio.Transport) -> None:
        del self._readers[transport]
        transport.abort()

    def _look(self) -> None:
        """Looks at all of them, and cuts off those who have taken nothing for too long."""
        loop = asyncio.get_running_loop()
        self._looking = None
        answered, self._answered = self._answered, set()
        for transport in answered:
            if transport.get_write_buffer_size():
                self.watch(transport)
        kept = 0
        for transport, reader in list(self._readers.items()):
            kept += transport.get_write_buffer_size()
            untaken = _untaken(transport)
            if not untaken:
                del self._readers[transport]
            elif untaken < reader.untaken:
                reader.took = loop.time()
            reader.untaken = untaken
        patience = self._hurried if kept > self._most or self._waited_for() else self._patience
        for transport, reader in list(self._readers.items()):
            if reader.took <= loop.time() - patience:
                self._cut_off(transport)
        if self._readers:
            self._look_soon()


def _untaken(transport: asyncio.Transport) -> int:
    """How many bytes the reader has still to take: those kept here, and those in the kernel (tcp(7), SIOCOUTQ)."""
    if not (kept := transport.get_write_buffer_size()):
        return 0
    descriptor = transport.get_extra_info("socket").fileno()
    queued: int = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0]
    return kept + queued


class ReaderProtocol(HttpToolsProtocol):
    """The server's protocol, which tells of what is unsent."""

    def __init__(self, readers: Readers, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._readers = readers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._readers.watch(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._readers.took(self.transport)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._readers.answered(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._readers.forget(self.transport)
        super().connection_lost(exc)
