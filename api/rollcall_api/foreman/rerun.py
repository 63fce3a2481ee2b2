"""What a rerun asks for, and its flat answer (contract §2.7, §4.8)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from rollcall.names import HostState
from rollcall_api.foreman import echo
from rollcall_api.foreman.errors import ForemanError, e1
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import boolean, identifier, is_blank
from rollcall_api.foreman.search import quoted
from rollcall_api.foreman.tasks import task_id
from rollcall_api.job_manifests import JobRequest
from rollcall_api.jobs import Member, View
from rollcall_api.objects import Object
from rollcall_api.records import Job, Template


def parse(bag: Mapping[str, Any], job: Job, template: Template | None, members: Sequence[Member]) -> JobRequest:
    """The job that runs another again; `members` are those of its hosts that the requester may see.

    Raises 404 E3 when the template is gone.
    """
    if template is None or echo.category(job, template) != template.resource.spec.category:
        text = f"Could not rerun job {job.id} because its template could not be found"
        raise ForemanError(404, {"error": text})
    hosts, query = _chosen(bag, job, members)
    targeting, origin = _source(job, hosts)
    return JobRequest(
        template=template,
        inputs={name: value for name, value in job.inputs.items() if isinstance(value, (str, int))},
        input_secrets=job.input_secrets,
        targeting=targeting,
        rerun_of=origin,
        user=job.user,
        effective_user=job.effective_user,
        concurrency=job.concurrency,
        time_span=job.time_span,
        execution_timeout=job.execution_timeout,
        echo=echo.of_job(job, query),
    )


def _chosen(bag: Mapping[str, Any], job: Job, members: Sequence[Member]) -> tuple[list[str] | None, str | None]:
    """The hosts, None for those that a query finds anew; and the query, None for that of the job."""
    given = None if is_blank(bag.get("host_ids")) else _given(bag["host_ids"], members)
    if boolean(bag, "failed_only"):
        names = [member.name for member in members if _failed(member, job)]
    elif boolean(bag, "succeeded_only"):
        names = [member.name for member in members if member.state is HostState.SUCCEEDED]
    elif given is not None:
        return given, quoted(given)
    elif job.hosts is None and job.late:
        return None, None
    else:
        return [member.name for member in members], None
    if given is not None:
        wanted = frozenset(given)
        names = [name for name in names if name in wanted]
    return names, quoted(names)


def _failed(member: Member, job: Job) -> bool:
    """Of a job that has ended all that did not succeed, else those that have ended so (§4.8)."""
    if job.finished:
        return member.state is not HostState.SUCCEEDED
    return member.state is not None and member.state.ended and member.state is not HostState.SUCCEEDED


def _given(host_ids: Any, members: Sequence[Member]) -> list[str]:
    found: list[str] = []
    listed: Iterable[Any] = host_ids if isinstance(host_ids, list) else (host_ids,)
    for element in listed:
        id_ = identifier(str(element))
        named = [m.name for m in members if m.name == str(element) or (m.host is not None and m.host.id == id_)]
        if not named:
            raise e1(422, f"Host with id '{element}' was not found")
        found += named
    return list(dict.fromkeys(found))


def _source(job: Job, hosts: list[str] | None) -> tuple[Object | None, Object | None]:
    """The targeting and the earlier job whose hosts are run again."""
    if hosts is None:
        return dict(job.targeting), None
    if not hosts:
        return {"hosts": []}, None
    return {"hosts": hosts}, {"name": job.name, "uid": job.uid, "hosts": "Listed"}


def flat(view: View) -> bytes:
    """The new job in the raw attributes of its row: what is secret is null, as it is never copied."""
    job = view.job
    feature = echo.feature(job)
    return orjson.dumps({
        "id": job.id,
        "targeting_id": job.id,
        "job_category": echo.category(job, view.template),
        "task_id": task_id(job),
        "task_group_id": job.id,
        "triggering_id": job.id,
        "description": view.description,
        "concurrency_level": job.concurrency,
        "time_span": job.time_span,
        "execution_timeout_interval": job.execution_timeout,
        "password": None,
        "key_passphrase": None,
        "remote_execution_feature_id": None if feature is None else number_of(f"feature/{feature}"),
        "effective_user_password": None,
        "ssh_user": job.user,
        "time_to_pickup": echo.time_to_pickup(job),
    })  # fmt: skip
