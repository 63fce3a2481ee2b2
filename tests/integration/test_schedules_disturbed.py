"""Schedules whose operator is killed around the moment that they are due, or is away for a while."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from support.kube import Kube, Object, condition
from support.operator import Operator
from support.proxy import Answer, Call, Faults, Proxy
from support.schedules import all_states, make_ahead, numbered, permit, runs, schedule, soon, status, unrunnable

COUNT = 50
AHEAD = 12
"""Of so many of them the run was made ahead."""
STEP = 10
"""Seconds from one run to the next in the outage."""


@dataclass(frozen=True)
class Point:
    """A write at which the operator dies: the n-th of its kind in a life, before it is done or before its answer."""

    path: str
    nth: int
    moment: Literal["before", "after"]
    body: str = ""
    """What is in the body of such a write."""

    def concerns(self, call: Call) -> bool:
        return call.writes and call.path.endswith(f"/{self.path}") and self.body in call.body


def both(path: str, body: str = "", nth: int = 1) -> tuple[Point, Point]:
    """A write, before it is done and before it is answered."""
    return Point(path, nth, "before", body), Point(path, nth, "after", body)


POINTS = (
    *both("localsubjectaccessreviews"), *both("configmaps/NAME"),
    *both("jobinvocations"), *both("jobinvocations", nth=3),
    *both("jobinvocations/NAME", '"rollcall.dev/made-ahead":null'),
    *both("schedules/NAME/status"), *both("schedules/NAME/status", nth=3),
    Point("events", 1, "before"), Point("events", 3, "after"),
)  # fmt: skip
"""The writes at which the operator dies, one after the other. All runs are made, and those that were made ahead let go,
before the first status is written."""
ERRANDS = (
    *both("schedules/NAME", '"rollcall.dev/id"'),
    *both("schedules/NAME", '"taken-'),
    *both("schedules/NAME", '"rollcall.dev/run-now":null'),
    *both("jobinvocations/NAME", '"cancellation"'),
    *both("jobinvocations/NAME", '"preconditions"'),
)
"""What else is written of schedules: an id, the mark of a request to run now and its end, the cancellation of a run
that another replaces, the deletion of an old run."""

AFTER_OUTAGE = {"Skip": (0, 3), "Last": (1, 2), "All": (3, 0)}
"""How many of three runs are made after an outage, and how many are missed, by policy."""


class Killer(Faults):
    """Kills the operator at one write of each of its lives, and starts it again.

    Each life has a token of its own: what the dead one has sent is not done after its death. Writes of the kind that
    come after the fatal one wait for it, so that every life does as many of them, however fast it is. Writes of kinds
    whose turn is in a later life are refused until then.
    """

    def __init__(self, victim: Operator, proxy: Proxy, points: Sequence[Point]) -> None:
        self.deaths: list[Point] = []
        self._points = points
        self._victim = victim
        self._proxy = proxy
        self._seen = 0
        self._died = asyncio.Event()
        self.live()

    def live(self) -> None:
        """Begin a life with a token of its own."""
        self._proxy.kubeconfig(self._victim.kubeconfig, f"life-{len(self.deaths)}")
        self._victim.start()

    def _fatal(self, call: Call) -> Point | None:
        """The point of this life, if the write is of its kind."""
        point = next(iter(self._points[len(self.deaths) :]), None)
        return point if point is not None and point.concerns(call) else None

    async def before(self, call: Call) -> Answer | None:
        if call.caller != f"life-{len(self.deaths)}":
            return Answer(503)
        point = self._fatal(call)
        if point is None:
            return Answer(503) if any(later.concerns(call) for later in self._points[len(self.deaths) :]) else None
        self._seen += 1
        if self._seen > point.nth:
            await self._died.wait()
            return Answer(503)
        return self._kill(point) if self._seen == point.nth and point.moment == "before" else None

    async def after(self, call: Call) -> Answer | None:
        point = self._fatal(call)
        if point is None or call.caller != f"life-{len(self.deaths)}":
            return None
        return self._kill(point) if self._seen >= point.nth and point.moment == "after" else None

    def _kill(self, point: Point) -> Answer:
        self._victim.kill()
        self.deaths.append(point)
        self._died.set()
        self._died, self._seen = asyncio.Event(), 0
        self.live()
        return Answer(503)


@dataclass(frozen=True)
class Outage:
    """An operator that was killed before three runs of three schedules, and their next times by then."""

    place: str
    operator: Operator
    times: list[str]


@pytest.fixture(scope="module", autouse=True)
def outage(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outage]:
    """Begins before all tests: it has to last for more than a minute, in which the others are run."""
    place = make_namespace("outage")
    permit(kube, place)
    log = tmp_path_factory.mktemp("outage") / "operator.log"
    operator = Operator(place, kube.kubeconfig, log).start().wait_until_leading(kube)
    grid = {"seconds": STEP, "anchor": soon(10)}
    try:
        for policy in AFTER_OUTAGE:
            kube.create(schedule(place, policy.lower(), every=grid, maxIterations=100, missedRunPolicy=policy,
                                 invocationTemplate=unrunnable()))  # fmt: skip
        kube.wait("schedules that wait", lambda: all_states(kube, place) == ["Active"] * 3 and numbered(kube, place))
        times = status(kube, place, "last")["nextTimes"]
        operator.kill()
        assert kube.list("jobinvocations", place) == []
        yield Outage(place, operator, times)
    finally:
        operator.kill()


@pytest.fixture
def place(kube: Kube, crds: None, make_namespace: Callable[[str], str]) -> str:
    name = make_namespace("sched")
    permit(kube, name)
    return name


@pytest.fixture
def proxied(kube: Kube, place: str, tmp_path: Path) -> Iterator[tuple[Operator, Proxy]]:
    """An operator behind a proxy."""
    with Proxy(kube) as proxy:
        config = proxy.kubeconfig(tmp_path / "kubeconfig")
        patient = ("--reference-grace-seconds", "600")  # what these runs refer to never comes
        with Operator(place, config, tmp_path / "operator.log", *patient) as operator:
            operator.wait_until_leading(kube)
            yield operator, proxy


def test_fifty_schedules_make_one_run_each_whatever_write_the_operator_dies_at(
    kube: Kube, place: str, proxied: tuple[Operator, Proxy]
) -> None:
    operator, proxy = proxied
    moment = soon(30)
    ways: list[Object] = [
        {"at": moment},
        {"every": {"seconds": 86_400, "anchor": moment}, "maxIterations": 1},
        {"rrule": f"DTSTART:{moment.translate({ord(mark): None for mark in '-:'})} RRULE:FREQ=DAILY;COUNT=1"},
    ]
    for number in range(COUNT):
        times = ways[number % len(ways)]
        stored = kube.create(schedule(place, f"s-{number}", **times, invocationTemplate=unrunnable()))
        if number < AHEAD:
            make_ahead(kube, place, stored, moment)
    kube.wait("schedules that wait", lambda: all_states(kube, place) == ["Active"] * COUNT and numbered(kube, place))
    operator.stop()
    assert soon(0) < moment, "the schedules were not ready in time: this machine is too slow, or too busy"
    proxy.faults = killer = Killer(operator, proxy, POINTS)
    kube.wait("the operator to die at every point", lambda: len(killer.deaths) == len(POINTS), 240)
    kube.wait("the end of all", lambda: all_states(kube, place) == ["Finished"] * COUNT, 60)
    owners = sorted(run["metadata"]["ownerReferences"][0]["name"] for run in kube.list("jobinvocations", place))
    assert owners == sorted(f"s-{number}" for number in range(COUNT))
    for found in kube.list("schedules", place):
        told = found["status"]
        assert (told["iteration"], told["missed"], told["lastRun"]["time"]) == (1, 0, moment)
        assert told["lastRun"]["name"] == runs(kube, place, found["metadata"]["name"])[0]["metadata"]["name"]


def errands(kube: Kube, place: str, operator: Operator) -> str:
    """Leave an operator that is stopped then something to write for three schedules, and say when `replaced` is due.

    `replaced` is going to replace a run by hand, `over` to delete one that has been cancelled, and `new` has no id yet,
    and a request to run now.
    """
    moment, yearly = soon(30), ["0 0 1 1 *"]
    kube.create(asked(schedule(place, "replaced", at=moment, concurrencyPolicy="Replace",
                               invocationTemplate=unrunnable())))  # fmt: skip
    kube.create(asked(schedule(place, "over", cron=yearly, failedJobsHistoryLimit=0, invocationTemplate=unrunnable())))
    kube.wait("runs by hand", lambda: len(kube.list("jobinvocations", place)) == 2 and not requests(kube, place))
    kube.wait("schedules that wait", lambda: set(all_states(kube, place)) == {"Active"} and numbered(kube, place))
    operator.stop()
    assert soon(0) < moment, "the schedules were not ready in time: this machine is too slow, or too busy"
    cancellation = {"spec": {"cancellation": {"policy": "Graceful"}}}
    kube.patch("jobinvocations", place, runs(kube, place, "over")[0]["metadata"]["name"], cancellation)
    kube.create(asked(schedule(place, "new", cron=yearly, invocationTemplate=unrunnable())))
    return moment


def asked(manifest: Object) -> Object:
    """A schedule with a request to run now."""
    return manifest | {"metadata": manifest["metadata"] | {"annotations": {"rollcall.dev/run-now": "please"}}}


def requests(kube: Kube, place: str) -> list[str]:
    """The schedules of which a run now is asked."""
    found = (schedule["metadata"] for schedule in kube.list("schedules", place))
    return [metadata["name"] for metadata in found if "rollcall.dev/run-now" in metadata.get("annotations", {})]


def wait_for_errands(kube: Kube, place: str, moment: str) -> None:
    """Wait until all of that is written, each of it once."""
    kube.wait("no more requests", lambda: not requests(kube, place))
    kube.wait("the old run to go", lambda: not runs(kube, place, "over"))
    kube.wait("all ids", lambda: numbered(kube, place) and numbered(kube, place, "jobinvocations"))
    kube.wait("the end of what is replaced", lambda: status(kube, place, "replaced")["active"] == [
        run["metadata"]["name"] for run in runs(kube, place, "replaced")[:-1]])  # fmt: skip
    planned, by_hand = runs(kube, place, "replaced")
    assert planned["metadata"]["annotations"]["rollcall.dev/planned"] == moment
    assert by_hand["metadata"]["annotations"]["rollcall.dev/planned"] == "Manual"
    assert "cancellation" not in planned["spec"]
    assert (condition(by_hand, "Cancelled") or {})["status"] == "True"
    told = status(kube, place, "replaced")
    assert (told["iteration"], told["missed"], told["state"]) == (1, 0, "Finished")
    assert (told["lastRun"]["time"], told["lastRun"]["name"]) == (moment, planned["metadata"]["name"])
    (run,) = runs(kube, place, "new")
    told = status(kube, place, "new")
    assert (told["iteration"], told["missed"], told["active"]) == (0, 0, [run["metadata"]["name"]])
    assert (told["lastRun"]["name"], told["lastRun"]["manual"]) == (run["metadata"]["name"], True)


def test_what_else_is_written_of_schedules_is_done_once_whatever_write_the_operator_dies_at(
    kube: Kube, place: str, proxied: tuple[Operator, Proxy]
) -> None:
    operator, proxy = proxied
    moment = errands(kube, place, operator)
    proxy.faults = killer = Killer(operator, proxy, ERRANDS)
    kube.wait("the operator to die at every point", lambda: len(killer.deaths) == len(ERRANDS), 240)
    wait_for_errands(kube, place, moment)


class Misled(Faults):
    """Two of three writes of each kind are done, and answered as if they were not."""

    ANSWERS = (Answer(500, "InternalError"), Answer(409, "AlreadyExists"), Answer(504, "Timeout"))

    def __init__(self) -> None:
        self.given: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._seen: Counter[tuple[str, str]] = Counter()

    async def after(self, call: Call) -> Answer | None:
        point = next((point for point in (*POINTS, *ERRANDS) if point.concerns(call)), None)
        if point is None:
            return None
        kind = (point.path, point.body)
        self._seen[kind] += 1
        if self._seen[kind] % 3 == 0:
            return None
        answer = self.ANSWERS[len(self.given[kind]) % len(self.ANSWERS)]
        self.given[kind].append(answer.status)
        return answer


def test_nothing_is_done_twice_or_lost_when_writes_are_done_and_answered_as_if_they_were_not(
    kube: Kube, place: str, proxied: tuple[Operator, Proxy]
) -> None:
    operator, proxy = proxied
    names = [f"{policy.lower()}-{number}" for policy in ("Allow", "Forbid", "Replace") for number in range(3)]
    moment = soon(35)
    for name in names:
        kube.create(schedule(place, name, at=moment, concurrencyPolicy=name.partition("-")[0].title(),
                             invocationTemplate=unrunnable()))  # fmt: skip
    earlier = errands(kube, place, operator)
    proxy.faults = misled = Misled()
    operator.start()
    kube.wait("the end", lambda: all_states(kube, place).count("Finished") == len(names) + 1)
    wait_for_errands(kube, place, earlier)
    for name in names:
        (run,) = runs(kube, place, name)
        told = status(kube, place, name)
        assert "cancellation" not in run["spec"]
        assert (told["iteration"], told["missed"], told["active"]) == (1, 0, [run["metadata"]["name"]])
        assert (told["lastRun"]["name"], told["lastRun"].get("error")) == (run["metadata"]["name"], None)
    assert set(misled.given["jobinvocations", ""]) == {500, 409, 504}
    assert misled.given.keys() >= {(point.path, point.body) for point in ERRANDS}


class Silence(Faults):
    """Lets no status of a schedule be written."""

    async def before(self, call: Call) -> Answer | None:
        return Answer(503) if call.writes and call.path.endswith("/schedules/NAME/status") else None


@pytest.mark.parametrize("killed", [False, True], ids=["", "operator killed"])
def test_a_run_that_is_deleted_before_its_status_is_written_is_not_made_again(
    kube: Kube, place: str, proxied: tuple[Operator, Proxy], killed: bool
) -> None:
    operator, proxy = proxied
    kube.create(schedule(place, "s", at=soon(8), invocationTemplate=unrunnable()))
    kube.wait("a schedule that waits", lambda: all_states(kube, place) == ["Active"])
    proxy.faults = Silence()
    (run,) = kube.wait("the run", lambda: runs(kube, place, "s"))
    kube.delete("jobinvocations", place, run["metadata"]["name"])
    kube.wait("word of the deletion", lambda: "deletionTimestamp" in runs(kube, place, "s")[0]["metadata"])
    if killed:
        operator.kill()
        assert len(runs(kube, place, "s")) == 1, "it waits until its schedule has told of it"
    proxy.faults = Faults()
    if killed:
        operator.start()
    kube.wait("the end", lambda: all_states(kube, place) == ["Finished"])
    kube.wait("the run to go", lambda: not runs(kube, place, "s"))
    told = status(kube, place, "s")
    assert (told["iteration"], told["missed"], told["lastRun"]["name"]) == (1, 0, run["metadata"]["name"])
    assert runs(kube, place, "s") == []


def test_a_run_goes_with_a_schedule_that_cannot_tell_of_it(
    kube: Kube, place: str, proxied: tuple[Operator, Proxy]
) -> None:
    """Of two schedules that have made a run, and not yet told of it, one is edited so that nobody can read it, and one
    is deleted in the foreground, which goes only after its run."""
    _, proxy = proxied
    moment = soon(5)
    for name in ("unreadable", "deleted"):
        kube.create(schedule(place, name, at=moment, invocationTemplate=unrunnable()))
    kube.wait("schedules that wait", lambda: all_states(kube, place) == ["Active"] * 2)
    proxy.faults = Silence()
    kube.wait("both runs", lambda: len(kube.list("jobinvocations", place)) == 2)
    kube.patch("schedules", place, "unreadable", {"spec": {"at": "0000-01-01T00:00:00Z"}})
    kube.delete("jobinvocations", place, runs(kube, place, "unreadable")[0]["metadata"]["name"])
    kube.delete("schedules", place, "deleted", propagationPolicy="Foreground")
    proxy.faults = Faults()
    kube.wait("the runs to go", lambda: not kube.list("jobinvocations", place), 30)
    kube.wait("the deleted one to go", lambda: kube.find("schedules", place, "deleted") is None, 30)
    assert status(kube, place, "unreadable")["state"] == "Invalid"
    kube.patch("schedules", place, "unreadable", {"spec": {"at": moment}})
    kube.wait("the repair", lambda: status(kube, place, "unreadable")["state"] == "Finished")
    assert runs(kube, place, "unreadable") == [], "what was over while it could not be read is not made up for"


def test_an_outage_over_three_runs(kube: Kube, outage: Outage) -> None:
    """What was missed is settled by its policy; later runs are left out on request, so that these alone can be seen."""
    place, times = outage.place, outage.times
    # Up to a minute is not too late for who skips.
    kube.wait("the third run to be over", lambda: soon(0) > _later(times[2], 62), 120)
    for policy in AFTER_OUTAGE:
        skipped = times[3:] + _more(times[4], STEP, 90)
        kube.patch("schedules", place, policy.lower(), {"spec": {"skipTimes": skipped}})
    outage.operator.start().wait_until_leading(kube)
    for policy, (made, missed) in AFTER_OUTAGE.items():
        wait_for_outcome(kube, place, policy.lower(), made, missed)
        found = [run["metadata"]["annotations"]["rollcall.dev/planned"] for run in runs(kube, place, policy.lower())]
        assert found == times[3 - made : 3]


def reasons(kube: Kube, namespace: str, name: str) -> set[str]:
    """The reasons of the Events about a schedule."""
    found = kube.list("events", namespace, fieldSelector=f"involvedObject.name={name}")
    return {event["reason"] for event in found}


def wait_for_outcome(kube: Kube, namespace: str, name: str, made: int, missed: int) -> None:
    """Wait until a schedule tells of so many runs, and of so many that were missed."""

    def told() -> bool:
        now = status(kube, namespace, name)
        warned = "RunsMissed" in reasons(kube, namespace, name)
        counts = (now["iteration"], now["missed"], len(runs(kube, namespace, name)))
        return (counts, warned) == ((made, missed, made), missed > 0)

    kube.wait(f"the outage to be told by {name}", told, 30)


def _later(moment: str, seconds: int) -> str:
    return _more(moment, seconds, 1)[0]


def _more(moment: str, seconds: int, count: int) -> list[str]:
    """So many moments after one, at a distance."""
    begin = datetime.fromisoformat(moment)
    times = (begin + timedelta(seconds=seconds * number) for number in range(1, count + 1))
    return [time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in times]
