"""What became of a slice's hosts: from events, pods and troubles to a slice's status."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.plan.halting import ordered
from rollcall.plan.observed import Collected, HostProgress
from rollcall.plan.pods import DELETED, Phase, Pod, Trouble
from rollcall.plan.stepresults import moment, step_results
from rollcall.plan.stopping import Stop, Stops
from rollcall.resources.jobslice import HostOutput, HostResult, JobSlice, JobSliceStatus, SliceState

_SILENT: Final = Trouble(
    Reason.RUNNER_CRASHED,
    "the runner ended without a result for this host; what it did there is not known",
)
_GONE: Final = Trouble(
    Reason.POD_DELETED, "the runner pod disappeared before its results were read; run the job again on this host"
)


def progress_status(
    slice_: JobSlice, pod: Pod | None, collected: Collected | None, stops: Stops, now: datetime
) -> JobSliceStatus:
    """The status of a slice at work. What its status already says of a host that has ended stays as it is."""
    known = {result.name: result for result in slice_.status.hosts if result.state.ended}
    working = pod is not None and pod.phase == Phase.WORKING and len(slice_.spec.hosts) == 1
    heard = collected.hosts if collected else {}
    stops = _as_told(pod, stops)
    hosts = tuple(
        known.get(name) or _progress(name, heard.get(name), stops.of(name), working=working)
        for name in slice_.spec.hosts
    )
    return _status(slice_, pod, hosts, SliceState.RUNNING, now)


def final_status(
    slice_: JobSlice,
    pod: Pod | None,
    collected: Collected | None,
    trouble: Trouble | None,
    stops: Stops,
    now: datetime,
) -> JobSliceStatus:
    """The status of a slice whose pod can say no more: every host has ended. It holds the output, when that is little.

    A host without an exit event failed for `trouble`, else for the pod's, else because its runner fell silent; unless
    its pod was taken away by us, for what stops the host.
    """
    known = {result.name: result for result in slice_.status.hosts if result.state.ended}
    cause = trouble or (pod.trouble if pod else _GONE) or _SILENT
    if pod is not None and pod.lost(now):
        cause = Trouble(Reason.NODE_LOST, "nothing on the node of the runner pod answers any more")
    # What befell a pod before anybody wanted to stop it is its own story.
    ours = pod is None or pod.deleting_since is not None or bool(pod.stop_order)
    begun = pod is None or pod.container_started
    heard = collected.hosts if collected else {}
    stops = _as_told(pod, stops)
    hosts = tuple(
        known.get(name) or _ended(name, heard.get(name), _Fate(cause, stops.of(name), ours=ours, begun=begun), now)
        for name in slice_.spec.hosts
    )
    status = _status(slice_, pod, hosts, SliceState.DONE, now)
    if collected is None:
        return status
    output = None if collected.output is None else base64.b64encode(collected.output).decode("ascii")
    return status.model_copy(update={"output": output, "stored_output": collected.place})


def _as_told(pod: Pod | None, stops: Stops) -> Stops:
    """What stops the pod's hosts, those also that it was told to stop before the list of them was changed."""
    return stops if pod is None else stops.besides(ordered(pod))


def never_started(slice_: JobSlice, parent: JobSlice | None, stops: Stops, now: datetime) -> JobSliceStatus:
    """The status of a slice that has not been started, without the hosts that are not started because of a stop.

    A host that failed in an earlier attempt stays failed, for the reason that it had, unless it was cancelled.
    """
    known = {result.name: result for result in slice_.status.hosts if result.state.ended}
    before = {result.name: result for result in parent.status.hosts} if parent else {}
    hosts = []
    for name in slice_.spec.hosts:
        stop = stops.of(name)
        if name in known or stop is None:
            hosts.append(known.get(name) or HostResult(name=name, state=HostState.PENDING))
        elif name in before and not stop.cancelled:
            said = before[name].message or before[name].reason
            update = {"retry": None, "message": f"{said}; not tried again: {stop.cause.message}", "output": None}
            hosts.append(before[name].model_copy(update=update))
        else:
            hosts.append(_unstarted(name, stop, now))
    done = all(result.state.ended for result in hosts)
    return _status(slice_, None, tuple(hosts), SliceState.DONE if done else SliceState.PENDING, now)


def _unstarted(name: str, stop: Stop, now: datetime) -> HostResult:
    message = f"{stop.cause.message}; it was not started"
    return HostResult(
        name=name, state=stop.never_started, reason=stop.cause.reason.value, message=message, completion_time=now
    )


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
    waiting = _waiting(slice_, pod)
    return JobSliceStatus(
        state=state,
        pod_name=pod.name if pod else before.pod_name,
        waiting_reason=waiting.reason.value if waiting else None,
        waiting_message=waiting.message if waiting else None,
        start_time=before.start_time or (pod.created if pod else None),
        completion_time=now if state == SliceState.DONE else None,
        succeeded=sum(result.state == HostState.SUCCEEDED for result in hosts),
        failed=sum(result.state in (HostState.FAILED, HostState.CANCEL_FAILED) for result in hosts),
        hosts=hosts,
    )


