"""A cluster in plain Python, with runner pods, people who change things, and an operator that carries plans out.

The cluster keeps JSON, as the API server does: what is written is read back through the models. The operator sees it
through a view that watch events bring up to date one by one, and that always holds the answers to its own writes (as
`rollcall_operator.store` does). It carries a plan out write by write, in the order of `rollcall_operator.invocations`,
and can be stopped before any of them: by its death, which loses its memory, or by an API server that does not answer.

The promises of DESIGN §3 are checked at every write, and by `check` at any time.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from rollcall.names import FINALIZER_COLLECT, HostState, Reason
from rollcall.outputs import Event, Exit, Stream, parse_line
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Collected, HostProgress, Observed, Plan, Refusal, Timing
from rollcall.plan.pods import Phase, Pod, Trouble
from rollcall.plan.prepare import Prepared, SecretData, prepare
from rollcall.plan.resolution import needed_secrets
from rollcall.plan.results import with_failures
from rollcall.plan.rollout import parallelism
from rollcall.resources.jobinvocation import JobInvocation, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice, JobSliceStatus, SliceState
from rollcall.work import Work
from unit.core.objects import KEY_SECRET, NAMESPACE, NOW, host, template

TIMING = Timing(pickup=timedelta(seconds=60))
GRACE = timedelta(seconds=30)
REFUSED_RETRY = timedelta(seconds=5)
DELETED = Trouble(Reason.POD_DELETED, "the runner pod was deleted while it worked; run the job again on this host")
QUIET_AFTER = (0, 1, 2, 5, 31, 61, 95, 1_000)
"""Seconds after which a plan may want something although nothing happened; `again_at` must know of it."""


class Died(Exception):  # noqa: N818
    """The operator's process is gone."""


class Unanswered(Exception):  # noqa: N818
    """The API server did not answer, or refused."""


class Stop(Enum):
    """What stops the operator at a write."""

    DEATH_BEFORE = auto()
    """The process dies before the write; no memory is left."""
    ERROR_BEFORE = auto()
    """The write fails; the operator remembers, and goes on with what runs side by side."""
    ERROR_AFTER = auto()
    """The write is done, but its answer is lost."""


@dataclass
class RunnerPod:
    """A runner pod as it really is."""

    slice: str
    uid: int
    created: datetime
    work: Work
    phase: Phase = Phase.WAITING
    deleting: datetime | None = None
    held: bool = True
    started: bool = False
    trouble: Trouble | None = None
    at_work: list[str] = field(default_factory=list)
    ended: dict[str, Exit] = field(default_factory=dict)
    log: list[Event] = field(default_factory=list)

    def seen(self) -> Pod:
        """What its JSON says."""
        return Pod(
            name=self.slice,
            namespace=NAMESPACE,
            uid=str(self.uid),
            resource_version="1",
            invocation="job",
            slice=self.slice,
            phase=self.phase,
            created=self.created,
            deleting_since=self.deleting,
            finalizers=(FINALIZER_COLLECT,) if self.held else (),
            trouble=self.trouble or (DELETED if self.deleting else None),
            container_started=self.started,
        )

    @property
    def waiting_hosts(self) -> list[str]:
        return [h.name for h in self.work.hosts if h.name not in self.at_work and h.name not in self.ended]

    @property
    def most_at_work(self) -> int:
        """How many hosts it may still have at work at once."""
        if self.phase == Phase.ENDED:
            return 0
        return min(self.work.parallelism, len(self.work.hosts) - len(self.ended))

    def say(self, name: str, stream: Stream, data: bytes | Exit, now: datetime) -> None:
        seq = sum(event.host == name for event in self.log)
        self.log.append(parse_line(Event(name, seq, now.timestamp(), stream, data).line()))


