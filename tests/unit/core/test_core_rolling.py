"""What a rollout waits for, what stops it, what is tried again, and how it ends: each as a user would see it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.plan.invocation import reconcile
from rollcall.plan.locks import Claimant, Lock, LockKind, Locks
from rollcall.plan.observed import Observed, Plan
from rollcall.plan.pods import Phase
from rollcall.plan.restoring import restore_locks
from rollcall.plan.slices import Slices
from rollcall.resources.jobinvocation import TemplateRecord
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.meta import OwnerReference
from unit.core.objects import (
    FAILED,
    NOW,
    STOPPED,
    SUCCEEDED,
    after,
    asks_for_nothing,
    collected,
    host,
    pod,
    resolved,
    slice_,
    template,
    written,
)

UNREACHABLE = Exit(HostState.FAILED, reason=Reason.UNREACHABLE, message="no route to host")
TIMEOUT = Exit(HostState.FAILED, reason=Reason.TIMEOUT, message="the script did not end in 1 s")
THREE = (slice_(0, "a"), slice_(1, "b"), slice_(2, "c"))


def moment(seconds: float) -> str:
    return after(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def done(index: int, name: str, state: str = "Succeeded", *, attempt: int = 0, batch: int = 0, **more: Any) -> JobSlice:
    """A slice that was done at NOW."""
    end = {"name": name, "state": state, "reason": None if state == "Succeeded" else "Unreachable"}
    status = {"state": "Done", "podName": f"job-{index}", "completionTime": moment(0), "hosts": [end | more]}
    return slice_(index, name, attempt=attempt, batch=batch, status=status)


def observe(*slices: JobSlice, started: int = 0, observed: dict[str, Any] | None = None, **spec: Any) -> Observed:
    """A resolved invocation of these slices."""
    job = resolved(*slices, started=started, **spec)
    return Observed(**{"invocation": job, "slices": Slices(slices), "template": template(), **(observed or {})})


def starts(plan: Plan) -> list[str]:
    return [entry.metadata.name for entry in plan.start_slices]


def condition(plan: Plan, type_: str) -> tuple[str, str] | None:
    assert plan.status is not None
    return next(((c.status.value, c.reason) for c in plan.status.conditions if c.type == type_), None)


def told(plan: Plan) -> list[str]:
    return [note.reason.value for note in plan.notes]


def ends(plan: Plan) -> dict[str, tuple[str, str | None]]:
    """How each host of the slices that are written is."""
    return {r.name: (r.state.value, r.reason) for _, status in plan.slice_statuses for r in status.hosts}


# ---- what is waited for


@pytest.mark.parametrize(
    ("spec", "reason", "until"),
    [
        ({"startAt": moment(60)}, "NotYetDue", after(60).replace(microsecond=0)),
        ({"suspend": True}, None, None),
        ({"suspend": True, "startAt": moment(60)}, None, None),
    ],
)
def test_no_host_is_started_before_its_time(spec: dict[str, Any], reason: str | None, until: Any) -> None:
    plan = reconcile(observe(*THREE, **spec), NOW)
    assert (starts(plan), plan.again_at) == ([], until)
    assert condition(plan, "Waiting") == (("True", reason) if reason else None)
    assert condition(plan, "Suspended") == (None if reason else ("True", "Suspended"))
    assert plan.status is not None
    assert plan.status.start_time is None
    assert told(plan) == [reason or "Suspended"]


def test_a_run_that_was_made_ahead_waits_for_its_schedule_to_let_it_go() -> None:
    observed = observe(*THREE, startAt=moment(60))
    metadata = observed.invocation.metadata
    owner = OwnerReference(api_version="rollcall.dev/v1alpha1", kind="Schedule", name="nightly", uid="uid")
    marked = metadata.model_copy(update={"annotations": {"rollcall.dev/made-ahead": "x"}, "owner_references": (owner,)})
    waiting = replace(observed, invocation=observed.invocation.model_copy(update={"metadata": marked}))
    before, late = reconcile(waiting, NOW), reconcile(waiting, after(61))
    assert (starts(before), before.again_at) == ([], after(60).replace(microsecond=0))
    assert (starts(late), late.again_at, told(late)) == ([], None, ["NotYetDue"])
    orphaned = marked.model_copy(update={"owner_references": ()})
    for metadata in (marked.model_copy(update={"annotations": {}}), orphaned):
        let_go = replace(observed, invocation=observed.invocation.model_copy(update={"metadata": metadata}))
        assert starts(reconcile(let_go, after(61))) == ["job-0", "job-1", "job-2"]


def test_what_is_waited_for_is_said_once_and_its_end_once() -> None:
    observed = observe(*THREE, startAt=moment(60))
    observed = written(observed, reconcile(observed, NOW))
    assert asks_for_nothing(reconcile(observed, after(30)))
    plan = reconcile(observed, after(60))
    assert condition(plan, "Waiting") == ("False", "Proceeding")
    assert told(plan) == ["Proceeding", "Started"]
    assert starts(plan) == ["job-0", "job-1", "job-2"]


def test_a_suspended_invocation_lets_hosts_at_work_go_on() -> None:
    observed = observe(*THREE, started=1, suspend=True, observed={"pods": {"job-0": pod(0)}})
    plan = reconcile(observed, NOW)
    assert (starts(plan), plan.delete_pods, plan.orders) == ([], (), ())
    assert plan.status is not None
    assert plan.status.state == "Running"
    over: dict[str, Any] = {
        "pods": {"job-0": pod(0, Phase.ENDED)},
        "collected": {"job-0": collected(complete=True, a=SUCCEEDED)},
    }
    plan = reconcile(replace(observed, **over), after(5))
    assert plan.status is not None
    assert (plan.status.state, starts(plan)) == ("Suspended", [])


def batches(rollout: dict[str, Any], first: JobSlice, status: dict[str, Any] | None = None) -> Observed:
    observed = observe(first, slice_(1, "b", batch=1), slice_(2, "c", batch=1), started=1, rollout=rollout)
    changed = observed.invocation.status.model_copy(update={"batch": 1} | (status or {}))
    return replace(observed, invocation=observed.invocation.model_copy(update={"status": changed}))


PAUSED = {"batches": [1, "100%"], "pauseSeconds": 30}
APPROVED = {"batches": [1, "100%"], "pauseFor": "Approval"}


@pytest.mark.parametrize(
    ("rollout", "seconds", "started", "reason"),
    [
        (PAUSED, 29, [], "Paused"),
        (PAUSED, 30, ["job-1", "job-2"], None),
        (APPROVED, 1_000, [], "ApprovalNeeded"),
        (APPROVED | {"approvedBatches": 2}, 0, ["job-1", "job-2"], None),
        (APPROVED | {"pauseSeconds": 30, "approvedBatches": 2}, 0, ["job-1", "job-2"], None),
    ],
)
def test_a_pause_lies_between_two_batches(
    rollout: dict[str, Any], seconds: int, started: list[str], reason: str | None
) -> None:
    plan = reconcile(batches(rollout, done(0, "a", "Failed")), after(seconds))
    assert starts(plan) == started
    assert condition(plan, "Waiting") == (("True", reason) if reason else None)
    assert plan.status is not None
    assert plan.status.batch == (2 if started else 1)
    if reason == "Paused":
        assert plan.again_at == after(30).replace(microsecond=0)


@pytest.mark.parametrize(
    "first",
    [slice_(0, "a"), done(0, "a", "Failed", retry=True)],
    ids=["at work", "to be tried again"],
)
def test_a_batch_waits_for_every_host_of_the_one_before(first: JobSlice) -> None:
    observed = batches({"batches": [1, "100%"]}, first)
    assert "job-1" not in starts(reconcile(replace(observed, pods={"job-0": pod(0)}), NOW))


def test_a_batch_of_which_a_host_was_cancelled_still_needs_approval() -> None:
    """The cancelled host's slice is done, but nothing of the batch was started."""
    observed = batches(APPROVED, done(0, "a"))
    cancelled = done(1, "b", "Cancelled", batch=1)
    assert starts(reconcile(replace(observed, slices=Slices([*observed.slices, cancelled])), NOW)) == []


