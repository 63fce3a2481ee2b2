"""`rollcall query`: what queries mean, and what they select from manifests."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from unit.cli.program import rollcall


def manifest(kind: str, name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels or {}, "creationTimestamp": "2026-11-20T08:00:00Z"}
    return {"apiVersion": "rollcall.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


HOSTS = [
    manifest("Host", "web1", {"fleet": "prod"}, groups=["web"], facts={"cpus": 4}, variables={"role": "front"}),
    manifest("Host", "web2", {"fleet": "prod"}, groups=["web"], facts={"cpus": 8}, address="192.0.2.2"),
    manifest("Host", "db1.example.com", groups=["db"], facts={"cpus": 16}, organization="Ops"),
    manifest("Host", "off", {"fleet": "prod"}, groups=["web"], facts={"cpus": 64}, unschedulable=True),
]
NESTED = {"prod": {"children": ["tier"]}, "tier": {"children": ["web"]}}
INVENTORIES = [
    manifest("Inventory", "labelled", selector={"matchLabels": {"fleet": "prod"}}, groups=NESTED),
    manifest("Inventory", "listed", hosts=["db1.example.com", "web1", "off"], groups=NESTED),
    manifest("Inventory", "asked", query={"language": "Ansible", "text": "prod:!web1"}, groups=NESTED),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yaml"
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}
    path.write_text(yaml.safe_dump_all([*HOSTS, other, None, *INVENTORIES]))
    return path


@pytest.mark.parametrize(
    ("language", "text", "wanted"),
    [
        ("Foreman", "facts.cpus >= 8", ["db1.example.com", "web2"]),
        ("foreman", "params.role = front or organization = Ops", ["db1.example.com", "web1"]),
        ("foreman", "ip = 192.0.2.2", ["web2"]),
        ("foreman", "domain = example.com", ["db1.example.com"]),
        ("foreman", "created_at < 2026-11-21", ["db1.example.com", "web1", "web2"]),
        ("ansible", "web:!web2", ["web1"]),
        ("ansible", "web1:nowhere", ["web1"]),
        ("PQL", "inventory { order by facts.cpus desc limit 2 }", ["db1.example.com", "web2"]),
        ("pql", '["from", "nodes", ["~", "certname", "^web"]]', ["web1", "web2"]),
    ],
)
def test_it_selects_what_a_job_would(file: Path, language: str, text: str, wanted: list[str]) -> None:
    said = rollcall("query", "hosts", "--language", language, text, file)
    assert said.code == 0, said.err
    assert said.out.split() == wanted
    assert said.err == f"{len(wanted)} of 3 hosts\n"


@pytest.mark.parametrize(
    ("inventory", "text", "wanted"),
    [
        ("labelled", "all", ["web1", "web2"]),
        ("labelled", "prod:!web2", ["web1"]),
        ("listed", "prod", ["web1"]),
        ("listed", "all", ["db1.example.com", "web1"]),
        ("asked", "tier", ["web2"]),
    ],
)
def test_an_inventory_gives_hosts_and_groups(file: Path, inventory: str, text: str, wanted: list[str]) -> None:
    said = rollcall("query", "hosts", "--language", "ansible", text, "-f", file, "--inventory", inventory)
    assert said.out.split() == wanted


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_it_reads_lists_from_kubectl(write: Any) -> None:
    found = write({"apiVersion": "v1", "kind": "List", "items": HOSTS})
    assert rollcall("query", "hosts", "--language", "ansible", "db", "-", stdin=found).out == "db1.example.com\n"


def test_it_says_why(file: Path) -> None:
    said = rollcall("query", "hosts", "--language", "foreman", "--why", "facts.cpus > 4 and hostgroup = web", file)
    assert (
        said.out
        == """\
db1.example.com: not selected
  all of:  [no]
    facts.cpus is more than 4  [yes: it has 16]
    groups (each) is "web"  [no: it has "db"]
web1: not selected
  all of:  [no]
    facts.cpus is more than 4  [no: it has 4]
    groups (each) is "web"  [yes: it has "web"]
web2: selected
  all of:  [yes]
    facts.cpus is more than 4  [yes: it has 8]
    groups (each) is "web"  [yes: it has "web"]
"""
    )


def test_it_explains() -> None:
    said = rollcall("query", "explain", "--language", "ansible", "web:!db*")
    assert said.out.startswith("all of:\n  the name of a group it is in, ")


@pytest.mark.parametrize(
    ("language", "text", "line", "caret"),
    [
        ("foreman", "name = a and nope = b", "  name = a and nope = b", 15),
        ("pql", "inventory {\n  certname = web1\n}", "    certname = web1", 15),
        ("pql", f"inventory {{ certname = '{'x' * 200}' and }}", f"  ...{'x' * 54}' and }}", 65),
        ("pql", "inventory { certname = 'größe' an }", "  inventory { certname = 'größe' an }", 33),
        ("pql", "inventory { certname = '東京' an }", "  inventory { certname = '東京' an }", 32),
        ("pql", '["from",', '  ["from",', 10),
        ("pql", '["from","nodes",["not",["=","bogus",1]]]', '  ["from", "nodes", ["not", ["=", "bogus", 1]]]', 28),
    ],
)
def test_errors_point_at_the_place(language: str, text: str, line: str, caret: int) -> None:
    said = rollcall("query", "explain", "--language", language, text)
    assert said.code == 1
    assert said.err.splitlines()[1:] == [line, " " * caret + "^"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--language", "ansible", "all"), "no manifests are given: "),
        (("--language", "ansible", "all", "/nonexistent"), "cannot read /nonexistent: "),
        (("--language", "ansible", "all[7]", "FILE"), "the query has no answer: there are 3, "),
        (
            ("--language", "ansible", "all", "FILE", "--inventory", "x"),
            "no Inventory x is in the manifests; there are ",
        ),
        (("--language", "pql", "[1]", "FILE"), 'the query does not begin with "from": expected '),
        (("--language", "pql", "[" * 100_000, "FILE"), ""),
    ],
)
def test_what_cannot_be_done_is_an_error(file: Path, arguments: tuple[str, ...], error: str) -> None:
    given = [str(file) if word == "FILE" else word for word in arguments]
    said = rollcall("query", "hosts", *given)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"error: {error}")


def test_what_holds_no_hosts_is_an_error(tmp_path: Path) -> None:
    for text, error in (("a: b\n", "no Host is in "), ("a: [\n", f"{tmp_path}/x holds no manifests: "), ("{", "")):
        (tmp_path / "x").write_text(text)
        assert rollcall("query", "hosts", "--language", "ansible", "all", tmp_path / "x").err.startswith(
            f"error: {error}"
        )
