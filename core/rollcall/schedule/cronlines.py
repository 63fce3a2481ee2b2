"""Cron lines in a zone. croniter says which local times match, always naive ones; the zone is applied here.

Given zone-aware times croniter fires `30 2 * * *` twice on the day that the clock is turned back. The rules here are
those of Debian's cron:

- A line whose minute and hour are fixed runs once at each of its local times. What the clock shows twice counts the
  first time; what it leaves out runs as soon as it goes on, once even if several of the line's times are left out.
- A line whose minute or hour begins with `*` follows elapsed time: it runs whenever the clock shows a matching time,
  twice in an hour that is repeated and not at all in one that is left out.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from croniter import CroniterBadDateError, croniter

from rollcall.schedule import cronfields
from rollcall.schedule.zones import first_moment, local, next_change, offset

_NEAR: Final = timedelta(minutes=1)
"""A change of the clock cannot hide in a shorter span with the same offset at both ends."""
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
        fields, moment = _read(self.line), moment.astimezone(UTC)
        return self._following(fields, moment) if fields.follows_time else self._fixed(fields, moment)

    def _fixed(self, fields: cronfields.CronFields, moment: datetime) -> Iterator[datetime]:
        last = moment
        for naive in _matches(fields, local(moment, self.zone)):
            slot = first_moment(naive, self.zone)
            if slot > last:
                yield slot
                last = slot

    def _following(self, fields: cronfields.CronFields, moment: datetime) -> Iterator[datetime]:
        """Go from one change of the clock to the next: between them local time runs as evenly as any."""
        while True:
            ahead = offset(moment, self.zone)
            for naive in _matches(fields, (moment + ahead).replace(tzinfo=None)):
                slot = (naive - ahead).replace(tzinfo=UTC)
                change = self._change(moment, slot, ahead)
                if change is not None:
                    break
                yield slot
                moment = slot
            else:
                return
            # From the change on another offset holds; what the clock shows at that very moment may match.
            shown = local(change, self.zone)
            if next(_matches(fields, shown - timedelta(seconds=1)), None) == shown:
                yield change
            moment = change

    def _change(self, moment: datetime, slot: datetime, ahead: timedelta) -> datetime | None:
        if slot - moment <= _NEAR and offset(slot, self.zone) == ahead:
            return None
        return next_change(moment, slot, self.zone)


def _matches(fields: cronfields.CronFields, start: datetime) -> Iterator[datetime]:
    """The naive local times later than a naive one that match, in order, some of them more than once."""
    streams = [_stream(expression, fields.either_day, start) for expression in fields.expressions]
    return streams[0] if len(streams) == 1 else heapq.merge(*streams)


def _stream(expression: str, either_day: bool, start: datetime) -> Iterator[datetime]:
    matches = croniter(expression, start, ret_type=datetime, day_or=either_day)
    while True:
        try:
            yield matches.get_next()
        except (CroniterBadDateError, OverflowError):
            return  # there is none in 50 years, or the calendar ends