def test_a_batch_whose_slices_somebody_deleted_does_not_hold_up_the_next() -> None:
    observed = batches({"batches": [1, "100%"]}, done(0, "a"))
    left = [entry for entry in observed.slices if entry.spec.batch == 1]
    assert starts(reconcile(replace(observed, slices=Slices(left)), NOW)) == ["job-1", "job-2"]


def test_starts_are_spread_over_the_time_span() -> None:
    observed = observe(*THREE, rollout={"timeSpanSeconds": 30})
    plan = reconcile(observed, NOW)
    assert starts(plan) == ["job-0"]
    observed = replace(written(observed, plan), pods={"job-0": pod(0)})
    for seconds, started in ((9, []), (10, ["job-1"]), (19, ["job-1"]), (20, ["job-1", "job-2"])):
        assert starts(reconcile(observed, after(seconds))) == started
    plan = reconcile(written(observed, reconcile(observed, after(1))), after(1.5))
    assert plan.again_at == after(10).replace(microsecond=0) or plan.again_at == after(3)


def test_a_time_span_begins_with_the_first_host_that_can_be_started() -> None:
    """Host a is at work elsewhere; the others do not ask every moment whether their place has come."""
    other = Claimant(after(-60), "fleet", "other", "uid-of-other")
    locks = Locks()
    locks.update(other, {"x"}, lambda _: {Lock(LockKind.HOST, "fleet", "a"): True}, {})
    plan = reconcile(observe(*THREE, rollout={"timeSpanSeconds": 1}, observed={"locks": locks}), NOW)
    assert starts(plan) == ["job-1"]


