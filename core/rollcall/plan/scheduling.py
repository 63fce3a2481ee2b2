"""What to do for a schedule: which runs to make, which to cancel and delete, and what its status says then."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rollcall.names import ANNOTATION_MADE_AHEAD, ANNOTATION_PLANNED, ANNOTATION_RUN_NOW, ConditionType, Reason
from rollcall.plan.ahead import given_up, is_up_to_date, planned_slot, to_withdraw
from rollcall.plan.conditions import with_condition
from rollcall.plan.observed import Note
from rollcall.plan.schedule import (
    created,
    delay,
    due,
    is_edited,
    progress,
    run_name,
    summary,
    template_of,
    terms,
    timing,
)
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.meta import Condition, ConditionStatus
from rollcall.resources.schedule import ConcurrencyPolicy, LastRun, Schedule, ScheduleState, ScheduleStatus
from rollcall.schedule.due import Decision
from rollcall.schedule.due import due as decide

MANUAL: Final = "Manual"
TAKEN: Final = "taken-"
"""What the value of the run-now annotation begins with once the operator has given the request a mark of its own."""
MAX_ACTIVE: Final = 1000
"""How many runs of a schedule may be active: more are made in vain, and would fill the cluster."""
SHOWN_ACTIVE: Final = 100
"""How many of them the status names: it has to fit into an object."""
_CLOCKS_DIFFER: Final = timedelta(days=1)
"""How far the clocks of two operators, or of one before and after it was set, may be apart."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """A run to make."""

    name: str
    planned: datetime
    manual: bool = False
    exists: bool = False
    """Whether its invocation is there already."""
    ahead: bool = False
    """Whether its invocation was made ahead, and waits to be let go."""
    skipped: bool = False
    """Whether its invocation was made ahead, and ended before it was let go: somebody wanted no run then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run; no problem: its invocation is there."""

    run: Run
    problem: Note | None = None


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """What to do, in this order; everything in it can be done twice without harm."""

    decision: Decision
    withdraw: tuple[JobInvocation, ...] = ()
    """Invocations to delete: they were made ahead for what is no longer planned."""
    runs: tuple[Run, ...] = ()
    skipped: tuple[Outcome, ...] = ()
    """Runs that an active one stands in the way of."""
    cancel: tuple[str, ...] = ()
    """Invocations that the last of the runs replaces, once it is made."""
    delete: tuple[JobInvocation, ...] = ()
    """Invocations that are beyond the limits of the history."""
    invalid: Note | None = None
    """What has to be changed before any run is made."""


def plan(schedule: Schedule, children: Sequence[JobInvocation], holder: str | None, now: datetime) -> SchedulePlan:
    """What to do, given the schedule's invocations, and the name of an older schedule with the same purpose."""
    waiting = [child for child in children if child.waits_for_schedule]
    children = [child for child in children if not child.waits_for_schedule]
    made = {slot: child for child in children if (slot := planned_slot(schedule, child)) is not None}
    decision, invalid = Decision(), None
    try:
        decision = due(schedule, now, frozenset(made))
    except (ValueError, OverflowError) as error:
        invalid = Note(Reason.INVALID_SPEC, str(error), warning=True)
    if holder is not None and invalid is None:
        said = f"the schedule {holder} has the same purpose, and has not finished"
        decision, invalid = Decision(), Note(Reason.PURPOSE_TAKEN, said, warning=True)
    decision = _with_untold(schedule, decision, frozenset(made))
    settled = _decided_until(schedule, decision, now) or created(schedule)
    withdraw = to_withdraw(schedule, waiting, decision, settled) if invalid is None else ()
    ahead = {child.metadata.name for child in waiting if is_up_to_date(schedule, child)}
    wanted = [_run(schedule, slot, made.get(slot), ahead) for slot in decision.run]
    wanted += [_exists(run, children) for run in _by_hand(schedule, now)]
    runs, skipped, cancel = _together(schedule.spec.concurrency_policy, wanted, children)
    runs, crowded = _with_room(runs, children)
    skipped, cancel = (*skipped, *crowded), () if crowded else cancel
    spec = schedule.spec
    old = beyond_history(children, spec.successful_jobs_history_limit, spec.failed_jobs_history_limit)
    return SchedulePlan(decision, withdraw, runs, skipped, cancel, old, invalid)


def _run(schedule: Schedule, slot: datetime, child: JobInvocation | None, ahead: Container[str]) -> Run:
    name = run_name(schedule, slot)
    never_began = child is not None and ANNOTATION_MADE_AHEAD in child.metadata.annotations
    return Run(name, slot, exists=child is not None, ahead=name in ahead, skipped=never_began)


