"""What can happen to a runner pod on a real kubelet, and what its host is told."""

import asyncio
from pathlib import Path

import pytest

from rollcall.outputs import Stream
from support.jobs import end_of, events, invocation, output, results
from support.kube import Kube, Object
from support.operator import Operator
from support.proxy import Answer, Call, Faults, Proxy
from support.standin import keep_to_standins, standins, sweep
from support.standin_runner import Part


@pytest.mark.parametrize(
    ("reason", "settings", "hint"),
    [
        ("ImagePull", ["--runner-image", "nowhere.invalid/no-such-image:1"], "no-such-image"),
        ("Unschedulable", ["--runner-memory-request", "900Gi", "--runner-memory-limit", "900Gi"], "memory"),
        ("OOMKilled", ["--runner-memory-request", "14Mi", "--runner-memory-limit", "14Mi"], "memory"),
        ("RunnerCrashed", ["--runner-image", "rollcall-sshhost:dev"], "exit code"),
    ],
)
def test_the_true_reason_is_told(
    kube: Kube, namespace: str, tmp_path: Path, reason: str, settings: list[str], hint: str
) -> None:
    """The image of the SSH host has no runner, so that its container cannot be started."""
    name = f"trouble-{reason.lower()}"
    with Operator(namespace, kube.kubeconfig, tmp_path / "operator.log", *settings):
        kube.create(invocation(namespace, name, "true", ["host-0"], pickupTimeoutSeconds=15))
        end_of(kube, namespace, name, 120)
    result = results(kube, namespace, name)["host-0"]
    assert (result["state"], result["reason"]) == ("Failed", reason)
    assert hint in result["message"]


class Thief(Faults):
    """Takes an invocation's work away after it was stored and before its pod is made: the kubelet cannot mount it."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.mine = {"labelSelector": f"rollcall.dev/invocation={name}"}
        self.taken = 0

    async def before(self, call: Call) -> Answer | None:
        if (call.method, call.path) == ("POST", "/v1/pods"):
            await asyncio.to_thread(self.take)
        return None

    def take(self) -> None:
        for secret in self.kube.list("secrets", self.namespace, **self.mine):
            self.kube.delete("secrets", self.namespace, secret["metadata"]["name"])
            self.taken += 1


def test_a_pod_that_does_not_get_to_run_and_does_not_say_why_is_given_up(
    kube: Kube, namespace: str, tmp_path: Path
) -> None:
    """While a volume cannot be mounted, a pod says no more than that its container is being created."""
    name = "trouble-notpickedup"
    thief = Thief(kube, namespace, name)
    with Proxy(kube, thief) as proxy:
        config = proxy.kubeconfig(tmp_path / "proxy.kubeconfig")
        with Operator(namespace, config, tmp_path / "operator.log"):
            kube.create(invocation(namespace, name, "true", ["host-0"], pickupTimeoutSeconds=10))

            def stuck() -> bool:
                found = kube.list("pods", namespace, **thief.mine)
                states = [c["state"] for pod in found for c in pod["status"].get("containerStatuses") or ()]
                return [state.get("waiting") for state in states] == [{"reason": "ContainerCreating"}]

            kube.wait("pod whose container is being created", stuck)
            end_of(kube, namespace, name, 120)
            kube.wait("pods to go", lambda: not kube.list("pods", namespace, **thief.mine))
    result = results(kube, namespace, name)["host-0"]
    assert thief.taken == 1
    assert (result["state"], result["reason"]) == ("Failed", "NotPickedUp")
    nodes = [f"node {node['metadata']['name']} did not start the container" for node in kube.list("nodes")]
    assert any(node in result["message"] for node in nodes), result
    assert "(given up after 10 s)" in result["message"]
    assert events(kube, namespace, name) == {}


NODE = "rollcall-lost-node"
RESOURCE = "tests.rollcall.dev/lost"


def lost_node(kube: Kube) -> None:
    """A node that only this test's pods need, that the others avoid, and on which nothing ever runs them."""
    taint = {"key": RESOURCE, "effect": "PreferNoSchedule"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {"taints": [taint]}}
    capacity = {"cpu": "4", "memory": "8Gi", "pods": "10", RESOURCE: "10"}
    ready = {"type": "Ready", "status": "True", "reason": "Tests", "message": ""}
    if kube.find("nodes", None, NODE) is not None:
        kube.delete("nodes", None, NODE)
    kube.create(node)
    status = {"capacity": capacity, "allocatable": capacity, "conditions": [ready]}
    kube.patch("nodes", None, NODE, {"status": status}, "status")


def test_a_node_that_goes_away_takes_its_hosts_with_it(kube: Kube, namespace: str, tmp_path: Path) -> None:
    """One host's pod has not begun yet, on a node that never runs it; another's is at work, and has said something."""
    limits = {"type": "Container", "default": {RESOURCE: "1"}, "defaultRequest": {RESOURCE: "1"}}
    kube.create({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "lost", "namespace": namespace},
        "spec": {"limits": [limits]},
    })  # fmt: skip
    lost_node(kube)
    work = Part(lines=6_000, seconds=600).script
    try:
        with Operator(namespace, kube.kubeconfig, tmp_path / "operator.log"), standins(kube, 1) as nodes:
            kube.create(invocation(namespace, "trouble-node", "true", ["host-0"]))
            kube.wait("pod on the node", lambda: node_of(kube, namespace, "trouble-node") == NODE)
            kube.delete("limitranges", namespace, "lost")
            keep_to_standins(kube, namespace)
            kube.create(invocation(namespace, "trouble-at-work", work, ["host-1"]))
            kube.wait("output", lambda: heard(results(kube, namespace, "trouble-at-work").get("host-1", {})))
            nodes.lose()
            kube.delete("nodes", None, node_of(kube, namespace, "trouble-at-work"))
            kube.delete("nodes", None, NODE)
            ends = [end_of(kube, namespace, name, 180) for name in ("trouble-node", "trouble-at-work")]
    finally:
        for name in ("lost", "standin"):
            kube.delete("limitranges", namespace, name)
        kube.delete("nodes", None, NODE)
        sweep(kube)
    assert [end["status"]["failures"][0]["reason"] for end in ends] == ["NodeLost", "NodeLost"]
    result = results(kube, namespace, "trouble-at-work")["host-1"]
    assert (result["state"], heard(result)) == ("Failed", True)
    said = events(kube, namespace, "trouble-at-work")["host-1"]
    assert len(output(said)) == result["output"]["bytes"]
    assert not [event for event in said if event.stream is Stream.EXIT]


def node_of(kube: Kube, namespace: str, name: str) -> str:
    """The node of the job's one pod; empty while it has none."""
    found = kube.list("pods", namespace, labelSelector=f"rollcall.dev/invocation={name}")
    return next((pod["spec"].get("nodeName", "") for pod in found), "")


def heard(result: Object) -> bool:
    """Whether anything that the host said has come."""
    return bool(result.get("output", {}).get("bytes"))
