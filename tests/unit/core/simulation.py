"""The simulated world: a cluster with runner pods, an operator, an old one beside it, and people who change things.

The promises of DESIGN §3 are checked at every write, and by `check_...` at any time. See `simulated_cluster` for what
is true, `simulated_operator` for what an operator makes of it, `simulated_promises` for what is promised.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rollcall.outputs import Exit
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed, Plan
from rollcall.plan.pods import Phase, Pod
from rollcall.plan.units import units
from rollcall.resources.jobslice import JobSlice
from unit.core.objects import asks_for_nothing
from unit.core.simulated_cluster import UNREACHABLE, WELL, Cluster
from unit.core.simulated_operator import Operator, Stop
from unit.core.simulated_output import Heard
from unit.core.simulated_promises import Promises

__all__ = ["Simulation", "Stop", "fleet"]

QUIET_AFTER = (0, 1, 2, 3, 5, 11, 31, 61, 95, 130, 1_000)
"""Seconds after which a plan may want something although nothing happened; `again_at` must know of it."""


class Simulation(Cluster):
    """The world. Where no invocation is named, the one called `job` is meant."""

    def __init__(
        self,
        names: Iterator[str],
        *,
        hosts_per_slice: int = 1,
        pods_per_slice: int = 20,
        concurrency: int | None = None,
        selector: bool = False,
        resolve: str = "AtCreation",
        invocations: Sequence[str] = ("job",),
        exclusive: frozenset[str] = frozenset(),
        rollout: dict[str, Any] | None = None,
        template: dict[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        super().__init__(names, exclusive, **template or {})
        self.pods_per_slice = pods_per_slice
        pace = {"hostsPerSlice": hosts_per_slice} | ({} if concurrency is None else {"concurrency": concurrency})
        for name in invocations:
            chosen: dict[str, Any] = {"selector": {}} if selector else {"hosts": list(self.hosts)}
            targeting = chosen | {"resolve": resolve}
            whole = {"templateRef": {"name": "run"}, "targeting": targeting, "rollout": pace | (rollout or {})} | spec
            self.add_invocation(name, whole)
        self.promises = Promises(self)
        self.operator = Operator(self, self.promises)
        self.old: Operator | None = None
        """An operator that has been replaced, and does not know it."""
        self.unreachable: Counter[str] = Counter()
        """How often each host is still not to be reached."""

    # ---- shorthands --------------------------------------------------------------------------------------------

    @property
    def invocation(self) -> dict[str, Any] | None:
        return self.invocations.get("job")

    @property
    def made(self) -> Counter[str]:
        return self.promises.made

    @property
    def ran(self) -> set[str]:
        """The hosts that a runner began with."""
        return {host for _, host in self.promises.began}

    @property
    def heard(self) -> dict[str, Heard]:
        return self.operator.heard

    @property
    def writes(self) -> int:
        return self.operator.writes

    @property
    def done(self) -> bool:
        return self.operator.done >= self.operator.view_invocations.keys()

    @property
    def view_slices(self) -> dict[str, JobSlice]:
        return self.operator.view_slices

    @property
    def view_pods(self) -> dict[str, Pod]:
        return self.operator.view_pods

    def observe(self, name: str = "job") -> Observed:
        return self.operator.observe(name)

    def step(self, stop_at: int | None = None, stop: Stop = Stop.DEATH_BEFORE, name: str = "job") -> Plan | None:
        return self.operator.step(name, stop_at, stop)

    def collect(self, name: str) -> None:
        self.operator.collect(name)

    def deliver(self) -> None:
        self.operator.see_all()

    def forget(self) -> None:
        """The operator starts anew."""
        self.operator.forget()

    def take_over(self) -> None:
        """Another operator takes over; the old one goes on for a while with what it knows."""
        self.old, self.operator = self.operator, Operator(self, self.promises)
        self.old.old = True

    def set_back(self, seconds: float) -> None:
        """The clock is set back. Nothing wakes the operator for that: it sees it when it looks for another reason."""
        self.now -= timedelta(seconds=seconds)
        self.operator.asleep.clear()

    # ---- people ------------------------------------------------------------------------------------------------

    def edit(self, name: str = "job", **spec: Any) -> None:
        self.put_invocation(name, {"spec": spec})

    def edit_concurrency(self, value: int | None) -> None:
        self.edit(rollout={"concurrency": value})

    def cancel(self, name: str = "job", hosts: Sequence[str] | None = None, *, force: bool = False) -> None:
        """Somebody cancels; a cancellation can only grow."""
        before = self.invocations[name]["spec"].get("cancellation")
        known = None if before is None else before.get("hosts")
        chosen = None if hosts is None or (before is not None and known is None) else sorted({*hosts, *(known or ())})
        forced = force or (before is not None and before["policy"] == "Force")
        self.edit(name, cancellation={"policy": "Force" if forced else "Graceful", "hosts": chosen})

    def delete_invocation(self, name: str = "job") -> None:
        stored = self.stored_invocation(name)
        assert stored is not None
        if stored.finished:
            self.disappear(name)  # only an unfinished one is held by the operator
        elif stored.metadata.deletion_timestamp is None:
            moment = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            self.put_invocation(name, {"metadata": {"deletionTimestamp": moment}})

    def wipe_status(self) -> None:
        """Somebody edits the status away."""
        self.put_invocation("job", {"status": None})
        self.promises.told.clear()

    def delete_slice(self, name: str) -> None:
        """Somebody deletes a slice object; what it owns goes with it."""
        gone = self.slice_object(name)
        assert gone is not None
        del self.slices[name]
        for part in (entry.metadata.name for entry in units(gone)):
            self.work_secrets.pop(part, None)
            self.promises.slice_is_deleted(part)
            self.delete_pod(part)

    def vanish(self, name: str) -> None:
        """Somebody takes the pod's finalizer off and removes it by force."""
        del self.pods[name]
        self.promises.pod_is_removed(name, heard=name in self.heard and self.heard[name].complete)

    def begin_host(self, name: str) -> None:
        if host := self.pods[name].begin_host(self.now):
            self.promises.host_begins(self.pods[name], host)

    # ---- checks ------------------------------------------------------------------------------------------------

    def check_quiet(self) -> None:
        """An operator with nothing to do sleeps, and no longer than until there is something to do."""
        for name in self.operator.view_invocations.keys() - self.operator.done:
            observed = self.observe(name)
            plan = reconcile(observed, self.now)
            if not asks_for_nothing(plan):
                self._check_awake(name, plan)
                continue
            assert plan.again_at is None or plan.again_at > self.now, "with nothing to do, the operator runs in circles"
            self._check_wakes(observed, plan)

    def _check_awake(self, name: str, plan: Plan) -> None:
        """What there is to do is not slept through: something has nudged the operator, or its time has come.

        No answer tells of a pod's deletion, so that is asked for again until a watch does.
        """
        if name in self.operator.asleep and not asks_for_nothing(replace(plan, delete_pods=(), hasten_pods=())):
            until = self.operator.asleep[name]
            assert until is not None, f"asleep for ever, but there is this to do: {plan}"
            assert until <= self.now, f"asleep until {until}, but there is this to do: {plan}"

    def _check_wakes(self, observed: Observed, plan: Plan) -> None:
        for seconds in QUIET_AFTER:
            moment = self.now + timedelta(seconds=seconds)
            later = reconcile(observed, moment)
            if not asks_for_nothing(later) or later.waited != plan.waited:
                asleep = plan.again_at is None or plan.again_at > moment
                assert not asleep, f"asleep until {plan.again_at}, but at {moment} there is this to do: {later}"
                return

    def check_settles(self, name: str = "job") -> None:
        """When nothing happens, the operator soon asks for nothing."""
        for _ in range(8):
            plan = self.step(name=name)
            if plan is None or plan.done or asks_for_nothing(plan):
                return
            self.deliver()
        raise AssertionError(f"the operator does not come to rest: {plan}")

    def check_end(self) -> None:
        for name in self.operator.view_invocations:
            self.promises.check_end(name)

    def settle(self) -> None:
        """The environment behaves; every invocation ends within a bounded number of steps."""
        self.refusing, self.old = frozenset(), None
        for name in self.invocations:
            self.edit(name, suspend=None, rollout={"approvedBatches": 100})
        for _ in range(80 + 40 * max(len(self.slices), len(self.hosts)) * len(self.invocations)):
            if self._ended():
                for name in [*self.invocations]:
                    self.promises.check_end(name)
                return
            self.live(seconds=3)
        raise AssertionError(f"no end in sight: {self.invocations}, {self.slices}, {self.pods}")

    def live(self, seconds: float = 1) -> None:
        """Time passes, and the operator, the nodes, the hosts and the watches do their part."""
        self.now += timedelta(seconds=seconds)
        self.deliver()
        for name in list(self.invocations):
            self.operator.step(name)
        self.operator.release_orphans()
        for name in list(self.pods):
            self.behave(name)
        self.deliver()
        for name in list(self.heard):
            self.collect(name)

    def _ended(self) -> bool:
        stored = [self.stored_invocation(name) for name in self.invocations]
        ended = all(found and found.finished and found.metadata.deletion_timestamp is None for found in stored)
        return ended and not [name for name, pod in self.pods.items() if pod.held or pod.deleting is None]

    def behave(self, name: str) -> None:
        """Nodes and hosts do what they should."""
        pod = self.pods[name]
        self.begin_pod(name)
        self.begin_host(name)
        if pod.order:
            pod.obey(self.now)
        self.end_host(name, self.fate(pod.at_work))
        self.end_pod(name)
        if pod.deleting is not None and pod.phase == Phase.WAITING:
            pod.phase = Phase.ENDED
        self.tidy(name)

    def fate(self, at_work: dict[str, datetime]) -> Exit:
        """How the host ends that has been at work for longest."""
        for name in at_work:
            if self.unreachable[name] > 0:
                self.unreachable[name] -= 1
                return UNREACHABLE
            break
        return WELL


def fleet(count: int, **options: Any) -> Simulation:
    """A simulation with that many hosts."""
    return Simulation((f"web{number}" for number in range(count)), **options)
