"""The installed operator may do what the ways to hosts need, and the image of the runner can."""

import base64
import subprocess
from pathlib import Path

from support.jobs import invocation, results, run
from support.kube import Kube
from support.sshhosts import SshHost


def encrypted(kube: Kube, namespace: str, directory: Path, passphrase: str) -> str:
    """The key to the hosts, encrypted as `ssh-keygen` does it, which takes bcrypt to read."""
    key = directory / "key"
    key.write_bytes(base64.b64decode(kube.get("secrets", namespace, "ops-key")["data"]["ssh-privatekey"]))
    key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", passphrase, "-f", key], check=True)
    return key.read_text()


def test_jump_hosts_known_hosts_and_accepted_keys_work_as_installed(
    kube: Kube, namespace: str, hosts: list[SshHost], tmp_path: Path
) -> None:
    gate, target, _ = hosts
    kube.apply({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "locked-key", "namespace": namespace},
        "stringData": {"ssh-privatekey": encrypted(kube, namespace, tmp_path, "open sesame"),
                       "passphrase": "open sesame"},
    })  # fmt: skip
    kube.apply({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "known-hosts", "namespace": namespace},
        "data": {"known_hosts": f"{target.address} {target.host_key}\n"},
    })  # fmt: skip
    source = {"configMapKeyRef": {"name": "known-hosts", "key": "known_hosts"}}
    outer = gate.manifest(namespace, "locked-key", hostKeys=[], hostKeyPolicy="AcceptNew")
    inner = target.manifest(namespace, "ops-key", hostKeys=[], knownHostsFrom=source, jumpHostRef={"name": "gate"})
    for manifest, name in ((outer, "gate"), (inner, "inside")):
        manifest["metadata"]["name"] = name
        kube.apply(manifest)
    run(kube, invocation(namespace, "inside", "true", ["inside"]), 90)
    result = results(kube, namespace, "inside")["inside"]
    assert result["state"] == "Succeeded", result
    assert kube.get("hosts", namespace, "gate")["status"]["hostKeys"] == [gate.host_key]
    for name in ("gate", "inside"):
        kube.delete("hosts", namespace, name)
