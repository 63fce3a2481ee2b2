"""The five fields of a cron line, read strictly: what they name is written out as numbers.

Written out, `fri-sun`, `*/7` and `7` mean the same to every program, and croniter is left with nothing to interpret
but `*`, `L`, `5#2` and `L5`. It does not take these beside numbers in one field: they are put into lines of their own.
"""

import re
from dataclasses import dataclass
from itertools import product
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
_LONGEST: Final = 31
"""Days in a month at most, February aside."""
_LENGTHS: Final = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_TERM: Final = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")
_NTH: Final = re.compile(r"(?P<day>\w+)#(?P<nth>-1|[1-5])")
_LAST: Final = re.compile(r"(?:l(?P<after>[0-7])|(?P<before>[0-7]|[a-z]{3})l)")


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
    """A cron line, written out as lines of plain numbers that together match what it matches."""

    expressions: tuple[str, ...]
    either_day: bool
    """Whether one of both days has to match, instead of both: as in Debian's cron when neither begins with `*`."""
    follows_time: bool
    """Whether minute or hour begins with `*`: then changes of the clock are not made up for, as in Debian's cron."""


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
        alternatives = [_alternatives(field, written) for field, written in zip(_FIELDS, fields, strict=True)]
    except ValueError as error:
        raise ValueError(f"cron line {line!r}: {error}") from error
    read = CronFields(
        expressions=tuple(" ".join(chosen) for chosen in product(*alternatives)),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        follows_time=fields[0].startswith("*") or fields[1].startswith("*"),
    )
    if not read.either_day and not any(map(_possible, read.expressions)):
        raise ValueError(f"cron line {line!r}: none of these months has such a day")
    return read


def _alternatives(field: _Field, written: str) -> list[str]:
    """The field's numbers as one entry, each of its special days as one of its own."""
    if written == "*":
        return ["*"]
    numbers: set[int] = set()
    special: list[str] = []
    for term in written.split(","):
        found = _special(field, term)
        if found is None:
            numbers |= _numbers(field, term)
        elif found not in special:
            special.append(found)
    plain = [",".join(map(str, sorted(numbers)))] if numbers else []
    return plain + special


def _special(field: _Field, term: str) -> str | None:
    """A day that is counted in its month, as croniter writes it; None for an ordinary term."""
    if field.title == "day of the month" and term in ("l", "last"):
        return "L"
    if field.title != "day of the week":
        return None
    if nth := _NTH.fullmatch(term):
        day = field.number(nth["day"]) % 7
        return f"L{day}" if nth["nth"] == "-1" else f"{day}#{nth['nth']}"
    if last := _LAST.fullmatch(term):
        return f"L{field.number(last['after'] or last['before']) % 7}"
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


def _possible(expression: str) -> bool:
    """Whether one of the months has one of the days."""
    days, months = expression.split(" ")[2:4]
    if days in ("*", "L"):
        return True
    longest = _LONGEST if months == "*" else max(_LENGTHS.get(int(month), _LONGEST) for month in months.split(","))
    return min(map(int, days.split(","))) <= longest