def _waiting(slice_: JobSlice, pod: Pod | None) -> Trouble | None:
    """What keeps the pod from starting. A kubelet forgets it when the pod is deleted for it; words may alternate."""
    if pod is None or pod.container_started:
        return None
    known = waiting_trouble(slice_)
    if pod.deleting_since is not None or pod.phase != Phase.WAITING:
        return known
    return known if known and pod.trouble and known.reason == pod.trouble.reason else pod.trouble


def waiting_trouble(slice_: JobSlice) -> Trouble | None:
    """What kept the slice's pod from starting, as its status says."""
    reason, message = slice_.status.waiting_reason, slice_.status.waiting_message
    return Trouble(Reason(reason), message or "") if reason in set(Reason) else None


@dataclass(frozen=True, slots=True)
class _Fate:
    """What befell a host: its pod's trouble, why it is stopped if it is, and how far its pod had come."""

    cause: Trouble
    stop: Stop | None
    ours: bool
    """Whether its pod was told to stop, or is gone."""
    begun: bool
    """Whether its runner ever began."""


def _progress(name: str, progress: HostProgress | None, stop: Stop | None, *, working: bool) -> HostResult:
    if progress is None:
        return HostResult(name=name, state=HostState.RUNNING if working else HostState.PENDING)
    if progress.exit is not None:
        stopped = progress.exit.state in (HostState.CANCELLED, HostState.CANCEL_FAILED)
        if not stopped:
            return _from_exit(name, progress, progress.exit)
        if stop is not None and stop.hosts is not None:
            return _from_exit(name, progress, progress.exit, _Fate(_SILENT, stop, ours=True, begun=True))
    # A runner that was told to stop does not know why; the end of its pod will tell.
    return HostResult(
        name=name,
        state=HostState.RUNNING,
        start_time=moment(progress.started),
        output=_output(progress),
        steps=step_results(progress),
    )


def _ended(name: str, progress: HostProgress | None, fate: _Fate, now: datetime) -> HostResult:
    if progress is not None and progress.exit is not None:
        return _from_exit(name, progress, progress.exit, fate)
    stop = fate.stop if fate.ours else None
    if stop is not None and not fate.begun:
        return _unstarted(name, stop, now)
    state, cause = HostState.FAILED, fate.cause
    if stop is not None:
        cause = Trouble(stop.cause.reason, f"{stop.cause.message}; nothing proves that its processes are gone")
        if stop.cancelled:
            state, cause = HostState.CANCEL_FAILED, Trouble(Reason.CANCEL_FAILED, cause.message)
    return HostResult(
        name=name,
        state=state,
        reason=cause.reason.value,
        message=cause.message,
        start_time=moment(progress.started) if progress else None,
        completion_time=now,
        output=_output(progress) if progress else None,
        steps=step_results(progress, state, now) if progress else None,
    )


def _failed(name: str, cause: Trouble, now: datetime) -> HostResult:
    return HostResult(
        name=name, state=HostState.FAILED, reason=cause.reason.value, message=cause.message, completion_time=now
    )


def _from_exit(name: str, progress: HostProgress, exit_: Exit, fate: _Fate | None = None) -> HostResult:
    """The result that the runner reported. A runner that was told to stop does not know why: its pod does."""
    state, reason, message = exit_.state, exit_.reason, exit_.message
    if fate is not None and state in (HostState.CANCELLED, HostState.CANCEL_FAILED):
        state, reason, message = _why_stopped(exit_, fate)
    return HostResult(
        name=name,
        state=state,
        exit_code=exit_.exit_code,
        reason=reason.value if reason else None,
        message=message,
        start_time=moment(exit_.start_time if exit_.start_time is not None else progress.started),
        completion_time=moment(progress.last),
        output=_output(progress),
        steps=step_results(progress),
    )


def _why_stopped(exit_: Exit, fate: _Fate) -> tuple[HostState, Reason | None, str | None]:
    """The state, reason and message of a host whose runner was told to stop it.

    It was its pod's deletion that told it so, whether that has been seen or not, unless an order did.
    """
    stop = fate.stop
    if stop is not None and stop.cancelled:
        return exit_.state, exit_.reason, exit_.message
    cause = stop.cause if stop is not None else DELETED if fate.cause is _SILENT else fate.cause
    message = f"{cause.message} ({exit_.message})" if exit_.message else cause.message
    unbegun = exit_.start_time is None and exit_.state == HostState.CANCELLED
    state = stop.never_started if stop is not None and unbegun else HostState.FAILED
    return state, cause.reason, message


def _output(progress: HostProgress) -> HostOutput:
    return HostOutput(bytes=progress.bytes, cut_bytes=progress.cut_bytes, tail=progress.tail)
