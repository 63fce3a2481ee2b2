"""The operator is killed with SIGKILL at each of its writes, and comes back: each host runs exactly once."""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from support.jobs import end_of, events, furnish, invocation, output, results
from support.kube import Kube, condition
from support.operator import Operator
from support.proxy import Proxy, Write
from support.sshhosts import HOSTS_NAMESPACE, KeyPair, SshHost

AT_ONCE = 3
HOSTS_PER_SLICE = 5


@dataclass
class Run:
    """One 10-host job with the operator killed at the n-th write; n = 0: not at all."""

    number: int
    moment: str
    namespace: str
    killed_at: Write | None = None
    writes: list[Write] = field(default_factory=list)

    @property
    def tag(self) -> str:
        return f"{self.namespace}-{self.number}-{self.moment}"


def carry_out(kube: Kube, run: Run, folder: Path) -> None:
    """Start the operator behind the proxy, let it be killed, start it again, and wait for the job's end."""
    operators: list[Operator] = []

    def kill(write: Write) -> None:
        operators[0].kill()
        run.killed_at = write

    with Proxy(kube, lambda count, _: run.moment if count == run.number else None, kill) as proxy:
        config = proxy.kubeconfig(folder / f"{run.tag}.kubeconfig")
        operator = Operator(run.namespace, config, folder / f"{run.tag}.log")
        operators.append(operator)
        with operator:
            operator.wait_until_leading(kube)
            kube.wait("numbered hosts", lambda: _numbered(kube, run.namespace))
            proxy.count()
            command = f"echo ran >> /tmp/count-{run.tag}; echo said by $(hostname)"
            rollout = {"hostsPerSlice": HOSTS_PER_SLICE}
            kube.create(invocation(run.namespace, "job", command, None, rollout=rollout))
            if run.number:
                kube.wait(f"write {run.number} or the end", lambda: run.killed_at or _done(kube, run.namespace), 60)
            if run.killed_at is not None:
                operator.start()
            end_of(kube, run.namespace, "job", 90)
            kube.wait("released invocation", lambda: _done(kube, run.namespace), 60)
            run.writes = list(proxy.writes)


def _numbered(kube: Kube, namespace: str) -> bool:
    """Whether what is there before the job has its ids: those writes are not the job's."""
    found = [*kube.list("hosts", namespace), *kube.list("jobtemplates", namespace)]
    return all("rollcall.dev/id" in document["metadata"].get("labels", {}) for document in found)


def _done(kube: Kube, namespace: str) -> bool:
    found = kube.get("jobinvocations", namespace, "job")
    return condition(found, "Complete") is not None and not found["metadata"].get("finalizers")


def check(kube: Kube, run: Run, names: list[str]) -> None:
    """The job is complete, with every host's whole output and the right counts."""
    ended = kube.get("jobinvocations", run.namespace, "job")
    total = len(names)
    counts = {"total": total, "succeeded": total, "failed": 0, "cancelled": 0, "running": 0, "pending": 0}
    assert ended["status"]["hosts"] == counts, run
    found, said = results(kube, run.namespace, "job"), events(kube, run.namespace, "job")
    assert sorted(found) == names, run
    for name in names:
        assert found[name]["state"] == "Succeeded", run
        assert [event.seq for event in said[name]] == list(range(len(said[name]))), run
        assert output(said[name]) == f"said by {name}\n".encode(), run
    mine = {"labelSelector": "rollcall.dev/invocation=job"}
    kube.wait("pods to go", lambda: not kube.list("pods", run.namespace, **mine))
    assert kube.list("secrets", run.namespace, **mine) == [], run


def ran(kube: Kube, host: str, tag: str) -> int:
    """How often the job ran on the host, as the host itself counted."""
    command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", HOSTS_NAMESPACE, "exec", host, "--"]
    shell = ["sh", "-c", f"cat /tmp/count-{tag} 2>/dev/null | wc -l; rm -f /tmp/count-{tag}"]
    return int(subprocess.run([*command, *shell], check=True, capture_output=True, text=True).stdout)


def test_no_host_runs_twice_and_nothing_is_lost_whichever_write_the_operator_dies_at(
    kube: Kube,
    crds: None,
    make_namespace: Callable[[str], str],
    hosts: list[SshHost],
    client_key: KeyPair,
    tmp_path: Path,
) -> None:
    names = sorted(host.name for host in hosts)

    def one(number: int, moment: str) -> Run:
        run = Run(number, moment, furnish(kube, make_namespace("kill"), hosts, client_key))
        carry_out(kube, run, tmp_path)
        check(kube, run, names)
        assert {name: ran(kube, name, run.tag) for name in names} == dict.fromkeys(names, 1), run
        return run

    undisturbed = one(0, "none")
    assert len(undisturbed.writes) > 20
    with ThreadPoolExecutor(AT_ONCE) as pool:
        todo = [(number + 1, moment) for number in range(len(undisturbed.writes)) for moment in ("before", "after")]
        runs = list(pool.map(lambda arguments: one(*arguments), todo))
    # The last writes may be fewer in another run (progress depends on time); the others must all have been reached.
    reached = [run for run in runs if run.killed_at is not None]
    assert len(reached) >= len(runs) - 6, [run for run in runs if run.killed_at is None]
    kinds = {(run.killed_at.method, run.killed_at.path) for run in reached if run.killed_at}
    for expected in (
        "jobslices",
        "secrets",
        "pods",
        "joboutputs",
        "jobslices/NAME/status",
        "jobinvocations/NAME/status",
    ):
        assert any(path.endswith(expected) for _, path in kinds), (expected, kinds)
