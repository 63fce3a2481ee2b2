"""Queries over 10,000 hosts of 50 facts each: how long each takes with the index that a cache keeps, and its parsing.

A hand-written comprehension over the same rows, which knows the predicate, stands beside each language's first query.
"""

import gc
import json
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from perf.scale import scaled
from rollcall.query import ansible, foreman, pql
from rollcall.query.ast import Statement
from rollcall.query.evaluate import select
from rollcall.query.index import Index
from rollcall_operator.store import Store
from support.report import Report

HOSTS: Final = scaled(10_000)
FACTS: Final = 50
ROUNDS: Final = 30
PARSES: Final = 200
NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAMILIES: Final = ("RedHat", "Debian", "Suse", "Archlinux")
GROUPS: Final = ("web", "db", "cache", "queue", "edge")


def host(number: int) -> dict[str, Any]:
    """A host with 50 facts, of which some are its own and most are shared by many."""
    facts: dict[str, Any] = {
        f"fact_{place}": f"value {(number * (place + 7)) % (place + 2)}" for place in range(FACTS - 6)
    }
    facts |= {
        "os": {"family": FAMILIES[number % 4], "release": {"major": str(7 + number % 5)}},
        "processors": {"count": 1 << number % 7},
        "memory": 1_024 * (1 + number % 64),
        "serial": f"{number * 2_654_435_761 % 4_294_967_296:08x}",
        "virtual": number % 3 == 0,
        "disks": [f"sd{letter}" for letter in "abcd"[: 1 + number % 4]],
    }
    return {
        "name": f"{GROUPS[number % 5]}-{number:05}.example.com",
        "id": number,
        "groups": [GROUPS[number % 5], f"rack{number % 40:02}"],
        "address": f"192.0.{number // 256}.{number % 256}",
        "domain": "example.com",
        "organization": f"org{number % 3}",
        "variables": {"role": ("front", "back")[number % 2]},
        "facts": facts,
        "lastContactTime": NOW.timestamp() - number,
    }


FOREMAN: Final = (
    "facts.os::family = Debian and facts.processors::count > 8",
    "name ~ web-00",
    "name ^ (web-00000.example.com, db-00001.example.com, nope)",
    "hostgroup = web",
    "hostgroup = web or hostgroup = db and organization = org1",
    "not hostgroup = web",
    "params.role = front and os_major = 8",
    "facts.serial ~ abc",
    "facts.serial = 00000000",
    "facts.memory >= 32768",
    'facts.virtual = true, facts.fact_3 != "value 2"',
    "null? facts.absent",
    "set? facts.serial and id < 100",
    "id ^ (1, 2, 3, 4, 5)",
    'last_report > "1 hour ago"',
    "last_report < 2026-11-22",
    "web-00 db-00",
    "ip ~ 192.0.1*",
    "name !~ edge and hostgroup !^ (rack01, rack02)",
    "",
)
ANSIBLE: Final = (
    "web:&rack05", "web", "web:db:cache", "all:!web", "web-000*", "~web-0.*5\\.example", "rack0?", "web[0]", "web[-1]",
    "web[0:99]", "web[1000:]", "*.example.com", "web-00000.example.com", "nope,web", "&rack01", "!rack01:!rack02",
    "~(web|db)-0", "rack*:&web:!rack01", "all", "[we]*-00?0?.example.com",
)  # fmt: skip
PQL: Final = (
    'inventory[certname] { facts.os.family = "Debian" and facts.processors.count > 8 }',
    'inventory { certname ~ "^web-0.*5" }',
    'inventory { facts.os.family in ["Debian", "Suse"] }',
    "inventory { facts.memory >= 32768 or !(facts.virtual = true) }",
    "inventory { facts.absent is null }",
    "inventory { facts.serial is not null and facts.processors.count < 4 }",
    'inventory { facts.disks = "sdc" }',
    'inventory { facts.disks[1] = "sdb" }',
    'inventory { facts { name = "memory" and value > 60000 } }',
    'inventory { facts { name ~ "^fact_1" and value = "value 1" } }',
    'inventory { facts.serial ~ "^00" }',
    'inventory { facts.serial !~ "[abc]" }',
    'inventory { timestamp > "2026-11-22T11:30:00Z" }',
    'inventory { facts.os.release.major = "8" order by certname desc limit 20 }',
    "inventory { order by facts.memory desc limit 10 }",
    'inventory { certname = "web-00000.example.com" }',
    'inventory { facts.os.family != "Debian" and facts.os.family != "Suse" }',
    "inventory { facts.processors.count = 8 and facts.virtual = false }",
    'facts[certname] { name = "virtual" and value = true }',
    "inventory {}",
)
LONG: Final = {
    "foreman": " or ".join(["facts.os::family = Debian and name ~ web-0"] * 4),
    "ansible": ":".join(["web-00?.example.com:&rack0*:!rack01"] * 6),
    "pql": "inventory { " + " or ".join(['facts.os.family = "Debian"'] * 6) + " }",
}
"""Queries of about 200 characters."""


def read_foreman(text: str) -> Statement:
    return Statement(foreman.parse(text, foreman.HOSTS, NOW))