def _with_untold(schedule: Schedule, decision: Decision, made: frozenset[datetime]) -> Decision:
    """The decision, and those runs that no status tells of yet: they were made, and then the schedule was changed.

    They are counted and settled whatever the schedule is by now, suspended, edited, or invalid, and whatever the clock
    says: it may have been set back since.
    """
    settled = schedule.status.decided_until or created(schedule)
    untold = {slot for slot in made if slot > settled} - set(decision.run)
    if not untold:
        return decision
    last = max(untold) if decision.decided_until is None else max(*untold, decision.decided_until)
    return replace(decision, run=tuple(sorted({*untold, *decision.run})), decided_until=last)


def _by_hand(schedule: Schedule, now: datetime) -> list[Run]:
    """The run that somebody asks for, once the request has a mark of its own."""
    value = schedule.metadata.annotations.get(ANNOTATION_RUN_NOW)
    seen = None if value is None else marked_at(schedule, value, now)
    return [] if value is None or seen is None else [Run(run_name(schedule, value), seen, manual=True)]


def mark(now: datetime) -> str:
    """The value of the run-now annotation that says when the operator saw the request."""
    return TAKEN + now.astimezone(UTC).isoformat(timespec="microseconds")


def marked_at(schedule: Schedule, value: str, now: datetime) -> datetime | None:
    """When the operator marked a request; None for what it has not written, or not at that time."""
    try:
        seen = datetime.fromisoformat(value.removeprefix(TAKEN))
    except ValueError:
        return None
    if seen.utcoffset() != timedelta() or mark(seen) != value:
        return None
    return seen if min(created(schedule), now) - _CLOCKS_DIFFER <= seen <= now + _CLOCKS_DIFFER else None


def _exists(run: Run, children: Sequence[JobInvocation]) -> Run:
    return replace(run, exists=any(child.metadata.name == run.name for child in children))


def _together(
    policy: ConcurrencyPolicy, wanted: Sequence[Run], children: Sequence[JobInvocation]
) -> tuple[tuple[Run, ...], tuple[Outcome, ...], tuple[str, ...]]:
    """The runs to make, those to leave out, and the invocations to cancel."""
    if policy is ConcurrencyPolicy.ALLOW or not wanted:
        return tuple(wanted), (), ()
    if policy is ConcurrencyPolicy.REPLACE:
        runs = [run for run in wanted if run.exists or run is wanted[-1]]
        left = [run for run in wanted if run not in runs]
        cancel = [c.metadata.name for c in children if not c.finished and c.metadata.name != wanted[-1].name]
        return tuple(runs), tuple(Outcome(run, _in_the_way(run, wanted[-1].name)) for run in left), tuple(cancel)
    active = [c.metadata.name for c in children if not c.finished]
    runs, skipped = [], []
    for run in wanted:
        if run.exists or not active:
            runs.append(run)
            active = active or [run.name]
        else:
            skipped.append(Outcome(run, _in_the_way(run, active[0])))
    return tuple(runs), tuple(skipped), ()


def _with_room(runs: Sequence[Run], children: Sequence[JobInvocation]) -> tuple[tuple[Run, ...], tuple[Outcome, ...]]:
    """Those of the runs that there is room for beside what is active, and the others."""
    active = sum(not child.finished for child in children)
    new = [run for run in runs if not run.exists]
    crowded = new[max(0, MAX_ACTIVE - active) :]
    said = f"was not made: {active} runs of the schedule are active, and no more than {MAX_ACTIVE} may be"
    outcomes = tuple(Outcome(run, Note(Reason.RUN_SKIPPED, f"{run.name} {said}", warning=True)) for run in crowded)
    return tuple(run for run in runs if run not in crowded), outcomes


