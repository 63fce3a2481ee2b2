"""Recurrence rules as AWX writes them (RFC 5545, contract AWX §4.10), expanded in the rule's own zone.

`DTSTART;TZID=Europe/London:20300101T020000 RRULE:FREQ=DAILY;INTERVAL=1`: two in the morning by London's clock, summer
and winter. dateutil expands naive local times; the zone is applied here, as it is for cron lines.

dateutil looks for the next time until the year 9999, for minutes where a rule never comes. Such a rule is refused,
after a search of the last hundred of these years, which are like any others. What a rule of hours or minutes says of
days is left to dateutil as well, and its times of a day are counted here: dateutil would go through all minutes of all
days that are not meant.
"""

import heapq
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from math import lcm, prod
from typing import Final

from dateutil.rrule import rrulestr

from rollcall.schedule.zones import first_moment, local, zone

_START: Final = re.compile(r"DTSTART(?:;TZID=(?P<zone>[^:]+))?:(?P<time>\d{8}T\d{6})(?P<utc>Z?)", re.IGNORECASE)
_RULE: Final = re.compile(r"(?P<kind>EX|R)RULE:(?P<parts>\S+)", re.IGNORECASE)
_PART: Final = re.compile(r"[A-Z]+=[-+A-Z0-9,]+")
_UNTIL: Final = re.compile(r"UNTIL=(?P<time>[^;Z]*)(?P<utc>Z?)", re.IGNORECASE)
_STEPS: Final = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
}
_FREQUENCIES: Final = ("YEARLY", "MONTHLY", *_STEPS)
_BY_TIME: Final = ("HOURLY", "MINUTELY")
_LAST_OF: Final = {"BYHOUR": 23, "BYMINUTE": 59, "BYSECOND": 59}
_OF_A_DAY: Final = ("FREQ", "INTERVAL", "BYHOUR", "BYMINUTE", "BYSECOND", "UNTIL", "COUNT")
"""What of a rule of hours or minutes does not say which days it means."""
_APART: Final = (("COUNT", "UNTIL"), ("HOURLY", "BYSETPOS"), ("MINUTELY", "BYSETPOS"))
_LEAP: Final = 4
_MONTHS: Final = 12
_MAX_RULES: Final = 16
_MAX_A_DAY: Final = 60
"""How many times of a day a rule may name; for more there are HOURLY and MINUTELY."""
_MAX_COUNT: Final = 999
"""As in AWX. Such a rule is followed from its start."""
_MAX_INTERVAL: Final = 100_000
_EARLIEST: Final = 1970
_LAST_CENTURY: Final = 9901
"""From here on the calendar ends after 99 years."""
_BARREN_DAYS: Final = 40 * 366
"""After so many days that are meant and have no time that is, a rule of hours or minutes has ended."""
_PATIENCE: Final = 50_000
"""How many times may be excepted in a row: more than the minutes of a month."""
_FORMAT: Final = "%Y%m%dT%H%M%S"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Rules that say when, rules that say when not, and the zone that all of them are meant in."""

    start: datetime
    """Naive, in the zone."""
    zone: tzinfo
    rules: tuple[str, ...]
    exceptions: tuple[str, ...] = ()

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The slots later than a moment; a local time counts once, and one that is left out when the clock goes on.

        Raises ValueError when the exceptions leave out too much, or say so in too small steps.
        """
        begin, last = local(moment, self.zone), moment
        without = _Merged([self._expanded(rule, begin) for rule in self.exceptions])
        for naive in heapq.merge(*(self._expanded(rule, begin) for rule in self.rules)):
            if without.holds(naive):
                continue
            without.passed = 0
            slot = first_moment(naive, self.zone)
            if slot > last:
                yield slot
                last = slot

    def _expanded(self, rule: str, begin: datetime) -> Iterator[datetime]:
        """The naive times of one rule from `begin` on, that one included."""
        parts = _parts(rule)
        if parts["FREQ"] in _BY_TIME:
            return _counted(parts, self.start, begin)
        expanded = rrulestr(rule, dtstart=self._near(parts, begin))
        return iter(expanded.xafter(begin, inc=True))

    def _near(self, parts: Mapping[str, str], begin: datetime) -> datetime:
        """A start from which the rule goes on as from its own: nobody waits for years of minutes to be counted."""
        if "COUNT" in parts or begin <= self.start:
            return self.start
        step, interval = _STEPS.get(parts["FREQ"]), int(parts.get("INTERVAL", 1))
        if step is not None:
            return self.start + (begin - self.start) // (step * interval) * (step * interval)
        years = lcm(interval, _LEAP) if parts["FREQ"] == "YEARLY" else lcm(interval, _LEAP * _MONTHS) // _MONTHS
        year = self.start.year + max(0, begin.year - 1 - self.start.year) // years * years
        leaps = monthrange(year, self.start.month)[1] >= self.start.day  # 2100 does not
        return self.start.replace(year=year) if leaps else self.start


