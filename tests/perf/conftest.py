"""Benches measure ratios within one run, print a table each and write it into `results/`; `make bench` runs all."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perf.scale import SCALE
from support.kube import Kube
from support.namespaces import made_namespaces
from support.report import Report
from support.sshhosts import KeyPair, SshHost, running_hosts, shared_client_key

RESULTS = Path(__file__).parent / "results"


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """The figures of one bench, which become two files of its name."""
    found = Report()
    yield found
    if not found.rows:
        return
    print(f"\n{found.table()}")
    if SCALE != 1:
        return
    RESULTS.mkdir(exist_ok=True)
    name = request.path.stem.removeprefix("bench_")
    (RESULTS / f"{name}.txt").write_text(found.table() + "\n")
    document = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "figures": found.rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"written to tests/perf/results/{name}.{{txt,json}}")


@pytest.fixture(scope="module")
def make_namespace(kube: Kube) -> Iterator[Callable[[str], str]]:
    """Makes namespaces, and waits until they are gone: what one bench leaves behind would slow down the next."""
    with made_namespaces(kube) as make:
        yield make

    def gone() -> bool:
        return not kube.list("namespaces", labelSelector="rollcall-test=true")

    kube.wait("namespaces to go", gone, 900, interval=1)


@pytest.fixture(scope="session")
def client_key(kube: Kube) -> KeyPair:
    return shared_client_key(kube)


@pytest.fixture(scope="session")
def hosts(kube: Kube, client_key: KeyPair) -> list[SshHost]:
    return running_hosts(kube, client_key)
