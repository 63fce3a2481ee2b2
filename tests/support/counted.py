"""Jobs whose hosts count their runs themselves, in files of their own, and what is to become of them."""

import subprocess
from dataclasses import dataclass
from typing import Any, Final

from rollcall.outputs import Event
from support.jobs import end_of, events, invocation, output, results
from support.kube import Kube, Object
from support.sshhosts import HOSTS_NAMESPACE

TIMEOUT: Final = 180
NOISE: Final = "head -c 9000 /dev/urandom | base64 | sed 's/^/noise /'"
"""Says more than fits into a slice."""


@dataclass(frozen=True)
class CountedJobs:
    """Such jobs in a namespace with some hosts."""

    kube: Kube
    namespace: str
    names: list[str]

    def counting(self, name: str, then: str) -> str:
        """A script that counts its run on the host, in a file of the invocation's own, and goes on with `then`."""
        return f"count={self._count(name)}; echo said by $(hostname); echo ran >> $count; {then}"

    def _count(self, name: str) -> str:
        return f"/tmp/count-{self.namespace}-{name}"

    def ran(self, host: str, name: str) -> int:
        """How often the invocation ran on the host, as the host itself counted."""
        return int(self.on_host(host, f"cat {self._count(name)} 2>/dev/null | wc -l"))

    def on_host(self, host: str, script: str) -> str:
        """What a script says that is run on the host by other ways than an invocation."""
        command = ["kubectl", "--kubeconfig", str(self.kube.kubeconfig), "-n", HOSTS_NAMESPACE, "exec", host, "--"]
        return subprocess.run([*command, "sh", "-c", script], check=True, capture_output=True, text=True).stdout

    def create(self, name: str, then: str = "true", **spec: Any) -> None:
        self.kube.create(invocation(self.namespace, name, self.counting(name, then), None, **spec))

    def at_work(self, name: str, host: str) -> None:
        """Wait until the invocation runs on the host, as the host itself knows."""

        def begun() -> bool:
            told = results(self.kube, self.namespace, name).get(host, {})
            assert told.get("state") in (None, "Pending", "Running"), told
            return self.ran(host, name) > 0

        self.kube.wait(f"{name} to work on {host}", begun, TIMEOUT, interval=0.5)

    def wait_for(self, name: str, host: str, state: str) -> None:
        """Wait until a host is told to be in a state."""

        def found() -> bool:
            return results(self.kube, self.namespace, name).get(host, {}).get("state") == state

        self.kube.wait(f"{host} of {name} to be {state}", found, TIMEOUT)

    def check(self, name: str, states: dict[str, str], runs: dict[str, int]) -> Object:
        """The invocation ends with every host in its state, after so many runs, its whole output and nothing left."""
        ended = end_of(self.kube, self.namespace, name, TIMEOUT)
        found, said = results(self.kube, self.namespace, name), events(self.kube, self.namespace, name)
        assert {host: result["state"] for host, result in found.items()} == states, found
        counts = {"succeeded": "Succeeded", "failed": "Failed", "cancelled": "Cancelled"}
        assert ended["status"]["hosts"] == {
            "total": len(states), "running": 0, "pending": 0,
            **{count: list(states.values()).count(state) for count, state in counts.items()},
        }  # fmt: skip
        assert {host: self.ran(host, name) for host in states} == runs
        assert sorted(said) == sorted(host for host, times in runs.items() if times)
        for host in said:
            lines = [line for line in output(said[host]).splitlines(keepends=True) if not line.startswith(b"noise ")]
            assert lines == [f"said by {host}\n".encode()] * runs[host]
        self._check_sequences(name, said, runs)
        mine = {"labelSelector": f"rollcall.dev/invocation={name}"}
        self.kube.wait("pods to go", lambda: not self.kube.list("pods", self.namespace, **mine))
        assert self.kube.list("secrets", self.namespace, **mine) == []
        self.kube.wait("released invocation", lambda: self._released(name))
        return ended

    def _check_sequences(self, name: str, said: dict[str, list[Event]], runs: dict[str, int]) -> None:
        """Each attempt's events are numbered from 0 without a hole."""
        for host, heard in said.items():
            starts = [place for place, event in enumerate(heard) if event.seq == 0]
            assert len(starts) == runs[host], (name, host)
            for start, end in zip(starts, [*starts[1:], len(heard)], strict=True):
                assert [event.seq for event in heard[start:end]] == list(range(end - start)), (name, host)

    def _released(self, name: str) -> bool:
        return not self.kube.get("jobinvocations", self.namespace, name)["metadata"].get("finalizers")
