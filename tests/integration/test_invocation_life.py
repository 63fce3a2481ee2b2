"""What a person who applies a JobInvocation sees of it."""

from support.jobs import events, invocation, output, results, run, slices
from support.kube import Kube, condition
from support.operator import Operator
from support.sshhosts import SshHost


def test_each_host_gets_its_own_pod_and_its_result_is_in_its_slice(
    kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]
) -> None:
    names = [host.name for host in hosts[:3]]
    ended = run(kube, invocation(namespace, "hello", "echo hello from $(hostname)", names))
    assert condition(ended, "Complete")["status"] == "True"  # type: ignore[index]
    assert ended["status"]["hosts"] == {
        "total": 3, "succeeded": 3, "failed": 0, "cancelled": 0, "running": 0, "pending": 0,
    }  # fmt: skip
    assert [slice_["spec"]["hosts"] for slice_ in slices(kube, namespace, "hello")] == [[name] for name in names]
    found = results(kube, namespace, "hello")
    said = events(kube, namespace, "hello")
    for name in names:
        assert found[name]["state"] == "Succeeded"
        assert found[name]["exitCode"] == 0
        assert found[name]["output"]["tail"] == f"hello from {name}\n"
        assert output(said[name]) == f"hello from {name}\n".encode()
        assert [event.seq for event in said[name]] == list(range(len(said[name])))


def test_packed_hosts_share_a_pod_and_a_failed_one_is_told_apart(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    ended = run(kube, invocation(namespace, "packed", "[ $(hostname) != host-4 ]", None, rollout={"hostsPerSlice": 4}))
    assert condition(ended, "Failed")["reason"] == "HostsFailed"  # type: ignore[index]
    assert ended["status"]["hosts"]["succeeded"] == 9
    assert [failure["host"] for failure in ended["status"]["failures"]] == ["host-4"]
    assert [len(slice_["spec"]["hosts"]) for slice_ in slices(kube, namespace, "packed")] == [4, 4, 2]
    assert results(kube, namespace, "packed")["host-4"]["reason"] == "ExitCode"
