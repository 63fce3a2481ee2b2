"""What becomes of hosts whose runner pod goes away, or that cannot be logged in to: Failed, with a reason."""

from collections.abc import Callable

import pytest

from e2e.release import kubectl
from support.jobs import end_of, invocation, results
from support.kube import Kube, Object
from support.sshhosts import SshHost, generate_key


def failed_host(kube: Kube, namespace: str, name: str, host: str) -> Object:
    """The result of the only host, once the invocation has ended as failed."""
    ended = end_of(kube, namespace, name, 120)
    found = results(kube, namespace, name)[host]
    assert found["state"] == "Failed", found
    assert ended["status"]["hosts"]["failed"] == 1
    assert found["message"]
    (fate,) = ended["status"]["failures"]
    told = {"host": host, "state": "Failed", "reason": found["reason"], "message": found["message"], "attempt": 0}
    assert {key: fate[key] for key in told} == told
    assert host in kube.get("jobslices", namespace, fate["slice"])["spec"]["hosts"]
    return found


@pytest.mark.parametrize(
    ("name", "options"), [("killed", ["--grace-period=0", "--force"]), ("deleted", ["--wait=false"])]
)
def test_a_deleted_runner_pod_fails_its_host(
    kube: Kube, namespace: str, running: Callable[[Object, str], Object], name: str, options: list[str]
) -> None:
    pod = running(invocation(namespace, name, f"bash -c 'exec -a {name} sleep 600'", ["web1"]), "web1")
    kubectl("delete", "pod", pod["metadata"]["name"], "-n", namespace, "--wait=false", *options)
    assert failed_host(kube, namespace, name, "web1")["reason"] == "PodDeleted"


def test_an_evicted_runner_pod_fails_its_host(
    kube: Kube, namespace: str, running: Callable[[Object, str], Object], on_host: Callable[..., str]
) -> None:
    pod = running(invocation(namespace, "evicted", "bash -c 'exec -a evicted sleep 600'", ["web2"]), "web2")
    name = pod["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
    }  # fmt: skip
    kube.request("POST", kube.path("pods", namespace, name) + "/eviction", json=eviction)
    assert failed_host(kube, namespace, "evicted", "web2")["reason"] == "Evicted"
    assert "evicted" not in on_host("web2", "ps", "axww", "-o", "args")


def test_a_host_with_another_key_is_refused(kube: Kube, namespace: str, hosts: list[SshHost]) -> None:
    impostor = SshHost("impostor", hosts[0].address, generate_key().public)
    kube.apply(impostor.manifest(namespace, "ops-key"))
    kube.create(invocation(namespace, "impostor", "true", ["impostor"]))
    assert failed_host(kube, namespace, "impostor", "impostor")["reason"] == "HostKeyMismatch"


def test_a_host_that_does_not_listen_is_unreachable(kube: Kube, namespace: str, hosts: list[SshHost]) -> None:
    closed = SshHost("closed", hosts[0].address, hosts[0].host_key)
    kube.apply(closed.manifest(namespace, "ops-key", port=2222))
    kube.create(invocation(namespace, "unreachable", "true", ["closed"]))
    assert failed_host(kube, namespace, "unreachable", "closed")["reason"] == "Unreachable"


def test_a_wrong_password_is_told_apart(kube: Kube, namespace: str) -> None:
    kube.create({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong-password", "namespace": namespace},
        "stringData": {"password": "no host has this one"},
    })  # fmt: skip
    host = next(host for host in kube.list("hosts", namespace) if host["metadata"]["name"] == "web1")
    spec = {key: value for key, value in host["spec"].items() if key != "credentialsRef"}
    kube.apply({**_plain(host, "locked"), "spec": spec | {"credentialsRef": {"name": "wrong-password"}}})
    kube.create(invocation(namespace, "locked", "true", ["locked"]))
    assert failed_host(kube, namespace, "locked", "locked")["reason"] == "AuthenticationFailed"


def test_a_script_that_fails_shows_its_exit_code(kube: Kube, namespace: str) -> None:
    kube.create(invocation(namespace, "exits", "echo before; exit 7", ["web1"]))
    found = failed_host(kube, namespace, "exits", "web1")
    assert (found["reason"], found["exitCode"], found["output"]["tail"]) == ("ExitCode", 7, "before\n")


def _plain(host: Object, name: str) -> Object:
    return {
        "apiVersion": host["apiVersion"], "kind": host["kind"],
        "metadata": {"name": name, "namespace": host["metadata"]["namespace"]},
    }  # fmt: skip
