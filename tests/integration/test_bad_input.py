"""Whatever is wrong is said where a person looks, and nothing else is held up by it."""

from collections.abc import Callable
from typing import Any

import pytest

from support.jobs import end_of, invocation, results, run, slices, template
from support.kube import Kube, KubeError, Object, condition
from support.operator import Operator
from support.sshhosts import SshHost

WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("no-template", {"templateRef": {"name": "nope"}}, "TemplateNotFound", "there is no JobTemplate nope"),
    ("no-host", {"targeting": {"hosts": ["host-1", "ghost"]}}, "HostNotFound", "no Host named ghost"),
    ("no-secret", {"credentialsRef": {"name": "gone"}}, "SecretNotFound", "there is no Secret gone"),
    ("no-input", {"inputs": {}}, "InvalidInput", "needs a value for: command"),
    ("other-input", {"inputs": {"command": "id", "colour": "red"}}, "InvalidInput", "has no input colour"),
    ("bad-type", {"templateRef": {"name": "typed"}, "inputs": {"count": "many"}}, "InvalidInput", "of type Integer"),
    ("bad-choice", {"templateRef": {"name": "typed"}, "inputs": {"size": "XL"}}, "InvalidInput", "one of S, M"),
    ("bad-script", {"templateRef": {"name": "broken"}, "inputs": {}}, "TemplateError", "line 2"),
    ("undefined", {"templateRef": {"name": "undefined"}, "inputs": {}}, "TemplateError", "nonsense"),
]


@pytest.fixture(scope="module", autouse=True)
def templates(kube: Kube, namespace: str, operator: Operator) -> None:
    typed = [{"name": "count", "type": "Integer"}, {"name": "size", "type": "Choice", "options": ["S", "M"]}]
    kube.apply(template(namespace, "typed", inputs=typed, ssh={"script": "echo {{ inputs.count }}"}))
    kube.apply(template(namespace, "broken", inputs=[], ssh={"script": "#!/bin/sh\n{{ inputs."}))
    kube.apply(template(namespace, "undefined", inputs=[], ssh={"script": "{{ nonsense }}"}))


@pytest.mark.parametrize(("name", "changes", "reason", "said"), WRONG, ids=[entry[0] for entry in WRONG])
def test_an_invocation_that_cannot_be_carried_out_fails_and_says_why(
    kube: Kube, namespace: str, operator: Operator, name: str, changes: dict[str, Any], reason: str, said: str
) -> None:
    ended = run(kube, invocation(namespace, name, "id", ["host-1"], **changes))
    for type_, status in (("Valid", "False"), ("Failed", "True")):
        found = condition(ended, type_)
        assert found is not None
        assert (found["status"], found["reason"]) == (status, reason)
        assert said in found["message"]
    assert slices(kube, namespace, name) == []
    assert operator.alive
    assert "Traceback" not in operator.said()


