"""Between the local times of a zone and moments, also those that a change of the clock repeats or leaves out.

Python's `zoneinfo` does not list a zone's changes. They are found by bisection: an offset that differs at both ends
of a span has changed within it.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_STEP: Final = timedelta(hours=6)
"""No zone changes its clock twice in less."""
_SECOND: Final = timedelta(seconds=1)


def zone(name: str) -> tzinfo:
    """The zone of an IANA name, as Europe/Berlin. Raises ValueError when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}: give an IANA name, as Europe/Berlin") from error


def offset(moment: datetime, in_zone: tzinfo) -> timedelta:
    """How far the zone's clock is ahead of UTC at a moment."""
    return moment.astimezone(in_zone).utcoffset() or timedelta()


def local(moment: datetime, in_zone: tzinfo) -> datetime:
    """What the zone's clock shows at a moment, as a naive time."""
    return moment.astimezone(in_zone).replace(tzinfo=None, fold=0)


def first_moment(naive: datetime, in_zone: tzinfo) -> datetime:
    """The moment at which the zone's clock first shows a naive time, or goes on behind it if that time is left out."""
    aware = naive.replace(tzinfo=in_zone, fold=0)
    moment = aware.astimezone(UTC)
    if local(moment, in_zone) == naive:
        return moment
    # PEP 495: in a gap fold=0 takes the offset before the change, and so lies behind it; fold=1 lies before it.
    earlier = naive.replace(tzinfo=in_zone, fold=1).astimezone(UTC)
    return _change(earlier, moment, in_zone)


def next_change(after: datetime, until: datetime, in_zone: tzinfo) -> datetime | None:
    """The first moment in `(after, until]` with another offset than the moment before it; None when there is none."""
    begin, known = after, offset(after, in_zone)
    while begin < until:
        end = min(begin + _STEP, until)
        if offset(end, in_zone) != known:
            return _change(begin, end, in_zone)
        begin = end
    return None


def _change(before: datetime, behind: datetime, in_zone: tzinfo) -> datetime:
    """The first whole second with the later offset, which differs from the earlier one."""
    known = offset(before, in_zone)
    while behind - before > _SECOND:
        middle = (before + (behind - before) / 2).replace(microsecond=0)
        if middle <= before:
            break
        if offset(middle, in_zone) == known:
            before = middle
        else:
            behind = middle
    return behind
