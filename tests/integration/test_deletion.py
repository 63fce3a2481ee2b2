"""Deleting an invocation, whatever else happens at that moment."""

import asyncio
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from support.jobs import end_of, furnish, invocation, results, run
from support.kube import Kube, condition
from support.operator import Operator
from support.proxy import Answer, Call, Faults, Proxy
from support.sshhosts import HOSTS_NAMESPACE, KeyPair, SshHost

MINE = "rollcall.dev/invocation"
DELETE_PODS = Call("DELETE", "/v1/pods")


def at_work(kube: Kube, host: str, mark: str) -> bool:
    """Whether a process with that mark in its arguments runs on the host."""
    command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", HOSTS_NAMESPACE, "exec", host, "--"]
    check = f"ps -eo args | grep -v grep | grep -c 'sleep {mark}'; true"
    found = subprocess.run([*command, "sh", "-c", check], check=True, capture_output=True, text=True)
    return int(found.stdout) > 0


def test_an_invocation_made_again_under_the_same_name_runs_again(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    first = run(kube, invocation(namespace, "again", "echo first", ["host-1"]))
    kube.delete("jobinvocations", namespace, "again")
    # One that has just ended may have its finalizer still, and its name is taken for as long.
    kube.wait("the first to go", lambda: kube.find("jobinvocations", namespace, "again") is None)
    second = run(kube, invocation(namespace, "again", "echo second", ["host-1"]))
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert condition(second, "Complete")
    assert results(kube, namespace, "again")["host-1"]["output"]["tail"] == "second\n"


class LateAnswer(Faults):
    """Whoever has deleted all pods of an invocation learns it late: the API server takes seconds for many."""

    def __init__(self) -> None:
        self.deleted, self.go_on = threading.Event(), threading.Event()

    async def after(self, call: Call) -> Answer | None:
        if call == DELETE_PODS:
            self.deleted.set()
            await asyncio.to_thread(self.go_on.wait)
        return None


def test_an_invocation_made_again_while_the_pods_of_the_first_one_are_deleted_comes_to_its_end(
    kube: Kube,
    make_namespace: Callable[[str], str],
    hosts: list[SshHost],
    client_key: KeyPair,
    tmp_path: Path,
) -> None:
    namespace, late = furnish(kube, make_namespace("again"), hosts, client_key), LateAnswer()
    with Proxy(kube, late) as proxy:
        config = proxy.kubeconfig(tmp_path / "proxy.kubeconfig")
        with Operator(namespace, config, tmp_path / "operator.log"):
            run(kube, invocation(namespace, "again", "echo first", ["host-1"]))
            assert late.deleted.wait(30)
            kube.delete("jobinvocations", namespace, "again")
            kube.wait("the first to go", lambda: kube.find("jobinvocations", namespace, "again") is None)
            kube.create(invocation(namespace, "again", "sleep 7; echo second", ["host-1"]))
            kube.wait("the second at work", lambda: at_work(kube, "host-1", "7"))
            late.go_on.set()
            assert condition(end_of(kube, namespace, "again"), "Complete")
            assert results(kube, namespace, "again")["host-1"]["output"]["tail"] == "second\n"


def test_nothing_stays_behind_when_the_operator_dies_while_an_invocation_is_being_deleted(
    kube: Kube, namespace: str, operator: Operator, tmp_path: Path
) -> None:
    kube.create(invocation(namespace, "doomed", "sleep 7531", ["host-2", "host-3"], rollout={"hostsPerSlice": 2}))
    kube.wait("remote process", lambda: at_work(kube, "host-2", "7531"))
    operator.kill()
    kube.delete("jobinvocations", namespace, "doomed")
    operator.start().wait_until_leading(kube)
    kube.wait("end of the remote process", lambda: not at_work(kube, "host-2", "7531"), 90)
    for plural in ("pods", "secrets", "jobslices", "joboutputs"):
        kube.wait(f"{plural} to go", lambda p=plural: not kube.list(p, namespace, labelSelector=f"{MINE}=doomed"), 90)
    assert kube.find("jobinvocations", namespace, "doomed") is None
