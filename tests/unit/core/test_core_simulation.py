"""Whatever happens, in whatever order: DESIGN §3 holds, and every invocation comes to its end.

The rules are what people, nodes, watches and clocks do to invocations, and the operator's own steps, each of which can
be cut short at any of its writes. One double fault is excused, and nothing weaker: a slice is started again when

1. the operator died after it had made the slice's pod, and before `status.startedSlices` or the slice's status told of
   it, and
2. before the operator came back, somebody had taken the pod's finalizer off and removed it.

No trace of the pod is left then. Likewise, what a pod said is lost only if its finalizer was taken off by force.

An operator that was replaced and does not know it goes on for a while with what it knew. What it writes into statuses
fails, as somebody else has written there; when it is told so, and has seen the invocation, but not its slices, it may
write counts that were right before. Pods are made on no condition, so it may make one that is not wanted any
more: of a slice that was cancelled meanwhile, or beside more others than may be at work at once. The one who replaced
it stops such a pod when it sees it. Only the Lease keeps that from happening; locks on hosts are not shared at all.
"""

import os
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rollcall.names import Reason
from rollcall.plan.pods import Phase, Trouble
from unit.core.objects import host
from unit.core.simulated_cluster import BADLY, UNREACHABLE, WELL
from unit.core.simulation import Simulation, Stop, fleet

OOM = Trouble(Reason.OOM_KILLED, "the runner used more memory than it may")
EVICTED = Trouble(Reason.EVICTED, "the runner pod was evicted: its node ran short")
UNSCHEDULABLE = Trouble(Reason.UNSCHEDULABLE, "no node takes the runner pod: no memory")
PICK = st.integers(0, 5)
AWAY = st.lists(st.integers(0, 4), max_size=6)
"""The hosts that cannot be reached, as often as they are in it."""
SECONDS = st.sampled_from([0.1, 1, 1, 2, 3, 7, 31, 65])
ENDS = {"well": WELL, "badly": BADLY, "unreachable": UNREACHABLE}

MOMENTS = {3: "2026-03-01T12:00:03Z", 20: "2026-03-01T12:00:20Z", 90: "2026-03-01T12:01:30Z"}
SHAPES = st.fixed_dictionaries(
    {
        "count": st.integers(1, 5),
        "hosts_per_slice": st.integers(1, 3),
        "pods_per_slice": st.sampled_from([20, 1, 2, 3]),
        "concurrency": st.none() | st.integers(1, 3),
        "selector": st.booleans(),
        "resolve": st.sampled_from(["AtCreation", "AtStart"]),
    }
)


