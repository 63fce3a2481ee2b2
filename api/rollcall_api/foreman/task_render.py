"""Foreman's JSON of tasks (contract §7.7)."""

from datetime import datetime
from typing import Any, Final

from rollcall.names import HostState
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.output import Cancelled, cancelled
from rollcall_api.foreman.render import time
from rollcall_api.foreman.status import task_result, task_state
from rollcall_api.foreman.tasks import host_task_id, task_id
from rollcall_api.jobs import Member, View, awaits_outcome
from rollcall_api.records import HostEnd, Job

JOB_LABEL: Final = "Actions::RemoteExecution::RunHostsJob"
JOB_ACTION: Final = "Run hosts job:"
HOST_LABEL: Final = "Actions::RemoteExecution::RunHostJob"
_HOST_RESULTS: Final = {
    HostState.SUCCEEDED: "success",
    HostState.FAILED: "error",
    HostState.CANCELLED: "cancelled",
    HostState.CANCEL_FAILED: "cancelled",
    HostState.NOT_STARTED: "cancelled",
}


def job_row(job: Job) -> dict[str, Any]:
    """A job's task as searches see it; times are seconds since the epoch."""
    start = job.start_at or job.created
    ended = _ended(job)
    return {
        "id": task_id(job),
        "label": JOB_LABEL,
        "action": JOB_ACTION,
        "state": task_state(job),
        "result": task_result(job),
        "resource_type": "JobInvocation",
        "resourceId": job.id,
        "started": None if job.scheduled else start.timestamp(),
        "startAt": start.timestamp(),
        "ended": None if ended is None else ended.timestamp(),
        "duration": duration(job),
        "userId": number_of(job.requested_by),
        "user": job.requested_by,
    }


def duration(job: Job) -> float | None:
    """How many seconds a job took that has ended."""
    ended = _ended(job)
    return None if ended is None else max((ended - (job.start_at or job.created)).total_seconds(), 0)


def _ended(job: Job) -> datetime | None:
    return job.completed if job.finished else None


def job_task(view: View) -> dict[str, Any]:
    """A job's task."""
    job, row = view.job, job_row(view.job)
    counts = job.counts
    total = counts.total if counts else len(view.members)
    done = counts.succeeded + counts.failed + counts.cancelled if counts else 0
    output = ""
    if counts:
        output = f"{total} task(s), {counts.succeeded} success, {counts.failed + counts.cancelled} fail"
    action = f"{JOB_ACTION} {view.description}" if view.description else row["action"]
    problems = [_job_problem(job)] if row["result"] == "warning" else []
    return _task(
        row,
        job,
        action=action,
        progress=1 if job.finished else (done / total if total else 0),
        details={"job_invocation_id": job.id, "job_category": _category(view)},
        output={"total_count": total, "success_count": counts.succeeded} if counts else {},
        humanized={"action": JOB_ACTION, "input": view.description or "", "output": output, "errors": problems},
    )


def _job_problem(job: Job) -> str:
    if job.missed_start and job.start_before is not None:
        return f"Execution plan could not be started before set time ({time(job.start_before)})"
    return "A sub task failed"


def host_row(job: Job, member: Member) -> dict[str, Any]:
    """The task of one host as searches see it."""
    state = member.state
    ended = (state is not None and state.ended) or (job.finished and not awaits_outcome(member, job))
    end = member.end.time if member.end else None
    return {
        **job_row(job),
        "id": host_task_id(job, member.name),
        "label": HOST_LABEL,
        "action": f"Remote action: Run on {member.name}",
        "state": "stopped" if ended else ("running" if state is HostState.RUNNING else "planned"),
        "result": _host_result(state, ended),
        "resource_type": "TemplateInvocation",
        "parent": task_id(job),
        "ended": end,
        "duration": None,
    }


def host_task(view: View, member: Member) -> dict[str, Any]:
    """The task of one host."""
    row = host_row(view.job, member)
    end = member.end
    problems = [_host_problem(view.job, member.state, end)] if end is not None else []
    exit_code = 0 if member.state is HostState.SUCCEEDED else (end.exit_code if end is not None else None)
    return _task(
        row,
        view.job,
        action=row["action"],
        progress=1 if row["state"] == "stopped" else 0,
        details={"job_invocation_id": view.job.id, "host": _host(member)},
        output={} if exit_code is None else {"exit_status": exit_code},
        humanized={"action": row["action"], "input": member.name, "output": "", "errors": problems},
    )


def _host_problem(job: Job, state: HostState | None, end: HostEnd) -> str:
    if state is HostState.CANCELLED:
        return cancelled(job) if end.started else Cancelled.PLAIN
    return end.message or end.reason or "The job failed"


def _host(member: Member) -> dict[str, Any]:
    return {"id": member.host.id if member.host else None, "name": member.name}


def _host_result(state: HostState | None, ended: bool) -> str:
    if not ended:
        return "pending"
    # A job that ended before its hosts were dealt with has run on none.
    return "cancelled" if state is None else _HOST_RESULTS.get(state, "cancelled")


def _category(view: View) -> str:
    return view.template.resource.spec.category if view.template else "Miscellaneous"


def _task(
    row: dict[str, Any],
    job: Job,
    *,
    action: str,
    progress: float,
    details: dict[str, Any],
    output: dict[str, Any],
    humanized: dict[str, Any],
) -> dict[str, Any]:
    stopped = row["state"] == "stopped"
    start, ended = job.start_at or job.created, job.completed if stopped else None
    return {
        "id": row["id"],
        "label": row["label"],
        "pending": not stopped,
        "action": action,
        "username": job.requested_by,
        "started_at": None if job.scheduled else time(start),
        "ended_at": None if ended is None else time(ended),
        "duration": row["duration"],
        "state": row["state"],
        "result": row["result"],
        "progress": progress,
        "input": details,
        "output": output,
        "humanized": humanized,
        "cli_example": None,
        "start_at": time(start),
        "available_actions": {"cancellable": not stopped, "resumable": False},
    }
