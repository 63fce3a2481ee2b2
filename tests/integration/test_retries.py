"""Hosts that fail are tried again, those only, as often as allowed; each attempt keeps what it said."""

import pytest

from support.jobs import events, events_of, invocation, results, run, slices
from support.kube import Kube, Object, condition
from support.operator import Operator

# Counts its runs on the host, and succeeds in the given one.
COUNTED = (
    "n=$(($(cat /tmp/{mark} 2>/dev/null || echo 0)+1)); echo $n >/tmp/{mark}; echo run $n; [ $n -ge {wins} ] || exit 75"
)


def said_in(kube: Kube, slice_: Object) -> bytes:
    """What the hosts of one slice said on stdout."""
    found = events_of(kube, slice_)
    return b"".join(event.data for event in found if event.stream == "stdout" and isinstance(event.data, bytes))


def retrying(namespace: str, name: str, script: str, hosts: list[str], **spec: object) -> Object:
    return invocation(namespace, name, script, hosts, **({"backoffSeconds": 1} | spec))


def test_a_host_is_tried_again_until_it_succeeds(kube: Kube, namespace: str, operator: Operator) -> None:
    script = COUNTED.format(mark="thrice", wins=3)
    manifest = retrying(namespace, "thrice", script, ["host-1"], backoffLimit=3, retryOnExitCodes=[75])
    ended = run(kube, manifest, 120)
    assert condition(ended, "Complete")
    assert ended["status"]["hosts"]["succeeded"] == 1
    made = slices(kube, namespace, "thrice")
    assert [slice_["metadata"]["name"] for slice_ in made] == ["thrice-0", "thrice-0-r1", "thrice-0-r2"]
    assert [said_in(kube, slice_) for slice_ in made] == [
        b"run 1\n", b"run 2\n", b"run 3\n",
    ]  # fmt: skip
    assert [slice_["status"]["hosts"][0]["state"] for slice_ in made] == ["Failed", "Failed", "Succeeded"]


def test_only_the_hosts_concerned_are_tried_again(kube: Kube, namespace: str, operator: Operator) -> None:
    script = "case $(hostname) in host-2) exit 75;; host-3) exit 1;; esac"
    names = ["host-2", "host-3", "host-4"]
    manifest = retrying(
        namespace, "some", script, names, backoffLimit=1, retryOnExitCodes=[75], rollout={"hostsPerSlice": 3}
    )
    ended = run(kube, manifest, 120)
    assert ended["status"]["hosts"]["failed"] == 2
    first, second = slices(kube, namespace, "some")
    assert second["spec"]["hosts"] == ["host-2"]
    assert first["status"]["retrySlice"] == "some-0-r1"
    assert results(kube, namespace, "some")["host-2"]["exitCode"] == 75


def test_a_host_that_cannot_be_reached_is_tried_again_by_default(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    nowhere = kube.get("hosts", namespace, "host-0")
    spec = nowhere["spec"] | {"port": 2}
    kube.apply({"apiVersion": "rollcall.dev/v1alpha1", "kind": "Host",
                "metadata": {"name": "nowhere", "namespace": namespace}, "spec": spec})  # fmt: skip
    ended = run(kube, retrying(namespace, "unreachable", "true", ["nowhere"], backoffLimit=1), 120)
    assert ended["status"]["hosts"]["failed"] == 1
    assert [slice_["status"]["hosts"][0]["reason"] for slice_ in slices(kube, namespace, "unreachable")] == [
        "Unreachable", "Unreachable",
    ]  # fmt: skip
    kube.delete("hosts", namespace, "nowhere")


@pytest.mark.parametrize(("reason", "attempts"), [("Timeout", 2), ("Unreachable", 1)])
def test_a_host_that_takes_too_long_is_tried_again_if_that_is_asked_for(
    kube: Kube, namespace: str, operator: Operator, reason: str, attempts: int
) -> None:
    name = f"late-{reason.lower()}"
    limits = {"backoffLimit": 1, "retryOn": [reason], "executionTimeoutSeconds": 1}
    ended = run(kube, retrying(namespace, name, "sleep 60", ["host-6"], **limits), 120)
    assert ended["status"]["hosts"]["failed"] == 1
    ends = [slice_["status"]["hosts"][0]["reason"] for slice_ in slices(kube, namespace, name)]
    assert ends == ["Timeout"] * attempts


def test_other_failures_are_final(kube: Kube, namespace: str, operator: Operator) -> None:
    ended = run(kube, retrying(namespace, "final", "exit 7", ["host-5"], backoffLimit=3), 120)
    assert ended["status"]["hosts"]["failed"] == 1
    assert len(slices(kube, namespace, "final")) == 1
    assert len(events(kube, namespace, "final")) == 1
