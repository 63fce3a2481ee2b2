"""What somebody sees who installs the chart and uses kubectl."""

import json
from collections.abc import Callable
from itertools import pairwise

from e2e.release import ROOT, Release, kubectl, run
from support.jobs import events, invocation, output, results, slices
from support.kube import Kube, Object, condition
from support.sshhosts import SshHost


def marked_sleep(mark: str) -> str:
    """A command that stays at work for long, in a process that shows the mark in its arguments."""
    return f"bash -c 'exec -a {mark} sleep 600'"


def gone(kube: Kube, plural: str, namespace: str, name: str) -> bool:
    """Whether nothing of that kind is left that belongs to the invocation."""
    return not kube.list(plural, namespace, labelSelector=f"rollcall.dev/invocation={name}")


def test_an_applied_manifest_runs_on_three_hosts(kube: Kube, namespace: str, hosts: list[SshHost]) -> None:
    names = [host.name for host in hosts]
    command = "echo to stdout from $(hostname); echo to stderr >&2; seq 1000"
    kubectl("apply", "-f", "-", stdin=json.dumps(invocation(namespace, "three", command, names)))
    kubectl("wait", "--for=condition=Complete", "jobinvocation/three", "-n", namespace, "--timeout=90s")

    ended = kube.get("jobinvocations", namespace, "three")
    counts = ended["status"]["hosts"]
    assert counts == {"total": 3, "succeeded": 3, "failed": 0, "cancelled": 0, "running": 0, "pending": 0}
    said = events(kube, namespace, "three")
    for name, result in results(kube, namespace, "three").items():
        assert (result["state"], result["exitCode"]) == ("Succeeded", 0)
        # stdout and stderr come by two channels: which of the last lines comes last is not said.
        assert "\n1000\n" in result["output"]["tail"]
        lines = output(said[name]).decode().splitlines()
        assert f"to stdout from {name}" in lines
        assert "to stderr" in lines
        assert [line for line in lines if line.isdecimal()] == [str(number) for number in range(1, 1001)]
        assert [event.seq for event in said[name]] == list(range(len(said[name])))
    row = kubectl("get", "ji", "three", "-n", namespace, "--no-headers").split()
    assert row[:6] == ["three", "Complete", "3", "0", "0", "3"]
    assert kubectl("get", "events", "-n", namespace, "--field-selector=involvedObject.name=three", "-o", "name")


def test_the_examples_are_accepted(namespace: str) -> None:
    examples = sorted((ROOT / "examples").glob("*.yaml"))
    placed = [path for path in examples if "namespace: default" in path.read_text()]
    assert 0 < len(placed) < len(examples)
    for path in examples:
        kubectl("apply", "--dry-run=server", *(() if path in placed else ("-n", namespace)), "-f", str(path))


def test_packed_hosts_share_a_pod_and_take_turns(kube: Kube, namespace: str, hosts: list[SshHost]) -> None:
    rollout = {"hostsPerSlice": 3, "concurrency": 1}
    names = [host.name for host in hosts]
    kube.create(invocation(namespace, "packed", "date +%s.%N; sleep 1; date +%s.%N", names, rollout=rollout))
    kubectl("wait", "--for=condition=Complete", "jobinvocation/packed", "-n", namespace, "--timeout=90s")
    assert [len(slice_["spec"]["hosts"]) for slice_ in slices(kube, namespace, "packed")] == [3]
    said = events(kube, namespace, "packed").values()
    times = sorted(tuple(map(float, output(of_host).split())) for of_host in said)
    assert len(times) == 3
    for (_, end), (start, _) in pairwise(times):
        assert end <= start


def test_runner_pods_are_restricted_and_know_no_token(
    kube: Kube, namespace: str, running: Callable[[Object, str], Object]
) -> None:
    pod = running(invocation(namespace, "restricted", marked_sleep("restricted"), ["web1"]), "web1")
    labels = kube.get("namespaces", None, namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert [set(volume) - {"name"} for volume in pod["spec"]["volumes"]] == [{"secret"}, {"downwardAPI"}]
    container = pod["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "env" not in container
    kube.delete("jobinvocations", namespace, "restricted")


def test_deleting_a_running_invocation_stops_its_process_and_leaves_nothing(
    kube: Kube, namespace: str, running: Callable[[Object, str], Object], on_host: Callable[..., str]
) -> None:
    running(invocation(namespace, "unwanted", marked_sleep("unwanted"), ["web2"]), "web2")
    kubectl("delete", "jobinvocation", "unwanted", "-n", namespace, "--timeout=60s")
    assert "unwanted" not in on_host("web2", "ps", "axww", "-o", "args")
    for plural in ("jobslices", "joboutputs", "pods", "secrets"):
        kube.wait(f"end of the {plural}", lambda plural=plural: gone(kube, plural, namespace, "unwanted"), 60)  # type: ignore[misc]


def test_a_finished_invocation_goes_away_when_its_time_is_over(kube: Kube, namespace: str) -> None:
    manifest = invocation(namespace, "brief", "true", ["db1"], ttlSecondsAfterFinished=2)
    kube.create(manifest)
    kubectl("wait", "--for=condition=Complete", "jobinvocation/brief", "-n", namespace, "--timeout=60s")
    kubectl("wait", "--for=delete", "jobinvocation/brief", "-n", namespace, "--timeout=60s")
    for plural in ("jobslices", "joboutputs", "pods", "secrets"):
        kube.wait(f"end of the {plural}", lambda plural=plural: gone(kube, plural, namespace, "brief"), 60)  # type: ignore[misc]


def test_a_finished_invocation_keeps_no_pod_and_no_secret(kube: Kube, namespace: str) -> None:
    kube.create(invocation(namespace, "kept", "true", ["db1"]))
    kubectl("wait", "--for=condition=Complete", "jobinvocation/kept", "-n", namespace, "--timeout=60s")
    for plural in ("pods", "secrets"):
        kube.wait(f"end of the {plural}", lambda plural=plural: gone(kube, plural, namespace, "kept"), 60)  # type: ignore[misc]
    assert not gone(kube, "jobslices", namespace, "kept")


def test_a_job_outlives_the_operator_pod(
    kube: Kube, release: Release, namespace: str, on_host: Callable[..., str]
) -> None:
    started, finish = "/tmp/outlives-started", "/tmp/outlives-finish"
    command = f"echo started >> {started}; until [ -e {finish} ]; do sleep 0.2; done; echo finished"
    kube.create(invocation(namespace, "outlives", command, ["db1"]))
    kube.wait("the script at work", lambda: "outlives-started" in on_host("db1", "ls", "/tmp"), 60, interval=0.5)
    run("kubectl", "rollout", "restart", "-n", release.namespace, f"deployment/{release.name}-rollcall-operator")
    kubectl(
        "rollout", "status", "-n", release.namespace, f"deployment/{release.name}-rollcall-operator", "--timeout=90s"
    )
    on_host("db1", "touch", finish)
    kubectl("wait", "--for=condition=Complete", "jobinvocation/outlives", "-n", namespace, "--timeout=90s")
    assert output(events(kube, namespace, "outlives")["db1"]) == b"finished\n"
    assert on_host("db1", "cat", started) == "started\n"
    assert condition(kube.get("jobinvocations", namespace, "outlives"), "Complete")
