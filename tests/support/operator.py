"""The operator, run from the source tree as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import yaml

from support.kube import Kube

IMAGE = os.environ.get("ROLLCALL_IMAGE", "rollcall:dev")
ANSIBLE_IMAGE = os.environ.get("ROLLCALL_ANSIBLE_IMAGE", "rollcall-ansible:dev")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def account(kube: Kube, namespace: str, folder: Path) -> Path:
    """A kubeconfig for an operator of one namespace that says who it is as a deployed one does: by the token of a
    ServiceAccount, which costs the API server less than to verify a certificate for each request."""
    name = "operator"
    kube.create({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace}})
    kube.create({
        "kind": "RoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    })  # fmt: skip
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 6 * 3600}}
    path = kube.path("serviceaccounts", namespace, name)
    token = kube.request("POST", f"{path}/token", json=asked).json()["status"]["token"]
    config = yaml.safe_load(kube.kubeconfig.read_text())
    current = next(entry for entry in config["contexts"] if entry["name"] == config["current-context"])
    config["users"] = [{"name": name, "user": {"token": token}}]
    config["contexts"] = [{"name": current["name"], "context": {**current["context"], "user": name}}]
    written = folder / f"{namespace}.kubeconfig"
    written.write_text(yaml.safe_dump(config))
    written.chmod(0o600)
    return written


class Operator:
    """An operator that serves one namespace; its log is a file."""

    def __init__(self, namespace: str, kubeconfig: Path, log: Path, *arguments: str, identity: str = "tests") -> None:
        self.namespace = namespace
        self.kubeconfig = kubeconfig
        self.log = log
        self.arguments = arguments
        self.identity = identity
        self.port = 0
        self._log_start = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        self.port = free_port()
        command = [sys.executable, "-m", "rollcall_operator.main", "--namespace", self.namespace]
        command += ["--own-namespace", self.namespace, "--identity", self.identity, "--runner-image", IMAGE]
        command += ["--ansible-image", ANSIBLE_IMAGE]
        command += ["--health-port", str(self.port), "--verbose", *self.arguments]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        return self

    def wait_until_leading(self, kube: Kube) -> Self:
        kube.wait("operator that leads", lambda: self.alive and b"leading as" in self._said_now(), 60)
        return self

    def _said_now(self) -> bytes:
        """What this process said, without its predecessors in the same log."""
        return self.log.read_bytes()[self._log_start :]

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def healthy(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def said(self) -> str:
        return self.log.read_text()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.alive:
            self.stop()