class _Merged:
    """Times in order, of which it can be asked for later and later ones whether they are among them."""

    def __init__(self, streams: list[Iterator[datetime]]) -> None:
        self._times = heapq.merge(*streams)
        self._next = next(self._times, None)
        self.passed = 0
        """How many times there have been since this was set to 0."""

    def holds(self, naive: datetime) -> bool:
        """Whether a time, which is not asked for twice, is among them. Raises ValueError when too many have passed."""
        while self._next is not None and self._next < naive:
            self._next = next(self._times, None)
            self.passed += 1
            if self.passed > _PATIENCE:
                raise ValueError(f"the EXRULEs name more than {_PATIENCE} times between two that they leave")
        return self._next == naive


def _counted(parts: Mapping[str, str], start: datetime, begin: datetime) -> Iterator[datetime]:
    """The naive times of a rule of hours or minutes from `begin` on."""
    end = datetime.strptime(parts["UNTIL"], _FORMAT) if "UNTIL" in parts else datetime.max
    count, since = int(parts.get("COUNT", 0)), start if "COUNT" in parts else max(start, begin)
    made = barren = 0
    for day in _days(parts, since):
        barren += 1
        for naive in _of_a_day(parts, start, day):
            if naive < since:
                continue
            made, barren = made + 1, 0
            if naive > end or 0 < count < made:
                return
            if naive >= begin:
                yield naive
        if barren > _BARREN_DAYS or day > end:
            return


def _days(parts: Mapping[str, str], since: datetime) -> Iterator[datetime]:
    """The midnights of the days that a rule of hours or minutes means, from that of a moment on."""
    said = ";".join(f"{name}={value}" for name, value in parts.items() if name not in _OF_A_DAY)
    return iter(rrulestr(f"FREQ=DAILY;{said}".rstrip(";"), dtstart=datetime.combine(since, time())))


def _of_a_day(parts: Mapping[str, str], start: datetime, day: datetime) -> Iterator[datetime]:
    """The times of a day at which a rule of hours or minutes comes, counted from its start."""
    unit = _STEPS[parts["FREQ"]]
    first = start.replace(second=0) if parts["FREQ"] == "MINUTELY" else start.replace(minute=0, second=0)
    interval, passed = int(parts.get("INTERVAL", 1)), (day - first) // unit
    hours, minutes, seconds = (_numbers(parts, name) for name in ("BYHOUR", "BYMINUTE", "BYSECOND"))
    if parts["FREQ"] == "HOURLY":
        within = [timedelta(minutes=minute) for minute in minutes or (start.minute,)]
    else:
        within = [timedelta()]
    for number in range(-passed % interval, timedelta(days=1) // unit, interval):
        at = day + number * unit
        if (hours and at.hour not in hours) or (parts["FREQ"] == "MINUTELY" and minutes and at.minute not in minutes):
            continue
        for later in within:
            for second in seconds or (start.second,):
                yield at + later + timedelta(seconds=second)


def _numbers(parts: Mapping[str, str], name: str) -> Sequence[int]:
    """The numbers of a part, in order, each once; none where it is not given."""
    return sorted({int(number) for number in parts[name].split(",")}) if name in parts else ()


@lru_cache(maxsize=4096)
def recurrence(text: str) -> Recurrence:
    """The rules of a text. Raises ValueError that says what is wrong with it."""
    strange = [word for word in text.split() if not (_START.fullmatch(word) or _RULE.fullmatch(word))]
    if strange:
        raise ValueError(f"{strange[0][:64]!r} cannot be read: give one DTSTART, RRULEs and EXRULEs, and nothing else")
    starts = list(_START.finditer(text))
    if len(starts) != 1:
        raise ValueError("give one DTSTART, with a TZID or in UTC, as DTSTART;TZID=Europe/Berlin:20300101T020000")
    found = starts[0]
    if bool(found["zone"]) == bool(found["utc"]):
        raise ValueError("DTSTART needs a zone: either ;TZID=Europe/Berlin before the time, or Z behind it")
    in_zone = zone(found["zone"]) if found["zone"] else UTC
    start = _time(found["time"])
    if start.year < _EARLIEST:
        raise ValueError(f"DTSTART must not lie before {_EARLIEST}")
    rules = [(rule["kind"].upper() == "EX", _in_zone(rule["parts"].upper(), in_zone)) for rule in _RULE.finditer(text)]
    read = Recurrence(
        start=start,
        zone=in_zone,
        rules=tuple(rule for excepted, rule in rules if not excepted),
        exceptions=tuple(rule for excepted, rule in rules if excepted),
    )
    if not read.rules:
        raise ValueError("give at least one RRULE, as RRULE:FREQ=DAILY;INTERVAL=1")
    if len(rules) > _MAX_RULES:
        raise ValueError(f"give at most {_MAX_RULES} RRULEs and EXRULEs")
    for rule in (*read.rules, *read.exceptions):
        _check(rule, start)
    return read


def _check(rule: str, start: datetime) -> None:
    """Raises ValueError for a rule that cannot be read, that never comes, or whose times take long to find."""
    parts = _parts(rule)
    given = rule.split(";")
    strange = [part for part in given if not _PART.fullmatch(part)]
    if strange or len(given) != len(parts):
        raise ValueError(f"the rule {rule} cannot be read: give each part once, as INTERVAL=1")
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError(f"the rule {rule} cannot be read: FREQ must be one of {', '.join(_FREQUENCIES)}")
    for name, highest in (("INTERVAL", _MAX_INTERVAL), ("COUNT", _MAX_COUNT)):
        value = parts.get(name, "1")
        if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= highest):
            raise ValueError(f"the rule {rule} cannot be read: {name} must be a number from 1 to {highest}")
    for first, second in _APART:
        if (first in parts or first in parts.values()) and second in parts:
            raise ValueError(f"the rule {rule} cannot be read: {second} does not go with {first}")
    if "BYEASTER" in parts and parts["FREQ"] != "YEARLY":
        raise ValueError(f"the rule {rule} cannot be read: BYEASTER goes with YEARLY only")
    if prod(parts.get(name, "").count(",") + 1 for name in _LAST_OF) > _MAX_A_DAY:
        raise ValueError(f"the rule {rule} names more than {_MAX_A_DAY} times of a day: make it HOURLY or MINUTELY")
    try:
        comes = _comes(parts, rule, start)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"the rule {rule} cannot be read: {error}") from error
    if not comes:
        raise ValueError(f"the rule {rule} never comes")


