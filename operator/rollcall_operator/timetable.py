"""The timetable: when something is to be done about which object, one moment for each."""

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from rollcall_operator.store import Key

_SLACK: Final = 1000
"""How many outdated entries may lie about beside as many as there are objects."""


class Timetable:
    """Objects by the moment that each has come for; what is put off or taken out costs no search."""

    def __init__(self) -> None:
        self._times: dict[Key, datetime] = {}
        self._heap: list[tuple[datetime, Key]] = []
        """What it says beside `_times` is outdated."""

    def __len__(self) -> int:
        """How many entries are held, those that are outdated too."""
        return len(self._heap)

    def put(self, key: Key, moment: datetime | None) -> bool:
        """Set or change the moment of an object, or take it out (None); True when that is news."""
        if self._times.get(key) == moment:
            return False
        if moment is None:
            del self._times[key]
            return True
        self._times[key] = moment
        heapq.heappush(self._heap, (moment, key))
        if len(self._heap) > 2 * len(self._times) + _SLACK:
            self._heap = [(moment, key) for key, moment in self._times.items()]
            heapq.heapify(self._heap)
        return True

    def take_due(self, now: datetime) -> Iterator[Key]:
        """Take out what has come, one after the other in the order of their moments."""
        while self._heap and self._heap[0][0] <= now:
            moment, key = heapq.heappop(self._heap)
            if self._times.get(key) == moment:
                del self._times[key]
                yield key

    @property
    def first(self) -> datetime | None:
        """The moment to look again; now and then it is one that is outdated."""
        return self._heap[0][0] if self._heap else None
