"""Three hosts to run jobs on: pods with a real sshd, each with a key of its own."""

import json
import subprocess
import tempfile
from pathlib import Path

from commands import Object, apply, get, kubectl, namespace, read_secret, secret
from names import CLIENT_KEY, JOBS, MACHINE_IMAGE, MACHINES

EXAMPLE = "examples/01-hosts.yaml"


def start() -> list[Object]:
    """Start a machine for each Host in the example and apply the Hosts, with the machines' addresses and keys."""
    hosts = _objects(EXAMPLE)
    apply(namespace(MACHINES, "baseline"))
    client = read_secret(JOBS, CLIENT_KEY)
    if client is None:
        # Machines that know another key are of no use.
        kubectl("delete", "pods,secrets", "-n", MACHINES, "--all", "--wait")
        private, public = _key_pair("rollcall demo")
        client = {"ssh-privatekey": private, "ssh-publickey": public}
        apply(secret(JOBS, CLIENT_KEY, client))
    keys = {host["metadata"]["name"]: _start(host["metadata"]["name"], client["ssh-publickey"]) for host in hosts}
    kubectl("wait", "--for=condition=Ready", "pods", "--all", "-n", MACHINES, "--timeout=120s")
    for host in hosts:
        name = host["metadata"]["name"]
        pod = get("pod", MACHINES, name) or {}
        host["metadata"]["namespace"] = JOBS
        host["spec"] |= {"address": pod["status"]["podIP"], "hostKeys": [keys[name]]}
    apply(*hosts)
    return hosts


def _objects(path: str) -> list[Object]:
    """The objects in a YAML file; kubectl prints them as JSON, one after the other."""
    text = kubectl("create", "--dry-run=client", "-f", path, "-o", "json").strip()
    found, position = [], 0
    while position < len(text):
        document, position = json.JSONDecoder().raw_decode(text, position)
        found.append(document)
        position += len(text[position:]) - len(text[position:].lstrip())
    return found


def _start(name: str, client_public_key: str) -> str:
    """Start the machine unless it runs already; returns its public host key."""
    keys = read_secret(MACHINES, name)
    if keys is None:
        private, public = _key_pair(name)
        keys = {"ssh_host_ed25519_key": private, "authorized_keys": client_public_key + "\n", "public": public}
        apply(secret(MACHINES, name, keys))
    pod = get("pod", MACHINES, name)
    if pod and pod["status"].get("phase") not in ("Pending", "Running"):
        kubectl("delete", "pod", "-n", MACHINES, name, "--wait")
    apply(_pod(name))
    return keys["public"]


def _key_pair(comment: str) -> tuple[str, str]:
    """A new private key, and the public one as in known_hosts without a comment."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
        subprocess.run(command, check=True)
        return path.read_text(), " ".join(path.with_suffix(".pub").read_text().split()[:2])


def _pod(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": MACHINES},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "sshd",
                    "image": MACHINE_IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "ports": [{"containerPort": 22}],
                    "startupProbe": {"tcpSocket": {"port": 22}, "periodSeconds": 1, "failureThreshold": 300},
                    "volumeMounts": [{"name": "keys", "mountPath": "/etc/rollcall-host", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "keys", "secret": {"secretName": name}}],
        },
    }
