"""The facade with 10,000 invocations: requests a second against a bare route of the same bytes, and its memory."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from integration.api.facade_process import running_facade
from integration.api.facade_world import VIEW, World, service_account
from perf.facade_load import compare, wander
from perf.scale import scaled
from support.jobs import invocation
from support.kube import Kube
from support.report import Report
from support.usage import peak_mib, resident_mib

INVOCATIONS = scaled(10_000)
FINISHED = 20
"""The newest, which the list shows, have ended; the others wait for an operator that is not there."""
WRITERS = 16
ROOT = "/api/job_invocations"
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
    with world.facade.client("viewer") as client:
        list_ = world.wait(client, ROOT, "invocations in the facade's cache", lambda body: ended(body) == FINISHED)
        assert (list_["total"], list_["per_page"]) == (INVOCATIONS, FINISHED)
        show = client.get(f"{ROOT}/{INVOCATIONS}").raise_for_status().json()
        assert len(show["targeting"]["hosts"]) == len(show["template_invocations"]) == len(world.ids)


def ended(body: Mapping[str, list[Mapping[str, str]]]) -> int:
    return sum(item["status_label"] == "succeeded" for item in body["results"])