def test_hosts_that_another_run_has_are_waited_for_and_the_others_started() -> None:
    other = Claimant(after(-60), "fleet", "other", "uid-of-other")
    locks = Locks()
    locks.update(other, {"other-0"}, lambda _: {Lock(LockKind.HOST, "fleet", "a"): True}, {})
    known = {"locks": locks, "hosts": {"a": host("a", exclusive="Slice")}}
    plan = reconcile(observe(*THREE, observed=known), NOW)
    assert starts(plan) == ["job-1", "job-2"]
    assert condition(plan, "Waiting") == ("True", "HostsBusy")
    assert plan.waited == {Lock(LockKind.HOST, "fleet", "a"): True}


def test_an_invocation_waits_for_another_of_its_template() -> None:
    alone = template(concurrencyPolicy="Forbid")
    other = Claimant(after(-60), "fleet", "other", "uid-of-other")
    locks = Locks()
    locks.update(other, {""}, lambda _: {Lock(LockKind.TEMPLATE, "fleet", "run"): True}, {})
    plan = reconcile(observe(*THREE, observed={"locks": locks, "template": alone}), NOW)
    assert (starts(plan), condition(plan, "Waiting")) == ([], ("True", "TemplateBusy"))
    begun = observe(*THREE, started=1, observed={"locks": locks, "template": alone, "pods": {"job-0": pod(0)}})
    assert starts(reconcile(begun, NOW)) == ["job-1", "job-2"]


def test_of_a_template_that_is_gone_one_invocation_is_at_work_at_a_time() -> None:
    """It may come back, and have allowed one only. Nobody looks after an operator's locks while none is there."""
    first = of_template(observe(THREE[0], started=1, observed={"pods": {"job-0": pod(0)}, "template": None}))
    restore_locks([first], NOW)
    other = of_template(observe(THREE[0], observed={"template": None, "locks": first.locks}))
    metadata = other.invocation.metadata.model_copy(update={"name": "other", "uid": "uid-of-other"})
    other = replace(other, invocation=other.invocation.model_copy(update={"metadata": metadata}))
    for found in (None, template(concurrencyPolicy="Forbid")):
        plan = reconcile(replace(other, template=found), NOW)
        assert (starts(plan), condition(plan, "Waiting")) == ([], ("True", "TemplateBusy"))
    first.locks.drop(first.claimant)
    assert starts(reconcile(other, NOW)) == ["job-0"], "its host fails then, for that"


