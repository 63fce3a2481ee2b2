"""An operator in plain Python that carries plans out in the simulated cluster, and can be stopped at every write.

It sees the cluster through a view that watch events bring up to date, object by object and as late as it happens, and
that always holds the answers to its own writes (as `rollcall_operator.store` does). It carries a plan out write by
write, in the order of `rollcall_operator.execution`, and can be stopped before any of them: by its death, which loses
its memory, or by an API server that does not answer.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import Any

from rollcall.outputs import Exit
from rollcall.plan.holding import secrets_to_read
from rollcall.plan.invocation import reconcile
from rollcall.plan.locks import NOTHING, Claimant, Locks
from rollcall.plan.observed import Observed, Plan, Refusal, Timing
from rollcall.plan.pods import HURRIED_GRACE_SECONDS
from rollcall.plan.prepare import Prepared, prepare
from rollcall.plan.restoring import restore_locks
from rollcall.plan.results import with_failures
from rollcall.plan.slices import Slices
from rollcall.plan.starting import TEMPLATE, locks_for
from rollcall.plan.units import combined, units
from rollcall.resources.jobinvocation import JobInvocation, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice, JobSliceStatus
from unit.core.objects import KEY_SECRET
from unit.core.simulated_cluster import Cluster, Unanswered
from unit.core.simulated_output import Heard
from unit.core.simulated_promises import Promises

TIMING = Timing(pickup=timedelta(seconds=60))
REFUSED_RETRY = timedelta(seconds=5)


class Died(Exception):  # noqa: N818
    """The operator's process is gone."""


class Stop(Enum):
    """What stops the operator at a write."""

    DEATH_BEFORE = auto()
    """The process dies before the write; no memory is left."""
    ERROR_BEFORE = auto()
    """The write fails; the operator remembers, and goes on with what runs side by side."""
    ERROR_AFTER = auto()
    """The write is done, but its answer is lost."""


