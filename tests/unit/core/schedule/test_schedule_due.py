"""Which slots are run, missed and shown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcall.schedule.cronlines import CronLine
from rollcall.schedule.due import ON_TIME, Decision, MissedRunPolicy, Progress, Terms, due, jitter
from rollcall.schedule.recurrence import recurrence
from rollcall.schedule.slots import Grid, Once, Slots
from rollcall.schedule.zones import zone

START = datetime(2026, 10, 24, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOURLY = Terms(Grid(START, 3600))
FRESH = Progress(START)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def test_a_slot_is_run_when_it_has_come_and_the_next_is_told() -> None:
    assert due(HOURLY, FRESH, at(0.5)) == Decision(next_times=tuple(at(n) for n in range(1, 6)))
    assert due(HOURLY, FRESH, at(1)) == Decision((at(1),), 0, at(1), tuple(at(n) for n in range(2, 7)))


@pytest.mark.parametrize(
    ("policy", "run", "missed"),
    [
        (MissedRunPolicy.SKIP, (), 3),
        (MissedRunPolicy.LAST, (at(3),), 2),
        (MissedRunPolicy.ALL, (at(1), at(2), at(3)), 0),
    ],
)
def test_an_outage_over_three_slots(policy: MissedRunPolicy, run: tuple[datetime, ...], missed: int) -> None:
    decision = due(replace(HOURLY, missed_runs=policy), FRESH, at(3.5))
    assert (decision.run, decision.missed, decision.decided_until) == (run, missed, at(3))
    assert decision.again_at == at(4)


def test_the_cap_and_the_deadline_limit_what_is_made_up_for() -> None:
    every = replace(HOURLY, missed_runs=MissedRunPolicy.ALL, max_missed=2)
    assert due(every, FRESH, at(5.5)).run == (at(4), at(5))
    assert due(replace(every, deadline=HOUR), FRESH, at(5.5)).run == (at(5),)
    assert due(replace(HOURLY, deadline=10 * MINUTE), FRESH, at(5.5)) == Decision(
        (), 5, at(5), tuple(at(n) for n in range(6, 11))
    )


def test_who_skips_missed_runs_still_starts_those_that_are_a_little_late() -> None:
    skip = replace(HOURLY, missed_runs=MissedRunPolicy.SKIP)
    assert due(skip, FRESH, at(1) + ON_TIME).run == (at(1),)
    assert due(skip, FRESH, at(1) + ON_TIME + timedelta(seconds=1)).run == ()


def test_a_run_that_exists_already_is_counted_as_run() -> None:
    """An operator made it, and died before any status could tell."""
    decision = due(HOURLY, replace(FRESH, made=frozenset({at(1)})), at(3.5))
    assert (decision.run, decision.missed) == ((at(1), at(3)), 1)
    assert due(
        replace(HOURLY, missed_runs=MissedRunPolicy.SKIP), replace(FRESH, made=frozenset({at(1)})), at(1.5)
    ).run == (at(1),)


def test_nothing_older_than_a_run_that_exists_is_started_any_more() -> None:
    """It was left out when that run was made: no status tells of that yet, either."""
    decision = due(HOURLY, replace(FRESH, made=frozenset({at(2)})), at(2.5))
    assert (decision.run, decision.missed) == ((at(2),), 1)


def test_a_clock_that_jumps_ahead_is_like_an_outage_and_one_that_jumps_back_like_a_wait() -> None:
    ahead = due(HOURLY, FRESH, at(1.1))
    assert ahead.run == (at(1),)
    back = due(HOURLY, Progress(at(1)), at(0.1))
    assert (back.run, back.again_at) == ((), at(2))


def test_a_deadline_of_a_second_does_not_stop_the_schedule() -> None:
    strict = replace(HOURLY, deadline=timedelta(seconds=1))
    assert due(strict, FRESH, at(1)).run == (at(1),)
    late = due(strict, FRESH, at(1) + timedelta(seconds=2))
    assert (late.run, late.missed, late.again_at) == ((), 1, at(2))


def test_the_window() -> None:
    window = replace(HOURLY, start_at=at(2), end_at=at(4))
    assert due(window, FRESH, at(0.5)).next_times == (at(2), at(3), at(4))
    assert due(window, FRESH, at(1.5)).run == ()
    assert due(window, FRESH, at(2)).run == (at(2),)
    last = due(window, Progress(at(3)), at(4) + timedelta(seconds=1))
    assert (last.run, last.finished) == ((at(4),), True)
    over = due(window, Progress(at(3)), at(5))
    assert (over.run, over.missed, over.finished) == ((), 1, True)


def test_after_the_last_iteration_nothing_follows() -> None:
    twice = replace(HOURLY, max_iterations=2)
    assert due(twice, FRESH, at(0.5)).next_times == (at(1), at(2))
    second = due(twice, Progress(at(1), 1), at(2))
    assert (second.run, second.finished) == ((at(2),), True)
    assert due(twice, Progress(at(2), 2), at(3)) == Decision(finished=True)
    assert due(replace(twice, missed_runs=MissedRunPolicy.ALL), FRESH, at(5.5)).run == (at(1), at(2))


def test_a_slot_that_is_skipped_on_request_is_neither_run_nor_missed() -> None:
    skipping = replace(HOURLY, skipped=frozenset({at(2)}))
    assert due(skipping, FRESH, at(0.5)).next_times[:2] == (at(1), at(3))
    decision = due(skipping, Progress(at(1)), at(2))
    assert (decision.run, decision.missed, decision.decided_until) == ((), 0, at(2))


def test_once() -> None:
    once = Terms(Once(at(1)))
    assert due(once, FRESH, START).next_times == (at(1),)
    fired = due(once, FRESH, at(1))
    assert (fired.run, fired.finished) == ((at(1),), True)
    assert due(once, Progress(at(2)), at(2)) == Decision(finished=True)


@pytest.mark.parametrize(
    "over",
    [
        Terms(Once(at(-1))),
        replace(HOURLY, end_at=at(-1)),
        Terms(recurrence("DTSTART:20261001T000000Z RRULE:FREQ=DAILY;UNTIL=20261010T000000Z")),
    ],
    ids=["at", "endAt", "rrule"],
)
def test_what_is_over_before_it_was_made_has_finished_and_missed_nothing(over: Terms) -> None:
    assert due(over, FRESH, START) == Decision(finished=True)
    assert due(over, FRESH, at(100)) == Decision(finished=True)


def test_who_is_suspended_does_nothing() -> None:
    assert due(replace(HOURLY, suspended=True), FRESH, at(9)) == Decision()


def test_the_jitter_is_always_the_same_and_spreads_schedules() -> None:
    delays = {jitter(f"uid-{n}", 59) for n in range(1000)}
    assert delays == {timedelta(seconds=n) for n in range(60)}
    assert jitter("uid-1", 59) == jitter("uid-1", 59)
    assert jitter("uid-1", 0) == timedelta()
    late = replace(HOURLY, delay=7 * MINUTE)
    assert due(late, FRESH, at(1) + 6 * MINUTE).run == ()
    fired = due(late, FRESH, at(1) + 7 * MINUTE)
    assert (fired.run, fired.again_at) == ((at(1),), at(2) + 7 * MINUTE)


def test_an_outage_of_years_is_decided_at_once() -> None:
    decision = due(Terms(CronLine("* * * * *", UTC)), FRESH, at(100_000))
    assert decision.run == (at(100_000),)
    assert decision.missed == 999


LINES = ["30 2 * * *", "*/7 * * * *", "0 */2 * * *", "15 1,2,3 * * *"]
slots: st.SearchStrategy[Slots] = st.one_of(
    st.builds(lambda line, name: CronLine(line, zone(name)), st.sampled_from(LINES),
              st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "UTC"])),
    st.builds(lambda shift, seconds: Grid(START + timedelta(seconds=shift), seconds),
              st.integers(-5000, 5000), st.integers(60, 20_000)),
    st.builds(lambda seconds: Once(START + timedelta(seconds=seconds)), st.integers(-100, 100_000)),
)  # fmt: skip
terms = st.builds(
    Terms,
    slots=slots,
    start_at=st.none() | st.integers(-10, 20).map(at),
    end_at=st.none() | st.integers(0, 40).map(at),
    max_iterations=st.none() | st.integers(1, 12),
    deadline=st.none() | st.integers(1, 20_000).map(lambda n: timedelta(seconds=n)),
    missed_runs=st.sampled_from(MissedRunPolicy),
    max_missed=st.integers(1, 5),
    delay=st.integers(0, 900).map(lambda n: timedelta(seconds=n)),
    skipped=st.frozensets(st.integers(0, 40).map(at), max_size=3),
)
steps = st.lists(
    st.tuples(st.integers(-4000, 20_000), st.sampled_from(["written", "lost", "suspended"])), min_size=1, max_size=30
)


@settings(max_examples=150, deadline=None)
@given(terms, steps)
def test_whatever_happens_no_slot_is_run_twice_nor_after_the_end(terms: Terms, steps: list[tuple[int, str]]) -> None:
    """Time passes in leaps, also backwards; the answer to a status write is lost, so that only the runs are there."""
    now, progress, ran = START, Progress(START), list[datetime]()
    for seconds, fate in steps:
        now += timedelta(seconds=seconds)
        decision = due(replace(terms, suspended=fate == "suspended"), progress, now)
        new = [slot for slot in decision.run if slot not in progress.made]
        assert not set(new) & set(ran)
        assert list(decision.run) == sorted(set(decision.run))
        for slot in new:
            assert progress.decided_until < slot <= now - terms.delay
            assert terms.start_at is None or slot >= terms.start_at
            assert terms.end_at is None or (slot + terms.delay <= terms.end_at and now <= terms.end_at + ON_TIME)
            assert terms.deadline is None or now - slot - terms.delay <= terms.deadline
            assert slot not in terms.skipped
        assert list(decision.next_times) == sorted(set(decision.next_times))
        assert all(moment > now for moment in decision.next_times)
        ran += new
        decided = decision.decided_until or progress.decided_until
        assert decided >= max([progress.decided_until, *new])
        made = progress.made | set(new)
        if fate == "written":  # from then on the status alone knows of these: old runs are deleted
            untold = frozenset(slot for slot in made if slot > decided)
            progress = Progress(decided, progress.iteration + len(decision.run), untold)
        else:
            progress = replace(progress, made=made)
    assert terms.max_iterations is None or len(ran) <= terms.max_iterations
