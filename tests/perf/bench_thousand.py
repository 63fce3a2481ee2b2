"""Create-to-complete of a 1,000-host job on stand-ins for nodes, against a native Indexed Job of 1,000 pods there."""

import statistics
from collections.abc import Callable
from pathlib import Path

from perf.scale import scaled
from rollcall.work import Credentials, HostWork, Work
from support.contest import Contest, native_work
from support.crowd import stock, wait_until_numbered
from support.kube import Kube
from support.operator import Operator, account
from support.report import Report
from support.standin import keep_to_standins, standins
from support.standin_runner import Part
from support.usage import cpu_seconds, peak_mib

HOSTS = scaled(1_000)
ROUNDS = 3


def test_a_thousand_hosts(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report
) -> None:
    namespace = make_namespace("bench")
    keep_to_standins(kube, namespace)
    stock(kube, namespace, HOSTS)
    kube.create(native_work(namespace, one_host()))
    native: list[float] = []
    per_host: list[float] = []
    packed: list[float] = []
    with (
        standins(kube, HOSTS),
        Operator(namespace, account(kube, namespace, tmp_path), tmp_path / "operator.log") as operator,
    ):
        assert operator.process is not None
        operator.wait_until_leading(kube)
        wait_until_numbered(kube, namespace)
        contest = Contest(kube, operator)
        contest.native("warm-up", HOSTS // 10)
        cpu = 0.0
        for number in range(ROUNDS):
            native.append(contest.native(f"native-{number}", HOSTS))
            before = cpu_seconds(operator.process.pid)
            per_host.append(contest.ours(f"single-{number}", Part().script, 1))
            cpu += cpu_seconds(operator.process.pid) - before
            packed.append(contest.ours(f"packed-{number}", Part().script, "auto"))
        peak = peak_mib(operator.process.pid)
    report.add(f"native Indexed Job of {HOSTS:,} pods", statistics.median(native), "s")
    report.add(f"{HOSTS:,} hosts, a pod each", statistics.median(per_host), "s")
    ratio = statistics.median(ours / theirs for ours, theirs in zip(per_host, native, strict=True))
    report.add(f"{HOSTS:,} hosts, a pod each / native Job", ratio, "x", at_most=1.3)
    report.add(f"{HOSTS:,} hosts, packed", statistics.median(packed), "s")
    ratio = statistics.median(ours / theirs for ours, theirs in zip(packed, native, strict=True))
    report.add(f"{HOSTS:,} hosts, packed / native Job", ratio, "x", at_most=0.2)
    report.add("operator CPU of a host, a pod each", cpu / ROUNDS / HOSTS * 1000, "ms")
    report.add("operator memory, peak", peak, "MiB")


def one_host() -> Work:
    """What each pod of the native Job does, which is what a slice of one host does."""
    return Work(
        hosts=(HostWork("host", "198.18.0.1", 22, "ops", (), 0, 0),),
        scripts=(Part().script,),
        credentials=(Credentials(password="none"),),
        parallelism=1,
        execution_timeout_seconds=60,
        output_limit_bytes=1_000_000,
    )
