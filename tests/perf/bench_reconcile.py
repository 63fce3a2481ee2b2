"""What a decision costs, `rollcall.plan` alone: with hosts that have ended, and with none."""

import statistics
import time
from typing import Any

from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed
from rollcall.plan.slices import Slices
from rollcall.resources.jobslice import JobSlice
from support.report import Report
from unit.core.objects import NOW, after, pod, resolved, slice_, template

OPEN = 10
HOSTS_PER_SLICE = 100
SIZES = (0, 1_000, 9_000)
"""How many hosts have ended."""
ROUNDS = 200


def test_finished_hosts_cost_nothing(report: Report) -> None:
    observed = {size: an_invocation(size // HOSTS_PER_SLICE) for size in SIZES}
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size, found in observed.items():
            began = time.perf_counter()
            reconcile(found, after(1))
            taken[size].append(time.perf_counter() - began)
    for size in SIZES:
        report.add(f"reconcile, {OPEN} slices at work, {size:,} hosts ended", median_ms(taken[size]), "ms")
    for size in SIZES[1:]:
        ratio = median_ms(taken[size]) / median_ms(taken[0])
        report.add(f"reconcile with {size:,} ended hosts / with none", ratio, "x", at_most=1.5)


def median_ms(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1000


def an_invocation(done: int) -> Observed:
    """An invocation with so many slices that are done, and some at work."""
    slices = [a_slice(index, done=index < done) for index in range(done + OPEN)]
    return Observed(
        invocation=resolved(*slices, started=len(slices)),
        slices=Slices(slices),
        pods={f"job-{index}": pod(index) for index in range(done, done + OPEN)},
        template=template(),
    )


def a_slice(index: int, *, done: bool) -> JobSlice:
    names = [f"host-{index}-{number}" for number in range(HOSTS_PER_SLICE)]
    moment = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"state": "Succeeded", "exitCode": 0, "startTime": moment, "completionTime": moment}
    status: dict[str, Any] = {
        "state": "Done",
        "podName": f"job-{index}",
        "startTime": moment,
        "completionTime": moment,
        "succeeded": len(names),
        "failed": 0,
        "hosts": [{"name": name} | ended for name in names],
    }
    return slice_(index, *names, status=status if done else {"state": "Running", "podName": f"job-{index}"})
