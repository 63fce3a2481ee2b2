"""Nodes that a bench can have by the dozen: starts the process of `standin_node`, and cleans up after it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.kube import Kube, KubeError, Object
from support.standin_node import MARK, PODS_PER_NODE

_TESTS = Path(__file__).parent.parent
_NODES = "/api/v1/nodes"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@dataclass
class StandIns:
    """The running stand-ins."""

    process: subprocess.Popen[bytes]
    pods: int
    """How many pods they have room for."""
    lost: bool = False

    @property
    def pid(self) -> int:
        """The number of their process."""
        return self.process.pid

    def lose(self) -> None:
        """Let them go as machines do that lose their power: nobody says anything any more."""
        self.lost = True
        self.process.kill()


@contextmanager
def standins(kube: Kube, pods: int) -> Iterator[StandIns]:
    """Nodes with room for so many pods, which end with the context, or with this process."""
    address = os.environ.get("ROLLCALL_HOST_ADDRESS")
    if not address:
        pytest.skip("stand-ins for nodes need a cluster of hack/cluster: its API server reaches this machine")
    sweep(kube)
    nodes = -(-pods // PODS_PER_NODE)
    with tempfile.TemporaryDirectory() as folder:
        certificate = _certificate(Path(folder))
        command = [sys.executable, "-m", "support.standin_node", "--kubeconfig", str(kube.kubeconfig)]
        command += ["--address", address, "--certificate", str(certificate), "--nodes", str(nodes)]
        # In a session of its own: an interrupt from the keyboard is not for it, it ends with its stdin.
        process = subprocess.Popen(command, cwd=_TESTS, stdin=subprocess.PIPE, start_new_session=True)
        assert process.stdin is not None
        try:
            kube.wait(f"{nodes} nodes without a taint", lambda: process.poll() or _usable(kube) == nodes)
            assert process.poll() is None, "the stand-ins have ended"
            found = StandIns(process, nodes * PODS_PER_NODE)
            yield found
            assert found.lost or process.poll() is None, "the stand-ins have ended"
        finally:
            process.stdin.close()
            process.wait(60)


def keep_to_standins(kube: Kube, namespace: str) -> None:
    """Let pods of the namespace go to stand-ins only: each asks for what no other node has, without knowing of it."""
    one = {MARK: "1"}
    limits: list[Object] = [{"type": "Container", "default": one, "defaultRequest": one}]
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "standin"}, "spec": {"limits": limits}}
    kube.request("POST", f"/api/v1/namespaces/{namespace}/limitranges", json=body)


def sweep(kube: Kube) -> None:
    """Remove the Nodes of stand-ins that were killed, and the pods that nobody else would let go."""
    marked = {"labelSelector": f"{MARK}=true"}
    for node in kube.list("nodes", **marked):
        name = node["metadata"]["name"]
        for pod in kube.list("pods", fieldSelector=f"spec.nodeName={name}"):
            metadata = pod["metadata"]
            try:
                kube.patch("pods", metadata["namespace"], metadata["name"], {"metadata": {"finalizers": None}})
            except KubeError as error:
                if error.status != 404:
                    raise
            kube.delete("pods", metadata["namespace"], metadata["name"], gracePeriodSeconds=0)
        kube.request("DELETE", f"{_NODES}/{name}")
    kube.request("DELETE", _LEASES, params=marked)


def _usable(kube: Kube) -> int:
    """How many stand-ins the scheduler may use: a new Node is tainted until its controller has looked at it."""
    found = kube.list("nodes", labelSelector=f"{MARK}=true")
    return sum(all(taint["key"] == MARK for taint in node["spec"].get("taints", ())) for node in found)


def _certificate(folder: Path) -> Path:
    """A certificate and its key, in one file. The API server does not verify a kubelet's unless it is told to."""
    path = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "30", "-subj", "/CN=standin", "-keyout", str(path), "-out", str(folder / "certificate")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + (folder / "certificate").read_text())
    return path
