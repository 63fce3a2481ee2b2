"""Foreman's JSON of jobs (contract §2 and §3)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from rollcall.resources.schedule import ScheduleState
from rollcall_api.foreman import echo
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.search import quoted
from rollcall_api.foreman.status import NOT_AVAILABLE, STATUS, counts, job_status, status_label, task_state
from rollcall_api.foreman.targeting import DYNAMIC, STATIC
from rollcall_api.foreman.tasks import task_id
from rollcall_api.jobs import Member, View
from rollcall_api.records import Job, Schedule
from rollcall_api.series import is_cancelled


def time(moment: datetime) -> str:
    """A time as views print it: `2023-05-04 10:00:00 UTC`."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def base(view: View) -> dict[str, Any]:
    """A job as an item of the list."""
    job, template = view.job, view.template
    label = status_label(job)
    numbers = counts(view)
    return {
        "id": job.id,
        "description": view.description,
        "job_category": echo.category(job, template),
        "targeting_id": job.id,
        "status": STATUS[label],
        "start_at": time(job.start_at or job.created),
        "status_label": label,
        "ssh_user": job.user,
        "time_to_pickup": echo.time_to_pickup(job),
        "template_id": template.id if template else None,
        "template_name": template.resource.title if template else job.template,
        "effective_user": job.effective_user or (template.effective_user if template else None),
        "dynflow_task": {"id": task_id(job), "state": task_state(job)},
        **numbers,
        "missing": view.missing,
        "cancelled": job.counts.cancelled if job.counts else 0,
        "total_hosts": len(view.members) if job.resolved or job.hosts is not None else NOT_AVAILABLE,
        "concurrency_level": job.concurrency,
        "execution_timeout_interval": job.execution_timeout,
    }


def item(view: View) -> bytes:
    """A job as an encoded item of the list."""
    return orjson.dumps(base(view))


def show(view: View, members: Sequence[Member] | None, *, host_status: bool, shows_query: bool) -> bytes:
    """The whole job with those of its hosts that the requester may see; None leaves out all that is about hosts.

    A query may name hosts, and one that was made of them does: `shows_query` says whether it is shown.
    """
    job = view.job
    targeting = _targeting(view, shows_query)
    task = {"id": task_id(job), "state": task_state(job), "cancellable": not job.finished}
    task["started_at"] = None if job.scheduled else time(job.created)
    body = base(view) | {"targeting": targeting, "task": task, **_mode(view)}
    values = _input_values(view)
    if members is not None:
        targeting["hosts"] = [_host(member, job, host_status) for member in members]
        body["template_invocations"] = [
            _template_invocation(view, values, member) for member in members if member.slice is not None
        ]
    # Jobs belong to no organization and no location.
    body["job_organization"] = body["job_location"] = None
    body["pattern_template_invocations"] = [_template_invocation(view, values, None)]
    return orjson.dumps(body)


def _targeting(view: View, shows_query: bool) -> dict[str, Any]:
    job = view.job
    return {
        "bookmark_id": echo.bookmark_id(job),
        "bookmark_name": echo.bookmark_name(job),
        "search_query": query(job) if shows_query else None,
        "targeting_type": DYNAMIC if job.late else STATIC,
        "user_id": number_of(job.requested_by),
        "randomized_ordering": echo.randomized(job),
    }


def query(job: Job) -> str | None:
    """The search query of a job; one that names its hosts where it had none, or a longer one than is kept."""
    known = echo.query(job)
    return quoted(job.hosts) if known is None and job.hosts is not None else known


def _mode(view: View) -> dict[str, Any]:
    """When the job runs, where not at once (§2.2)."""
    job = view.job
    if job.schedule is not None:
        found = {} if view.schedule is None else {"recurrence": recurrence(view.schedule, view.runs)}
        return {"mode": "recurring", **found}
    if job.start_at is None:
        return {}
    before = None if job.start_before is None else time(job.start_before)
    return {"mode": "future", "scheduling": {"start_at": time(job.start_at), "start_before": before}}


def recurrence(schedule: Schedule, runs: Iterable[Job]) -> dict[str, Any]:
    """A series (§2.2); two of its keys are misspelt upstream, too."""
    spec, state = schedule.resource.spec, series_state(schedule)
    known = list(runs)
    past = [moment for run in known if not run.scheduled and (moment := run.planned or run.created)]
    coming = [run.start_at for run in known if run.scheduled and run.start_at is not None]
    zone = f" {spec.time_zone}" if spec.time_zone else ""
    return {
        "id": schedule.id,
        "cron_line": f"{spec.cron[0]}{zone}" if spec.cron else None,
        "end_time": None if spec.end_at is None else time(spec.end_at.astimezone(UTC)),
        "iteration": len(known),
        "task_group_id": schedule.id,
        "state": state,
        "max_iteration": spec.max_iterations,
        "purpose": spec.purpose,
        "task_count": len(known),
        "action": "Run hosts job:",
        "last_occurence": time(max(past)) if past else None,
        "next_occurence": time(min(coming)) if coming and state == "active" else None,
    }


def series_state(schedule: Schedule) -> str:
    """The state of a series in Foreman's word (§4.5)."""
    resource = schedule.resource
    if is_cancelled(schedule):
        return "cancelled"
    match resource.status.state:
        case ScheduleState.FINISHED:
            return "finished"
        case ScheduleState.INVALID:
            return "failed"
        case _:
            return "disabled" if resource.spec.suspend else "active"


def _host(member: Member, job: Job, host_status: bool) -> dict[str, Any]:
    id_ = member.host.id if member.host else None
    shown: dict[str, Any] = {"name": member.name, "id": id_, "display_name": member.name}
    if host_status:
        shown["job_status"] = job_status(member, job)
    return shown


def _input_values(view: View) -> list[dict[str, Any]]:
    return [
        {
            "template_input_name": name,
            "template_input_id": number_of(f"{view.job.template}/{name}"),
            "value": value,
        }
        for name, value in view.inputs.items()
    ]


def _template_invocation(view: View, values: list[dict[str, Any]], member: Member | None) -> dict[str, Any]:
    return {
        "template_id": view.template.id if view.template else None,
        "template_name": view.template.resource.title if view.template else view.job.template,
        "host_id": member.host.id if member and member.host else None,
        "template_invocation_input_values": values,
    }


def with_permissions(body: bytes, permissions: Mapping[str, bool]) -> bytes:
    """An encoded object with what the requester may do beside it."""
    return b'%b,"permissions":%b}' % (body[:-1], orjson.dumps(permissions))
