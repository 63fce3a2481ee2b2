"""Ids of runs that are about to be made: a run that comes with its id needs no other write for it.

They are taken from the sequence in blocks: as many as runs are due, and twice as many as the last time while one block
after the other is used up. Ids of a block that are left when the operator ends are never used.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from rollcall_operator.cluster import ClusterError

logger = logging.getLogger(__name__)

MAX_BLOCK: Final = 500
_SOON_SECONDS: Final = 1.0
"""A block that was used up in less time was too small."""
_RETRY_SECONDS: Final = 1.0


class RunIds:
    """Ids that no object has, one for each run."""

    def __init__(self, take: Callable[[int], Awaitable[range]], due: Callable[[], int]) -> None:
        """`take` takes so many from the sequence, `due` says for how many more runs ids will be asked for at once."""
        self._take = take
        self._due = due
        self._ids: deque[int] = deque()
        self._asking = 0
        self._taking = asyncio.Lock()
        self._last = (0, -_SOON_SECONDS)
        """The size of the last block, and when it was taken."""
        self._not_before = 0.0

    async def next(self) -> int | None:
        """An id; None while the sequence gives none: who numbers the other objects numbers that run later, too."""
        self._asking += 1
        try:
            while not self._ids:
                async with self._taking:
                    if not self._ids and not await self._refill():
                        return None
            return self._ids.popleft()
        finally:
            self._asking -= 1

    async def _refill(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            return False
        size, taken = self._last
        wanted = self._asking + self._due()
        if now - taken < _SOON_SECONDS:
            wanted = max(wanted, 2 * size)
        count = min(wanted, MAX_BLOCK)
        try:
            self._ids.extend(await self._take(count))
        except ClusterError as error:
            logger.warning("runs of schedules get their ids later: %s", error)
            self._not_before = now + _RETRY_SECONDS
            return False
        self._last = (count, now)
        return True
