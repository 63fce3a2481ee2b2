"""Jobs reach hosts over jump hosts, and believe keys that are recorded, or listed in a ConfigMap."""

import pytest

from support.jobs import end_of, events, invocation, output, results, run
from support.kube import Kube, Object
from support.operator import Operator
from support.sshhosts import KeyPair, SshHost


@pytest.fixture(scope="module")
def at_work(kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]) -> list[SshHost]:
    """The real hosts, while the operator serves the namespace."""
    return hosts


def add_host(kube: Kube, namespace: str, real: SshHost, name: str, **spec: object) -> None:
    manifest = real.manifest(namespace, "ops-key", **spec)
    manifest["metadata"]["name"] = name
    manifest["spec"] = {key: value for key, value in manifest["spec"].items() if value is not None}
    kube.apply(manifest)


def result(kube: Kube, namespace: str, job: str, command: str, host: str) -> Object:
    """What becomes of a command on a host."""
    run(kube, invocation(namespace, job, command, [host]))
    return results(kube, namespace, job)[host]


def test_a_job_reaches_a_host_over_two_others(kube: Kube, namespace: str, at_work: list[SshHost]) -> None:
    outer, inner, target, *_ = at_work
    add_host(kube, namespace, outer, "outer")
    add_host(kube, namespace, inner, "inner", user="deploy", jumpHostRef={"name": "outer"})
    add_host(kube, namespace, target, "target", jumpHostRef={"name": "inner"})
    found = result(kube, namespace, "over-two", "echo from ${SSH_CLIENT%% *}", "target")
    assert found["state"] == "Succeeded", found
    said = events(kube, namespace, "over-two")["target"]
    assert output(said) == f"from {inner.address}\n".encode()


def test_hosts_behind_a_missing_jump_host_fail_and_the_others_run(
    kube: Kube, namespace: str, at_work: list[SshHost]
) -> None:
    add_host(kube, namespace, at_work[0], "cut-off", jumpHostRef={"name": "gone"})
    add_host(kube, namespace, at_work[1], "fine")
    run(kube, invocation(namespace, "cut-off", "true", ["cut-off", "fine"]))
    found = results(kube, namespace, "cut-off")
    assert (found["cut-off"]["reason"], found["fine"]["state"]) == ("HostNotFound", "Succeeded")
    assert "there is no Host gone, which spec.jumpHostRef of Host cut-off names" in found["cut-off"]["message"]


def test_a_jump_host_that_is_changed_or_deleted_counts_as_it_is_when_the_job_starts(
    kube: Kube, namespace: str, at_work: list[SshHost]
) -> None:
    first, second, target, *_ = at_work
    add_host(kube, namespace, first, "gate")
    add_host(kube, namespace, target, "behind", jumpHostRef={"name": "gate"})
    result(kube, namespace, "gate-1", "echo ${SSH_CLIENT%% *}", "behind")
    add_host(kube, namespace, second, "gate")
    result(kube, namespace, "gate-2", "echo ${SSH_CLIENT%% *}", "behind")
    assert output(events(kube, namespace, "gate-1")["behind"]) == f"{first.address}\n".encode()
    assert output(events(kube, namespace, "gate-2")["behind"]) == f"{second.address}\n".encode()
    kube.delete("hosts", namespace, "gate")
    assert result(kube, namespace, "gate-3", "true", "behind")["reason"] == "HostNotFound"


def test_a_host_cannot_be_its_own_jump_host(kube: Kube, namespace: str, at_work: list[SshHost]) -> None:
    manifest = at_work[0].manifest(namespace, "ops-key", jumpHostRef={"name": "own"})
    manifest["metadata"]["name"] = "own"
    with pytest.raises(Exception, match="a Host cannot be its own jump host"):
        kube.create(manifest)


def test_jump_hosts_in_a_circle_are_told(kube: Kube, namespace: str, at_work: list[SshHost]) -> None:
    add_host(kube, namespace, at_work[0], "round-1", jumpHostRef={"name": "round-2"})
    add_host(kube, namespace, at_work[1], "round-2", jumpHostRef={"name": "round-1"})
    found = result(kube, namespace, "circle", "true", "round-1")
    assert found["reason"] == "InvalidSpec"
    assert "leads in a circle: round-1 -> round-2 -> round-1" in found["message"]


