"""Create-to-complete of a 40-host job, against a native Indexed Job that runs the same runner in as many pods."""

import base64
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rollcall.work import WORK_KEY, Credentials, HostWork, Work
from support.jobs import end_of, furnish, invocation
from support.kube import Kube, Object, condition
from support.operator import IMAGE, Operator
from support.report import Report
from support.sshhosts import KeyPair, SshHost

HOSTS = 40
ROUNDS = 3
COMMAND = "echo hello from $(hostname)"
MIB = 1024.0


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
    kube.create(native_work(namespace, many[0], client_key))
    native: list[float] = []
    per_host: list[float] = []
    packed: list[float] = []
    with Operator(namespace, kube.kubeconfig, tmp_path / "operator.log") as operator:
        operator.wait_until_leading(kube)
        idle = resident_mib(operator)
        for number in range(ROUNDS):
            native.append(time_native(kube, namespace, f"native-{number}"))
            per_host.append(time_ours(kube, namespace, f"single-{number}", 1))
            packed.append(time_ours(kube, namespace, f"packed-{number}", HOSTS))
        peak = resident_mib(operator, peak=True)
    report.add("native Indexed Job of 40 pods", statistics.median(native), "s")
    ratio = statistics.median(ours / theirs for ours, theirs in zip(per_host, native, strict=True))
    report.add("40 hosts, a pod each / native Job", ratio, "x", at_most=1.25)
    ratio = statistics.median(ours / theirs for ours, theirs in zip(packed, native, strict=True))
    report.add("40 hosts in one pod / native Job", ratio, "x", at_most=0.35)
    report.add("operator memory, idle", idle, "MiB", at_most=120)
    report.add("operator memory, peak", peak, "MiB", at_most=120)


def time_ours(kube: Kube, namespace: str, name: str, hosts_per_slice: int) -> float:
    began = time.monotonic()
    kube.create(invocation(namespace, name, COMMAND, None, rollout={"hostsPerSlice": hosts_per_slice}))
    assert condition(end_of(kube, namespace, name, 180), "Complete")
    taken = time.monotonic() - began
    kube.wait("pods to go", lambda: not kube.list("pods", namespace))
    return taken


def time_native(kube: Kube, namespace: str, name: str) -> float:
    began = time.monotonic()
    kube.create(native_job(namespace, name))
    kube.wait("native Job", lambda: condition(kube.get("jobs", namespace, name), "Complete"), 180)
    taken = time.monotonic() - began
    kube.delete("jobs", namespace, name, propagationPolicy="Foreground")
    kube.wait("pods to go", lambda: not kube.list("pods", namespace))
    return taken


def native_work(namespace: str, host: SshHost, key: KeyPair) -> Object:
    work = Work(
        hosts=(HostWork(host.name, host.address, 22, "ops", (host.host_key,), 0, 0),),
        scripts=(COMMAND + "\n",),
        credentials=(Credentials(private_key=key.private),),
        parallelism=1,
        execution_timeout_seconds=60,
        output_limit_bytes=1_000_000,
    )
    data = {WORK_KEY: base64.b64encode(work.dump()).decode()}
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "native-work", "namespace": namespace}, "data": data,
    }  # fmt: skip


def native_job(namespace: str, name: str) -> Object:
    pod: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "runner",
            "image": IMAGE,
            "command": ["rollcall-runner"],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": [{"name": "work", "mountPath": "/run/rollcall", "readOnly": True}],
        }],
        "volumes": [{"name": "work", "secret": {"secretName": "native-work", "defaultMode": 0o440}}],
    }  # fmt: skip
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "completions": HOSTS, "parallelism": HOSTS, "completionMode": "Indexed", "template": {"spec": pod},
        },
    }  # fmt: skip


def resident_mib(operator: Operator, *, peak: bool = False) -> float:
    assert operator.process is not None
    status = Path(f"/proc/{operator.process.pid}/status").read_text()
    key = "VmHWM:" if peak else "VmRSS:"
    line = next(line for line in status.splitlines() if line.startswith(key))
    return int(line.split()[1]) / MIB
