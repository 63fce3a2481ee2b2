"""Runs that were made before their time came, for those who want to see the next one, and skip it (docs/adr/0022).

Such a run waits with a mark that its Schedule alone takes away: when its time has come, and when the run would be made
if it were not there. Until then it is none of the Schedule's runs. It is taken back when the Schedule would make
another one in its place or none at all, and cancelled when its time was settled without it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from rollcall.names import ANNOTATION_MADE_AHEAD, ANNOTATION_PLANNED
from rollcall.plan.schedule import created, delay, run_name
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.schedule import Schedule, ScheduleSpec, ScheduleStatus
from rollcall.schedule.due import Decision


def made_of(spec: ScheduleSpec) -> str:
    """The value of the mark: a digest of all that a run is made of."""
    told = spec.model_dump_json(include={"invocation_template", "requested_by"}, exclude_defaults=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def planned_slot(schedule: Schedule, child: JobInvocation) -> datetime | None:
    """The slot that an invocation was made for; None for one that was asked for by hand, or only says so."""
    try:
        slot = datetime.fromisoformat(child.metadata.annotations.get(ANNOTATION_PLANNED, ""))
    except ValueError:
        return None
    return slot if slot.tzinfo and child.metadata.name == run_name(schedule, slot) else None


def is_up_to_date(schedule: Schedule, child: JobInvocation) -> bool:
    """Whether a run that waits is what the schedule would make now."""
    leaves = child.metadata.deletion_timestamp is not None
    return not leaves and child.metadata.annotations.get(ANNOTATION_MADE_AHEAD) == made_of(schedule.spec)


def to_withdraw(
    schedule: Schedule, waiting: Sequence[JobInvocation], decision: Decision, settled: datetime
) -> tuple[JobInvocation, ...]:
    """Those of the runs that wait for a moment at which none is planned any more, or another one than that.

    Nobody knows that while the schedule is suspended; and a run that is being cancelled is there to be skipped.
    """
    if schedule.spec.suspend and not decision.finished:
        return ()
    wanted = {*decision.run, *(moment - delay(schedule) for moment in decision.next_times)}

    def stays(child: JobInvocation) -> bool:
        slot = planned_slot(schedule, child)
        if slot in wanted:
            return is_up_to_date(schedule, child)
        return slot is not None and slot <= settled  # `passed_over` says what becomes of it

    lasting = [child for child in waiting if child.metadata.deletion_timestamp is None]
    return tuple(child for child in lasting if child.spec.cancellation is None and not stays(child))


def given_up(
    schedule: Schedule, settled: datetime | None, children: Iterable[JobInvocation]
) -> dict[datetime, JobInvocation]:
    """The runs that will never be let go, by their slots, when all up to a moment is settled."""
    waiting = ((planned_slot(schedule, child), child) for child in children if child.waits_for_schedule)
    bound = settled or created(schedule)
    return {slot: child for slot, child in waiting if slot is not None and slot <= bound}


def passed_over(schedule: Schedule, status: ScheduleStatus, children: Iterable[JobInvocation]) -> tuple[str, ...]:
    """The runs to cancel, by the status that was written: they will never be let go."""
    over = given_up(schedule, status.decided_until, children).values()
    return tuple(child.metadata.name for child in over if child.spec.cancellation is None)
