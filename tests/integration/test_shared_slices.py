"""Hosts with a pod each that share slice objects: what holds for others holds for them, and a person can read it."""

import subprocess
from collections.abc import Iterator

import pytest

from integration.test_cancellation import (
    test_cancelling_stops_what_runs_and_starts_nothing_more,  # noqa: F401
    test_what_has_ended_keeps_its_end,  # noqa: F401
)
from integration.test_retries import (
    test_a_host_that_cannot_be_reached_is_tried_again_by_default,  # noqa: F401
    test_other_failures_are_final,  # noqa: F401
)
from integration.test_rollout import (
    test_no_more_hosts_are_at_work_than_asked_for,  # noqa: F401
    test_raising_the_concurrency_of_a_running_job_starts_more,  # noqa: F401
)
from support.jobs import events, invocation, output, results, run, slice_objects, slices
from support.kube import Kube, condition
from support.operator import Operator


@pytest.fixture(scope="module")
def operator(kube: Kube, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator to which more than four hosts are many."""
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    arguments = ("--reference-grace-seconds", "3", "--pods-per-slice", "4")
    with Operator(namespace, kube.kubeconfig, log, *arguments) as started:
        yield started
    print(started.said()[-20_000:])


def test_ten_hosts_with_a_pod_each_share_three_objects_that_tell_of_each(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    noise = "head -c 9000 /dev/urandom | base64"
    script = f"echo said by $(hostname); case $(hostname) in host-3) exit 7;; host-4) {noise};; esac"
    ended = run(kube, invocation(namespace, "shared", script, None, rollout={"hostsPerSlice": 1}), 120)
    assert ended["status"]["hosts"] == {
        "total": 10, "pending": 0, "running": 0, "succeeded": 9, "failed": 1, "cancelled": 0,
    }  # fmt: skip
    stored = sorted(slice_objects(kube, namespace, "shared"), key=lambda slice_: slice_["spec"]["index"])
    assert [(slice_["metadata"]["name"], len(slice_["spec"]["hosts"])) for slice_ in stored] == [
        ("shared-0", 4), ("shared-4", 4), ("shared-8", 2),
    ]  # fmt: skip
    assert {slice_["status"]["state"] for slice_ in stored} == {"Done"}
    assert sum(slice_["status"]["succeeded"] for slice_ in stored) == 9
    assert [pod["podName"] for slice_ in stored for pod in slice_["status"]["pods"]] == [
        f"shared-{n}" for n in range(10)
    ]
    found = results(kube, namespace, "shared")
    assert (found["host-3"]["reason"], found["host-3"]["exitCode"]) == ("ExitCode", 7)
    said = events(kube, namespace, "shared")
    assert {host: output(heard).splitlines()[0].decode() for host, heard in said.items()} == {
        host: f"said by {host}" for host in found
    }
    inside = {host for slice_ in stored for host in slice_["status"].get("outputs", {})}
    assert inside == found.keys() - {"host-4"}, "who says little has it in the slice"


def test_one_host_of_several_is_tried_again_in_a_slice_of_its_own(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    script = "case $(hostname) in host-5) [ -e /tmp/shared-once ] || { touch /tmp/shared-once; exit 75; };; esac"
    retry = {"backoffLimit": 1, "backoffSeconds": 1, "retryOnExitCodes": [75]}
    ended = run(kube, invocation(namespace, "again", script, None, rollout={"hostsPerSlice": 1}, **retry), 120)
    assert condition(ended, "Complete")
    stored = {slice_["metadata"]["name"]: slice_ for slice_ in slice_objects(kube, namespace, "again")}
    retried = [slice_ for slice_ in stored.values() if slice_["spec"].get("attempt")]
    assert [slice_["spec"]["hosts"] for slice_ in retried] == [["host-5"]]
    (parent,) = [part for part in slices(kube, namespace, "again") if part["status"].get("retrySlice")]
    assert parent["status"]["retrySlice"] == retried[0]["metadata"]["name"]
    assert parent["spec"]["hosts"] == ["host-5"]


def test_what_happened_to_a_host_can_be_read_with_kubectl(kube: Kube, namespace: str, operator: Operator) -> None:
    script = "case $(hostname) in host-2) echo out of paper >&2; exit 9;; esac"
    run(kube, invocation(namespace, "told", script, None, rollout={"hostsPerSlice": 1}), 120)
    kubectl = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", namespace]
    (name,) = [s["metadata"]["name"] for s in slice_objects(kube, namespace, "told") if "host-2" in s["spec"]["hosts"]]
    described = subprocess.run([*kubectl, "describe", "js", name], check=True, capture_output=True, text=True).stdout
    for expected in ("host-2", "out of paper", "Exit Code", "the script ended with exit code 9"):
        assert expected in described
    table = subprocess.run([*kubectl, "get", "js", name], check=True, capture_output=True, text=True).stdout
    assert table.splitlines()[1].split()[1:5] == ["told", "Done", "3", "1"]
