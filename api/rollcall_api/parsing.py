"""The records of objects, from the raw JSON of the API server, parsed once.

An object that somebody edited into something unreadable makes `parse_*` raise ValueError; it is then treated as if it
were not there, and the others are not held up.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import orjson
from pydantic import ValidationError

from rollcall import ids, resources
from rollcall.names import (
    ANNOTATION_PLANNED,
    API_VERSION,
    ConditionType,
    HostState,
    Kind,
    Reason,
)
from rollcall.plan.units import units
from rollcall.resources import JobTemplate
from rollcall.resources.jobinvocation import CancelPolicy
from rollcall.resources.jobslice import JobSlice, SliceState
from rollcall.resources.providers import Provider
from rollcall.resources.targeting import Resolve
from rollcall_api.records import (
    ECHO_DOMAIN,
    CancellationOrder,
    Counts,
    Host,
    HostEnd,
    Inventory,
    Job,
    Record,
    Schedule,
    Slice,
    Template,
)

R = TypeVar("R", bound=Record)

_USER_POLICIES: Final = {Provider.SSH: "ssh", Provider.ANSIBLE: "ansible"}
"""Where a template says which user its jobs run as; in a pod nobody becomes another user."""
_UNSUCCESSFUL: Final = frozenset(state for state in HostState if state.ended) - {HostState.SUCCEEDED}


def _readable(parse: Callable[[Mapping[str, Any]], R]) -> Callable[[Mapping[str, Any]], R]:
    def parse_or_refuse(raw: Mapping[str, Any]) -> R:
        try:
            return parse(raw)
        except (AttributeError, KeyError, TypeError, ValidationError) as error:
            raise ValueError(f"unreadable object: {type(error).__name__}") from error

    return parse_or_refuse


def _common(raw: Mapping[str, Any]) -> dict[str, Any]:
    metadata = raw["metadata"]
    return {
        "name": sys.intern(metadata["name"]),
        "uid": metadata["uid"],
        "id": ids.read(metadata.get("labels") or {}),
        "version": int(metadata["resourceVersion"]),
    }


def _names(value: Any) -> tuple[str, ...]:
    return tuple(sys.intern(name) for name in value)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _cancellation(order: Mapping[str, Any] | None) -> CancellationOrder | None:
    if order is None:
        return None
    hosts = order.get("hosts")
    return CancellationOrder(order.get("policy") == CancelPolicy.FORCE, None if hosts is None else _names(hosts))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else _time(text)


def _planned(text: str | None) -> datetime | None:
    """When a Schedule planned a run for; None for one that was asked for by hand."""
    try:
        return _moment(text)
    except ValueError:
        return None


@_readable
def parse_job(raw: Mapping[str, Any]) -> Job:
    """The record of a JobInvocation."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    true = {c["type"]: c.get("reason") for c in status.get("conditions") or () if c.get("status") == "True"}
    targeting, rollout = spec.get("targeting") or {}, spec.get("rollout") or {}
    hosts, counts = targeting.get("hosts"), status.get("hosts")
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    owners = metadata.get("ownerReferences") or ()
    return Job(
        **_common(raw),
        created=_time(metadata["creationTimestamp"]),
        template=sys.intern((status.get("template") or spec.get("templateRef") or {}).get("name", "")),
        hosts=None if hosts is None else _names(hosts),
        late=targeting.get("resolve") == Resolve.AT_START,
        user=spec.get("user"),
        effective_user=(spec.get("effectiveUser") or {}).get("name"),
        requested_by=sys.intern((spec.get("requestedBy") or {}).get("username", "")),
        concurrency=rollout.get("concurrency"),
        execution_timeout=spec.get("executionTimeoutSeconds"),
        description=status.get("description"),
        description_format=spec.get("descriptionFormat"),
        time_span=rollout.get("timeSpanSeconds") or None,
        start_at=_moment(spec.get("startAt")),
        start_before=_moment(spec.get("startBefore")),
        schedule=next((sys.intern(owner["name"]) for owner in owners if owner.get("kind") == Kind.SCHEDULE), None),
        planned=_planned(annotations.get(ANNOTATION_PLANNED)),
        cancellation=_cancellation(spec.get("cancellation")),
        packed=_packed([*_inputs(spec), _targeting(targeting)]),
        packed_echo=_packed({key: value for key, value in annotations.items() if ECHO_DOMAIN in key}),
        resolved=ConditionType.RESOLVED in true,
        dealt=bool(status.get("slices")),
        complete=ConditionType.COMPLETE in true,
        failed=ConditionType.FAILED in true,
        missed_start=true.get(ConditionType.FAILED) == Reason.START_WINDOW_MISSED,
        cancelled=ConditionType.CANCELLED in true,
        started=status.get("startTime") is not None,
        completed=_moment(status.get("completionTime")),
        counts=None if counts is None else Counts(**{key: int(counts.get(key) or 0) for key in Counts.__slots__}),
    )


