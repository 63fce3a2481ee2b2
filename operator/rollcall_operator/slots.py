"""Slots: so many requests are under way at once, and those that are urgent wait behind no other."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """So many slots, given in the order in which they are asked for, first to whoever is in a hurry."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._hurried: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Wait for a slot, and have it while inside."""
        await self._take(self._hurried if urgent else self._others)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, line: deque[asyncio.Future[None]]) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()  # it was given, and then the wait was called off
            raise

    def _give_back(self) -> None:
        for line in (self._hurried, self._others):
            while line:
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
