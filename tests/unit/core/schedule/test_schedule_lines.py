"""What cron lines, grids and recurrence rules say."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from time import process_time

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.schedule.cronlines import CronLine
from rollcall.schedule.recurrence import recurrence
from rollcall.schedule.slots import AnyOf, Grid, Once, latest
from rollcall.schedule.zones import zone

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)  # a Wednesday


def following(line: str, count: int = 3) -> list[str]:
    return [slot.strftime("%m-%d %H:%M") for slot in islice(CronLine(line, UTC).after(NOON), count)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@hourly", ["05-06 13:00", "05-06 14:00", "05-06 15:00"]),
        ("@daily", ["05-07 00:00", "05-08 00:00", "05-09 00:00"]),
        ("@noon", ["05-07 12:00", "05-08 12:00", "05-09 12:00"]),
        ("@weekly", ["05-10 00:00", "05-17 00:00", "05-24 00:00"]),
        ("@monthly", ["06-01 00:00", "07-01 00:00", "08-01 00:00"]),
        ("0 6 L * *", ["05-31 06:00", "06-30 06:00", "07-31 06:00"]),
        ("0 6 last * *", ["05-31 06:00", "06-30 06:00", "07-31 06:00"]),
        ("0 6 15,L * *", ["05-15 06:00", "05-31 06:00", "06-15 06:00"]),
        ("0 6 * * fri#2", ["05-08 06:00", "06-12 06:00", "07-10 06:00"]),
        ("0 6 * * FRI#-1", ["05-29 06:00", "06-26 06:00", "07-31 06:00"]),
        ("0 6 * * 5L", ["05-29 06:00", "06-26 06:00", "07-31 06:00"]),
        ("0 6 * * mon,fri#-1", ["05-11 06:00", "05-18 06:00", "05-25 06:00"]),
        ("0 6 * * fri-sun", ["05-08 06:00", "05-09 06:00", "05-10 06:00"]),
        ("0 6 * * 5-7", ["05-08 06:00", "05-09 06:00", "05-10 06:00"]),
        ("0 6 * * 7", ["05-10 06:00", "05-17 06:00", "05-24 06:00"]),
        ("0 6 13 * fri", ["05-08 06:00", "05-13 06:00", "05-15 06:00"]),  # neither begins with *: either day
        ("0 6 */2 * fri", ["05-15 06:00", "05-29 06:00", "06-05 06:00"]),  # one does: both days
        ("20/20 * * * *", ["05-06 12:20", "05-06 12:40", "05-06 13:20"]),
        ("5,10-20/5 13 * * *", ["05-06 13:05", "05-06 13:10", "05-06 13:15"]),
        ("0 0 13 * fri#2", ["05-08 00:00", "05-13 00:00", "06-12 00:00"]),  # either day, however it is counted
        ("0 0 13 * fri#-1", ["05-13 00:00", "05-29 00:00", "06-13 00:00"]),
        ("0 0 l * fri#2", ["05-08 00:00", "05-31 00:00", "06-12 00:00"]),
        ("0 0 */13 * fri#2", ["08-14 00:00", "05-14 00:00", "01-14 00:00"]),
        ("0 0 29 feb *", ["02-29 00:00", "02-29 00:00", "02-29 00:00"]),
    ],
)
def test_a_line_says(line: str, expected: list[str]) -> None:
    assert following(line) == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "give five fields"),
        ("* * * *", "give five fields .* not 4"),
        ("0 * * * * *", "give five fields .* not 6"),
        ("60 * * * *", "minute: '60' is no number from 0 to 59"),
        ("0 24 * * *", "hour: '24'"),
        ("0 0 0 * *", "day of the month: '0'"),
        ("0 0 * foo *", "month: 'foo' .* or one of jan"),
        ("0 0 * * mon#6", "day of the week"),
        ("0 0 30 2 *", "none of these months has such a day"),
        ("0 0 */31 * sun#2", "none of these months has such a day"),
        ("5-1 * * * *", "ends before it begins"),
        ("*/0 * * * *", "step"),
        ("*-5 * * * *", "cannot be read"),
        ("1,,2 * * * *", "cannot be read"),
        ("@reboot", "there is no @reboot"),
        ("٣ * * * *", "no number"),
    ],
)
def test_a_line_that_is_wrong_says_where(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CronLine(line, UTC)


EVERY_MIDDLE = ",".join(f"{day}#{nth}" for nth in (2, 3) for day in range(7))


@pytest.mark.parametrize("line", [f"*/59 */23 */31,l * 0#4,{EVERY_MIDDLE}", "* * 29 2 */7", "*/59 */23 29 2 */7"])
def test_a_line_that_comes_once_in_decades_holds_nobody_up(line: str) -> None:
    lines = AnyOf(tuple(CronLine(line, zone("Europe/Berlin")) for _ in range(16)))
    begun = process_time()
    assert len(list(islice(lines.after(NOON), 5))) == 5
    assert process_time() - begun < 1


def test_a_line_that_never_comes_is_told_without_a_search() -> None:
    begun = process_time()
    for minute in range(16):
        with pytest.raises(ValueError, match="none of these months"):
            CronLine(f"{minute} 0 */31,l * {EVERY_MIDDLE}", UTC)
    assert process_time() - begun < 1


def test_a_grid_is_not_shifted_by_anything() -> None:
    """Contract Puppet §7: T0 2018-10-05T19:50:08Z, a week."""
    grid = Grid(datetime(2018, 10, 5, 19, 50, 8, tzinfo=UTC), 604_800)
    assert next(grid.after(datetime(2018, 10, 1, tzinfo=UTC))) == grid.anchor
    assert next(grid.after(grid.anchor)) == datetime(2018, 10, 12, 19, 50, 8, tzinfo=UTC)
    assert next(grid.after(grid.anchor + timedelta(days=20))) == grid.anchor + timedelta(days=21)
    end = datetime(9999, 12, 31, 23, tzinfo=UTC)
    assert list(Grid(end, 3600).after(NOON)) == [end]


@pytest.mark.parametrize("line", ["0 12 * * *", "*/30 * * * *", "0 12 31 12 *"])
def test_slots_end_with_the_calendar(line: str) -> None:
    assert list(CronLine(line, UTC).after(datetime(9999, 12, 30, 13, tzinfo=UTC)))[-1].day == 31


def test_lines_together_have_a_common_slot_once() -> None:
    together = AnyOf((CronLine("0 */6 * * *", UTC), CronLine("0 18 * * *", UTC), Once(NOON + timedelta(hours=1))))
    assert [slot.hour for slot in islice(together.after(NOON), 4)] == [13, 18, 0, 6]


def test_the_latest_slots_of_a_long_time_are_found_without_counting_all() -> None:
    years = NOON + timedelta(days=5_000)
    assert latest(CronLine("* * * * *", UTC), NOON, years, 2) == [years - timedelta(minutes=1), years]
    assert latest(CronLine("0 0 1 1 *", UTC), NOON, years, 1) == [datetime(2040, 1, 1, tzinfo=UTC)]
    assert latest(Once(NOON), NOON, years, 1) == []


def test_the_latest_slots_of_a_dense_time_long_ago_are_found_without_counting_all() -> None:
    january = AnyOf(tuple(CronLine(f"{minute}-59 * * 1 *", UTC) for minute in range(4)))
    begun = process_time()
    found = latest(january, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 30, tzinfo=UTC), 3)
    assert [f"{slot:%m-%d %H:%M}" for slot in found] == ["01-31 23:57", "01-31 23:58", "01-31 23:59"]
    assert process_time() - begun < 1


@given(
    seconds=st.integers(1, 5000),
    lines=st.lists(st.sampled_from(["* * 6 5 *", "*/7 * * * *", "0 */5 1,9 * *", "3 3 * * fri"]), max_size=2),
    hours=st.integers(0, 100),
    count=st.integers(1, 1200),
)
@settings(max_examples=40, deadline=None)
def test_the_latest_slots_are_the_last_of_all(seconds: int, lines: list[str], hours: int, count: int) -> None:
    slots = AnyOf((Grid(NOON - timedelta(hours=2), seconds), *(CronLine(line, UTC) for line in lines)))
    begin, end = NOON - timedelta(hours=hours / 8), NOON + timedelta(hours=hours)
    every = list(takewhile(lambda slot: slot <= end, slots.after(begin)))
    assert latest(slots, begin, end, count) == every[-count:]


LONDON = "DTSTART;TZID=Europe/London:20260326T013000 RRULE:FREQ=DAILY;INTERVAL=1"


def said(text: str, after: datetime, count: int) -> list[str]:
    found = recurrence(text)
    return [slot.astimezone(found.zone).isoformat(timespec="minutes") for slot in islice(found.after(after), count)]


def test_a_rule_is_expanded_in_its_own_zone() -> None:
    assert said(LONDON, datetime(2026, 3, 28, tzinfo=UTC), 3) == [
        "2026-03-28T01:30+00:00", "2026-03-29T02:00+01:00", "2026-03-30T01:30+01:00",
    ]  # fmt: skip


def test_rules_end_and_have_exceptions() -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    assert len(list(recurrence(LONDON + ";COUNT=3").after(begin))) == 3
    until = recurrence(LONDON + ";UNTIL=20260330T003000Z")
    assert list(until.after(begin))[-1] == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    without = recurrence(LONDON + ";COUNT=7 EXRULE:FREQ=WEEKLY;BYDAY=SA,SU")
    assert {slot.weekday() for slot in without.after(begin)} == {0, 1, 2, 3, 4}


def test_a_rule_of_minutes_does_not_count_them_from_its_start() -> None:
    rule = recurrence("DTSTART:20000101T000000Z RRULE:FREQ=MINUTELY;INTERVAL=7")
    (slot,) = islice(rule.after(NOON), 1)
    assert (slot - datetime(2000, 1, 1, tzinfo=UTC)) % timedelta(minutes=7) == timedelta()
    assert timedelta() < slot - NOON <= timedelta(minutes=7)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("RRULE:FREQ=DAILY;INTERVAL=1", "one DTSTART"),
        ("DTSTART:20300101T020000 RRULE:FREQ=DAILY", "needs a zone"),
        ("DTSTART;TZID=Nowhere:20300101T020000 RRULE:FREQ=DAILY", "no time zone"),
        ("DTSTART:20300101T020000Z", "at least one RRULE"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=SOMETIMES", "cannot be read"),
        ("DTSTART:20300231T020000Z RRULE:FREQ=DAILY", "there is no time 20300231T020000"),
        ("DTSTART:19691231T020000Z RRULE:FREQ=DAILY", "DTSTART must not lie before 1970"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;UNTIL=20300230", "there is no time 20300230"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;UNTIL=20300230T000000Z", "there is no time 20300230T000000"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=SECONDLY", "FREQ must be one of YEARLY"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;INTERVAL=0", "INTERVAL must be a number from 1"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=MINUTELY;INTERVAL=0", "INTERVAL must be a number from 1"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=MINUTELY;COUNT=100000000", "COUNT must be a number from 1 to 999"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;COUNT=-1", "COUNT must be a number"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=MINUTELY;BYSETPOS=2", "BYSETPOS does not go with MINUTELY"),
        (
            f"DTSTART:20300101T020000Z RRULE:FREQ=DAILY;BYHOUR=1,2;BYMINUTE={','.join(map(str, range(31)))}",
            "more than 60",
        ),
        ("DTSTART:20300101T020000Z RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never comes"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30", "never comes"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;INTERVAL=7;BYDAY=MO", "never comes"),  # that is a Tuesday
        ("DTSTART:20300101T020000Z RRULE:FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29;BYYEARDAY=61", "never comes"),
    ],
)
def test_a_rule_that_is_wrong_says_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        recurrence(text)


@pytest.mark.parametrize(
    "rule",
    ["FREQ=DAILY;INTERVAL=7;BYDAY=TU", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU",
     "FREQ=MONTHLY;BYDAY=FR;BYSETPOS=-1", "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,SU;WKST=SU",
     "FREQ=HOURLY;INTERVAL=5;BYDAY=MO,TU", "FREQ=YEARLY;BYEASTER=-2"],
)  # fmt: skip
def test_a_rule_goes_on_as_from_its_start_however_late_it_is_asked(rule: str) -> None:
    start, late = datetime(2030, 1, 1, 2, tzinfo=UTC), datetime(2061, 3, 5, tzinfo=UTC)
    found = recurrence(f"DTSTART:20300101T020000Z RRULE:{rule}")
    all_of_them = rrulestr(rule, dtstart=start)
    assert list(islice(found.after(late), 5)) == list(islice(all_of_them.xafter(late), 5))


@pytest.mark.parametrize(
    "rules",
    ["RRULE:FREQ=MINUTELY EXRULE:FREQ=MINUTELY", "RRULE:FREQ=YEARLY EXRULE:FREQ=MINUTELY;INTERVAL=7"],
)
def test_exceptions_are_not_followed_for_ever(rules: str) -> None:
    begun = process_time()
    with pytest.raises(ValueError, match="more than 50000 times between two"):
        list(islice(recurrence(f"DTSTART:20300101T020000Z {rules}").after(NOON), 3))
    assert process_time() - begun < 2


def test_the_zone_of_a_rule_is_the_zones() -> None:
    assert recurrence(LONDON).zone == zone("Europe/London")


@pytest.mark.parametrize("line", ["5 * * * *", "0 3 * * *", "*/7 * * * *", "0 0 l * *", "0 0 31 dec *"])
@pytest.mark.parametrize("place", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_line_ends_with_the_calendar_and_does_not_mind_its_beginning(line: str, place: str) -> None:
    slots = CronLine(line, zone(place))
    last = list(slots.after(datetime(9999, 12, 30, tzinfo=UTC)))
    assert last == sorted(set(last))
    assert next(slots.after(datetime.max.replace(tzinfo=UTC)), None) is None
    assert next(slots.after(datetime.min.replace(tzinfo=UTC))) > datetime(2, 1, 1, tzinfo=UTC)
