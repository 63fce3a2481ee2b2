"""The lineup: which schedules are to be looked at, those that are due before all others."""

import asyncio
from collections.abc import Iterator
from enum import IntEnum
from itertools import count

from rollcall_operator.store import Key


class Rank(IntEnum):
    """Who comes first."""

    DUE = 0
    """A run is to be made."""
    SETTLE = 1
    """Something is to be written down, deleted or thought about."""


class Lineup:
    """Each schedule is in it once, and looked at by one worker at a time."""

    def __init__(self) -> None:
        self._waiting: asyncio.PriorityQueue[tuple[Rank, int, Key]] = asyncio.PriorityQueue()
        self._ranks: dict[Key, Rank] = {}
        """Of those that wait; what the queue says beside that is outdated."""
        self._busy: set[Key] = set()
        self._again: dict[Key, Rank] = {}
        self._order: Iterator[int] = count()

    @property
    def due(self) -> int:
        """How many wait for a run to be made."""
        return sum(rank is Rank.DUE for rank in self._ranks.values())

    def add(self, key: Key, rank: Rank) -> None:
        """Let a schedule be looked at; one that is being looked at, once more after that."""
        line = self._again if key in self._busy else self._ranks
        known = line.get(key)
        if known is not None and known <= rank:
            return
        line[key] = rank
        if line is self._ranks:
            self._waiting.put_nowait((rank, next(self._order), key))

    async def next(self) -> tuple[Key, Rank]:
        """Wait for the first one, and take it; `done` gives it back."""
        while True:
            rank, _, key = await self._waiting.get()
            if self._ranks.get(key) is rank:
                del self._ranks[key]
                self._busy.add(key)
                return key, rank

    def done(self, key: Key) -> None:
        """Let go of a schedule that was looked at."""
        self._busy.discard(key)
        rank = self._again.pop(key, None)
        if rank is not None:
            self.add(key, rank)
