"""An invocation that resolves at its start chooses nothing before its first host could start."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from rollcall.names import ConditionType, Reason
from rollcall.plan.holding import secrets_to_read
from rollcall.plan.invocation import reconcile
from rollcall.plan.locks import Claimant, Lock, LockKind, Locks
from rollcall.plan.observed import Observed, Plan, Refusal
from rollcall.plan.starting import TEMPLATE, locks_for
from rollcall.resources.inventory import Inventory
from rollcall.resources.jobinvocation import InvocationState, JobInvocation
from rollcall.resources.meta import ConditionStatus
from unit.core.objects import KEY_SECRET, NAMESPACE, NOW, after, host, hosts, invocation, slice_, template, written

SECRETS = {KEY_SECRET: frozenset({"ssh-privatekey"})}
LOCK = {Lock(LockKind.TEMPLATE, NAMESPACE, "run"): True}
OLDER, YOUNGER = (Claimant(after(seconds), NAMESPACE, f"at{seconds}", "uid") for seconds in (-10, 10))


def moment(seconds: float) -> str:
    return after(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def observed(*names: str, **spec: Any) -> Observed:
    """An invocation of all hosts, of which there are these."""
    targeting = {"selector": {}, "resolve": "AtStart"} | spec.pop("targeting", {})
    declared = template(concurrencyPolicy="Forbid") if spec.pop("exclusive", False) else template()
    job = invocation(targeting=targeting, **spec)
    return Observed(job, hosts=hosts(*names), template=declared, secrets=SECRETS)


def value(job: JobInvocation, type_: ConditionType) -> str | None:
    found = job.condition(type_)
    return None if found is None else f"{found.status.value} {found.reason}"


def inventory(spec: dict[str, Any]) -> Inventory:
    return Inventory.model_validate({"metadata": {"name": "inv", "namespace": NAMESPACE}, "spec": spec})


def chosen(plan: Plan) -> list[str]:
    return [name for made in plan.create_slices for name in made.spec.hosts]


def test_it_is_chosen_at_once_when_nothing_is_waited_for() -> None:
    assert chosen(reconcile(observed("a", "b"), NOW)) == ["a", "b"]


def test_hosts_are_chosen_when_its_time_has_come() -> None:
    early = observed("a", startAt=moment(100))
    plan = reconcile(early, NOW)
    assert (chosen(plan), plan.done) == ([], False)
    assert plan.again_at == early.invocation.spec.start_at
    waiting = written(early, plan).invocation
    assert waiting.status.state == InvocationState.PENDING
    assert waiting.status.slices is None
    assert value(waiting, ConditionType.WAITING) == "True NotYetDue"
    assert value(waiting, ConditionType.VALID) == "True Accepted"
    assert value(waiting, ConditionType.RESOLVED) is None
    later = reconcile(replace(early, invocation=waiting, hosts=hosts("a", "b", "new")), after(101))
    assert chosen(later) == ["a", "b", "new"]
    assert later.status is not None
    assert value(replace(early, invocation=waiting.model_copy(update={"status": later.status})).invocation,
                 ConditionType.WAITING) == "False Proceeding"  # fmt: skip


def test_waiting_costs_no_second_write() -> None:
    early = observed("a", startAt=moment(100))
    again = reconcile(written(early, reconcile(early, NOW)), after(50))
    assert (again.status, again.notes) == (None, ())


def test_hosts_are_chosen_when_it_is_let_go() -> None:
    early = observed("a", suspend=True)
    plan = reconcile(early, NOW)
    waiting = written(early, plan).invocation
    assert (chosen(plan), waiting.status.state) == ([], InvocationState.SUSPENDED)
    assert value(waiting, ConditionType.SUSPENDED) == "True Suspended"
    freed = waiting.model_copy(update={"spec": waiting.spec.model_copy(update={"suspend": False})})
    late = reconcile(replace(early, invocation=freed, hosts=hosts("b")), after(1000))
    assert chosen(late) == ["b"]


def test_hosts_are_chosen_when_the_turn_has_come_at_the_template_and_nobody_comes_between() -> None:
    locks, other = Locks(), Claimant(after(-10), NAMESPACE, "other", "uid-other")
    lock = {Lock(LockKind.TEMPLATE, NAMESPACE, "run"): True}
    locks.update(other, frozenset({""}), lambda _: lock, {})
    early = replace(observed("a", exclusive=True), locks=locks)
    plan = reconcile(early, NOW)
    assert (chosen(plan), plan.waited) == ([], lock)
    waiting = written(early, plan).invocation
    assert value(waiting, ConditionType.WAITING) == "True TemplateBusy"
    locks.drop(other)
    late = reconcile(replace(early, invocation=waiting, hosts=hosts("b")), after(60))
    assert (chosen(late), late.held) == (["b"], frozenset({""}))


def test_what_no_host_can_mend_is_told_before_the_start() -> None:
    plan = reconcile(observed("a", startAt=moment(100), inputs={"typo": "1"}), NOW)
    assert plan.status is not None
    assert (plan.done, plan.status.state) == (True, InvocationState.FAILED)


def test_a_bad_query_fails_at_once() -> None:
    query = {"selector": None, "query": {"language": "Foreman", "text": "colour = red"}}
    plan = reconcile(observed("a", startAt=moment(100), targeting=query), NOW)
    assert plan.status is not None
    assert plan.done
    assert [c.reason for c in plan.status.conditions if c.type == ConditionType.FAILED] == [Reason.INVALID_QUERY]


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {}, "groups": {"a": {"children": ["b"]}, "b": {"children": ["a"]}}},
        {"query": {"language": "PQL", "text": "nodes {"}},
    ],
)
def test_a_fault_of_an_inventory_may_be_mended_before_the_start(spec: dict[str, Any]) -> None:
    early = observed("a", startAt=moment(100), targeting={"selector": None, "inventoryRef": {"name": "inv"}})
    ill = replace(early, inventories={"inv": inventory(spec)})
    plan = reconcile(ill, NOW)
    assert not plan.done
    waiting = written(ill, plan)
    assert value(waiting.invocation, ConditionType.VALID) in ("False InvalidSpec", "False InvalidQuery")
    mended = replace(waiting, inventories={"inv": inventory({"selector": {}})})
    assert chosen(reconcile(mended, after(101))) == ["a"]
    begun = written(waiting, reconcile(waiting, after(101)))
    assert reconcile(begun, after(102 + early.timing.reference_grace.total_seconds())).done


def test_what_is_missing_at_the_start_is_waited_for_from_then_on() -> None:
    missing = {"selector": None, "inventoryRef": {"name": "inv"}}
    early = observed("a", startAt=moment(100), targeting=missing)
    waiting = written(early, reconcile(early, NOW))
    assert value(waiting.invocation, ConditionType.VALID) == "False InventoryNotFound"
    assert not reconcile(waiting, after(99)).done
    begun = written(waiting, reconcile(waiting, after(101)))
    assert value(begun.invocation, ConditionType.WAITING) == "False Proceeding"
    assert not reconcile(begun, after(101 + early.timing.reference_grace.total_seconds() - 2)).done
    assert reconcile(begun, after(102 + early.timing.reference_grace.total_seconds())).done


def test_what_is_missing_before_the_start_is_told_once_and_looked_for_again() -> None:
    missing = {"selector": None, "inventoryRef": {"name": "inv"}}
    early = observed("a", startAt=moment(1000), targeting=missing)
    plan = reconcile(early, NOW)
    assert [note.reason for note in plan.notes if note.warning] == [Reason.INVENTORY_NOT_FOUND]
    assert plan.again_at == after(60)
    waiting = written(early, plan)
    again = reconcile(waiting, after(60))
    assert (again.status, again.notes, again.again_at) == (None, (), after(120))
    found = replace(waiting, inventories={"inv": inventory({"selector": {}})})
    mended = reconcile(found, after(60))
    assert value(written(found, mended).invocation, ConditionType.VALID) == "True Accepted"
    assert (mended.notes, mended.again_at) == ((), early.invocation.spec.start_at)


def test_the_secrets_of_hosts_are_read_when_these_are_to_be_chosen() -> None:
    """An invocation that is held back may have thousands of hosts, and be looked at whenever another one ends."""
    early = replace(observed("a", startAt=moment(100), inputsFrom=[{"secretRef": {"name": "mine"}}]), secrets={})
    assert secrets_to_read(early, NOW) == {"mine"}
    assert secrets_to_read(early, after(101)) == {"mine", KEY_SECRET}
    plan = reconcile(replace(early, secrets={"mine": frozenset()}), NOW)
    waiting = written(early, plan)
    assert value(waiting.invocation, ConditionType.VALID) == "True Accepted"
    begun = written(waiting, reconcile(replace(waiting, secrets={"mine": frozenset(), KEY_SECRET: None}), after(101)))
    assert value(begun.invocation, ConditionType.VALID) == "False SecretNotFound"


def test_the_secrets_of_hosts_are_not_read_while_the_template_is_busy() -> None:
    busy = observed("a", exclusive=True)
    busy.locks.update(OLDER, {"slice"}, lambda _: LOCK, {})
    assert secrets_to_read(busy, NOW) == frozenset()
    busy.locks.drop(OLDER)
    assert secrets_to_read(busy, NOW) == {KEY_SECRET}


def test_patience_begins_when_it_is_let_go() -> None:
    missing = {"selector": None, "hosts": ["later"]}
    early = observed("a", suspend=True, targeting=missing)
    held = written(early, reconcile(early, NOW))
    spec = held.invocation.spec.model_copy(update={"suspend": False})
    freed = replace(held, invocation=held.invocation.model_copy(update={"spec": spec}))
    first = reconcile(freed, after(5000))
    assert not first.done
    again = replace(written(freed, first), hosts=hosts("later"))
    assert chosen(reconcile(again, after(5010))) == ["later"]


def test_it_fails_when_it_could_not_start_in_time_and_says_what_it_waited_for() -> None:
    early = observed("a", suspend=True, startBefore=moment(60))
    plan = reconcile(early, NOW)
    assert plan.again_at == early.invocation.spec.start_before
    missed = reconcile(written(early, plan), after(61))
    assert missed.status is not None
    assert (missed.done, missed.status.state) == (True, InvocationState.FAILED)
    failed = next(c for c in missed.status.conditions if c.type == ConditionType.FAILED)
    assert (failed.status, failed.reason) == (ConditionStatus.TRUE, "StartWindowMissed")
    assert failed.message.endswith("its hosts were never chosen")
    assert missed.status.hosts is not None
    assert missed.status.hosts.total == 0


def test_it_is_cancelled_before_its_hosts_are_chosen() -> None:
    plan = reconcile(observed("a", startAt=moment(100), cancellation={}), NOW)
    assert plan.status is not None
    assert (plan.done, plan.status.state) == (True, InvocationState.CANCELLED)


def test_who_cancels_does_not_wait_for_what_is_missing_on_the_way_to_the_hosts() -> None:
    behind = {"web1": host("web1", jumpHostRef={"name": "bastion"})}
    waits = Observed(invocation("web1"), hosts=behind, template=template(), secrets=SECRETS)
    assert reconcile(waits, NOW).create_slices == ()
    dealt = reconcile(replace(waits, invocation=invocation("web1", cancellation={"policy": "Force"})), NOW)
    assert len(dealt.create_slices) == 1, "it ends like any other, host by host"


def test_a_dealing_that_was_cut_short_is_discarded_also_when_it_waits_again() -> None:
    cut = replace(observed("a", suspend=True))
    cut = replace(cut, slices=type(cut.slices)([slice_(0, "a")]))
    assert reconcile(cut, NOW).discard_slices


@pytest.mark.parametrize(
    ("policy", "state"), [("Complete", InvocationState.COMPLETE), ("Fail", InvocationState.FAILED)]
)
def test_nothing_may_match_at_the_start(policy: str, state: InvocationState) -> None:
    early = observed("a", startAt=moment(100), targeting={"whenEmpty": policy})
    waiting = written(early, reconcile(early, NOW))
    plan = reconcile(replace(waiting, hosts={}), after(101))
    assert plan.status is not None
    assert (plan.done, plan.status.state, plan.held) == (True, state, frozenset())
    assert all(c.type != ConditionType.WAITING or c.status == ConditionStatus.FALSE for c in plan.status.conditions)


def test_the_hosts_of_a_rerun_are_known_at_its_creation() -> None:
    plan = reconcile(
        Observed(
            invocation(
                targeting={"hosts": ["a"], "resolve": "AtStart"},
                rerunOf={"name": "gone", "hosts": "Listed"},
                startAt=moment(100),
            ),
            hosts=hosts("a"), template=template(), secrets=SECRETS,
        ),
        after(60),
    )  # fmt: skip
    assert plan.done, "that the earlier run is not there is not waited for until the start"


def test_a_start_window_that_ends_while_something_is_missing_is_not_slept_through() -> None:
    missing = {"selector": None, "inventoryRef": {"name": "inv"}}
    plan = reconcile(observed("a", startBefore=moment(1), targeting=missing), NOW)
    assert plan.again_at is not None
    assert plan.again_at <= after(1)


def look(known: Observed, seconds: float) -> tuple[Observed, Plan]:
    """One look, as the operator has it: what the plan holds and waits for is known at once, its status is written."""
    plan = reconcile(known, after(seconds))
    starting = {made.metadata.name for made in plan.start_slices}
    held = plan.held | starting | ({TEMPLATE} if starting else set())
    known.locks.update(known.claimant, held, partial(locks_for, known), plan.waited)
    return written(known, plan), plan


def test_a_busy_template_does_not_prolong_the_patience_with_what_is_missing() -> None:
    """There is always a younger one that would start, for 30 of 40 seconds."""
    known = observed("a", exclusive=True, targeting={"selector": None, "hosts": ["gone"]})
    ends, writes = None, 0
    for seconds in range(0, 400, 10):
        if seconds % 40 == 30:
            known.locks.drop(YOUNGER)
        elif known.locks.obstacle(YOUNGER, LOCK) is None:
            known.locks.update(YOUNGER, {"slice"}, lambda _: LOCK, {})
        if ends is None:
            known, plan = look(known, seconds + 1)
            writes += plan.status is not None
            ends = seconds if plan.done else None
    assert ends is not None, "it waits for ever"
    assert known.invocation.status.state == InvocationState.FAILED
    assert writes <= 4
    assert (ends, known.locks.obstacle(YOUNGER, LOCK)) == (60, None), "the others go on when its patience has ended"


def test_patience_holds_no_template_that_is_not_there() -> None:
    """A lock taken for no template would stay none when the template comes, and two would run side by side."""
    known = replace(observed("a", exclusive=True), template=None)
    known, plan = look(known, 1)
    assert (plan.done, plan.held) == (False, frozenset())
    known = replace(known, template=template(concurrencyPolicy="Forbid"), hosts={})
    for seconds in (2, 3):
        known, plan = look(replace(known, hosts=hosts("a")), seconds)
        assert known.locks.obstacle(YOUNGER, LOCK) is not None


def busy_host(known: Observed) -> Claimant:
    """Somebody who works on the host `a` alone."""
    at_work = Claimant(after(-20), NAMESPACE, "at-work", "uid")
    known.locks.update(at_work, {"slice"}, lambda _: {Lock(LockKind.HOST, NAMESPACE, "a"): True}, {})
    return at_work


def test_the_turn_is_kept_from_the_choice_to_the_start() -> None:
    known = observed("a", exclusive=True)
    at_work = busy_host(known)
    known, plan = look(known, 1)
    assert chosen(plan) == ["a"]
    for seconds in (2, 60, 600):
        known, plan = look(known, seconds)
        assert not plan.start_slices
        assert plan.held == {TEMPLATE}
        assert value(known.invocation, ConditionType.WAITING) == "True HostsBusy"
        assert known.locks.obstacle(YOUNGER, LOCK) is not None
    known.locks.drop(at_work)
    known, plan = look(known, 601)
    assert [made.metadata.name for made in plan.start_slices] == ["job-0"]


def test_the_turn_is_kept_while_a_quota_refuses_the_first_pod() -> None:
    known = observed("a", exclusive=True)
    known, _ = look(known, 1)
    refusal = Refusal(after(2), after(7), "no room")
    known, plan = look(replace(known, refused={"job-0": refusal}), 3)
    assert (plan.start_slices, plan.held) == ((), {TEMPLATE})


def test_who_has_the_turn_and_who_comes_later_though_older_do_not_wait_for_each_other() -> None:
    """An older invocation was suspended while this one chose; it is let go while this one's host is busy."""
    known = observed("a", exclusive=True)
    at_work = busy_host(known)
    for seconds in (1, 2):
        known, _ = look(known, seconds)
    assert known.locks.obstacle(OLDER, LOCK) == (next(iter(LOCK)), known.claimant)
    known.locks.update(OLDER, frozenset(), lambda _: {}, LOCK)
    known, plan = look(known, 3)
    assert (plan.held, plan.waited.keys() & LOCK.keys()) == ({TEMPLATE}, set())
    known.locks.drop(at_work)
    known, plan = look(known, 4)
    assert plan.start_slices, "each waits for the other"


