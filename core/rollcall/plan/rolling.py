"""The rollout of a resolved invocation: take in what the pods did, start what there is room for, finish."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from rollcall.names import ConditionType, HostState, Reason
from rollcall.plan.conditions import unless_same
from rollcall.plan.counting import Tally, View, counted, host_counts, to_try_again
from rollcall.plan.ending import closing_note, finished_status, turn_note
from rollcall.plan.fates import retrying, with_fates
from rollcall.plan.halting import NONE, Halt, halt_all, halt_some
from rollcall.plan.holding import turn
from rollcall.plan.observed import Note, Observed, Plan
from rollcall.plan.pods import STRANDED_AFTER, Phase, Pod, Trouble
from rollcall.plan.results import final_status, never_started, progress_status, waiting_trouble
from rollcall.plan.retry import NO_RETRY, RetryPolicy, next_attempt, retry_policy, with_retries
from rollcall.plan.starting import TEMPLATE, Choice, Field, choose, in_order
from rollcall.plan.stopping import (
    Stop,
    Stops,
    deadline,
    start_window_missed,
    stop_all,
    stop_some,
    stopping_all,
    stopping_some,
    too_many_failed,
)
from rollcall.plan.waiting import turned, with_stop, with_waiting
from rollcall.resources.jobinvocation import InvocationState, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice, JobSliceStatus
from rollcall.resources.jobtemplate import JobTemplate


def roll_out(observed: Observed, now: datetime) -> Plan:
    """The next step of a resolved invocation."""
    return _RollOut(observed, now).plan()


@dataclass(frozen=True)
class _RollOut:
    """One look at a resolved invocation. Slices that were done before are only looked at through their sums."""

    observed: Observed
    now: datetime

    def plan(self) -> Plan:
        status = self._status()
        finished = status.completion_time is not None
        change = unless_same(status, self.observed.invocation)
        told = self.due or self._urgent(status)
        news = [view for view in self.views if view.news or self._ahead(view)]
        # The invocation's status tells of no end that its slice's does not.
        ends = {v.name for v in news if v.done or (told and v.tells_ends)}
        # Why a pod did not start is written down before it is deleted for that.
        stopped = {pod.slice for pod in self.observed.pods.values() if self._to_stop(pod)}
        written = [v for v in news if self.due or v.name in ends | stopped or self._ahead(v)]
        behind = len(written) < len(news) or not (change is None or told)
        children = tuple(next_attempt(self.observed.invocation, parent) for parent in self._parents)
        return Plan(
            create_slices=children,
            slice_statuses=(*((view.name, view.status) for view in written), *self._marked_parents(children)),
            release_pods=tuple(pod.name for pod in self.observed.pods.values() if self._to_release(pod)),
            orders=tuple((name, halt.order) for name, halt in self.halts.items() if halt.order),
            delete_pods=tuple(name for name, pod in self.observed.pods.items() if self._to_stop(pod)),
            hasten_pods=tuple(name for name, halt in self.halts.items() if halt.hasten),
            start_slices=self.choice.starting,
            clean_up=finished,
            status=change if told else None,
            progress=self.due and bool(news),
            notes=self._notes(status if told else self.observed.invocation.status, children),
            held=frozenset() if finished else self._held(),
            waited=self.choice.waited,
            again_at=self.now if children else min(self._moments(behind=behind), default=None),
            done=finished,
        )

    # ---- what is -----------------------------------------------------------------------------------------------

    @cached_property
    def due(self) -> bool:
        """Whether mere progress may be written again."""
        written = self.observed.progress_written
        return written is None or self.now >= written + self.observed.timing.progress

    @cached_property
    def stop(self) -> Stop | None:
        """Why all hosts are stopped, if they are."""
        exceeded = self.observed.output_exceeded
        return stop_all(self.observed.invocation, output_exceeded=exceeded, now=self.now)

    @cached_property
    def stops(self) -> Stops:
        """What stops hosts at work."""
        return Stops(self.stop, stop_some(self.observed.invocation))

    @cached_property
    def closing(self) -> Stop | None:
        """Why no more hosts are started, if none are."""
        invocation = self.observed.invocation
        waiting = [View(slice_, slice_.status) for slice_ in self._dealt if not self._begun(slice_)]
        failed = Tally(self.observed.slices, (*self.begun_views, *waiting), self.retry, self._total).failed
        missed = start_window_missed(invocation, self.now, begun=self._ever_begun)
        return self.stop or missed or too_many_failed(invocation, failed, self._total)

    @property
    def _total(self) -> int:
        hosts = self.observed.invocation.status.hosts
        assert hosts is not None, "a resolved invocation has counts"
        return hosts.total

    @cached_property
    def retry(self) -> RetryPolicy:
        """What is tried again of that which fails now."""
        return NO_RETRY if self.stop is not None else retry_policy(self.observed.invocation, self.observed.template)

    @cached_property
    def begun_views(self) -> tuple[View, ...]:
        """The open slices for which a pod was made, also if it is gone by now."""
        return tuple(View(slice_, self._advanced(slice_)) for slice_ in self._dealt if self._begun(slice_))

    @cached_property
    def pending_views(self) -> tuple[View, ...]:
        """The open slices that have not been started, in their order."""
        begun = {view.name for view in self.begun_views}
        waiting = (slice_ for slice_ in self._dealt if slice_.metadata.name not in begun)
        return tuple(View(slice_, self._kept_waiting(slice_)) for slice_ in waiting)

    @cached_property
    def _dealt(self) -> list[JobSlice]:
        """The open slices, in their order; one that somebody made by hand is none of ours."""
        count = self.observed.invocation.status.slices or 0
        return [slice_ for slice_ in in_order(self.observed.slices.open) if slice_.spec.index < count]

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The open slices."""
        return (*self.begun_views, *self.pending_views)

    @cached_property
    def done(self) -> frozenset[str]:
        """The names of the open slices that are done now."""
        return frozenset(view.name for view in self.views if view.done)

    @cached_property
    def _parents(self) -> tuple[JobSlice, ...]:
        """The done slices with hosts to be tried again that have no slice for it yet.

        They get one even when nothing is started any more: it says then what becomes of the hosts.
        """
        return tuple(to_try_again(self.observed.slices))

    @cached_property
    def choice(self) -> Choice:
        """What starts now."""
        if self.closing is not None:
            return Choice()
        open_ = (*self._dealt, *self._parents)
        field_ = Field(
            # What a host that is not started after all is told is written down first.
            pending=tuple(view.slice for view in self.pending_views if not view.done and not view.news),
            busy=tuple(view.unfinished for view in self.begun_views if not view.done),
            begun=self._ever_begun,
            batch=min((slice_.spec.batch for slice_ in open_), default=0),
            begun_batches=frozenset(view.slice.spec.batch for view in self.begun_views),
        )
        return choose(self.observed, field_, self.now)

    def _urgent(self, status: JobInvocationStatus) -> bool:
        """Whether the status tells of more than progress."""
        before = self.observed.invocation.status
        ended = status.completion_time is not None
        moved = status.state != before.state or bool(turned(status, before)) or self.cancelling is not None
        return ended or bool(self.choice.starting) or moved

    @property
    def _ever_begun(self) -> bool:
        """Whether any host was ever started."""
        started = self.observed.invocation.status.start_time is not None
        return started or bool(self.begun_views) or self.observed.slices.begun

    def _begun(self, slice_: JobSlice) -> bool:
        """Whether a pod was made for the slice, also if it is gone by now."""
        name = slice_.metadata.name
        started = slice_.spec.attempt == 0 and slice_.spec.index < self.observed.invocation.status.started_slices
        made = name in self.observed.made or name in self.observed.pods
        return started or made or slice_.status.pod_name is not None

    def _ahead(self, view: View) -> bool:
        """Whether a decision about the slice is to be written down before anything else is decided.

        A host that is not started after all must not be started then. A slice whose pod is known by nothing but itself,
        because an earlier slice has not been started, would be started again if the pod went away.
        """
        if not self._begun(view.slice):
            return view.news
        made = view.status.pod_name is not None and view.slice.status.pod_name is None
        return made and (view.slice.spec.attempt > 0 or view.slice.spec.index >= self._started)

    # ---- slices ------------------------------------------------------------------------------------------------

    def _advanced(self, slice_: JobSlice) -> JobSliceStatus:
        """The status that a slice with a pod should have now."""
        name = slice_.metadata.name
        pod = self.observed.pods.get(name)
        collected = self.observed.collected.get(name)
        if collected is not None and collected.complete:
            return self._ended(
                slice_, final_status(slice_, pod, collected, self._overdue(slice_, pod), self.stops, self.now)
            )
        if pod is not None or collected is not None:
            return progress_status(slice_, pod, collected, self.stops, self.now)
        return self._ended(slice_, final_status(slice_, None, None, None, self.stops, self.now))

    def _kept_waiting(self, slice_: JobSlice) -> JobSliceStatus:
        """The status that a slice without a pod should have now: it waits, unless it is given up."""
        stops = replace(self.stops, whole=self.closing)
        if any(map(stops.of, slice_.spec.hosts)):
            return never_started(slice_, self.observed.slices.parent(slice_), stops, self.now)
        refusal = self.observed.refused.get(slice_.metadata.name)
        if refusal is None or self.now < refusal.since + self.observed.pickup:
            return slice_.status
        trouble = Trouble(Reason.POD_REFUSED, refusal.message)
        return final_status(slice_, None, None, trouble, Stops(), self.now)

    def _ended(self, slice_: JobSlice, status: JobSliceStatus) -> JobSliceStatus:
        """The status with the hosts marked that are tried again."""
        return with_retries(slice_, status, self.retry, self.now)

    def _overdue(self, slice_: JobSlice, pod: Pod | None) -> Trouble | None:
        """The trouble of a pod that was stopped because its container did not start in time."""
        patience = self.observed.pickup
        if pod is None or pod.container_started or pod.hopeless or self.now < pod.created + patience:
            return None
        cause = pod.trouble
        if cause is None or cause.reason == Reason.POD_DELETED:
            cause = waiting_trouble(slice_) or Trouble(Reason.NOT_PICKED_UP, _not_picked_up(pod))
        return Trouble(cause.reason, f"{cause.message} (given up after {int(patience.total_seconds())} s)")

    def _marked_parents(self, children: tuple[JobSlice, ...]) -> list[tuple[str, JobSliceStatus]]:
        """The statuses of parents that do not say yet in which slice their hosts are tried again.

        They say so before that slice is started: if it is deleted then, its hosts are not run once more.
        """
        born = [*children, *(view.slice for view in self.pending_views if view.slice.spec.attempt)]
        parents = ((self.observed.slices.parent(child), child.metadata.name) for child in born)
        return [
            (parent.metadata.name, parent.status.model_copy(update={"retry_slice": name}))
            for parent, name in parents
            if parent is not None and parent.status.retry_slice is None
        ]

    # ---- pods --------------------------------------------------------------------------------------------------

    def _to_release(self, pod: Pod) -> bool:
        """Whether the pod's results are safe, or nobody waits for them."""
        if not pod.held:
            return False
        if pod.slice in self.observed.slices:
            return pod.slice in self.done or pod.slice not in self.observed.slices.open
        return pod.over(self.now)

    def _to_stop(self, pod: Pod) -> bool:
        """Whether nobody waits for it, it did not begin in time, or an order did not stop its hosts."""
        if pod.deleting_since is not None or pod.phase == Phase.ENDED:
            return False
        late = pod.phase == Phase.WAITING and self.now >= pod.created + self.observed.pickup
        unfit = pod.hopeless or pod.stranded(self.now)
        return late or unfit or self._unwanted(pod) or self.halts.get(pod.name, NONE).delete

    def _unwanted(self, pod: Pod) -> bool:
        """Whether its slice is gone, or was given up before anybody knew of the pod."""
        slice_ = self.observed.slices.get(pod.slice)
        return slice_ is None or (slice_.done and slice_.status.pod_name is None)

    def _stop_of(self, pod: Pod) -> Stop | None:
        """Why the pod is stopped: all hosts are, or all those that it still works on."""
        slice_ = self.observed.slices.open.get(pod.slice)
        if self.stop is not None or slice_ is None or self.stops.chosen is None:
            return self.stop
        ended = {result.name for result in slice_.status.hosts if result.state.ended}
        chosen = self.stops.chosen
        return chosen if all(name in ended or chosen.covers(name) for name in slice_.spec.hosts) else None

    @cached_property
    def halts(self) -> dict[str, Halt]:
        """What to do about the pods whose hosts are stopped, all of them or some."""
        template = self.observed.template
        grace = template.spec.termination_grace_period_seconds if isinstance(template, JobTemplate) else 0
        halts = {}
        for pod in self.observed.pods.values():
            slice_, whole, some = self.observed.slices.open.get(pod.slice), self._stop_of(pod), self.stops.chosen
            if whole is not None:
                halts[pod.name] = halt_all(pod, whole, grace, self.now)
            elif some is not None and slice_ is not None:
                halts[pod.name] = halt_some(pod, slice_, some, self.now)
        return halts

    @cached_property
    def cancelling(self) -> str | None:
        """What is told of hosts that this plan begins to stop on request, or to stop by force; None if it does neither.

        It begins once: then the pods bear the order, or are being deleted; a host that waited has ended; and the
        status describes the spec, so that neither a lost order nor a new attempt is another request.
        """
        invocation, chosen = self.observed.invocation, self.stops.chosen
        asked = invocation.metadata.generation != invocation.status.observed_generation
        acts = asked and any(halt.order or halt.delete or halt.hasten for halt in self.halts.values())
        if self.stop is not None:
            begins = invocation.status.state != InvocationState.CANCELLING or (acts and self.stop.force)
            return stopping_all(force=self.stop.force) if self.stop.cancelled and begins else None
        if chosen is None:
            return None
        working = [name for v in self.begun_views for name in chosen.left(v.slice, v.status)]
        # Those of a first attempt may have been chosen before the hosts were dealt.
        waiting = [v.slice for v in self.pending_views if asked or v.slice.spec.attempt == 0]
        unstarted = [name for slice_ in waiting for name in chosen.left(slice_, slice_.status)]
        hosts = [*working, *unstarted] if acts or unstarted else []
        return stopping_some(hosts, force=chosen.force) if hosts else None

    def _held(self) -> frozenset[str]:
        """What this invocation works on; a pod without a slice works until it has ended."""
        working = {view.name for view in self.begun_views if not view.done}
        slices, pods = self.observed.slices, self.observed.pods.values()
        working |= {pod.slice for pod in pods if pod.slice not in slices and not pod.over(self.now)}
        if working or self._ever_begun:
            return frozenset(working | {TEMPLATE})
        return turn(self.observed, self.now)

    # ---- the invocation ----------------------------------------------------------------------------------------

    def _status(self) -> JobInvocationStatus:
        """The invocation's status after this plan."""
        invocation = self.observed.invocation
        before = invocation.status
        tally = Tally(self.observed.slices, self.views, self.retry, self._total)
        states = tally.states
        begun = self._ever_begun or bool(self.choice.starting)
        status = before.model_copy(
            update={
                "hosts": host_counts(states),
                "started_slices": self._started,
                "start_time": before.start_time or (self.now if begun else None),
                "batch": self._batch(),
                "state": self._state(begun=begun),
            }
        )
        status = with_waiting(status, invocation, self.choice.wait, self.now)
        status = with_stop(status, invocation, self.stop, self.now)
        starting = {slice_.metadata.name for slice_ in self.choice.starting}
        status = with_fates(status, invocation, tally, starting | {view.name for view in self.begun_views})
        open_ = len(self.done) < len(self.views)
        waiting = any(pod.held and not self._to_release(pod) for pod in self.observed.pods.values())
        if waiting or open_ or states[HostState.PENDING]:
            return status
        return finished_status(status, invocation, states, self.closing, self.now)

    def _state(self, *, begun: bool) -> InvocationState:
        if self.stop is not None and self.stop.cancelled:
            return InvocationState.CANCELLING
        if self.observed.invocation.spec.suspend and all(view.done for view in self.begun_views):
            return InvocationState.SUSPENDED
        return InvocationState.RUNNING if begun else InvocationState.PENDING

    def _batch(self) -> int | None:
        """The number of the batch at work, from 1, if there are batches."""
        if not self.observed.invocation.spec.rollout.batches:
            return None
        starting = [slice_.spec.batch for slice_ in self.choice.starting]
        begun = [view.slice.spec.batch for view in self.begun_views]
        return max([*starting, *begun, (self.observed.invocation.status.batch or 1) - 1]) + 1

    @cached_property
    def _started(self) -> int:
        """The index of the first slice that this plan leaves unstarted."""
        status = self.observed.invocation.status
        starting = {slice_.metadata.name for slice_ in self.choice.starting}
        left = (
            view.slice.spec.index
            for view in self.pending_views
            if view.slice.spec.attempt == 0 and view.name not in starting
        )
        return max(status.started_slices, min(left, default=status.slices or 0))

    def _notes(self, status: JobInvocationStatus, children: tuple[JobSlice, ...]) -> tuple[Note, ...]:
        """One Event for each transition that this plan brings about."""
        before, ended = self.observed.invocation.status, status.completion_time is not None
        # The Event about the end tells what stopped all hosts, where that is settled in the same write.
        told = (c for c in turned(status, before) if not (ended and c.type == ConditionType.FAILURE_TARGET))
        notes = [turn_note(c) for c in told]
        if status.start_time is not None and before.start_time is None:
            notes.append(Note(Reason.STARTED, f"begun, with {counted(self._total)} in all"))
        if self.cancelling is not None and not ended:
            notes.append(Note(Reason.CANCEL_REQUESTED, self.cancelling))
        if children:
            notes.append(Note(Reason.RETRYING, retrying(self._parents)))
        if ended:
            notes.append(closing_note(status))
        return tuple(notes)

    def _moments(self, *, behind: bool) -> list[datetime]:
        """The moments at which time alone changes something."""
        invocation, timing = self.observed.invocation, self.observed.timing
        soon = self.now + timing.progress
        moments = list(self.choice.moments)
        ends = (deadline(invocation), invocation.spec.start_before)
        moments += [end for end in ends if end is not None and end > self.now]
        if behind:
            moments.append((self.observed.progress_written or self.now) + timing.progress)
        for view in self.pending_views:
            refusal = self.observed.refused.get(view.name)
            if refusal is not None and not view.done:
                moments += [refusal.retry_at, refusal.since + self.observed.pickup]
        moments += [halt.again_at for halt in self.halts.values() if halt.again_at]
        for pod in self.observed.pods.values():
            if pod.deleting_since is not None and pod.phase != Phase.ENDED:
                moments.append(soon)
            elif pod.phase == Phase.WAITING:
                moments.append(pod.created + self.observed.pickup)
            elif pod.phase == Phase.WORKING and pod.half_ended is not None:
                moments.append(pod.half_ended + STRANDED_AFTER)
        # What should have happened by now was asked for in this plan; it is asked for again if nothing comes of it.
        return [moment if moment > self.now else soon for moment in moments]


def _not_picked_up(pod: Pod) -> str:
    if not pod.node:
        return "no scheduler gave the runner pod to a node; see whether the cluster's scheduler works"
    return f"node {pod.node} did not start the container of the runner pod; see its kubelet, volumes and network"
