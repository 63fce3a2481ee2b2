"""What a rerun asks for, and its flat answer (contract §2.7, §4.8)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from rollcall_api.foreman import echo
from rollcall_api.foreman.errors import ForemanError, e1
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import boolean, identifier, is_blank
from rollcall_api.foreman.search import quoted
from rollcall_api.foreman.tasks import task_id
from rollcall_api.job_manifests import JobRequest
from rollcall_api.jobs import Member, View
from rollcall_api.records import Job, Template
from rollcall_api.reruns import Again, hosts_again, rerun


def parse(bag: Mapping[str, Any], job: Job, template: Template | None, members: Sequence[Member]) -> JobRequest:
    """The job that runs another again; `members` are those of its hosts that the requester may see.

    Raises 404 E3 when the template is gone.
    """
    if template is None or echo.category(job, template) != template.resource.spec.category:
        text = f"Could not rerun job {job.id} because its template could not be found"
        raise ForemanError(404, {"error": text})
    which = chosen(bag)
    given = None if is_blank(bag.get("host_ids")) else _given(bag["host_ids"], members)
    hosts = hosts_again(which, job, members)
    if given is not None:
        among = frozenset(given if hosts is None else hosts)
        hosts = [name for name in given if name in among]
    query = None if hosts is None or (which is Again.ALL and given is None) else quoted(hosts)
    return rerun(job, template, hosts, echo.of_job(job, query))


def chosen(bag: Mapping[str, Any]) -> Again:
    """Which hosts the parameters choose, where they do not name them (§4.8)."""
    if boolean(bag, "failed_only"):
        return Again.UNSUCCESSFUL
    return Again.SUCCEEDED if boolean(bag, "succeeded_only") else Again.ALL


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