def test_what_is_missing_may_turn_up_a_little_later(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(invocation(namespace, "early", "id", ["host-1"], templateRef={"name": "late"}))
    waiting = kube.wait("condition", lambda: condition(kube.get("jobinvocations", namespace, "early"), "Valid"))
    assert "waiting for it until" in waiting["message"]
    kube.create(template(namespace, "late"))
    assert condition(end_of(kube, namespace, "early"), "Complete")


@pytest.mark.parametrize(("when_empty", "end"), [("Complete", "Complete"), ("Fail", "Failed")])
def test_a_selector_without_a_host_ends_as_asked(
    kube: Kube, namespace: str, operator: Operator, when_empty: str, end: str
) -> None:
    targeting = {"selector": {"matchLabels": {"no": "such"}}, "whenEmpty": when_empty}
    ended = run(kube, invocation(namespace, f"empty-{end.lower()}", "id", None, targeting=targeting))
    found = condition(ended, end)
    assert found is not None
    assert found["reason"] == "NoHostsMatched"
    assert ended["status"]["hosts"]["total"] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targeting": {}}, "give exactly one of hosts, selector, inventoryRef and query"),
        (
            {"targeting": {"hosts": ["a"], "selector": {}}},
            "give exactly one of hosts, selector, inventoryRef and query",
        ),
        ({"rollout": {"concurrency": 0}}, "greater than or equal to 1"),
        ({"rollout": {"hostsPerSlice": 251}}, "from 1 to 250, or auto"),
        ({"rollout": {"hostsPerSlice": "many"}}, "from 1 to 250, or auto"),
        ({"inputs": {"command": ["a"]}}, "must be of type"),
    ],
)
def test_the_api_server_refuses_nonsense_at_once(
    kube: Kube, namespace: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(KubeError, match=said):
        kube.create(invocation(namespace, "nonsense", "id", ["host-1"], **changes))


def test_the_api_server_refuses_a_name_that_leaves_no_room_for_slices(kube: Kube, namespace: str) -> None:
    with pytest.raises(KubeError, match="at most 52 characters"):
        kube.create(invocation(namespace, "x" * 53, "id", ["host-1"]))


def test_an_invocation_cannot_be_rewritten(kube: Kube, namespace: str, operator: Operator) -> None:
    run(kube, invocation(namespace, "fixed", "id", ["host-1"]))
    with pytest.raises(KubeError, match=r"only suspend, cancellation"):
        kube.patch("jobinvocations", namespace, "fixed", {"spec": {"inputs": {"command": "rm -rf /"}}})
    kube.patch("jobinvocations", namespace, "fixed", {"spec": {"ttlSecondsAfterFinished": 3600}})


def test_a_host_without_an_address_is_reached_by_its_name(
    kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]
) -> None:
    kube.create(
        _host(namespace, "no-address", {"credentialsRef": {"name": "ops-key"}, "hostKeys": [hosts[0].host_key]})
    )
    run(kube, invocation(namespace, "nameless", "id", ["no-address"]))
    result = results(kube, namespace, "nameless")["no-address"]
    assert (result["state"], result["reason"]) == ("Failed", "Unreachable")
    assert "no-address" in result["message"]


def test_a_host_with_a_mangled_key_says_so(
    kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]
) -> None:
    kube.create(_host(namespace, "mangled", {"address": hosts[0].address, "hostKeys": ["ssh-ed25519 AAAA"]}))
    found = kube.wait("condition", lambda: condition(kube.get("hosts", namespace, "mangled"), "Valid"))
    assert found["status"] == "False"
    assert "spec.hostKeys" in found["message"]
    kube.patch("hosts", namespace, "mangled", {"spec": {"hostKeys": [hosts[0].host_key]}})

    def healed() -> bool:
        return (condition(kube.get("hosts", namespace, "mangled"), "Valid") or {}).get("status") == "True"

    kube.wait("healed host", healed)


@pytest.mark.parametrize("label", ["abc", "0", "007x", "99999999999999999999"])
def test_a_malformed_id_is_replaced_by_a_good_one(kube: Kube, namespace: str, operator: Operator, label: str) -> None:
    host = _host(namespace, f"labelled-{label}", {})
    host["metadata"]["labels"] = {"rollcall.dev/id": label}
    host["metadata"]["annotations"] = {"rollcall.dev/run-now": "{[nonsense", "kopf.zalando.org/x": "}{"}
    kube.create(host)
    _numbered(kube, namespace, host["metadata"]["name"])


def test_two_objects_never_keep_the_same_id(kube: Kube, namespace: str, operator: Operator) -> None:
    number = _numbered(kube, namespace, "host-1")
    copy = _host(namespace, "copycat", {})
    copy["metadata"]["labels"] = {"rollcall.dev/id": str(number)}
    kube.create(copy)

    def renumbered() -> bool:
        return bool(kube.get("hosts", namespace, "copycat")["metadata"]["labels"]["rollcall.dev/id"] != str(number))

    kube.wait("another id", renumbered)
    assert _numbered(kube, namespace, "host-1") == number


