"""Jobs go right while the API server does not, and while the operator loses its place: each host runs exactly once in
each attempt, as the hosts themselves count.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import pytest

from support.counted import CountedJobs
from support.jobs import furnish
from support.kube import Kube, Object, condition
from support.operator import Operator
from support.proxy import Answer, Break, Call, Faults, Proxy
from support.sshhosts import KeyPair, SshHost

LEASE = "rollcall-operator"
AWAY_SECONDS = 30
SHARE_OF_ERRORS = 0.2
SHARING = ("--pods-per-slice", "2")
"""More than two hosts with a pod each share slice objects."""
ONCE_MORE = 'case $(hostname) in host-0|host-1) [ "$(wc -l < $count)" -ge 2 ] || exit 75;; esac'
RETRIED = {"backoffLimit": 2, "backoffSeconds": 1, "retryOnExitCodes": [75]}


class Kubelet:
    """Starts an operator that has ended anew, as a kubelet does. `deaths` are the exit codes."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.deaths: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(0.2):
            process = self.operator.process
            if process is not None and process.poll() is not None:
                self.deaths.append(process.returncode)
                self.operator.start()

    def __enter__(self) -> Self:
        self.operator.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self.operator.alive:
            self.operator.kill()
        if error is not None:
            print(self.operator.said()[-20_000:])


@dataclass(frozen=True)
class Jobs(CountedJobs):
    """Counted jobs, and the operators that carry them out."""

    folder: Path

    def operator(self, kubeconfig: Path, identity: str, *arguments: str) -> Operator:
        log = self.folder / f"{self.namespace}-{identity}.log"
        return Operator(self.namespace, kubeconfig, log, *SHARING, *arguments, identity=identity)

    @contextmanager
    def kept_running(self, faults: Faults, *arguments: str) -> Iterator[tuple[Proxy, Kubelet]]:
        """An operator behind a proxy, which leads."""
        with Proxy(self.kube, faults) as proxy:
            config = proxy.kubeconfig(self.folder / f"{self.namespace}.kubeconfig")
            with Kubelet(self.operator(config, "tests", *arguments)) as kubelet:
                kubelet.operator.wait_until_leading(self.kube)
                yield proxy, kubelet

    def dealt(self, name: str) -> None:
        """Wait until the invocation has its slices. One that cannot be made makes the operator begin with all anew."""

        def found() -> bool:
            resolved = condition(self.kube.get("jobinvocations", self.namespace, name), "Resolved")
            return (resolved or {}).get("status") == "True"

        self.kube.wait(f"slices of {name}", found, 600)

    def all_succeed(self, name: str, **runs: int) -> Object:
        """The job ends with success everywhere, after one run but for the hosts that are named."""
        expected = dict.fromkeys(self.names, 1) | {host.replace("_", "-"): times for host, times in runs.items()}
        ended = self.check(name, dict.fromkeys(self.names, "Succeeded"), expected)
        assert condition(ended, "Complete")
        return ended

    def leader(self) -> str:
        return str(self.kube.get("leases", self.namespace, LEASE)["spec"]["holderIdentity"])


@pytest.fixture
def make_jobs(
    kube: Kube,
    crds: None,
    make_namespace: Callable[[str], str],
    hosts: list[SshHost],
    client_key: KeyPair,
    tmp_path: Path,
) -> Callable[[int], Jobs]:
    """Makes a namespace with so many hosts."""

    def make(count: int) -> Jobs:
        namespace = furnish(kube, make_namespace("faults"), hosts[:count], client_key)
        return Jobs(kube, namespace, sorted(host.name for host in hosts[:count]), tmp_path)

    return make


@pytest.fixture
def chance() -> random.Random:
    """Chance, of a seed that can be given: $FAULTS_SEED."""
    seed = int(os.environ.get("FAULTS_SEED") or random.randrange(1_000_000))
    print(f"FAULTS_SEED={seed}")
    return random.Random(seed)


BUSY = Answer(429, "TooManyRequests", {"Retry-After": "1"})
CONFLICT = Answer(409, "Conflict")
BROKEN = Answer(500, "InternalError")
LATE = Answer(504, "Timeout")
Moment = Literal["before", "after", "during"]
EVERY_ERROR: set[tuple[Moment, int]] = {
    ("before", 409), ("before", 429), ("before", 500), ("after", 500), ("after", 504), ("during", 410),
}  # fmt: skip


