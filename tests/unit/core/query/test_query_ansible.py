"""Ansible's host patterns: the contract's vectors (contracts/awx.md §6.1), and ansible-core itself as the oracle."""

from collections.abc import Mapping
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from hypothesis import example, given
from hypothesis import strategies as st

from rollcall.query.ansible import parse, render
from rollcall.query.ast import EVERYTHING, NOTHING
from rollcall.query.errors import MAX_LENGTH, QueryError
from rollcall.query.evaluate import OutOfRangeError
from rollcall.query.index import Index
from unit.core.query.selecting import assert_placed, selected

SUFFIX = ".example.com"
ORDER = ["solo1", "solo2", "web1", "web2", "web10", "db1", "db2"]
GROUPS = {"web": ["web1", "web2", "web10"], "db": ["db1", "db2"], "staging": ["web2", "db2"], "empty": []}
FIVE = "web1 web2 web10 db1 db2"


def full(name: str) -> str:
    return name if name.startswith("solo") else name + SUFFIX


@pytest.fixture(scope="module")
def inventory() -> Index:
    rows: dict[str, Any] = {}
    for name in ORDER:
        groups = [group for group, members in GROUPS.items() if name in members]
        groups += ["prod"] * bool({"web", "db"} & set(groups))
        rows[full(name)] = {"name": full(name), "groups": groups}
    return Index(rows, groups=[*GROUPS, "prod"], order=[full(name) for name in ORDER].index)


def names(pattern: str, inventory: Index) -> list[str]:
    query = parse(pattern, {full(name) for name in ORDER})
    return [name.removesuffix(SUFFIX) for name in selected(query, inventory)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("web:db", FIVE),
        ("web,db", FIVE),
        ("web db", FIVE),
        ("web, db", FIVE),
        ("web:&staging", "web2"),
        ("web:!staging", "web1 web10"),
        ("!staging", "solo1 solo2 web1 web10 db1"),
        ("&staging", "web2 db2"),
        ("!web1.example.com,web", "web2 web10"),
        ("all:!web*:&prod", "db1 db2"),
        ("*.example.com", FIVE),
        ("web?.example.com", "web1 web2"),
        (r"~web\d+\.example\.com", "web1 web2 web10"),
        ("~(web|db)1.*", "web1 web10 db1"),
        ("web1*:db1*", "web1 web10 db1"),
        ("prod", FIVE),
        ("web[0]", "web1"),
        ("web[0:0]", "web1"),
        ("web[-1]", "web10"),
        ("web[0:1]", "web1 web2"),
        ("web[1:]", "web2 web10"),
        ("web[1-2]", "web2 web10"),
        ("web*[0]", "web1"),
        ("web[0]:db[0]", "web1 db1"),
        ("web[12].example.com", "web1 web2"),
        ("nope,web", "web1 web2 web10"),
        ("ungrouped", "solo1 solo2"),
        ("ungr*", "solo1 solo2"),
        ("", "solo1 solo2 " + FIVE),
        ("all", "solo1 solo2 " + FIVE),
        ("*", "solo1 solo2 " + FIVE),
        ("al*", "solo1 solo2 " + FIVE),
        ("~eb", ""),
        ("solo[1:2]", ""),
        ("web[a]", ""),
        ("nope", ""),
        ("empty", ""),
        ("WEB", ""),
        ("localhost", ""),
        ("!all", ""),
        ("web;db", ""),
        ("web1.example.com:22", ""),
        ("10.0.0.1", ""),
    ],
)
def test_the_contracts_vectors(inventory: Index, pattern: str, expected: str) -> None:
    assert names(pattern, inventory) == expected.split()


def test_a_place_where_nobody_is(inventory: Index) -> None:
    with pytest.raises(OutOfRangeError):
        names("web[5]", inventory)


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("~[", 1),
        ("web,~[a", 5),
        ("web]", 3),
        ("~(", 0),
        ("web:@hosts", 4),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH),
    ],
)
def test_errors_name_the_place(pattern: str, position: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse(pattern)
    assert caught.value.position == position


def test_a_known_host_is_itself_whatever_its_name_looks_like() -> None:
    rows = {name: {"name": name, "groups": []} for name in ("rack[1]", "rack1")}
    assert selected(parse("rack[1]", rows.keys()), Index(rows)) == ["rack[1]"]
    assert selected(parse("rack[1]"), Index(rows)) == []


HOSTS = [f"{kind}{number}" for kind in ("a", "b", "web") for number in range(4)]
inventories = st.dictionaries(
    st.sampled_from(["red", "blue", "web", "b1", "group-x"]), st.frozensets(st.sampled_from(HOSTS)), max_size=4
)
bases = st.one_of(
    st.sampled_from(
        ["red", "blue", "web", "b1", "group-x", "all", "ungrouped", "*", "nope", "a*", "*1", "web?", "[ab]1"]
    ),
    st.sampled_from(["~a", "~.*1", "~web[0-2]", "~(a|b)2", "~red|blue", "b[12]", "[!w]*"]),
    st.sampled_from(HOSTS),
)
subscripts = st.sampled_from(
    ["", "", "", "[0]", "[1]", "[-1]", "[0:1]", "[1:]", "[2:9]", "[1:0]", "[3:1]", "[9]", "[0-1]"]
)
terms = st.tuples(st.sampled_from(["", "", "&", "!"]), bases, subscripts).map("".join)
patterns = st.tuples(st.sampled_from([":", ",", " ", " , "]), st.lists(terms, min_size=1, max_size=5)).map(
    lambda drawn: drawn[0].join(drawn[1])
)


def ansible(groups: Mapping[str, frozenset[str]], pattern: str) -> list[str] | None:
    """What ansible-core selects, None where it fails."""
    manager = InventoryManager(loader=DataLoader(), sources=None)
    for host in HOSTS:
        manager.add_host(host, group="all")
    for group, members in sorted(groups.items()):
        manager.add_group(group)
        for host in sorted(members):
            manager.add_host(host, group=group)
    manager.reconcile_inventory()
    try:
        return sorted(host.name for host in manager.get_hosts(pattern))
    except AnsibleError:
        return None


@given(inventories, patterns)
@example({"red": frozenset({"a1", "b2"})}, "red[1:0]")
@example({"b1": frozenset({"a1"})}, "b1*")
def test_patterns_select_what_ansible_selects(groups: dict[str, frozenset[str]], pattern: str) -> None:
    rows = {host: {"name": host, "groups": [g for g, members in groups.items() if host in members]} for host in HOSTS}
    index = Index(rows, groups=groups)
    try:
        found: list[str] | None = selected(parse(pattern, rows.keys()), index)
    except (QueryError, OutOfRangeError):
        found = None
    assert found == ansible(groups, pattern)


@given(patterns)
@example("&b1")
def test_what_is_rendered_is_read_as_the_same(pattern: str) -> None:
    query = parse(pattern, set(HOSTS))
    assert parse(render(query, set(HOSTS)), set(HOSTS)) == query


@given(st.text(alphabet="ab1[]:,!&~*? .-\\(){}|^$@", max_size=30) | st.text(max_size=30))
def test_no_text_makes_anything_but_a_query_or_an_error(pattern: str) -> None:
    try:
        query = parse(pattern)
    except QueryError as error:
        assert_placed(error, pattern)
    else:
        assert query != NOTHING
        assert query == EVERYTHING or pattern.strip()
