"""No lock outlives its holder, whatever dies; who waits goes on in the order of arrival, whoever is looked at first."""

from typing import Any

import pytest

from rollcall.plan.pods import Phase
from unit.core.simulation import Simulation, fleet

WAITING = ("first", "second", "third")
ON_ONE_HOST: list[dict[str, Any]] = [
    {"exclusive": frozenset({"web0"})},
    {"template": {"concurrencyPolicy": "Forbid"}},
    {"template": {"concurrencyPolicy": "Forbid"}, "resolve": "AtStart"},
]


def queue(**options: Any) -> Simulation:
    """One is at work on a host, and three others wait for it, or for the template."""
    sim = fleet(1, invocations=("a-holder", *WAITING), **options)
    for name in sim.invocations:
        for _ in range(2):
            sim.step(name=name)
            sim.deliver()
    sim.begin_pod("a-holder-0")
    sim.begin_host("a-holder-0")
    sim.deliver()
    assert at_work(sim) == ["a-holder"]
    return sim


def at_work(sim: Simulation) -> list[str]:
    return [pod.invocation for pod in sim.pods.values() if pod.phase != Phase.ENDED]


def youngest_first(sim: Simulation) -> None:
    """The operator looks at everybody, at those first who came last."""
    for _ in range(3):
        for name in reversed(list(sim.invocations)):
            sim.step(name=name)


def check_order(sim: Simulation) -> None:
    """Once the holder's pod has ended, one goes on after the other."""
    for name in WAITING:
        sim.operator.release_orphans()
        sim.deliver()
        youngest_first(sim)
        assert at_work(sim) == [name]
        sim.begin_pod(f"{name}-0")
        sim.begin_host(f"{name}-0")
        sim.deliver()
        end(sim, name)
    sim.settle()
    assert all(count == 1 for count in sim.made.values())


def end(sim: Simulation, name: str) -> None:
    """The hosts and the pod of an invocation end, and the operator learns of it."""
    for _ in range(3):
        if f"{name}-0" in sim.pods:
            sim.end_host(f"{name}-0")
            sim.end_pod(f"{name}-0")
            sim.tidy(f"{name}-0")
        sim.deliver()
        for heard in list(sim.heard):
            sim.collect(heard)
        sim.step(name=name)


@pytest.mark.parametrize("restarts", [0, 1, 2])
@pytest.mark.parametrize("options", ON_ONE_HOST, ids=str)
def test_who_waits_goes_on_in_order_when_the_holder_ends(options: dict[str, Any], restarts: int) -> None:
    sim = queue(**options)
    for _ in range(restarts):
        sim.forget()
        youngest_first(sim)
    assert at_work(sim) == ["a-holder"], "the lock was lost with the operator that gave it"
    end(sim, "a-holder")
    check_order(sim)


@pytest.mark.parametrize("options", ON_ONE_HOST, ids=str)
def test_who_waits_goes_on_in_order_when_the_holder_ended_while_no_operator_was_there(options: dict[str, Any]) -> None:
    sim = queue(**options)
    end(sim, "a-holder")
    sim.forget()
    check_order(sim)


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("options", ON_ONE_HOST, ids=str)
def test_the_lock_of_a_deleted_invocation_goes_with_its_last_pod(options: dict[str, Any], away: bool) -> None:
    """Deleted while an operator is there, and while none is: the next one lets it go at once, and its pod works on."""
    sim = queue(**options)
    sim.delete_invocation("a-holder")
    if away:
        sim.forget()
        assert "a-holder" not in sim.invocations
    sim.deliver()
    youngest_first(sim)
    assert at_work(sim) == ["a-holder"], "somebody works beside a script that is being stopped"
    end(sim, "a-holder")
    check_order(sim)


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("harm", [Simulation.delete_pod, Simulation.delete_slice, Simulation.vanish])
def test_a_lock_goes_with_a_pod_or_a_slice_that_somebody_deletes(harm: Any, away: bool) -> None:
    sim = queue(**ON_ONE_HOST[0])
    harm(sim, "a-holder-0")
    if away and harm is not Simulation.delete_slice:
        sim.forget()
    sim.deliver()
    if harm is not Simulation.vanish:
        youngest_first(sim)
        assert at_work(sim) == ["a-holder"]
    end(sim, "a-holder")
    check_order(sim)


def test_who_is_suspended_or_not_due_when_an_operator_begins_lets_others_pass() -> None:
    sim = queue(**ON_ONE_HOST[0])
    end(sim, "a-holder")
    sim.edit("first", suspend=True)
    sim.forget()
    youngest_first(sim)
    assert at_work(sim) == ["second"]
