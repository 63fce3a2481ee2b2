"""What is promised (DESIGN §3), checked at every write of an operator to the simulated cluster, and at the end.

Where an old operator that does not know that it was replaced has made a pod, nothing is promised about how many hosts
are at work at once, in what batch, and beside whom: pods are made on no condition (see `test_core_simulation`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from rollcall.names import ConditionType, HostState, Reason
from rollcall.outputs import Exit
from rollcall.plan.locks import Lock, Wanted
from rollcall.plan.observed import Note, Observed, Plan
from rollcall.plan.retry import retry_policy
from rollcall.plan.rollout import parallelism, share, slice_name
from rollcall.plan.slices import UNSUCCESSFUL
from rollcall.plan.starting import TEMPLATE, locks_for
from rollcall.plan.stopping import deadline
from rollcall.resources.host import Exclusive
from rollcall.resources.jobinvocation import FINAL_CONDITIONS, JobInvocation, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice, JobSliceStatus, SliceState
from rollcall.resources.jobtemplate import ConcurrencyPolicy
from rollcall.resources.meta import ConditionStatus
from rollcall.resources.rollout import PauseFor
from rollcall.work import Work
from unit.core.simulated_cluster import Cluster, RunnerPod

STOPPED = (HostState.CANCELLED, HostState.CANCEL_FAILED)
ONCE = (Reason.STARTED, Reason.ALL_SUCCEEDED, Reason.SOME_FAILED, Reason.TOO_MANY_FAILED)


class Promises:
    """Remembers what has happened, and objects to what must not."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.made: Counter[str] = Counter()
        """How often each slice's pod was made."""
        self.began: Counter[tuple[str, str]] = Counter()
        """How often a runner began with a host of a slice."""
        self.promised: dict[str, dict[str, Exit]] = {}
        self.forced: set[str] = set()
        """Slices whose pod was removed by force before they were done."""
        self.lost: set[str] = set()
        """Slices of which nobody but an old operator can have read a result: pod removed by force, operator dead."""
        self.unrecorded: set[str] = set()
        """Slices whose pod was made by an operator that died before it was recorded."""
        self.excused: set[str] = set()
        """Slices that may be started again: pod made, operator dead before recording it, pod removed by force."""
        self.orphaned: set[str] = set()
        """Slices that somebody deleted."""
        self.told: Counter[tuple[str, Reason]] = Counter()
        self.doubtful = False
        """Whether an old operator has made a pod."""
        self.has: dict[str, frozenset[str]] = {}
        """What each invocation works on, as was decided last."""
        self.waits: dict[str, Wanted] = {}
        """What each invocation waits for, as was decided last, by whatever operator."""

    # ---- who comes next ----------------------------------------------------------------------------------------

    def it_is_decided(self, observed: Observed, plan: Plan, others: Iterable[tuple[Observed, Plan]]) -> None:
        """Nobody takes what somebody waits for who came before, and who could take it now."""
        mine, held = observed.claimant, _names(plan)
        # What pods work on that were not known of is no decision.
        chosen = frozenset(s.metadata.name for s in plan.start_slices) | (frozenset() if observed.pods else {TEMPLATE})
        taken = _locks(observed, (held & chosen) - self.has.get(mine.name, frozenset()))
        for other, would in others if taken else ():
            waits = self.waits.get(other.claimant.name, {})
            if other.claimant < mine:
                for lock in taken.keys() & waits.keys() & _locks(other, _names(would)).keys():
                    alone = taken[lock] or waits[lock]
                    assert not alone, f"{mine.name} slips past {other.claimant.name} at {lock}"
        self.has[mine.name], self.waits[mine.name] = held, plan.waited

    def operator_knows(self, observed: Observed, plan: Plan) -> None:
        """An operator has begun: who waited before, and would not take it now, is not waited for."""
        name = observed.claimant.name
        would = plan.waited.keys() | _locks(observed, _names(plan)).keys()
        self.has[name] = plan.held
        self.waits[name] = {lock: alone for lock, alone in self.waits.get(name, {}).items() if lock in would}

    # ---- what an operator writes -------------------------------------------------------------------------------

    def pod_is_made(self, observed: Observed, slice_: JobSlice, *, old: bool) -> None:
        name, invocation = slice_.metadata.name, observed.invocation
        work = Work.load(self._cluster.work_secrets[name])
        self.doubtful = self.doubtful or old
        condition = [c for c in invocation.status.conditions if c.type == "Resolved"]
        assert condition, "a pod is made before the hosts are resolved"
        assert not invocation.finished
        if self.made[name]:
            assert name in self.excused or self.doubtful, f"the hosts of {name} are started twice"
        stored = self._cluster.stored_slice(name)
        known = {result.name: result for result in stored.status.hosts} if stored else {}
        for entry in work.hosts if not self.doubtful else ():
            assert entry.name not in known or not known[entry.name].state.ended, f"{entry.name} runs after its end"
            assert not covers(invocation, entry.name), f"{entry.name} is started although it is cancelled"
        if not self.doubtful:
            self._it_is_time(observed, slice_)
            self._it_is_tried_again_for_a_reason(observed, slice_)
            self._there_is_room(invocation, work)
            self._hosts_are_free(invocation, work)
        self.made[name] += 1
        self.excused.discard(name)

    def _it_is_time(self, observed: Observed, slice_: JobSlice) -> None:
        invocation, now = observed.invocation, self._cluster.now
        spec, status = invocation.spec, invocation.status
        siblings = self._cluster.stored_slices(invocation.metadata.name)
        begun = any(self.made[sibling.metadata.name] for sibling in siblings)
        assert not spec.suspend, "a host is started while the invocation is suspended"
        assert spec.start_at is None or now >= spec.start_at, "a host is started too early"
        assert spec.start_before is None or begun or now < spec.start_before, "a host is started too late"
        end = deadline(invocation)
        assert end is None or now < end, "a host is started after the deadline"
        failed = sum(
            result.state in UNSUCCESSFUL and not result.retry for entry in siblings for result in entry.status.hosts
        )
        most = spec.rollout.max_failed
        if most is not None and status.hosts is not None and not self.orphaned:
            assert failed <= share(status.hosts.total, most), f"{failed} hosts have failed, more than {most}"
        span = spec.rollout.time_span_seconds
        if span and status.start_time and slice_.spec.attempt == 0:
            due = status.start_time + timedelta(seconds=span * slice_.spec.index / (status.slices or 1))
            assert now >= due, "a host is started before its place in the time span"
        self._batch_may_start(invocation, slice_, siblings)

    def _batch_may_start(self, invocation: JobInvocation, slice_: JobSlice, siblings: list[JobSlice]) -> None:
        batch, rollout = slice_.spec.batch, invocation.spec.rollout
        before = [sibling for sibling in siblings if sibling.spec.batch < batch]
        assert all(sibling.done for sibling in before), "batches overlap"
        children = {(s.spec.index, s.spec.attempt) for s in siblings}
        for sibling in before if not self.orphaned else ():
            again = any(result.retry for result in sibling.status.hosts)
            assert not again or (sibling.spec.index, sibling.spec.attempt + 1) in children, "batches overlap"
        if batch == 0 or any(self.made[s.metadata.name] for s in siblings if s.spec.batch == batch):
            return
        if rollout.pause_for == PauseFor.APPROVAL:
            assert rollout.approved_batches > batch, "a batch starts without approval"
            return
        ends = [s.status.completion_time for s in before if s.spec.batch == batch - 1 and s.status.completion_time]
        pause = timedelta(seconds=rollout.pause_seconds)
        assert not ends or self._cluster.now >= max(ends) + pause, "a batch starts before the pause is over"

    def _it_is_tried_again_for_a_reason(self, observed: Observed, slice_: JobSlice) -> None:
        if slice_.spec.attempt == 0:
            return
        policy = retry_policy(observed.invocation, self._cluster.template)
        assert slice_.spec.attempt <= policy.limit, "a host is tried again too often"
        place = slice_.spec.invocation_ref.name, slice_.spec.index, slice_.spec.attempt - 1
        parent = self._cluster.stored_slice(slice_name(*place))
        if parent is None:
            return
        failed = {result.name: result for result in parent.status.hosts}
        assert parent.status.retry_time is not None
        assert self._cluster.now >= parent.status.retry_time, "a host is tried again too early"
        assert parent.status.retry_slice == slice_.metadata.name, "the parent does not say where its hosts are"
        for name in slice_.spec.hosts:
            assert policy.wants(failed[name]), f"{name} is tried again after {failed[name]}"

    def _at_work(self) -> list[RunnerPod]:
        """The pods that may be at work, those aside of which nobody knows."""
        pods = (pod for name, pod in self._cluster.pods.items() if name not in self.orphaned)
        return [pod for pod in pods if not pod.seen().lost(self._cluster.now)]

    def _there_is_room(self, invocation: JobInvocation, work: Work) -> None:
        concurrency = invocation.spec.rollout.concurrency
        if concurrency is not None:
            mine = [pod for pod in self._at_work() if pod.invocation == invocation.metadata.name]
            busy, new = sum(pod.most_at_work for pod in mine), parallelism(len(work.hosts), work.parallelism)
            assert busy + new <= concurrency, f"{busy} + {new} hosts are at work, not {concurrency}"

    def _hosts_are_free(self, invocation: JobInvocation, work: Work) -> None:
        hosts, template = self._cluster.hosts, self._cluster.template
        alone = template.spec.exclusive == Exclusive.SLICE
        for entry in work.hosts:
            for pod in self._at_work() if alone or hosts[entry.name].spec.exclusive == Exclusive.SLICE else ():
                assert entry.name not in pod.unfinished, f"{entry.name} is at work in {pod.slice} already"
        if template.spec.concurrency_policy == ConcurrencyPolicy.FORBID:
            for pod in self._at_work():
                mine = pod.invocation == invocation.metadata.name
                assert mine or not pod.unfinished, f"{pod.invocation} of the same template is at work"

    def status_is_written(self, before: JobInvocation, status: JobInvocationStatus, *, old: bool) -> None:
        if before.finished:  # an answer that was lost may make the operator write the same end again, a bit later
            again, ended = (timeless(entry) for entry in (status, before.status))
            assert again == ended, f"a finished invocation changes again, from {ended} to {again}"
        counts = status.hosts
        if counts is not None:
            parts = [counts.pending, counts.running, counts.succeeded, counts.failed, counts.cancelled]
            assert sum(parts) == counts.total, f"the counts do not add up: {counts}"
            assert min(parts) >= 0, f"a count is negative: {counts}"
            known = before.status.hosts
            assert known is None or known.total == counts.total
            # An old operator that has been told of the invocation, but not of its slices, counts what it knows.
            forgotten = known is not None and known.succeeded > counts.succeeded
            assert not forgotten or old or self.orphaned, f"an outcome is lost: {known}, {counts}"
        siblings = self._cluster.stored_slices(before.metadata.name)
        begun = any(self.made[sibling.metadata.name] for sibling in siblings) or bool(self.orphaned)
        failed = any(sibling.status.hosts for sibling in siblings)
        assert status.start_time is None or begun or failed, "it says that it began, but nothing was started"
        assert status.started_slices >= before.status.started_slices, "slices become unstarted"
        ends = [c for c in status.conditions if c.type in FINAL_CONDITIONS and c.status == ConditionStatus.TRUE]
        assert len(ends) == (1 if status.completion_time is not None else 0), f"it ends {len(ends)} times"

    def status_was_written(self) -> None:
        """What the cluster knows of pods, it knows for good."""
        self.unrecorded = {name for name in self.unrecorded if not self._recorded(name)}

    def slice_status_is_written(self, before: JobSlice, status: JobSliceStatus) -> None:
        after = {result.name: (result.state, result.exit_code, result.reason) for result in status.hosts}
        for ended in (result for result in before.status.hosts if result.state.ended):
            found = after.get(ended.name)
            assert found == (ended.state, ended.exit_code, ended.reason), f"the end of {ended} changes to {found}"
        assert not before.done or status.state == SliceState.DONE, f"slice {before.metadata.name} is not done any more"
        assert not before.done or marks(before.status) == marks(status), "what is tried again has been decided"

    def others_stay_as_they_are(self, name: str, before: Mapping[str, JobSliceStatus]) -> None:
        """A write of some slices leaves alone what their object says of the others."""
        for other, status in before.items():
            found = self._cluster.stored_slice(other)
            assert found is not None
            assert found.status == status, f"{other} changes from {status} to {found.status} by a write of {name}"

    def pod_is_let_go(self, name: str) -> None:
        """A pod's results are in its slice's status before it may go."""
        found = self._cluster.stored_slice(name)
        parent = self._cluster.stored_invocation(self._cluster.pods[name].invocation)
        if found is None or parent is None or parent.metadata.deletion_timestamp is not None:
            return
        assert found.done, f"pod {name} is let go before its results are written"

    def event_is_told(self, invocation: str, note: Note) -> None:
        self.told[invocation, note.reason] += 1
        stored = self._cluster.stored_invocation(invocation)
        # One when it strikes and one with the end; and one for each time that somebody may have cancelled more.
        most = dict.fromkeys(ONCE, 1) | {Reason.DEADLINE_EXCEEDED: 2}
        if stored is not None:
            most[Reason.CANCEL_REQUESTED] = stored.metadata.generation
        assert self.told[invocation, note.reason] <= most.get(note.reason, math.inf), f"{note} is told again"

    def output_is_complete(self, name: str, exits: Mapping[str, Exit]) -> None:
        if name not in self.lost:  # that an old operator has read it helps nobody
            self.promised.setdefault(name, {}).update(exits)

    # ---- what befalls operators and pods -----------------------------------------------------------------------

    def operator_forgets(self) -> None:
        for name in self.made:
            found = self._cluster.stored_slice(name)
            if found is not None and not found.done and not self._recorded(name):
                (self.unrecorded if name in self._cluster.pods else self.excused).add(name)
        for name in self.forced:
            found = self._cluster.stored_slice(name)
            if found is not None and not found.done:
                self.promised.pop(name, None)
                self.lost.add(name)
        self.forced.clear()

    def pod_is_removed(self, name: str, *, heard: bool) -> None:
        """Somebody has removed a pod by force."""
        found = self._cluster.stored_slice(name)
        if name in self.unrecorded and not self._recorded(name):
            self.excused.add(name)
        if found is not None and not found.done:
            self.forced.add(name)
            if not heard:
                self.promised.pop(name, None)  # the operator died since, and had not read it again

    def slice_is_deleted(self, name: str) -> None:
        self.promised.pop(name, None)
        self.orphaned.add(name)

    def host_begins(self, pod: RunnerPod, host: str) -> None:
        self.began[pod.slice, host] += 1
        excused = self.made[pod.slice] > 1 or self.doubtful
        assert self.began[pod.slice, host] == 1 or excused, f"{host} of {pod.slice} runs twice"

    def _recorded(self, name: str) -> bool:
        """Whether the cluster says of the slice that it was started."""
        found = self._cluster.stored_slice(name)
        if found is None:
            return True
        parent = self._cluster.stored_invocation(found.spec.invocation_ref.name)
        if parent is None or found.status.pod_name:
            return True
        return found.spec.attempt == 0 and found.spec.index < parent.status.started_slices

    # ---- the end -----------------------------------------------------------------------------------------------

    def check_end(self, name: str) -> None:
        """Each host has ended in exactly one way, as it said if it said so, and the counts are those of the hosts."""
        pods = {key: pod for key, pod in self._cluster.pods.items() if pod.invocation == name}
        assert not [key for key, pod in pods.items() if pod.held], "a pod is held for ever"
        stored = self._cluster.stored_invocation(name)
        if stored is None:
            return
        assert stored.finished
        assert not [key for key, pod in pods.items() if pod.deleting is None], "a pod is left"
        mine = {entry.metadata.name for entry in self._cluster.stored_slices(name)}
        assert not mine & set(self._cluster.work_secrets), "a Secret is left"
        assert stored.status.completion_time is not None
        counts = stored.status.hosts
        assert counts is not None
        assert counts.pending == counts.running == 0
        if stored.status.slices is None:
            return  # it never began
        slices = sorted(self._cluster.stored_slices(name), key=lambda s: s.spec.attempt)
        assert all(result.state.ended for entry in slices for result in entry.status.hosts)
        last = {result.name: result for entry in slices for result in entry.status.hosts}
        if not self.orphaned:
            self._counts_are_right(stored, last)
        for entry in slices:
            self._ends_are_as_promised(entry)
        for result in last.values():
            self._end_is_explained(stored, result)

    def _counts_are_right(self, stored: JobInvocation, last: Mapping[str, Any]) -> None:
        counts, states = stored.status.hosts, Counter(result.state for result in last.values())
        assert counts is not None
        assert len(last) == counts.total, f"{len(last)} hosts have an end, {counts.total} were chosen"
        assert not [result for result in last.values() if result.retry], "a host was to be tried again"
        shown = (counts.succeeded, counts.failed, counts.cancelled)
        failed = sum(states[state] for state in UNSUCCESSFUL)
        found = (states[HostState.SUCCEEDED], failed, states[HostState.CANCELLED] + states[HostState.NOT_STARTED])
        assert shown == found, f"the counts are {shown}, but those of the hosts {found}"
        (end,) = (c.type for c in stored.status.conditions if c.type in FINAL_CONDITIONS)
        stopped = any(states[state] for state in STOPPED)
        assert (end == ConditionType.COMPLETE) == (counts.succeeded == counts.total)
        assert end != ConditionType.CANCELLED or stopped, "it was cancelled, and no host was"
        in_time = stored.status.observed_generation == stored.metadata.generation
        whole = in_time and stored.spec.cancellation is not None and stored.spec.cancellation.hosts is None
        assert end != ConditionType.FAILED or not (whole and stopped), "it was cancelled, and says that it failed"
        shown_failures = {failure.host for failure in stored.status.failures}
        assert shown_failures == {r.name for r in last.values() if r.state in UNSUCCESSFUL}

    def _ends_are_as_promised(self, slice_: JobSlice) -> None:
        found = {result.name: result for result in slice_.status.hosts}
        for entry, exit_ in self.promised.get(slice_.metadata.name, {}).items():
            kept = found[entry].state == exit_.state and found[entry].exit_code == exit_.exit_code
            told = exit_.state in STOPPED and found[entry].state in (HostState.FAILED, HostState.NOT_STARTED)
            # A host that was given up before its pod was known did not run, as far as anybody can tell.
            given_up = self.doubtful and found[entry].state in (HostState.CANCELLED, HostState.NOT_STARTED)
            assert kept or told or given_up, f"{entry} said {exit_}, but its status says {found[entry]}"

    def _end_is_explained(self, stored: JobInvocation, result: Any) -> None:
        assert result.state == HostState.SUCCEEDED or result.reason, f"{result} gives no reason"
        if result.state in STOPPED:
            assert covers(stored, result.name), f"nobody cancelled {result}"
        if result.state == HostState.NOT_STARTED:
            spec = stored.spec
            given_up = spec.active_deadline_seconds or spec.start_before or spec.rollout.max_failed is not None
            assert given_up, f"nothing kept {result} from being started"


def _names(plan: Plan) -> frozenset[str]:
    """What a plan works on."""
    starting = {slice_.metadata.name for slice_ in plan.start_slices}
    return plan.held | starting | ({TEMPLATE} if starting else frozenset())


def _locks(observed: Observed, names: Iterable[str]) -> dict[Lock, bool]:
    return {lock: alone for name in names for lock, alone in locks_for(observed, name).items()}


def covers(invocation: JobInvocation, host: str) -> bool:
    """Whether the host is cancelled."""
    cancellation = invocation.spec.cancellation
    return cancellation is not None and (cancellation.hosts is None or host in cancellation.hosts)


def marks(status: JobSliceStatus) -> set[str]:
    """The hosts that are tried again."""
    return {result.name for result in status.hosts if result.retry}


def timeless(status: JobInvocationStatus) -> dict[str, Any]:
    """What the status says, without when."""
    conditions = [{**c.wire(), "lastTransitionTime": ""} for c in status.conditions]
    return {**status.wire(), "completionTime": "", "startTime": "", "conditions": conditions}
