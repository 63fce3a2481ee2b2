"""When the next run of a series is."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from rollcall.plan.schedule import terms
from rollcall.resources.schedule import Schedule
from rollcall_api.records import Job

_JUST_BEFORE = timedelta(microseconds=1)


def next_slot(schedule: Schedule, jobs: Iterable[Job], now: datetime) -> datetime | None:
    """The first slot from now on for which no job has been made; None when no further run is to be."""
    planned = [job.planned for job in jobs if job.planned is not None]
    due = terms(schedule)
    coming = sum(moment > now for moment in planned)
    if due.suspended or (
        due.max_iterations is not None and max(len(planned), schedule.status.iteration + coming) >= due.max_iterations
    ):
        return None
    since = max([now, *planned])
    if due.start_at is not None:
        since = max(since, due.start_at - _JUST_BEFORE)
    slot = next((slot for slot in due.slots.after(since) if slot not in due.skipped), None)
    return None if slot is None or (due.end_at is not None and slot > due.end_at) else slot
