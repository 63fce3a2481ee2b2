"""Slots: so many requests are under way at once, and those that are urgent wait behind no other."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rollcall_operator.recent import PATIENCE_SECONDS, Recent


class Slots:
    """So many slots, given in the order in which they are asked for, first to whoever is in a hurry.

    While somebody is in a hurry the others have few of them: the server would take its time from what is urgent.
    """

    def __init__(self, count: int, beside_urgent: int, patience: float = PATIENCE_SECONDS) -> None:
        """`beside_urgent` is how many are given to others while urgent ones are in use."""
        self._free = count
        self._beside_urgent = beside_urgent
        self._used = {urgent: Recent(self._hand_out, patience) for urgent in (True, False)}
        """Those in use, by whether that is urgent."""
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @asynccontextmanager
    async def slot(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Wait for a slot, and have it while inside."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting[urgent].append(turn)
        self._hand_out()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():  # else it was not given: the wait was called off
                self._used[urgent].end(turn)
                self._free += 1
                self._hand_out()

    def _hand_out(self) -> None:
        for urgent in (True, False):
            line = self._waiting[urgent]
            while line and self._free and (urgent or self._may_go_beside()):
                turn = line.popleft()
                if not turn.done():
                    turn.set_result(None)
                    self._used[urgent].begin(turn)
                    self._free -= 1

    def _may_go_beside(self) -> bool:
        return not self._used[True] or len(self._used[False]) < self._beside_urgent
