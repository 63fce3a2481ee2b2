"""The objects that a wish for a job becomes: a JobInvocation, or a Schedule of many, with the Secrets that they use."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from rollcall.inputs import InputValue, plain
from rollcall.names import (
    ANNOTATION_MADE_AHEAD,
    ANNOTATION_PLANNED,
    API_VERSION,
    LABEL_ID,
    LABEL_INVOCATION,
    LABEL_MANAGED_BY,
    LABEL_SCHEDULE,
    LABEL_TEMPLATE,
    MANAGED_BY,
    MANAGED_BY_FACADE,
    Kind,
)
from rollcall.plan.ahead import made_of
from rollcall.resources.jobinvocation import RerunHosts, RerunOf
from rollcall.resources.meta import OwnerReference
from rollcall.resources.targeting import Targeting
from rollcall_api.cluster import Object
from rollcall_api.records import Job, Schedule, Template
from rollcall_api.users import Identity

LABEL_LENGTH: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """When the runs of a series are."""

    cron: str
    time_zone: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_iterations: int | None = None
    purpose: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A valid wish for a job. `credentials` and `secret_inputs` are keys and values of Secrets and never appear in its
    text form."""

    template: Template
    inputs: Mapping[str, InputValue]
    secret_inputs: Mapping[str, str] = field(default_factory=dict, repr=False)
    input_secrets: Sequence[str] = ()
    """Secrets with inputs that exist already."""
    targeting: Targeting
    rerun_of: Job | None = None
    """The job that is run again, on hosts of it that the targeting names."""
    user: str | None = None
    effective_user: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    concurrency: int | None = None
    time_span: int | None = None
    execution_timeout: int | None = None
    description_format: str | None = None
    start_at: datetime | None = None
    start_before: datetime | None = None
    recurrence: Recurrence | None = None
    echo: Mapping[str, str] = field(default_factory=dict)
    """Annotations, `<dialect>.rollcall.dev/<key>`: what the dialect wants to hear again."""

    @property
    def has_secrets(self) -> bool:
        """Whether the job has Secrets of its own."""
        return bool(self.credentials or self.secret_inputs)


def timestamp(moment: datetime) -> str:
    """A moment as the API server stores it, with whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def job_spec(request: JobRequest, owner: str) -> Object:
    """The spec of the job, whose own Secrets are named after `owner`; without who asked for it, and when it starts."""
    rollout = {"concurrency": request.concurrency, "timeSpanSeconds": request.time_span}
    rollout = {key: value for key, value in rollout.items() if value is not None}
    secret_names = [*request.input_secrets, *([inputs_name(owner)] if request.secret_inputs else [])]
    optional = {
        "targeting": request.targeting.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True),
        "rerunOf": None if request.rerun_of is None else _listed_of(request.rerun_of),
        "credentialsRef": {"name": credentials_name(owner)} if request.credentials else None,
        "inputsFrom": [{"secretRef": {"name": name}} for name in secret_names] or None,
        "user": request.user,
        "effectiveUser": {"name": request.effective_user} if request.effective_user else None,
        "rollout": rollout or None,
        "executionTimeoutSeconds": request.execution_timeout,
        "descriptionFormat": request.description_format,
    }
    return {
        "templateRef": {"name": request.template.name},
        "inputs": {name: plain(value) for name, value in request.inputs.items()},
        **{key: value for key, value in optional.items() if value is not None},
    }


def _listed_of(job: Job) -> Object:
    return RerunOf(name=job.name, uid=job.uid, hosts=RerunHosts.LISTED).wire()


def invocation(request: JobRequest, id_: int, user: Identity) -> Object:
    """The JobInvocation of a request."""
    name = f"job-{id_}"
    times = {"startAt": request.start_at, "startBefore": request.start_before}
    spec = job_spec(request, name) | {key: timestamp(moment) for key, moment in times.items() if moment is not None}
    metadata: Object = {"name": name, "labels": {LABEL_ID: str(id_), **template_label(request.template.name)}}
    if request.echo:
        metadata["annotations"] = dict(request.echo)
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.JOB_INVOCATION.value,
        "metadata": metadata,
        "spec": spec | {"requestedBy": {"username": user.username}},
    }


def template_label(name: str) -> dict[str, str]:
    """The label with the template's name, where it is not too long for one."""
    return {LABEL_TEMPLATE: name} if len(name) <= LABEL_LENGTH else {}


