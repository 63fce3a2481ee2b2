"""The facade with 10,000 invocations: requests a second against a bare route of the same bytes, and its memory."""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from integration.api.facade_process import running_facade
from integration.api.facade_world import VIEW, FacadeProcess, World, service_account
from perf.scale import scaled
from rollcall.names import HostState
from rollcall.outputs import Event, Exit, Stream
from support.jobs import invocation
from support.kube import Kube
from support.load import Load, Server, bare_server, drive
from support.report import Report
from support.usage import peak_mib, resident_mib

INVOCATIONS = scaled(10_000)
FINISHED = 20
"""The newest, which the list shows, have ended; the others wait for an operator that is not there."""
ROUNDS = 9
SECONDS = 1.0
WRITERS = 16
ROOT = "/api/job_invocations"
SAID_BYTES = 100_000
START_SECONDS = 10
NO_INDEX = "description%20~%20tim%20and%20status%20!%3D%20failed"
"""A search for what has to be looked at in every invocation."""


def test_ten_thousand_invocations(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report
) -> None:
    namespace = make_namespace("bench")
    with running_facade(kube, namespace, tmp_path) as facade:
        idle = resident_mib(facade.process.pid)
        facade.tokens["viewer"] = service_account(kube, namespace, "viewer", VIEW)
        fill(kube, World(kube, namespace, facade))
        filled = resident_mib(facade.process.pid)
        newest = range(INVOCATIONS, INVOCATIONS - FINISHED, -1)
        compare(report, facade, "one invocation", [f"{ROOT}/{id_}" for id_ in newest], at_least=0.5)
        compare(report, facade, f"{FINISHED} of {INVOCATIONS:,}", [ROOT], at_least=0.35)
        compare(report, facade, "search by id", [f"{ROOT}?search=id%20%3D%20{id_}" for id_ in newest], at_least=0.35)
        compare(report, facade, "search by status", [f"{ROOT}?search=status%20%3D%20succeeded"], at_least=0.1)
        compare(report, facade, "search without an index", [f"{ROOT}?search={NO_INDEX}"], at_least=0.1)
        compare(report, facade, "output of 100 kB", [f"{ROOT}/{INVOCATIONS}/hosts/1"], at_least=0.3)
        # More than the facade keeps encoded, so that its caches are full when the peak is read.
        wander(report, facade, f"any of {INVOCATIONS:,}", [f"{ROOT}/{id_}" for id_ in range(1, INVOCATIONS + 1)])
        wander(report, facade, "any page", [f"{ROOT}?page={page}" for page in range(1, INVOCATIONS // FINISHED + 1)])
        peak = peak_mib(facade.process.pid)
        with facade.client("viewer") as client:
            client.get(ROOT, params={"per_page": "all"}).raise_for_status()
        peak_of_all = peak_mib(facade.process.pid)
    started(kube, namespace, tmp_path, report)
    report.add("facade memory, idle", idle, "MiB", at_most=120)
    report.add(f"facade memory, {INVOCATIONS:,} invocations", filled, "MiB")
    report.add("facade memory, peak", peak, "MiB", at_most=120)
    report.add("facade memory, peak with all in one list", peak_of_all, "MiB")


def started(kube: Kube, namespace: str, folder: Path, report: Report) -> None:
    """Measures how long a new process needs until it tells of every invocation that there is."""
    began = time.monotonic()
    with running_facade(kube, namespace, folder) as facade:
        facade.tokens["viewer"] = service_account(kube, namespace, "viewer", VIEW)
        with facade.client("viewer") as client:
            assert client.get(ROOT).raise_for_status().json()["total"] == INVOCATIONS
            seconds = time.monotonic() - began
    report.add(f"from start to the first right answer, {INVOCATIONS:,} stored", seconds, "s", at_most=START_SECONDS)


def compare(report: Report, facade: FacadeProcess, what: str, paths: Sequence[str], at_least: float) -> None:
    """Measures the facade and a bare route that answers with the bytes of the first path, in turns."""
    with facade.client("viewer") as client:
        body = client.get(paths[0]).raise_for_status().content
    ours: list[Load] = []
    theirs: list[Load] = []
    with bare_server(body) as bare:
        for number in range(ROUNDS):
            theirs.append(drive(bare, paths, headers(facade), SECONDS))
            ours.append(drive(server(facade), paths, headers(facade), SECONDS))
            print(f"{what}, round {number + 1}: {said(theirs[-1])} bare, {said(ours[-1])} facade", flush=True)
    ratio = statistics.median(mine.per_second / bare.per_second for mine, bare in zip(ours, theirs, strict=True))
    report.add(f"facade, {what} / bare route of {len(body):,} bytes", ratio, "x", at_least=at_least)
    ratio = statistics.median(bare.cpu_us / mine.cpu_us for mine, bare in zip(ours, theirs, strict=True))
    report.add(f"facade, {what} / bare route, by CPU time", ratio, "x")
    for name, loads in (("bare route", theirs), ("facade", ours)):
        tell(report, f"{name}, {what}", loads)
    report.add(f"load client, {what}", max(load.client_share for load in ours + theirs), "cores")


def wander(report: Report, facade: FacadeProcess, what: str, paths: Sequence[str]) -> None:
    """Measures the facade alone, with many paths, each time in another order."""
    loads: list[Load] = []
    for number in range(ROUNDS):
        shuffled = random.Random(number).sample(paths, len(paths))
        loads.append(drive(server(facade), shuffled, headers(facade), SECONDS))
        print(f"{what}, round {number + 1}: {said(loads[-1])} facade", flush=True)
    tell(report, f"facade, {what}", loads)


def tell(report: Report, name: str, loads: Sequence[Load]) -> None:
    report.add(name, statistics.median(load.per_second for load in loads), "1/s")
    report.add(f"{name}, CPU of a request", statistics.median(load.cpu_us for load in loads), "us")


def said(load: Load) -> str:
    return f"{load.per_second:,.0f}/s at {load.cpu_us:.0f} us"


def fill(kube: Kube, world: World) -> None:
    """Stores the invocations and, for the newest, what an operator writes; waits until the facade knows them."""

    def create(id_: int) -> None:
        manifest = invocation(world.namespace, f"job-{id_}", "uptime", list(world.ids))
        labels = {"rollcall.dev/id": str(id_), "rollcall.dev/template": "run-command"}
        kube.create(manifest | {"metadata": manifest["metadata"] | {"labels": labels}})

    with ThreadPoolExecutor(WRITERS) as pool:
        for number, _ in enumerate(pool.map(create, range(1, INVOCATIONS + 1)), 1):
            if number % 1_000 == 0:
                print(f"{number:,} of {INVOCATIONS:,} invocations stored", flush=True)
    newest = range(INVOCATIONS - FINISHED + 1, INVOCATIONS + 1)
    for id_ in newest:
        world.deal(id_, {name: {"state": "Succeeded", "exitCode": 0} for name in world.ids}, "Done")
        world.settle(id_, "Complete", total=len(world.ids), succeeded=len(world.ids))
    say(world, INVOCATIONS)
    with world.facade.client("viewer") as client:
        list_ = world.wait(client, ROOT, "invocations in the facade's cache", lambda body: ended(body) == FINISHED)
        assert (list_["total"], list_["per_page"]) == (INVOCATIONS, FINISHED)
        show = client.get(f"{ROOT}/{INVOCATIONS}").raise_for_status().json()
        assert len(show["targeting"]["hosts"]) == len(show["template_invocations"]) == len(world.ids)


def say(world: World, id_: int) -> None:
    """Stores what the first host of a job has said: a hundred thousand bytes, in lines as programs write them."""
    line = b"Nov 23 10:00:00 web1 systemd[1]: Started the daily clean-up of temporary folders.\n"
    lines = [line] * (SAID_BYTES // len(line))
    events = [
        Event("web1", number, 1_700_000_000.0 + number, Stream.STDOUT, b"".join(lines[start : start + 40]))
        for number, start in enumerate(range(0, len(lines), 40))
    ]
    events.append(Event("web1", len(events), 1_700_009_000.0, Stream.EXIT, Exit(HostState.SUCCEEDED, 0)))
    world.store(id_, 0, events)


def ended(body: Mapping[str, list[Mapping[str, str]]]) -> int:
    return sum(item["status_label"] == "succeeded" for item in body["results"])


def server(facade: FacadeProcess) -> Server:
    return Server(httpx.URL(facade.url).port or 80, facade.process.pid)


def headers(facade: FacadeProcess) -> dict[str, str]:
    return {"Authorization": f"Bearer {facade.tokens['viewer']}", "Accept": "application/json"}