def read_ansible(text: str) -> Statement:
    return Statement(ansible.parse(text))


def by_hand(rows: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Callable[[], list[str]]]:
    """The first query of each language as somebody would write it who has no index."""

    def of_facts() -> list[str]:
        return sorted(
            name
            for name, row in rows.items()
            if row["facts"]["os"]["family"] == "Debian" and row["facts"]["processors"]["count"] > 8
        )

    return {
        "foreman": of_facts,
        "pql": of_facts,
        "ansible": lambda: sorted(name for name, row in rows.items() if {"web", "rack05"} <= {*row["groups"]}),
    }


def test_queries(report: Report) -> None:
    rows = {row["name"]: row for row in map(host, range(HOSTS))}
    index = Index(rows)
    languages: Mapping[str, tuple[Callable[[str], Statement], Iterable[str]]] = {
        "foreman": (read_foreman, FOREMAN),
        "ansible": (read_ansible, ANSIBLE),
        "pql": (pql.parse, PQL),
    }
    hand = by_hand(rows)
    for language, (read, texts) in languages.items():
        statements = [read(text) for text in texts]
        assert select(statements[0], index) == hand[language]()
        firsts = [seconds(select, statement, index) for statement in statements]
        taken = [seconds(select, one, index) for _ in range(ROUNDS) for one in statements]
        alone = statistics.median(seconds(select, statements[0], index) for _ in range(ROUNDS))
        manual = statistics.median(seconds(hand[language]) for _ in range(ROUNDS))
        report.add(
            f"{language}: 99 % of {len(statements)} queries over {HOSTS:,} hosts", percentile(taken), "ms", at_most=20
        )
        report.add(f"{language}: half of them", statistics.median(taken) * 1000, "ms")
        report.add(f"{language}: the slowest when its columns are built", max(firsts) * 1000, "ms")
        report.add(f"{language}: its first query / a comprehension by hand", alone / manual, "x", at_most=3)
        parsing = statistics.median(seconds(read, LONG[language]) for _ in range(PARSES))
        report.add(f"{language}: parsing {len(LONG[language])} characters", parsing * 1000, "ms", at_most=1)


def test_an_index_follows_changes(report: Report) -> None:
    rows = {row["name"]: row for row in map(host, range(HOSTS))}
    index = Index(rows)
    for text in FOREMAN:
        select(read_foreman(text), index)
    changed = [{**row, "lastContactTime": 0.0} for row in list(rows.values())[:500]]
    each = seconds(lambda: [index.put(row["name"], row) for row in changed]) / len(changed)
    report.add("a host that changes, in an index that 20 queries have used", each * 1e6, "us")


def test_memory(report: Report) -> None:
    rows = {row["name"]: row for row in map(host, range(HOSTS))}
    tracemalloc.start()
    index = Index(rows)
    for text in FOREMAN:
        select(read_foreman(text), index)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    report.add(f"memory of the index of {HOSTS:,} hosts, beside the hosts, after 20 queries", grown / 1024**2, "MiB")


def test_memory_of_the_operators_hosts(report: Report) -> None:
    """In a process of its own, which has nothing to begin with; the Hosts were made by `kubectl apply`."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        stored, asked = pool.submit(resident_growth).result()
    report.add(f"memory of {HOSTS:,} Hosts in the operator's cache, over empty", stored, "MiB", at_most=60)
    report.add("the same after 20 queries", asked, "MiB")


def resident_growth() -> tuple[float, float]:
    """What the process grows by when the store takes in the hosts, and when they have been queried, in MiB."""
    store = Store()
    store.put("hosts", document(0))
    before = resident()
    for number in range(1, HOSTS):
        store.put("hosts", document(number))
    stored = resident() - before
    for text in FOREMAN:
        select(read_foreman(text), store.hosts["fleet"].index)
    return stored, resident() - before


def document(number: int) -> dict[str, Any]:
    """A Host as the API server tells of it."""
    row = host(number)
    made = {
        "metadata": {
            "name": row["name"],
            "namespace": "fleet",
            "uid": f"{number:08x}-6b1c-4d21-9a57-{number:012x}",
            "resourceVersion": str(1_000 + number),
            "generation": 1,
            "creationTimestamp": "2026-11-22T12:00:00Z",
            "labels": {"rollcall.dev/id": str(number + 1), "env": "prod"},
        },
        "spec": {
            **{name: row[name] for name in ("address", "facts", "groups", "organization", "variables")},
            "credentialsRef": {"name": "ops-key"},
            "hostKeys": [f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number:043}"],
            "port": 22,
            "user": "root",
            "hostKeyPolicy": "Strict",
            "exclusive": "None",
        },
        "status": {"lastContactTime": datetime.fromtimestamp(row["lastContactTime"], UTC).isoformat()},
    }
    applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(made)}
    return json.loads(json.dumps(made | {"metadata": made["metadata"] | {"annotations": applied}}))  # type: ignore[no-any-return]


def resident() -> float:
    """How much memory the process has, in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024**2


def seconds(work: Callable[..., object], *arguments: Any) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def percentile(taken: list[float]) -> float:
    """What 99 % of them keep to, in milliseconds."""
    return statistics.quantiles(taken, n=100)[98] * 1000
