"""Recurrence rules: the same times as dateutil finds, in bounded time, and what a schedule makes of them."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from time import process_time
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rollcall.plan.schedule import due, timing
from rollcall.resources.schedule import Schedule
from rollcall.schedule.due import Decision
from rollcall.schedule.recurrence import Recurrence, recurrence

DAILY = "DTSTART;TZID=Europe/London:20300101T020000 RRULE:FREQ=DAILY;INTERVAL=1"
STARTS = [datetime(2028, 2, 29, 10, 30, 15), datetime(2026, 1, 31), datetime(2031, 12, 31, 23, 59, 59)]


def some(low: int, high: int) -> st.SearchStrategy[str]:
    return st.lists(st.integers(low, high), min_size=1, max_size=4).map(lambda found: ",".join(map(str, found)))


PARTS = {
    "BYMONTH": some(1, 12),
    "BYMONTHDAY": some(1, 28),
    "BYDAY": st.sampled_from(["MO", "TU,FR", "SA,SU,WE"]),
    "BYHOUR": some(0, 23),
    "BYMINUTE": some(0, 59),
    "BYSECOND": some(0, 59),
}
RULES = st.builds(
    lambda freq, interval, parts: ";".join([f"FREQ={freq}", f"INTERVAL={interval}", *map("=".join, parts.items())]),
    st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]),
    st.sampled_from([1, 2, 3, 5, 7, 24, 35, 1440]),
    st.fixed_dictionaries({}, optional=PARTS),
)


def read(text: str) -> Recurrence | str:
    """A rule, or why it is refused, which is that it never comes, or too often."""
    try:
        return recurrence(text)
    except ValueError as error:
        problem = str(error)
    assert any(known in problem for known in ("never comes", "empty set", "more than 60 times"))
    return problem


@given(rule=RULES, start=st.sampled_from(STARTS), days=st.integers(-30, 3000), end=st.sampled_from(["", ";COUNT=7"]))
@settings(max_examples=100, deadline=None)
def test_a_rule_comes_when_dateutil_says(rule: str, start: datetime, days: int, end: str) -> None:
    found = read(f"DTSTART:{start:%Y%m%dT%H%M%S}Z RRULE:{rule}{end}")
    assume(isinstance(found, Recurrence))
    late, last = start + timedelta(days=days), start + timedelta(days=days + 400)
    expected = takewhile(lambda naive: naive <= last, rrulestr(rule + end, dtstart=start).xafter(late))
    moments = takewhile(lambda slot: slot <= last.replace(tzinfo=UTC), found.after(late.replace(tzinfo=UTC)))
    assert [slot.replace(tzinfo=None) for slot in islice(moments, 20)] == list(islice(expected, 20))


@pytest.mark.parametrize(
    "text",
    [
        "RRULE:FREQ=MINUTELY;BYMONTH=1,12,8;BYYEARDAY=127,62;BYDAY=SU,TU;BYHOUR=23;BYSECOND=30,55,2",
        "RRULE:FREQ=MINUTELY;BYMONTHDAY=14,10,6;BYYEARDAY=119;BYHOUR=20",
        "RRULE:FREQ=MINUTELY;BYWEEKNO=11;BYHOUR=16,14,12",
        "RRULE:FREQ=DAILY;INTERVAL=60;BYMONTHDAY=17,12;BYWEEKNO=34 EXRULE:FREQ=MINUTELY;BYYEARDAY=304;BYHOUR=14,5,6",
        "RRULE:FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=1,2,3,4,5,6;BYMINUTE=0,1,2,3,4,5,6,7,8,9",
        "RRULE:FREQ=MINUTELY;INTERVAL=1440;BYHOUR=3",
        "RRULE:FREQ=HOURLY;INTERVAL=99999;BYMONTH=2;BYMONTHDAY=29",
    ],
)
def test_no_rule_takes_long(text: str) -> None:
    begun, now = process_time(), datetime(2026, 11, 22, tzinfo=UTC)
    found = read(f"DTSTART:19700101T000000Z {text}")
    assert isinstance(found, str) or len(list(islice(found.after(now), 10))) == 10
    assert process_time() - begun < 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY RDATE:20300105T000000Z", "'RDATE:20300105T000000Z' cannot be read"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY EXDATE:20300105T000000Z", "give one DTSTART, RRULEs and EXRULEs"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY, then rest", "cannot be read"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;COUNT=3;UNTIL=20310101T000000Z", "UNTIL does not go with COUNT"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;INTERVAL=1;INTERVAL=2", "give each part once"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;INTERVAL", "give each part once"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;NEVER=1", "cannot be read"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;UNTIL=SOON", "there is no time SOON"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=DAILY;BYEASTER=0", "BYEASTER goes with YEARLY only"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=HOURLY;BYMINUTE=60", "BYMINUTE must be from 0 to 59"),
        ("DTSTART:20300101T020000Z RRULE:FREQ=MINUTELY;BYHOUR=-1", "BYHOUR must be from 0 to 23"),
        ("DTSTART:20300101T020000Z" + " RRULE:FREQ=DAILY" * 17, "at most 16"),
    ],
)
def test_what_is_no_rule_says_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        recurrence(text)


def schedule(rrule: str, **status: Any) -> Schedule:
    return Schedule.model_validate({
        "metadata": {"name": "s", "namespace": "jobs", "uid": "uid-1", "creationTimestamp": "2029-12-31T00:00:00Z"},
        "spec": {"rrule": rrule, "requestedBy": {"username": "alice"}, "startingDeadlineSeconds": 60,
                 "invocationTemplate": {"spec": {"templateRef": {"name": "t"}}}},
        "status": status,
    })  # fmt: skip


def decided(rrule: str, now: str) -> Decision:
    return due(schedule(rrule, decidedUntil="2029-12-31T00:00:00Z"), datetime.fromisoformat(now))


@pytest.mark.parametrize(
    ("rrule", "now", "run", "missed", "following", "finished"),
    [
        (DAILY, "2030-01-01T01:59:59Z", 0, 0, ["2030-01-01T02:00", "2030-01-02T02:00", "2030-01-03T02:00"], False),
        (DAILY, "2030-01-01T02:00:00Z", 1, 0, ["2030-01-02T02:00", "2030-01-03T02:00", "2030-01-04T02:00"], False),
        (DAILY, "2030-01-03T02:00:30Z", 1, 2, ["2030-01-04T02:00", "2030-01-05T02:00", "2030-01-06T02:00"], False),
        (DAILY, "2030-03-31T00:59:00Z", 0, 89, ["2030-03-31T01:00", "2030-04-01T01:00", "2030-04-02T01:00"], False),
        (DAILY + ";COUNT=2", "2030-01-01T02:00:00Z", 1, 0, ["2030-01-02T02:00"], False),
        (DAILY + ";COUNT=2", "2030-01-02T02:00:00Z", 1, 1, [], True),
        (DAILY + ";COUNT=2", "2030-01-09T00:00:00Z", 0, 2, [], True),
        (DAILY + ";UNTIL=20300102T020000Z", "2030-01-01T02:00:00Z", 1, 0, ["2030-01-02T02:00"], False),
        (DAILY + ";UNTIL=20300102T015959Z", "2030-01-01T02:00:00Z", 1, 0, [], True),
        (DAILY + " EXRULE:FREQ=WEEKLY;BYDAY=WE", "2030-01-01T02:00:00Z", 1, 0,
         ["2030-01-03T02:00", "2030-01-04T02:00", "2030-01-05T02:00"], False),
        (DAILY + " RRULE:FREQ=HOURLY;INTERVAL=12;COUNT=2", "2030-01-01T02:00:00Z", 1, 0,
         ["2030-01-01T14:00", "2030-01-02T02:00", "2030-01-03T02:00"], False),
    ],
)  # fmt: skip
def test_what_a_schedule_makes_of_a_rule(
    rrule: str, now: str, run: int, missed: int, following: list[str], finished: bool
) -> None:
    found = decided(rrule, now)
    assert (len(found.run), found.missed, found.finished) == (run, missed, finished)
    assert [f"{moment:%Y-%m-%dT%H:%M}" for moment in found.next_times[:3]] == following


def test_another_rule_is_another_timing_and_the_same_one_is_not() -> None:
    assert timing(schedule(DAILY).spec) == timing(schedule(DAILY).spec)
    assert timing(schedule(DAILY).spec) != timing(schedule(DAILY + ";COUNT=2").spec)
