"""Room for outputs: how many may be in memory at once, whoever reads them and however slowly.

An output of an ordinary size is in memory as text while it is read and encoded, which depends on no reader; a few are
at a time. One that turns out to be long is given up and read again in parts, which needs a place for as long as it is
sent. Who waits for a place has nothing in hand; readers that take nothing are cut off meanwhile
(`rollcall_api.readers`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

_READS: Final = 4
_PLACES: Final = 6


class Room:
    """Bounds what outputs take in memory."""

    def __init__(self) -> None:
        self._reads = asyncio.Semaphore(_READS)
        self._places = asyncio.Semaphore(_PLACES)
        self._waiting = 0

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits for a place."""
        return self._waiting > 0

    def reading(self) -> AbstractAsyncContextManager[None]:
        """While an output is read and encoded."""
        return self._reads

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """While a long output is sent."""
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()
