"""The lineup: which schedules are to be looked at, those that are due before all others.

While a run is being made, few others are looked at: what is written of them would take the API server's time from the
runs that come due meanwhile.
"""

import asyncio
from collections import OrderedDict, deque
from enum import IntEnum
from typing import Final

from rollcall_operator.recent import PATIENCE_SECONDS, Recent
from rollcall_operator.store import Key

FEW: Final = 4
"""How many are looked at while runs are due, so that also with a run every moment all is said in the end."""


class Rank(IntEnum):
    """Who comes first."""

    DUE = 0
    """A run is to be made."""
    SETTLE = 1
    """Something is to be written down, deleted or thought about."""


class Lineup:
    """Each schedule is in it once, and looked at by one worker at a time."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._waiting: dict[Rank, OrderedDict[Key, None]] = {rank: OrderedDict() for rank in Rank}
        self._busy: dict[Key, Rank] = {}
        self._busy_with = {rank: Recent(self._hand_out, patience) for rank in Rank}
        self._again: dict[Key, Rank] = {}
        """Of those that are being looked at, which are to be looked at once more."""
        self._idle: deque[asyncio.Future[tuple[Key, Rank]]] = deque()
        """Workers that wait for something to do."""

    @property
    def due(self) -> int:
        """How many wait for a run to be made."""
        return len(self._waiting[Rank.DUE])

    def add(self, key: Key, rank: Rank) -> None:
        """Let a schedule be looked at; one that is being looked at, once more after that."""
        if key in self._busy:
            self._again[key] = min(rank, self._again.get(key, rank))
        elif key not in self._waiting[Rank.DUE]:
            if rank is Rank.DUE:
                self._waiting[Rank.SETTLE].pop(key, None)
            self._waiting[rank].setdefault(key)
            self._hand_out()

    async def next(self) -> tuple[Key, Rank]:
        """Wait for the first one, and take it; `done` gives it back."""
        worker: asyncio.Future[tuple[Key, Rank]] = asyncio.get_running_loop().create_future()
        self._idle.append(worker)
        self._hand_out()
        try:
            return await worker
        except asyncio.CancelledError:
            if worker.done() and not worker.cancelled():
                key, rank = worker.result()
                self.add(key, rank)
                self.done(key)
            raise

    def done(self, key: Key) -> None:
        """Let go of a schedule that was looked at."""
        self._busy_with[self._busy.pop(key)].end(key)
        rank = self._again.pop(key, None)
        if rank is not None:
            self.add(key, rank)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._idle and (rank := self._first()) is not None:
            worker = self._idle.popleft()
            if worker.done():
                continue  # it waits no more
            key, _ = self._waiting[rank].popitem(last=False)
            self._busy[key] = rank
            self._busy_with[rank].begin(key)
            worker.set_result((key, rank))

    def _first(self) -> Rank | None:
        """Of which rank the next one is; None when nobody's turn has come."""
        if self._waiting[Rank.DUE]:
            return Rank.DUE
        may_settle = not self._busy_with[Rank.DUE] or len(self._busy_with[Rank.SETTLE]) < FEW
        return Rank.SETTLE if self._waiting[Rank.SETTLE] and may_settle else None
