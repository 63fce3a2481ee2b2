"""Create-to-complete of a 40-host job, against a native Indexed Job that runs the same runner in as many pods."""

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from perf.scale import scaled
from rollcall.work import Credentials, HostWork, Work
from support.contest import Contest, native_work
from support.jobs import furnish
from support.kube import Kube
from support.operator import Operator
from support.report import Report
from support.sshhosts import KeyPair, SshHost
from support.usage import peak_mib, resident_mib

HOSTS = scaled(40)
ROUNDS = 3
COMMAND = "echo hello from $(hostname)"


def test_forty_hosts(
    kube: Kube,
    crds: None,
    make_namespace: Callable[[str], str],
    hosts: list[SshHost],
    client_key: KeyPair,
    tmp_path: Path,
    report: Report,
) -> None:
    namespace = make_namespace("bench")
    many = [replace(hosts[number % len(hosts)], name=f"bench-{number}") for number in range(HOSTS)]
    furnish(kube, namespace, many, client_key)
    kube.create(native_work(namespace, one_host(many[0], client_key)))
    native: list[float] = []
    per_host: list[float] = []
    packed: list[float] = []
    with Operator(namespace, kube.kubeconfig, tmp_path / "operator.log") as operator:
        assert operator.process is not None
        operator.wait_until_leading(kube)
        idle = resident_mib(operator.process.pid)
        contest = Contest(kube, operator, timeout=180)
        for number in range(ROUNDS):
            native.append(contest.native(f"native-{number}", HOSTS))
            per_host.append(contest.ours(f"single-{number}", COMMAND, 1))
            packed.append(contest.ours(f"packed-{number}", COMMAND, HOSTS))
        peak = peak_mib(operator.process.pid)
    report.add(f"native Indexed Job of {HOSTS} pods", statistics.median(native), "s")
    ratio = statistics.median(ours / theirs for ours, theirs in zip(per_host, native, strict=True))
    report.add(f"{HOSTS} hosts, a pod each / native Job", ratio, "x", at_most=1.25)
    ratio = statistics.median(ours / theirs for ours, theirs in zip(packed, native, strict=True))
    report.add(f"{HOSTS} hosts in one pod / native Job", ratio, "x", at_most=0.35)
    report.add("operator memory, idle", idle, "MiB", at_most=120)
    report.add("operator memory, peak", peak, "MiB", at_most=120)


def one_host(host: SshHost, key: KeyPair) -> Work:
    """What each pod of the native Job does, which is what a slice of one host does."""
    return Work(
        hosts=(HostWork(host.name, host.address, 22, "ops", (host.host_key,), 0, 0),),
        scripts=(COMMAND + "\n",),
        credentials=(Credentials(private_key=key.private),),
        parallelism=1,
        execution_timeout_seconds=60,
        output_limit_bytes=1_000_000,
    )
