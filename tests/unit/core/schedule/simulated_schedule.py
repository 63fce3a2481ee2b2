"""A simulated schedule: its operator, the runs it makes, a clock that people set, and what is promised of all of it.

The promises are checked at every run that is made and at every status that is written. They are put as
docs/schedules.md puts them, from what the schedule said and when that was seen, not as `plan` works them out.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from rollcall.names import ANNOTATION_MADE_AHEAD, ANNOTATION_RUN_NOW, Reason
from rollcall.plan.ahead import made_of, passed_over, planned_slot
from rollcall.plan.observed import Note
from rollcall.plan.schedule import delay, run_name, terms
from rollcall.plan.scheduling import (
    Outcome,
    Run,
    SchedulePlan,
    child_annotations,
    conclude,
    mark,
    plan,
    to_cancel,
)
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.schedule import Schedule, ScheduleState, ScheduleStatus

START: Final = datetime(2026, 10, 24, 12, tzinfo=UTC)
"""Half a day before the clocks of Europe are turned back."""
SLOTS: Final = ("cron", "timeZone", "every", "at", "rrule", "startAt")
"""What the planned times follow from."""
TIMING: Final = (*SLOTS, "endAt", "maxIterations", "jitterSeconds")
GRACE: Final = timedelta(seconds=60)
DENIED: Final = Note(Reason.PERMISSION_DENIED, "no", warning=True)


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], field: str) -> bool:
    """Whether a field says different things; what is absent, and what is the default of that, are the same."""
    return (one.get(field) or None) != (other.get(field) or None)


class Fate(StrEnum):
    """How far a look at the schedule comes before the operator dies."""

    WELL = "to its end"
    MADE = "to its runs, and another look follows"
    KILLED = "to its first run"
    UNTOLD = "to its runs"
    TOLD = "to its status"


class SimulatedSchedule:
    """A schedule in a world of its own."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.now = START
        self.spec = dict(spec)
        self.status = ScheduleStatus()
        self.rival: str | None = None
        """An older schedule with the same purpose."""
        self.request: str | None = None
        self.asked = timedelta()
        """Tells requests of one moment apart."""
        self.children: dict[str, JobInvocation] = {}
        self.slots: dict[str, datetime] = {}
        """What the planned runs were made for, also of those that have been deleted."""
        self.given_up: dict[str, datetime] = {}
        """Runs that were made ahead, and whose moment has passed in vain."""
        self.by_hand: set[str] = set()
        self.remembered: set[str] = set()
        """Runs that cannot be deleted yet: the operator knows that no status tells of them."""
        self.told: dict[str, Any] | None = None
        """The spec that the status describes; None: it is a new schedule, whatever it was before anyone told of it."""
        self.told_idle = False
        self.over = START
        """Nothing that was planned up to this moment may be run."""

    def schedule(self) -> Schedule:
        """The schedule as the API server has it."""
        return Schedule.model_validate({
            "metadata": {"name": "nightly", "namespace": "jobs", "uid": "uid-1", "generation": 1,
                         "creationTimestamp": START.isoformat(),
                         "annotations": {} if self.request is None else {ANNOTATION_RUN_NOW: self.request}},
            "spec": {"requestedBy": {"username": "alice"},
                     "invocationTemplate": {"spec": {"templateRef": {"name": "t"}}}} | self.spec,
            "status": self.status.wire(),
        })  # fmt: skip

    @property
    def active(self) -> list[str]:
        return [name for name, child in self.children.items() if not child.finished and name not in self.waiting]

    @property
    def waiting(self) -> list[str]:
        """The runs that were made ahead, and that nobody has let go."""
        return [name for name, child in self.children.items() if child.waits_for_schedule]

    @property
    def valid(self) -> bool:
        """Whether nothing stands in the way of runs but suspension."""
        return self.rival is None and "0 25 * * *" not in (self.spec.get("cron") or ())

    # ---- what people do ----------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Somebody asks for a run by hand, and the operator marks the request."""
        self.asked += timedelta(microseconds=1)
        self.request = mark(self.now + self.asked)

    def make_ahead(self) -> None:
        """Somebody makes the next run before its time."""
        schedule = self.schedule()
        run = Run(run_name(schedule, slot := self.status.next_times[0] - delay(schedule)), slot)
        if run.name not in self.children:
            mark_ = {ANNOTATION_MADE_AHEAD: made_of(schedule.spec)}
            self.children[run.name] = self._invocation(schedule, run, mark_)

    def skip(self, name: str) -> None:
        """Somebody cancels a run that waits. If its time has not been settled without it, it counts as made, and the
        schedule has to tell of it."""
        slot = planned_slot(self.schedule(), self.children[name])
        assert slot is not None
        self.end(name, "Cancelled")
        if slot > (self.status.decided_until or START):
            self.slots[name] = slot
            self.remembered.add(name)

    def end(self, name: str, how: str) -> None:
        """A run finishes."""
        said = {"type": how, "status": "True", "reason": "x", "lastTransitionTime": self.now.isoformat()}
        status = {"conditions": [said], "completionTime": self.now.isoformat()}
        self.children[name] = JobInvocation.model_validate({**self.children[name].wire(), "status": status})

    def delete(self, name: str) -> None:
        """Somebody deletes a run, which the operator lets go only when its schedule has told of it."""
        if name not in self.remembered:
            del self.children[name]

    # ---- what the operator does --------------------------------------------------------------------------------

    def look(self, fate: Fate, problem: Note | None = None) -> None:
        """Do what there is to do, as far as that comes; `problem` is what the API server says to new runs."""
        schedule, children, before = self.schedule(), list(self.children.values()), set(self.slots)
        over = self._seen_over(schedule)
        planned = plan(schedule, children, self.rival, self.now)
        for child in planned.withdraw:
            assert child.metadata.name in self.waiting
            del self.children[child.metadata.name]
        outcomes = []
        for run in planned.runs:
            outcomes.append(self._make(schedule, run, over, problem))
            if fate is Fate.KILLED:
                break
        self._check_number(schedule, len(set(self.slots) - before))
        if fate in (Fate.KILLED, Fate.UNTOLD):
            self._start_anew()
        elif fate is not Fate.MADE:
            self._tell(schedule, planned, outcomes, over)
        if fate is Fate.TOLD:
            self._start_anew()
        if fate is Fate.WELL:
            self._finish_look(planned, outcomes)

    def _seen_over(self, schedule: Schedule) -> datetime:
        """Up to when all is over for the schedule, as it is seen now."""
        late = self.now - delay(schedule)
        if self.told is None:
            return START
        if any(_differ(self.spec, self.told, field) for field in SLOTS):
            return self.now
        if any(_differ(self.spec, self.told, field) for field in TIMING):
            return max(min(self.over, self.now), late)
        return max(self.over, late) if self.told_idle else self.over

    def _make(self, schedule: Schedule, run: Run, over: datetime, problem: Note | None) -> Outcome:
        assert run.ahead is (run.name in self.waiting)
        assert run.exists is (run.name in self.children and not run.ahead)
        assert run.name not in self.given_up
        if run.exists or problem is not None:
            return Outcome(run, None if run.exists else problem)
        if self.spec.get("concurrencyPolicy") == "Forbid":
            assert not self.active, "another one is at work"
        if run.manual:
            assert run.name not in self.by_hand, "made once for each request"
            self.by_hand.add(run.name)
        else:
            self._check(schedule, run.planned, over)
            self.slots[run.name] = run.planned
        self.children[run.name] = self._invocation(schedule, run)
        self.remembered.add(run.name)
        return Outcome(run)

    def _invocation(self, schedule: Schedule, run: Run, marks: Mapping[str, str] | None = None) -> JobInvocation:
        metadata = {"name": run.name, "annotations": child_annotations(run, marks or {}),
                    "creationTimestamp": self.now.isoformat(),
                    "ownerReferences": [schedule.owner_reference().wire()]}  # fmt: skip
        return JobInvocation.model_validate({"metadata": metadata, "spec": {}})

    def _start_anew(self) -> None:
        """Another operator begins, and knows what there is."""
        until = self.status.decided_until or START
        self.remembered = {
            name for name in self.children if (name in self.slots and self.slots[name] > until) or self.request
        }

    def _tell(self, schedule: Schedule, planned: SchedulePlan, outcomes: Sequence[Outcome], over: datetime) -> None:
        before = self.status
        self.status, _ = conclude(schedule, planned, outcomes, list(self.children.values()), self.now)
        slots = ((name, planned_slot(schedule, self.children[name])) for name in self.waiting)
        settled = self.status.decided_until or START
        self.given_up |= {name: slot for name, slot in slots if slot is not None and slot <= settled}
        self.told, self.over = dict(self.spec), over
        self.told_idle = not self.valid or bool(self.spec.get("suspend"))
        self.remembered = set()
        self._check_status(before)

    def _finish_look(self, planned: SchedulePlan, outcomes: Sequence[Outcome]) -> None:
        """What follows the status write; then nothing is left to be done or written."""
        self.request = None
        for name in to_cancel(planned, outcomes):
            self.end(name, "Cancelled")
        for name in passed_over(self.schedule(), self.status, self.children.values()):
            assert name not in self.slots
            self.end(name, "Cancelled")
        for child in planned.delete:
            del self.children[child.metadata.name]
        schedule, children = self.schedule(), list(self.children.values())
        again = plan(schedule, children, self.rival, self.now)
        assert (again.runs, again.skipped, again.withdraw) == ((), (), ())
        self._check_waiting()
        status, _ = conclude(schedule, again, (), children, self.now)
        active = {"active", "active_count"}  # those that were just cancelled
        assert status.model_dump(exclude=active) == self.status.model_dump(exclude=active), "nothing more to write"

    # ---- what is promised --------------------------------------------------------------------------------------

    def _check(self, schedule: Schedule, slot: datetime, over: datetime) -> None:
        """A run that is about to be made may be."""
        spec, late = schedule.spec, self.now - slot - delay(schedule)
        assert slot not in self.slots.values(), "one run for one slot"
        assert all(slot > made for made in self.slots.values()), "in order"
        assert self.valid
        assert not spec.suspend
        assert next(iter(terms(schedule).slots.after(slot - timedelta(seconds=1)))) == slot, "as it is planned now"
        assert slot > over, "it was over when the schedule became what it is"
        assert late >= timedelta()
        assert spec.start_at is None or slot >= spec.start_at
        assert spec.end_at is None or (slot + delay(schedule) <= spec.end_at and self.now <= spec.end_at + GRACE)
        assert spec.max_iterations is None or len(self.slots) < spec.max_iterations
        assert slot not in spec.skip_times
        assert spec.starting_deadline_seconds is None or late.total_seconds() <= spec.starting_deadline_seconds
        assert spec.missed_run_policy != "Skip" or late <= GRACE
        if spec.missed_run_policy != "All":
            later = (found for found in terms(schedule).slots.after(slot) if found not in spec.skip_times)
            following = next(later, None)
            until = self.now if spec.end_at is None else min(self.now, spec.end_at)
            assert following is None or following + delay(schedule) > until, "the last that has come"

    def _check_waiting(self) -> None:
        """A run that waits is the next one, as the schedule would make it; unless nobody knows what comes."""
        schedule, status = self.schedule(), self.status
        if not self.valid or schedule.spec.suspend:
            return
        for name in self.waiting:
            slot = planned_slot(schedule, self.children[name])
            assert slot is not None
            assert slot + delay(schedule) in status.next_times
            assert self.children[name].metadata.annotations[ANNOTATION_MADE_AHEAD] == made_of(schedule.spec)

    def _check_number(self, schedule: Schedule, new: int) -> None:
        """No more runs are made at once than the missed-run policy says."""
        everyone = schedule.spec.missed_run_policy == "All"
        assert new <= (schedule.spec.max_missed_runs if everyone else 1)

    def _check_status(self, before: ScheduleStatus) -> None:
        """What the status says is true."""
        status = self.status
        assert status.iteration == len(self.slots), "it counts what was made"
        assert status.made_until == max((*self.slots.values(), *self.given_up.values()), default=None)
        assert status.made_until is None or (status.decided_until or START) >= status.made_until
        assert status.missed >= before.missed
        assert (status.state is ScheduleState.ACTIVE) is bool(status.next_times)
        assert list(status.next_times) == sorted(set(status.next_times))
        assert all(moment > self.now for moment in status.next_times)
        end, most = self.schedule().spec.end_at, self.spec.get("maxIterations")
        assert end is None or all(moment <= end for moment in status.next_times)
        assert most is None or status.iteration + len(status.next_times) <= max(most, status.iteration)