def recorded(kube: Kube, namespace: str, name: str) -> object:
    return kube.get("hosts", namespace, name).get("status", {}).get("hostKeys")


def test_the_first_key_is_recorded_and_a_changed_one_refused(
    kube: Kube, namespace: str, at_work: list[SshHost]
) -> None:
    real, other, *_ = at_work
    add_host(kube, namespace, real, "new", hostKeys=None, hostKeyPolicy="AcceptNew")
    assert result(kube, namespace, "new-1", "true", "new")["state"] == "Succeeded"
    assert recorded(kube, namespace, "new") == [real.host_key]
    assert result(kube, namespace, "new-2", "true", "new")["state"] == "Succeeded"
    add_host(kube, namespace, other, "new", hostKeys=None, hostKeyPolicy="AcceptNew")
    found = result(kube, namespace, "new-3", "true", "new")
    assert (found["state"], found["reason"]) == ("Failed", "HostKeyMismatch")
    assert "put its new key into spec.hostKeys" in found["message"]
    assert recorded(kube, namespace, "new") == [real.host_key]
    add_host(kube, namespace, other, "new", hostKeyPolicy="AcceptNew")
    assert result(kube, namespace, "new-4", "true", "new")["state"] == "Succeeded"
    assert recorded(kube, namespace, "new") == [real.host_key]


def test_the_key_of_a_jump_host_is_recorded_once_for_many_slices(
    kube: Kube, namespace: str, at_work: list[SshHost]
) -> None:
    gate, *targets = at_work
    add_host(kube, namespace, gate, "new-gate", hostKeys=None, hostKeyPolicy="AcceptNew")
    names = [f"behind-{number}" for number in range(4)]
    for name, real in zip(names, targets, strict=False):
        add_host(kube, namespace, real, name, jumpHostRef={"name": "new-gate"})
    kube.create(invocation(namespace, "new-gate", "true", names, rollout={"hostsPerSlice": 1}))
    end_of(kube, namespace, "new-gate")
    assert {entry["state"] for entry in results(kube, namespace, "new-gate").values()} == {"Succeeded"}
    assert recorded(kube, namespace, "new-gate") == [gate.host_key]


def test_keys_come_from_a_config_map_that_must_be_there(
    kube: Kube, namespace: str, at_work: list[SshHost], client_key: KeyPair
) -> None:
    real, other, *_ = at_work
    known = {"knownHostsFrom": {"configMapKeyRef": {"name": "known", "key": "known_hosts"}}}
    add_host(kube, namespace, real, "listed", hostKeys=None, **known)
    found = result(kube, namespace, "listed-1", "true", "listed")
    assert found["reason"] == "ConfigMapNotFound"
    assert "there is no ConfigMap known" in found["message"]
    text = f"# the fleet\n{real.address} {real.host_key}\n10.255.* {client_key.public}\n"
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "known", "namespace": namespace}}
    kube.apply(config_map | {"data": {"known_hosts": text}})
    assert result(kube, namespace, "listed-2", "true", "listed")["state"] == "Succeeded"
    kube.apply(config_map | {"data": {"known_hosts": f"{real.address} {other.host_key}\n"}})
    assert result(kube, namespace, "listed-3", "true", "listed")["reason"] == "HostKeyMismatch"


def test_a_template_may_give_its_script_a_terminal(kube: Kube, namespace: str, at_work: list[SshHost]) -> None:
    add_host(kube, namespace, at_work[0], "terminal")
    script = "[ -t 1 ] && echo terminal; echo err >&2"
    kube.apply({
        "apiVersion": "rollcall.dev/v1alpha1", "kind": "JobTemplate",
        "metadata": {"name": "terminal", "namespace": namespace},
        "spec": {"displayName": "Terminal", "provider": "SSH", "ssh": {"script": script, "tty": True}},
    })  # fmt: skip
    run(kube, invocation(namespace, "terminal", None, ["terminal"], templateRef={"name": "terminal"}))
    assert output(events(kube, namespace, "terminal")["terminal"]) == b"terminal\nerr\n"