@dataclass
class Heard:
    """What the operator has read of a slice's output in this life."""

    events: list[Event] = field(default_factory=list)
    complete: bool = False

    def snapshot(self) -> Collected:
        hosts: dict[str, HostProgress] = {}
        for event in self.events:
            before = hosts.get(event.host)
            data = event.data if isinstance(event.data, bytes) else b""
            hosts[event.host] = HostProgress(
                started=before.started if before else event.time,
                last=event.time,
                exit=event.data if isinstance(event.data, Exit) else None,
                bytes=(before.bytes if before else 0) + len(data),
                cut_bytes=0,
                tail=((before.tail if before else "") + data.decode())[-256:],
            )
        return Collected(hosts, self.complete)


class Simulation:
    """The cluster, the operator, and everybody else."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        hosts_per_slice: int = 1,
        concurrency: int | None = None,
        selector: bool = False,
        script: str = "echo {{ host.name }}",
    ) -> None:
        names = tuple(names)
        self.now = NOW
        self.hosts = {name: host(name) for name in names}
        self.template = template(script)
        self.has_template = True
        self.secret: SecretData | None = {"ssh-privatekey": b"key"}
        rollout = {"hostsPerSlice": hosts_per_slice} | ({} if concurrency is None else {"concurrency": concurrency})
        self.invocation: dict[str, Any] | None = {
            "metadata": {
                "name": "job",
                "namespace": NAMESPACE,
                "uid": "uid-of-the-job",
                "generation": 1,
                "creationTimestamp": "2026-03-01T12:00:00Z",
            },
            "spec": {
                "templateRef": {"name": "run"},
                "targeting": {"selector": {}} if selector else {"hosts": list(names)},
                "rollout": rollout,
            },
            "status": {},
        }
        self.slices: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, RunnerPod] = {}
        self.work_secrets: dict[str, bytes] = {}
        self.outputs: dict[str, list[Event]] = {}
        self.refusing: frozenset[int] = frozenset()
        """The slices, by index, whose pods the API server does not take."""
        self._uids = 0
        # what is remembered for the checks
        self.made: Counter[str] = Counter()
        self.ran: set[str] = set()
        """The hosts that a runner began with."""
        self.writes = 0
        """How many writes the last step took."""
        self.promised: dict[str, dict[str, Exit]] = {}
        self.forced: set[str] = set()
        """Slices whose pod was removed by force before they were done."""
        self.unrecorded: set[str] = set()
        """Slices whose pod was made in a plan that the operator's death cut short, and not recorded since."""
        self.excused: set[str] = set()
        """Slices that may be started again: pod made, operator dead before recording it, pod removed by force."""
        self.orphaned: set[str] = set()
        """Slices that somebody deleted."""
        self.forget()

    # ---- the operator ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """The operator starts anew: all memory is gone, and everything is listed."""
        self.view_invocation = self._stored_invocation()
        self.view_slices = {name: self._stored_slice(name) for name in self.slices}
        self.view_pods = {name: pod.seen() for name, pod in self.pods.items()}
        self.refused: dict[str, Refusal] = {}
        self.made_here: set[str] = set()
        self.progress_written: datetime | None = None
        self.heard: dict[str, Heard] = {}
        self.done = False
        for name in self.forced:
            if name in self.slices and not self._stored_slice(name).done:
                self.promised.pop(name, None)  # the double fault of a removed pod and a dead operator
        self.forced.clear()

    def observe(self) -> Observed:
        assert self.view_invocation is not None
        observed = Observed(
            invocation=self.view_invocation,
            slices=tuple(self.view_slices.values()),
            pods=dict(self.view_pods),
            collected={name: heard.snapshot() for name, heard in self.heard.items()},
            refused=dict(self.refused),
            made=frozenset(self.made_here),
            hosts=self.hosts,
            template=self.template if self.has_template else None,
            timing=TIMING,
            progress_written=self.progress_written,
        )
        keys = {name: None if self.secret is None else frozenset(self.secret) for name in needed_secrets(observed)}
        return replace(observed, secrets=keys)

    def step(self, stop_at: int | None = None, stop: Stop = Stop.DEATH_BEFORE) -> Plan | None:
        """One look and what follows from it; None when it was cut short."""
        if self.view_invocation is None or self.done:
            return None
        for name in self.view_pods:
            self._follow(name)
        plan = reconcile(self.observe(), self.now)
        made_before = set(self.made.elements())
        self._stop_at, self._stop, self.writes = stop_at, stop, 0
        try:
            self._carry_out(plan)
        except Died:
            self.unrecorded |= {name for name in self.made if name not in made_before}
            self.forget()
            return None
        except Unanswered:
            return None
        if plan.status is not None:
            self.unrecorded.clear()
        if plan.progress:
            self.progress_written = self.now
        if plan.done:
            self.done = True
            if self.invocation is not None and self.invocation["metadata"].get("deletionTimestamp"):
                self._disappear()
        return plan

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

    def _carry_out(self, plan: Plan) -> None:
        if plan.discard_slices:
            stale = self.view_invocation
            self.deliver_invocation()
            if self.view_invocation != stale:
                raise Unanswered  # the commit was written, its answer was lost
            self._write(self.slices.clear)
            self.view_slices.clear()
        self._all([lambda s=s: self._create_slice(s) for s in plan.create_slices])  # type: ignore[misc]
        self._all([lambda n=n, s=s: self._write_slice(n, s) for n, s in plan.slice_statuses])  # type: ignore[misc]
        self._all([lambda n=n: self._release(n) for n in plan.release_pods])  # type: ignore[misc]
        self._all([lambda n=n: self._write(lambda: self._delete(n)) for n in plan.delete_pods])  # type: ignore[misc]
        self._start(plan.start_slices)
        if plan.clean_up:
            self._write(self._delete_all)
            self._write(self.work_secrets.clear)
        if plan.status is not None:
            self._write(lambda: self._store_status(plan.status), self.deliver_invocation)
        for _ in plan.notes:
            try:
                self._write(lambda: None)
            except Unanswered:
                continue

    def _create_slice(self, made: JobSlice) -> None:
        name = made.metadata.name

        def effect() -> None:
            if name not in self.slices:
                self._uids += 1
                document = {"metadata": {"name": name, "uid": f"uid-{self._uids}"}, "spec": made.spec.wire()}
                self.slices[name] = json.loads(json.dumps(document))

        self._write(effect, lambda: self._see_slice(name))
        if self.view_slices[name].spec.hosts != made.spec.hosts:
            raise Unanswered

    def _write_slice(self, name: str, status: JobSliceStatus) -> None:
        if name not in self.slices:
            self.view_slices.pop(name, None)
            raise Unanswered
        self._write(lambda: self._store_slice_status(name, status), lambda: self._see_slice(name))

    def _release(self, name: str) -> None:
        def effect() -> None:
            if name in self.pods and str(self.pods[name].uid) == uid:
                self.pods[name].held = False

        uid = self.view_pods[name].uid
        self._write(effect, lambda: self.deliver_pod(name))
        self.check_release(name)

    def _delete(self, name: str) -> None:
        if name in self.pods and self.pods[name].deleting is None:
            self.delete_pod(name)

    def _delete_all(self) -> None:
        for name in list(self.pods):
            self._delete(name)

    def _make_secret(self, name: str, work: bytes) -> None:
        """Work Secrets are immutable: one with other work is removed, and made anew in the next step."""
        if self.work_secrets.setdefault(name, work) != work:
            del self.work_secrets[name]
            raise Unanswered

    def _delete_secret(self, name: str) -> None:
        self.work_secrets.pop(name, None)

    def _start(self, slices: Iterable[JobSlice]) -> None:
        secrets = {KEY_SECRET: self.secret}
        prepared = []
        assert self.view_invocation is not None
        for chosen in slices:
            found = self.template if self.has_template else None
            prepared.append((chosen, prepare(self.view_invocation, chosen, found, self.hosts, secrets, 1_000)))
        self._all([lambda s=s, p=p: self._start_one(s, p) for s, p in prepared])  # type: ignore[misc]

    def _start_one(self, chosen: JobSlice, prepared: Prepared) -> None:
        name = chosen.metadata.name
        if prepared.failures:
            self._write_slice(name, with_failures(chosen, prepared.failures, self.now))
        if prepared.work is None:
            return
        work = prepared.work
        self._write(lambda: self._make_secret(name, work))
        if chosen.spec.index in self.refusing and name not in self.pods:
            since = self.refused[name].since if name in self.refused else self.now
            self.refused[name] = Refusal(since, self.now + REFUSED_RETRY, "exceeded quota")
            self._write(lambda: self._delete_secret(name))
            raise Unanswered
        self._write(lambda: self._make_pod(name), lambda: self.deliver_pod(name))
        self.made_here.add(name)
        self.refused.pop(name, None)

    # ---- the collector -----------------------------------------------------------------------------------------

    def _follow(self, name: str) -> None:
        pod = self.view_pods[name]
        known = self.view_slices.get(name)
        if known is None or known.done or name in self.heard or not (pod.container_started or pod.over(self.now)):
            return
        self.heard[name] = Heard(list(self.outputs.get(name, ())))

    def collect(self, name: str, count: int = 1_000, *, store: bool = True) -> None:
        """Read on in a pod's log; with all that there is, and `store`, the slice may become complete."""
        heard = self.heard.get(name)
        if heard is None or heard.complete:
            return
        pod = self.pods.get(name)
        seen = self.view_pods.get(name)
        over = seen is None or seen.over(self.now)
        read = {(event.host, event.seq) for event in heard.events}
        unread = [e for e in (pod.log if pod else ()) if (e.host, e.seq) not in read]
        heard.events += unread[:count]
        if store:
            stored = self.outputs.setdefault(name, [])
            held = {(event.host, event.seq) for event in stored}
            stored += [event for event in heard.events if (event.host, event.seq) not in held]
        members = self.view_slices[name].spec.hosts if name in self.view_slices else ()
        exits = {event.host: event.data for event in heard.events if isinstance(event.data, Exit)}
        if store and (set(exits) >= set(members) or ((over or pod is None) and len(unread) <= count)):
            heard.complete = True
            self.promised.setdefault(name, {}).update(exits)

    # ---- what is written ---------------------------------------------------------------------------------------

    def _stored_invocation(self) -> JobInvocation | None:
        return None if self.invocation is None else JobInvocation.model_validate(self.invocation)

    def _stored_slice(self, name: str) -> JobSlice:
        document = self.slices[name]
        return JobSlice.model_validate(document)

    def deliver_invocation(self) -> None:
        """The watch tells how the invocation is now."""
        self.view_invocation = self._stored_invocation()

    def _see_slice(self, name: str) -> None:
        if name in self.slices:
            self.view_slices[name] = self._stored_slice(name)
        else:
            self.view_slices.pop(name, None)

    def _store_status(self, status: JobInvocationStatus | None) -> None:
        assert status is not None
        if self.invocation is None:
            raise Unanswered
        before = self._stored_invocation()
        assert before is not None
        if before.finished:  # an answer that was lost may make the operator write the same end again, a bit later
            again, ended = (timeless(entry) for entry in (status, before.status))
            assert again == ended, f"a finished invocation changes again, from {ended} to {again}"
        counts = status.hosts
        if counts is not None:
            parts = [counts.pending, counts.running, counts.succeeded, counts.failed, counts.cancelled]
            assert sum(parts) == counts.total, f"the counts do not add up: {counts}"
            assert min(parts) >= 0, f"a count is negative: {counts}"
        assert status.started_slices >= before.status.started_slices, "slices become unstarted"
        self.invocation = merged(self.invocation, {"status": status.wire()})

    def _store_slice_status(self, name: str, status: JobSliceStatus) -> None:
        before = self._stored_slice(name)
        after = {result.name: (result.state, result.exit_code, result.reason) for result in status.hosts}
        for ended in (result for result in before.status.hosts if result.state.ended):
            found = after.get(ended.name)
            # An answer that was lost may make the operator write the same end again, at a later time.
            assert found == (ended.state, ended.exit_code, ended.reason), f"the end of {ended} changes to {found}"
        assert not before.done or status.state == SliceState.DONE, f"slice {name} is not done any more"
        self.slices[name] = merged(self.slices[name], {"status": status.wire()})

    def _make_pod(self, name: str) -> None:
        if name in self.pods:
            return
        work = Work.load(self.work_secrets[name])
        assert self.view_invocation is not None
        condition = [c for c in self.view_invocation.status.conditions if c.type == "Resolved"]
        assert condition, "a pod is made before the hosts are resolved"
        if self.made[name]:
            assert name in self.excused, f"the hosts of {name} are started twice"
        concurrency = self.view_invocation.spec.rollout.concurrency
        if concurrency is not None:
            lost = {name for name, pod in self.pods.items() if pod.seen().lost(self.now)}
            busy = sum(pod.most_at_work for key, pod in self.pods.items() if key not in self.orphaned | lost)
            new = parallelism(len(work.hosts), work.parallelism)
            assert busy + new <= concurrency, f"{busy} + {new} hosts are at work, not {concurrency}"
        for entry in work.hosts if name in self.slices else ():
            known = {result.name: result for result in self._stored_slice(name).status.hosts}
            assert entry.name not in known or not known[entry.name].state.ended, f"{entry.name} runs after its end"
        self.made[name] += 1
        self.excused.discard(name)
        self._uids += 1
        self.pods[name] = RunnerPod(name, self._uids, self.now.replace(microsecond=0), work)
        if name not in self.slices:
            self.delete_pod(name)  # the garbage collector misses its owner

    def _disappear(self) -> None:
        """The invocation is gone for good, and what it owns with it."""
        self.invocation = None
        self.slices.clear()
        self.work_secrets.clear()
        for name in list(self.pods):
            self._delete(name)

    def _release_orphans(self) -> None:
        """The operator's look after pods whose invocation is gone."""
        for pod in self.pods.values():
            if self.invocation is None and pod.phase == Phase.ENDED:
                pod.held = False

    def check_release(self, name: str) -> None:
        """A pod's results are in its slice's status before it may go."""
        if self.invocation is None or self.invocation["metadata"].get("deletionTimestamp") or name not in self.slices:
            return
        assert self._stored_slice(name).done, f"pod {name} is let go before its results are written"

    # ---- everybody else ----------------------------------------------------------------------------------------

    def deliver_pod(self, name: str) -> None:
        """The watch tells how the pod is now."""
        if name in self.pods:
            self.view_pods[name] = self.pods[name].seen()
        else:
            self.view_pods.pop(name, None)

    def deliver(self) -> None:
        """The watches tell everything."""
        self.deliver_invocation()
        for name in {*self.slices, *self.view_slices}:
            self._see_slice(name)
        for name in {*self.pods, *self.view_pods}:
            self.deliver_pod(name)

    def edit_concurrency(self, value: int | None) -> None:
        assert self.invocation is not None
        self.invocation["spec"]["rollout"].pop("concurrency", None)
        if value is not None:
            self.invocation["spec"]["rollout"]["concurrency"] = value
        self.invocation["metadata"]["generation"] += 1

    def delete_invocation(self) -> None:
        assert self.invocation is not None
        stored = self._stored_invocation()
        if stored is not None and stored.finished:
            self._disappear()  # only an unfinished one is held by the operator
        else:
            self.invocation["metadata"].setdefault("deletionTimestamp", self.now.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def delete_slice(self, name: str) -> None:
        """Somebody deletes a slice; what it owns goes with it."""
        self.slices.pop(name)
        self.work_secrets.pop(name, None)
        self.promised.pop(name, None)
        self.orphaned.add(name)
        self._delete(name)

    def begin_pod(self, name: str) -> None:
        """A node runs the pod, and the runner begins."""
        pod = self.pods[name]
        if pod.phase == Phase.WAITING and pod.deleting is None:
            pod.phase, pod.started, pod.trouble = Phase.WORKING, True, None

    def begin_host(self, name: str) -> None:
        pod = self.pods[name]
        if pod.phase == Phase.WORKING and pod.deleting is None and len(pod.at_work) < pod.work.parallelism:
            for entry in pod.waiting_hosts[:1]:
                pod.at_work.append(entry)
                self.ran.add(entry)
                pod.say(entry, Stream.STDOUT, b"hello\n", self.now)

    def end_host(self, name: str, *, well: bool = True) -> None:
        pod = self.pods[name]
        if pod.phase == Phase.WORKING and pod.at_work:
            ended = Exit(HostState.SUCCEEDED, 0) if well else Exit(HostState.FAILED, 1, Reason.EXIT_CODE, "exit code 1")
            self._exit(pod, pod.at_work[0], ended)

    def end_pod(self, name: str, trouble: Trouble | None = None) -> None:
        """The container ends: by itself when all is done, at the end of its grace period, or with trouble."""
        pod = self.pods[name]
        if pod.phase == Phase.ENDED:
            return
        if pod.deleting is not None and pod.phase == Phase.WORKING and trouble is None:
            for entry in [*pod.at_work, *pod.waiting_hosts]:
                self._exit(pod, entry, Exit(HostState.CANCELLED, None, Reason.CANCELLED, "stopped on request"))
        elif trouble is None and (pod.at_work or pod.waiting_hosts) and pod.deleting is None:
            return
        pod.phase, pod.at_work = Phase.ENDED, []
        pod.trouble = trouble or pod.trouble

    def _exit(self, pod: RunnerPod, entry: str, ended: Exit) -> None:
        if entry in pod.at_work:
            pod.at_work.remove(entry)
        pod.ended[entry] = ended
        pod.say(entry, Stream.EXIT, ended, self.now)

    def delete_pod(self, name: str) -> None:
        """Somebody deletes or evicts the pod; its grace period begins."""
        pod = self.pods[name]
        if pod.deleting is None:
            pod.deleting = self.now.replace(microsecond=0) + GRACE

    def tidy(self, name: str) -> None:
        """The API server removes a pod that is deleted, has ended, and is not held."""
        pod = self.pods[name]
        if pod.deleting is not None and not pod.held and (pod.phase == Phase.ENDED or not pod.started):
            del self.pods[name]

    def vanish(self, name: str) -> None:
        """Somebody takes the pod's finalizer off and removes it by force."""
        del self.pods[name]
        recorded = self.invocation is None or name in self._recorded()
        if not recorded and name in self.unrecorded:
            self.excused.add(name)
        if name in self.slices and not self._stored_slice(name).done:
            self.forced.add(name)
            if name not in self.heard or not self.heard[name].complete:
                self.promised.pop(name, None)  # the operator died since, and had not read it again

    def _recorded(self) -> set[str]:
        """The slices of which the cluster says that they were started."""
        assert self.invocation is not None
        started = self.invocation["status"].get("startedSlices", 0)
        return {
            name
            for name, document in self.slices.items()
            if document["spec"]["index"] < started or document.get("status", {}).get("podName")
        }

    # ---- checks ------------------------------------------------------------------------------------------------

    def check_quiet(self) -> None:
        """An operator with nothing to do sleeps, and no longer than until there is something to do."""
        if self.view_invocation is None or self.done:
            return
        observed = self.observe()
        plan = reconcile(observed, self.now)
        if plan != Plan(again_at=plan.again_at):
            return
        assert plan.again_at is None or plan.again_at > self.now, "with nothing to do, the operator runs in circles"
        for seconds in QUIET_AFTER:
            moment = self.now + timedelta(seconds=seconds)
            later = reconcile(observed, moment)
            if later != Plan(again_at=later.again_at):
                asleep = plan.again_at is None or plan.again_at > moment
                assert not asleep, f"asleep until {plan.again_at}, but at {moment} there is this to do: {later}"
                return

    def check_settles(self) -> None:
        """When nothing happens, the operator soon asks for nothing."""
        for _ in range(6):
            plan = self.step()
            if plan is None or plan.done or plan == Plan(again_at=plan.again_at):
                return
            self.deliver()
        raise AssertionError(f"the operator does not come to rest: {plan}")

    def check_end(self) -> None:
        """Each host has ended in exactly one way, as it said if it said so, and the counts are those of the hosts."""
        stored = self._stored_invocation()
        if stored is None:
            assert not [name for name, pod in self.pods.items() if pod.held], "a pod is held for ever"
            return
        assert stored.finished
        assert stored.status.completion_time is not None
        counts = stored.status.hosts
        assert counts is not None
        assert counts.pending == counts.running == 0
        assert not [name for name, pod in self.pods.items() if pod.held], "a pod is held for ever"
        if stored.status.slices is None:
            return  # it never began
        results = [result for name in self.slices for result in self._stored_slice(name).status.hosts]
        states = Counter(result.state for result in results)
        assert all(result.state.ended for result in results)
        assert len({result.name for result in results}) == len(results)
        assert counts.succeeded <= counts.total
        if not self.orphaned:
            assert len(results) == counts.total, f"{len(results)} hosts have an end, {counts.total} were chosen"
            shown = (counts.succeeded, counts.failed, counts.cancelled)
            found_ = (states[HostState.SUCCEEDED], states[HostState.FAILED], states[HostState.CANCELLED])
            assert shown == found_, f"the counts are {shown}, but those of the hosts {found_}"
            assert {c.type for c in stored.status.conditions if c.status == "True"} >= {
                "Complete" if counts.succeeded == counts.total else "Failed"
            }
        for name in self.slices:
            found = {result.name: result for result in self._stored_slice(name).status.hosts}
            for entry, exit_ in self.promised.get(name, {}).items():
                kept = found[entry].state == exit_.state and found[entry].exit_code == exit_.exit_code
                stopped = exit_.state == HostState.CANCELLED and found[entry].state == HostState.FAILED
                assert kept or stopped, f"{entry} said {exit_}, but its status says {found[entry]}"
        for result in results:
            assert result.state == HostState.SUCCEEDED or result.reason, f"{result} gives no reason"

    def settle(self) -> None:
        """The environment behaves; the invocation ends within a bounded number of steps."""
        self.refusing = frozenset()
        for _ in range(40 + 25 * len(self.slices or self.hosts)):
            if self._ended():
                self.check_end()
                return
            self.now += timedelta(seconds=2)
            self.deliver()
            self.step()
            for name in list(self.pods):
                self.behave(name)
            self.deliver()
            for name in list(self.heard):
                self.collect(name)
        raise AssertionError(f"no end in sight: {self.invocation}, {self.slices}, {self.pods}")

    def _ended(self) -> bool:
        if self.invocation is None:
            for name in list(self.pods):
                self.behave(name)
            self._release_orphans()
            for name in list(self.pods):
                self.tidy(name)
            return not any(pod.phase != Phase.ENDED for pod in self.pods.values())
        stored = self._stored_invocation()
        return stored is not None and stored.finished and stored.metadata.deletion_timestamp is None

    def behave(self, name: str) -> None:
        """Nodes and hosts do what they should."""
        pod = self.pods[name]
        self.begin_pod(name)
        self.begin_host(name)
        self.end_host(name)
        self.end_pod(name)
        if pod.deleting is not None and pod.phase == Phase.WAITING:
            pod.phase = Phase.ENDED
        self.tidy(name)


def timeless(status: JobInvocationStatus) -> dict[str, Any]:
    """What the status says, without when."""
    conditions = [{**c.wire(), "lastTransitionTime": ""} for c in status.conditions]
    return {**status.wire(), "completionTime": "", "startTime": "", "conditions": conditions}


def merged(document: Any, patch: Any) -> Any:
    """The document after a JSON merge patch (RFC 7386), through JSON as the API server keeps it."""
    if not isinstance(patch, dict):
        return json.loads(json.dumps(patch))
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _names(count: int) -> Iterator[str]:
    return (f"web{number}" for number in range(count))


def fleet(count: int, **options: Any) -> Simulation:
    """A simulation with that many hosts."""
    return Simulation(_names(count), **options)