def of_template(observed: Observed) -> Observed:
    """The same, with the template named in its status."""
    job = observed.invocation
    status = job.status.model_copy(update={"template": TemplateRecord(name="run", uid="uid-of-run", generation=1)})
    return replace(observed, invocation=job.model_copy(update={"status": status}))


# ---- what stops it

MISSED: dict[str, Any] = {"startBefore": moment(60)}


@pytest.mark.parametrize(
    ("spec", "at", "state", "end", "reason"),
    [
        ({"cancellation": {}}, 0, "Cancelled", "Cancelled", "Cancelled"),
        ({"cancellation": {"hosts": ["a", "b", "c"]}}, 0, "Cancelled", "Cancelled", "Cancelled"),
        (MISSED, 60, "NotStarted", "Failed", "StartWindowMissed"),
        (MISSED | {"suspend": True}, 60, "NotStarted", "Failed", "StartWindowMissed"),
        (MISSED | {"cancellation": {}}, 60, "Cancelled", "Cancelled", "Cancelled"),
    ],
)
def test_hosts_that_wait_are_never_started_after_that(
    spec: dict[str, Any], at: int, state: str, end: str, reason: str
) -> None:
    plan = reconcile(observe(*THREE, **spec), after(at))
    assert {found for found, _ in ends(plan).values()} == {state}
    assert (starts(plan), plan.done, condition(plan, end)) == ([], True, ("True", reason))
    assert plan.status is not None
    assert plan.status.hosts is not None
    assert (plan.status.hosts.cancelled, plan.status.start_time) == (3, None)


def test_who_began_in_time_missed_no_window() -> None:
    """The operator died before it wrote that the first host was started."""
    observed = observe(*THREE, **MISSED, observed={"pods": {"job-0": pod(0)}})
    assert starts(reconcile(observed, after(61))) == ["job-1", "job-2"]


def test_a_host_that_is_cancelled_while_its_slice_waits_is_not_started_with_the_others() -> None:
    """Its end is written down first, also when progress was written a moment ago."""
    observed = observe(slice_(0, "a", "b"), cancellation={"hosts": ["a"]}, observed={"progress_written": NOW})
    plan = reconcile(observed, NOW)
    assert (starts(plan), ends(plan)["a"]) == ([], ("Cancelled", "Cancelled"))
    observed = written(observed, plan)
    plan = reconcile(observed, NOW)
    assert [entry.status.hosts[0].state for entry in plan.start_slices] == ["Cancelled"]


def test_a_cancelled_host_that_waits_does_not_begin_the_invocation() -> None:
    observed = observe(*THREE, cancellation={"hosts": ["a"]}, startAt=moment(60))
    observed = written(observed, reconcile(observed, NOW))
    plan = reconcile(observed, after(5))
    assert (plan.status or observed.invocation.status).start_time is None


def test_the_deadline_runs_from_the_first_start_and_anew_from_a_resumption() -> None:
    def at(observed: Observed, seconds: float) -> str | None:
        plan = reconcile(replace(observed, pods={"job-0": pod(0)}), after(seconds))
        return None if not plan.orders and not plan.delete_pods else "stopped"

    observed = observe(slice_(0, "a"), started=1, activeDeadlineSeconds=60)
    assert (at(observed, 59), at(observed, 60)) == (None, "stopped")
    spec = observed.invocation.spec
    suspended = observed.invocation.model_copy(update={"spec": spec.model_copy(update={"suspend": True})})
    observed = replace(observed, invocation=suspended)
    assert at(observed, 1_000) is None
    observed = written(observed, reconcile(replace(observed, pods={"job-0": pod(0)}), after(30)))
    observed = replace(observed, invocation=observed.invocation.model_copy(update={"spec": spec}))
    assert at(observed, 1_000) is None, "it has been resumed just now"
    observed = written(observed, reconcile(replace(observed, pods={"job-0": pod(0)}), after(1_000)))
    assert (at(observed, 1_059), at(observed, 1_060)) == (None, "stopped")


