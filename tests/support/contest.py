"""The same work done by two sides: by an invocation, and by a native Indexed Job of pods that run the same runner."""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass

from rollcall.work import WORK_KEY, Work
from support.jobs import invocation
from support.kube import Kube, Object, condition
from support.operator import IMAGE, Operator

_TOLD_EVERY_SECONDS = 2.0
_WORK = "native-work"


@dataclass(frozen=True)
class Contest:
    """Times both sides in one namespace, and shows how far they are."""

    kube: Kube
    operator: Operator
    timeout: float = 600

    def native(self, name: str, pods: int) -> float:
        """Seconds from a Job's creation until it is Complete. It and its pods are gone afterwards."""

        def look() -> tuple[bool, str]:
            found = self.kube.get("jobs", self.operator.namespace, name)
            done = found.get("status", {}).get("succeeded", 0)
            return condition(found, "Complete") is not None, f"{done:,} of {pods:,}"

        taken = self._time(_native_job(self.operator.namespace, name, pods), look)
        self.kube.delete("jobs", self.operator.namespace, name, propagationPolicy="Background")
        self._wait_until_gone(("pods",), f"job-name={name}")
        return taken

    def ours(self, name: str, command: str, hosts_per_slice: int | str) -> float:
        """Seconds from an invocation's creation until it is Complete. It and its children are gone afterwards."""
        taken = self.complete(name, command, hosts_per_slice)
        self.remove(name)
        return taken

    def complete(self, name: str, command: str, hosts_per_slice: int | str) -> float:
        """Seconds from an invocation's creation, for all hosts, until it is Complete. Its children stay."""

        def look() -> tuple[bool, str]:
            found = self.kube.get("jobinvocations", self.operator.namespace, name)
            assert condition(found, "Failed") is None, found["status"]["conditions"]
            hosts = found.get("status", {}).get("hosts", {})
            return condition(
                found, "Complete"
            ) is not None, f"{hosts.get('succeeded', 0):,} of {hosts.get('total', '?')}"

        rollout = {"hostsPerSlice": hosts_per_slice}
        return self._time(invocation(self.operator.namespace, name, command, None, rollout=rollout), look)

    def remove(self, name: str) -> None:
        """Delete an invocation and wait until its children are gone."""
        self.kube.delete("jobinvocations", self.operator.namespace, name)
        self._wait_until_gone(("jobslices", "joboutputs", "pods"), f"rollcall.dev/invocation={name}")

    def _time(self, manifest: Object, look: Callable[[], tuple[bool, str]]) -> float:
        """Seconds from the creation until `look` says that it is over; how far it is gets shown meanwhile."""
        name = manifest["metadata"]["name"]
        began = told = time.monotonic()
        self.kube.create(manifest)
        while True:
            over, how_far = look()
            now = time.monotonic()
            if over or now - told > _TOLD_EVERY_SECONDS:
                told = now
                print(f"{name}: {how_far} after {now - began:.1f} s", flush=True)
            if over:
                return now - began
            assert self.operator.alive, f"the operator has ended, and said: {self.operator.said()[-2_000:]}"
            if now - began > self.timeout:
                raise TimeoutError(f"{name} has not ended after {self.timeout} s")
            time.sleep(0.1)

    def _wait_until_gone(self, plurals: tuple[str, ...], selector: str) -> None:
        def gone() -> bool:
            found = (
                self.kube.list(plural, self.operator.namespace, labelSelector=selector, limit=1) for plural in plurals
            )
            return not any(found)

        self.kube.wait(f"{selector} to be gone", gone, 300, interval=0.5)


def native_work(namespace: str, work: Work) -> Object:
    """The Secret that every pod of the native Job mounts."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _WORK, "namespace": namespace},
        "data": {WORK_KEY: base64.b64encode(work.dump()).decode()},
    }


def _native_job(namespace: str, name: str, pods: int) -> Object:
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
        "volumes": [{"name": "work", "secret": {"secretName": _WORK, "defaultMode": 0o440}}],
    }  # fmt: skip
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "completions": pods, "parallelism": pods, "completionMode": "Indexed", "template": {"spec": pod},
        },
    }  # fmt: skip
