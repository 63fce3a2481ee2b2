"""Whoever was told to stop was cancelled, also if the list of chosen hosts is another one since."""

from dataclasses import replace
from typing import Any

import pytest

from rollcall.names import HostState
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed
from rollcall.plan.pods import Phase
from rollcall.plan.slices import Slices
from rollcall.work import StopOrder
from unit.core.objects import NOW, STOPPED, SUCCEEDED, after, collected, hosts, pod, resolved, slice_, template

AT_WORK = slice_(
    0, "a", "b", "c",
    status={"state": "Running", "podName": "job-0", "hosts": [{"name": name, "state": "Running"} for name in "abc"]},
)  # fmt: skip
FIRST = StopOrder(("a",), time=int(NOW.timestamp()))


def observe(cancelled: list[str] | None, **spec: Any) -> Observed:
    """The first host was told to stop, and these are chosen since; none: the cancellation was taken back."""
    if cancelled:
        spec["cancellation"] = {"hosts": cancelled}
    job = resolved(AT_WORK, started=1, **spec)
    runner = pod(0, stop_order=FIRST.dump())
    heard = {"job-0": collected(complete=False, a=STOPPED, b=None, c=None)}
    return Observed(
        job, slices=Slices([AT_WORK]), pods={"job-0": runner}, collected=heard, hosts=hosts(*"abc"), template=template()
    )


def test_a_new_order_repeats_the_one_that_the_runner_may_not_have_read() -> None:
    (_, order) = reconcile(observe(["b"]), after(1)).orders[0]
    assert order.hosts == ("a", "b")


@pytest.mark.parametrize("cancelled", [["a"], None])
def test_an_order_is_not_given_again_nor_taken_back(cancelled: list[str] | None) -> None:
    assert reconcile(observe(cancelled), after(1)).orders == ()


@pytest.mark.parametrize("cancelled", [["b"], None])
@pytest.mark.parametrize("retried", [{}, {"backoffLimit": 1, "retryOn": ["PodDeleted"]}])
def test_who_was_told_to_stop_ends_as_cancelled_and_is_not_tried_again(
    retried: dict[str, Any], cancelled: list[str] | None
) -> None:
    at_work = observe(cancelled, **retried)
    (_, status) = reconcile(at_work, after(1)).slice_statuses[0]
    assert status.hosts[0].state == HostState.CANCELLED
    ended = {"job-0": pod(0, Phase.ENDED, stop_order=FIRST.dump())}
    heard = {"job-0": collected(complete=True, a=STOPPED, b=SUCCEEDED, c=SUCCEEDED)}
    plan = reconcile(replace(at_work, pods=ended, collected=heard), after(10))
    (_, status) = plan.slice_statuses[0]
    assert [host.state for host in status.hosts] == [HostState.CANCELLED, HostState.SUCCEEDED, HostState.SUCCEEDED]
    assert plan.create_slices == ()