def test_what_stops_hosts_at_work_is_lifted_by_nothing() -> None:
    """Neither by suspending the invocation, which stops the clock, nor by an operator that remembers no output."""
    working = {"pods": {"job-0": pod(0)}, "output_exceeded": True}
    for seconds, spec, known, reason in (
        (60, {"activeDeadlineSeconds": 60}, {"pods": {"job-0": pod(0)}}, "DeadlineExceeded"),
        (1, {}, working, "OutputLimit"),
    ):
        observed = observe(slice_(0, "a"), slice_(1, "b"), started=1, **spec, observed=known)
        plan = reconcile(observed, after(seconds))
        assert condition(plan, "FailureTarget") == ("True", reason)
        observed = replace(written(observed, plan), output_exceeded=False)
        invocation = observed.invocation
        suspended = invocation.model_copy(update={"spec": invocation.spec.model_copy(update={"suspend": True})})
        plan = reconcile(replace(observed, invocation=suspended), after(seconds + 100))
        assert plan.orders or plan.delete_pods
        assert starts(plan) == []


def test_hosts_at_work_at_the_deadline_fail_for_it_and_the_others_are_not_started() -> None:
    stopped = pod(0, Phase.ENDED, deleting_since=after(90))
    known = {"pods": {"job-0": stopped}, "collected": {"job-0": collected(complete=True, a=STOPPED)}}
    observed = observe(slice_(0, "a"), slice_(1, "b"), started=1, activeDeadlineSeconds=60, observed=known)
    plan = reconcile(observed, after(62))
    assert {name: state for name, (state, _) in ends(plan).items()} == {"a": "NotStarted", "b": "NotStarted"}
    began = replace(STOPPED, start_time=NOW.timestamp())
    plan = reconcile(replace(observed, collected={"job-0": collected(complete=True, a=began)}), after(62))
    assert ends(plan) == {"a": ("Failed", "DeadlineExceeded"), "b": ("NotStarted", "DeadlineExceeded")}
    assert condition(plan, "Failed") == ("True", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("most", "failed", "closed"),
    [
        (0, 1, True),
        (1, 1, False),
        (1, 2, True),
        ("20%", 1, True),
        ("50%", 2, False),
        ("50%", 3, True),
        (None, 3, False),
    ],
)
def test_too_many_failures_close_the_rollout(most: int | str | None, failed: int, closed: bool) -> None:
    names = "abcde"[:4]
    slices = [done(index, name, "Failed") for index, name in enumerate(names[:failed])]
    slices += [slice_(index, names[index]) for index in range(failed, 4)]
    plan = reconcile(observe(*slices, started=failed, rollout={} if most is None else {"maxFailed": most}), NOW)
    assert bool(starts(plan)) is not closed
    if closed:
        assert condition(plan, "Failed") == ("True", "TooManyFailed")
        assert {state for state, _ in ends(plan).values()} == {"NotStarted"}


def test_a_failure_that_will_be_tried_again_is_none_yet() -> None:
    """Host a cannot be reached; host b of the same slice still works, so nothing is decided for good."""
    known = {"pods": {"job-0": pod(0)}, "collected": {"job-0": collected(complete=False, a=UNREACHABLE, b=None)}}
    observed = observe(slice_(0, "a", "b"), slice_(1, "c"), started=1, rollout={"maxFailed": 0}, backoffLimit=1,
                       observed=known)  # fmt: skip
    plan = reconcile(observed, NOW)
    assert starts(plan) == ["job-1"]
    assert plan.status is not None
    assert plan.status.hosts is not None
    assert (plan.status.hosts.failed, plan.status.failures) == (0, ())


# ---- what is tried again