class Operator:
    """One life after the other of an operator."""

    def __init__(self, cluster: Cluster, promises: Promises) -> None:
        self.cluster = cluster
        self.promises = promises
        self.old = False
        """Whether another operator has taken over, which this one does not know yet."""
        self.writes = 0
        """How many writes the last step took."""
        self._stop_at: int | None = None
        self._stop = Stop.DEATH_BEFORE
        self.forget()

    def forget(self) -> None:
        """The operator starts anew: all memory is gone, and everything is listed."""
        cluster = self.cluster
        self.view_invocations = {name: found for name in cluster.invocations if (found := self._real(name))}
        self.view_objects: dict[str, JobSlice] = {}
        self.view_slices: dict[str, JobSlice] = {}
        for name in cluster.slices:
            self._view_slice(name, cluster.slice_object(name))
        self.view_pods = {name: pod.seen() for name, pod in cluster.pods.items()}
        self.refused: dict[str, Refusal] = {}
        self.made_here: set[str] = set()
        self.heard: dict[str, Heard] = {}
        self.progress_written: dict[str, datetime] = {}
        self.done: set[str] = set()
        self.asleep: dict[str, datetime | None] = {}
        """The invocations that are not looked at before the moment, unless something happens to them."""
        self.locks = Locks()
        self.claimants: dict[str, Claimant] = {}
        self.promises.operator_forgets()
        unfinished = [self.observe(name) for name, found in self.view_invocations.items() if not found.finished]
        restore_locks(unfinished, cluster.now)
        for observed in unfinished:
            self.claimants[observed.invocation.metadata.name] = observed.claimant
            self.promises.operator_knows(observed, reconcile(observed, cluster.now))
        for observed in unfinished:
            # The framework begins nothing for what is being deleted, and lets it go.
            if observed.invocation.metadata.deletion_timestamp is not None:
                self.done.add(observed.invocation.metadata.name)
                cluster.disappear(observed.invocation.metadata.name)

    def _real(self, name: str) -> JobInvocation | None:
        return self.cluster.stored_invocation(name)

    # ---- what it sees ------------------------------------------------------------------------------------------

    def observe(self, name: str) -> Observed:
        cluster = self.cluster
        slices = Slices(s for s in self.view_slices.values() if s.spec.invocation_ref.name == name)
        observed = Observed(
            invocation=self.view_invocations[name],
            slices=slices,
            pods={pod.name: pod for pod in self.view_pods.values() if pod.invocation == name},
            collected={entry: self.heard[entry].snapshot() for entry in slices.open if entry in self.heard},
            refused=dict(self.refused),
            made=frozenset(self.made_here),
            hosts=cluster.hosts,
            template=cluster.template if cluster.has_template else None,
            locks=self.locks,
            timing=TIMING,
            pods_per_slice=cluster.pods_per_slice,
            progress_written=self.progress_written.get(name),
        )
        keys = None if cluster.secret is None else frozenset(cluster.secret)
        return replace(observed, secrets=dict.fromkeys(secrets_to_read(observed, cluster.now), keys))

    def nudge(self, name: str) -> None:
        """Something has happened to the invocation."""
        self.asleep.pop(name, None)
        if name not in self.view_invocations:
            self._let_go(name)

    def see_invocation(self, name: str) -> None:
        """A watch, or an answer, tells how the invocation is now."""
        before, found = self.view_invocations.get(name), self._real(name)
        if found is not before and found != before:
            _set(self.view_invocations, name, found)
            self.nudge(name)

    def see_slice(self, name: str) -> None:
        """A watch, or an answer, tells how the object of that slice is now, and so all slices that share it."""
        known = self.view_slices.get(name) or self.cluster.stored_slice(name)
        name = name if known is None else known.object_name
        before, found = self.view_objects.get(name), self.cluster.slice_object(name)
        if found is not before and found != before:
            self._view_slice(name, found)
            self.nudge((found or before).spec.invocation_ref.name)  # type: ignore[union-attr]

    def _view_slice(self, name: str, found: JobSlice | None) -> None:
        before = self.view_objects.get(name)
        for gone in units(before) if before else ():
            known = self.view_slices.get(gone.metadata.name)
            if known is not None and known.metadata.uid == gone.metadata.uid:
                del self.view_slices[gone.metadata.name]
        self.view_slices |= {entry.metadata.name: entry for entry in (units(found) if found else ())}
        _set(self.view_objects, name, found)

    def see_pod(self, name: str) -> None:
        before, found = self.view_pods.get(name), self.cluster.stored_pod(name)
        if found != before:
            _set(self.view_pods, name, found)
            self.nudge((found or before).invocation)  # type: ignore[union-attr]

    def see_all(self) -> None:
        """The watches tell everything."""
        for name in {*self.cluster.invocations, *self.view_invocations}:
            self.see_invocation(name)
        for name in {*self.cluster.slices, *self.view_objects}:
            self.see_slice(name)
        for name in {*self.cluster.pods, *self.view_pods}:
            self.see_pod(name)

    # ---- one look ----------------------------------------------------------------------------------------------

    def step(self, name: str, stop_at: int | None = None, stop: Stop = Stop.DEATH_BEFORE) -> Plan | None:
        """One look and what follows from it; None when it was cut short."""
        if name not in self.view_invocations or name in self.done:
            return None
        self._follow(name)
        observed = self.observe(name)
        plan = reconcile(observed, self.cluster.now)
        self._check_turns(observed, plan)
        self._claim(observed, plan)
        self.asleep[name] = plan.again_at
        self._stop_at, self._stop, self.writes = stop_at, stop, 0
        try:
            self._carry_out(observed, plan)
        except Died:
            self.forget()
            return None
        except Unanswered:
            self.asleep.pop(name, None)  # it is tried again soon
            return None
        if plan.progress:
            self.progress_written[name] = self.cluster.now
        if plan.done:
            self._leave(name)
        return plan

    def _leave(self, name: str) -> None:
        """Nothing is left to do for the invocation."""
        self.done.add(name)
        for entry in [entry for entry, found in self.view_slices.items() if found.spec.invocation_ref.name == name]:
            self.heard.pop(entry, None)
        self._let_go(name)
        if name in self.cluster.invocations and self.cluster.invocations[name]["metadata"].get("deletionTimestamp"):
            self.cluster.disappear(name)

    def release_orphans(self) -> None:
        """Let pods go that nobody looks after: their invocation, or their slice, is gone or has ended."""
        for name in self.claimants.keys() - self.view_invocations.keys():
            self._let_go(name)
        for name, pod in list(self.view_pods.items()):
            found, parent = self.view_slices.get(name), self.view_invocations.get(pod.invocation)
            if pod.deleting_since is None and parent is not None and parent.finished and pod.invocation in self.done:
                self._write(partial(self.cluster.delete_pods, pod.invocation))
            owned = found is not None and found.metadata.uid == pod.owner
            if not pod.held or (owned and parent is not None and not parent.finished):
                continue
            if owned and parent is not None and pod.invocation not in self.done:
                continue  # it is looked after
            if pod.over(self.cluster.now):
                self._release(name)
            elif pod.deleting_since is None:
                self._delete(name)

    def _check_turns(self, observed: Observed, plan: Plan) -> None:
        if self.old:
            return  # it shares no locks with the one who replaced it
        now = self.cluster.now
        others = [self.observe(name) for name in self.view_invocations if name != observed.invocation.metadata.name]
        self.promises.it_is_decided(observed, plan, [(other, reconcile(other, now)) for other in others])

    def _claim(self, observed: Observed, plan: Plan) -> None:
        """Take what the plan works on, at once."""
        starting = {slice_.metadata.name for slice_ in plan.start_slices}
        held = plan.held | starting | ({TEMPLATE} if starting else set())
        self.claimants[observed.invocation.metadata.name] = observed.claimant
        for other in self.locks.update(observed.claimant, held, partial(locks_for, observed), plan.waited):
            self.nudge(other.name)

    def _let_go(self, name: str) -> None:
        """Free what an invocation used that is over, or gone; what its pods still work on, as they end."""
        claimant = self.claimants.get(name)
        if claimant is None:
            return
        pods = (pod for pod in self.view_pods.values() if pod.invocation == name and not pod.over(self.cluster.now))
        slices = self.view_slices if name in self.view_invocations else {}
        working = frozenset(pod.slice for pod in pods if pod.slice not in slices)
        if not working:
            del self.claimants[name]
        held = working | {TEMPLATE} if working else working
        for other in self.locks.update(claimant, held, lambda _: NOTHING, NOTHING):
            self.nudge(other.name)

    def _write(self, effect: Callable[[], None], answer: Callable[[], None] = lambda: None) -> None:
        """One API call: its effect in the cluster, and what the operator learns from the answer."""
        stopped = None
        self.writes += 1
        if self._stop_at is not None:
            stopped = self._stop if self._stop_at == 0 else None
            self._stop_at -= 1
        if stopped is Stop.DEATH_BEFORE:
            raise Died
        if stopped is Stop.ERROR_BEFORE:
            raise Unanswered
        effect()
        if stopped is Stop.ERROR_AFTER:
            raise Unanswered
        answer()

    def _all(self, calls: Iterable[Callable[[], None]]) -> None:
        """Side by side: one that fails does not keep the others, the operator's death does."""
        failed = False
        for call in calls:
            try:
                call()
            except Unanswered:
                failed = True
        if failed:
            raise Unanswered

    def _carry_out(self, observed: Observed, plan: Plan) -> None:
        name, cluster = observed.invocation.metadata.name, self.cluster
        seen = {entry: observed.slices.get(entry) for entry, _ in plan.slice_statuses}
        if plan.discard_slices:
            self._discard(name)
        self._all(partial(self._create_slice, made) for made in plan.create_slices)
        statuses = [(found, status) for entry, status in plan.slice_statuses if (found := seen[entry]) is not None]
        self._write_slices(statuses, () if plan.clean_up else plan.release_pods)
        releases = [partial(self._release, entry) for entry in plan.release_pods if entry not in seen or plan.clean_up]
        secrets = [partial(self._write, partial(cluster.delete_secrets, name))] if plan.clean_up else []
        self._all([*releases, *secrets])
        self._all(partial(self._order, entry, order.dump()) for entry, order in plan.orders)
        self._all(partial(self._delete, entry) for entry in plan.delete_pods if entry not in plan.hasten_pods)
        self._all(partial(self._delete, entry, HURRIED_GRACE_SECONDS) for entry in plan.hasten_pods)
        self._start(observed, plan.start_slices)
        if plan.status is not None:
            self._write_status(observed.invocation, plan.status)
        for note in plan.notes:
            try:
                self._write(partial(self.promises.event_is_told, name, note))
            except Unanswered:
                continue
        if plan.clean_up:
            self._write(partial(cluster.delete_pods, name))

    def _discard(self, name: str) -> None:
        stale = self.view_invocations.get(name)
        self.see_invocation(name)
        if self.view_invocations.get(name) != stale:
            raise Unanswered  # the commit was written, its answer was lost
        self._write(partial(self.cluster.discard_slices, name))
        for entry in [e for e, found in self.view_slices.items() if found.spec.invocation_ref.name == name]:
            self.see_slice(entry)

    def _create_slice(self, made: JobSlice) -> None:
        name = made.metadata.name
        if made.spec.invocation_ref.name not in self.cluster.invocations:
            raise Unanswered
        self._write(partial(self.cluster.put_slice, made), partial(self.see_slice, name))
        if self.view_objects[name].spec != made.spec:
            raise Unanswered

    def _write_slices(self, statuses: Iterable[tuple[JobSlice, JobSliceStatus]], safe: tuple[str, ...] = ()) -> None:
        """Write statuses, those of slices that share an object as one, and let the pods go that are safe with that."""
        shared: defaultdict[str, list[tuple[JobSlice, JobSliceStatus]]] = defaultdict(list)
        for slice_, status in statuses:
            shared[slice_.object_name].append((slice_, status))
        self._all(partial(self._write_object, name, written, safe) for name, written in shared.items())

    def _write_object(self, name: str, written: list[tuple[JobSlice, JobSliceStatus]], safe: tuple[str, ...]) -> None:
        def effect() -> None:
            whole = cluster.slice_object(name)
            now = {entry.metadata.name: entry for entry in (units(whole) if whole else ())}
            for seen, _ in written:
                found = now.get(seen.metadata.name)
                if found is None or found.metadata.uid != seen.metadata.uid or found.status != seen.status:
                    self.see_slice(name)
                    raise Unanswered
            assert whole is not None
            for entry, status in news.items():
                self.promises.slice_status_is_written(now[entry], status)
            cluster.put_slice_status(name, combined(whole, news).patch(whole.without_output().status))
            self.promises.others_stay_as_they_are(name, {e: u.status for e, u in now.items() if e not in news})

        cluster, news = self.cluster, {seen.metadata.name: status for seen, status in written}
        self._write(effect, partial(self.see_slice, name))
        self._all(partial(self._release, entry) for entry in news if entry in safe)

    def _write_status(self, seen: JobInvocation, status: JobInvocationStatus) -> None:
        name = seen.metadata.name

        def effect() -> None:
            found = self._real(name)
            if found is None or _changed(found, seen):
                self.see_invocation(name)
                raise Unanswered
            self.promises.status_is_written(found, status, old=self.old)
            self.cluster.put_invocation(name, {"status": status.patch(seen.status)})

        self._write(effect, partial(self.see_invocation, name))
        self.promises.status_was_written()

    def _release(self, name: str) -> None:
        def effect() -> None:
            if name in self.cluster.pods and str(self.cluster.pods[name].uid) == uid:
                self.promises.pod_is_let_go(name)
                self.cluster.pods[name].held = False

        uid = self.view_pods[name].uid
        self._write(effect, partial(self.see_pod, name))

    def _order(self, name: str, order: str) -> None:
        def effect() -> None:
            if name in self.cluster.pods:
                self.cluster.pods[name].order = order

        self._write(effect, partial(self.see_pod, name))

    def _delete(self, name: str, grace: int | None = None) -> None:
        if name not in self.view_pods:
            return
        uid = self.view_pods[name].uid

        def effect() -> None:
            if name in self.cluster.pods and str(self.cluster.pods[name].uid) == uid:
                if grace is None:
                    self.cluster.delete_pod(name)
                else:
                    self.cluster.delete_pod(name, grace)

        self._write(effect)

    def _start(self, observed: Observed, slices: Iterable[JobSlice]) -> None:
        secrets = {KEY_SECRET: self.cluster.secret}
        invocation, found, hosts = observed.invocation, observed.template, observed.hosts
        prepared = [(s, prepare(invocation, s, found, hosts, secrets, 1_000)) for s in slices]
        now = self.cluster.now
        self._write_slices((s, with_failures(s, found.failures, now)) for s, found in prepared if found.failures)
        self._all(partial(self._start_one, observed, chosen, work) for chosen, work in prepared)

    def _start_one(self, observed: Observed, chosen: JobSlice, prepared: Prepared) -> None:
        name, cluster = chosen.metadata.name, self.cluster
        if prepared.work is None:
            return
        self._write(partial(cluster.put_secret, name, prepared.work))
        if chosen.spec.index in cluster.refusing and name not in cluster.pods:
            since = self.refused[name].since if name in self.refused else cluster.now
            self.refused[name] = Refusal(since, cluster.now + REFUSED_RETRY, "exceeded quota")
            self._write(partial(cluster.delete_secret, name))
            raise Unanswered

        def make() -> None:
            if name in cluster.pods:
                if cluster.pods[name].owner != chosen.metadata.uid:
                    raise Unanswered
                return
            self.promises.pod_is_made(observed, chosen, old=self.old)
            cluster.put_pod(chosen)

        self._write(make, partial(self.see_pod, name))
        self.made_here.add(name)
        self.refused.pop(name, None)

    # ---- the collector -----------------------------------------------------------------------------------------

    def _follow(self, invocation: str) -> None:
        for name, pod in self.view_pods.items():
            known = self.view_slices.get(name)
            if pod.invocation != invocation or known is None or known.done or known.metadata.uid != pod.owner:
                continue
            if name not in self.heard and (pod.container_started or pod.over(self.cluster.now)):
                self.heard[name] = Heard(list(self.cluster.outputs.get(name, ())))

    def collect(self, name: str, count: int = 1_000, *, store: bool = True) -> None:
        """Read on in a pod's log; with all that there is, and `store`, the slice may become complete."""
        heard, known = self.heard.get(name), self.view_slices.get(name)
        if heard is None or heard.complete or known is None:
            return
        pod, seen = self.cluster.pods.get(name), self.view_pods.get(name)
        over = seen is None or seen.over(self.cluster.now)
        read = {(event.host, event.seq) for event in heard.events}
        unread = [e for e in (pod.log if pod else ()) if (e.host, e.seq) not in read]
        heard.events += unread[:count]
        if store:
            stored = self.cluster.outputs.setdefault(name, [])
            held = {(event.host, event.seq) for event in stored}
            stored += [event for event in heard.events if (event.host, event.seq) not in held]
        exits = {event.host: event.data for event in heard.events if isinstance(event.data, Exit)}
        if store and (set(exits) >= set(known.spec.hosts) or ((over or pod is None) and len(unread) <= count)):
            heard.complete = True
            self.promises.output_is_complete(name, exits)
        self.nudge(known.spec.invocation_ref.name)


def _changed(found: JobInvocation, seen: JobInvocation) -> bool:
    """Whether anything is not as it was that a decision rests on."""
    deleted = found.metadata.deletion_timestamp is not None
    same = deleted == (seen.metadata.deletion_timestamp is not None) and found.metadata.uid == seen.metadata.uid
    return not same or found.metadata.generation != seen.metadata.generation or found.status != seen.status


def _set(entries: dict[str, Any], key: str, value: object | None) -> None:
    if value is None:
        entries.pop(key, None)
    else:
        entries[key] = value
