"""Whether the API server answers. One that refuses connections says so itself; one that holds them says nothing.

Every answer is a sign of life, and when nothing else is asked the facade asks for one each second. After three seconds
without any the server counts as away: whoever waits for it is told, also those who watch, and nobody else is made to
wait until it answers again.

Only time in which the facade could have heard an answer counts. When its own process stands still, because the machine
is busy or somebody stopped it, the answers lie unread meanwhile, and the silence is its own.
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
_ROUNDING_SECONDS: Final = 0.01
"""Timers may be early by a little."""
_TICK_SECONDS: Final = 0.25
_LONGEST_TICK_SECONDS: Final = 0.5
"""What is counted at most between two looks at the clock: who looks later than that did not listen in between."""


class Pulse:
    """The API server's signs of life."""

    def __init__(self) -> None:
        self.heard_at = time.monotonic()
        """When the last sign came, as `time.monotonic` tells."""
        self._answers = asyncio.Event()
        self._answers.set()
        self._waiting: set[asyncio.Timeout] = set()
        self._looked_at = self.heard_at
        self._listened = 0.0

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
        self._listened = 0.0

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
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            tasks.create_task(self._beat(ask))

    async def _beat(self, ask: Callable[[float], Awaitable[None]]) -> None:
        pause = BEAT_SECONDS
        while True:
            await asyncio.sleep(pause)
            began, quiet = time.monotonic(), self._quiet()
            if quiet >= BEAT_SECONDS:
                rest = SILENT_SECONDS - quiet + _ROUNDING_SECONDS
                with suppress(Problem):
                    await ask(SILENT_SECONDS if self.is_silent else max(BEAT_SECONDS, rest))
                if not self.is_silent and self._quiet() >= SILENT_SECONDS:
                    self._fall_silent()
            pause = max(BEAT_SECONDS - (time.monotonic() - began), 0)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._quiet()

    def _quiet(self) -> float:
        """For how many seconds there has been no sign of life that could have been heard."""
        now = time.monotonic()
        self._listened += min(now - max(self._looked_at, self.heard_at), _LONGEST_TICK_SECONDS)
        self._looked_at = now
        return self._listened

    def _fall_silent(self) -> None:
        logger.warning("the API server has not answered for %.0f s", time.monotonic() - self.heard_at)
        self._answers.clear()
        for limit in self._waiting:
            limit.reschedule(asyncio.get_running_loop().time())
        self._waiting.clear()
