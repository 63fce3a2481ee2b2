"""Between the local times of a zone and moments, also those that a change of the clock repeats or leaves out.

Python's `zoneinfo` does not list a zone's changes. One that leaves out a time is found by bisection: an offset that
differs at both ends of a span has changed within it.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_STEP: Final = timedelta(hours=6)
"""No zone changes its clock twice in less."""
_STEPS: Final = 4
"""A day in all: no zone turns its clock back further, and a later change shows nothing that lies before now."""
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


def moments(naive: datetime, in_zone: tzinfo) -> list[datetime]:
    """The moments at which the zone's clock shows a naive time, in order: one, two, or none."""
    first, second = (naive.replace(tzinfo=in_zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return [first]
    return [moment for moment in (first, second) if local(moment, in_zone) == naive]


def turned_back(moment: datetime, in_zone: tzinfo) -> timedelta:
    """How far the zone's clock is turned back within a day after a moment."""
    ahead = offset(moment, in_zone)
    return max(ahead - offset(moment + step * _STEP, in_zone) for step in range(_STEPS + 1))


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