def _comes(parts: Mapping[str, str], rule: str, start: datetime) -> bool:
    """Whether there is any time that a rule names. Raises several errors when it cannot be read."""
    for name, last in _LAST_OF.items():
        if any(not 0 <= number <= last for number in _numbers(parts, name)):
            raise ValueError(f"{name} must be from 0 to {last}")
    rrulestr(rule, dtstart=start)
    endless = {name: value for name, value in parts.items() if name not in ("COUNT", "UNTIL")}
    like = _in_last_century(start)
    if parts["FREQ"] in _BY_TIME:
        return any(True for _ in _counted(endless, like, like))
    text = ";".join(f"{name}={value}" for name, value in endless.items())
    return any(True for _ in rrulestr(text, dtstart=like))


def _in_last_century(naive: datetime) -> datetime:
    """The same day in a year with the same weekdays, of which those to come have the same days as well."""
    weekday = date(naive.year, 1, 1).weekday()
    years = range(_LAST_CENTURY + (naive.year - _LAST_CENTURY) % 4, date.max.year, 4)
    like = next((year for year in years if date(year, 1, 1).weekday() == weekday), _LAST_CENTURY)
    return naive.replace(year=like, day=min(naive.day, monthrange(like, naive.month)[1]))


def _parts(rule: str) -> dict[str, str]:
    """The parts of a rule, by name."""
    return {name: value for name, _, value in (part.partition("=") for part in rule.split(";"))}


def _time(text: str) -> datetime:
    """A naive time, or the beginning of a day. Raises ValueError that names it."""
    try:
        return datetime.strptime(text, _FORMAT if "T" in text.upper() else "%Y%m%d")
    except ValueError as error:
        raise ValueError(f"there is no time {text}: give one as 20300101T020000") from error


def _in_zone(rule: str, in_zone: tzinfo) -> str:
    """The rule with its UNTIL as a naive time of the zone, where it is given in UTC."""
    until = _UNTIL.search(rule)
    if until is None:
        return rule
    naive = _time(until["time"])
    if until["utc"]:
        naive = local(naive.replace(tzinfo=UTC), in_zone)
    return rule[: until.start()] + f"UNTIL={naive.strftime(_FORMAT)}" + rule[until.end() :]
