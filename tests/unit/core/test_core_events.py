"""The Events of a rollout: one for each turn that it takes, and none that is told again."""

from dataclasses import replace
from typing import Any

import pytest

from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed, Plan
from rollcall.plan.pods import Phase
from rollcall.plan.slices import Slices
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice
from unit.core.objects import (
    FAILED,
    NOW,
    STOPPED,
    SUCCEEDED,
    after,
    collected,
    pod,
    resolved,
    slice_,
    template,
    written,
)

REQUESTED = "CancelRequested"


def observe(*slices: JobSlice, started: int, observed: dict[str, Any] | None = None, **spec: Any) -> Observed:
    """A resolved invocation of these slices, each of those that were started with a pod; progress was just written."""
    job = resolved(*slices, started=started, **spec)
    pods = {f"job-{index}": pod(index) for index in range(started)}
    return replace(Observed(job, Slices(slices), pods, template=template(), progress_written=NOW), **(observed or {}))


def edited(observed: Observed, **spec: Any) -> Observed:
    """What is observed after somebody has changed the spec."""
    document = observed.invocation.wire()
    document["metadata"]["generation"] += 1
    document["spec"] |= spec
    return replace(observed, invocation=JobInvocation.model_validate(document))


def chosen(*hosts: str, policy: str = "Graceful") -> dict[str, Any]:
    return {"cancellation": {"policy": policy, "hosts": list(hosts)}}


def obeyed(observed: Observed, plan: Plan) -> Observed:
    """What is observed after the pods were told to stop; no status was written."""
    pods = dict(observed.pods)
    for name, order in plan.orders:
        pods[name] = replace(pods[name], stop_order=order.dump())
    for names, grace in ((plan.delete_pods, 300), (plan.hasten_pods, 20)):
        pods |= {name: replace(pods[name], deleting_since=NOW, grace_seconds=grace) for name in names}
    return replace(observed, pods=pods)


def carried_out(observed: Observed, plan: Plan) -> Observed:
    return written(obeyed(observed, plan), plan)


def told(observed: Observed, seconds: float = 0) -> list[tuple[str, str]]:
    """The Events that are due now; those of a plan that was carried out are not due again."""
    plan = reconcile(observed, after(seconds))
    again = reconcile(carried_out(observed, plan), after(seconds))
    assert {note.reason for note in again.notes} <= {"Retrying"}, "a transition is told again"
    return [(note.reason.value, note.message) for note in plan.notes]


# ---- chosen hosts


@pytest.mark.parametrize(
    ("cancellation", "message"),
    [
        (chosen("a"), "1 host will be stopped, or not started: a"),
        (chosen("a", "d", "no-such"), "2 hosts will be stopped, or not started: a, d"),
        (chosen("d", "e"), "2 hosts will be stopped, or not started: d, e"),
        (chosen("a", "b", policy="Force"), "2 hosts will be stopped by force, or not started: a, b"),
        (chosen("a", "b", "c", "d", "e"), "5 hosts will be stopped, or not started: a, b, c and 2 more"),
        (chosen("no-such"), None),
    ],
)  # fmt: skip
def test_that_chosen_hosts_are_stopped_is_told_once(cancellation: dict[str, Any], message: str | None) -> None:
    slices = (slice_(0, "a", "b"), slice_(1, "c"), slice_(2, "d"), slice_(3, "e"))
    observed = edited(observe(*slices, started=2, concurrency=3), **cancellation)
    assert told(observed) == ([] if message is None else [(REQUESTED, message)])


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.WORKING])
@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_it_is_told_however_the_pod_is_stopped(phase: Phase, names: tuple[str, ...]) -> None:
    """By an order, or by its deletion when nothing in it has begun."""
    observed = observe(slice_(0, *names), slice_(1, "c"), started=2)
    observed = replace(observed, pods={"job-0": pod(0, phase), "job-1": pod(1)})
    assert told(edited(observed, **chosen("a"))) == [(REQUESTED, "1 host will be stopped, or not started: a")]


