"""Tells a cron line from other text: five fields and an optional time zone, or an `@` keyword (contract §4.5)."""

import re
from typing import Final
from zoneinfo import available_timezones

KEYWORDS: Final = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@noon"})
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[int, int, tuple[str, ...]], ...]] = (
    (0, 59, ()),
    (0, 24, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 7, _DAYS),
)
_RANGE: Final = re.compile(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/([0-9]{1,3}))?")
_LAST: Final = re.compile(r"last|l|-[1-9]|-[12][0-9]|-3[01]")
_NTH: Final = re.compile(r"([a-z0-9]+)#(-?[1-5]|last|l)")


def is_cron_line(text: str) -> bool:
    """Whether the text is a cron line."""
    words = text.split()
    if words and words[0].lower() in KEYWORDS:
        return len(words) == 1 or (len(words) == 2 and words[1] in available_timezones())
    if len(words) == 6 and words[5] in available_timezones():
        words = words[:5]
    return len(words) == 5 and all(
        _is_entry(entry, index) for index, word in enumerate(words) for entry in word.lower().split(",")
    )


def _is_entry(text: str, field: int) -> bool:
    if field == 2 and _LAST.fullmatch(text):
        return True
    if field == 4 and (nth := _NTH.fullmatch(text)):
        return _value(nth[1], field) is not None
    match = _RANGE.fullmatch(text)
    if match is None or (match[3] is not None and int(match[3]) == 0):
        return False
    if match[1] == "*":
        return match[2] is None
    return all(_value(bound, field) is not None for bound in (match[1], match[2]) if bound is not None)


def _value(text: str, field: int) -> int | None:
    low, high, names = _FIELDS[field]
    if text[:3] in names and text.isalpha():
        return names.index(text[:3]) + low
    return int(text) if text.isdecimal() and low <= int(text) <= high else None
