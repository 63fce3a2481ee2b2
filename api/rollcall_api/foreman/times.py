"""Times as people and programs write them, read as Ruby's `Time.parse` reads them (contract §4.5).

A text has a time of day, a date, or both in any order. What it leaves out of the date is today's; without a zone it is
in UTC. Where a month may be meant as a day it is read as upstream does: day before month, except behind a year. Zones
that nobody knows are refused and not ignored: a job would start at another time.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from rollcall.schedule.zones import zone

MAX_LENGTH: Final = 64
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_HOURS: Final = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0, "wet": 0, "west": 1, "bst": 1, "cet": 1, "met": 1, "cest": 2, "mest": 2,
    "eet": 2, "sast": 2, "eest": 3, "msk": 3, "sgt": 8, "hkt": 8, "jst": 9, "kst": 9, "aest": 10, "aedt": 11,
    "nzst": 12, "nzdt": 13, "brt": -3, "edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7,
    "pst": -8, "akdt": -8, "akst": -9, "hst": -10,
}  # fmt: skip
"""Zones by the short names that are in use, and how many hours their clocks are ahead of UTC."""
_WEEKDAY: Final = re.compile(r"\b(?:sun|mon|tue|wed|thu|fri|sat)(?:day|s|sday|nesday|rs|rsday|urday)?\b[.,]?", re.I)
_COMMENT: Final = re.compile(r"\([^()]*\)$")
_DIGITS: Final = re.compile(r"([0-9]{8})([0-9]{4}(?:[0-9]{2})?)")
_TIME: Final = re.compile(
    r"(?<![0-9])(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<rest>[0-9]{1,9}))?)?)?"
    r"(?:\s*(?P<half>[ap])\.?m\b\.?)?"
    rf"(?:\s*(?P<zone>[a-z]+/[a-z_/+-]+|(?:utc|gmt)?\s?[+-][0-9]{{1,2}}(?::?[0-9]{{2}})?|(?:{'|'.join(_HOURS)})\b))?",
    re.I,
)
_OFFSET: Final = re.compile(r"(?:utc|gmt)?\s?([+-])([0-9]{1,2}):?([0-9]{2})?", re.I)
_MONTH: Final = rf"(?P<name>{'|'.join(_MONTHS)})[a-z]*\.?"
_DAY: Final = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_DATES: Final = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"(?P<year>[0-9]{4}|[0-9]{2})([-/.])(?P<month>[0-9]{1,2})\2(?P<day>[0-9]{1,2})",
        r"(?P<day>[0-9]{1,2})([-/.])(?P<month>[0-9]{1,2})\2(?P<year>[0-9]{4})",
        rf"{_DAY}[-/ ]?{_MONTH}(?:[-/ ](?P<year>[0-9]{{4}}|[0-9]{{2}}))?",
        rf"{_MONTH}[- ]?{_DAY}(?:[- ](?P<year>[0-9]{{4}}))?",
        rf"(?P<year>[0-9]{{4}})[- ]{_MONTH}[- ]{_DAY}",
        r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})",
    )
)


def parse(text: str, now: datetime) -> datetime:
    """The moment, in UTC. Raises ValueError or OverflowError for what is none."""
    if len(text) > MAX_LENGTH:
        raise ValueError("too long to be a time")
    text = _COMMENT.sub("", " ".join(text.split())).strip()
    try:
        moment = datetime.fromisoformat(_DIGITS.sub(r"\1T\2", text))
    except ValueError:
        moment = _tolerant(text, now)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _tolerant(text: str, now: datetime) -> datetime:
    time = next((m for m in _TIME.finditer(text) if m["minute"] or m["half"]), None)
    before, after = (text, "") if time is None else (text[: time.start()], text[time.end() :])
    # The T of ISO 8601 stands between the two, and so does a colon in what web servers log.
    rest = _WEEKDAY.sub(" ", f"{re.sub(r'(?<=[0-9])(?:T|:| at )$', '', before, flags=re.I)} {after}")
    date = _date(" ".join(rest.replace(",", " ").split()), now, optional=time is not None)
    return date if time is None else _at(date, time)


def _date(text: str, now: datetime, *, optional: bool) -> datetime:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if not text and optional:
        return midnight
    for pattern in _DATES:
        if found := pattern.fullmatch(text):
            parts = found.groupdict()
            month = _MONTHS.index(parts["name"].lower()) + 1 if parts.get("name") else int(parts["month"])
            return datetime(_year(parts["year"], now), month, int(parts["day"]))
    raise ValueError("no date")


def _year(text: str | None, now: datetime) -> int:
    if text is None:
        return now.year
    year = int(text)
    return year if len(text) == 4 else year + (2000 if year < 69 else 1900)


def _at(date: datetime, time: re.Match[str]) -> datetime:
    hour, minute, second = (int(time[part] or 0) for part in ("hour", "minute", "second"))
    if time["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of half a day")
        hour = hour % 12 + (12 if time["half"].lower() == "p" else 0)
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute or second)):
        raise ValueError("no time of day")
    rest = int((time["rest"] or "0").ljust(9, "0")) // 1000
    local = date + timedelta(hours=hour, minutes=minute, seconds=second, microseconds=rest)
    return local.replace(tzinfo=_zone(time["zone"]))


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    if name.lower() in _HOURS:
        return timezone(timedelta(hours=_HOURS[name.lower()]))
    if found := _OFFSET.fullmatch(name):
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return timezone(-ahead if found[1] == "-" else ahead)
    return zone(name)
