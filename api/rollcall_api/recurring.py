"""When the next run of a series is."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from rollcall.plan.schedule import progress, terms
from rollcall.resources.schedule import Schedule
from rollcall_api.records import Job

_JUST_BEFORE = timedelta(microseconds=1)


def _ended_at_once(job: Job, now: datetime) -> bool:
    """Whether a run ended by itself before its time, as it does without a template: any number of others would, too."""
    return job.finished and not job.cancelled and job.planned is not None and job.planned > now


def next_slot(schedule: Schedule, jobs: Iterable[Job], now: datetime) -> datetime | None:
    """The first slot from now on for which no job has been made; None when no further run is to be queued."""
    known = [job for job in jobs if job.planned is not None]
    planned = [job.planned for job in known if job.planned is not None]
    if any(_ended_at_once(job, now) for job in known):
        return None
    due = terms(schedule)
    coming = sum(job.scheduled for job in known)
    if due.suspended or (
        due.max_iterations is not None and max(len(planned), schedule.status.iteration + coming) >= due.max_iterations
    ):
        return None
    since = max([now, progress(schedule, now).decided_until, *planned])
    if due.start_at is not None:
        since = max(since, due.start_at - _JUST_BEFORE)
    slot = next((slot for slot in due.slots.after(since) if slot not in due.skipped), None)
    return None if slot is None or (due.end_at is not None and slot > due.end_at) else slot