def _inputs(spec: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The inputs' values, and the names of the Secrets with those of further inputs."""
    return dict(spec.get("inputs") or {}), [source["secretRef"]["name"] for source in spec.get("inputsFrom") or ()]


def _targeting(targeting: Mapping[str, Any]) -> dict[str, Any]:
    """The targeting where it names no hosts: those are kept as they are."""
    if targeting.get("hosts") is not None:
        return {}
    return {**targeting, "query": dict(targeting["query"])} if targeting.get("query") else dict(targeting)


def _packed(document: Any) -> bytes:
    # The encoder leaves much room behind its result.
    return bytes(memoryview(orjson.dumps(document)))


@_readable
def parse_slice(raw: Mapping[str, Any]) -> Slice:
    """The record of a JobSlice."""
    whole = _slice(raw)
    parts = units(JobSlice.model_validate(raw)) if raw["spec"].get("podPerHost") else ()
    if len(parts) < 2:
        return whole
    return replace(whole, parts=tuple(replace(_slice(part.wire()), shared=whole.name) for part in parts))


def _slice(raw: Mapping[str, Any]) -> Slice:
    spec, status = raw["spec"], raw.get("status") or {}
    results = status.get("hosts") or ()
    owners = raw["metadata"].get("ownerReferences") or ()
    return Slice(
        **_common(raw),
        invocation=sys.intern(spec["invocationRef"]["name"]),
        invocation_uid=next((o["uid"] for o in owners if o.get("kind") == Kind.JOB_INVOCATION), ""),
        index=int(spec["index"]),
        attempt=int(spec.get("attempt") or 0),
        hosts=_names(spec["hosts"]),
        state=SliceState(status.get("state") or SliceState.PENDING),
        states={sys.intern(result["name"]): HostState(result["state"]) for result in results},
        ends={sys.intern(result["name"]): _end(result) for result in results if result.get("state") in _UNSUCCESSFUL},
        holds_output=bool(status.get("output")),
    )


def _end(result: Mapping[str, Any]) -> HostEnd:
    completed = result.get("completionTime")
    return HostEnd(
        exit_code=result.get("exitCode"),
        reason=result.get("reason"),
        message=result.get("message"),
        started=result.get("startTime") is not None,
        time=_time(completed).timestamp() if completed else None,
    )


@_readable
def parse_host(raw: Mapping[str, Any]) -> Host:
    """The record of a Host."""
    return Host(**_common(raw), resource=resources.Host.model_validate(_without_notes(raw)))


@_readable
def parse_template(raw: Mapping[str, Any]) -> Template:
    """The record of a JobTemplate."""
    spec = {key: value for key, value in raw["spec"].items() if key not in ("ssh", "pod", "ansible")}
    # kubectl puts the whole template into an annotation.
    metadata = {key: value for key, value in raw["metadata"].items() if key != "annotations"}
    resource = JobTemplate.model_validate({"apiVersion": API_VERSION, "metadata": metadata, "spec": spec})
    member = _USER_POLICIES.get(resource.spec.provider)
    policy = (raw["spec"].get(member) or {}).get("effectiveUser") or {}
    return Template(
        **_common(raw),
        resource=resource,
        effective_user=policy.get("name"),
        overridable=policy.get("overridable") is True,
    )


@_readable
def parse_inventory(raw: Mapping[str, Any]) -> Inventory:
    """The record of an Inventory."""
    spec = {key: value for key, value in raw["spec"].items() if key not in ("variables", "groups")}
    document = _without_notes(raw) | {"spec": spec}
    return Inventory(**_common(raw), resource=resources.Inventory.model_validate(document))


@_readable
def parse_schedule(raw: Mapping[str, Any]) -> Schedule:
    """The record of a Schedule."""
    return Schedule(**_common(raw), resource=resources.Schedule.model_validate(_without_notes(raw)))


def _without_notes(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The object without what kubectl notes on it, which is the whole object once more; what dialects note stays."""
    metadata = {key: value for key, value in raw["metadata"].items() if key not in ("annotations", "managedFields")}
    annotations = raw["metadata"].get("annotations") or {}
    metadata["annotations"] = {key: value for key, value in annotations.items() if ECHO_DOMAIN in key}
    return {"apiVersion": API_VERSION, "metadata": metadata, **{k: raw[k] for k in ("spec", "status") if k in raw}}