def schedule(request: JobRequest, terms: Recurrence, id_: int, user: Identity, history: int) -> Object:
    """The Schedule of a request for many runs, of which it keeps so many."""
    name = f"series-{id_}"
    optional = {
        "timeZone": terms.time_zone,
        "startAt": timestamp(terms.start_at) if terms.start_at else None,
        "endAt": timestamp(terms.end_at) if terms.end_at else None,
        "maxIterations": terms.max_iterations,
        "purpose": terms.purpose,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.SCHEDULE.value,
        "metadata": {"name": name, "labels": {LABEL_ID: str(id_)}},
        "spec": {
            "cron": [terms.cron],
            **{key: value for key, value in optional.items() if value is not None},
            "successfulJobsHistoryLimit": history,
            "failedJobsHistoryLimit": history,
            "requestedBy": requester(user),
            "invocationTemplate": {
                "metadata": {"labels": template_label(request.template.name), "annotations": dict(request.echo)},
                "spec": job_spec(request, name),
            },
        },
    }


def requester(user: Identity) -> Object:
    """Who runs are made for, with the groups that may be claimed."""
    groups = [group for group in user.groups if not group.startswith("system:")]
    return {"username": user.username} | ({"groups": groups} if groups else {})


def run(series: Schedule, name: str, slot: datetime, id_: int) -> Object:
    """The JobInvocation of a run that is still to come: the Schedule lets it go when its time is there."""
    resource = series.resource
    template = resource.spec.invocation_template
    spec = template.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    labels = {LABEL_ID: str(id_), LABEL_SCHEDULE: series.name[:LABEL_LENGTH].rstrip("-.")}
    marks = {ANNOTATION_PLANNED: timestamp(slot), ANNOTATION_MADE_AHEAD: made_of(resource.spec)}
    owner = OwnerReference(api_version=API_VERSION, kind=Kind.SCHEDULE.value, name=series.name, uid=series.uid)
    return {
        "apiVersion": API_VERSION,
        "kind": Kind.JOB_INVOCATION.value,
        "metadata": {
            "name": name,
            "labels": {**template.metadata.labels, **labels},
            "annotations": {**template.metadata.annotations, **marks},
            "ownerReferences": [owner.wire()],
        },
        "spec": {
            **spec,
            "startAt": timestamp(slot),
            "requestedBy": {"username": resource.spec.requested_by.username},
        },
    }


def credentials_name(owner: str) -> str:
    """The name of the Secret with the credentials of an invocation or schedule."""
    return f"{owner}-credentials"


def inputs_name(owner: str) -> str:
    """The name of the Secret with the hidden inputs of an invocation or schedule."""
    return f"{owner}-inputs"


def secrets(stored: Object, request: JobRequest) -> list[Object]:
    """The Secrets of a stored invocation or schedule, which owns them.

    The operator deletes the credentials of an invocation when it has ended. Hidden inputs stay for those that run it
    again.
    """
    name = stored["metadata"]["name"]
    parts = (
        (credentials_name(name), request.credentials, MANAGED_BY),
        (inputs_name(name), request.secret_inputs, MANAGED_BY_FACADE),
    )
    return [_secret(stored, secret_name, values, keeper) for secret_name, values, keeper in parts if values]


def _secret(stored: Object, secret_name: str, values: Mapping[str, str], keeper: str) -> Object:
    name, kind = stored["metadata"]["name"], stored["kind"]
    owner = OwnerReference(api_version=API_VERSION, kind=kind, name=name, uid=stored["metadata"]["uid"])
    label = LABEL_SCHEDULE if kind == Kind.SCHEDULE else LABEL_INVOCATION
    labels = {label: name, LABEL_MANAGED_BY: keeper}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": secret_name, "labels": labels, "ownerReferences": [owner.wire()]},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