def some(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these fields."""
    return st.fixed_dictionaries({}, optional=parts)


RETRIES = st.fixed_dictionaries(
    {
        "backoffLimit": st.integers(1, 3),
        "backoffSeconds": st.sampled_from([0, 3, 30]),
        "retryOn": st.sampled_from([["Unreachable"], ["ExitCode", "PodDeleted"], ["Evicted", "Unreachable"]]),
        "retryOnExitCodes": st.sampled_from([[], [1], [2]]),
    }
)
WINDOWS = some(
    startAt=st.sampled_from([MOMENTS[3], MOMENTS[20]]),
    startBefore=st.sampled_from([MOMENTS[20], MOMENTS[90]]),
    activeDeadlineSeconds=st.sampled_from([2, 10, 60]),
    suspend=st.booleans(),
).filter(lambda spec: "startAt" not in spec or spec["startAt"] != spec.get("startBefore"))
BATCHES = st.fixed_dictionaries(
    {"batches": st.sampled_from([[1], [1, 2], ["50%"], [1, "100%"]])},
    optional={"pauseFor": st.sampled_from(["Time", "Approval"]), "pauseSeconds": st.sampled_from([1, 5])},
)
LIMITS = some(maxFailed=st.sampled_from([0, 1, "20%", "50%"]), timeSpanSeconds=st.sampled_from([4, 30]))
NONE: st.SearchStrategy[dict[str, Any]] = st.just({})


class Invocations(RuleBasedStateMachine):
    """Invocations, and everything that may happen to them."""

    sim: Simulation
    names: tuple[str, ...] = ("job",)
    shapes = SHAPES
    specs = NONE | RETRIES | WINDOWS
    rollouts = NONE | BATCHES | LIMITS

    @initialize(data=st.data(), begun=st.booleans(), exclusive=st.booleans(), forbid=st.booleans(), away=AWAY)
    def create(self, data: st.DataObject, begun: bool, exclusive: bool, forbid: bool, away: list[int]) -> None:
        self.sim = fleet(
            **data.draw(self.shapes),
            rollout=data.draw(self.rollouts),
            invocations=self.names,
            exclusive=frozenset(f"web{number}" for number in range(0, 5, 2)) if exclusive else frozenset(),
            template={"concurrencyPolicy": "Forbid"} if forbid else {},
            **data.draw(self.specs),
        )
        for number in away:
            self.sim.unreachable[f"web{number}"] += 1
        for name in self.names * 2 if begun else ():
            self.sim.step(name=name)

    def pod(self, pick: int) -> str | None:
        names = sorted(self.sim.pods)
        return names[pick % len(names)] if names else None

    def some(self, pick: int) -> str:
        return self.names[pick % len(self.names)]

    def living(self, pick: int) -> str | None:
        """An invocation that exists."""
        names = sorted(self.sim.invocations)
        return names[pick % len(names)] if names else None

    # the operator

    @rule(pick=PICK)
    def the_operator_looks(self, pick: int) -> None:
        self.sim.step(name=self.some(pick))

    @rule(pick=PICK, write=st.integers(0, 8), stop=st.sampled_from(Stop))
    def the_operator_is_cut_short(self, pick: int, write: int, stop: Stop) -> None:
        self.sim.step(write, stop, self.some(pick))

    @rule()
    def the_operator_restarts(self) -> None:
        self.sim.forget()

    @rule()
    def another_operator_takes_over(self) -> None:
        self.sim.take_over()

    @precondition(lambda self: self.sim.old is not None)
    @rule(pick=PICK, write=st.none() | st.integers(0, 5))
    def the_old_operator_goes_on(self, pick: int, write: int | None) -> None:
        if self.sim.old is not None:
            for name in list(self.sim.old.heard):
                self.sim.old.collect(name)
            self.sim.old.step(self.some(pick), write)

    @rule(pick=PICK)
    def nothing_happens(self, pick: int) -> None:
        self.sim.deliver()
        self.sim.check_settles(self.some(pick))

    @rule(pick=PICK, count=st.integers(0, 4), store=st.booleans())
    def output_is_read(self, pick: int, count: int, store: bool) -> None:
        if self.sim.heard:
            self.sim.operator.collect(sorted(self.sim.heard)[pick % len(self.sim.heard)], count, store=store)

    @rule()
    def all_output_is_read(self) -> None:
        for name in list(self.sim.heard):
            self.sim.collect(name)

    # watches and clocks

    @rule(pick=PICK)
    def the_watch_tells_of_a_pod(self, pick: int) -> None:
        names = sorted({*self.sim.pods, *self.sim.view_pods})
        if names:
            self.sim.operator.see_pod(names[pick % len(names)])

    @rule(pick=PICK)
    def the_watch_tells_of_a_slice(self, pick: int) -> None:
        names = sorted({*self.sim.slices, *self.sim.view_slices})
        if names:
            self.sim.operator.see_slice(names[pick % len(names)])

    @rule(pick=PICK)
    def the_watch_tells_of_an_invocation(self, pick: int) -> None:
        self.sim.operator.see_invocation(self.some(pick))

    @rule()
    def the_watches_tell_everything(self) -> None:
        self.sim.deliver()

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.sim.now += timedelta(seconds=seconds)

    @rule(seconds=st.sampled_from([0.3, 1, 3, 40]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.sim.set_back(seconds)

    # nodes, runners and people

    @rule(seconds=st.sampled_from([1, 1, 5]))
    def all_do_what_they_should(self, seconds: int) -> None:
        self.sim.live(seconds)

    @rule(rounds=st.integers(2, 5))
    def all_do_what_they_should_for_a_while(self, rounds: int) -> None:
        for _ in range(rounds):
            self.sim.live(2)

    @rule()
    def all_runners_work(self) -> None:
        for name in self.sim.pods:
            self.sim.begin_pod(name)
            self.sim.begin_host(name)
        self.sim.deliver()

    @rule(what=st.sampled_from(["begins", "begins a host", "obeys", "cannot prove", "ends", *ENDS]), pick=PICK)
    def a_runner(self, what: str, pick: int) -> None:
        if (name := self.pod(pick)) is None:
            return
        match what:
            case "begins":
                self.sim.begin_pod(name)
                self.sim.begin_host(name)
            case "begins a host":
                self.sim.begin_host(name)
            case "obeys" | "cannot prove":
                self.sim.pods[name].obey(self.sim.now, proven=what == "obeys")
            case "ends":
                self.sim.end_pod(name)
                self.sim.tidy(name)
            case _:
                self.sim.end_host(name, ENDS[what])

    @rule(
        what=st.sampled_from(
            [
                *("is out of memory", "is evicted", "finds no node", "has an image without a shell"),
                *("is deleted", "is removed by force", "is killed"),
            ]
        ),
        pick=PICK,
    )
    def a_pod(self, what: str, pick: int) -> None:
        if (name := self.pod(pick)) is None:
            return
        match what:
            case "is out of memory" | "is evicted":
                self.sim.end_pod(name, OOM if what == "is out of memory" else EVICTED)
            case "finds no node" if self.sim.pods[name].phase == Phase.WAITING:
                self.sim.pods[name].trouble = UNSCHEDULABLE
            case "has an image without a shell":
                self.sim.spoil_pod(name)
            case "is deleted":
                self.sim.delete_pod(name)
            case "is removed by force":
                self.sim.vanish(name)
            case "is killed" if self.sim.pods[name].deleting is not None:
                self.sim.end_pod(name, killed=True)

    @rule(host=PICK, times=st.integers(1, 3))
    def a_host_cannot_be_reached(self, host: int, times: int) -> None:
        self.sim.unreachable[f"web{host}"] = times

    @rule(
        what=st.sampled_from(
            ["a slice", "a host", "the template", "the secret", "the key in the secret", "the invocation"]
        ),
        pick=PICK,
    )
    def somebody_deletes(self, what: str, pick: int) -> None:
        match what:
            case "a slice" if names := sorted(name for name in self.sim.slices if self.running(name)):
                self.sim.delete_slice(names[pick % len(names)])
            case "a host":
                self.sim.hosts = {name: known for name, known in self.sim.hosts.items() if name != f"web{pick}"}
            case "the template":
                self.sim.has_template = False
            case "the secret":
                self.sim.secret = None
            case "the key in the secret":
                self.sim.secret = {"passphrase": b"x"}
            case "the invocation" if pick == 0 and (name := self.living(pick)) is not None:
                self.sim.delete_invocation(name)
        self.sim.operator.asleep.clear()  # nothing wakes it for these: they are seen when it looks for another reason

    @rule(number=st.integers(0, 6), port=st.integers(22, 23))
    def what_is_missing_comes_and_a_host_changes(self, number: int, port: int) -> None:
        self.sim.has_template, self.sim.secret = True, {"ssh-privatekey": b"key"}
        name = f"web{number}"
        known = self.sim.hosts.get(name) or host(name)
        changed = known.model_copy(update={"spec": known.spec.model_copy(update={"port": port})})
        self.sim.hosts = {**self.sim.hosts, name: changed}
        self.sim.operator.asleep.clear()

    @rule(pick=PICK, value=st.none() | st.integers(1, 4))
    def somebody_edits_the_concurrency(self, pick: int, value: int | None) -> None:
        if name := self.living(pick):
            self.sim.edit(name, rollout={"concurrency": value})

    @rule(pick=PICK, suspend=st.booleans())
    def somebody_suspends_or_resumes(self, pick: int, suspend: bool) -> None:
        if name := self.living(pick):
            self.sim.edit(name, suspend=suspend)

    @rule(pick=PICK, batches=st.integers(1, 4))
    def somebody_approves(self, pick: int, batches: int) -> None:
        if name := self.living(pick):
            self.sim.edit(name, rollout={"approvedBatches": batches})

    @rule(pick=PICK, hosts=st.none() | st.frozensets(PICK, min_size=1), force=st.booleans())
    def somebody_cancels(self, pick: int, hosts: frozenset[int] | None, force: bool) -> None:
        if name := self.living(pick):
            chosen = None if hosts is None else [f"web{number}" for number in hosts]
            self.sim.cancel(name, chosen, force=force)

    @rule(indexes=st.frozensets(st.integers(0, 4)))
    def a_quota_refuses_pods(self, indexes: frozenset[int]) -> None:
        self.sim.refusing = indexes

    def running(self, slice_name: str) -> bool:
        """Whether the hosts of the slice's invocation have been dealt, and not all have ended."""
        found = self.sim.stored_slice(slice_name)
        parent = None if found is None else self.sim.stored_invocation(found.spec.invocation_ref.name)
        return parent is not None and parent.status.slices is not None and not parent.finished

    @invariant()
    def the_operator_sleeps_until_there_is_something_to_do(self) -> None:
        if hasattr(self, "sim"):
            self.sim.check_quiet()

    def teardown(self) -> None:
        if hasattr(self, "sim"):
            self.sim.settle()


class PlainInvocations(Invocations):
    """One that asks for nothing special."""

    specs = NONE
    rollouts = NONE


class RetriedInvocations(Invocations):
    """One whose hosts are tried again."""

    specs = RETRIES
    rollouts = NONE | LIMITS | BATCHES


class BatchedInvocations(Invocations):
    """One that spreads in batches."""

    specs = NONE | WINDOWS | RETRIES
    rollouts = BATCHES


class TimedInvocations(Invocations):
    """One that begins and ends at set times."""

    specs = WINDOWS
    rollouts = NONE | LIMITS


class SharingInvocations(Invocations):
    """One whose hosts have a pod each, and share the objects of their slices."""

    shapes = st.fixed_dictionaries(
        {
            "count": st.integers(3, 6),
            "hosts_per_slice": st.just(1),
            "pods_per_slice": st.integers(2, 4),
            "concurrency": st.none() | st.integers(2, 4),
        }
    )
    specs = NONE | RETRIES
    rollouts = NONE | BATCHES | LIMITS


class RivalInvocations(Invocations):
    """Some that want the same hosts."""

    names = ("job", "other", "third")


SCALE = int(os.environ.get("SIMULATION_SCALE", "1"))
"""How many times as many examples as usual; from 2 on, they are other ones each time."""
STEPS = int(os.environ.get("SIMULATION_STEPS", "30"))
"""How much may happen in an example."""
FEW = settings(max_examples=8 * SCALE, stateful_step_count=STEPS, derandomize=SCALE == 1)

TestPlainInvocations = PlainInvocations.TestCase
TestPlainInvocations.settings = FEW
TestRetriedInvocations = RetriedInvocations.TestCase
TestRetriedInvocations.settings = FEW
TestBatchedInvocations = BatchedInvocations.TestCase
TestBatchedInvocations.settings = FEW
TestTimedInvocations = TimedInvocations.TestCase
TestTimedInvocations.settings = FEW
TestSharingInvocations = SharingInvocations.TestCase
TestSharingInvocations.settings = FEW
TestRivalInvocations = RivalInvocations.TestCase
TestRivalInvocations.settings = FEW
