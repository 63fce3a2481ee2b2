"""Slices with a pod for each host: one object, which is a slice for each of its hosts to whoever decides or reads.

Where many hosts have a pod each, the objects cost as much as the pods: each host's is created, and told how the host
ended. So some hosts share an object, and its writes. Decisions know nothing of that: `units` takes the object apart
into slices of one host each, with the names that they would have by themselves, and `combined` puts their statuses
together again (docs/adr/0024). An object is taken apart only if it has the name of its first slice.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from rollcall.names import HostState
from rollcall.plan.rollout import slice_name
from rollcall.plan.slices import UNSUCCESSFUL
from rollcall.resources.jobslice import HostPod, HostResult, JobSlice, JobSliceStatus, SliceState

_NONE = JobSliceStatus()


def units(whole: JobSlice) -> tuple[JobSlice, ...]:
    """The slices of an object, in the order of their places: itself, unless each of its hosts has a pod."""
    spec = whole.spec
    invocation = spec.invocation_ref.name
    if not spec.pod_per_host or whole.metadata.name != slice_name(invocation, spec.index, spec.attempt):
        return (whole,)
    pods = {pod.host: pod for pod in whole.status.pods or ()}
    results = {result.name: result for result in whole.status.hosts}
    outputs = whole.status.outputs or {}
    return tuple(
        JobSlice.model_construct(
            metadata=whole.metadata.model_copy(update={"name": slice_name(invocation, index, spec.attempt)}),
            spec=spec.model_copy(update={"index": index, "hosts": (host,), "pod_per_host": None}),
            status=_alone(pods.get(host), results.get(host), outputs.get(host)),
        ).part_of(whole)
        for index, host in enumerate(spec.hosts, spec.index)
    )


def combined(whole: JobSlice, statuses: Mapping[str, JobSliceStatus]) -> JobSliceStatus:
    """The status of an object when some of its slices, by name, have other ones. It holds the output of those only."""
    parts = units(whole)
    if parts[0] is whole:
        return statuses.get(whole.metadata.name, whole.status)
    now = {part.spec.hosts[0]: statuses.get(part.metadata.name, part.status) for part in parts}
    known = {host: status for host, status in now.items() if status.state is not None}
    hosts = tuple(result for status in now.values() for result in status.hosts)
    return JobSliceStatus(
        state=_state([status.state for status in now.values()]),
        start_time=min(_moments(status.start_time for status in now.values()), default=None),
        completion_time=max(_moments(status.completion_time for status in now.values()), default=None)
        if all(status.state is SliceState.DONE for status in now.values())
        else None,
        succeeded=sum(result.state is HostState.SUCCEEDED for result in hosts),
        failed=sum(result.state in UNSUCCESSFUL for result in hosts),
        hosts=hosts,
        pods=tuple(_pod(host, status.state or SliceState.PENDING, status) for host, status in known.items()),
        outputs={host: status.output for host, status in now.items() if status.output is not None} or None,
    )


def _alone(pod: HostPod | None, result: HostResult | None, output: str | None) -> JobSliceStatus:
    """The status of one host's slice."""
    if pod is None:
        return _NONE
    return JobSliceStatus.model_construct(
        **{name: getattr(pod, name) for name in _SHARED},
        succeeded=int(result is not None and result.state is HostState.SUCCEEDED),
        failed=int(result is not None and result.state in UNSUCCESSFUL),
        hosts=() if result is None else (result,),
        output=output,
        pods=None,
        outputs=None,
    )


_SHARED = tuple(name for name in HostPod.model_fields if name != "host")


def _pod(host: str, state: SliceState, status: JobSliceStatus) -> HostPod:
    return HostPod(host=host, **{name: getattr(status, name) for name in _SHARED} | {"state": state})


def _state(states: list[SliceState | None]) -> SliceState:
    if all(state is SliceState.DONE for state in states):
        return SliceState.DONE
    begun = any(state in (SliceState.RUNNING, SliceState.DONE) for state in states)
    return SliceState.RUNNING if begun else SliceState.PENDING


def _moments(times: Iterable[datetime | None]) -> list[datetime]:
    return [time for time in times if time is not None]
