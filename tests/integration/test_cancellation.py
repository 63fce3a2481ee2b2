"""Stopping what runs: the whole job, chosen hosts, by force; with a look at the hosts themselves."""

import subprocess
from typing import Any

import pytest

from rollcall.outputs import Stream
from support.jobs import end_of, events, invocation, output, results
from support.kube import Kube, Object, condition
from support.operator import Operator
from support.sshhosts import HOSTS_NAMESPACE

STUBBORN = "trap '' TERM INT HUP; echo begun; sleep {mark} & while :; do sleep 0.1; done"


def processes(kube: Kube, host: str, mark: str) -> int:
    """How many processes on the host have the mark in their command line."""
    command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", HOSTS_NAMESPACE, "exec", host, "--"]
    check = f"ps -eo args | grep -v grep | grep -c -e {mark}; true"
    return int(subprocess.run([*command, "sh", "-c", check], capture_output=True, text=True, check=True).stdout)


def cancel(kube: Kube, namespace: str, name: str, **cancellation: Any) -> Object:
    return kube.patch("jobinvocations", namespace, name, {"spec": {"cancellation": cancellation}})


def at_work(kube: Kube, namespace: str, name: str, count: int) -> None:
    """Wait until that many hosts run."""

    def running() -> bool:
        found = kube.get("jobinvocations", namespace, name)
        return bool(found.get("status", {}).get("hosts", {}).get("running", 0) >= count)

    kube.wait(f"{count} hosts of {name} at work", running)


def test_cancelling_stops_what_runs_and_starts_nothing_more(kube: Kube, namespace: str, operator: Operator) -> None:
    rollout = {"concurrency": 2, "hostsPerSlice": 1}
    kube.create(invocation(namespace, "whole", STUBBORN.format(mark=98761), None, rollout=rollout))
    at_work(kube, namespace, "whole", 2)
    running = [name for name, result in results(kube, namespace, "whole").items() if result["state"] == "Running"]
    # A host is at work as soon as its pod is; whoever cancels then may come before the script.
    kube.wait("both scripts", lambda: all(processes(kube, name, "98761") for name in running))
    cancel(kube, namespace, "whole", policy="Graceful")
    ended = end_of(kube, namespace, "whole")
    reason = condition(ended, "Cancelled")
    assert reason is not None
    assert reason["status"] == "True"
    assert reason["reason"] == "Cancelled"
    assert ended["status"]["hosts"] == {
        "total": 10, "pending": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 10,
    }  # fmt: skip
    states = results(kube, namespace, "whole")
    assert {result["state"] for result in states.values()} == {"Cancelled"}
    begun = [name for name, result in states.items() if result.get("startTime")]
    assert len(begun) == 2
    said = events(kube, namespace, "whole")
    for name in begun:
        assert "confirmed gone" in states[name]["message"]
        assert output(said[name]) == b"begun\n"
        assert processes(kube, name, "98761") == 0
    assert set(said) == set(begun)


def test_chosen_hosts_are_stopped_while_the_others_go_on(kube: Kube, namespace: str, operator: Operator) -> None:
    names = [f"host-{number}" for number in range(6)]
    script = "echo begun; sleep 8; echo done"
    rollout = {"hostsPerSlice": 3, "concurrency": 3}
    kube.create(invocation(namespace, "chosen", script, names, rollout=rollout))
    at_work(kube, namespace, "chosen", 3)
    cancel(kube, namespace, "chosen", hosts=["host-1", "host-4"])
    ended = end_of(kube, namespace, "chosen")
    states = results(kube, namespace, "chosen")
    assert {name for name, result in states.items() if result["state"] == "Cancelled"} == {"host-1", "host-4"}
    assert {result["state"] for name, result in states.items() if name not in ("host-1", "host-4")} == {"Succeeded"}
    assert "confirmed gone" in states["host-1"]["message"]
    assert "not started" in states["host-4"]["message"]
    assert (condition(ended, "Cancelled") or {}).get("status") == "True"
    said = events(kube, namespace, "chosen")
    assert output(said["host-1"]) == b"begun\n"
    assert output(said["host-0"]) == b"begun\ndone\n"


def test_by_force_there_is_no_grace(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(template_with_long_grace(namespace))
    manifest = invocation(namespace, "forced", STUBBORN.format(mark=98762), ["host-7"])
    manifest["spec"]["templateRef"] = {"name": "patient"}
    kube.create(manifest)
    at_work(kube, namespace, "forced", 1)
    cancel(kube, namespace, "forced", policy="Graceful")
    kube.wait(
        "word of the stop",
        lambda: kube.get("jobinvocations", namespace, "forced")["status"].get("state") == "Cancelling",
    )
    cancel(kube, namespace, "forced", policy="Force")
    end_of(kube, namespace, "forced", 60)
    assert results(kube, namespace, "forced")["host-7"]["state"] == "Cancelled"
    assert processes(kube, "host-7", "98762") == 0


def template_with_long_grace(namespace: str) -> Object:
    return {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "JobTemplate",
        "metadata": {"name": "patient", "namespace": namespace},
        "spec": {
            "inputs": [{"name": "command", "required": True}],
            "provider": "SSH",
            "ssh": {"script": "{{ inputs.command | raw }}\n"},
            "terminationGracePeriodSeconds": 300,
        },
    }


def test_what_has_ended_keeps_its_end(kube: Kube, namespace: str, operator: Operator) -> None:
    script = "case $(hostname) in host-0) exit 3;; host-1) exit 0;; *) echo begun; sleep 600;; esac"
    kube.create(invocation(namespace, "partly", script, ["host-0", "host-1", "host-2"], rollout={"hostsPerSlice": 3}))
    kube.wait("two ends", lambda: _ended(kube, namespace, "partly") >= 2)
    cancel(kube, namespace, "partly", policy="Graceful")
    ended = end_of(kube, namespace, "partly")
    states = {name: result["state"] for name, result in results(kube, namespace, "partly").items()}
    assert states == {"host-0": "Failed", "host-1": "Succeeded", "host-2": "Cancelled"}
    assert ended["status"]["state"] == "Cancelled"


def _ended(kube: Kube, namespace: str, name: str) -> int:
    counts = kube.get("jobinvocations", namespace, name).get("status", {}).get("hosts", {})
    return int(counts.get("succeeded", 0) + counts.get("failed", 0))


def test_a_cancellation_cannot_be_taken_back(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(invocation(namespace, "for-good", "sleep 600", ["host-0", "host-1"], suspend=True))
    cancel(kube, namespace, "for-good", hosts=["host-0"])
    patch = {"spec": {"cancellation": None}}
    with pytest.raises(Exception, match="cannot be taken back"):
        kube.patch("jobinvocations", namespace, "for-good", patch)
    cancel(kube, namespace, "for-good", hosts=None)
    ended = end_of(kube, namespace, "for-good")
    assert ended["status"]["hosts"]["cancelled"] == 2
    assert not [event for said in events(kube, namespace, "for-good").values() for event in said if
                event.stream == Stream.STDOUT]  # fmt: skip
