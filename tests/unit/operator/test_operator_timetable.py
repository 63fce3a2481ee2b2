"""One moment for each object, whatever is said of it how often."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rollcall_operator.store import Key
from rollcall_operator.timetable import Timetable

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = ("jobs", "a"), ("jobs", "b")


def test_what_is_said_again_takes_no_more_room() -> None:
    timetable = Timetable()
    assert timetable.put(A, NOON)
    assert not any(timetable.put(A, NOON) for _ in range(10_000))
    assert len(timetable) == 1


def test_what_is_put_off_again_and_again_takes_bounded_room() -> None:
    timetable = Timetable()
    for seconds in range(10_000):
        timetable.put(A, NOON + timedelta(seconds=seconds))
    assert len(timetable) < 2_000
    assert list(timetable.take_due(NOON + timedelta(days=1))) == [A]


def test_what_was_put_off_does_not_come_at_its_old_moment() -> None:
    timetable = Timetable()
    timetable.put(A, NOON)
    timetable.put(A, NOON + timedelta(hours=1))
    assert not list(timetable.take_due(NOON))
    assert list(timetable.take_due(NOON + timedelta(hours=1))) == [A]


@given(st.lists(st.tuples(st.sampled_from((A, B)), st.none() | st.integers(0, 9)), max_size=30))
def test_each_comes_once_at_the_moment_that_was_said_last(said: list[tuple[Key, int | None]]) -> None:
    timetable, expected = Timetable(), dict[Key, int]()
    for key, hour in said:
        assert timetable.put(key, None if hour is None else NOON + timedelta(hours=hour)) == (expected.get(key) != hour)
        expected.pop(key, None)
        expected |= {} if hour is None else {key: hour}
    came = [(key, hour) for hour in range(10) for key in timetable.take_due(NOON + timedelta(hours=hour))]
    assert sorted(came) == sorted(expected.items())
    assert timetable.first is None
