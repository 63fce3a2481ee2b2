"""The facade while jobs are made and run: creates a second, and how long who polls has to wait."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from integration.api.facade_process import running_facade
from integration.api.facade_world import RUN, VIEW, World, service_account
from perf.facade_load import compare
from perf.scale import SCALE, scaled
from rollcall.names import HostState
from rollcall.outputs import Event, Exit, Stream
from support.kube import Kube
from support.pollers import poll
from support.report import Report
from support.usage import cpu_seconds

ROOT = "/api/job_invocations"
CREATE_SECONDS = 20 * SCALE
WRITERS = 8
CLIENTS = 100
JOBS = 50
SAID_BYTES = 100_000
POLL_SECONDS = 30 * SCALE
UPDATES_PER_SECOND = 25.0
"""How often, of all the jobs, one tells something new: each of fifty every two seconds."""


def test_creates(kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report) -> None:
    namespace = make_namespace("bench")
    with running_facade(kube, namespace, tmp_path) as facade:
        facade.tokens["runner"] = service_account(kube, namespace, "runner", RUN)
        world = World(kube, namespace, facade)
        known(world)
        before = len(kube.list("jobinvocations", namespace))
        cpu = cpu_seconds(facade.process.pid)
        began = time.monotonic()
        with ThreadPoolExecutor(WRITERS) as pool:
            made = list(pool.map(lambda _: creates(world, began + CREATE_SECONDS), range(WRITERS)))
        seconds = time.monotonic() - began
        cpu = cpu_seconds(facade.process.pid) - cpu
        stored = len(kube.list("jobinvocations", namespace)) - before
    times = sorted(taken for of_writer in made for taken in of_writer)
    assert stored == len(times)
    report.add("creates through to the stored object", stored / seconds, "1/s", at_least=50)
    report.add("facade, CPU of a create", cpu / stored * 1000, "ms")
    report.add("one create, 99 % of them", times[int(len(times) * 0.99)] * 1000, "ms")


def say(world: World, id_: int, size: int) -> None:
    """Stores what the first host of a job has said: in lines as programs write them."""
    line = b"Nov 23 10:00:00 web1 systemd[1]: Started the daily clean-up of temporary folders.\n"
    lines = [line] * (size // len(line))
    events = [
        Event("web1", number, 1_700_000_000.0 + number, Stream.STDOUT, b"".join(lines[start : start + 40]))
        for number, start in enumerate(range(0, len(lines), 40))
    ]
    events.append(Event("web1", len(events), 1_700_009_000.0, Stream.EXIT, Exit(HostState.SUCCEEDED, 0)))
    world.store(id_, 0, events)


def known(world: World) -> None:
    """Waits until the facade knows the template and the hosts."""

    def look() -> bool:
        with world.facade.client("runner") as client:
            return client.post(ROOT, json=world.order(search_query="nonsense = 1")).status_code == 400

    world.kube.wait("the template in the facade's cache", look)


def creates(world: World, until: float) -> list[float]:
    """How long each of one writer's creates took."""
    taken: list[float] = []
    with world.facade.client("runner") as client:
        while time.monotonic() < until:
            began = time.monotonic()
            answer = client.post(ROOT, json=world.order())
            assert answer.status_code == 201, answer.text
            taken.append(time.monotonic() - began)
    return taken


def test_output(kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report) -> None:
    namespace = make_namespace("bench")
    with running_facade(kube, namespace, tmp_path) as facade:
        for name, rules in (("runner", RUN), ("viewer", VIEW)):
            facade.tokens[name] = service_account(kube, namespace, name, rules)
        world = World(kube, namespace, facade)
        known(world)
        id_ = world.create()["id"]
        world.deal(id_, {"web1": {"state": "Succeeded", "exitCode": 0}}, "Done")
        say(world, id_, SAID_BYTES)
        world.settle(id_, "Complete", total=1, succeeded=1)
        path = f"{ROOT}/{id_}/hosts/1"
        with facade.client("viewer") as client:
            world.wait(client, path, "all of the output", lambda body: body["complete"])
        compare(report, facade, "output of 100 kB", [path], at_least=0.3)
        compare(report, facade, "end of the same output", [f"{path}?since=1700000025"], at_least=0.1)


def test_polling(kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path: Path, report: Report) -> None:
    namespace = make_namespace("bench")
    clients, jobs = scaled(CLIENTS), scaled(JOBS)
    with running_facade(kube, namespace, tmp_path) as facade:
        for name, rules in (("runner", RUN), ("viewer", VIEW)):
            facade.tokens[name] = service_account(kube, namespace, name, rules)
        world = World(kube, namespace, facade)
        known(world)
        ids = [world.create()["id"] for _ in range(jobs)]
        with at_work(world, ids, UPDATES_PER_SECOND * SCALE) as told:
            headers = {"Authorization": f"Bearer {facade.tokens['viewer']}"}
            paths = [f"{ROOT}/{id_}?host_status=true" for id_ in ids]
            port = httpx.URL(facade.url).port or 80
            times = poll(port, paths, headers, clients, POLL_SECONDS)
    what = f"show, {clients} clients that poll, {jobs} jobs that run"
    report.add(f"{what}: 99 % of the answers", times[int(len(times) * 0.99)] * 1000, "ms", at_most=20)
    report.add(f"{what}: half of the answers", times[len(times) // 2] * 1000, "ms")
    report.add("answers", len(times) / POLL_SECONDS, "1/s")
    report.add("news of the jobs meanwhile", told[0] / POLL_SECONDS, "1/s")


@contextmanager
def at_work(world: World, ids: list[int], rate: float) -> Iterator[list[int]]:
    """Jobs of which one after the other tells how far it is, as an operator would; gives how often they did."""
    told = [0]
    done = threading.Event()
    for id_ in ids:
        world.deal(id_, {"web1": {"state": "Running"}, "web2": {"state": "Pending"}})

    def tell() -> None:
        while not done.wait(1 / rate):
            number = told[0]
            id_ = ids[number % len(ids)]
            running = 1 + number // len(ids) % 2
            world.settle(id_, None, total=2, running=running, pending=2 - running)
            told[0] += 1

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield told
    finally:
        done.set()
        teller.join()
