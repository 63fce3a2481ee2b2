"""Status words and numbers of jobs and hosts (contract §3)."""

from typing import Final

from rollcall.names import HostState
from rollcall_api.jobs import Member, View, awaits_outcome
from rollcall_api.records import Job

NOT_AVAILABLE: Final = "N/A"
STATUS: Final = {"succeeded": 0, "failed": 1, "queued": 2, "running": 3, "cancelled": 4}
_JOB_STATUS: Final = {
    HostState.PENDING: "planned",
    HostState.RUNNING: "running",
    HostState.SUCCEEDED: "success",
    HostState.FAILED: "error",
    HostState.CANCELLED: "cancelled",
    HostState.CANCEL_FAILED: "cancelled",
    HostState.NOT_STARTED: NOT_AVAILABLE,
}


def status_label(job: Job) -> str:
    """The job's status in a word (§3.1)."""
    if job.complete:
        return "succeeded"
    if job.cancelled:
        # One that is cancelled while it runs ends as failed (§3.2).
        return "failed" if job.started else "cancelled"
    if job.failed:
        return "failed"
    return "queued" if job.scheduled else "running"


def has_planned(job: Job) -> bool:
    """Whether runs on hosts have been planned. A job that waits for its time has planned none, nor has one that was
    cancelled, or ended otherwise, before it came (§2.2, §3.5)."""
    return job.started or (job.start_at is None and not job.cancelled)


def task_state(job: Job) -> str:
    """The state of the job's task, Dynflow's word for it."""
    if job.finished:
        return "stopped"
    if job.scheduled:
        return "scheduled"
    return "running" if job.resolved else "planned"


def task_result(job: Job) -> str:
    """The result of the job's task, Dynflow's word for it (§3.2)."""
    results = {"succeeded": "success", "cancelled": "cancelled", "failed": "warning"}
    return results.get(status_label(job), "pending")


def counts(view: View) -> dict[str, int | str]:
    """The counts (§3.3): those that are numbers add up, and failed includes cancelled."""
    job = view.job
    if job.scheduled:
        return dict.fromkeys(("succeeded", "failed", "pending", "total"), NOT_AVAILABLE)
    if job.counts is None or not job.resolved:
        known = job.hosts is not None
        total: int | str = len(view.members) if known else NOT_AVAILABLE
        return dict.fromkeys(("succeeded", "failed", "pending"), NOT_AVAILABLE) | {"total": total}
    return {
        "succeeded": job.counts.succeeded,
        "failed": job.counts.failed + job.counts.cancelled,
        "pending": job.counts.pending + job.counts.running,
        "total": job.counts.total,
    }


def job_status(member: Member, job: Job) -> str:
    """The word for one host (§3.4)."""
    state = member.state
    if not has_planned(job):
        return "cancelled" if job.cancelled else NOT_AVAILABLE
    if awaits_outcome(member, job):
        return _JOB_STATUS[state or HostState.PENDING]
    if state is None or (state is HostState.PENDING and job.finished):
        return NOT_AVAILABLE
    return _JOB_STATUS[state]
