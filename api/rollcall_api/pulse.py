"""Whether the API server answers. One that refuses connections says so itself; one that holds them says nothing.

Every answer is a sign of life, and when nothing else is asked the facade asks for one each second. After three seconds
without any the server counts as away: whoever waits for it is told, also those who watch, and nobody else is made to
wait until it answers again.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from rollcall_api.problems import Problem

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 3.0


class Pulse:
    """The API server's signs of life."""

    def __init__(self) -> None:
        self.heard_at = time.monotonic()
        """When the last sign came, as `time.monotonic` tells."""
        self._answers = asyncio.Event()
        self._answers.set()
        self._waiting: set[asyncio.Timeout] = set()

    @property
    def is_silent(self) -> bool:
        """Whether the API server is away."""
        return not self._answers.is_set()

    def heard(self) -> None:
        """Takes note of a sign of life."""
        now = time.monotonic()
        if self.is_silent:
            logger.warning("the API server answers again, after %.0f s", now - self.heard_at)
            self._answers.set()
        self.heard_at = now

    async def answering(self) -> None:
        """Returns once the API server is not away."""
        await self._answers.wait()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """While something is expected of the API server. Raises TimeoutError as soon as it counts as away."""
        async with asyncio.timeout(None) as limit:
            self._waiting.add(limit)
            try:
                yield
            finally:
                self._waiting.discard(limit)

    async def run(self, ask: Callable[[float], Awaitable[None]]) -> None:
        """Listens for ever; `ask` asks for a sign, and gives up after so many seconds."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            quiet = time.monotonic() - self.heard_at
            if quiet < BEAT_SECONDS:
                continue
            with suppress(Problem):
                await ask(SILENT_SECONDS if self.is_silent else max(BEAT_SECONDS, SILENT_SECONDS - quiet))
            if not self.is_silent and time.monotonic() - self.heard_at >= SILENT_SECONDS:
                self._fall_silent()

    def _fall_silent(self) -> None:
        logger.warning("the API server has not answered for %.0f s", time.monotonic() - self.heard_at)
        self._answers.clear()
        for limit in self._waiting:
            limit.reschedule(asyncio.get_running_loop().time())
        self._waiting.clear()
