"""No lock outlives its holder, whatever dies, and who waits goes on at once, in the order of arrival.

Each host writes down who begins there and who ends, and when. A holder that is told to stop takes two seconds for it:
whoever came too early would be seen.
"""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from integration.test_waiting import waits_for
from support.jobs import end_of, furnish, invocation, template
from support.kube import Kube, condition
from support.operator import Operator
from support.sshhosts import HOSTS_NAMESPACE, KeyPair, SshHost

DEATHS = {
    "operator": "host-4",
    "pod": "host-5",
    "slice": "host-6",
    "invocation": "host-7",
    "unattended": "host-8",
    "template": "host-9",
}
"""What dies, and the host on which it is tried out. The last two are invocations deleted while no operator is there."""
WAITERS = (1, 2, 3)
AT_ONCE_SECONDS = 30
"""How long a busy machine may take to tell of a pod's end. What nobody is told of is seen after a minute or two."""


@dataclass(frozen=True)
class Queues:
    """A holder and those who wait for it, on each of the hosts."""

    kube: Kube
    namespace: str

    def _file(self, death: str) -> str:
        return f"/tmp/queue-{self.namespace}-{death}"

    def create(self, death: str, who: str, work: str) -> None:
        script = f'say() {{ echo "$(date +%s) {who} $1" >> {self._file(death)}; }}; say begins; {work}; say ends'
        manifest = invocation(self.namespace, f"{death}-{who}", script, [DEATHS[death]])
        if death == "template":
            manifest["spec"]["templateRef"] = {"name": "alone"}
        self.kube.create(manifest)

    def hold(self) -> None:
        """Begin to work on each host, until told to go or to stop."""
        for death in DEATHS:
            wait = f"until [ -e {self._file(death)}.go ]; do sleep 0.2; done"
            self.create(death, "holder", f"trap 'sleep 2; say ends; exit 1' TERM; {wait}")
        for death in DEATHS:
            self.kube.wait(f"{death}-holder at work", lambda death=death: self.told(death) == ["holder begins"])

    def wait(self) -> None:
        """Three more come for each host, one after the other."""
        for number in WAITERS:
            for death in DEATHS:
                self.create(death, str(number), "sleep 1")
        for number in WAITERS:
            for death in DEATHS:
                reason = "TemplateBusy" if death == "template" else "HostsBusy"
                waits_for(self.kube, self.namespace, f"{death}-{number}", reason)

    def let_go(self, death: str) -> None:
        """Tell the holder that it may end."""
        self._on_host(death, f"touch {self._file(death)}.go")

    def written(self, death: str) -> list[tuple[int, str]]:
        """What the host wrote down, with the seconds."""
        lines = self._on_host(death, f"cat {self._file(death)} 2>/dev/null; true").splitlines()
        return [(int(time), what) for time, _, what in (line.partition(" ") for line in lines)]

    def told(self, death: str) -> list[str]:
        return [what for _, what in self.written(death)]

    def _on_host(self, death: str, command: str) -> str:
        kubectl = ["kubectl", "--kubeconfig", str(self.kube.kubeconfig), "-n", HOSTS_NAMESPACE, "exec", DEATHS[death]]
        found = subprocess.run([*kubectl, "--", "sh", "-c", command], check=True, capture_output=True, text=True)
        return found.stdout


@pytest.fixture
def queues(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], hosts: list[SshHost], client_key: KeyPair
) -> Queues:
    """A namespace in which hosts, or a template, take one at a time."""
    namespace = furnish(kube, make_namespace("locks"), hosts, client_key)
    kube.create(template(namespace, "alone", concurrencyPolicy="Forbid"))
    for death, host in DEATHS.items():
        if death != "template":
            kube.patch("hosts", namespace, host, {"spec": {"exclusive": "Slice"}})
    return Queues(kube, namespace)


@pytest.fixture
def operators(kube: Kube, queues: Queues, tmp_path: Path) -> Iterator[tuple[Operator, Operator]]:
    """One that leads, and one that waits for its Lease."""
    first, second = (
        Operator(queues.namespace, kube.kubeconfig, tmp_path / f"{name}.log", "--lease-seconds", "4", identity=name)
        for name in ("first", "second")
    )
    with first:
        first.wait_until_leading(kube)
        with second:
            kube.wait("health of the second", second.healthy)
            yield first, second
            print(first.said()[-10_000:], second.said()[-20_000:])


def test_no_lock_outlives_its_holder_and_who_waits_goes_on_in_order(
    kube: Kube, queues: Queues, operators: tuple[Operator, Operator]
) -> None:
    first, second = operators
    queues.hold()
    queues.wait()
    first.kill()
    for death in ("unattended", "template"):
        kube.delete("jobinvocations", queues.namespace, f"{death}-holder")
    second.wait_until_leading(kube)
    assert [queues.told(death) for death in ("operator", "pod", "slice", "invocation")] == [["holder begins"]] * 4
    kube.delete("pods", queues.namespace, "pod-holder-0")
    kube.delete("jobslices", queues.namespace, "slice-holder-0")
    kube.delete("jobinvocations", queues.namespace, "invocation-holder")
    queues.let_go("operator")
    begun = {}
    for number in WAITERS:
        for death in DEATHS:
            ended = end_of(kube, queues.namespace, f"{death}-{number}", 120)
            assert condition(ended, "Complete")
            begun[death, number] = datetime.fromisoformat(ended["status"]["startTime"]).timestamp()
    assert condition(end_of(kube, queues.namespace, "operator-holder"), "Complete")
    expected = [f"{who} {what}" for who in ("holder", *WAITERS) for what in ("begins", "ends")]
    written = {death: queues.written(death) for death in DEATHS}
    assert {death: [what for _, what in lines] for death, lines in written.items()} == dict.fromkeys(DEATHS, expected)
    ends = {death: [when for when, _ in lines[1::2]] for death, lines in written.items()}
    pauses = {(death, number): when - ends[death][number - 1] for (death, number), when in begun.items()}
    assert max(pauses.values()) <= AT_ONCE_SECONDS, pauses