@pytest.mark.parametrize(
    ("exit_", "spec", "again"),
    [
        (UNREACHABLE, {"backoffLimit": 1}, True),
        (UNREACHABLE, {}, False),
        (UNREACHABLE, {"backoffLimit": 1, "retryOn": ["ExitCode"]}, False),
        (FAILED, {"backoffLimit": 1, "retryOn": ["ExitCode"]}, True),
        (TIMEOUT, {"backoffLimit": 1, "retryOn": ["Timeout"]}, True),
        (TIMEOUT, {"backoffLimit": 1, "retryOn": ["Unreachable"]}, False),
        (FAILED, {"backoffLimit": 1, "retryOnExitCodes": [3]}, True),
        (FAILED, {"backoffLimit": 1, "retryOnExitCodes": [4]}, False),
        (SUCCEEDED, {"backoffLimit": 1}, False),
        (UNREACHABLE, {"backoffLimit": 1, "activeDeadlineSeconds": 1}, False),
    ],
)
def test_what_failed_for_a_listed_reason_is_tried_again(exit_: Exit, spec: dict[str, Any], again: bool) -> None:
    known = {"pods": {"job-0": pod(0, Phase.ENDED)}, "collected": {"job-0": collected(complete=True, a=exit_)}}
    plan = reconcile(observe(slice_(0, "a"), started=1, observed=known, **spec), after(5))
    ((_, status),) = plan.slice_statuses
    assert (bool(status.hosts[0].retry), plan.done) == (again, not again)
    assert status.retry_time == (after(15) if again else None)


def test_a_retry_waits_for_its_time_runs_only_what_failed_and_ends_the_host() -> None:
    known = {"pods": {"job-0": pod(0, Phase.ENDED)},
             "collected": {"job-0": collected(complete=True, a=UNREACHABLE, b=SUCCEEDED)}}  # fmt: skip
    observed = observe(slice_(0, "a", "b"), started=1, backoffLimit=1, backoffSeconds=20, observed=known)
    observed = replace(written(observed, reconcile(observed, NOW)), pods={}, collected={})
    plan = reconcile(observed, after(1))
    ((child),) = plan.create_slices
    assert (child.metadata.name, child.spec.hosts, child.spec.attempt) == ("job-0-r1", ("a",), 1)
    assert dict(plan.slice_statuses)["job-0"].retry_slice == "job-0-r1"
    assert (told(plan), plan.again_at) == (["Retrying"], after(1))
    observed = written(observed, plan)
    waiting = reconcile(observed, after(5))
    assert (starts(waiting), waiting.again_at) == ([], after(20).replace(microsecond=0))
    plan = reconcile(observed, after(20))
    assert starts(plan) == ["job-0-r1"]
    ran = replace(pod(0, Phase.ENDED), name="job-0-r1", slice="job-0-r1")
    last: dict[str, Any] = {
        "pods": {"job-0-r1": ran},
        "collected": {"job-0-r1": collected(complete=True, a=UNREACHABLE)},
    }
    plan = reconcile(replace(written(observed, plan), **last), after(25))
    assert plan.status is not None
    assert plan.status.hosts is not None
    assert (plan.done, plan.status.hosts.failed, plan.status.hosts.succeeded) == (True, 1, 1)


@pytest.mark.parametrize(("attempt", "seconds"), [(0, 100), (1, 200), (2, 360), (9, 360)])
def test_the_back_off_doubles_up_to_six_minutes(attempt: int, seconds: int) -> None:
    name = f"job-0-r{attempt}" if attempt else "job-0"
    ran = replace(pod(0, Phase.ENDED), name=name, slice=name)
    known = {"pods": {name: ran}, "collected": {name: collected(complete=True, a=UNREACHABLE)}}
    parts = [done(0, "a", "Failed", attempt=number, retry=True) for number in range(attempt)]
    observed = observe(*parts, slice_(0, "a", attempt=attempt), started=1, backoffLimit=10, backoffSeconds=100,
                       observed=known)  # fmt: skip
    ((_, status),) = [entry for entry in reconcile(observed, NOW).slice_statuses if entry[0] == name]
    assert status.retry_time == NOW + timedelta(seconds=seconds)


