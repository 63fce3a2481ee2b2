"""Benchmarks measure ratios within one run, print a table and write `results/`; `make bench` runs them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kube import Kube
from support.sshhosts import KeyPair, SshHost, running_hosts, shared_client_key

RESULTS = Path(__file__).parent / "results"


class Report:
    """The figures of one run: each a name, a value, a unit, and the bar it is held against, if there is one."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(
        self, name: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        met = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        bar = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else ""
        self.rows.append(
            {"name": name, "value": round(value, 3), "unit": unit, "bar": bar, "met": met if bar else None}
        )

    def table(self) -> str:
        width = max(len(str(row["name"])) for row in self.rows)
        verdict = {True: "met", False: "MISSED", None: ""}
        lines = [
            f"{row['name']:<{width}}  {row['value']:>10} {row['unit']:<6} {row['bar']:<8} {verdict[row['met']]}"  # type: ignore[index]
            for row in self.rows
        ]
        return "\n".join(lines)


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