class Errors(Faults):
    """One request in five fails: before it is carried out, or after, when only its answer is lost.

    Whatever chance says, the first writes fail in each of these ways, and the first watch ends with 410; and after a
    failure the Lease is renewed before it may fail again. What becomes of a leader that loses it, others show.

    kopf is told of no conflict: it waits for the event of whoever was faster, and here nobody was.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.given: set[tuple[Moment, int]] = set()
        self._not_renewed = False

    def _answer(self, moment: Moment, call: Call, *answers: Answer) -> Answer | None:
        of_the_lease = "/leases" in call.path
        if of_the_lease and self._not_renewed:
            self._not_renewed = call.method == "GET" or moment == "before"
            return None
        due = [answer for answer in answers if call.writes and (moment, answer.status) not in self.given]
        if not due and self.chance.random() >= SHARE_OF_ERRORS / 2:
            return None
        answer = self.chance.choice(due or answers)
        self._not_renewed |= of_the_lease
        self.given.add((moment, answer.status))
        return answer

    async def before(self, call: Call) -> Answer | None:
        conflicts = call.writes and "kopf" not in call.agent
        return self._answer("before", call, BUSY, BROKEN, *([CONFLICT] if conflicts else []))

    async def after(self, call: Call) -> Answer | None:
        return self._answer("after", call, BROKEN, LATE)

    async def during(self, call: Call) -> Break:
        due = ("during", 410) not in self.given
        if not call.watch or not (due or self.chance.random() < SHARE_OF_ERRORS):
            return await super().during(call)
        await asyncio.sleep(self.chance.uniform(0, 2))
        self.given.add(("during", 410))
        return Break.EXPIRED


def test_a_job_ends_right_when_one_request_in_five_fails(
    make_jobs: Callable[[int], Jobs], chance: random.Random
) -> None:
    """Two of ten hosts fail the first time, one is cancelled while it runs and one before."""
    jobs, errors = make_jobs(10), Errors(chance)
    with jobs.kept_running(errors) as (_, kubelet):
        then = f"[ $(hostname) != host-2 ] || sleep 600; {ONCE_MORE}"
        jobs.create("job", then, rollout={"concurrency": 5, "hostsPerSlice": 1}, **RETRIED)
        jobs.dealt("job")
        jobs.at_work("job", "host-2")
        cancellation = {"policy": "Graceful", "hosts": ["host-2"]}
        jobs.kube.patch("jobinvocations", jobs.namespace, "job", {"spec": {"cancellation": cancellation}})
        states = dict.fromkeys(jobs.names, "Succeeded") | {"host-2": "Cancelled"}
        ended = jobs.check("job", states, dict.fromkeys(jobs.names, 1) | {"host-0": 2, "host-1": 2})
        assert (condition(ended, "Cancelled") or {}).get("status") == "True"
        assert errors.given == EVERY_ERROR
        assert kubelet.deaths == []


def begun(jobs: Jobs) -> None:
    """A job in the middle of its rollout: one host has ended, and one of the second batch is at work."""
    jobs.create("job", "sleep 2", rollout={"batches": [2, "100%"], "concurrency": 2, "hostsPerSlice": 1})
    jobs.wait_for("job", jobs.names[0], "Succeeded")
    jobs.at_work("job", jobs.names[2])


def test_jobs_go_on_after_the_api_server_was_away_and_after_streams_fell_silent(
    make_jobs: Callable[[int], Jobs],
) -> None:
    """The API server is away for longer than a leader has the Lease by default, and for another one that has it longer.

    Meanwhile the streams of a third one fall silent, as behind a firewall that forgets connections.
    """
    cut_off, patient, deaf = make_jobs(6), make_jobs(6), make_jobs(4)
    with (
        cut_off.kept_running(Faults()) as (first, restarted),
        patient.kept_running(Faults(), "--lease-seconds", "120") as (second, leads_on),
        deaf.kept_running(Faults(), "--watch-silence-seconds", "10") as (third, hears_again),
    ):
        for jobs in (cut_off, patient):
            begun(jobs)
        deaf.create("job", "sleep 2", rollout={"concurrency": 2, "hostsPerSlice": 1})
        deaf.at_work("job", deaf.names[0])
        for proxy in (first, second):
            proxy.refuse()
        back = time.monotonic() + AWAY_SECONDS
        assert third.disturb(Break.SILENT) >= 5
        deaf.all_succeed("job")
        time.sleep(max(0.0, back - time.monotonic()))
        for proxy in (first, second):
            proxy.accept()
        for jobs in (cut_off, patient):
            jobs.all_succeed("job")
            assert jobs.leader() == "tests"
        assert restarted.deaths, "it led on without its Lease"
        assert (leads_on.deaths, hears_again.deaths) == ([], [])


class Cuts(Faults):
    """No stream lasts for more than two seconds; some watches end with 410."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.cuts = 0

    async def during(self, call: Call) -> Break:
        await asyncio.sleep(self.chance.uniform(0, 2))
        self.cuts += 1
        return self.chance.choice([Break.CUT, Break.EXPIRED]) if call.watch else Break.CUT


