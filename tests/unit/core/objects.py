"""Resources for tests, as small as they can be."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rollcall.inputs import InputValue
from rollcall.names import FINALIZER_COLLECT, HostState, Reason
from rollcall.outputs import Exit
from rollcall.plan.observed import Collected, HostProgress, Observed, Plan
from rollcall.plan.pods import Phase, Pod
from rollcall.plan.rollout import slice_name
from rollcall.plan.slices import Slices
from rollcall.resources.host import Host
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.steps import parts
from rollcall.template import render_parts

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NAMESPACE = "fleet"
KEY_SECRET = "ops-key"


def after(seconds: float) -> datetime:
    """That many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def host(name: str = "web1", labels: Mapping[str, str] | None = None, **spec: Any) -> Host:
    return Host.model_validate(
        {
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(labels or {})},
            "spec": {"credentialsRef": {"name": KEY_SECRET}} | spec,
        }
    )


def hosts(*names: str) -> dict[str, Host]:
    return {name: host(name) for name in names}


def template(script: str = "uptime\n", inputs: Sequence[Mapping[str, Any]] = (), **spec: Any) -> JobTemplate:
    return JobTemplate.model_validate(
        {
            "metadata": {"name": "run", "namespace": NAMESPACE},
            "spec": {"provider": "SSH", "ssh": {"script": script}, "inputs": list(inputs)} | spec,
        }
    )


def script_for(declared: JobTemplate, inputs: Mapping[str, InputValue], known: Host) -> str:
    """What a host is given to run by a template without steps."""
    (script,) = render_parts(declared, parts(declared), inputs, known)
    return script


def invocation(
    *names: str,
    name: str = "job",
    status: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **spec: Any,
) -> JobInvocation:
    """An invocation on the named hosts; on all hosts when none is named."""
    targeting: dict[str, Any] = {"hosts": list(names)} if names else {"selector": {}}
    return JobInvocation.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "uid": "uid-of-the-job",
                "generation": 1,
                "creationTimestamp": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            | dict(metadata or {}),
            "spec": {"templateRef": {"name": "run"}, "targeting": targeting} | spec,
            "status": dict(status or {}),
        }
    )


def slice_(
    index: int, *names: str, attempt: int = 0, batch: int = 0, status: Mapping[str, Any] | None = None
) -> JobSlice:
    name = slice_name("job", index, attempt)
    return JobSlice.model_validate(
        {
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}"},
            "spec": {
                "invocationRef": {"name": "job"},
                "index": index,
                "attempt": attempt,
                "batch": batch,
                "hosts": list(names),
            },
            "status": dict(status or {}),
        }
    )


def slices_with_pods(index: int, *names: str, status: Mapping[str, Any] | None = None) -> JobSlice:
    """The object of some hosts with a pod each, the first of which has the place `index`."""
    made = slice_(index, *names, status=status)
    return made.model_copy(update={"spec": made.spec.model_copy(update={"pod_per_host": True})})


def pod(index: int, phase: Phase = Phase.WORKING, **changes: Any) -> Pod:
    """The runner pod of slice `index`, made at NOW."""
    made = Pod(
        name=f"job-{index}",
        namespace=NAMESPACE,
        uid=f"uid-of-pod-{index}",
        resource_version="1",
        invocation="job",
        slice=f"job-{index}",
        phase=phase,
        created=NOW.replace(microsecond=0),
        deleting_since=None,
        finalizers=(FINALIZER_COLLECT,),
        trouble=None,
        container_started=phase != Phase.WAITING,
    )
    return replace(made, **changes)


def progress(exit_: Exit | None = None, *, last: float | None = None) -> HostProgress:
    """What a host has said that began at NOW and wrote `hello`."""
    began = NOW.timestamp()
    return HostProgress(started=began, last=began + 1 if last is None else last, exit=exit_, bytes=6, cut_bytes=0,
                        tail="hello\n")  # fmt: skip


SUCCEEDED = Exit(HostState.SUCCEEDED, exit_code=0)
FAILED = Exit(HostState.FAILED, exit_code=3, reason=Reason.EXIT_CODE, message="the script ended with exit code 3")
STOPPED = Exit(HostState.CANCELLED, reason=Reason.CANCELLED, message="stopped on request")


def collected(*, complete: bool, **exits: Exit | None) -> Collected:
    """The output of a slice: by host, how it ended, or None while it works."""
    return Collected({name: progress(exit_) for name, exit_ in exits.items()}, complete)


def stored(resource: Any) -> Any:
    """The resource as it is read back from the API server."""
    return type(resource).model_validate(resource.wire())


def resolved(*slices: JobSlice, started: int, concurrency: int | None = None, **spec: Any) -> JobInvocation:
    """An invocation whose hosts have been dealt into these slices, `started` of which have been started."""
    names = [name for entry in slices if entry.spec.attempt == 0 for name in entry.spec.hosts]
    moment = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"status": "True", "observedGeneration": 1, "lastTransitionTime": moment, "message": ""}
    rollout: dict[str, Any] = {} if concurrency is None else {"rollout": {"concurrency": concurrency}}
    return invocation(
        *names,
        status={
            "observedGeneration": 1,
            "state": "Running" if started else "Pending",
            "startTime": moment if started else None,
            "slices": sum(entry.spec.attempt == 0 for entry in slices),
            "startedSlices": started,
            "hosts": {"total": len(names), "pending": len(names)},
            "conditions": [
                condition | {"type": "Valid", "reason": "Accepted"},
                condition | {"type": "Resolved", "reason": "HostsResolved"},
            ],
        },
        **rollout,
        **spec,
    )


def asks_for_nothing(plan: Plan) -> bool:
    """Whether nothing is to be written; when to look again, and what locks are used, is no write."""
    return plan == Plan(again_at=plan.again_at, held=plan.held, waited=plan.waited)


def written(observed: Observed, plan: Plan) -> Observed:
    """What is observed after the plan's statuses have been written and read back."""
    statuses = dict(plan.slice_statuses)
    return replace(
        observed,
        invocation=stored(observed.invocation.model_copy(update={"status": plan.status}))
        if plan.status
        else observed.invocation,
        slices=Slices(
            stored(entry.model_copy(update={"status": statuses[entry.metadata.name]}))
            if entry.metadata.name in statuses
            else entry
            for entry in (*observed.slices, *plan.create_slices)
        ),
    )
