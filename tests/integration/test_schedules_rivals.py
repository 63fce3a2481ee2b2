"""Two operators and fifty schedules that are due at one moment: each run is made once, whichever operator is struck."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.kube import Kube
from support.operator import Operator
from support.proxy import Answer, Call, Faults, Proxy
from support.schedules import all_states, numbered, permit, runs, schedule, soon, unrunnable

COUNT = 50
NTH = 20
"""The run at which an operator is struck: some are made, and most are not."""
LEASE_SECONDS = "6"


class Strike(Faults):
    """Sends an operator a signal when it is about to make its n-th run.

    That run, and the others that it asks for at this moment, stay on their way until they are let go.
    """

    def __init__(self, victim: Operator, number: signal.Signals) -> None:
        self.struck = threading.Event()
        self._victim = victim
        self._number = number
        self._seen = 0
        self._free = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def before(self, call: Call) -> Answer | None:
        if call.caller != self._victim.identity or call.method != "POST" or not call.path.endswith("/jobinvocations"):
            return None
        self._seen += 1
        if self._seen == NTH:
            self._loop = asyncio.get_running_loop()
            send(self._victim, self._number)
            self.struck.set()
        if self._seen >= NTH:
            await self._free.wait()
        return None

    def let_go(self) -> None:
        """Let the runs arrive that are on their way."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._free.set)


def send(operator: Operator, number: signal.Signals) -> None:
    assert operator.process is not None
    operator.process.send_signal(number)


@pytest.fixture
def place(kube: Kube, crds: None, make_namespace: Callable[[str], str]) -> str:
    name = make_namespace("rivals")
    permit(kube, name)
    return name


@pytest.fixture
def rivals(kube: Kube, place: str, tmp_path: Path) -> Iterator[tuple[Proxy, Operator, Operator]]:
    """A proxy, the operator that leads, and one that waits, both behind it."""
    with Proxy(kube) as proxy:
        first, second = (
            Operator(place, proxy.kubeconfig(tmp_path / f"{name}.kubeconfig", name), tmp_path / f"{name}.log",
                     "--lease-seconds", LEASE_SECONDS, identity=name)
            for name in ("first", "second")
        )  # fmt: skip
        with first:
            first.wait_until_leading(kube)
            with second:
                kube.wait("health of the second", second.healthy)
                yield proxy, first, second
                print(first.said()[-10_000:], second.said()[-10_000:])


def wait_for_all(kube: Kube, place: str, state: str) -> None:
    kube.wait(f"all to be {state}", lambda: all_states(kube, place) == [state] * COUNT and numbered(kube, place), 120)


def test_fifty_schedules_make_one_run_for_each_moment_whichever_operator_is_struck(
    kube: Kube, place: str, rivals: tuple[Proxy, Operator, Operator]
) -> None:
    """The leader is stopped, and goes on when the other one leads; that one is killed in the midst of the next runs.
    What was on its way by then arrives while the new leader makes the same runs."""
    proxy, first, second = rivals
    moment = soon(25)
    for number in range(COUNT):
        kube.create(schedule(place, f"s-{number}", at=moment, invocationTemplate=unrunnable()))
    wait_for_all(kube, place, "Active")
    proxy.faults = strike = Strike(first, signal.SIGSTOP)
    assert soon(0) < moment, "the schedules were not ready in time: this machine is too slow, or too busy"
    try:
        kube.wait("the first to be stopped", strike.struck.is_set)
        second.wait_until_leading(kube)
        strike.let_go()
    finally:
        send(first, signal.SIGCONT)
    kube.wait("the end of the first", lambda: not first.alive, 25)
    wait_for_all(kube, place, "Finished")

    first.start()
    kube.wait("health of the first", first.healthy)
    proxy.faults = strike = Strike(second, signal.SIGKILL)
    later = soon(25)
    for number in range(COUNT):
        kube.patch("schedules", place, f"s-{number}", {"spec": {"at": later}})
    wait_for_all(kube, place, "Active")
    assert soon(0) < later, "the schedules were not changed in time: this machine is too slow, or too busy"
    kube.wait("the second to be killed", strike.struck.is_set)
    first.wait_until_leading(kube)
    strike.let_go()
    wait_for_all(kube, place, "Finished")

    assert not second.alive
    kube.wait("ids of all runs", lambda: numbered(kube, place, "jobinvocations"))
    for found in kube.list("schedules", place):
        made = runs(kube, place, found["metadata"]["name"])
        assert [run["metadata"]["annotations"]["rollcall.dev/planned"] for run in made] == [moment, later]
        told = found["status"]
        assert (told["iteration"], told["missed"]) == (2, 0)
        assert (told["lastRun"]["time"], told["lastRun"]["name"]) == (later, made[1]["metadata"]["name"])
