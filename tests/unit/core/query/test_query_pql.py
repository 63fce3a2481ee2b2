"""PQL and its arrays: the worked cases of the contract (contracts/puppet.md §8)."""

import json
from typing import Any

import pytest

from rollcall.query.errors import MAX_DEPTH, QueryError
from rollcall.query.index import Index
from rollcall.query.pql import parse, parse_arrays, render
from unit.core.query.selecting import index, selected

FACTS: dict[str, dict[str, Any]] = {
    "a": {"os": {"family": "RedHat", "release": {"major": "8"}}, "cpus": 4, "aio_agent_version": "6.15.0"},
    "b": {"os": {"family": "Debian"}, "cpus": 16, "disks": ["sda", "sdb"], "a name.d": {"x y": True}, "quota": 1.5},
    "c": {},
}


@pytest.fixture(scope="module")
def hosts() -> Index:
    extra: dict[str, dict[str, Any]] = {
        "a": {
            "environment": "production",
            "lastContactTime": 1_700_000_000.0,
            "trusted": {"extensions": {"role": "web"}},
        },
        "b": {"environment": "test", "lastContactTime": 1_800_000_000.0},
        "c": {},
    }
    return index(*({"name": name, "facts": facts, **extra[name]} for name, facts in FACTS.items()))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (r'inventory[certname] { facts.aio_agent_version ~ "\\d+" }', "a"),
        ('inventory[certname] { facts.os.family = "RedHat" and facts.os.release.major = "8" }', "a"),
        ("inventory[certname] { facts.os.release.major = 8 }", ""),
        ('inventory { facts.cpus >= 8 or !(facts.os.family = "Debian") }', "abc"),
        ('inventory[certname] { facts.os.family in ["Debian", "Suse"] }', "b"),
        ('inventory[certname] { facts.os.family != "Debian" }', "ac"),
        ("inventory[certname] { facts.cpus is null }", "c"),
        ('nodes { certname ~ "^[ab]$" }', "ab"),
        ('nodes[certname] { facts { name = "cpus" and value > 8 } }', "b"),
        ("inventory{}", "abc"),
        ("inventory[certname,environment]{facts.cpus>=4}", "ab"),
        ("inventory { facts.cpus = 4.0 }", "a"),
        ("inventory { facts.quota > 1 }", "b"),
        ("inventory { facts.cpus > -1 }", "ab"),
        ('inventory { facts.cpus > "1" }', ""),
        ('inventory { facts.cpus ~ "^1" }', "b"),
        ('inventory { facts.os.family !~ "^Red" }', "bc"),
        ('inventory { facts.os.family ~ "(?i)^debian$" }', "b"),
        ('inventory { facts.os.family ~ "^[[:alpha:]]+$" }', "ab"),
        ("inventory { facts.cpus = 1.6e1 }", "b"),
        ('nodes { catalog_environment = "production" }', "a"),
        ('nodes { report_environment = "test" }', "b"),
        ('inventory { facts.disks = "sdb" }', "b"),
        ('inventory { facts.disks[1] = "sdb" }', "b"),
        ('inventory { facts.disks[0] = "sdb" }', ""),
        ('inventory { facts.disks ~ "sd" }', ""),
        ('inventory { facts."a name.d"."x y" = true }', "b"),
        ("inventory { facts.os.family = 'Debian' }", "b"),
        ('inventory { trusted.extensions.role = "web" }', "a"),
        ('inventory { environment = "test" }', "b"),
        ('inventory { timestamp > "2024-01-01" }', "b"),
        ('inventory { timestamp <= "2023-11-14T22:13:20Z" }', "a"),
        ('inventory { timestamp > "garbage" }', ""),
        ("inventory { facts.cpus is not null }", "ab"),
        ("inventory { not facts.cpus is null and !!(facts.cpus = 4) }", "a"),
        ('inventory { certname = "a" or certname = "b" and facts.cpus = 4 }', "a"),
        ('inventory { (certname = "a" or certname = "b") and facts.cpus = 16 }', "b"),
        ('inventory { facts { name = "os" } and certname != "a" }', "b"),
        ('inventory { !facts { name = "os" } }', "c"),
        ('inventory { facts { not name = "os" } }', "ab"),
        ('inventory { facts { name ~ "cpu" and value = 4 or name = "disks" } }', "ab"),
        ('facts[certname] { name = "cpus" and value > 8 }', "b"),
        ('facts[certname] { name = "cpus" and certname = "a" }', "a"),
        ("nodes { deactivated is null }", "abc"),
        ('nodes { facts_environment = "test" }', "b"),
        ("inventory { order by certname desc }", "cba"),
        ("inventory { order by facts.cpus }", "abc"),
        ("inventory { order by facts.cpus desc, certname limit 2 }", "cb"),
        ("inventory { facts.cpus > 1 order by certname desc limit 1 offset 1 }", "a"),
        ("inventory { limit 0 }", ""),
    ],
)
def test_what_queries_select(hosts: Index, query: str, expected: str) -> None:
    assert selected(parse(query), hosts) == list(expected)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (["from", "nodes", ["~", "certname", ".*"]], "abc"),
        (["from", "inventory", ["=", "facts.os.family", "Debian"]], "b"),
        (["from", "inventory", ["=", ["fact", "cpus"], 4]], "a"),
        (["from", "inventory", ["extract", ["certname"], [">", "facts.cpus", 3]], ["limit", 1]], "a"),
        (["from", "inventory", ["not", ["null?", "facts.cpus", True]]], "ab"),
        (["from", "inventory", ["null?", "facts.cpus", False]], "ab"),
        (["from", "inventory", ["in", "facts.cpus", ["array", [4, 5]]]], "a"),
        (["from", "inventory", ["and", ["<=", "facts.cpus", 16], ["or", ["=", "certname", "b"]]]], "b"),
        (["from", "nodes", ["subquery", "facts", ["and", ["=", "name", "cpus"], ["<", "value", 8]]]], "a"),
        (["from", "inventory", ["order_by", [["certname", "desc"]]], ["offset", 1]], "ba"),
        (["from", "inventory"], "abc"),
    ],
)
def test_what_arrays_select(hosts: Index, document: Any, expected: str) -> None:
    assert selected(parse_arrays(document), hosts) == list(expected)


