"""What the leader's store holds, counted as it changes, so that a scrape costs the same however much that is.

The store says of each invocation, slice and pod what it was and what it is now. That also tells what happened: an end
is counted by the process that hears of it from the answer to its own write or from the watch, whichever comes first,
and once, because the store takes every version of an object in once. What was so when the process began to lead is no
news and is not counted.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rollcall.names import ConditionType, HostState, Kind, Reason
from rollcall.plan.pods import Phase, Pod
from rollcall.resources.jobinvocation import FINAL_CONDITIONS, InvocationState, JobInvocation
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.meta import Condition, ConditionStatus
from rollcall_operator import metrics
from rollcall_operator.store import WATCHED, Entry, Store

NEW_SECONDS: Final = 2.0
"""A pod that is older when it is first heard of was created by an earlier leader: its start is not measured."""
_REASONS: Final = frozenset(Reason)


class Tally(Collector):
    """Counts what is in a store, and what becomes of it."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._children = Counter({Kind.JOB_SLICE.plural: 0, "pods": 0})
        self._states: Counter[str] = Counter({state.value: 0 for state in InvocationState})
        self._waiting: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter({HostState.PENDING.value: 0, HostState.RUNNING.value: 0})
        self._phases: Counter[str] = Counter({phase.name.capitalize(): 0 for phase in Phase})
        self._held = 0
        self._starting: dict[str, float] = {}
        """When each pod was created whose container has not started, by its uid."""
        self._signs = dict.fromkeys(WATCHED, clock())
        self._kinds: dict[type[Entry], Callable[[Any, Any], None]] = {
            JobInvocation: self._invocation,
            JobSlice: self._slice,
            Pod: self._pod,
        }
        store.replaced = self.replaced

    def told(self, plural: str) -> None:
        """Take a sign of life of the watch of a resource."""
        self._signs[plural] = self._clock()

    def replaced(self, old: Entry | None, new: Entry | None) -> None:
        """Take in what an object was and what it is now; None while it is not there."""
        if old is not None and new is not None and _uid(old) != _uid(new):
            self.replaced(old, None)  # another object of the same name: nobody told of the first one's end
            old = None
        entry = old if new is None else new
        if entry is not None:
            self._kinds[type(entry)](old, new)

    def _invocation(self, old: JobInvocation | None, new: JobInvocation | None) -> None:
        before = None if old is None else self._count(old, -1)
        after = None if new is None else self._count(new, 1)
        if old is not None and new is not None:
            _went_on(old, new, None if before else after)

    def _count(self, invocation: JobInvocation, sign: int) -> Condition | None:
        """Put the invocation into the sums, or take it out; returns the condition that ended it."""
        status = invocation.status
        self._states[(status.state or InvocationState.PENDING).value] += sign
        waiting = None
        for condition in status.conditions:
            if condition.status is ConditionStatus.TRUE:
                if condition.type in FINAL_CONDITIONS:
                    return condition
                if condition.type is ConditionType.WAITING:
                    waiting = condition
        if status.hosts is not None:
            self._hosts[HostState.PENDING.value] += sign * status.hosts.pending
            self._hosts[HostState.RUNNING.value] += sign * status.hosts.running
        if waiting is not None:
            self._waiting[_known(waiting.reason)] += sign
        return None

    def _slice(self, old: JobSlice | None, new: JobSlice | None) -> None:
        for slice_, sign in ((old, -1), (new, 1)):
            # Of the slices that share an object, one has its name.
            if slice_ is not None and slice_.metadata.name == slice_.object_name:
                self._children[Kind.JOB_SLICE.plural] += sign
        if old is not None and new is not None:
            _said_and_done(old, new)

    def _pod(self, old: Pod | None, new: Pod | None) -> None:
        for pod, sign in ((old, -1), (new, 1)):
            if pod is not None:
                self._children["pods"] += sign
                self._phases[pod.phase.name.capitalize()] += sign
                self._held += sign * pod.held
        if new is not None:
            self._pod_went_on(new)
        elif old is not None:
            self._starting.pop(old.uid, None)

    def _pod_went_on(self, pod: Pod) -> None:
        now = self._clock()
        if pod.container_started:
            created = self._starting.pop(pod.uid, None)
            if created is not None:
                metrics.SLICE_START_SECONDS.observe(now - created)
        elif now - pod.created.timestamp() < NEW_SECONDS:
            self._starting.setdefault(pod.uid, now)

    def collect(self) -> Iterator[Metric]:
        """The gauges, for the registry."""
        store = self._store
        known = {
            Kind.HOST.plural: sum(len(known.hosts) for known in store.hosts.values()),
            Kind.INVENTORY.plural: sum(map(len, store.inventories.values())),
            Kind.JOB_TEMPLATE.plural: sum(map(len, store.templates.values())),
            Kind.JOB_INVOCATION.plural: len(store.invocations),
            **self._children,
        }
        yield _gauge("rollcall_objects", "Objects that the operator knows.", "resource", known)
        yield _gauge("rollcall_invocations", "Invocations, finished ones too, by status.state.", "state", self._states)
        yield _gauge(
            "rollcall_invocations_waiting",
            "Unfinished invocations whose condition Waiting is true, by its reason.",
            "reason",
            self._waiting,
        )
        yield _gauge("rollcall_hosts", "Hosts of unfinished invocations, by state.", "state", self._hosts)
        yield _gauge("rollcall_pods", "Runner pods, by how far they are.", "phase", self._phases)
        yield GaugeMetricFamily(
            "rollcall_pods_held", "Runner pods with the finalizer rollcall.dev/collect.", value=self._held
        )
        now = self._clock()
        yield _gauge(
            "rollcall_watch_age_seconds",
            "How long ago the watch of a resource was seen to work: it told of something, or a full list held nothing"
            " that it had not told.",
            "resource",
            {plural: now - sign for plural, sign in self._signs.items()},
        )


