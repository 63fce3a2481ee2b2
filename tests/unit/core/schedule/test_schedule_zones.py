"""Cron lines at the changes of the clock of twelve zones, against cronsim, which has the rules of Debian's cron.

Every change in a window of five years is met: 2023 to 2027, and for zones that have stopped to change their clocks the
last years in which they did. What a zone did before, and what Python's zone data says of later years, is not.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from cronsim import CronSim

from rollcall.schedule.cronlines import CronLine
from rollcall.schedule.slots import between
from rollcall.schedule.zones import local, offset, zone

ZONES = [
    "Europe/Berlin", "Europe/London", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "Africa/Casablanca",
    "Asia/Tehran", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham", "Antarctica/Troll",
]  # fmt: skip
LINES = [
    "30 2 * * *", "0 0 * * *", "30 1 * * *", "0 2 * * *", "0 3 * * *", "59 1 * * *", "1 2 * * *", "45 2 * * 0",
    "15 2 * * sun", "0 1,2,3 * * *", "15,45 1-3 * * *", "30 0-6/2 * * *", "5 4 * * sun", "0 22 * * 1-5",
    "23 0-20/2 * * *", "0 12 * * *", "0 0,12 * * *", "59 23 * * *", "0 0 1 * *", "0 0 l * *", "30 2 1-7 * 0",
    "0 2 29-31 * *", "0 3 15 * mon", "30 1 * 3,4,9,10,11 *", "0 0 * * fri#2", "0 2 * * 0#1", "0 3 * * 0l",
    "0 0 * jan-mar mon-fri", "0 0 31 12 *", "0 0 30 12 *", "0 * * * *", "30 * * * *", "0 */2 * * *", "0 */6 * * *",
    "*/30 * * * *", "*/15 2 * * *", "*/20 1-3 * * *", "*/10 * * * sat", "7 * 1 * *", "*/15 0 * * *",
    "0 0 13 * fri#2", "0 0 13 * 5l", "0 0 l * fri#2", "0 2 13,l * fri#2,mon",
]  # fmt: skip
FIRST = {"America/Sao_Paulo": 2015, "Pacific/Apia": 2011, "Asia/Tehran": 2019, "America/St_Johns": 2011}
"""The first of the five years, in which these zones still changed their clocks, or did so in their own way; 2023 for
the others."""
UNEVEN = {"America/St_Johns", "Australia/Lord_Howe", "Pacific/Chatham"}
"""Their clocks are changed at other times than full hours, or by half an hour."""
BEFORE, BEHIND = timedelta(hours=4), timedelta(hours=26)


def changes(name: str) -> list[datetime]:
    """The moments at which the zone's clock is changed, to the minute."""
    begin, minute = datetime(FIRST.get(name, 2023), 1, 1, tzinfo=UTC), timedelta(minutes=1)
    days = (min(begin.replace(year=begin.year + 5), datetime(2028, 1, 1, tzinfo=UTC)) - begin).days
    found: list[datetime] = []
    for quarter in (begin + n * timedelta(hours=6) for n in range(4 * days)):
        if offset(quarter, zone(name)) != offset(quarter + timedelta(hours=6), zone(name)):
            each = (quarter + n * minute for n in range(1, 361))
            found.append(next(m for m in each if offset(m, zone(name)) != offset(m - minute, zone(name))))
    return found