@pytest.mark.parametrize(
    ("query", "position", "said"),
    [
        ("inventory[environment] {}", 10, "lack certname"),
        ("inventory[] {}", 10, "lack certname"),
        ("resources {}", 0, "'resources' is not supported"),
        ('inventory { facts.x ~> [".*"] }', 20, "'~>' is not supported"),
        ("inventory { match(certname) }", 12, "'match' is not supported"),
        ("inventory { group by certname }", 12, "'group' is not supported"),
        ("inventory { certname in facts { } }", 24, "subqueries are not supported"),
        ("inventory { bogus = 1 }", 12, "'bogus' is not a field of inventory"),
        ("nodes { facts.cpus = 1 }", 8, "'facts.cpus' is not a field of nodes"),
        ('inventory { facts.x ~ "[" }', 22, "cannot be read"),
        ("inventory { facts.x ~ 3 }", 22, "a regular expression is a text"),
        ("inventory { facts.x = }", 22, "expected a quoted text"),
        ('inventory { facts.x = "a', 22, "does not end"),
        ("inventory {", 11, "ends too early"),
        ("inventory {} x", 13, "expected the end"),
        ("inventory { facts.x 3 }", 20, "expected an operator"),
        ("", 0, "expected an entity"),
        ("inventory { limit x }", 18, "expected a number"),
        ("inventory { and }", 12, "expected a field"),
        ("inventory { " + "!" * (MAX_DEPTH + 1) + "facts.x = 1 }", 12 + MAX_DEPTH, "nested"),
    ],
)
def test_errors_name_the_place_and_what_could_stand_there(query: str, position: int, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert said in str(caught.value)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "inventory {}",
        ["from"],
        ["from", "resources"],
        ["from", ["x"]],
        ["from", "inventory", ["~>", "facts.x", ["a"]]],
        ["from", "inventory", ["=", "facts.x", None]],
        ["from", "inventory", ["=", "bogus", 1]],
        ["from", "inventory", ["=", 3, 1]],
        ["from", "inventory", ["extract", ["environment"]]],
        ["from", "inventory", ["and"]],
        ["from", "inventory", ["limit", -1]],
        ["from", "inventory", ["order_by", [["certname", "sideways"]]]],
        ["from", "inventory", {}, 3],
    ],
)
def test_arrays_that_are_no_query(document: Any) -> None:
    with pytest.raises(QueryError):
        parse_arrays(document)


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        (["from", "inventory", ["and", ["=", "certname", "a"], ["not", ["=", "bogus", 1]]]], '["=", "bogus"'),
        (["from", "inventory", ["or", ["~", "certname", "a"], ["~", "certname", "("]]], '["~", "certname", "("'),
        (["from", "inventory", ["=", "certname", "a"], ["limit", -1]], '["limit"'),
        (["from", "inventory", ["extract", ["certname"], ["in", "certname", ["array", [[]]]]]], '["in"'),
        (["from", "bogus"], '["from"'),
    ],
)
def test_errors_in_arrays_name_the_place(document: Any, wrong: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_arrays(document)
    assert json.dumps(document)[caught.value.position :].startswith(wrong)
    assert caught.value.expected


def test_nested_arrays_are_bounded() -> None:
    document: Any = ["=", "certname", "a"]
    for _ in range(MAX_DEPTH + 1):
        document = ["not", document]
    with pytest.raises(QueryError, match="nested"):
        parse_arrays(["from", "inventory", document])


def test_what_is_rendered_can_be_read() -> None:
    condition = '!facts.a."b c"[2] ~ "\\\\d" and (facts.x = 1 or timestamp > "2024-01-01")'
    text = f"inventory {{ {condition} order by certname limit 3 }}"
    assert parse(render(parse(text))) == parse(text)
