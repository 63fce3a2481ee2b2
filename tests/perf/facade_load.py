"""The facade under load: requests a second, and CPU time, against a bare route of the same bytes."""

import random
import statistics
from collections.abc import Sequence

import httpx

from integration.api.facade_world import FacadeProcess
from support.load import Load, Server, bare_server, drive
from support.report import Report

ROUNDS = 9
SECONDS = 1.0


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


def server(facade: FacadeProcess) -> Server:
    return Server(httpx.URL(facade.url).port or 80, facade.process.pid)


def headers(facade: FacadeProcess) -> dict[str, str]:
    return {"Authorization": f"Bearer {facade.tokens['viewer']}", "Accept": "application/json"}
