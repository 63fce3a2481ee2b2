"""The rollout of a resolved invocation: take in what the pods did, start what there is room for, finish."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from rollcall.names import ConditionType, HostState, Reason
from rollcall.plan.conditions import conclude, unless_same
from rollcall.plan.observed import Note, Observed, Plan
from rollcall.plan.pods import Phase, Pod, Trouble
from rollcall.plan.results import final_status, progress_status
from rollcall.plan.rollout import slice_name, startable
from rollcall.resources.jobinvocation import HostCounts, HostFailure, InvocationState, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice, JobSliceStatus, SliceState
from rollcall.resources.meta import ConditionStatus

_ENDS: Final = (ConditionType.COMPLETE, ConditionType.FAILED)
MAX_FAILURES: Final = 20
"""How many failed hosts the invocation's status shows."""


def roll_out(observed: Observed, now: datetime) -> Plan:
    """The next step of a resolved invocation."""
    return _RollOut(observed, now).plan()


@dataclass(frozen=True)
class _View:
    """A slice and the status that it should have now."""

    slice: JobSlice
    status: JobSliceStatus

    @property
    def name(self) -> str:
        return self.slice.metadata.name

    @property
    def done(self) -> bool:
        """Whether every host has ended, and all that they said is stored."""
        return self.status.state == SliceState.DONE

    @property
    def unfinished(self) -> int:
        """How many hosts have not ended."""
        return len(self.slice.spec.hosts) - sum(result.state.ended for result in self.status.hosts)

    @property
    def news(self) -> bool:
        """Whether the stored status lacks something that a reader would want to see."""
        begun = any(result.state != HostState.PENDING for result in self.status.hosts)
        return self.status != self.slice.status and begun


