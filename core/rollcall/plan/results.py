"""What became of a slice's hosts: from events, pods and troubles to a slice's status."""

from datetime import UTC, datetime
from typing import Final

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.plan.observed import Collected, HostProgress
from rollcall.plan.pods import Phase, Pod, Trouble
from rollcall.resources.jobslice import HostOutput, HostResult, JobSlice, JobSliceStatus, SliceState

_SILENT: Final = Trouble(
    Reason.RUNNER_CRASHED,
    "the runner ended without a result for this host; what it did there is not known",
)
_GONE: Final = Trouble(
    Reason.POD_DELETED, "the runner pod disappeared before its results were read; run the job again on this host"
)


def progress_status(slice_: JobSlice, pod: Pod | None, collected: Collected | None, now: datetime) -> JobSliceStatus:
    """The status of a slice at work. What its status already says of a host that has ended stays as it is."""
    known = {result.name: result for result in slice_.status.hosts if result.state.ended}
    working = pod is not None and pod.phase == Phase.WORKING and len(slice_.spec.hosts) == 1
    hosts = tuple(
        known.get(name) or _progress(name, collected.hosts.get(name) if collected else None, working=working)
        for name in slice_.spec.hosts
    )
    return _status(slice_, pod, hosts, SliceState.RUNNING, now)


def final_status(
    slice_: JobSlice, pod: Pod | None, collected: Collected | None, trouble: Trouble | None, now: datetime
) -> JobSliceStatus:
    """The status of a slice whose pod can say no more: every host has ended.

    A host without an exit event failed for `trouble`, else for the pod's, else because its runner fell silent.
    """
    known = {result.name: result for result in slice_.status.hosts if result.state.ended}
    cause = trouble or (pod.trouble if pod else _GONE) or _SILENT
    if pod is not None and pod.lost(now):
        cause = Trouble(Reason.NODE_LOST, "nothing on the node of the runner pod answers any more")
    hosts = tuple(
        known.get(name) or _ended(name, collected.hosts.get(name) if collected else None, cause, now)
        for name in slice_.spec.hosts
    )
    return _status(slice_, pod, hosts, SliceState.DONE, now)


def with_failures(slice_: JobSlice, failures: dict[str, Trouble], now: datetime) -> JobSliceStatus:
    """The status of a slice of which some hosts cannot be started at all."""
    known = {result.name: result for result in slice_.status.hosts if result.state.ended}
    failed = {name: _failed(name, trouble, now) for name, trouble in failures.items()} | known
    hosts = tuple(failed.get(name, HostResult(name=name, state=HostState.PENDING)) for name in slice_.spec.hosts)
    state = SliceState.DONE if len(failed) == len(hosts) else SliceState.PENDING
    return _status(slice_, None, hosts, state, now)


def _status(
    slice_: JobSlice, pod: Pod | None, hosts: tuple[HostResult, ...], state: SliceState, now: datetime
) -> JobSliceStatus:
    before = slice_.status
    return JobSliceStatus(
        state=state,
        pod_name=pod.name if pod else before.pod_name,
        start_time=before.start_time or (pod.created if pod else None),
        completion_time=now if state == SliceState.DONE else None,
        succeeded=sum(result.state == HostState.SUCCEEDED for result in hosts),
        failed=sum(result.state == HostState.FAILED for result in hosts),
        hosts=hosts,
    )


def _progress(name: str, progress: HostProgress | None, *, working: bool) -> HostResult:
    if progress is None:
        return HostResult(name=name, state=HostState.RUNNING if working else HostState.PENDING)
    if progress.exit is not None and progress.exit.state != HostState.CANCELLED:
        return _from_exit(name, progress, progress.exit)
    # A runner that was told to stop does not know why; the end of its pod will tell.
    return HostResult(
        name=name, state=HostState.RUNNING, start_time=_moment(progress.started), output=_output(progress)
    )


def _ended(name: str, progress: HostProgress | None, cause: Trouble, now: datetime) -> HostResult:
    if progress is None:
        return _failed(name, cause, now)
    if progress.exit is not None:
        return _from_exit(name, progress, progress.exit, cause)
    return HostResult(
        name=name,
        state=HostState.FAILED,
        reason=cause.reason.value,
        message=cause.message,
        start_time=_moment(progress.started),
        completion_time=now,
        output=_output(progress),
    )


def _failed(name: str, cause: Trouble, now: datetime) -> HostResult:
    return HostResult(
        name=name, state=HostState.FAILED, reason=cause.reason.value, message=cause.message, completion_time=now
    )


def _from_exit(name: str, progress: HostProgress, exit_: Exit, cause: Trouble | None = None) -> HostResult:
    """The result that the runner reported. A runner that was told to stop does not know why: its pod does."""
    state, reason, message = exit_.state, exit_.reason, exit_.message
    if state == HostState.CANCELLED and cause is not None and cause is not _SILENT:
        state, reason = HostState.FAILED, cause.reason
        message = f"{cause.message} ({exit_.message})" if exit_.message else cause.message
    return HostResult(
        name=name,
        state=state,
        exit_code=exit_.exit_code,
        reason=reason.value if reason else None,
        message=message,
        start_time=_moment(exit_.start_time if exit_.start_time is not None else progress.started),
        completion_time=_moment(progress.last),
        output=_output(progress),
    )


def _output(progress: HostProgress) -> HostOutput:
    return HostOutput(bytes=progress.bytes, cut_bytes=progress.cut_bytes, tail=progress.tail)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
