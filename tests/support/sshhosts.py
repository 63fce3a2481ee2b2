"""Hosts to run jobs on: pods with a real OpenSSH server, each with a host key of its own."""

import base64
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from support.kube import Kube, Object

IMAGE = "rollcall-sshhost:dev"
HOSTS_NAMESPACE = "-".join(("rollcall-test-hosts", *os.environ.get("PYTEST_XDIST_WORKER", "").split()))
"""Where a run's hosts are. Processes that run tests side by side have hosts of their own: tests look at what is left on
a host."""
PASSWORD = "wrong-pony-battery"


@dataclass(frozen=True)
class KeyPair:
    """An SSH key pair, as text."""

    private: str
    public: str


def generate_key(comment: str = "tests", passphrase: str = "") -> KeyPair:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", comment, "-f", str(path)]
        subprocess.run(command, check=True)
        public = " ".join(path.with_suffix(".pub").read_text().split()[:2])
        return KeyPair(path.read_text(), public)


@dataclass(frozen=True)
class SshHost:
    """A running host: its pod's address and its public key."""

    name: str
    address: str
    host_key: str

    def manifest(self, namespace: str, credentials: str | None, user: str = "ops", **spec: object) -> Object:
        """A Host object for it."""
        reference = {"credentialsRef": {"name": credentials}} if credentials else {}
        return {
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "Host",
            "metadata": {"name": self.name, "namespace": namespace},
            "spec": {"address": self.address, "user": user, "hostKeys": [self.host_key], **reference, **spec},
        }


def shared_client_key(kube: Kube) -> KeyPair:
    """The key that all hosts of the tests accept; it stays in the cluster, as the hosts do."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOSTS_NAMESPACE}})
    kube.wait("default service account", lambda: kube.find("serviceaccounts", HOSTS_NAMESPACE, "default"))
    name = "client-key"
    if kube.find("configmaps", HOSTS_NAMESPACE, name) is None:
        key = generate_key()
        data = {"private": key.private, "public": key.public}
        metadata = {"name": name, "namespace": HOSTS_NAMESPACE}
        kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    found = kube.get("configmaps", HOSTS_NAMESPACE, name)["data"]
    return KeyPair(found["private"], found["public"])


def running_hosts(kube: Kube, client_key: KeyPair) -> list[SshHost]:
    """Ten running hosts, which later test runs find again."""
    return start_hosts(kube, HOSTS_NAMESPACE, [f"host-{number}" for number in range(10)], client_key, PASSWORD)


def start_hosts(kube: Kube, namespace: str, names: list[str], client: KeyPair, password: str) -> list[SshHost]:
    """Start a pod per name in the namespace, unless they run already, and wait until their sshd answers."""
    keys = {}
    for name in names:
        secret = kube.find("secrets", namespace, name)
        if secret is None:
            key = generate_key(name)
            data = {
                "ssh_host_ed25519_key": key.private,
                "authorized_keys": client.public + "\n",
                "password": password,
                "public": key.public,
            }
            kube.create({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
                "stringData": data,
            })  # fmt: skip
            kube.create(_pod(namespace, name))
            keys[name] = key.public
        else:
            keys[name] = base64.b64decode(secret["data"]["public"]).decode()

    def ready(name: str) -> str | None:
        pod = kube.get("pods", namespace, name)
        status = pod.get("status", {})
        up = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
        return status.get("podIP") if up else None

    return [
        SshHost(name, kube.wait(f"sshd in pod {name}", lambda name=name: ready(name), 120), keys[name])  # type: ignore[misc]
        for name in names
    ]


def _pod(namespace: str, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "sshhost"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [{
                "name": "sshd",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "startupProbe": {"tcpSocket": {"port": 22}, "periodSeconds": 1, "failureThreshold": 300},
                "volumeMounts": [{"name": "keys", "mountPath": "/etc/rollcall-host", "readOnly": True}],
            }],
            "volumes": [{"name": "keys", "secret": {"secretName": name}}],
        },
    }  # fmt: skip
