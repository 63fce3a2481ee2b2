"""Foreman's JSON of a recurring logic, which is a Schedule (contract §2.2, §7.7)."""

from typing import Any, Final

from rollcall.names import GROUP
from rollcall.resources.schedule import ScheduleState
from rollcall_api.foreman.render import time
from rollcall_api.records import Schedule

CANCELLED: Final = f"foreman.{GROUP}/cancelled"
"""The annotation of a Schedule whose series was cancelled: such a one has an end in the past, like a finished one."""
_STATES: Final = {
    None: "active",
    ScheduleState.ACTIVE: "active",
    ScheduleState.SUSPENDED: "disabled",
    ScheduleState.FINISHED: "finished",
    ScheduleState.INVALID: "failed",
}


def state(schedule: Schedule) -> str:
    """The state, in Foreman's word; what was just said counts before what the operator has made of it."""
    resource = schedule.resource
    if CANCELLED in resource.metadata.annotations:
        return "cancelled"
    known = _STATES[resource.status.state]
    if known in ("active", "disabled"):
        return "disabled" if resource.spec.suspend else "active"
    return known


def recurrence(schedule: Schedule) -> dict[str, Any]:
    """A recurring logic."""
    spec, status, word = schedule.resource.spec, schedule.resource.status, state(schedule)
    last = status.last_run
    upcoming = status.next_times[0] if status.next_times and word == "active" else None
    return {
        "id": schedule.id,
        "cron_line": spec.cron[0] if spec.cron else None,
        "end_time": None if spec.end_at is None else time(spec.end_at),
        "iteration": status.iteration,
        "task_group_id": schedule.id,
        "state": word,
        "max_iteration": spec.max_iterations,
        "purpose": spec.purpose,
        "task_count": status.iteration,
        "action": "Run hosts job:",
        "last_occurence": None if last is None else time(last.time),
        "next_occurence": None if upcoming is None else time(upcoming),
    }
