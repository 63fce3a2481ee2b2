"""What the status of an invocation tells of single hosts, and which slice it sends a person to."""

import json
from dataclasses import replace
from typing import Any

import pytest

from rollcall.names import HostState, Reason
from rollcall.outputs import Exit
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Collected, Observed
from rollcall.plan.pods import Phase, Trouble
from rollcall.plan.slices import Slices
from rollcall.plan.units import units
from rollcall.resources.jobinvocation import HostFate, JobInvocationStatus
from rollcall.resources.jobslice import JobSlice
from unit.core.objects import (
    FAILED,
    NOW,
    STOPPED,
    SUCCEEDED,
    after,
    asks_for_nothing,
    collected,
    pod,
    progress,
    resolved,
    slice_,
    slices_with_pods,
    template,
    written,
)

Told = tuple[str, str, str, int, str]
"""A host with its state, reason, attempt and slice."""


def observe(*slices: JobSlice, started: int, **spec: Any) -> Observed:
    observed = {key: spec.pop(key) for key in ("pods", "collected") if key in spec}
    job = resolved(*slices, started=started, **spec)
    return Observed(job, slices=Slices(slices), template=template(), **observed)


def status_of(observed: Observed, seconds: float = 5) -> JobInvocationStatus:
    status = reconcile(observed, after(seconds)).status
    assert status is not None
    return status


def told(fates: tuple[HostFate, ...]) -> list[Told]:
    return [(fate.host, str(fate.state), fate.reason, fate.attempt or 0, fate.slice or "") for fate in fates]


def words(fates: tuple[HostFate, ...]) -> dict[str, str]:
    return {fate.host: fate.message for fate in fates}


def test_hosts_that_share_a_pod_are_told_apart_while_it_works() -> None:
    heard = collected(complete=False, a=FAILED, b=STOPPED, c=None, d=SUCCEEDED)
    observed = observe(
        slice_(0, "a", "b", "c", "d", "e"), started=1, pods={"job-0": pod(0)}, collected={"job-0": heard},
        cancellation={"hosts": ["b"]},
    )  # fmt: skip
    status = status_of(observed)
    assert told(status.failures) == [("a", "Failed", "ExitCode", 0, "job-0")]
    assert words(status.failures) == {"a": "the script ended with exit code 3"}
    assert told(status.stopped) == [("b", "Cancelled", "Cancelled", 0, "job-0")]
    assert told(status.unfinished) == [("c", "Running", "", 0, "job-0"), ("e", "Pending", "", 0, "job-0")]
    assert words(status.unfinished)["e"] == "its runner pod is starting, or works on other hosts of the slice"


def test_an_end_stays_told_when_its_slice_is_done_and_the_invocation_too() -> None:
    unproven = Exit(HostState.CANCEL_FAILED, reason=Reason.CANCEL_FAILED, message="no proof")
    ended = collected(complete=True, a=unproven, b=STOPPED)
    observed = observe(
        slice_(0, "a", "b"), started=1, pods={"job-0": pod(0, Phase.ENDED)}, collected={"job-0": ended},
        cancellation={"hosts": ["a", "b"]},
    )  # fmt: skip
    plan = reconcile(observed, after(5))
    assert plan.done
    assert plan.status is not None
    assert told(plan.status.failures) == [("a", "CancelFailed", "CancelFailed", 0, "job-0")]
    assert told(plan.status.stopped) == [("b", "Cancelled", "Cancelled", 0, "job-0")]
    assert plan.status.unfinished == ()
    open_ = observe(*written(observed, plan).slices, slice_(1, "c"), started=1, cancellation={"hosts": ["a", "b"]})
    assert told(status_of(open_).failures) == told(plan.status.failures)
    assert told(status_of(open_).stopped) == told(plan.status.stopped)


def test_a_host_that_is_tried_again_says_why_from_when_and_where() -> None:
    heard = collected(complete=False, a=FAILED, b=None)
    retry = {"backoffLimit": 1, "backoffSeconds": 20, "retryOn": ["ExitCode"]}
    observed = observe(
        slice_(0, "a", "b"), started=1, pods={"job-0": pod(0)}, collected={"job-0": heard}, **retry
    )  # fmt: skip
    at_work = status_of(observed)
    assert at_work.failures == ()
    assert told(at_work.unfinished) == [("a", "Pending", "ExitCode", 0, "job-0"), ("b", "Running", "", 0, "job-0")]
    assert words(at_work.unfinished)["a"].endswith("exit code 3; tried again when its slice has ended")
    ended = {"job-0": collected(complete=True, a=FAILED, b=SUCCEEDED)}
    observed = replace(observed, pods={"job-0": pod(0, Phase.ENDED)}, collected=ended)
    done = reconcile(observed, NOW)
    assert done.status is not None
    assert told(done.status.unfinished) == [("a", "Pending", "ExitCode", 0, "job-0")]
    observed = replace(written(observed, done), pods={}, collected={})
    born = reconcile(observed, after(1))
    assert born.status is not None
    assert told(born.status.unfinished) == [("a", "Pending", "ExitCode", 1, "job-0-r1")]
    assert words(born.status.unfinished)["a"].endswith("exit code 3; tried again from 12:00:20 UTC on")
    assert [note.message for note in born.notes] == ["1 host that failed will be tried again: a (ExitCode) in job-0-r1"]
    observed = written(observed, born)
    assert asks_for_nothing(reconcile(observed, after(2))), "nothing is new while the time passes"
    again = reconcile(observed, after(20))
    assert again.status is not None
    assert told(again.status.unfinished) == [("a", "Pending", "", 1, "job-0-r1")]
    ran = replace(pod(0, Phase.ENDED), name="job-0-r1", slice="job-0-r1")
    last = {"job-0-r1": collected(complete=True, a=FAILED)}
    end = status_of(replace(written(observed, again), pods={"job-0-r1": ran}, collected=last), 25)
    assert told(end.failures) == [("a", "Failed", "ExitCode", 1, "job-0-r1")]


