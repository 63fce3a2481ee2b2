"""One fault at each write of a whole job, and the smallest stories of what the simulation found."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rollcall.plan.pods import Phase
from unit.core.objects import host
from unit.core.simulation import Simulation, Stop, fleet

SHAPES: list[dict[str, Any]] = [
    {"count": 2},
    {"count": 2, "concurrency": 1},
    {"count": 5, "hosts_per_slice": 2, "concurrency": 3},
    {"count": 2, "rollout": {"batches": [1]}},
    {"count": 2, "resolve": "AtStart", "startAt": "2026-03-01T12:00:05Z", "template": {"concurrencyPolicy": "Forbid"}},
    {"count": 2, "hosts_per_slice": 2, "backoffLimit": 1, "backoffSeconds": 3},
    {"count": 3, "pods_per_slice": 2, "concurrency": 2},
    {"count": 3, "pods_per_slice": 2, "backoffLimit": 1, "backoffSeconds": 3},
]


def begin(shape: dict[str, Any]) -> Simulation:
    """A job of that shape; where hosts are tried again, one cannot be reached at first."""
    sim = fleet(**shape)
    sim.unreachable["web0"] = shape.get("backoffLimit", 0)
    return sim


def round_(sim: Simulation, stop_at: int | None = None, stop: Stop = Stop.DEATH_BEFORE) -> int:
    """A step of the operator, and then of everybody else; returns how many writes the step took."""
    sim.now += timedelta(seconds=2)
    sim.step(stop_at, stop)
    for name in list(sim.pods):
        sim.behave(name)
    for name in list(sim.heard):
        sim.collect(name)
    sim.deliver()
    return sim.writes


def life(shape: dict[str, Any]) -> list[int]:
    """How many writes each step of an undisturbed job takes."""
    sim = begin(shape)
    steps = []
    while not sim.done:
        steps.append(round_(sim))
    sim.check_end()
    return steps


@pytest.mark.parametrize("stop", Stop)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_fault_at_any_write_of_a_job_loses_nothing_and_starts_nothing_twice(
    shape: dict[str, Any], stop: Stop
) -> None:
    for step, writes in enumerate(life(shape)):
        for write in range(writes):
            sim = begin(shape)
            for _ in range(step):
                round_(sim)
            round_(sim, write, stop)
            sim.settle()
            stored = sim.invocation
            assert stored is not None
            assert stored["status"]["hosts"]["succeeded"] == shape["count"], f"{stop} at write {write} of step {step}"
            assert set(sim.made.values()) == {1}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("hosts", [None, ["web0"]], ids=["all", "one"])
@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[4], SHAPES[6]], ids=str)
def test_a_job_that_is_cancelled_at_any_time_ends_and_one_fault_changes_nothing(
    shape: dict[str, Any], hosts: list[str] | None, force: bool
) -> None:
    for step in range(len(life(shape))):
        for write in (None, 1):
            sim = begin(shape)
            for _ in range(step):
                round_(sim)
            if sim.done:
                break
            sim.cancel(hosts=hosts, force=force)
            sim.deliver()
            round_(sim, write, Stop.ERROR_AFTER)
            sim.settle()
            assert max(sim.made.values(), default=1) == 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_job_that_is_deleted_at_any_time_leaves_no_pod_behind(shape: dict[str, Any]) -> None:
    for step in range(len(life(shape)) + 1):
        sim = begin(shape)
        for _ in range(step):
            round_(sim)
        sim.delete_invocation()
        sim.settle()
        assert sim.invocation is None
        assert not sim.pods


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_pod_that_is_killed_or_deleted_at_any_time_fails_its_hosts_with_a_reason(shape: dict[str, Any]) -> None:
    for step in range(1, len(life(shape))):
        for harm in (Simulation.delete_pod, Simulation.vanish):
            sim = begin(shape)
            for _ in range(step):
                round_(sim)
            for name in list(sim.pods):
                harm(sim, name)
            sim.settle()
            assert set(sim.made.values()) == {1}


# ---- the double fault that starts a host twice, and what is less


def made_and_not_recorded() -> Simulation:
    """The operator is to write that it made the pod."""
    sim = fleet(1)
    sim.step()
    return sim


def test_the_double_fault_that_starts_a_host_twice_is_this_one() -> None:
    """The operator dies between making the pod and recording it; before it is back, the pod is removed by force."""
    sim = made_and_not_recorded()
    sim.step(2, Stop.DEATH_BEFORE)  # after the work's Secret and the pod
    sim.vanish("job-0")
    sim.forget()
    sim.settle()
    assert sim.made == {"job-0": 2}


def died(sim: Simulation) -> None:
    sim.step(2, Stop.DEATH_BEFORE)


def unanswered(sim: Simulation) -> None:
    sim.step(2, Stop.ERROR_BEFORE)


def died_later(sim: Simulation) -> None:
    sim.step()
    sim.forget()


def removed(sim: Simulation) -> None:
    sim.vanish("job-0")
    sim.deliver()


@pytest.mark.parametrize(
    "faults",
    [[died], [unanswered], [died_later, removed], [Simulation.step, removed], [unanswered, removed]],
    ids=["death", "no answer", "death after recording, removal", "removal", "no answer, removal"],
)
def test_nothing_less_starts_a_host_twice(faults: list[Callable[[Simulation], None]]) -> None:
    sim = made_and_not_recorded()
    for fault in faults:
        fault(sim)
    sim.settle()
    assert sim.made == {"job-0": 1}


def test_a_pod_made_beside_one_that_failed_is_not_made_again_when_it_is_gone() -> None:
    """Two pods are made side by side; the first call gets no answer, the second pod is removed at once."""
    sim = fleet(2)
    sim.step()
    sim.step(0, Stop.ERROR_BEFORE)
    assert set(sim.pods) == {"job-1"}
    sim.vanish("job-1")
    sim.deliver()
    sim.settle()
    assert sim.made == {"job-0": 1, "job-1": 1}


# ---- answers that are lost


def test_slices_are_not_discarded_because_the_answer_to_their_commit_was_lost() -> None:
    """`Resolved` is written, its answer is lost, and no watch has told of it when the operator looks again."""
    sim = fleet(2)
    sim.step(2, Stop.ERROR_AFTER)
    assert sim.invocation is not None
    assert sim.invocation["status"]["slices"] == 2
    sim.step()
    sim.settle()
    assert sim.invocation["status"]["hosts"]["succeeded"] == 2


def test_a_pod_whose_answer_was_lost_is_let_go_when_the_invocation_is_deleted() -> None:
    """The pod is made, its answer is lost; the watch tells of the invocation's deletion before it tells of the pod."""
    sim = fleet(1)
    sim.step()
    sim.step(1, Stop.ERROR_AFTER)
    assert set(sim.pods) == {"job-0"}
    sim.delete_invocation()
    sim.operator.see_invocation("job")
    sim.step()
    sim.settle()
    assert not sim.pods


