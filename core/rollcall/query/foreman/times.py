"""Times as people write them in a search (contracts/foreman.md §6.3): a span as long as what was written is precise."""

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

_RELATIVE: Final = re.compile(r"(\d{1,6}) (minute|hour|day|week|month|year)s? (ago|from now)", re.IGNORECASE)
_NAMED: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_FORMS: Final = (
    ("%Y-%m-%d", timedelta(days=1)),
    ("%Y/%m/%d", timedelta(days=1)),
    ("%d %b %Y", timedelta(days=1)),
    ("%d %B %Y", timedelta(days=1)),
    ("%b %d %Y", timedelta(days=1)),
    ("%B %d %Y", timedelta(days=1)),
    ("%Y-%m-%d %H", timedelta(hours=1)),
    ("%Y-%m-%d %H:%M", timedelta(minutes=1)),
    ("%Y-%m-%d %H:%M:%S", timedelta(seconds=1)),
)
_ZONE: Final = re.compile(r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment up to another, in epoch seconds; the end is not in it."""

    start: float
    end: float
    whole: bool
    """Whether what is after it is after its end: after a day, but not after `2 hours ago`, which is a moment."""


def read_span(text: str, now: datetime) -> Span | None:
    """The span that a text names, None for a text that names none. Times without a zone are in that of `now`."""
    text = " ".join(text.replace(",", " ").split())
    try:
        relative = _relative(text, now)
        found = relative or _named(text, now) or _written(text, now)
        if found is None:
            return None
        start, length = found
        return Span(start.timestamp(), (start + length).timestamp(), whole=relative is None)
    except (ValueError, OverflowError):
        return None


def _named(text: str, now: datetime) -> tuple[datetime, timedelta] | None:
    days = _NAMED.get(text.lower())
    return None if days is None else (_midnight(now + timedelta(days=days)), timedelta(days=1))


def _relative(text: str, now: datetime) -> tuple[datetime, timedelta] | None:
    match = _RELATIVE.fullmatch(text)
    if match is None:
        return None
    count = int(match[1]) * (-1 if match[3].lower() == "ago" else 1)
    match match[2].lower():
        case "minute":
            moment, length = now + timedelta(minutes=count), timedelta(minutes=1)
        case "hour":
            moment, length = now + timedelta(hours=count), timedelta(hours=1)
        case "day":
            moment, length = now + timedelta(days=count), timedelta(days=1)
        case "week":
            moment, length = now + timedelta(weeks=count), timedelta(days=1)
        case "month":
            moment, length = _months_later(now, count), timedelta(days=1)
        case _:
            moment, length = _months_later(now, 12 * count), timedelta(days=1)
    return moment, length


def _months_later(moment: datetime, months: int) -> datetime:
    """The same day of another month, or that month's last."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _written(text: str, now: datetime) -> tuple[datetime, timedelta] | None:
    zone: tzinfo | None = now.tzinfo
    if match := _ZONE.search(text):
        mark = match[1].upper()
        offset = "+0000" if mark in ("Z", "UTC", "GMT") else mark
        zone = datetime.strptime(offset, "%z").tzinfo
        text = text[: match.start()]
    text = re.sub(r"(\d)T(\d)", r"\1 \2", text)
    text = re.sub(r"(:\d\d)\.\d+$", r"\1", text)
    for form, length in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=zone), length
        except ValueError:
            continue
    return None


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
