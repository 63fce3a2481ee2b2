"""Two hundred invocations of ten hosts each, made at once, on stand-ins for nodes: all end, and none costs the others.

The operator's CPU time for an invocation is compared between a few invocations and many, and again for a few while the
many, which have ended by then, are still there. At the end the same many come once more with one pod for all hosts of
an invocation: how long a reconcile takes when it is not the pods that the API server is busy with.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from perf.scale import scaled
from support.crowd import create_all, host_name, stock, wait_until_numbered
from support.exposition import scrape
from support.jobs import invocation
from support.kube import Kube, Object, condition
from support.operator import Operator, account
from support.report import Report
from support.standin import keep_to_standins, standins
from support.standin_runner import Part
from support.usage import cpu_seconds, peak_mib

MANY = scaled(200)
FEW = scaled(20)
HOSTS_EACH = 10
TIMEOUT = 900
LOOK_SECONDS = 2
"""How long between two looks at all invocations: the API server is to have little to do but for them."""
RECONCILE = "rollcall_reconcile_seconds_bucket"
REQUEST = "rollcall_kubernetes_request_seconds_bucket"


def test_many_invocations(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report
) -> None:
    namespace = make_namespace("bench")
    keep_to_standins(kube, namespace)
    stock(kube, namespace, MANY * HOSTS_EACH)
    with (
        standins(kube, MANY * HOSTS_EACH),
        Operator(namespace, account(kube, namespace, tmp_path), tmp_path / "operator.log") as operator,
    ):
        assert operator.process is not None
        operator.wait_until_leading(kube)
        wait_until_numbered(kube, namespace)
        run(kube, operator, "warm-up", FEW)
        few, _ = run(kube, operator, "few", FEW)
        before, asked = times(operator, RECONCILE), times(operator, REQUEST)
        many, taken = run(kube, operator, "many", MANY)
        looks, requests = times(operator, RECONCILE) - before, times(operator, REQUEST) - asked
        later, _ = run(kube, operator, "later", FEW)
        before = times(operator, RECONCILE)
        _, packed = run(kube, operator, "packed", MANY, rollout={"hostsPerSlice": HOSTS_EACH})
        packed_looks = times(operator, RECONCILE) - before
        peak = peak_mib(operator.process.pid)
    report.add(f"{MANY} invocations of {HOSTS_EACH} hosts at once", taken, "s")
    report.add("reconcile, 99 % are at most", quantile(looks, 0.99) * 1000, "ms", at_most=250)
    report.add("reconcile, half are at most", quantile(looks, 0.5) * 1000, "ms")
    report.add("one request to the API server meanwhile, 99 % are at most", quantile(requests, 0.99) * 1000, "ms")
    report.add("the same invocations, all hosts of each in one pod", packed, "s")
    report.add("reconcile then, 99 % are at most", quantile(packed_looks, 0.99) * 1000, "ms", at_most=250)
    report.add(f"operator CPU of an invocation, {MANY} at once", many * 1000, "ms")
    report.add(f"operator CPU of an invocation, {MANY} at once / {FEW} at once", many / few, "x", at_most=1.5)
    report.add(f"the same, {FEW} beside {MANY} that have ended / {FEW} alone", later / few, "x", at_most=1.5)
    report.add("operator memory, peak", peak, "MiB")


def run(kube: Kube, operator: Operator, prefix: str, count: int, **spec: Any) -> tuple[float, float]:
    """Creates invocations and waits until all are Complete; the operator's CPU for one, and how long all took, to a
    second."""
    assert operator.process is not None
    names = {f"{prefix}-{number}" for number in range(count)}
    began, cpu = time.time(), cpu_seconds(operator.process.pid)
    create_all(kube, (job(operator.namespace, prefix, number, spec) for number in range(count)), "invocations")
    while True:
        found = [one for one in kube.list("jobinvocations", operator.namespace) if one["metadata"]["name"] in names]
        states = Counter(one.get("status", {}).get("state", "New") for one in found)
        complete = sum(condition(one, "Complete") is not None for one in found)
        taken = time.time() - began
        print(f"{prefix}: {dict(states)} after {taken:.1f} s", flush=True)
        if complete == count:
            break
        assert operator.alive, operator.said()[-2_000:]
        assert not any(condition(one, "Failed") for one in found), states
        assert taken < TIMEOUT, states
        time.sleep(LOOK_SECONDS)
    last = max(datetime.fromisoformat(one["status"]["completionTime"]) for one in found)
    kube.wait("pods to go", lambda: not kube.list("pods", operator.namespace, limit=1), 120, interval=0.5)
    return (cpu_seconds(operator.process.pid) - cpu) / count, last.timestamp() - began


def job(namespace: str, prefix: str, number: int, spec: Object) -> Object:
    """An invocation on ten hosts that no other one of its batch has."""
    hosts = [host_name(index) for index in range(number * HOSTS_EACH, (number + 1) * HOSTS_EACH)]
    return invocation(namespace, f"{prefix}-{number}", Part().script, hosts, **spec)


def times(operator: Operator, histogram: str) -> Counter[float]:
    """How many of them took at most so many seconds, for each bound that the operator counts by."""
    found = scrape(operator.port).by(histogram, "le")
    return Counter({float(bound): int(count) for bound, count in found.items()})


def quantile(looks: Mapping[float, int], share: float) -> float:
    """The lowest bound that this share of them keeps."""
    total = max(looks.values())
    return min(bound for bound, count in looks.items() if count >= share * total)
