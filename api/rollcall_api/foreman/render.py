"""Foreman's JSON of jobs (contract §2 and §3)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from rollcall.names import HostState
from rollcall_api.foreman.creation import DIALECT, TARGETING_TYPES
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import Page
from rollcall_api.foreman.search import Order, quoted
from rollcall_api.jobs import Member, View, echo_key
from rollcall_api.records import Job

NOT_AVAILABLE: Final = "N/A"
_STATUS: Final = {"succeeded": 0, "failed": 1, "queued": 2, "running": 3, "cancelled": 4}
_JOB_STATUS: Final = {
    HostState.PENDING: "planned",
    HostState.RUNNING: "running",
    HostState.SUCCEEDED: "success",
    HostState.FAILED: "error",
    HostState.CANCELLED: "cancelled",
    HostState.CANCEL_FAILED: "cancelled",
    HostState.NOT_STARTED: NOT_AVAILABLE,
}
_TARGETING_TYPE: Final = echo_key(DIALECT, "targeting-type")
_RANDOMIZED: Final = echo_key(DIALECT, "randomized-ordering")
_TIME_TO_PICKUP: Final = echo_key(DIALECT, "time-to-pickup")


def time(moment: datetime) -> str:
    """A time as views print it: `2023-05-04 10:00:00 UTC`."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def status_label(job: Job) -> str:
    """The job's status in a word (§3.1); an immediate job is at no time queued."""
    if job.complete:
        return "succeeded"
    if job.cancelled:
        # One that is cancelled while it runs ends as failed (§3.2).
        return "failed" if job.started else "cancelled"
    return "failed" if job.failed else "running"


def task_state(job: Job) -> str:
    """The state of the job's task, Dynflow's word for it."""
    if job.finished:
        return "stopped"
    return "running" if job.resolved else "planned"


def counts(view: View) -> dict[str, int | str]:
    """The counts (§3.3): those that are numbers add up, and failed includes cancelled."""
    job = view.job
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


def base(view: View) -> dict[str, Any]:
    """A job as an item of the list."""
    job, template = view.job, view.template
    label = status_label(job)
    numbers = counts(view)
    pickup = job.echo.get(_TIME_TO_PICKUP, "")
    return {
        "id": job.id,
        "description": view.description,
        "job_category": template.resource.spec.category if template else "Miscellaneous",
        "targeting_id": job.id,
        "status": _STATUS[label],
        "start_at": time(job.created),
        "status_label": label,
        "ssh_user": job.user,
        "time_to_pickup": int(pickup) if pickup.isdecimal() and len(pickup) < 19 else None,
        "template_id": template.id if template else None,
        "template_name": template.resource.title if template else job.template,
        "effective_user": job.effective_user or (template.effective_user if template else None),
        "dynflow_task": {"id": job.uid, "state": task_state(job)},
        **numbers,
        "missing": view.missing,
        "cancelled": job.counts.cancelled if job.counts else 0,
        "total_hosts": numbers["total"],
        "concurrency_level": job.concurrency,
        "execution_timeout_interval": job.execution_timeout,
    }


def item(view: View) -> bytes:
    """A job as an encoded item of the list."""
    return orjson.dumps(base(view))


def job_status(member: Member, job: Job) -> str:
    """The word for one host (§3.4)."""
    state = member.state
    if state is None or (state is HostState.PENDING and job.finished):
        return NOT_AVAILABLE
    return _JOB_STATUS[state]


def show(view: View, *, host_status: bool, include_hosts: bool, may_view_hosts: bool) -> bytes:
    """The whole job."""
    job = view.job
    targeting: dict[str, Any] = {
        "bookmark_id": None,
        "bookmark_name": None,
        "search_query": None if job.hosts is None else quoted(job.hosts),
        "targeting_type": _one_of(job.echo.get(_TARGETING_TYPE), TARGETING_TYPES),
        "user_id": number_of(job.requested_by),
        "randomized_ordering": {"true": True, "false": False}.get(job.echo.get(_RANDOMIZED, "")),
    }
    body = base(view) | {"targeting": targeting, "task": {"id": job.uid, "state": task_state(job)}}
    values = _input_values(view)
    if include_hosts:
        members = [m for m in view.members if m.host is not None and m.host.id is not None] if may_view_hosts else []
        targeting["hosts"] = [_host(member, job, host_status) for member in members]
        body["template_invocations"] = [
            _template_invocation(view, values, member) for member in members if member.slice is not None
        ]
    body["pattern_template_invocations"] = [_template_invocation(view, values, None)]
    return orjson.dumps(body)


def _one_of(text: str | None, allowed: Sequence[str]) -> str:
    return text if text is not None and text in allowed else allowed[0]


def _host(member: Member, job: Job, host_status: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": member.name, "id": member.host.id if member.host else None}
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


def envelope(
    items: Iterable[bytes], *, total: int, subtotal: int, page: Page, search: str | None, order: Order
) -> bytes:
    """A page of a list (§1.8), from encoded items."""
    head = {
        "total": total,
        "subtotal": subtotal,
        "page": page.number,
        "per_page": total if page.per_page is None else page.per_page,
        "search": search,
        "sort": {"by": order.by, "order": order.direction},
    }
    return b'%b,"results":[%b]}' % (orjson.dumps(head)[:-1], b",".join(items))
