"""Cron lines in a zone. croniter says which times of a day match, always naive ones; the zone is applied here.

Given zone-aware times croniter fires `30 2 * * *` twice on the day that the clock is turned back. The rules here are
those of Debian's cron:

- A line whose minute and hour are fixed runs once at each of its local times. What the clock shows twice counts the
  first time; what it leaves out runs as soon as it goes on, once even if several of the line's times are left out.
- A line whose minute or hour begins with `*` follows elapsed time: it runs whenever the clock shows a matching time,
  twice in an hour that is repeated and not at all in one that is left out.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final

from croniter import croniter

from rollcall.schedule import cronfields
from rollcall.schedule.zones import first_moment, local, moments, turned_back

_SECOND: Final = timedelta(seconds=1)
_ANY_DAY: Final = date(2000, 1, 1)
_BEGINNING: Final = datetime(2, 1, 1, tzinfo=UTC)
"""No slot is looked for before, so that local times stay within the calendar."""
_KNOWN: Final = 6
"""How many of the first slots are remembered: one that is due, and those that are shown."""
_read = lru_cache(maxsize=4096)(cronfields.read)


@dataclass(frozen=True, slots=True)
class CronLine:
    """A cron line in a zone."""

    line: str
    zone: tzinfo

    def __post_init__(self) -> None:
        """Raises ValueError when the line cannot be read, or never comes."""
        _read(self.line)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The slots later than a moment, in order, in UTC, each once; there may be none."""
        first = _first(self, moment.astimezone(UTC).replace(microsecond=0))
        yield from first
        if len(first) == _KNOWN:
            yield from self.all_after(first[-1])

    def all_after(self, moment: datetime) -> Iterator[datetime]:
        """The same, without remembering any."""
        fields, moment = _read(self.line), max(moment.astimezone(UTC), _BEGINNING)
        try:
            yield from self._following(fields, moment) if fields.follows_time else self._fixed(fields, moment)
        except OverflowError:
            return  # the calendar ends

    def _fixed(self, fields: cronfields.CronFields, moment: datetime) -> Iterator[datetime]:
        last = moment
        for naive in _matches(fields, local(moment, self.zone)):
            slot = first_moment(naive, self.zone)
            if slot > last:
                yield slot
                last = slot

    def _following(self, fields: cronfields.CronFields, moment: datetime) -> Iterator[datetime]:
        """Every moment at which the clock shows a match: what it shows again waits until that time has come."""
        again: list[datetime] = []
        # The clock may show times again that lie before what it shows now.
        for naive in _matches(fields, local(moment, self.zone) - turned_back(moment, self.zone)):
            shown = moments(naive, self.zone)
            while again and shown and again[0] < shown[0]:
                yield heapq.heappop(again)
            later = [slot for slot in shown if slot > moment]
            if later and later[0] == shown[0]:
                yield later.pop(0)
            for slot in later:
                heapq.heappush(again, slot)
        while again:
            yield heapq.heappop(again)


@lru_cache(maxsize=256)
def _first(line: CronLine, moment: datetime) -> Sequence[datetime]:
    """The first slots after a moment of whole seconds: thousands of schedules have one line, and are due at once."""
    return tuple(islice(line.all_after(moment), _KNOWN))


def _matches(fields: cronfields.CronFields, start: datetime) -> Iterator[datetime]:
    """The naive local times later than a naive one that match, in order."""
    times = _times(fields.times)
    for day in fields.days_from(start.date()):
        begin = bisect_right(times, start.time()) if day == start.date() else 0
        for number in range(begin, len(times)):
            yield datetime.combine(day, times[number])


@lru_cache(maxsize=256)
def _times(minutes_and_hours: str) -> Sequence[time]:
    """The times of any day that match, in order: those of the next day come as soon as there are no more."""
    times = croniter(minutes_and_hours + " * * *", datetime.combine(_ANY_DAY, time()) - _SECOND, ret_type=datetime)
    found = iter(times.get_next, None)
    return tuple(match.time() for match in takewhile(lambda match: match.date() == _ANY_DAY, found))