# ---- work that is older than what is started


def test_a_host_that_failed_before_its_slice_was_started_does_not_run_after_all() -> None:
    """The pod is refused after the work's Secret was made; the Host is deleted; then the pod is taken."""
    sim = fleet(2, hosts_per_slice=2)
    sim.refusing = frozenset([0])
    sim.step()
    sim.step()
    sim.hosts = {"web1": host("web1")}
    sim.now += timedelta(seconds=6)
    sim.step()
    sim.refusing = frozenset()
    sim.settle()
    assert sim.ran == {"web1"}


def test_a_host_that_failed_and_comes_back_before_its_slice_is_started_stays_failed() -> None:
    """Host web0 is away when its slice is offered and refused, and back when the pod is taken."""
    sim = fleet(2, hosts_per_slice=2)
    sim.step()
    known, sim.hosts = sim.hosts, {"web1": host("web1")}
    sim.refusing = frozenset([0])
    sim.step()
    sim.hosts = known
    sim.refusing = frozenset()
    sim.now += timedelta(seconds=6)
    sim.settle()
    assert sim.ran == {"web1"}


def test_a_slice_that_starts_late_obeys_the_concurrency_of_its_start() -> None:
    """Its pod is refused under concurrency 3 and taken under concurrency 1."""
    sim = fleet(3, hosts_per_slice=3, concurrency=3)
    sim.refusing = frozenset([0])
    sim.step()
    sim.step()
    sim.edit_concurrency(1)
    sim.deliver()
    sim.refusing = frozenset()
    sim.now += timedelta(seconds=6)
    sim.step()
    assert sim.pods["job-0"].work.parallelism == 1


# ---- what is edited by hand


def test_a_status_that_was_wiped_by_hand_is_restored_and_nothing_runs_twice() -> None:
    sim = fleet(3, concurrency=2)
    sim.step()
    sim.step()
    sim.begin_pod("job-0")
    sim.wipe_status()
    sim.deliver()
    sim.settle()
    assert sim.made == {"job-0": 1, "job-1": 1, "job-2": 1}
    assert sim.invocation is not None
    assert sim.invocation["status"]["hosts"]["succeeded"] == 3


def test_a_slice_that_was_deleted_by_hand_counts_as_failed_and_its_pod_is_let_go() -> None:
    sim = fleet(2)
    sim.step()
    sim.step()
    sim.begin_pod("job-0")
    sim.deliver()
    sim.delete_slice("job-0")
    sim.settle()
    assert sim.invocation is not None
    assert (sim.invocation["status"]["hosts"]["succeeded"], sim.invocation["status"]["hosts"]["failed"]) == (1, 1)
    assert [pod for pod in sim.pods.values() if pod.phase != Phase.ENDED] == []