@dataclass(frozen=True)
class _RollOut:
    """One look at a resolved invocation."""

    observed: Observed
    now: datetime

    def plan(self) -> Plan:
        status = self._status()
        finished = status.completion_time is not None
        change = unless_same(status, self.observed.invocation)
        urgent = finished or self.starting or status.state != self.observed.invocation.status.state
        news = [view for view in self.views if view.news or self._ahead(view, status.started_slices)]
        written = [view for view in news if view.done or self.due or self._ahead(view, status.started_slices)]
        behind = len(written) < len(news) or not (change is None or urgent or self.due)
        return Plan(
            slice_statuses=tuple((view.name, view.status) for view in written),
            release_pods=tuple(pod.name for pod in self.observed.pods.values() if self._to_release(pod)),
            delete_pods=tuple(pod.name for pod in self.observed.pods.values() if self._to_stop(pod)),
            start_slices=self.starting,
            clean_up=finished,
            status=change if urgent or self.due else None,
            progress=self.due and bool(news),
            notes=_closing_notes(status) if finished else (),
            again_at=min(self._moments(behind=behind), default=None),
            done=finished,
        )

    @cached_property
    def due(self) -> bool:
        """Whether mere progress may be written again."""
        written = self.observed.progress_written
        return written is None or self.now >= written + self.observed.timing.progress

    @cached_property
    def views(self) -> tuple[_View, ...]:
        """The slices that were dealt, in their order; one that somebody made by hand is none of ours."""
        invocation = self.observed.invocation
        dealt = {slice_name(invocation, index) for index in range(invocation.status.slices or 0)}
        slices = sorted(self.observed.slices, key=lambda slice_: slice_.spec.index)
        return tuple(_View(slice_, self._advanced(slice_)) for slice_ in slices if slice_.metadata.name in dealt)

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(view.name for view in self.views)

    @cached_property
    def done(self) -> frozenset[str]:
        return frozenset(view.name for view in self.views if view.done)

    @cached_property
    def pending(self) -> tuple[_View, ...]:
        """The slices that have not been started, in their order."""
        return tuple(view for view in self.views if not (view.done or self._begun(view.slice)))

    @cached_property
    def starting(self) -> tuple[JobSlice, ...]:
        """The slices to start now; none while the next one waits to be offered to the API server again."""
        refusal = self.observed.refused.get(self.pending[0].name) if self.pending else None
        if refusal is not None and self.now < refusal.retry_at:
            return ()
        waiting = {view.name for view in self.pending}
        busy = (view.unfinished for view in self.views if not view.done and view.name not in waiting)
        concurrency = self.observed.invocation.spec.rollout.concurrency
        return startable((view.slice for view in self.pending), busy, concurrency)

    def _begun(self, slice_: JobSlice) -> bool:
        """Whether a pod was made for the slice, also if it is gone by now."""
        name = slice_.metadata.name
        started = slice_.spec.index < self.observed.invocation.status.started_slices
        made = name in self.observed.made or name in self.observed.pods
        return started or made or slice_.status.pod_name is not None

    def _ahead(self, view: _View, started: int) -> bool:
        """Whether the slice's pod is known by nothing but itself: an earlier slice was refused, it was not.

        Its status then remembers the pod at once, or the slice would be started again if the pod went away.
        """
        made = view.status.pod_name is not None and view.slice.status.pod_name is None
        return made and view.slice.spec.index >= started

    def _advanced(self, slice_: JobSlice) -> JobSliceStatus:
        """The status that the slice should have now."""
        name = slice_.metadata.name
        if slice_.done:
            return slice_.status
        pod = self.observed.pods.get(name)
        collected = self.observed.collected.get(name)
        if collected is not None and collected.complete:
            return final_status(slice_, pod, collected, self._overdue(pod), self.now)
        if pod is not None or collected is not None:
            return progress_status(slice_, pod, collected, self.now)
        refusal = self.observed.refused.get(name)
        if refusal is not None:
            overdue = self.now >= refusal.since + self.observed.timing.pickup
            trouble = Trouble(Reason.POD_REFUSED, refusal.message)
            return final_status(slice_, None, None, trouble, self.now) if overdue else slice_.status
        if self._begun(slice_):
            return final_status(slice_, None, None, None, self.now)
        return slice_.status

    def _overdue(self, pod: Pod | None) -> Trouble | None:
        """The trouble of a pod that was stopped because its container did not start in time."""
        patience = self.observed.timing.pickup
        if pod is None or pod.container_started or self.now < pod.created + patience:
            return None
        cause = pod.trouble
        if cause is None or cause.reason == Reason.POD_DELETED:
            cause = Trouble(Reason.UNSCHEDULABLE, "no node ran the runner pod")
        return Trouble(cause.reason, f"{cause.message} (given up after {int(patience.total_seconds())} s)")

    def _to_release(self, pod: Pod) -> bool:
        """Whether the pod's results are safe, or nobody waits for them."""
        return pod.held and (pod.slice in self.done or (pod.slice not in self.known and pod.over(self.now)))

    def _to_stop(self, pod: Pod) -> bool:
        """Whether the slice is gone, or its pod did not begin in time. A runner that is done ends by itself."""
        if pod.deleting_since is not None or pod.phase == Phase.ENDED:
            return False
        late = pod.phase == Phase.WAITING and self.now >= pod.created + self.observed.timing.pickup
        return late or pod.slice not in self.known

    def _status(self) -> JobInvocationStatus:
        """The invocation's status after this plan."""
        before = self.observed.invocation.status
        counts = self._counts()
        started = max(before.started_slices, self._started())
        status = before.model_copy(
            update={
                "hosts": counts,
                "failures": self._failures(),
                "started_slices": started,
                "start_time": before.start_time or (self.now if started else None),
                "state": InvocationState.RUNNING if started else before.state,
            }
        )
        waiting = any(pod.held and not self._to_release(pod) for pod in self.observed.pods.values())
        return status if waiting or len(self.done) < len(self.views) else self._finished(status, counts)

    def _started(self) -> int:
        """The index of the first slice that this plan leaves unstarted."""
        starting = {slice_.metadata.name for slice_ in self.starting}
        left = (view.slice.spec.index for view in self.pending if view.name not in starting)
        return next(left, self.observed.invocation.status.slices or 0)

    def _counts(self) -> HostCounts:
        """How many hosts are in which state. Hosts whose slice somebody deleted count as failed."""
        before = self.observed.invocation.status.hosts
        assert before is not None, "a resolved invocation has counts"
        states = [result.state for view in self.views for result in view.status.hosts]
        waiting = sum(len(view.slice.spec.hosts) for view in self.views if not view.status.hosts)
        return HostCounts(
            total=before.total,
            pending=waiting + states.count(HostState.PENDING),
            running=states.count(HostState.RUNNING),
            succeeded=states.count(HostState.SUCCEEDED),
            failed=states.count(HostState.FAILED) + before.total - len(states) - waiting,
            cancelled=states.count(HostState.CANCELLED),
        )

    def _failures(self) -> tuple[HostFailure, ...]:
        results = (result for view in self.views for result in view.status.hosts if result.state == HostState.FAILED)
        return tuple(
            HostFailure(host=result.name, reason=result.reason or "", message=result.message or "")
            for result, _ in zip(results, range(MAX_FAILURES), strict=False)
        )

    def _finished(self, status: JobInvocationStatus, counts: HostCounts) -> JobInvocationStatus:
        invocation = self.observed.invocation
        if counts.succeeded == counts.total:
            end = (ConditionType.COMPLETE, True, Reason.ALL_SUCCEEDED, f"all {counts.total} hosts succeeded")
            return conclude(status, invocation, self.now, end, state=InvocationState.COMPLETE, completion_time=self.now)
        lost = counts.total - counts.succeeded
        shown = ", ".join(f"{failure.host} ({failure.reason})" for failure in status.failures[:3])
        more = f" and {lost - 3} more" if shown and lost > 3 else ""
        message = f"{lost} of {counts.total} hosts did not succeed" + (f": {shown}{more}" if shown else "")
        end = (ConditionType.FAILED, True, Reason.SOME_FAILED, message)
        return conclude(status, invocation, self.now, end, state=InvocationState.FAILED, completion_time=self.now)

    def _moments(self, *, behind: bool) -> list[datetime]:
        """The moments at which time alone changes something."""
        timing = self.observed.timing
        soon = self.now + timing.progress
        moments = [
            self.observed.refused[view.name].retry_at for view in self.pending if view.name in self.observed.refused
        ]
        if behind:
            moments.append((self.observed.progress_written or self.now) + timing.progress)
        for pod in self.observed.pods.values():
            if pod.deleting_since is not None and pod.phase != Phase.ENDED:
                moments.append(soon)
            elif pod.phase == Phase.WAITING:
                moments.append(pod.created + timing.pickup)
        # What should have happened by now was asked for in this plan; it is asked for again if nothing comes of it.
        return [moment if moment > self.now else soon for moment in moments]


def _closing_notes(status: JobInvocationStatus) -> tuple[Note, ...]:
    end = next(c for c in status.conditions if c.type in _ENDS and c.status == ConditionStatus.TRUE)
    return (Note(Reason(end.reason), end.message, warning=end.type == ConditionType.FAILED),)
