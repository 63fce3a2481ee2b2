"""Whatever happens, in whatever order: DESIGN §3 holds, and every invocation comes to its end.

The rules are what people, nodes, watches and clocks do to an invocation, and the operator's own steps, each of which
can be cut short at any of its writes. One double fault is excused, and nothing weaker: a slice is started again when

1. the operator died after it had made the slice's pod, and before `status.startedSlices` or the slice's status told of
   it, and
2. before the operator came back, somebody had taken the pod's finalizer off and removed it.

No trace of the pod is left then. Likewise, what a pod said is lost only if its finalizer was taken off by force.
"""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rollcall.names import Reason
from rollcall.plan.pods import Phase, Trouble
from unit.core.objects import host
from unit.core.simulation import Simulation, Stop, fleet

OOM = Trouble(Reason.OOM_KILLED, "the runner used more memory than it may")
EVICTED = Trouble(Reason.EVICTED, "the runner pod was evicted: its node ran short")
UNSCHEDULABLE = Trouble(Reason.UNSCHEDULABLE, "no node takes the runner pod: no memory")
PICK = st.integers(0, 5)
SECONDS = st.sampled_from([0.1, 1, 1, 2, 3, 7, 31, 65])


class Invocations(RuleBasedStateMachine):
    """One invocation, and everything that may happen to it."""

    sim: Simulation

    @initialize(
        hosts=st.integers(1, 5),
        size=st.integers(1, 3),
        concurrency=st.none() | st.integers(1, 3),
        selector=st.booleans(),
        begun=st.booleans(),
    )
    def create(self, hosts: int, size: int, concurrency: int | None, selector: bool, begun: bool) -> None:
        self.sim = fleet(hosts, hosts_per_slice=size, concurrency=concurrency, selector=selector)
        if begun:
            self.sim.step()
            self.sim.step()

    def pod(self, pick: int) -> str | None:
        names = sorted(self.sim.pods)
        return names[pick % len(names)] if names else None

    # the operator

    @rule()
    def the_operator_looks(self) -> None:
        self.sim.step()

    @rule(write=st.integers(0, 8), stop=st.sampled_from(Stop))
    def the_operator_is_cut_short(self, write: int, stop: Stop) -> None:
        self.sim.step(write, stop)

    @rule()
    def the_operator_restarts(self) -> None:
        self.sim.forget()

    @rule()
    def nothing_happens(self) -> None:
        self.sim.deliver()
        self.sim.check_settles()

    @rule(pick=PICK, count=st.integers(0, 4), store=st.booleans())
    def output_is_read(self, pick: int, count: int, store: bool) -> None:
        if self.sim.heard:
            self.sim.collect(sorted(self.sim.heard)[pick % len(self.sim.heard)], count, store=store)

    @rule()
    def all_output_is_read(self) -> None:
        for name in list(self.sim.heard):
            self.sim.collect(name)

    # watches and clocks

    @rule(pick=PICK)
    def the_watch_tells_of_a_pod(self, pick: int) -> None:
        names = sorted({*self.sim.pods, *self.sim.view_pods})
        if names:
            self.sim.deliver_pod(names[pick % len(names)])

    @rule()
    def the_watches_tell_everything(self) -> None:
        self.sim.deliver()

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.sim.now += timedelta(seconds=seconds)

    @rule(seconds=st.sampled_from([0.3, 1, 3]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.sim.now -= timedelta(seconds=seconds)

    # nodes, runners and people

    @rule()
    def all_do_what_they_should(self) -> None:
        """Time passes, and the operator, the nodes, the hosts and the watches do their part."""
        self.sim.now += timedelta(seconds=1)
        self.sim.step()
        for name in list(self.sim.pods):
            self.sim.behave(name)
        for name in list(self.sim.heard):
            self.sim.collect(name)
        self.sim.deliver()

    @rule(what=st.sampled_from(["begins", "begins a host", "ends a host well", "ends a host badly", "ends"]), pick=PICK)
    def a_runner(self, what: str, pick: int) -> None:
        if (name := self.pod(pick)) is None:
            return
        match what:
            case "begins":
                self.sim.begin_pod(name)
                self.sim.begin_host(name)
            case "begins a host":
                self.sim.begin_host(name)
            case "ends a host well" | "ends a host badly":
                self.sim.end_host(name, well=what == "ends a host well")
            case _:
                self.sim.end_pod(name)
                self.sim.tidy(name)

    @rule(
        what=st.sampled_from(["is out of memory", "is evicted", "finds no node", "is deleted", "is removed by force"]),
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
            case "is deleted":
                self.sim.delete_pod(name)
            case "is removed by force":
                self.sim.vanish(name)

    @rule(
        what=st.sampled_from(
            ["a slice", "a host", "the template", "the secret", "the key in the secret", "the invocation"]
        ),
        pick=PICK,
    )
    def somebody_deletes(self, what: str, pick: int) -> None:
        match what:
            case "a slice" if self.sim.slices and self.running():
                self.sim.delete_slice(sorted(self.sim.slices)[pick % len(self.sim.slices)])
            case "a host":
                self.sim.hosts = {name: known for name, known in self.sim.hosts.items() if name != f"web{pick}"}
            case "the template":
                self.sim.has_template = False
            case "the secret":
                self.sim.secret = None
            case "the key in the secret":
                self.sim.secret = {"passphrase": b"x"}
            case "the invocation" if pick == 0 and self.sim.invocation is not None:
                self.sim.delete_invocation()

    @rule(number=st.integers(0, 6), port=st.integers(22, 23))
    def what_is_missing_comes_and_a_host_changes(self, number: int, port: int) -> None:
        self.sim.has_template, self.sim.secret = True, {"ssh-privatekey": b"key"}
        self.sim.hosts = {**self.sim.hosts, f"web{number}": host(f"web{number}", port=port)}

    @precondition(lambda self: self.sim.invocation is not None)
    @rule(value=st.none() | st.integers(1, 4))
    def somebody_edits_the_concurrency(self, value: int | None) -> None:
        self.sim.edit_concurrency(value)

    @rule(indexes=st.frozensets(st.integers(0, 4)))
    def a_quota_refuses_pods(self, indexes: frozenset[int]) -> None:
        self.sim.refusing = indexes

    def running(self) -> bool:
        """Whether the hosts have been dealt, and not all have ended."""
        status = {} if self.sim.invocation is None else self.sim.invocation["status"]
        return status.get("slices") is not None and "completionTime" not in status

    @invariant()
    def the_operator_sleeps_until_there_is_something_to_do(self) -> None:
        if hasattr(self, "sim"):
            self.sim.check_quiet()

    def teardown(self) -> None:
        if hasattr(self, "sim"):
            self.sim.settle()


TestInvocations = Invocations.TestCase
TestInvocations.settings = settings(max_examples=40, stateful_step_count=30)
