"""The slots of a schedule, whatever says when they are: all of these answer `after`, and nothing else."""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, Protocol

_FIRST_LOOK: Final = timedelta(minutes=30)
_SPARE: Final = 30
"""How many more slots than are wanted are taken from one span."""


class Slots(Protocol):
    """Moments in order."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The slots later than a moment, in order, in UTC, each once."""
        ...


@dataclass(frozen=True, slots=True)
class Once:
    """One moment."""

    at: datetime

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The moment, if it is later."""
        if self.at > moment:
            yield self.at.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Grid:
    """The moments `anchor + k * seconds`, k >= 0 (contract Puppet §7): nothing that happens in between shifts them."""

    anchor: datetime
    seconds: int

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The points of the grid later than a moment; the anchor is the first of all."""
        step = timedelta(seconds=self.seconds)
        passed = (moment - self.anchor) // step + 1 if moment >= self.anchor else 0
        try:
            slot = self.anchor.astimezone(UTC) + passed * step
            while True:
                yield slot
                slot += step
        except OverflowError:
            return  # the calendar ends


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The slots of several, a common one once."""

    parts: tuple[Slots, ...]

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The slots of all parts later than a moment."""
        last = moment
        for slot in heapq.merge(*(part.after(moment) for part in self.parts)):
            if slot > last:
                yield slot
                last = slot


def between(slots: Slots, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """The first `limit` slots in `(after, until]`."""
    found: list[datetime] = []
    for slot in islice(slots.after(after), limit):
        if slot > until:
            break
        found.append(slot)
    return found


def latest(slots: Slots, after: datetime, until: datetime, count: int) -> Sequence[datetime]:
    """The last `count` slots in `(after, until]`, in order.

    Steps back in spans that grow while they hold few, and shrink where they hold many: neither a line of every minute
    nor one that was dense long ago is followed through a year that nobody was there.
    """
    found: deque[datetime] = deque()
    span, many = _FIRST_LOOK, count + _SPARE
    least = timedelta(seconds=many - 1)  # holds fewer: slots are at least a second apart
    while len(found) < count and until > after:
        begin = max(after, until - span)
        part = between(slots, begin, until, many)
        if len(part) == many and span > least:
            span = max(least, span / 8)
            continue
        found.extendleft(reversed(part))
        until, span = begin, span * 4
    return list(found)[-count:]