def _gauge(name: str, help_: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


def _uid(entry: Entry) -> str:
    return entry.uid if isinstance(entry, Pod) else entry.metadata.uid


def _known(reason: str | None) -> str:
    """The reason, if it is one of ours: a status that somebody wrote by hand makes no series."""
    return reason if reason in _REASONS else "Other" if reason else ""


def _went_on(old: JobInvocation, new: JobInvocation, end: Condition | None) -> None:
    """Count what happened to an invocation: its first start, and the end that the condition tells of."""
    created, start = new.metadata.creation_timestamp, new.status.start_time
    if start is not None and old.status.start_time is None and created is not None:
        due = max(created, new.spec.start_at or created)
        metrics.QUEUE_SECONDS.observe(max(0.0, (start - due).total_seconds()))
    if end is None:
        return
    metrics.INVOCATIONS_FINISHED.labels(end.type.value, _known(end.reason)).inc()
    if start is not None and new.status.completion_time is not None:
        duration = (new.status.completion_time - start).total_seconds()
        metrics.DURATION_SECONDS.labels(end.type.value).observe(max(0.0, duration))


def _said_and_done(old: JobSlice, new: JobSlice) -> None:
    """Count what the hosts of a slice have said since, and how they ended when the slice is done."""
    before, after = _said(old), _said(new)
    metrics.OUTPUT_BYTES.inc(max(0, after[0] - before[0]))
    metrics.OUTPUT_CUT_BYTES.inc(max(0, after[1] - before[1]))
    if not new.done or old.done:
        return
    retried = Counter(_known(result.reason) for result in new.status.hosts if result.retry)
    for reason, count in retried.items():
        metrics.HOSTS_RETRIED.labels(reason).inc(count)
    ended = Counter((result.state, _known(result.reason)) for result in new.status.hosts if not result.retry)
    for (state, reason), count in ended.items():
        metrics.HOSTS_FINISHED.labels(state.value, reason).inc(count)


def _said(slice_: JobSlice) -> tuple[int, int]:
    """The bytes of output of all hosts that are kept, and that were cut."""
    outputs = [result.output for result in slice_.status.hosts if result.output is not None]
    return sum(output.bytes for output in outputs), sum(output.cut_bytes for output in outputs)