def test_who_adds_hosts_to_those_that_are_stopped_reads_it() -> None:
    observed = edited(observe(slice_(0, "a", "b", "c"), slice_(1, "d"), started=2), **chosen("a"))
    observed = carried_out(observed, reconcile(observed, NOW))
    grown = edited(observed, **chosen("a", "b", "d"))
    assert told(grown, 1) == [(REQUESTED, "3 hosts will be stopped, or not started: a, b, d")]
    forced = edited(observed, **chosen("a", policy="Force"))
    assert told(forced, 1) == [(REQUESTED, "1 host will be stopped by force, or not started: a")]
    assert told(edited(observed, **chosen("a"), suspend=True), 1) == [
        ("Suspended", "no further hosts are started while spec.suspend is true")
    ], "it is another change"


def test_nothing_is_told_of_hosts_that_have_ended() -> None:
    ended = {"job-0": collected(complete=False, a=SUCCEEDED, b=None)}
    observed = observe(slice_(0, "a", "b"), slice_(1, "c"), started=1, observed={"collected": ended}, concurrency=2)
    assert told(edited(observed, **chosen("a"))) == []
    assert told(edited(observed, **chosen("a", "c"))) == [(REQUESTED, "1 host will be stopped, or not started: c")]


def test_hosts_that_were_chosen_before_the_rollout_began_are_told() -> None:
    observed = observe(slice_(0, "a"), slice_(1, "b"), started=0, **chosen("a"))
    assert (REQUESTED, "1 host will be stopped, or not started: a") in told(observed)


def test_a_host_that_failed_while_it_was_told_to_stop_is_told_once() -> None:
    """It would be tried again; it is cancelled instead, in the slice of that attempt."""
    observed = observe(slice_(0, "a"), slice_(1, "b"), started=2, backoffLimit=1, retryOn=["ExitCode"])
    observed = edited(observed, **chosen("a"))
    observed = carried_out(observed, reconcile(observed, NOW))
    failed = pod(0, Phase.ENDED, stop_order=observed.pods["job-0"].stop_order)
    ends = {"job-0": collected(complete=True, a=FAILED)}
    observed = replace(observed, pods={"job-0": failed, "job-1": pod(1)}, collected=ends)
    reasons: list[str] = []
    for seconds in range(4):
        plan = reconcile(observed, after(5 + seconds))
        reasons += [note.reason for note in plan.notes]
        observed = replace(carried_out(observed, plan), collected={})
    assert reasons == ["Retrying"]


def test_a_host_that_waits_to_be_tried_again_is_told_when_it_is_chosen() -> None:
    end = {"name": "a", "state": "Failed", "reason": "ExitCode", "retry": True}
    parent = slice_(0, "a", status={"state": "Done", "podName": "job-0", "retrySlice": "job-0-r1", "hosts": [end]})
    observed = observe(parent, slice_(1, "b"), slice_(0, "a", attempt=1), started=2, suspend=True)
    observed = replace(observed, pods={"job-1": pod(1)})
    observed = edited(carried_out(observed, reconcile(observed, NOW)), **chosen("a"))
    assert told(observed, 1) == [(REQUESTED, "1 host will be stopped, or not started: a")]


def test_an_event_is_lost_rather_than_told_for_ever() -> None:
    """The operator dies between the order and the status."""
    observed = edited(observe(slice_(0, "a", "b"), started=1), **chosen("a"))
    assert told(obeyed(observed, reconcile(observed, NOW))) == []


def test_the_status_is_written_before_its_event() -> None:
    """It is no mere progress, which would wait; an operator that was replaced fails to write it, and is silent."""
    observed = edited(observe(slice_(0, "a", "b"), started=1), **chosen("a"))
    plan = reconcile(observed, NOW)
    assert plan.status is not None
    assert plan.status.observed_generation == observed.invocation.metadata.generation


# ---- all hosts


