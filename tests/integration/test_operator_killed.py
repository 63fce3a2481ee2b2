"""The operator is killed with SIGKILL at its writes, and comes back: each host runs exactly once in each attempt.

A plain job is killed at every one of its writes after it was done, and at the first and the last of each kind (verb and
resource) before it is. What other jobs write is mostly the same, and some of it is chosen: of each kind the first after
it was done, the last before it is, and where there are more than two the middle one after it was done. Of retries in
slices of their own and of a rerun, which are plain jobs once they have their hosts, only the first. Writes that are no
part of a job, as those of ids, are left to the plain job, and those that come once a day in their own time, of hosts'
last contacts, to nobody. With KILL_AT=every in the environment all jobs are killed at every write, as the plain one is.
The hosts themselves count their runs.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from support.counted import NOISE, CountedJobs
from support.jobs import furnish, invocation, results, slice_objects, slices
from support.kube import Kube, Object, condition
from support.operator import Operator
from support.proxy import Answer, Call, Faults, Proxy
from support.sshhosts import KeyPair, SshHost

AT_ONCE = 4
OF_THE_JOB = ("jobinvocations", "jobslices", "joboutputs", "secrets", "pods")

Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Point:
    """The n-th write of its kind, from 1, and whether the operator dies before it is done or before it is answered."""

    call: Call
    number: int
    moment: Moment


class Killer(Faults):
    """Kills the operator at one point, and starts it again at once; without a point it only counts."""

    def __init__(self, point: Point | None) -> None:
        self.point = point
        self.writes: list[Call] = []
        self.struck = False
        self.victim: Operator | None = None
        self._seen: Counter[tuple[Call, Moment]] = Counter()
        self._lock = threading.Lock()

    def aim(self, victim: Operator | None) -> None:
        """Count from now on and kill this one; nobody any more, with None."""
        with self._lock:
            self.victim = victim

    async def before(self, call: Call) -> Answer | None:
        return self._judge(call, "before")

    async def after(self, call: Call) -> Answer | None:
        return self._judge(call, "after")

    def _judge(self, call: Call, moment: Moment) -> Answer | None:
        with self._lock:
            if self.victim is None or not call.writes or call.path.endswith("/hosts/NAME/status"):
                return None
            self._seen[call, moment] += 1
            if moment == "after":
                self.writes.append(call)
            if self.struck or self.point != Point(call, self._seen[call, moment], moment):
                return None
            self.victim.kill()
            self.victim.start()
            self.struck = True
            return Answer(503)


@dataclass(frozen=True)
class Scene(CountedJobs):
    """A namespace with some hosts, an operator that is killed there, and the name of the job that is played."""

    killer: Killer
    operator: Operator
    job: str

    def begin(self) -> None:
        """Let the killer count: what is written from now on is the job's."""
        self.killer.aim(self.operator)

    def known_at_work(self, host: str) -> None:
        """Wait until the job runs on the host, and the operator knows: else it deletes the pod to stop it."""
        self.at_work(self.job, host)
        self.wait_for(self.job, host, "Running")


def plain(scene: Scene) -> None:
    """Two slices, of which one says enough for a JobOutput."""
    scene.begin()
    scene.create(scene.job, f"[ $(hostname) != host-0 ] || {NOISE}", rollout={"hostsPerSlice": 2})
    scene.check(scene.job, dict.fromkeys(scene.names, "Succeeded"), dict.fromkeys(scene.names, 1))


def in_batches(scene: Scene) -> None:
    """One host, then the others, two in a pod."""
    scene.begin()
    scene.create(scene.job, rollout={"batches": [1, "100%"], "pauseSeconds": 1, "hostsPerSlice": 2})
    ended = scene.check(scene.job, dict.fromkeys(scene.names, "Succeeded"), dict.fromkeys(scene.names, 1))
    assert ended["status"]["batch"] == 2


def with_retries(scene: Scene) -> None:
    """Two of three hosts fail the first time."""
    scene.begin()
    once_more = 'case $(hostname) in host-0|host-2) [ "$(wc -l < $count)" -ge 2 ] || exit 75;; esac'
    retry = {"backoffLimit": 2, "backoffSeconds": 1, "retryOnExitCodes": [75]}
    scene.create(scene.job, once_more, rollout={"hostsPerSlice": 2}, **retry)
    runs = {"host-0": 2, "host-1": 1, "host-2": 2}
    scene.check(scene.job, dict.fromkeys(runs, "Succeeded"), runs)
    attempts = [(r["name"], r["state"]) for slice_ in slices(scene.kube, scene.namespace, scene.job)
                for r in slice_["status"]["hosts"]]  # fmt: skip
    assert sorted(attempts) == [
        ("host-0", "Failed"), ("host-0", "Succeeded"), ("host-1", "Succeeded"),
        ("host-2", "Failed"), ("host-2", "Succeeded"),
    ]  # fmt: skip


