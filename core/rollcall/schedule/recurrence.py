"""Recurrence rules as AWX writes them (RFC 5545, contract AWX §4.10), expanded in the rule's own zone.

`DTSTART;TZID=Europe/London:20300101T020000 RRULE:FREQ=DAILY;INTERVAL=1`: two in the morning by London's clock, summer
and winter. dateutil expands naive local times; the zone is applied here, as it is for cron lines.
"""

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from dateutil.rrule import rrulestr

from rollcall.schedule.zones import first_moment, local, zone

_START: Final = re.compile(r"DTSTART(?:;TZID=(?P<zone>[^:]+))?:(?P<time>\d{8}T\d{6})(?P<utc>Z?)", re.IGNORECASE)
_RULE: Final = re.compile(r"(?P<kind>EX|R)RULE:(?P<parts>\S+)", re.IGNORECASE)
_UNTIL: Final = re.compile(r"UNTIL=(?P<time>\d{8}(?:T\d{6})?)(?P<utc>Z?)", re.IGNORECASE)
_INTERVAL: Final = re.compile(r"INTERVAL=(\d+)", re.IGNORECASE)
_STEPS: Final = {"HOURLY": timedelta(hours=1), "MINUTELY": timedelta(minutes=1)}
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
        """The slots later than a moment; a local time counts once, and one that is left out when the clock goes on."""
        begin, last = local(moment, self.zone), moment
        without = _Merged([self._expanded(rule, begin) for rule in self.exceptions])
        for naive in heapq.merge(*(self._expanded(rule, begin) for rule in self.rules)):
            if without.holds(naive):
                continue
            slot = first_moment(naive, self.zone)
            if slot > last:
                yield slot
                last = slot

    def _expanded(self, rule: str, begin: datetime) -> Iterator[datetime]:
        """The naive times of one rule from `begin` on, that one included."""
        expanded = rrulestr(rule, dtstart=self._near(rule, begin))
        return iter(expanded.xafter(begin, inc=True))

    def _near(self, rule: str, begin: datetime) -> datetime:
        """A start from which the rule goes on as from its own: nobody waits for years of minutes to be counted."""
        step = next((step for name, step in _STEPS.items() if f"FREQ={name}" in rule), None)
        if step is None or "COUNT=" in rule or begin <= self.start:
            return self.start
        interval = _INTERVAL.search(rule)
        step *= int(interval[1]) if interval else 1
        return self.start + (begin - self.start) // step * step


class _Merged:
    """Times in order, of which it can be asked for later and later ones whether they are among them."""

    def __init__(self, streams: list[Iterator[datetime]]) -> None:
        self._times = heapq.merge(*streams)
        self._next = next(self._times, None)

    def holds(self, naive: datetime) -> bool:
        while self._next is not None and self._next < naive:
            self._next = next(self._times, None)
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
    start = datetime.strptime(found["time"], _FORMAT)
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
        try:
            rrulestr(rule, dtstart=start)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"the rule {rule} cannot be read: {error}") from error
    return read


def _in_zone(rule: str, in_zone: tzinfo) -> str:
    """The rule with its UNTIL as a naive time of the zone, where it is given in UTC."""
    until = _UNTIL.search(rule)
    if until is None or not until["utc"]:
        return rule
    moment = datetime.strptime(until["time"], _FORMAT if "T" in until["time"] else "%Y%m%d").replace(tzinfo=UTC)
    return rule[: until.start()] + f"UNTIL={local(moment, in_zone).strftime(_FORMAT)}" + rule[until.end() :]