@pytest.mark.parametrize("deleting", [False, True])
def test_that_all_are_stopped_is_told_and_once_more_by_force(deleting: bool) -> None:
    observed = edited(observe(slice_(0, "a"), started=1), cancellation={"policy": "Graceful"})
    assert told(observed) == [(REQUESTED, "hosts at work are being stopped, the others are not started")]
    observed = carried_out(observed, reconcile(observed, NOW))
    if deleting:
        late = replace(observed.pods["job-0"], deleting_since=NOW, grace_seconds=300)
        observed = replace(observed, pods={"job-0": late})
    assert told(edited(observed, suspend=True), 1)[1:] == []
    forced = edited(observed, cancellation={"policy": "Force"})
    assert told(forced, 1) == [(REQUESTED, "hosts at work are being stopped by force, the others are not started")]


@pytest.mark.parametrize("cancellation", [chosen("a", policy="Force"), {"cancellation": {"policy": "Force"}}])
def test_that_a_pod_which_does_not_obey_is_deleted_is_no_other_request(cancellation: dict[str, Any]) -> None:
    observed = edited(observe(slice_(0, "a"), slice_(1, "b"), started=2), **cancellation)
    observed = carried_out(observed, reconcile(observed, NOW))
    assert "job-0" in reconcile(observed, after(60)).hasten_pods
    assert told(observed, 60) == []


def test_to_stop_all_after_some_is_a_turn_of_its_own() -> None:
    observed = edited(observe(slice_(0, "a", "b"), started=1), **chosen("a"))
    observed = edited(carried_out(observed, reconcile(observed, NOW)), cancellation={"policy": "Graceful"})
    assert told(observed, 1) == [(REQUESTED, "hosts at work are being stopped, the others are not started")]


@pytest.mark.parametrize("cancellation", [chosen("a", "b"), {"cancellation": {"policy": "Graceful"}}])
def test_what_is_settled_in_one_write_has_one_event(cancellation: dict[str, Any]) -> None:
    observed = edited(observe(slice_(0, "a"), slice_(1, "b"), started=0), **cancellation)
    assert [reason for reason, _ in told(observed)] == ["Cancelled"]


# ---- what strikes


@pytest.mark.parametrize(
    ("spec", "known", "seconds", "reason", "cause"),
    [
        ({"activeDeadlineSeconds": 60}, {}, 61, "DeadlineExceeded", "the invocation took longer than its 60 s"),
        (
            {}, {"output_exceeded": True}, 1, "OutputLimit",
            "the hosts of the invocation said more than it may say in all",
        ),
    ],
)  # fmt: skip
def test_what_stops_all_is_told_at_once_and_again_with_the_end(
    spec: dict[str, Any], known: dict[str, Any], seconds: float, reason: str, cause: str
) -> None:
    observed = observe(slice_(0, "a"), slice_(1, "b"), started=1, observed=known, concurrency=1, **spec)
    (struck,) = reconcile(observed, after(seconds)).notes
    assert (struck.reason, struck.warning) == (reason, True)
    assert struck.message == f"{cause}; hosts at work are being stopped, the others are not started"
    assert told(observed, seconds) == [(reason, struck.message)]
    observed = carried_out(observed, reconcile(observed, after(seconds)))
    ended = replace(observed.pods["job-0"], phase=Phase.ENDED)
    stopped = collected(complete=True, a=replace(STOPPED, start_time=NOW.timestamp()))
    observed = replace(observed, pods={"job-0": ended}, collected={"job-0": stopped})
    assert told(observed, seconds + 5) == [(reason, f"{cause}: of 2 hosts 1 failed, 1 were not started")]


def test_what_strikes_when_nothing_is_at_work_any_more_is_told_with_the_end() -> None:
    known = {"pods": {"job-0": pod(0, Phase.ENDED)}, "collected": {"job-0": collected(complete=True, a=SUCCEEDED)}}
    observed = observe(slice_(0, "a"), slice_(1, "b"), started=1, activeDeadlineSeconds=60, observed=known)
    assert [reason for reason, _ in told(observed, 61)] == ["DeadlineExceeded"]