def test_two_that_chose_before_the_template_forbade_it_start_one_after_the_other() -> None:
    """Neither takes a lock that the other has, so neither has what the other waits for."""
    first = replace(observed("a"), template=template(exclusive="Slice"))
    at_work = busy_host(first)
    metadata = first.invocation.metadata.model_copy(update={"name": "second", "creation_timestamp": after(1)})
    second = replace(first, invocation=first.invocation.model_copy(update={"metadata": metadata}))
    for seconds in (1, 2):
        first, _ = look(first, seconds)
        second, _ = look(second, seconds)
    forbidding = template(concurrencyPolicy="Forbid", exclusive="Slice")
    first, second = replace(first, template=forbidding), replace(second, template=forbidding)
    second, younger = look(second, 3)
    first, older = look(first, 3)
    assert (younger.held, older.held) == ({TEMPLATE}, frozenset())
    first.locks.drop(at_work)
    second, younger = look(second, 4)
    first, older = look(first, 4)
    assert (len(younger.start_slices), len(older.start_slices)) == (1, 0)


def test_the_turn_is_lost_by_who_is_suspended() -> None:
    known = observed("a", exclusive=True)
    busy_host(known)
    for seconds in (1, 2):
        known, _ = look(known, seconds)
    spec = known.invocation.spec.model_copy(update={"suspend": True})
    known, plan = look(replace(known, invocation=known.invocation.model_copy(update={"spec": spec})), 3)
    assert (plan.held, known.locks.obstacle(YOUNGER, LOCK)) == (frozenset(), None)


@pytest.mark.parametrize(
    ("resolve", "spec", "reasons"),
    [
        ("AtCreation", {"suspend": True}, [Reason.HOSTS_RESOLVED, Reason.SUSPENDED]),
        ("AtStart", {"startAt": moment(100)}, [Reason.HOSTS_RESOLVED, Reason.PROCEEDING]),
    ],
)
def test_what_turns_with_the_choice_has_an_event_too(resolve: str, spec: dict[str, Any], reasons: list[Reason]) -> None:
    known = observed("a", targeting={"resolve": resolve}, **spec)
    if resolve == "AtStart":
        known = written(known, reconcile(known, NOW))
    assert [note.reason for note in reconcile(known, after(101)).notes] == reasons
