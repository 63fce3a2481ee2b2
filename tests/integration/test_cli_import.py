"""An Ansible inventory of 200 hosts, brought in by the command line and kubectl, and a job on a slice of it."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from support.inventories import CANARIES, HOSTS, SECRETS, write_inventory
from support.jobs import events, output, results, run, slices
from support.kube import Kube, Object, condition
from support.operator import Operator
from support.sshhosts import KeyPair, SshHost

ROLLCALL = Path(sys.executable).parent / "rollcall"
LOOK = """\
echo {{ host.name }} is in {{ host.variables.rack }}, {{ host.variables.color }}, {{ host.variables.timezone }}, \
{{ host.variables.tls.min_version }}
"""
"""Variables of the host, of its group in the inventory file, of all, and of its group's file."""


@dataclass(frozen=True)
class Fleet:
    """An inventory on disk, of whose hosts some can be reached, and what `rollcall import` made of it."""

    folder: Path
    known_hosts: Path
    manifests: str
    said: str


def kubectl(kube: Kube, namespace: str, *arguments: str, stdin: str = "") -> str:
    command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "--namespace", namespace, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def import_ansible(*arguments: str | Path) -> tuple[str, str]:
    command = [ROLLCALL, "import", "ansible", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, hosts: list[SshHost], client_key: KeyPair) -> Fleet:
    folder = tmp_path_factory.mktemp("fleet")
    key = folder / "ops_key"
    key.write_text(client_key.private)
    known = folder / "known_hosts"
    known.write_text("".join(f"{host.address} {host.host_key}\n" for host in hosts))
    addresses = {name: host.address for name, host in zip(CANARIES, hosts, strict=False)}
    inventory = write_inventory(folder, key, addresses)
    manifests, said = import_ansible(inventory, "--known-hosts", known)
    return Fleet(inventory, known, manifests, said)


@pytest.fixture(scope="module", autouse=True)
def imported(kube: Kube, namespace: str, operator: Operator, fleet: Fleet) -> None:
    """All 200 hosts in the namespace, and nothing else there; the Secret is made as the command says."""
    for number in range(10):
        kube.delete("hosts", namespace, f"host-{number}")
    kubectl(kube, namespace, "apply", "-f", "-", stdin=fleet.manifests)
    (command,) = re.findall(r"kubectl create secret generic prod-credentials-1 .*", fleet.said)
    environment = {**os.environ, "KUBECONFIG": str(kube.kubeconfig)}
    subprocess.run(["sh", "-c", f"{command} --namespace {namespace}"], env=environment, check=True, capture_output=True)


def valid(host: Object) -> bool:
    return (condition(host, "Valid") or {}).get("status") != "False"


def test_every_host_is_there_and_valid(kube: Kube, namespace: str) -> None:
    found = kube.list("hosts", namespace, labelSelector="rollcall.dev/inventory=prod")
    assert len(found) == HOSTS
    assert all(map(valid, found))
    text = yaml.safe_dump(found)
    assert not [secret for secret in SECRETS if secret in text]


def test_the_inventory_has_them_all(kube: Kube, namespace: str) -> None:
    def counted() -> Object | None:
        found = kube.get("inventories", namespace, "prod")
        return found if found.get("status", {}).get("hosts") == HOSTS else None

    found = kube.wait("an Inventory with its hosts", counted)
    assert (condition(found, "Valid") or {}).get("status") == "True", found["status"]


def test_applying_again_changes_nothing(kube: Kube, namespace: str, fleet: Fleet) -> None:
    manifests, _ = import_ansible(fleet.folder, "--known-hosts", fleet.known_hosts)
    assert manifests == fleet.manifests
    said = kubectl(kube, namespace, "apply", "-f", "-", stdin=manifests)
    assert said.count(" unchanged\n") == said.count("\n") == HOSTS + 1


