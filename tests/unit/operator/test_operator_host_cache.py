"""The operator's Hosts: queries see each change at once, and facts come from ConfigMaps in any order."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.query.ansible import parse
from rollcall.query.ast import Has, Statement
from rollcall.query.evaluate import select
from rollcall.query.predicates import Equals, Present
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall_operator.cluster import Cluster
from rollcall_operator.host_cache import HostCache
from rollcall_operator.hosts import HostJudge
from rollcall_operator.store import Store


def host(name: str, **spec: Any) -> Host:
    return Host.model_validate({"metadata": {"name": name, "namespace": "fleet"}, "spec": spec})


def with_fact(cache: HostCache, value: Any) -> list[str]:
    return select(Statement(Has(("facts", "x"), Equals((value,)))), cache.index)


def source(key: str = "a") -> dict[str, Any]:
    return {"configMapKeyRef": {"name": "facts", "key": key}}


def test_a_changed_host_is_found_as_it_is_now() -> None:
    cache = HostCache()
    cache.put(host("a", facts={"x": 1}))
    assert with_fact(cache, 1) == ["a"]
    cache.put(host("a", facts={"x": 2}))
    assert (with_fact(cache, 1), with_fact(cache, 2)) == ([], ["a"])
    cache.put(host("a", facts={"x": 2}, unschedulable=True))
    assert (with_fact(cache, 2), list(cache.hosts)) == ([], ["a"])
    cache.put(host("a", facts={"x": 2}))
    assert with_fact(cache, 2) == ["a"]
    cache.remove("a")
    assert (with_fact(cache, 2), cache.hosts) == ([], {})


def test_facts_come_before_or_after_the_host() -> None:
    cache = HostCache()
    cache.put(host("a", factsFrom=source()))
    assert "there is no ConfigMap facts" in (cache.problem("a") or "")
    assert list(cache.put_facts("facts", {"a": '{"x": 1}', "b": '{"x": 2}'})) == ["a"]
    assert (cache.problem("a"), with_fact(cache, 1)) == (None, ["a"])
    cache.put(host("b", factsFrom=source("b")))
    assert with_fact(cache, 2) == ["b"]
    assert list(cache.put_facts("facts", None)) == ["a", "b"]
    assert (with_fact(cache, 1), with_fact(cache, 2)) == ([], [])
    assert cache.problem("b") is not None


def test_a_host_that_no_longer_takes_facts_from_it_is_left_alone() -> None:
    cache = HostCache()
    cache.put_facts("facts", {"a": "{"})
    cache.put(host("a", factsFrom=source()))
    assert cache.problem("a") is not None
    cache.put(host("a"))
    assert (list(cache.put_facts("facts", {})), cache.problem("a")) == ([], None)


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["web", "db", None]), st.booleans(), st.booleans()), max_size=20
)


@given(STEPS)
def test_the_index_is_always_that_of_the_hosts(steps: list[tuple[str, str | None, bool, bool]]) -> None:
    cache = HostCache()
    asked = [Statement(parse("web:db")), Statement(parse("!web")), Statement(Has(("facts",), Present()))]
    for name, group, unschedulable, gone in steps:
        if gone:
            cache.remove(name)
        else:
            cache.put(host(name, groups=[group] if group else [], unschedulable=unschedulable))
        fresh = HostCache()
        for found in cache.hosts.values():
            fresh.put(found)
        for statement in asked:
            assert select(statement, cache.index) == select(statement, fresh.index)


def test_the_store_tells_of_hosts_whose_facts_changed_elsewhere() -> None:
    told: list[tuple[str, list[str]]] = []
    store = Store()
    store.fleet_changed = lambda namespace, names: told.append((namespace, list(names)))

    def document(name: str, version: int, **content: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "fleet", "resourceVersion": str(version)}, **content}

    store.put("hosts", document("a", 1, spec={"factsFrom": source()}))
    store.put("configmaps", document("facts", 2, data={"a": '{"x": 1}'}))
    store.put("inventories", document("inv", 3, spec={"selector": {}}))
    store.forget("configmaps", "fleet", "facts")
    store.put("hosts", document("a", 4, spec={"port": 0}))
    assert told == [("fleet", []), ("fleet", ["a"]), ("fleet", []), ("fleet", ["a"]), ("fleet", [])]
    assert store.fleet("fleet").hosts == {}


def test_an_inventory_that_cannot_be_read_says_why() -> None:
    store = Store()
    metadata = {"name": "inv", "namespace": "fleet", "resourceVersion": "1"}
    store.put("inventories", {"metadata": metadata, "spec": {"groups": 3}})
    assert "spec.groups" in str(store.fleet("fleet").inventories["inv"])


def nested(depth: int) -> dict[str, Any]:
    """An object with an object in it, and so on."""
    found: dict[str, Any] = {}
    for _ in range(depth - 1):
        found = {"a": found}
    return found


def document(plural: str, **spec: Any) -> tuple[str, dict[str, Any]]:
    return plural, {"metadata": {"name": "a", "namespace": "fleet", "resourceVersion": "1"}, "spec": spec}


@pytest.mark.parametrize(("depth", "kept"), [(64, True), (65, False), (990, False), (10_000, False)])
def test_what_is_nested_too_deep_is_not_taken_in_and_harms_nobody(depth: int, kept: bool) -> None:
    store = Store()
    store.put(*document("hosts", facts=nested(depth)))
    assert ("a" in store.hosts["fleet"].hosts) is kept
    store.put(*document("inventories", selector={}, variables={"a": nested(depth - 1)}))
    inventory = store.fleet("fleet").inventories["a"]
    said = "spec.variables: Value error, is nested more than 64 levels deep"
    assert isinstance(inventory, Inventory) if kept else inventory == said
    cache = HostCache()
    cache.put_facts("facts", {"a": '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)})
    cache.put(host("a", factsFrom=source()))
    assert (cache.problem("a") is None) is kept


def test_hosts_that_take_the_same_facts_have_the_same() -> None:
    cache = HostCache()
    cache.put(host("a", factsFrom=source()))
    cache.put(host("b", factsFrom=source()))
    cache.put(host("c", factsFrom=source(), facts={"y": 2}))
    for number in (1, 2):
        cache.put_facts("facts", {"a": f'{{"x": {number}}}'})
        one, other, more = (cache.hosts[name].spec.facts for name in "abc")
        assert (one, more) == ({"x": number}, {"x": number, "y": 2})
        assert one is other


async def test_judging_hosts_that_are_fine_leaves_time_for_others() -> None:
    store = Store()
    store.put(*document("hosts"))
    cache = store.hosts["fleet"]
    for number in range(50):
        cache.put(host(f"h{number}"))
    judge = HostJudge(cast(Cluster, None), store)  # none of them needs a write
    judge.notice("fleet", cache.hosts)
    working = asyncio.create_task(judge.run())
    turns = 0
    while judge._waiting:
        await asyncio.sleep(0)
        turns += 1
    working.cancel()
    assert turns > 25