def sharing(scene: Scene) -> None:
    """Four hosts with a pod each share two slice objects; one of each fails the first time, and one says much."""
    scene.begin()
    once_more = 'case $(hostname) in host-0|host-2) [ "$(wc -l < $count)" -ge 2 ] || exit 75;; esac'
    retry = {"backoffLimit": 2, "backoffSeconds": 1, "retryOnExitCodes": [75]}
    scene.create(scene.job, f"[ $(hostname) != host-1 ] || {NOISE}; {once_more}", rollout={"hostsPerSlice": 1}, **retry)
    runs = {"host-0": 2, "host-1": 1, "host-2": 2, "host-3": 1}
    scene.check(scene.job, dict.fromkeys(runs, "Succeeded"), runs)
    shared = [s for s in slice_objects(scene.kube, scene.namespace, scene.job) if s["spec"].get("podPerHost")]
    assert [len(slice_["spec"]["hosts"]) for slice_ in shared] == [2, 2]


def cancelled(scene: Scene) -> None:
    """Two of four hosts that share objects are at work; one of them is cancelled and one that waits, then the whole."""
    scene.begin()
    scene.create(scene.job, "sleep 600", rollout={"concurrency": 2, "hostsPerSlice": 1})
    for host in ("host-0", "host-1"):
        scene.known_at_work(host)
    cancellation: Object = {"policy": "Graceful", "hosts": ["host-0", "host-3"]}
    scene.kube.patch("jobinvocations", scene.namespace, scene.job, {"spec": {"cancellation": cancellation}})
    scene.known_at_work("host-2")
    scene.kube.patch("jobinvocations", scene.namespace, scene.job, {"spec": {"cancellation": {"hosts": None}}})
    runs = {"host-0": 1, "host-1": 1, "host-2": 1, "host-3": 0}
    ended = scene.check(scene.job, dict.fromkeys(runs, "Cancelled"), runs)
    assert (condition(ended, "Cancelled") or {}).get("status") == "True"
    found = results(scene.kube, scene.namespace, scene.job)
    assert all("confirmed gone" in found[host]["message"] for host, times in runs.items() if times)


def run_again(scene: Scene) -> None:
    """A job of which one host failed is over; that host is run again."""
    first, again = f"{scene.job}-first", f"{scene.job}-again"
    scene.create(first, "[ $(hostname) != host-1 ]", rollout={"hostsPerSlice": 2})
    runs = dict.fromkeys(scene.names, 1)
    scene.check(first, {**dict.fromkeys(scene.names, "Succeeded"), "host-1": "Failed"}, runs)
    scene.begin()
    manifest = invocation(scene.namespace, again, scene.counting(again, "true"), None)
    del manifest["spec"]["targeting"]
    manifest["spec"]["rerunOf"] = {"name": first, "hosts": "Unsuccessful"}
    scene.kube.create(manifest)
    scene.check(again, {"host-1": "Succeeded"}, {"host-1": 1})


def attempts(kube: Kube, namespace: str, job: str) -> list[tuple[str, str, str | None]]:
    """How each attempt on each host ended, with the reason."""
    found = [result for slice_ in slices(kube, namespace, job) for result in slice_.get("status", {}).get("hosts", ())]
    return [(result["name"], result["state"], result.get("message")) for result in found]


def numbered(kube: Kube, namespace: str) -> bool:
    """Whether what is there before the job has its ids: those writes are not the job's."""
    found = [*kube.list("hosts", namespace), *kube.list("jobtemplates", namespace)]
    return all("rollcall.dev/id" in document["metadata"].get("labels", {}) for document in found)