def test_server_side_apply_and_a_folder_work_too(kube: Kube, namespace: str, fleet: Fleet, tmp_path: Path) -> None:
    import_ansible(fleet.folder, "--output", tmp_path / "made", "--limit", "cache", "--known-hosts", fleet.known_hosts)
    arguments = ("--server-side", "--force-conflicts", "--dry-run=server", "-f", str(tmp_path / "made"))
    assert kubectl(kube, namespace, "apply", *arguments).count("serverside-applied") == 21


def test_a_job_runs_on_a_slice_of_it(kube: Kube, namespace: str, fleet: Fleet) -> None:
    kube.create({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "JobTemplate",
        "metadata": {"name": "look", "namespace": namespace},
        "spec": {"provider": "SSH", "ssh": {"script": LOOK}},
    })  # fmt: skip
    invocation = {
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation",
        "metadata": {"name": "look", "namespace": namespace},
        "spec": {
            "templateRef": {"name": "look"},
            "targeting": {"inventoryRef": {"name": "prod", "limit": "canary:&frankfurt"}},
        },
    }  # fmt: skip
    ended = run(kube, invocation, 120)
    assert (condition(ended, "Complete") or {}).get("status") == "True", (
        ended["status"],
        slices(kube, namespace, "look"),
    )
    assert {name: found["state"] for name, found in results(kube, namespace, "look").items()} == dict.fromkeys(
        CANARIES, "Succeeded"
    )
    said = events(kube, namespace, "look")
    for number, name in enumerate(CANARIES):
        assert output(said[name]) == f"{name} is in r{number}, blue, Europe/Berlin, 1.2\n".encode()


def test_hosts_that_are_gone_are_pruned(kube: Kube, namespace: str, fleet: Fleet) -> None:
    fewer, _ = import_ansible(fleet.folder, "--known-hosts", fleet.known_hosts, "--limit", "all:!cache")
    label, kind = "rollcall.dev/inventory=prod", "rollcall.dev/v1alpha1/Host"
    arguments = ("-f", "-", "-l", label, "--prune", f"--prune-allowlist={kind}")
    said = kubectl(kube, namespace, "apply", *arguments, stdin=fewer)
    assert said.count(" pruned\n") == 20
    assert len(kube.list("hosts", namespace, labelSelector=label)) == HOSTS - 20


def test_hosts_from_ssh_config_are_reached_as_ssh_does(
    kube: Kube, namespace: str, fleet: Fleet, hosts: list[SshHost], tmp_path: Path
) -> None:
    near, far = hosts[5:7]
    known = tmp_path / "known_hosts"
    known.write_text(f"{near.address} {near.host_key}\n@cert-authority *.example.com {near.host_key}\n")
    known.write_text(f"{known.read_text()}{far.address} {far.host_key}\n@revoked * {hosts[7].host_key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    (tmp_path / "config").write_text(f"""
Host far
  HostName {far.address}
  ProxyJump near
Host near
  HostName {near.address}
Host *
  User ops
  IdentityFile {fleet.folder.parent}/ops_key
  UserKnownHostsFile {known}
""")
    command = [ROLLCALL, "import", "ssh", "--config", tmp_path / "config", "--credentials", "prod-credentials-1", "far"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    objects = [(part["kind"], part["metadata"]["name"]) for part in yaml.safe_load_all(made)]
    assert objects == [("ConfigMap", "ssh-known-hosts"), ("Host", "far"), ("Host", "near")]
    kubectl(kube, namespace, "apply", "-f", "-", stdin=made)
    invocation = {
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation",
        "metadata": {"name": "far", "namespace": namespace},
        "spec": {"templateRef": {"name": "run-command"}, "inputs": {"command": "hostname"},
                 "targeting": {"hosts": ["far"]}},
    }  # fmt: skip
    run(kube, invocation, 120)
    assert results(kube, namespace, "far")["far"]["state"] == "Succeeded", results(kube, namespace, "far")
    assert output(events(kube, namespace, "far")["far"]) == f"{far.name}\n".encode()