def test_a_slice_deleted_by_hand_counts_as_failed(
    kube: Kube, namespace: str, operator: Operator, until_running: Callable[[str], None]
) -> None:
    kube.create(invocation(namespace, "robbed", "sleep 20", ["host-1", "host-2"], rollout={"concurrency": 1}))
    until_running("robbed")
    kube.delete("jobslices", namespace, "robbed-0")
    kube.delete("jobslices", namespace, "robbed-1")
    ended = end_of(kube, namespace, "robbed")
    assert ended["status"]["hosts"] == {
        "total": 2, "failed": 2, "succeeded": 0, "cancelled": 0, "running": 0, "pending": 0,
    }  # fmt: skip


def test_a_slice_status_edited_by_hand_does_not_stop_the_operator(
    kube: Kube, namespace: str, operator: Operator, until_running: Callable[[str], None]
) -> None:
    kube.create(invocation(namespace, "edited", "sleep 3", ["host-1"]))
    until_running("edited")
    kube.patch("jobslices", namespace, "edited-0", {"status": {"hosts": [], "state": "Pending"}}, "status")
    assert condition(end_of(kube, namespace, "edited"), "Complete")
    assert results(kube, namespace, "edited")["host-1"]["state"] == "Succeeded"


def test_credentials_deleted_while_in_use_fail_only_hosts_that_have_not_begun(
    kube: Kube, namespace: str, operator: Operator, client_key: Any, until_running: Callable[[str], None]
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "short-lived", "namespace": namespace}}
    kube.create({**secret, "stringData": {"ssh-privatekey": client_key.private}})
    changes = {"credentialsRef": {"name": "short-lived"}, "rollout": {"concurrency": 1}}
    kube.create(invocation(namespace, "orphaned", "sleep 2", ["host-1", "host-2"], **changes))
    until_running("orphaned")
    kube.delete("secrets", namespace, "short-lived")
    end_of(kube, namespace, "orphaned")
    found = results(kube, namespace, "orphaned")
    assert found["host-1"]["state"] == "Succeeded"
    assert (found["host-2"]["state"], found["host-2"]["reason"]) == ("Failed", "SecretNotFound")


def test_a_pod_that_the_quota_refuses_is_offered_again(kube: Kube, namespace: str, operator: Operator) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": namespace}}
    kube.create({**quota, "spec": {"hard": {"pods": "0"}}})
    kube.wait("quota", lambda: "hard" in kube.get("resourcequotas", namespace, "none").get("status", {}))
    kube.create(invocation(namespace, "refused", "id", ["host-1"]))
    kube.wait("event", lambda: [e for e in kube.list("events", namespace) if e["reason"] == "PodRefused"])
    kube.delete("resourcequotas", namespace, "none")
    assert condition(end_of(kube, namespace, "refused"), "Complete")


def test_other_invocations_are_not_held_up(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(invocation(namespace, "stuck", "sleep 30", ["host-3"]))
    kube.create(invocation(namespace, "wrong", "id", ["ghost"]))
    assert condition(run(kube, invocation(namespace, "right", "id", ["host-1"])), "Complete")
    assert condition(kube.get("jobinvocations", namespace, "stuck"), "Complete") is None
    kube.delete("jobinvocations", namespace, "stuck")


@pytest.fixture
def until_running(kube: Kube, namespace: str) -> Callable[[str], None]:
    """Waits until the invocation's first runner has begun."""

    def wait(name: str) -> None:
        def begun() -> bool:
            pod = kube.find("pods", namespace, f"{name}-0") or {}
            return pod.get("status", {}).get("phase") == "Running"

        kube.wait(f"runner of {name}", begun)

    return wait


def _host(namespace: str, name: str, spec: dict[str, Any]) -> Object:
    return {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "Host",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _numbered(kube: Kube, namespace: str, name: str) -> int:
    def number() -> int | None:
        text = kube.get("hosts", namespace, name)["metadata"].get("labels", {}).get("rollcall.dev/id", "")
        return int(text) if text.isdecimal() and 0 < int(text) < 10**17 else None

    return kube.wait(f"id of Host {name}", number)