def test_a_job_ends_right_when_no_stream_lasts(make_jobs: Callable[[int], Jobs], chance: random.Random) -> None:
    jobs, cuts = make_jobs(6), Cuts(chance)
    with jobs.kept_running(cuts) as (_, kubelet):
        rollout = {"batches": [2, "100%"], "hostsPerSlice": 2}
        jobs.create("job", f"sleep 2; {ONCE_MORE}", rollout=rollout, **RETRIED)
        jobs.all_succeed("job", host_0=2, host_1=2)
        assert cuts.cuts > 10
        assert kubelet.deaths == []


class Lag(Faults):
    """From some moment on Lease requests are held back, and all others are slow."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.begun = False

    async def before(self, call: Call) -> Answer | None:
        if self.begun:
            await asyncio.sleep(2 * LEASE_SECONDS if "/leases" in call.path else self.chance.uniform(1, 5))
        return None


LEASE_SECONDS = 6  # the first's


@pytest.fixture
def rivals(make_jobs: Callable[[int], Jobs], chance: random.Random) -> Iterator[tuple[Jobs, Lag, Operator, Operator]]:
    """A job in the middle of its rollout, the operator that leads, behind a proxy, and one that waits."""
    jobs, lag = make_jobs(8), Lag(chance)
    with Proxy(jobs.kube, lag) as proxy:
        config = proxy.kubeconfig(jobs.folder / "first.kubeconfig")
        first = jobs.operator(config, "first", "--lease-seconds", str(LEASE_SECONDS))
        second = jobs.operator(jobs.kube.kubeconfig, "second", "--lease-seconds", "60")  # nobody follows it
        with first:
            first.wait_until_leading(jobs.kube)
            with second:
                jobs.kube.wait("health of the second", second.healthy)
                rollout = {"batches": [2, "100%"], "concurrency": 3, "hostsPerSlice": 1}
                jobs.create("job", f"sleep 1; {ONCE_MORE}", rollout=rollout, **RETRIED)
                jobs.at_work("job", "host-2")
                yield jobs, lag, first, second
                print(first.said()[-10_000:], second.said()[-10_000:])


def test_no_host_runs_twice_when_the_leader_is_cut_off_from_its_lease(
    rivals: tuple[Jobs, Lag, Operator, Operator],
) -> None:
    """What the first asked for before it lost the Lease arrives when the second works already."""
    jobs, lag, first, second = rivals
    lag.begun = True
    second.wait_until_leading(jobs.kube)
    jobs.all_succeed("job", host_0=2, host_1=2)
    assert jobs.leader() == "second"
    jobs.kube.wait("the end of the first", lambda: not first.alive)


def test_no_host_runs_twice_when_the_leader_was_stopped_and_goes_on(
    rivals: tuple[Jobs, Lag, Operator, Operator],
) -> None:
    """As when its machine was frozen: it takes a while to learn what time it is."""
    jobs, _, first, second = rivals
    assert first.process is not None
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        second.wait_until_leading(jobs.kube)
        jobs.at_work("job", "host-5")
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    jobs.kube.wait("the end of the first", lambda: not first.alive)
    jobs.all_succeed("job", host_0=2, host_1=2)
    assert jobs.leader() == "second"
