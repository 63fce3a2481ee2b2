"""The five fields of a cron line, read strictly: what they name is written out as numbers.

Written out, `8-18/2` and `8,10,12,14,16,18` mean the same to every program: croniter is left with nothing to interpret.
It is given minutes and hours only. The days are picked here, a month at a time: it does not take `fri#2` beside numbers
or a day of the month, and searches 50 years day by day for a day that never comes.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@noon": "0 12 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LAST: Final = -1
"""In the place of a day of the month: the last. In the place of a number of a weekday: the last of the month."""
_RAREST: Final = 40
"""Years between two matches at most: 29 February is a given weekday every 28 years, every 40 around 2100."""
_SOME_YEAR: Final = date(2000, 1, 1)
_TERM: Final = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
_NTH: Final = re.compile(r"(?P<day>\w+)#(?P<nth>-1|[1-5])")
_LASTLY: Final = re.compile(r"(?:l(?P<after>[0-7])|(?P<before>[0-7]|[a-z]{3})l)")


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields."""

    title: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """The number that a name or a numeral stands for. Raises ValueError."""
        if text in self.names:
            return self.names.index(text) + self.lowest
        if text.isascii() and text.isdecimal() and self.lowest <= int(text) <= self.highest:
            return int(text)
        names = f" or one of {', '.join(self.names)}" if self.names else ""
        raise ValueError(f"{self.title}: {text!r} is no number from {self.lowest} to {self.highest}{names}")


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS),
)


@dataclass(frozen=True, slots=True)
class CronFields:
    """A cron line, written out."""

    times: str
    """Minute and hour, as croniter takes them."""
    months: frozenset[int]
    days: frozenset[int]
    """Days of the month; -1 is the last."""
    weekdays: frozenset[int]
    """0 is Sunday."""
    counted: frozenset[tuple[int, int]]
    """Weekdays with their number in the month; -1 is the last."""
    either_day: bool
    """Whether one of both days has to match, instead of both: as in Debian's cron when neither begins with `*`."""
    follows_time: bool
    """Whether minute or hour begins with `*`: then changes of the clock are not made up for, as in Debian's cron."""

    def days_from(self, first: date) -> Iterator[date]:
        """The days that match, in order, from `first` on; they end when none comes in 40 years."""
        since = first.year
        for year in range(first.year, date.max.year + 1):
            if year > since + _RAREST:
                return
            for month in sorted(self.months):
                if (year, month) < (first.year, first.month):
                    continue
                for number in self._of_month(year, month):
                    since = year
                    if (day := date(year, month, number)) >= first:
                        yield day

    def _of_month(self, year: int, month: int) -> list[int]:
        """The days of a month that match."""
        monday_based, length = monthrange(year, month)
        begins = (monday_based + 1) % 7
        numbers = range(1, length + 1)
        by_number = {number for number in numbers if number in self.days}
        if _LAST in self.days:
            by_number.add(length)
        by_weekday = {number for number in numbers if (begins + number - 1) % 7 in self.weekdays}
        for weekday, nth in self.counted:
            all_of_them = numbers[(weekday - begins) % 7 :: 7]
            if nth == _LAST:
                by_weekday.add(all_of_them[-1])
            elif nth <= len(all_of_them):
                by_weekday.add(all_of_them[nth - 1])
        return sorted(by_number | by_weekday if self.either_day else by_number & by_weekday)


def read(line: str) -> CronFields:
    """The fields of a cron line, or of a macro like `@daily`. Raises ValueError that says what is wrong."""
    text = " ".join(line.lower().split())
    if text.startswith("@"):
        if text not in MACROS:
            raise ValueError(f"cron line {line!r}: there is no {text}, only {', '.join(MACROS)}")
        text = MACROS[text]
    fields = text.split(" ")
    if len(fields) != len(_FIELDS):
        raise ValueError(f"cron line {line!r}: give five fields (minute hour day month weekday), not {len(fields)}")
    try:
        minutes, hours, days, months, weekdays = (
            _entries(field, written) for field, written in zip(_FIELDS, fields, strict=True)
        )
    except ValueError as error:
        raise ValueError(f"cron line {line!r}: {error}") from error
    read = CronFields(
        times=" ".join(",".join(map(str, sorted(numbers))) for numbers, _ in (minutes, hours)),
        months=months[0],
        days=days[0] | {nth for _, nth in days[1]},
        weekdays=weekdays[0],
        counted=weekdays[1],
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        follows_time=fields[0].startswith("*") or fields[1].startswith("*"),
    )
    if next(read.days_from(_SOME_YEAR), None) is None:
        raise ValueError(f"cron line {line!r}: none of these months has such a day")
    return read


def _entries(field: _Field, written: str) -> tuple[frozenset[int], frozenset[tuple[int, int]]]:
    """The field's numbers, and those of its days that are counted in their month."""
    numbers: set[int] = set()
    counted: set[tuple[int, int]] = set()
    for term in written.split(","):
        found = _counted(field, term)
        if found is None:
            numbers |= _numbers(field, term)
        else:
            counted.add(found)
    return frozenset(numbers), frozenset(counted)


def _counted(field: _Field, term: str) -> tuple[int, int] | None:
    """A day that is counted in its month, as weekday and number; None for an ordinary term."""
    if field.title == "day of the month" and term in ("l", "last"):
        return 0, _LAST
    if field.title != "day of the week":
        return None
    if nth := _NTH.fullmatch(term):
        return field.number(nth["day"]) % 7, int(nth["nth"])
    if last := _LASTLY.fullmatch(term):
        return field.number(last["after"] or last["before"]) % 7, _LAST
    return None


def _numbers(field: _Field, term: str) -> set[int]:
    """All numbers of a term: `5`, `mon-fri`, `*/10`, `8-18/2`, or `5/10`, which is `5-59/10`."""
    match = _TERM.fullmatch(term)
    if match is None or (match["first"] == "*" and match["last"]):
        raise ValueError(f"{field.title}: {term!r} cannot be read")
    step = int(match["step"] or 1)
    if step == 0:
        raise ValueError(f"{field.title}: the step of {term!r} must be at least 1")
    highest = 6 if field.names is _DAYS else field.highest
    if match["first"] == "*":
        first, last = field.lowest, highest
    else:
        first = field.number(match["first"])
        last = field.number(match["last"]) if match["last"] else max(first, highest) if match["step"] else first
    if field.names is _DAYS and match["last"] and last < first and last == 0:
        last = 7  # fri-sun
    if last < first:
        raise ValueError(f"{field.title}: {term!r} ends before it begins")
    numbers = range(first, last + 1, step)
    return {number % 7 for number in numbers} if field.names is _DAYS else set(numbers)
