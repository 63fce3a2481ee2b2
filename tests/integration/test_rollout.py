"""How fast a job spreads, how long it may take, and who does the work."""

import subprocess
from pathlib import Path

import pytest

from rollcall.outputs import Event
from support.jobs import end_of, events, invocation, results, run
from support.kube import Kube, condition
from support.operator import Operator
from support.sshhosts import HOSTS_NAMESPACE


def most_at_once(said: dict[str, list[Event]]) -> int:
    """The most hosts that were at work at the same time, by their own first and last events."""
    edges = [(host[0].time, 1) for host in said.values()] + [(host[-1].time, -1) for host in said.values()]
    running = most = 0
    for _, change in sorted(edges):
        running += change
        most = max(most, running)
    return most


@pytest.mark.parametrize(
    ("name", "rollout", "limit"),
    [
        ("single-3", {"concurrency": 3, "hostsPerSlice": 1}, 3),
        ("packed-2", {"concurrency": 2, "hostsPerSlice": 10}, 2),
        ("packed-4", {"concurrency": 4, "hostsPerSlice": 3}, 4),
    ],
)
def test_no_more_hosts_are_at_work_than_asked_for(
    kube: Kube, namespace: str, operator: Operator, name: str, rollout: dict[str, int], limit: int
) -> None:
    ended = run(kube, invocation(namespace, name, "sleep 0.4", None, rollout=rollout), 120)
    assert condition(ended, "Complete")
    assert 1 <= most_at_once(events(kube, namespace, name)) <= limit


def test_raising_the_concurrency_of_a_running_job_starts_more(kube: Kube, namespace: str, operator: Operator) -> None:
    names = ["host-1", "host-2", "host-3"]
    kube.create(invocation(namespace, "raised", "sleep 4", names, rollout={"concurrency": 1, "hostsPerSlice": 1}))
    kube.wait("first pod", lambda: kube.list("pods", namespace, labelSelector="rollcall.dev/invocation=raised"))
    kube.patch("jobinvocations", namespace, "raised", {"spec": {"rollout": {"concurrency": 3}}})
    end_of(kube, namespace, "raised")
    assert most_at_once(events(kube, namespace, "raised")) >= 2


def test_a_script_that_takes_too_long_is_stopped_on_the_host(kube: Kube, namespace: str, operator: Operator) -> None:
    script = "trap '' TERM; echo $$ > /tmp/stubborn; sleep 4321 & while :; do sleep 0.2; done"
    run(kube, invocation(namespace, "slow", script, ["host-5"], executionTimeoutSeconds=2))
    result = results(kube, namespace, "slow")["host-5"]
    assert (result["state"], result["reason"]) == ("Failed", "Timeout")
    command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", HOSTS_NAMESPACE, "exec", "host-5", "--"]
    check = "ps -eo pid,args | grep -v grep | grep -c -e 'sleep 4321' -e \"^ *$(cat /tmp/stubborn) \"; true"
    assert (
        subprocess.run([*command, "sh", "-c", check], capture_output=True, text=True, check=True).stdout.strip() == "0"
    )


def test_the_table_tells_state_and_counts(kube: Kube, namespace: str, operator: Operator) -> None:
    run(kube, invocation(namespace, "told", "exit 3", ["host-1", "host-2"]))
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = kube.request("GET", kube.path("jobinvocations", namespace, "told"), headers=accept).json()
    shown = {c["name"]: v for c, v in zip(table["columnDefinitions"], table["rows"][0]["cells"], strict=True)}
    assert {key: shown[key] for key in ("State", "Succeeded", "Failed", "Total")} == {
        "State": "Failed", "Succeeded": 0, "Failed": 2, "Total": 2,
    }  # fmt: skip
    said = [e["reason"] for e in kube.list("events", namespace) if e["involvedObject"]["name"] == "told"]
    assert said.count("HostsResolved") == 1
    assert said.count("HostsFailed") == 1


def test_a_second_operator_waits_and_takes_over(kube: Kube, namespace: str, operator: Operator, tmp_path: Path) -> None:
    operator.wait_until_leading(kube)
    second = Operator(namespace, kube.kubeconfig, tmp_path / "second.log", identity="second")
    with second:
        kube.wait("health of the second", second.healthy)
        kube.create(invocation(namespace, "handover", "sleep 2", None, rollout={"concurrency": 4}))
        mine = {"labelSelector": "rollcall.dev/invocation=handover"}
        kube.wait("first pod", lambda: kube.list("pods", namespace, **mine))
        assert "leading as" not in second.said()
        assert operator.stop() == 0
        assert condition(end_of(kube, namespace, "handover", 120), "Complete")
        assert "leading as second" in second.said()
        for said in events(kube, namespace, "handover").values():
            assert [event.seq for event in said] == list(range(len(said)))
        assert second.stop() == 0
    operator.start().wait_until_leading(kube)
