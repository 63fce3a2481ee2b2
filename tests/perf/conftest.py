"""Benchmarks measure ratios within one run, print a table and write `results/`; `make bench` runs them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kube import Kube
from support.report import Report
from support.sshhosts import KeyPair, SshHost, running_hosts, shared_client_key

RESULTS = Path(__file__).parent / "results"


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    found = Report()
    yield found
    if found.rows:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "bench.txt").write_text(found.table() + "\n")
        document = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "figures": found.rows}
        (RESULTS / "bench.json").write_text(json.dumps(document, indent=1) + "\n")
        print(f"\n{found.table()}\nwritten to {RESULTS.relative_to(Path.cwd())}/bench.{{txt,json}}")


@pytest.fixture(scope="session")
def client_key(kube: Kube) -> KeyPair:
    return shared_client_key(kube)


@pytest.fixture(scope="session")
def hosts(kube: Kube, client_key: KeyPair) -> list[SshHost]:
    return running_hosts(kube, client_key)