def by_oracle(line: str, name: str, after: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    for slot in CronSim(line, after.astimezone(zone(name))):
        moment = slot.astimezone(UTC)
        if moment > until:
            return found
        if moment > after and moment not in found:
            found.append(moment)
    return found


def test_the_table_has_forty_four_lines_and_twelve_zones() -> None:
    assert len(set(LINES)) == 44
    assert len(set(ZONES)) == 12
    assert sum(len(changes(name)) for name in ZONES) > 90
    assert changes("Asia/Kolkata") == []


def by_minute(line: str, name: str, after: datetime, until: datetime) -> list[datetime]:
    """Every minute at which the zone's clock shows what cronsim, without a zone, calls a match."""
    day = timedelta(days=1)
    naive = CronSim(line, local(after, zone(name)) - day)
    shown = set(takewhile(lambda match: match < local(until, zone(name)) + day, naive))
    minutes = (after + timedelta(minutes=n) for n in range(1, int((until - after) / timedelta(minutes=1)) + 1))
    return [minute for minute in minutes if local(minute, zone(name)) in shown]


def expected(line: str, name: str, after: datetime, until: datetime) -> list[datetime]:
    """cronsim steps over whole hours, and so over matches, or for ever, where a clock is changed at other times."""
    follows_time = any(field.startswith("*") for field in line.split()[:2])
    return (by_minute if follows_time and name in UNEVEN else by_oracle)(line, name, after, until)


@pytest.mark.parametrize("name", ZONES)
def test_every_change_of_the_clock_is_passed_as_by_debians_cron(name: str) -> None:
    for change in changes(name) or [datetime(2026, 3, 29, 1, tzinfo=UTC)]:
        for line in LINES:
            after, until = change - BEFORE, change + BEHIND
            found = between(CronLine(line, zone(name)), after, until, 10_000)
            assert found == expected(line, name, after, until), (line, name, change)


@pytest.mark.parametrize("line", [*LINES, "0 0 29 2 1#5", "0 0 31 2 fri#5", "0 0 */2 * fri", "0 0 29 2 */7"])
def test_days_are_those_of_debians_cron(line: str) -> None:
    after = datetime(2026, 5, 1, tzinfo=UTC)
    assert list(islice(CronLine(line, UTC).after(after), 12)) == list(islice(CronSim(line, after), 12))


@pytest.mark.parametrize("line", ["0 0 13 * fri#2", "*/20 1-3 * * *", "30 2 * * *", "0 * 1,l * sun#1"])
def test_the_slots_after_any_moment_are_the_rest_of_those_after_an_earlier_one(line: str) -> None:
    """Also after one that the clock shows twice."""
    slots = CronLine(line, zone("Europe/Berlin"))
    every = between(slots, datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC), 10_000)
    for number, slot in enumerate(every[:-1]):
        assert next(slots.after(slot)) == every[number + 1]
        assert next(slots.after(every[number + 1] - timedelta(microseconds=1))) == every[number + 1]


BY_HAND = [
    ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
    ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:40+02:00", ["2026-10-26T02:30+01:00"]),
    ("30 * * * *", "Europe/Berlin", "2026-10-25T02:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"]),
    ("0 1,2,3 * * *", "Europe/Berlin", "2026-03-29T00:30+01:00", ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"]),
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00+10:30",
     ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
    ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00+11:00",
     ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"]),
    ("30 * * * *", "Australia/Lord_Howe", "2026-04-05T01:00+11:00",
     ["2026-04-05T01:30+11:00", "2026-04-05T01:30+10:30", "2026-04-05T02:30+10:30"]),
    ("0 12 * * *", "Pacific/Apia", "2011-12-29T11:00-10:00",
     ["2011-12-29T12:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T12:00+14:00"]),
    ("0 * * * *", "Pacific/Apia", "2011-12-29T22:30-10:00", ["2011-12-29T23:00-10:00", "2011-12-31T00:00+14:00"]),
    ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00-03:00", ["2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"]),
    ("30 2 * * *", "Asia/Kolkata", "2026-03-28T12:00+05:30", ["2026-03-29T02:30+05:30"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "name", "after", "following"), BY_HAND)
def test_what_follows_by_hand(line: str, name: str, after: str, following: list[str]) -> None:
    found = islice(CronLine(line, zone(name)).after(datetime.fromisoformat(after)), len(following))
    assert [slot.astimezone(zone(name)).isoformat(timespec="minutes") for slot in found] == following


def test_a_zone_that_does_not_exist_is_told() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="no time zone"):
            zone(name)