def test_a_host_that_waits_says_for_what() -> None:
    trouble = Trouble(Reason.UNSCHEDULABLE, "no node takes the runner pod: too small")
    stuck = {"job-0": pod(0, Phase.WAITING, trouble=trouble, container_started=False)}
    rollout = {"rollout": {"batches": [2, 1], "concurrency": 1}}
    first, second, third = slice_(0, "a"), slice_(1, "b"), slice_(2, "c", batch=1)
    fates = status_of(observe(first, second, third, started=1, pods=stuck, **rollout)).unfinished
    assert told(fates) == [
        ("a", "Pending", "Unschedulable", 0, "job-0"),
        ("b", "Pending", "", 0, "job-1"),
        ("c", "Pending", "", 0, "job-2"),
    ]
    assert words(fates) == {
        "a": "no node takes the runner pod: too small",
        "b": "its turn has not come: rollout.concurrency is 1",
        "c": "batch 2 has not begun",
    }
    (suspended,) = status_of(observe(first, started=0, suspend=True)).unfinished
    assert (suspended.reason, suspended.message) == (
        "Suspended",
        "no further hosts are started while spec.suspend is true",
    )
    (early,) = status_of(observe(first, started=0, startAt="2026-03-01T13:00:00Z")).unfinished
    assert (early.reason, early.message) == ("NotYetDue", "starts at 2026-03-01 13:00:00 UTC")


@pytest.mark.parametrize(
    ("spec", "word"),
    [({"suspend": True}, "Suspended"), ({"startAt": "2026-03-01T12:01:00Z"}, "NotYetDue")],
)
def test_the_word_in_the_table_goes_when_nothing_is_waited_for(spec: dict[str, Any], word: str) -> None:
    observed = observe(slice_(0, "a"), started=0, **spec)
    plan = reconcile(observed, NOW)
    assert plan.status is not None
    assert plan.status.waiting_for == word
    waiting = written(observed, plan)
    freed = waiting.invocation.model_copy(
        update={"spec": waiting.invocation.spec.model_copy(update={"suspend": False})}
    )
    assert status_of(replace(waiting, invocation=freed), 60).waiting_for is None
    ended = observe(slice_(0, "a"), started=0, cancellation={}, **spec)
    assert reconcile(ended, NOW).done
    assert status_of(ended, 0).waiting_for is None


def test_hosts_that_are_never_started_name_the_slice_that_says_so() -> None:
    shared = units(slices_with_pods(1, "b", "c"))
    failed = {"job-0": collected(complete=True, a=FAILED)}
    pods = {"job-0": pod(0, Phase.ENDED)}
    observed = observe(slice_(0, "a"), *shared, started=1, pods=pods, collected=failed, rollout={"maxFailed": 0})
    status = status_of(observed)
    assert told(status.failures) == [("a", "Failed", "ExitCode", 0, "job-0")]
    assert told(status.stopped) == [
        ("b", "NotStarted", "TooManyFailed", 0, "job-1"), ("c", "NotStarted", "TooManyFailed", 0, "job-1"),
    ]  # fmt: skip
    assert words(status.stopped)["b"] == "1 host failed, and rollout.maxFailed is 0; it was not started"


def test_the_status_is_small_however_many_hosts_fail_at_length_in_whatever_script() -> None:
    names = [[f"{'h' * 240}{kind}{number}" for number in range(100)] for kind in "fsp"]
    failed, stopped, waiting = (slice_(index, *of_kind) for index, of_kind in enumerate(names))
    long = "\N{GRINNING FACE}" * 1_000
    ends = {
        "job-0": {name: progress(replace(FAILED, message=long)) for name in names[0]},
        "job-1": {name: progress(replace(STOPPED, message=long)) for name in names[1]},
    }
    trouble = Trouble(Reason.UNSCHEDULABLE, long)
    observed = observe(
        failed, stopped, waiting, started=3, cancellation={"hosts": names[1]},
        pods={"job-0": pod(0), "job-1": pod(1), "job-2": pod(2, Phase.WAITING, trouble=trouble)},
        collected={name: Collected(hosts, complete=False) for name, hosts in ends.items()},
    )  # fmt: skip
    status = status_of(observed)
    assert [len(fates) for fates in (status.failures, status.stopped, status.unfinished)] == [20, 20, 20]
    assert status.failures[0].message.endswith("…")
    assert len(json.dumps(status.wire(), ensure_ascii=False).encode()) < 100_000


def test_a_patch_takes_away_what_is_absent_now() -> None:
    """A merge patch leaves alone what it does not mention."""
    before = JobInvocationStatus(waiting_for="HostsBusy", batch=1)
    patch = JobInvocationStatus(batch=2).patch(before)
    assert (patch["waitingFor"], patch["batch"]) == (None, 2)
    assert "description" not in patch
