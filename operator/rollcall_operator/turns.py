"""Turns: few invocations are reconciled at a time, and a slow one holds up no other for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rollcall_operator.recent import PATIENCE_SECONDS


class Turns:
    """So many have their turn at a time, in the order in which they asked. One that takes longer goes on uncounted."""

    def __init__(self, at_a_time: int, patience: float = PATIENCE_SECONDS) -> None:
        self._free = asyncio.Semaphore(at_a_time)
        self._patience = patience

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it while inside."""
        await self._free.acquire()
        counted = True

        def give_back() -> None:
            nonlocal counted
            if counted:
                counted = False
                self._free.release()

        timer = asyncio.get_running_loop().call_later(self._patience, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()