@dataclass(frozen=True)
class Stage:
    """What scenes are made of."""

    kube: Kube
    make_namespace: Callable[[str], str]
    hosts: list[SshHost]
    client_key: KeyPair
    folder: Path

    def play(self, job: Callable[[Scene], None], count: int, points: Sequence[Point | None]) -> list[Killer]:
        """Play the job with so many hosts, once for each point at which the operator is killed.

        All in one namespace, one after the other: who comes back finds the earlier ones as well, which are over.
        """
        hosts = self.hosts[:count]
        names = sorted(host.name for host in hosts)
        namespace = furnish(self.kube, self.make_namespace("kill"), hosts, self.client_key)
        killers = [Killer(point) for point in points]
        with Proxy(self.kube) as proxy:
            config = proxy.kubeconfig(self.folder / f"{namespace}.kubeconfig")
            log = self.folder / f"{namespace}.log"
            with Operator(namespace, config, log, "--pods-per-slice", "2") as operator:
                self.kube.wait("numbered hosts", lambda: numbered(self.kube, namespace))
                for number, killer in enumerate(killers):
                    proxy.faults = killer
                    operator.wait_until_leading(self.kube)
                    try:
                        job(Scene(self.kube, namespace, names, killer, operator, f"job-{number}"))
                    except (AssertionError, TimeoutError) as error:
                        error.add_note(f"job-{number} in {namespace}, killed at {killer.point}")
                        error.add_note(f"its attempts: {attempts(self.kube, namespace, f'job-{number}')}")
                        print(operator.said()[-20_000:])
                        raise
                    finally:
                        killer.aim(None)
        return killers

    def play_undisturbed(self, job: Callable[[Scene], None], count: int) -> list[Call]:
        """What is written for the job when nobody is killed."""
        (killer,) = self.play(job, count, [None])
        return killer.writes

    def play_all(self, job: Callable[[Scene], None], count: int, points: Sequence[Point]) -> list[Killer]:
        """Play the job for each of the points, in a few namespaces at once."""
        rows = min(AT_ONCE, len(points))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            played = pool.map(lambda first: self.play(job, count, points[first::rows]), range(rows))
            return [killer for killers in played for killer in killers]


@pytest.fixture
def stage(
    kube: Kube,
    crds: None,
    make_namespace: Callable[[str], str],
    hosts: list[SshHost],
    client_key: KeyPair,
    tmp_path: Path,
) -> Stage:
    return Stage(kube, make_namespace, hosts, client_key, tmp_path)


def every(writes: list[Call]) -> Iterator[Point]:
    """Each write after it was done, and the first and the last of each kind before it is."""
    for call, count in Counter(writes).items():
        for number in range(1, count + 1):
            yield Point(call, number, "after")
        for number in sorted({1, count}):
            yield Point(call, number, "before")


def firsts(writes: list[Call]) -> Iterator[Point]:
    """Of each kind of write of the job the first."""
    for call in dict.fromkeys(writes):
        if any(f"/{plural}" in call.path for plural in OF_THE_JOB):
            yield Point(call, 1, "after")


def chosen(writes: list[Call]) -> Iterator[Point]:
    """Of each kind of write of the job the first, the middle and the last."""
    for first in firsts(writes):
        yield first
        count = writes.count(first.call)
        if count > 2:
            yield Point(first.call, (count + 1) // 2, "after")
        if count > 1:
            yield Point(first.call, count, "before")


def check_struck(killers: Sequence[Killer]) -> None:
    """The operator was killed at each kind of write at least once.

    Not at every point: how often progress is written depends on time, so the last of it may not come in another run.
    """
    points = {killer.point.call: False for killer in killers if killer.point}
    points |= {killer.point.call: True for killer in killers if killer.point and killer.struck}
    assert all(points.values()), [call for call, struck in points.items() if not struck]


def test_no_host_runs_twice_and_nothing_is_lost_whichever_write_the_operator_dies_at(stage: Stage) -> None:
    writes = stage.play_undisturbed(plain, 4)
    assert len(writes) > 20
    paths = {call.path for call in writes}
    for expected in (
        "jobslices",
        "secrets",
        "pods",
        "joboutputs",
        "jobslices/NAME/status",
        "jobinvocations/NAME/status",
    ):
        assert any(path.endswith(expected) for path in paths), (expected, paths)
    check_struck(stage.play_all(plain, 4, list(every(writes))))


@pytest.mark.parametrize(
    ("job", "count", "choose"),
    [
        (in_batches, 3, chosen),
        (with_retries, 3, firsts),
        (sharing, 4, chosen),
        (cancelled, 4, chosen),
        (run_again, 3, firsts),
    ],
    ids=["batches", "retries", "sharing", "cancellation", "rerun"],
)
def test_whatever_the_job_does_nothing_runs_twice_in_an_attempt_and_nothing_is_lost(
    stage: Stage, job: Callable[[Scene], None], count: int, choose: Callable[[list[Call]], Iterator[Point]]
) -> None:
    if os.environ.get("KILL_AT") == "every":
        choose = every
    check_struck(stage.play_all(job, count, list(choose(stage.play_undisturbed(job, count)))))
