"""What Prometheus is told of the store: gauges of what is there, and counters of what became of it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rollcall.names import FINALIZER_COLLECT
from rollcall_operator import metrics
from rollcall_operator.cluster import RefusedError
from rollcall_operator.store import Store
from rollcall_operator.tally import Tally

Document = dict[str, Any]
CREATED = "2026-03-01T12:00:00Z"
EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


@dataclass
class World:
    """A store, its tally, and a time that stands still until it is set."""

    now: float = EPOCH
    store: Store = field(default_factory=Store)
    version: int = 0

    def __post_init__(self) -> None:
        self.tally = Tally(self.store, lambda: self.now)

    def put(self, plural: str, name: str, spec: Document, status: Document, **metadata: Any) -> None:
        self.version += 1
        labels = {"rollcall.dev/invocation": "job", "rollcall.dev/slice": name}
        known = {"name": name, "namespace": "fleet", "uid": f"uid-{name}", "creationTimestamp": CREATED}
        self.store.put(plural, {
            "metadata": known | {"resourceVersion": str(self.version), "labels": labels} | metadata,
            "spec": spec,
            "status": status,
        })  # fmt: skip

    def invocation(self, name: str = "job", spec: Document | None = None, uid: str = "", **status: Any) -> None:
        uid = uid or f"uid-{name}"
        target = {"templateRef": {"name": "run"}, "targeting": {"hosts": ["a"]}}
        self.put("jobinvocations", name, target | (spec or {}), status, uid=uid)

    def slice_(self, name: str, *hosts: Document, state: str = "Running") -> None:
        spec = {"invocationRef": {"name": "job"}, "index": 0, "hosts": [host["name"] for host in hosts]}
        self.put("jobslices", name, spec, {"state": state, "hosts": list(hosts)})

    def pod(self, name: str, state: str, *, held: bool = True) -> None:
        status: Document = {"containerStatuses": [{"state": {state: {"reason": "x"}}}]}
        if state == "terminated":
            status["phase"] = "Succeeded"
        self.put("pods", name, {}, status, finalizers=[FINALIZER_COLLECT] if held else [])

    def drop(self, plural: str, name: str) -> None:
        self.version += 1
        metadata = {"name": name, "namespace": "fleet", "resourceVersion": str(self.version)}
        self.store.drop(plural, {"metadata": metadata})

    def value(self, name: str, **labels: str) -> float | None:
        registry = CollectorRegistry()
        registry.register(self.tally)
        return registry.get_sample_value(name, labels)


@pytest.fixture
def world() -> World:
    return World()


class Counted:
    """What counters of the process have counted since this was made."""

    def __init__(self) -> None:
        self._before = self._samples()

    @staticmethod
    def _samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in metrics.REGISTRY.collect()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return self._samples().get(key, 0) - self._before.get(key, 0)


@pytest.fixture
def counted() -> Counted:
    return Counted()


def ended(type_: str, reason: str, state: str | None = None, **status: Any) -> Document:
    condition = {"type": type_, "status": "True", "reason": reason, "lastTransitionTime": CREATED}
    return {"state": state or type_, "conditions": [condition], **status}


def host(name: str, state: str, reason: str | None = None, said: int = 0, cut: int = 0, **more: Any) -> Document:
    return {"name": name, "state": state, "reason": reason, "output": {"bytes": said, "cutBytes": cut}, **more}


def test_invocations_and_the_hosts_of_unfinished_ones_are_counted_by_state(world: World) -> None:
    world.invocation("new")
    world.invocation("busy", state="Running", hosts={"total": 9, "pending": 3, "running": 4, "succeeded": 2})
    world.invocation("over", **ended("Failed", "HostsFailed", hosts={"total": 5, "failed": 3, "pending": 2}))
    assert world.value("rollcall_invocations", state="Pending") == 1
    assert world.value("rollcall_invocations", state="Running") == 1
    assert world.value("rollcall_invocations", state="Failed") == 1
    assert world.value("rollcall_invocations", state="Cancelled") == 0, "a series is there before the first of its kind"
    assert world.value("rollcall_hosts", state="Pending") == 3
    assert world.value("rollcall_hosts", state="Running") == 4
    world.drop("jobinvocations", "busy")
    assert world.value("rollcall_hosts", state="Running") == 0
    assert world.value("rollcall_objects", resource="jobinvocations") == 2


def test_what_is_waited_for_is_counted_until_it_is_over(world: World) -> None:
    waiting = {"type": "Waiting", "status": "True", "reason": "HostsBusy", "lastTransitionTime": CREATED}
    world.invocation(conditions=[waiting])
    assert world.value("rollcall_invocations_waiting", reason="HostsBusy") == 1
    world.invocation(conditions=[waiting | {"status": "False", "reason": "Proceeding"}])
    assert world.value("rollcall_invocations_waiting", reason="HostsBusy") == 0


def test_pods_are_counted_by_phase_and_those_that_are_held(world: World) -> None:
    world.pod("a", "waiting")
    world.pod("b", "running")
    world.pod("c", "terminated")
    world.pod("c", "terminated", held=False)
    assert [world.value("rollcall_pods", phase=phase) for phase in ("Waiting", "Working", "Ended")] == [1, 1, 1]
    assert world.value("rollcall_pods_held") == 2


@pytest.mark.parametrize(
    ("type_", "reason"), [("Complete", "AllHostsSucceeded"), ("Failed", "HostsFailed"), ("Cancelled", "Cancelled")]
)
def test_an_end_is_counted_once_however_often_it_is_heard_of(
    world: World, counted: Counted, type_: str, reason: str
) -> None:
    world.invocation()
    world.invocation(startTime="2026-03-01T12:00:07Z")
    end = ended(type_, reason, startTime="2026-03-01T12:00:07Z", completionTime="2026-03-01T12:01:10Z")
    world.invocation(**end)
    world.version -= 1
    world.invocation(**end)  # the watch tells what the answer to the write has told
    world.invocation(**end)  # and of a new label, for example
    assert counted("rollcall_invocations_finished_total", outcome=type_, reason=reason) == 1
    assert counted("rollcall_invocation_queue_seconds_sum") == 7
    assert counted("rollcall_invocation_duration_seconds_sum", outcome=type_) == 63
    assert counted("rollcall_invocation_duration_seconds_count", outcome=type_) == 1


def test_what_had_ended_before_this_operator_began_is_not_counted(world: World, counted: Counted) -> None:
    world.invocation(**ended("Complete", "AllHostsSucceeded"))
    world.slice_("job-0", host("a", "Succeeded", said=100), state="Done")
    assert counted("rollcall_invocations_finished_total", outcome="Complete", reason="AllHostsSucceeded") == 0
    assert counted("rollcall_hosts_finished_total", state="Succeeded", reason="") == 0
    assert counted("rollcall_output_bytes_total") == 0
    assert world.value("rollcall_invocations", state="Complete") == 1


def test_an_invocation_of_the_same_name_is_another_one(world: World, counted: Counted) -> None:
    world.invocation(uid="first")
    world.invocation(uid="second", **ended("Failed", "InvalidInput"))
    assert counted("rollcall_invocations_finished_total", outcome="Failed", reason="InvalidInput") == 0
    assert world.value("rollcall_invocations", state="Failed") == 1
    assert world.value("rollcall_objects", resource="jobinvocations") == 1


def test_time_in_the_queue_begins_when_the_invocation_is_due(world: World, counted: Counted) -> None:
    later = {"startAt": "2026-03-01T13:00:00Z"}
    world.invocation(spec=later)
    world.invocation(spec=later, startTime="2026-03-01T13:00:02Z")
    assert counted("rollcall_invocation_queue_seconds_sum") == 2


def test_hosts_are_counted_when_their_slice_is_done_and_those_to_be_tried_again_apart(
    world: World, counted: Counted
) -> None:
    first = [host("a", "Running"), host("b", "Failed", "Unreachable"), host("c", "Failed", "ExitCode")]
    world.slice_("job-0", *first)
    world.slice_("job-0", host("a", "Succeeded"), first[1] | {"retry": True}, first[2], state="Done")
    world.slice_("job-0", host("a", "Succeeded"), first[1] | {"retry": True}, first[2], state="Done")
    assert counted("rollcall_hosts_finished_total", state="Succeeded", reason="") == 1
    assert counted("rollcall_hosts_finished_total", state="Failed", reason="ExitCode") == 1
    assert counted("rollcall_hosts_finished_total", state="Failed", reason="Unreachable") == 0
    assert counted("rollcall_hosts_retried_total", reason="Unreachable") == 1


def test_a_reason_that_is_none_of_ours_makes_no_series(world: World, counted: Counted) -> None:
    world.slice_("job-0", host("a", "Running"))
    world.slice_("job-0", host("a", "Failed", "by hand 4711"), state="Done")
    assert counted("rollcall_hosts_finished_total", state="Failed", reason="Other") == 1


def test_output_is_counted_as_it_grows_also_by_the_next_operator(world: World, counted: Counted) -> None:
    world.slice_("job-0", host("a", "Running", said=1_000, cut=10))  # what is known when this operator begins
    world.slice_("job-0", host("a", "Running", said=1_500, cut=10))
    world.slice_("job-0", host("a", "Succeeded", said=1_600, cut=30), state="Done")
    assert counted("rollcall_output_bytes_total") == 600
    assert counted("rollcall_output_cut_bytes_total") == 20


def test_the_start_of_a_pod_is_timed_from_when_its_creation_was_heard_of(world: World, counted: Counted) -> None:
    world.now = EPOCH + 0.75  # creationTimestamp says 0
    world.pod("job-0", "waiting")
    world.now += 2.5
    world.pod("job-0", "running")
    world.pod("job-0", "terminated")
    assert counted("rollcall_slice_start_seconds_sum") == pytest.approx(2.5)
    assert counted("rollcall_slice_start_seconds_count") == 1


def test_the_start_of_a_pod_that_an_earlier_operator_made_is_not_timed(world: World, counted: Counted) -> None:
    world.now = EPOCH + 60
    world.pod("job-0", "waiting")
    world.pod("job-0", "running")
    world.pod("job-1", "running")
    assert counted("rollcall_slice_start_seconds_count") == 0


def test_a_watch_is_as_old_as_its_last_sign_of_life(world: World) -> None:
    world.now += 30
    world.tally.told("pods")
    world.now += 12
    assert world.value("rollcall_watch_age_seconds", resource="pods") == 12
    assert world.value("rollcall_watch_age_seconds", resource="hosts") == 42


async def test_a_step_is_timed_and_its_error_counted_under_a_reason_that_is_known(counted: Counted) -> None:
    @metrics.timed
    async def step(error: Exception | None) -> str:
        if error:
            raise error
        return "done"

    assert await step(None) == "done"
    errors = [RefusedError(403, "Forbidden", ""), RefusedError(403, "a webhook's own word 17", ""), ValueError("x")]
    for error in errors:
        with pytest.raises(type(error)):
            await step(error)
    assert counted("rollcall_reconcile_seconds_count") == 4
    assert counted("rollcall_reconcile_errors_total", reason="Forbidden") == 1
    assert counted("rollcall_reconcile_errors_total", reason="Other") == 2


def test_what_is_said_can_be_read_by_the_librarys_own_parser(world: World) -> None:
    world.invocation(state="Running", hosts={"total": 2, "running": 2})
    metrics.REGISTRY.register(world.tally)
    try:
        text = generate_latest(metrics.REGISTRY).decode()
    finally:
        metrics.REGISTRY.unregister(world.tally)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["rollcall_hosts"].type == "gauge"
    assert families["rollcall_reconcile_seconds"].type == "histogram"
    assert families["rollcall_invocations_finished"].type == "counter"
    assert all(family.documentation for family in families.values())
    assert not [name for name in families if name.endswith("_created")]


NAMES = st.sampled_from(["x", "y", "z"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("invocation"), NAMES, st.sampled_from(["Pending", "Running", "Failed"]), st.integers(0, 5)),
        st.tuples(st.just("pod"), NAMES, st.sampled_from(["waiting", "running", "terminated"]), st.booleans()),
        st.tuples(st.just("slice"), NAMES, st.sampled_from(["Running", "Done"]), st.just(0)),
        st.tuples(st.just("drop"), NAMES, st.sampled_from(["jobinvocations", "pods", "jobslices"]), st.just(0)),
    ),
    max_size=30,
)


@given(steps=STEPS)
def test_the_gauges_are_what_going_over_the_whole_store_would_give(steps: list[tuple[str, str, str, Any]]) -> None:
    world = World()
    for what, name, state, extra in steps:
        match what:
            case "invocation":
                status = ended("Failed", "HostsFailed") if state == "Failed" else {"state": state}
                world.invocation(name, **status, hosts={"total": extra, "running": extra})
            case "pod":
                world.pod(name, state, held=extra)
            case "slice":
                world.slice_(name, host("a", "Failed", "ExitCode"), state=state)
            case _:
                world.drop(state, name)
    store = world.store
    invocations = list(store.invocations.values())
    pods = [pod for found in store.pods.values() for pod in found.values()]
    states = Counter(invocation.status.state for invocation in invocations)
    assert all(world.value("rollcall_invocations", state=state or "") == count for state, count in states.items())
    running = sum(i.status.hosts.running for i in invocations if i.status.hosts and not i.finished)
    assert world.value("rollcall_hosts", state="Running") == running
    phases = Counter(pod.phase.name.capitalize() for pod in pods)
    assert all(world.value("rollcall_pods", phase=p) == phases[p] for p in ("Waiting", "Working", "Ended"))
    assert world.value("rollcall_pods_held") == sum(pod.held for pod in pods)
    assert world.value("rollcall_objects", resource="jobslices") == sum(map(len, store.slices.values()))
