"""A job on 10,000 hosts, packed, on stand-ins for nodes: time, memory, the size of objects, the count of API calls.

The Secrets with the work of slices have no bar. Each holds the work of as many slices as fit into it, up to
`rollcall.work.MAX_WORK_BYTES` before base64, which spares the API server a Secret for each pod. It is written once, is
never changed, and goes when the job has ended.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from perf.scale import scaled
from support.census import Census, largest
from support.contest import Contest
from support.crowd import stock, wait_until_numbered
from support.jobs import end_of, invocation
from support.kube import Kube, Object
from support.operator import Operator
from support.report import Report
from support.standin import keep_to_standins, standins
from support.standin_runner import Part
from support.usage import cpu_seconds, peak_mib, resident_mib

HOSTS = scaled(10_000)
SLICES = 100
WATCHED = 5
"""Hosts, templates, invocations, slices and pods."""
ROUNDS = 3
BRIEF = Part(lines=4, line_bytes=100).script
"""More than the tail of a host's output that its slice keeps."""
TRICKLE_SECONDS = 30
TRICKLE = Part(lines=4, line_bytes=100, spread=TRICKLE_SECONDS).script
"""The hosts of each slice end one after the other, so that there is progress to write all the time."""
LIMITS = {"jobinvocations": 100, "jobslices": 100, "joboutputs": 262.144}
"""The most kB that an object may have. What changes all the time must be small; a chunk of output is as large as the
design lets it be."""


def test_ten_thousand_hosts(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report
) -> None:
    namespace = make_namespace("bench")
    keep_to_standins(kube, namespace)
    stock(kube, namespace, HOSTS)
    with standins(kube, SLICES):
        with Operator(namespace, kube.kubeconfig, tmp_path / "operator.log") as operator:
            measure(report, kube, operator)
        with Census(kube) as census:
            kubeconfig = census.kubeconfig(tmp_path / "kubeconfig")
            with Operator(namespace, kubeconfig, tmp_path / "counted.log") as operator:
                count(report, kube, operator, census)


def measure(report: Report, kube: Kube, operator: Operator) -> None:
    """Times the job, and the numbering of its hosts before."""
    assert operator.process is not None
    pid = operator.process.pid
    operator.wait_until_leading(kube)
    began = time.monotonic()
    wait_until_numbered(kube, operator.namespace)
    report.add(f"ids for {HOSTS:,} new hosts", time.monotonic() - began, "s")
    report.add(f"ids for {HOSTS:,} new hosts, operator CPU", cpu_seconds(pid), "s")
    idle = resident_mib(pid)
    contest = Contest(kube, operator)
    taken: list[float] = []
    cpu: list[float] = []
    for number in range(ROUNDS):
        before = cpu_seconds(pid)
        taken.append(contest.complete(f"brief-{number}", BRIEF, "auto"))
        cpu.append(cpu_seconds(pid) - before)
        contest.remove(f"brief-{number}")
    report.add(f"{HOSTS:,} hosts, packed", statistics.median(taken), "s", at_most=60)
    report.add(f"{HOSTS:,} hosts, packed, operator CPU", statistics.median(cpu), "s")
    report.add(f"operator memory, {HOSTS:,} hosts and no job", idle, "MiB")
    report.add("operator memory, peak", peak_mib(pid), "MiB", at_most=300)
    weigh(report, kube, contest)


def weigh(report: Report, kube: Kube, contest: Contest) -> None:
    """Reports a job's largest object of each kind: of its Secrets while it runs, of the others when it has ended."""
    name, namespace = "weighed", contest.operator.namespace
    kube.create(invocation(namespace, name, TRICKLE, None, rollout={"hostsPerSlice": "auto"}))

    def works() -> list[Object]:
        status = kube.get("jobinvocations", namespace, name).get("status", {})
        if not status.get("slices") or status.get("startedSlices", 0) < status["slices"]:
            return []
        return kube.list("secrets", namespace, labelSelector=f"rollcall.dev/invocation={name}")

    found = kube.wait("Secrets with all of the work", works, contest.timeout)
    report.add("Secrets with the work", len(found), "")
    report.add("Secrets with the work, the largest", largest(kube, "secrets", namespace) / 1000, "kB")
    end_of(kube, namespace, name, contest.timeout)
    for plural, limit in LIMITS.items():
        if size := largest(kube, plural, namespace):  # else there is none of the kind
            report.add(f"{plural}, the largest", size / 1000, "kB", at_most=limit)
    contest.remove(name)


def count(report: Report, kube: Kube, operator: Operator, census: Census) -> None:
    """Counts the API calls of a job whose hosts end at once, and of one whose hosts end over half a minute."""
    assert operator.process is not None
    census.count()
    operator.wait_until_leading(kube)
    kube.wait("watches of all kinds", lambda: census.watches >= WATCHED)
    contest = Contest(kube, operator)
    for name, command, bar in (("at-once", BRIEF, 0.2), ("trickle", TRICKLE, None)):
        census.calls.clear()
        before = cpu_seconds(operator.process.pid)
        contest.complete(name, command, "auto")
        calls = census.calls.copy()
        for call, times in calls.most_common():
            print(f"{name}: {times:5} {call}", flush=True)
        report.add(f"API calls of a host, {name}", calls.total() / HOSTS, "", at_most=bar)
        report.add(f"operator CPU, {name}, behind a proxy", cpu_seconds(operator.process.pid) - before, "s")
        contest.remove(name)
