"""What is done for a Schedule, and what its status says then."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollcall.names import ConditionType, Reason
from rollcall.plan.ahead import made_of, passed_over
from rollcall.plan.observed import Note
from rollcall.plan.schedule import run_name
from rollcall.plan.scheduling import (
    Outcome,
    conclude,
    mark,
    marked_at,
    plan,
    to_cancel,
    without_details,
)
from rollcall.resources.jobinvocation import Cancellation, JobInvocation
from rollcall.resources.schedule import Schedule, ScheduleState

START = datetime(2026, 5, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DENIED = Note(Reason.PERMISSION_DENIED, "no", warning=True)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def schedule(status: Any = None, annotations: dict[str, str] | None = None, **spec: Any) -> Schedule:
    return Schedule.model_validate({
        "metadata": {"name": "nightly", "namespace": "jobs", "uid": "uid-1", "generation": 1,
                     "creationTimestamp": START.isoformat(), "annotations": annotations or {}},
        "spec": {"every": {"seconds": 3600}, "requestedBy": {"username": "alice"},
                 "invocationTemplate": {"spec": {"templateRef": {"name": "t"}}}} | spec,
        "status": {} if status is None else status.wire() if hasattr(status, "wire") else status,
    })  # fmt: skip


def child(of: Schedule, planned: datetime | str, end: str | None = None, hours: float = 0) -> JobInvocation:
    condition = {"type": end, "status": "True", "reason": "x", "lastTransitionTime": START.isoformat()}
    moment = planned if isinstance(planned, str) else planned.isoformat()
    status = {"conditions": [condition], "completionTime": at(hours).isoformat()} if end else {}
    metadata = {"name": run_name(of, planned), "annotations": {"rollcall.dev/planned": moment}}
    return JobInvocation.model_validate({"metadata": metadata, "spec": {}, "status": status})


def step(
    of: Schedule, now: datetime, *children: JobInvocation, problem: Note | None = None
) -> tuple[Schedule, list[str]]:
    """Do what is to be done at a moment; the schedule afterwards, and the runs that were made."""
    planned = plan(of, children, None, now)
    outcomes = [Outcome(run, problem) for run in planned.runs]
    status, _ = conclude(of, planned, outcomes, children, now)
    after = of.model_copy(update={"status": status})
    return after, [run.name for run in planned.runs]


def test_the_name_of_a_run_follows_from_the_uid_and_the_moment() -> None:
    found = run_name(schedule(), at(1))
    assert found == run_name(schedule(), at(1))
    assert found.startswith(f"nightly-{int(at(1).timestamp())}-")
    other = schedule().model_copy(update={"metadata": schedule().metadata.model_copy(update={"uid": "uid-2"})})
    assert run_name(other, at(1)) != found
    long = schedule().metadata.model_copy(update={"name": "n" * 253})
    assert len(run_name(schedule().model_copy(update={"metadata": long}), at(1))) <= 52


def test_the_status_tells_of_a_run_and_what_comes() -> None:
    fresh, none = step(schedule(), at(0.5))
    assert (none, fresh.status.state, fresh.status.decided_until) == ([], ScheduleState.ACTIVE, None)
    assert fresh.status.next_times == tuple(at(n) for n in range(1, 6))
    again, _ = step(fresh, at(0.7))
    assert again.status == fresh.status, "nothing to write when nothing is due"
    ran, (name,) = step(fresh, at(1) + timedelta(seconds=3))
    assert ran.status.last_run is not None
    assert (ran.status.last_run.name, ran.status.last_run.lateness_seconds) == (name, 3)
    assert (ran.status.iteration, ran.status.decided_until) == (1, at(1))
    assert ran.status.summary == "every 3600 s"


def test_the_table_tells_of_a_template_or_a_feature_and_of_a_problem_only_where_there_is_one() -> None:
    told, _ = step(schedule(), at(0.5))
    assert (told.status.template, told.status.problem) == ("t", None)
    asleep, _ = step(schedule(suspend=True, invocationTemplate={"spec": {"feature": "patch"}}), at(0.5))
    assert (asleep.status.template, asleep.status.problem) == ("feature: patch", None)
    wrong, _ = step(schedule(every=None, cron=["0 25 * * *"]), at(0.5))
    assert wrong.status.problem == "InvalidSpec"
    mended, _ = step(schedule(wrong.status), at(0.6))
    assert (mended.status.problem, mended.status.state) == (None, ScheduleState.ACTIVE)
    refused, _ = step(schedule(), at(1), problem=DENIED)
    assert refused.status.problem is None, "its error is told beside that"


def test_an_edit_of_the_times_is_not_retroactive() -> None:
    ran, _ = step(schedule(), at(1))
    edited = schedule(ran.status, every={"seconds": 600})
    after, made = step(edited, at(5.01))
    assert made == []
    assert (after.status.missed, after.status.decided_until) == (0, at(5.01).replace(microsecond=0))
    assert after.status.next_times[0] == at(5) + timedelta(seconds=600)
    assert step(after, at(5) + timedelta(seconds=601))[1] != []


def test_an_edit_of_anything_else_loses_no_run() -> None:
    ran, _ = step(schedule(), at(1))
    edited = schedule(ran.status, invocationTemplate={"spec": {"templateRef": {"name": "other"}}})
    assert step(edited, at(2.01))[1] == [run_name(edited, at(2))]


def test_what_was_due_while_suspended_is_not_made_up_for() -> None:
    asleep, made = step(schedule(suspend=True), at(1.5))
    assert (made, asleep.status.state, asleep.status.next_times) == ([], ScheduleState.SUSPENDED, ())
    still, _ = step(asleep, at(3.5))
    assert still.status == asleep.status
    awake, made = step(schedule(asleep.status), at(3.5))
    assert (made, awake.status.state, awake.status.missed) == ([], ScheduleState.ACTIVE, 0)
    assert awake.status.decided_until == at(3.5)
    assert step(awake, at(4))[1] == [run_name(awake, at(4))]


IDLE = [{"suspend": True}, {"at": None, "cron": ["0 25 * * *"]}]


@pytest.mark.parametrize("idle", IDLE, ids=["suspended", "invalid"])
def test_a_moment_that_passed_meanwhile_never_comes(idle: dict[str, Any]) -> None:
    once: dict[str, Any] = {"every": None, "at": at(1).isoformat()}
    asleep, _ = step(schedule(**once | idle), at(0.5))
    awake, made = step(schedule(asleep.status, **once), at(1.5))
    assert (made, awake.status.state, awake.status.iteration) == ([], ScheduleState.FINISHED, 0)
    assert step(awake, at(1.6))[1] == [], "nor at any later look"


def test_a_suspended_schedule_is_finished_when_its_end_has_come() -> None:
    end = at(2.5).isoformat()
    asleep, _ = step(schedule(suspend=True, endAt=end, purpose="nightly"), at(1.5))
    assert asleep.status.state is ScheduleState.SUSPENDED
    over, made = step(asleep, at(3.5))
    assert (made, over.status.state) == ([], ScheduleState.FINISHED)
    awake, made = step(schedule(over.status, endAt=end, purpose="nightly"), at(3.6))
    assert (made, awake.status.state, awake.status.missed) == ([], ScheduleState.FINISHED, 0)


def test_a_run_whose_status_was_never_written_is_not_made_again() -> None:
    first, _ = step(schedule(), at(0.5))
    orphan = child(first, at(1))
    after, made = step(first, at(2.5), orphan)
    assert made == [run_name(first, at(1)), run_name(first, at(2))]
    planned = plan(first, [orphan], None, at(2.5))
    assert [run.exists for run in planned.runs] == [True, False]
    assert (after.status.iteration, after.status.missed) == (2, 0)


def test_a_run_is_as_late_as_it_was_made_however_late_that_is_written_down() -> None:
    run = child(schedule(), at(1))
    made = run.metadata.model_copy(update={"creation_timestamp": at(1) + timedelta(seconds=7)})
    after, _ = step(schedule(), at(1.5), run.model_copy(update={"metadata": made}))
    assert after.status.last_run is not None
    assert after.status.last_run.lateness_seconds == 7


def test_forbid_leaves_a_run_out_and_replace_cancels_the_earlier_one() -> None:
    busy = child(schedule(), at(1))
    ran, _ = step(schedule(), at(1))
    forbid = schedule(ran.status, concurrencyPolicy="Forbid")
    planned = plan(forbid, [busy], None, at(2))
    assert (planned.runs, [outcome.run.planned for outcome in planned.skipped]) == ((), [at(2)])
    status, notes = conclude(forbid, planned, [], [busy], at(2))
    assert (status.iteration, status.missed, status.decided_until) == (1, 1, at(2))
    assert [note.reason for note in notes] == [Reason.RUN_SKIPPED]
    assert plan(forbid, [child(forbid, at(1), "Complete")], None, at(2)).skipped == ()
    replace = plan(schedule(ran.status, concurrencyPolicy="Replace"), [busy], None, at(2))
    assert (replace.cancel, len(replace.runs)) == ((busy.metadata.name,), 1)
    both = plan(schedule(ran.status, concurrencyPolicy="Replace"), [busy, child(schedule(), at(2))], None, at(2))
    assert both.cancel == (busy.metadata.name,), "the run that is there already does not replace itself"
    all_missed = schedule(ran.status, concurrencyPolicy="Forbid", missedRunPolicy="All")
    assert [run.planned for run in plan(all_missed, [], None, at(4)).runs] == [at(2)]


def test_forbid_makes_no_run_beside_one_by_hand_that_is_there_already() -> None:
    """It was made, and the operator died before it could take the request away."""
    asked = mark(at(0.6))
    owner = schedule(annotations={"rollcall.dev/run-now": asked}, concurrencyPolicy="Forbid")
    planned = plan(owner, [child(owner, asked)], None, at(1))
    assert [(run.manual, run.exists) for run in planned.runs] == [(True, True)]
    assert [outcome.run.planned for outcome in planned.skipped] == [at(1)]


def test_a_refused_run_is_told_and_the_schedule_goes_on() -> None:
    refused = Note(Reason.PERMISSION_DENIED, "no", warning=True)
    after, _ = step(schedule(), at(1), problem=refused)
    assert after.status.last_run is not None
    assert (after.status.last_run.name, after.status.last_run.error) == (None, "no")
    assert (after.status.iteration, after.status.state, after.status.decided_until) == (0, ScheduleState.ACTIVE, at(1))
    once, _ = step(schedule(every=None, at=at(1).isoformat()), at(1), problem=refused)
    assert once.status.state is ScheduleState.FINISHED


def test_iterations_that_were_not_made_do_not_finish_it() -> None:
    refused = Note(Reason.PERMISSION_DENIED, "no", warning=True)
    after, _ = step(schedule(maxIterations=1), at(1), problem=refused)
    assert (after.status.state, after.status.next_times) == (ScheduleState.ACTIVE, (at(2),))
    done, _ = step(after, at(2))
    assert (done.status.state, done.status.next_times) == (ScheduleState.FINISHED, ())


def test_a_request_by_hand_is_met_once_whatever_the_schedule_does() -> None:
    asked = {"rollcall.dev/run-now": "taken-2026-05-06T12:30:00.123456+00:00"}
    waiting, made = step(schedule(annotations=asked, suspend=True), at(0.6))
    assert len(made) == 1
    assert waiting.status.last_run is not None
    assert (waiting.status.last_run.manual, waiting.status.iteration) == (True, 0)
    assert step(schedule(annotations=asked), at(0.7))[1] == made
    assert step(schedule(annotations={"rollcall.dev/run-now": "yes"}), at(0.7))[1] == [], "it has no mark yet"


@pytest.mark.parametrize(
    "value",
    ["taken-nonsense", "taken-0001-01-01T00:00:00+00:00", "taken-0001-01-01T00:00:00.000000+00:00",
     "taken-0001-01-01T00:00:00+23:59", "taken-9999-12-31T23:59:59-23:59", "taken-2026-05-06T12:30:00.123456",
     "taken-2026-05-06T12:30:00.123456+01:00", "taken-2026-05-03T12:30:00.123456+00:00",
     "2026-05-06T12:30:00.123456+00:00", ""],
)  # fmt: skip
def test_a_mark_that_the_operator_has_not_set_is_none(value: str) -> None:
    """It is given another: a name and a time that somebody chose must not get into runs and status."""
    assert marked_at(schedule(), value, at(0.7)) is None
    assert step(schedule(annotations={"rollcall.dev/run-now": value}), at(0.7))[1] == []


def test_the_operators_own_mark_is_always_one() -> None:
    for now in (at(0.7), at(-9000), at(0) + timedelta(microseconds=1)):
        assert marked_at(schedule(), mark(now), now) == now


def test_a_run_that_is_left_out_is_no_iteration() -> None:
    """Contract: maxIterations counts runs that are made."""
    by_hand = child(schedule(), "Manual")
    terms: dict[str, Any] = {"maxIterations": 1, "concurrencyPolicy": "Forbid"}
    before, _ = step(schedule(**terms), at(0.5), by_hand)
    after, made = step(before, at(1), by_hand)
    assert (made, after.status.state, after.status.iteration) == ([], ScheduleState.ACTIVE, 0)
    assert after.status.next_times == (at(2),)
    assert step(after, at(1.7), child(schedule(), "Manual", "Complete", 1.7))[1] == [], "it is not made up for"
    done, made = step(after, at(2))
    assert (len(made), done.status.state, done.status.iteration) == (1, ScheduleState.FINISHED, 1)


@pytest.mark.parametrize(
    "change",
    [{"suspend": True}, {"every": {"seconds": 1800}}, {"every": None, "cron": ["0 25 * * *"]}, {"purpose": "p"},
     {"skipTimes": [at(1).isoformat()]}],
    ids=["suspended", "edited", "invalid", "purpose taken", "skipped"],
)  # fmt: skip
def test_a_run_counts_whatever_the_schedule_became_before_its_status_was_written(change: dict[str, Any]) -> None:
    before, _ = step(schedule(maxIterations=1), at(0.5))
    run, moment = child(before, at(1)), at(1) + timedelta(seconds=2)
    changed = schedule(before.status, **{"maxIterations": 1} | change)
    planned = plan(changed, [run], "other" if "purpose" in change else None, moment)
    assert [(found.name, found.exists) for found in planned.runs] == [(run.metadata.name, True)]
    status, _ = conclude(changed, planned, [Outcome(found) for found in planned.runs], [run], moment)
    assert status.decided_until is not None
    assert (status.iteration, status.decided_until >= at(1)) == (1, True)
    assert status.last_run is not None
    assert (status.last_run.name, status.last_run.lateness_seconds) == (run.metadata.name, 2)
    assert step(changed.model_copy(update={"status": status}), at(1.2), run)[0].status.iteration == 1, "once"
    after, made = step(schedule(status, maxIterations=1), at(5), run)
    assert (made, after.status.state) == ([], ScheduleState.FINISHED)


@pytest.mark.parametrize(
    "change", [{}, {"suspend": True}, {"every": {"seconds": 60}}, {"every": None, "cron": ["0 25 * * *"]}],
    ids=["", "suspended", "edited", "invalid"],
)  # fmt: skip
def test_an_untold_run_counts_also_when_the_clock_was_set_back_behind_it(change: dict[str, Any]) -> None:
    """No status tells of it later, either: the history may have deleted it until its time comes again."""
    quarterly: dict[str, Any] = {"every": {"seconds": 900}, "maxIterations": 2}
    before, _ = step(schedule(**quarterly), at(0.1))
    back, made = step(schedule(before.status, **quarterly | change), at(0.7), child(before, at(1)))
    assert made == [run_name(before, at(1))], "and none for what was left out when it was made"
    assert (back.status.iteration, back.status.decided_until, back.status.made_until) == (1, at(1), at(1))
    if not change:
        assert back.status.next_times == (at(1.25),)
        assert step(back, at(1))[1] == [], "not again"


def test_an_untold_run_of_other_slots_counts_and_nothing_older_is_made() -> None:
    """The schedule was changed before any status could tell that it was seen."""
    once: dict[str, Any] = {"every": None, "cron": ["30 * * * *"]}
    orphan = child(schedule(), at(1))
    assert step(schedule(**once), at(1.2), orphan)[1] == [run_name(schedule(), at(1))]
    last, made = step(schedule(maxIterations=1, **once), at(1.6), orphan)
    assert (made, last.status.state) == ([run_name(schedule(), at(1))], ScheduleState.FINISHED)


def test_an_edit_behind_an_untold_run_is_still_not_retroactive() -> None:
    before, _ = step(schedule(), at(0.5))
    edited, made = step(schedule(before.status, every={"seconds": 60}), at(1.5), child(before, at(1)))
    assert (len(made), edited.status.decided_until) == (1, at(1.5))


@pytest.mark.parametrize("change", [{"suspend": True}, {"endAt": at(50).isoformat()}], ids=["suspended", "edited"])
def test_a_run_that_the_jitter_delays_is_not_lost_by_a_change(change: dict[str, Any]) -> None:
    late = {"jitterSeconds": 3000}
    told, _ = step(schedule(**late), at(1.001))
    start = told.status.next_times[0]
    assert start > at(1.01), "the delay of this schedule is long enough"
    changed, made = step(schedule(told.status, **late | change), at(1.005))
    back, none = step(schedule(changed.status, **late), at(1.01))
    assert (made, none, back.status.next_times[0]) == ([], [], start)
    assert step(back, start)[1] == [run_name(back, at(1))]


DAILY: dict[str, Any] = {"every": None, "jitterSeconds": 3600}
"""Of this schedule, the jitter delays each run by more than a quarter of an hour."""


@pytest.mark.parametrize("cron", [["0 20 * * *"], ["0 20 * * *", "0 3 * * *"]], ids=["another line", "one line more"])
def test_an_edit_runs_no_slot_of_the_past_however_long_the_jitter_would_delay_it(cron: list[str]) -> None:
    before, _ = step(schedule(cron=["0 3 * * *"], **DAILY), at(7.9))
    assert before.status.next_times[0] > at(15.25), "12:00 is 0 here, so that 03:00 is 15"
    seen = at(8) + timedelta(minutes=10)
    edited, made = step(schedule(before.status, cron=cron, **DAILY), seen)
    assert (made, edited.status.decided_until, edited.status.missed) == ([], seen, 0)
    assert edited.status.next_times[0] > at(15), "20:00 was over when the line came"
    assert step(edited, at(8.5))[1] == []


def test_an_earlier_start_runs_no_slot_of_the_past_either() -> None:
    before, _ = step(schedule(jitterSeconds=3000, startAt=at(30).isoformat()), at(1))
    edited, made = step(schedule(before.status, jitterSeconds=3000), at(2.01))
    assert (made, edited.status.decided_until) == ([], at(2.01).replace(microsecond=0))


def test_a_status_of_an_older_version_is_understood() -> None:
    late = {"jitterSeconds": 3000}
    told, _ = step(schedule(**late), at(1.001))
    assert told.status.timing is not None
    older = told.status.model_copy(update={"timing": told.status.timing.partition("-")[0]})
    same, _ = step(schedule(older, **late), at(1.005))
    assert same.status == told.status, "nothing was edited"
    edited, _ = step(schedule(older, endAt=at(50).isoformat(), **late), at(1.005))
    assert edited.status.decided_until == at(1.005), "nobody knows whether the slots are the same"


@pytest.mark.parametrize("by_hand", [False, True], ids=["", "and then by hand"])
def test_an_edit_after_the_clock_was_set_back_makes_no_run_again(by_hand: bool) -> None:
    """The history has deleted the runs, so that only the status knows of them."""
    ran, _ = step(schedule(), at(2))
    ran, _ = step(ran, at(3), problem=DENIED)
    if by_hand:
        ran, _ = step(schedule(ran.status, {"rollcall.dev/run-now": mark(at(0.6))}), at(0.6))
    edited, made = step(schedule(ran.status, maxIterations=100), at(0.7))
    assert (made, edited.status.decided_until, edited.status.made_until) == ([], at(2), at(2))
    assert edited.status.next_times[0] == at(3), "3 was refused: no run was made for it"
    assert step(edited, at(2))[1] == []


def test_an_edit_after_the_clock_was_set_back_begins_anew_where_no_run_was_made() -> None:
    skipped, _ = step(schedule(missedRunPolicy="Skip"), at(9.5))
    assert skipped.status.decided_until == at(9)
    edited, _ = step(schedule(skipped.status, every={"seconds": 1800}), at(0.7))
    assert edited.status.next_times[0] == at(1)


def test_a_new_jitter_runs_nothing_again() -> None:
    ran, _ = step(schedule(), at(1))
    later, made = step(schedule(ran.status, jitterSeconds=86_400), at(1.01))
    assert (made, later.status.decided_until) == ([], at(1))


def test_replace_leaves_only_the_last_run_after_a_crash() -> None:
    before, _ = step(schedule(), at(0.5))
    orphan = child(before, at(1))
    planned = plan(schedule(before.status, concurrencyPolicy="Replace"), [orphan], None, at(2.5))
    assert [(run.planned, run.exists) for run in planned.runs] == [(at(1), True), (at(2), False)]
    assert planned.cancel == (orphan.metadata.name,)


@pytest.mark.parametrize("slot", ["2026-05-06T13:00:00Z", "2026-05-06", "0001-01-01T00:00:00+23:59"])
def test_only_the_runs_own_name_says_what_it_was_planned_for(slot: str) -> None:
    forged = child(schedule(), at(1)).metadata.model_copy(
        update={"name": "mine", "annotations": {"rollcall.dev/planned": slot}}
    )
    invocation = child(schedule(), at(1)).model_copy(update={"metadata": forged})
    planned = plan(schedule(), [invocation], None, at(1))
    assert [(run.name, run.exists) for run in planned.runs] == [(run_name(schedule(), at(1)), False)]


@pytest.mark.parametrize(("problem", "cancelled"), [(DENIED, 0), (None, 1)], ids=["denied", "made"])
def test_nothing_is_cancelled_for_a_run_that_is_not_made(problem: Note | None, cancelled: int) -> None:
    ran, _ = step(schedule(), at(1))
    planned = plan(schedule(ran.status, concurrencyPolicy="Replace"), [child(schedule(), at(1))], None, at(2))
    assert len(to_cancel(planned, [Outcome(run, problem) for run in planned.runs])) == cancelled
    assert to_cancel(planned, []) == ()


def test_the_status_stays_small_and_no_run_is_made_beside_a_thousand() -> None:
    busy = [child(schedule(), at(0) - timedelta(seconds=n)) for n in range(999)]
    almost, made = step(schedule(), at(1), *busy)
    assert (len(made), almost.status.active_count, len(almost.status.active)) == (1, 999, 100)
    full = plan(almost, [*busy, child(schedule(), at(1))], None, at(2))
    assert (full.runs, [outcome.run.planned for outcome in full.skipped]) == ((), [at(2)])
    replacing = schedule(almost.status, concurrencyPolicy="Replace")
    assert plan(replacing, [*busy, child(schedule(), at(1))], None, at(2)).cancel == (), "for nothing"
    status, (note,) = conclude(almost, full, [], busy, at(2))
    assert (status.missed, note.reason) == (1, Reason.RUN_SKIPPED)
    assert "no more than 1000" in note.message
    assert status.last_run is not None
    assert (status.last_run.name, status.last_run.reason) == (None, "RunSkipped")


def test_of_runs_that_are_left_out_for_one_reason_the_first_is_told() -> None:
    def events(of: Schedule, hours: float, *children: JobInvocation, problem: Note | None = None) -> list[Reason]:
        planned = plan(of, children, None, at(hours))
        outcomes = [Outcome(run, problem) for run in planned.runs]
        return [note.reason for note in conclude(of, planned, outcomes, children, at(hours))[1]]

    busy = child(schedule(), "Manual")
    first, _ = step(schedule(concurrencyPolicy="Forbid"), at(0.5), busy)
    assert events(first, 1, busy) == [Reason.RUN_SKIPPED]
    second, _ = step(first, at(1), busy)
    assert events(second, 2, busy) == []
    assert events(second, 2, problem=DENIED) == [Reason.PERMISSION_DENIED]
    assert events(second, 2) == [Reason.RUN_STARTED]
    denied, _ = step(schedule(), at(1), problem=DENIED)
    assert events(denied, 2, problem=DENIED) == []
    made, _ = step(denied, at(2))
    assert events(made, 3, problem=DENIED) == [Reason.PERMISSION_DENIED], "it is news again"
    asked = schedule(denied.status, {"rollcall.dev/run-now": mark(at(1.5))})
    assert events(asked, 1.5, problem=DENIED) == [Reason.PERMISSION_DENIED], "who asks by hand is answered"


def test_of_a_status_that_is_refused_what_counts_is_kept() -> None:
    ran, _ = step(schedule(), at(1))
    kept = without_details(schedule(), ran.status, "status.summary: Too long", at(1))
    assert (kept.state, kept.iteration, kept.decided_until) == (ScheduleState.INVALID, 1, at(1))
    assert (kept.next_times, kept.last_run, kept.summary) == ((), None, None)
    after = schedule(kept)
    found = after.condition(ConditionType.VALID)
    assert found is not None
    assert (found.status, "status.summary: Too long" in found.message) == ("False", True)
    assert without_details(after, kept, "status.summary: Too long", at(3)) == kept, "nothing more to write"


def test_what_is_wrong_is_told_and_nothing_is_run() -> None:
    wrong = schedule(every=None, cron=["0 25 * * *"])
    after, made = step(wrong, at(1))
    found = after.condition(ConditionType.VALID)
    assert found is not None
    assert (made, after.status.state, "hour: '25'" in found.message) == ([], ScheduleState.INVALID, True)
    taken = plan(schedule(purpose="p"), [], "older", at(1))
    assert (taken.runs, taken.invalid and taken.invalid.reason) == ((), Reason.PURPOSE_TAKEN)
    far = schedule(every=None, at="9999-12-31T23:59:59Z", jitterSeconds=86400)
    assert step(far, at(1))[1] == []


def test_the_history_keeps_the_latest_of_each_kind() -> None:
    owner = schedule(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=1)
    ended = [child(owner, at(-n), end, -n) for n, end in enumerate(["Complete", "Complete", "Failed", "Cancelled"], 1)]
    planned = plan(owner, [*ended, child(owner, at(-9))], None, at(0.5))
    deleted = [found.metadata.name for found in planned.delete]
    assert deleted == [run_name(owner, at(-2)), run_name(owner, at(-4))]


def ahead(of: Schedule, planned: datetime, **mark: str) -> JobInvocation:
    """A run that somebody made before its time."""
    made = child(of, planned).metadata
    update = {
        "annotations": {**made.annotations, "rollcall.dev/made-ahead": made_of(of.spec)} | mark,
        "owner_references": (of.owner_reference(),),
        "creation_timestamp": START,
    }
    return JobInvocation.model_validate({"metadata": made.model_copy(update=update).wire(), "spec": {}})


def test_a_run_that_was_made_ahead_is_told_of_when_its_time_has_come() -> None:
    of, run = schedule(), ahead(schedule(), at(1))
    before, none = step(of, at(0.5), run)
    assert (none, before.status.iteration, before.status.active_count, before.status.last_run) == ([], 0, 0, None)
    assert before.status.next_times[0] == at(1)
    (due,) = plan(before, [run], None, at(1)).runs
    assert (due.name, due.exists, due.ahead) == (run.metadata.name, False, True)
    after, _ = step(before, at(1) + timedelta(seconds=2), run)
    assert after.status.last_run is not None
    assert (after.status.iteration, after.status.last_run.lateness_seconds) == (1, 2)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({}, DENIED),
        ({"startingDeadlineSeconds": 60}, None),
        ({"skipTimes": [at(1).isoformat()]}, None),
        ({"concurrencyPolicy": "Forbid"}, None),
    ],
)
def test_a_run_that_waited_in_vain_is_cancelled(spec: dict[str, Any], problem: Note | None) -> None:
    of = schedule(every=None, at=at(1).isoformat(), **spec)
    waits, other = ahead(of, at(1)), child(of, "by hand")
    after, _ = step(of, at(1.5), waits, other, problem=problem)
    assert after.status.iteration == 0
    assert passed_over(after, after.status, [waits, other]) == (waits.metadata.name,)


@pytest.mark.parametrize(
    "edit",
    [
        {"every": {"seconds": 5000}},
        {"every": None, "at": at(0.1).isoformat()},
        {"invocationTemplate": {"spec": {"templateRef": {"name": "other"}}}},
        {"requestedBy": {"username": "bob"}},
        {"skipTimes": [at(1).isoformat()]},
    ],
)
def test_a_run_that_is_not_what_comes_next_is_taken_back(edit: dict[str, Any]) -> None:
    before, _ = step(schedule(), at(0.5))
    waits = ahead(before, at(1))
    edited = schedule(before.status, **edit)
    assert plan(edited, [waits], None, at(0.6)).withdraw == (waits,)
    asleep = schedule(before.status, suspend=True, **edit)
    assert plan(asleep, [waits], None, at(0.6)).withdraw == (), "nobody knows yet what comes"
    cancelled = waits.model_copy(update={"spec": waits.spec.model_copy(update={"cancellation": Cancellation()})})
    assert plan(edited, [cancelled], None, at(0.6)).withdraw == (), "somebody skips it"


def test_a_run_that_waits_for_what_is_run_no_more_is_not_let_go_either() -> None:
    of = schedule()
    stale = ahead(of, at(1), **{"rollcall.dev/made-ahead": "of before"})
    planned = plan(of, [stale], None, at(1))
    assert planned.withdraw == (stale,)
    assert [(run.exists, run.ahead) for run in planned.runs] == [(False, False)]


def test_a_run_that_ended_before_its_time_counts_and_is_no_last_run() -> None:
    of = schedule()
    made = ahead(of, at(1)).wire()
    ended = JobInvocation.model_validate(made | {"status": child(of, at(1), "Cancelled").status.wire()})
    planned = plan(of, [ended], None, at(0.5))
    status, notes = conclude(of, planned, [Outcome(run) for run in planned.runs], [ended], at(0.5))
    assert (status.iteration, status.last_run, status.next_times[0]) == (1, None, at(2))
    assert [note.reason for note in notes] == [Reason.RUN_SKIPPED]