def to_cancel(made_plan: SchedulePlan, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """The invocations to cancel, now that it is known which runs were made: those that one of them replaces."""
    return made_plan.cancel if outcomes and outcomes[-1].problem is None else ()


def _in_the_way(run: Run, other: str) -> Note:
    return Note(Reason.RUN_SKIPPED, f"{run.name} was not made: {other} is active", warning=True)


def beyond_history(children: Sequence[JobInvocation], successful: int, failed: int) -> tuple[JobInvocation, ...]:
    """The invocations that have finished and that are more than so many of each kind, oldest first."""
    ended = sorted(
        (child for child in children if child.finished and child.metadata.deletion_timestamp is None),
        key=lambda child: (child.status.completion_time or _EPOCH, child.metadata.name),
    )
    good = [child for child in ended if _succeeded(child)]
    bad = [child for child in ended if not _succeeded(child)]
    limits = ((good, successful), (bad, failed))
    return tuple(child for group, limit in limits for child in group[: max(0, len(group) - limit)])


def _succeeded(child: JobInvocation) -> bool:
    found = child.condition(ConditionType.COMPLETE)
    return found is not None and found.status is ConditionStatus.TRUE


def conclude(
    schedule: Schedule,
    made_plan: SchedulePlan,
    outcomes: Sequence[Outcome],
    children: Sequence[JobInvocation],
    now: datetime,
) -> tuple[ScheduleStatus, tuple[Note, ...]]:
    """The status after all that was done, and the Events that tell of it."""
    before, decision = schedule.status, made_plan.decision
    planned = [outcome for outcome in outcomes if not outcome.run.manual]
    made = [outcome.run.planned for outcome in planned if outcome.problem is None]
    left_out = sum(not outcome.run.manual for outcome in made_plan.skipped)
    deleted = {child.metadata.name for child in made_plan.delete}
    active = {child.metadata.name for child in children if not child.finished and not child.waits_for_schedule}
    active -= deleted
    decided = _decided_until(schedule, decision, now)
    # Nothing is run again for which one was made ahead and given up: its name is taken.
    bounds = (before.made_until, *made, *given_up(schedule, decided, children))
    status = before.model_copy(
        update={
            "observed_generation": schedule.metadata.generation,
            "summary": summary(schedule.spec),
            "template": template_of(schedule.spec),
            "timing": timing(schedule.spec),
            "iteration": before.iteration + len(made),
            "missed": before.missed + decision.missed + left_out,
            "last_run": _last_run(schedule, [*made_plan.skipped, *outcomes], children, now) or before.last_run,
            "active": tuple(sorted(active)[:SHOWN_ACTIVE]),
            "active_count": len(active),
            "decided_until": decided,
            "made_until": max((slot for slot in bounds if slot is not None), default=None),
        }
    )
    if made_plan.invalid is None and schedule.spec.max_iterations is not None and (planned or made_plan.skipped):
        decision = _afterwards(schedule, status, now)
    status = status.model_copy(update={"next_times": decision.next_times})
    status = _with_conditions(schedule, status, made_plan.invalid, decision, now)
    return status, _notes(schedule, made_plan, outcomes, status)


def _decided_until(schedule: Schedule, decision: Decision, now: datetime) -> datetime | None:
    """The moment up to which all is settled; nothing is written down before anything was, or has to be forgotten."""
    idle = schedule.status.state in (ScheduleState.SUSPENDED, ScheduleState.INVALID)
    resumed = idle and not schedule.spec.suspend and (decision.next_times or decision.finished)
    if not is_edited(schedule) and not resumed:
        return decision.decided_until or schedule.status.decided_until
    begun = progress(schedule, now).decided_until
    return max(begun, decision.decided_until or begun)


def _afterwards(schedule: Schedule, status: ScheduleStatus, now: datetime) -> Decision:
    """What comes next, now that it is known which runs were made."""
    reached = progress(schedule.model_copy(update={"status": status}), now)
    return decide(terms(schedule), reached, now)


def _last_run(
    schedule: Schedule, outcomes: Sequence[Outcome], children: Sequence[JobInvocation], now: datetime
) -> LastRun | None:
    begun = [outcome for outcome in outcomes if not outcome.run.skipped]
    if not begun:
        return None
    last = max(begun, key=lambda outcome: (outcome.run.planned, outcome.run.manual))
    made = (child.metadata.creation_timestamp for child in children if child.metadata.name == last.run.name)
    began = next(made, None)
    if began is None or began < last.run.planned:
        began = now  # it was made ahead
    late = began - last.run.planned
    if not last.run.manual:
        late -= delay(schedule)
    return LastRun(
        time=last.run.planned.replace(microsecond=0),
        name=None if last.problem else last.run.name,
        manual=last.run.manual,
        lateness_seconds=max(0, int(late.total_seconds())),
        error=last.problem.message[:1024] if last.problem else None,
        reason=last.problem.reason.value if last.problem else None,
    )


def _with_conditions(
    schedule: Schedule, status: ScheduleStatus, invalid: Note | None, decision: Decision, now: datetime
) -> ScheduleStatus:
    if invalid is not None:
        return unfit(status, schedule.metadata.generation, invalid, now)
    if schedule.spec.suspend and not decision.finished:
        state, why = ScheduleState.SUSPENDED, (Reason.SUSPENDED, "spec.suspend is true")
    elif decision.finished:
        state, why = ScheduleState.FINISHED, (Reason.FINISHED, "no run will follow")
    else:
        state, why = ScheduleState.ACTIVE, (Reason.RUNS_FOLLOW, "runs follow at its times")
    valid = (Reason.ACCEPTED, "nothing is wrong with it")
    return _in_state(status, state, schedule.metadata.generation, {ConditionType.VALID: valid}, why, now)


def unfit(status: ScheduleStatus, generation: int, problem: Note, now: datetime) -> ScheduleStatus:
    """The status of a schedule that cannot be carried out."""
    status = status.model_copy(update={"next_times": ()})
    return _in_state(status, ScheduleState.INVALID, generation, {}, (problem.reason, problem.message), now)


def without_details(schedule: Schedule, status: ScheduleStatus, refusal: str, now: datetime) -> ScheduleStatus:
    """What is written of a status that the API server refuses: what must not be lost, and why there is no more."""
    kept = ScheduleStatus(
        iteration=status.iteration,
        missed=status.missed,
        decided_until=status.decided_until,
        made_until=status.made_until,
        timing=status.timing,
        conditions=schedule.status.conditions,
    )
    problem = Note(Reason.INVALID_SPEC, f"the API server refuses its status: {refusal}", warning=True)
    return unfit(kept, schedule.metadata.generation, problem, now)


def _in_state(
    status: ScheduleStatus,
    state: ScheduleState,
    generation: int,
    true: Mapping[ConditionType, tuple[Reason, str]],
    why: tuple[Reason, str],
    now: datetime,
) -> ScheduleStatus:
    """The status with its conditions: those that are True in any case, and for the others why the state is that."""
    conditions = status.conditions
    for type_ in (ConditionType.VALID, ConditionType.ACTIVE):
        reason, message = true.get(type_, why)
        holds = type_ in true or state is ScheduleState.ACTIVE
        condition = Condition(
            type=type_,
            status=ConditionStatus.TRUE if holds else ConditionStatus.FALSE,
            observed_generation=generation,
            last_transition_time=now.replace(microsecond=0),
            reason=reason.value,
            message=message[:32768],
        )
        conditions = with_condition(conditions, condition)
    problem = why[0].value if state is ScheduleState.INVALID else None
    told = {"state": state, "problem": problem, "conditions": conditions, "observed_generation": generation}
    return status.model_copy(update=told)


def _notes(
    schedule: Schedule, made_plan: SchedulePlan, outcomes: Sequence[Outcome], status: ScheduleStatus
) -> tuple[Note, ...]:
    notes = _told(schedule.status.last_run, (*made_plan.skipped, *outcomes))
    if made_plan.decision.missed:
        said = f"{made_plan.decision.missed} planned runs were not made: it was too late for them"
        notes.append(Note(Reason.RUNS_MISSED, said, warning=True))
    before = schedule.status.state
    if status.state is not before:
        match status.state:
            case ScheduleState.INVALID if made_plan.invalid is not None:
                notes.append(made_plan.invalid)
            case ScheduleState.SUSPENDED:
                notes.append(Note(Reason.SUSPENDED, "no runs are made while spec.suspend is true"))
            case ScheduleState.FINISHED:
                notes.append(Note(Reason.FINISHED, "no run will follow"))
            case ScheduleState.ACTIVE if before is ScheduleState.SUSPENDED:
                notes.append(Note(Reason.RESUMED, "runs are made again"))
    return tuple(notes)


def _told(before: LastRun | None, outcomes: Sequence[Outcome]) -> list[Note]:
    """What became of runs; of those that are not made for the same reason again and again only the first is told."""
    notes = []
    known = before.reason if before is not None else None
    for outcome in outcomes:
        run, problem = outcome.run, outcome.problem
        if run.skipped:
            notes.append(Note(Reason.RUN_SKIPPED, f"{run.name} ended before its time came"))
        elif problem is None:
            when = (
                "asked for by hand" if run.manual else f"planned for {run.planned.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            )
            notes.append(Note(Reason.RUN_STARTED, f"made {run.name}, {when}"))
        elif run.manual or problem.reason.value != known:
            notes.append(problem)
        known = problem.reason.value if problem is not None else None
    return notes


def child_annotations(run: Run, given: Mapping[str, str]) -> dict[str, str]:
    """The annotations of a run's invocation."""
    planned = MANUAL if run.manual else run.planned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**given, ANNOTATION_PLANNED: planned}