RETRIED = (done(0, "a", "Failed", retry=True), slice_(0, "a", attempt=1))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"cancellation": {}}, ("Cancelled", "Cancelled")),
        ({"activeDeadlineSeconds": 1}, ("Failed", "Unreachable")),
    ],
)
def test_a_host_that_waits_to_be_tried_again_is_given_up(spec: dict[str, Any], expected: tuple[str, str]) -> None:
    plan = reconcile(observe(*RETRIED, started=1, backoffLimit=2, **spec), after(5))
    (found,) = dict(plan.slice_statuses)["job-0-r1"].hosts
    assert (found.state.value, found.reason) == expected
    assert plan.done


def test_a_retry_that_somebody_deleted_is_not_made_again() -> None:
    marked = RETRIED[0].model_copy(update={"status": RETRIED[0].status.model_copy(update={"retry_slice": "job-0-r1"})})
    plan = reconcile(observe(marked, started=1, backoffLimit=2), NOW)
    assert (plan.create_slices, plan.done) == ((), True)
    assert plan.status is not None
    assert [failure.host for failure in plan.status.failures] == ["a"]


# ---- how it ends

UNPROVEN = Exit(HostState.CANCEL_FAILED, reason=Reason.CANCEL_FAILED, message="no proof")


@pytest.mark.parametrize(
    ("exits", "cancelled", "end", "reason"),
    [
        ((SUCCEEDED, SUCCEEDED), {}, "Complete", "AllHostsSucceeded"),
        ((SUCCEEDED, STOPPED), {}, "Cancelled", "Cancelled"),
        ((UNPROVEN, STOPPED), {}, "Cancelled", "CancelFailed"),
        ((FAILED, STOPPED), {}, "Cancelled", "Cancelled"),
        ((FAILED, FAILED), {}, "Failed", "HostsFailed"),
        ((SUCCEEDED, STOPPED), {"hosts": ["b"]}, "Cancelled", "Cancelled"),
        ((FAILED, STOPPED), {"hosts": ["b"]}, "Failed", "HostsFailed"),
        ((SUCCEEDED, FAILED), {"hosts": ["b"]}, "Failed", "HostsFailed"),
    ],
)
def test_exactly_one_condition_tells_the_end(
    exits: tuple[Exit, Exit], cancelled: dict[str, Any], end: str, reason: str
) -> None:
    runner = pod(0, Phase.ENDED, deleting_since=after(30))
    known = {"pods": {"job-0": runner}, "collected": {"job-0": collected(complete=True, a=exits[0], b=exits[1])}}
    observed = observe(slice_(0, "a", "b"), started=1, cancellation=cancelled, observed=known)
    plan = reconcile(observed, after(5))
    found = {type_: condition(plan, type_) for type_ in ("Complete", "Failed", "Cancelled")}
    assert found == dict.fromkeys(found) | {end: ("True", reason)}
    assert told(plan)[-1] == reason
    assert plan.status is not None
    counts = plan.status.hosts
    assert counts is not None
    assert counts.succeeded + counts.failed + counts.cancelled == counts.total == 2


def test_a_host_chosen_to_be_cancelled_is_cancelled_whatever_stops_the_others() -> None:
    known = {"pods": {"job-0": pod(0, Phase.ENDED, deleting_since=after(90))},
             "collected": {"job-0": collected(complete=True, a=STOPPED, b=STOPPED)}}  # fmt: skip
    observed = observe(slice_(0, "a", "b"), slice_(1, "c", "d"), started=1, observed=known,
                       activeDeadlineSeconds=1, cancellation={"hosts": ["a", "c"]})  # fmt: skip
    states = {name: state for name, (state, _) in ends(reconcile(observed, after(5))).items()}
    assert states == {"a": "Cancelled", "b": "NotStarted", "c": "Cancelled", "d": "NotStarted"}


def test_a_pod_that_an_old_operator_made_of_a_slice_that_was_given_up_is_stopped() -> None:
    cancelled = slice_(0, "a", status={"state": "Done", "hosts": [{"name": "a", "state": "Cancelled"}]})
    plan = reconcile(observe(cancelled, slice_(1, "b"), observed={"pods": {"job-0": pod(0)}}), NOW)
    assert plan.delete_pods == ("job-0",)
