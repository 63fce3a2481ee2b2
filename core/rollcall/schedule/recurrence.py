"""Recurrence rules as AWX writes them (RFC 5545, contract AWX §4.10), expanded in the rule's own zone.

`DTSTART;TZID=Europe/London:20300101T020000 RRULE:FREQ=DAILY;INTERVAL=1`: two in the morning by London's clock, summer
and winter. dateutil expands naive local times; the zone is applied here, as it is for cron lines.

dateutil looks for the next time until the year 9999, for minutes where a rule never comes. Such a rule is refused,
after a search of the last hundred of these years, which are like any others.
"""

import heapq
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from math import prod
from typing import Final

from dateutil.rrule import rrulestr

from rollcall.schedule.zones import first_moment, local, zone

_START: Final = re.compile(r"DTSTART(?:;TZID=(?P<zone>[^:]+))?:(?P<time>\d{8}T\d{6})(?P<utc>Z?)", re.IGNORECASE)
_RULE: Final = re.compile(r"(?P<kind>EX|R)RULE:(?P<parts>\S+)", re.IGNORECASE)
_UNTIL: Final = re.compile(r"UNTIL=(?P<time>\d{8}(?:T\d{6})?)(?P<utc>Z?)", re.IGNORECASE)
_STEPS: Final = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
}
_FREQUENCIES: Final = ("YEARLY", "MONTHLY", *_STEPS)
_WITHOUT_SETS: Final = ("HOURLY", "MINUTELY")
_MAX_A_DAY: Final = 60
"""How many times of a day a rule may name; for more there are HOURLY and MINUTELY."""
_MAX_COUNT: Final = 999
"""As in AWX. Such a rule is followed from its start."""
_MAX_INTERVAL: Final = 100_000
_EARLIEST: Final = 1970
_LAST_CENTURY: Final = 9901
"""From here on the calendar ends after 99 years."""
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
        expanded = rrulestr(rule, dtstart=self._near(_parts(rule), begin))
        return iter(expanded.xafter(begin, inc=True))

    def _near(self, parts: Mapping[str, str], begin: datetime) -> datetime:
        """A start from which the rule goes on as from its own: nobody waits for years of minutes to be counted."""
        step = _STEPS.get(parts["FREQ"])
        if step is None or "COUNT" in parts or begin <= self.start:
            return self.start
        step *= int(parts.get("INTERVAL", 1))
        return self.start + (begin - self.start) // step * step


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


def recurrence(text: str) -> Recurrence:
    """The rules of a text. Raises ValueError that says what is wrong with it."""
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
    for rule in (*read.rules, *read.exceptions):
        _check(rule, start)
    return read


def _check(rule: str, start: datetime) -> None:
    """Raises ValueError for a rule that cannot be read, that never comes, or whose times take long to find."""
    parts = _parts(rule)
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError(f"the rule {rule} cannot be read: FREQ must be one of {', '.join(_FREQUENCIES)}")
    for name, highest in (("INTERVAL", _MAX_INTERVAL), ("COUNT", _MAX_COUNT)):
        value = parts.get(name, "1")
        if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= highest):
            raise ValueError(f"the rule {rule} cannot be read: {name} must be a number from 1 to {highest}")
    if parts["FREQ"] in _WITHOUT_SETS and "BYSETPOS" in parts:
        raise ValueError(f"the rule {rule} cannot be read: BYSETPOS does not go with {parts['FREQ']}")
    if prod(parts.get(name, "").count(",") + 1 for name in ("BYHOUR", "BYMINUTE", "BYSECOND")) > _MAX_A_DAY:
        raise ValueError(f"the rule {rule} names more than {_MAX_A_DAY} times of a day: make it HOURLY or MINUTELY")
    endless = ";".join(f"{name}={value}" for name, value in parts.items() if name not in ("COUNT", "UNTIL"))
    try:
        rrulestr(rule, dtstart=start)
        comes = next(iter(rrulestr(endless, dtstart=_in_last_century(start))), None)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"the rule {rule} cannot be read: {error}") from error
    if comes is None:
        raise ValueError(f"the rule {rule} never comes")


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
