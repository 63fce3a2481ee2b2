"""An inventory's groups nest, and lay their variables over each other as Ansible does."""

import time
from itertools import pairwise
from typing import Any

import pytest
from ansible.inventory.data import InventoryData
from ansible.inventory.helpers import get_group_vars
from hypothesis import given
from hypothesis import strategies as st

from rollcall.inventory import Groups, InventoryError, InventoryView
from rollcall.names import ConditionType
from rollcall.plan.inventories import status_of
from rollcall.resources.inventory import Inventory
from rollcall.resources.meta import ConditionStatus
from rollcall.targeting import Fleet
from unit.core.objects import NOW, after, host, stored


def inventory(**spec: Any) -> Inventory:
    return Inventory.model_validate(
        {"metadata": {"name": "inv", "namespace": "fleet", "generation": 3}, "spec": {"selector": {}} | spec}
    )


def group(*children: str, **variables: Any) -> dict[str, Any]:
    return {"children": list(children), "variables": variables}


def effective(groups: dict[str, Any], own: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """The variables of a host in the groups `web` and `eu`."""
    member = host("a", groups=["web", "eu"], variables=own or {})
    return InventoryView(inventory(groups=groups, **spec)).variables(member)


def test_the_host_comes_before_its_groups_and_these_before_the_inventory() -> None:
    groups = {"web": group(port=80, tier="web"), "prod": group("web", port=8000, env="prod", tier="prod")}
    found = effective(groups, {"port": 8080}, variables={"port": 1, "env": "none", "zone": "all"})
    assert found == {"port": 8080, "tier": "web", "env": "prod", "zone": "all"}


def test_the_deeper_group_comes_first_whatever_it_is_called() -> None:
    groups = {"aaa": group("web", x="deep parent"), "web": group(x="child"), "zzz": group("aaa", x="top")}
    assert effective(groups)["x"] == "child"


def test_of_groups_that_lie_equally_deep_the_later_name_counts() -> None:
    assert effective({"web": group(x="web"), "eu": group(x="eu")})["x"] == "web"


def test_the_longest_way_says_how_deep_a_group_lies() -> None:
    """`eu` is a child of `top`, and of `middle`, which is one itself: so it lies below `web`."""
    groups = {"top": group("middle", "eu", "web"), "middle": group("eu"), "eu": group(x="eu"), "web": group(x="web")}
    assert effective(groups)["x"] == "eu"


def test_values_are_replaced_and_not_merged() -> None:
    assert effective({"web": group(x={"a": 1})}, {"x": {"b": [1, None]}})["x"] == {"b": [1, None]}


def test_all_and_ungrouped_mean_what_they_mean_in_ansible() -> None:
    groups = {"all": group(x="all", y="all"), "ungrouped": group(x="ungrouped")}
    assert effective(groups, variables={"x": "inventory"}) == {"x": "all", "y": "all"}
    alone = InventoryView(inventory(groups=groups)).variables(host("b"))
    assert alone == {"x": "ungrouped", "y": "all"}


def test_a_host_has_the_groups_above_its_own() -> None:
    view = InventoryView(inventory(groups={"site": group("prod"), "prod": group("web", "db")}))
    assert view.of(host("a", groups=["web"])).spec.groups == ("site", "prod", "web")
    assert view.of(host("b")).spec.groups == ()


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"a": group("a")}, "a -> a"),
        ({"a": group("b"), "b": group("c"), "c": group("a")}, "a -> b -> c -> a"),
        (
            {f"g{number:03}": group(f"g{(number + 1) % 150:03}") for number in range(150)},
            "g000 -> g001 -> g002 -> g003 -> g004 -> 145 more -> g000",
        ),
        ({"top": group("x"), "x": group("y"), "y": group("x"), "z": group("y", "below")}, "x -> y -> x"),
    ],
)
def test_groups_that_contain_themselves_are_refused(groups: dict[str, Any], said: str) -> None:
    with pytest.raises(InventoryError) as raised:
        Groups(inventory(groups=groups).spec.groups)
    assert str(raised.value) == f"spec.groups leads in a circle: {said}; take one of them out"


def test_a_name_that_no_group_can_have_is_refused() -> None:
    with pytest.raises(InventoryError, match=r"^spec.groups: 'no group' is no name of a group; it must match \^"):
        Groups(inventory(groups={"web": group(), "no group": group()}).spec.groups)


def test_a_thousand_groups_below_each_other_are_no_trouble() -> None:
    groups = {f"g{number}": group(f"g{number + 1}", x=number) for number in range(999)}
    began = time.perf_counter()
    view = InventoryView(inventory(groups=groups))
    assert view.variables(host("a", groups=["g999"]))["x"] == 998
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("value", ["high", 1.5, True, None, "1" * 20])
def test_a_priority_that_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(InventoryError, match=r"^spec.groups.web.variables.ansible_group_priority is no whole number"):
        Groups(inventory(groups={"web": group(ansible_group_priority=value)}).spec.groups)


def test_all_is_below_no_group() -> None:
    with pytest.raises(InventoryError, match=r"^spec.groups.web.children: all is above all groups, and below none"):
        Groups(inventory(groups={"web": group("all")}).spec.groups)


def test_what_an_inventory_gives_to_one_host_has_a_bound() -> None:
    groups = {f"g{number}": group(**{f"x{number}": "y" * 30_000}) for number in range(3)}
    view = InventoryView(inventory(groups=groups))
    assert view.problem(host("a", groups=["g0", "g1"])) is None
    said = view.problem(host("a", groups=list(groups))) or ""
    assert said.startswith("the Inventory inv gives it variables of 90025 bytes as JSON, more than 65536; take some")


ANSIBLE = st.permutations(["all", "c", "a", "d", "b", "ungrouped"])
"""Names of groups, in an order in which each may have only those after it below it."""


@given(
    ANSIBLE,
    st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))),
    st.dictionaries(st.sampled_from("abcd"), st.integers(-2, 12) | st.just("7"), max_size=3),
    st.sets(st.sampled_from(["all", "a", "b", "c", "d", "ungrouped"])),
)
def test_groups_come_in_the_order_in_which_ansible_has_them(
    order: list[str], edges: set[tuple[int, int]], priorities: dict[str, Any], direct: set[str]
) -> None:
    order.sort(key=lambda name: name != "all")
    below = {order[i]: [order[j] for k, j in edges if k == i < j and order[j] != "ungrouped"] for i in range(6)}
    below["ungrouped"] = []
    theirs, groups = InventoryData(), {}
    for name in order:
        theirs.add_group(name)
    for name in order:
        priority = {"ansible_group_priority": priorities[name]} if name in priorities else {}
        groups[name] = group(*below[name], x=name, **{f"in_{name}": True}, **priority)
        for key, value in groups[name]["variables"].items():
            theirs.set_variable(name, key, value)
        for child in below[name]:
            theirs.add_child(name, child)
    theirs.add_host("h")
    for name in sorted(direct):
        theirs.add_child(name, "h")
    theirs.reconcile_inventory()
    expected = get_group_vars(theirs.hosts["h"].get_groups())
    assert InventoryView(inventory(groups=groups)).variables(host("h", groups=sorted(direct))) == expected


NAMES = st.sampled_from([f"g{number}" for number in range(8)])


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=4, unique=True), max_size=8))
def test_any_groups_are_a_net_or_refused_with_a_circle_that_is_there(children: dict[str, list[str]]) -> None:
    groups = {name: group(*below) for name, below in children.items()}
    try:
        found = Groups(inventory(groups=groups).spec.groups)
    except InventoryError as error:
        way = str(error).split(": ")[1].split(";")[0].split(" -> ")
        assert way[0] == way[-1]
        assert all(below in children[above] for above, below in pairwise(way))
        return
    for name in found.names:
        order = found.of(host("a", groups=[name]))
        assert order[-1] == name
        for above, below in children.items():
            assert name not in below or above in order


def test_the_status_counts_and_says_what_is_wrong_once() -> None:
    known = Fleet({"a": host("a"), "b": host("b", unschedulable=True)})
    status = status_of(inventory(), known, NOW)
    (condition,) = status.conditions
    assert (status.hosts, status.observed_generation) == (1, 3)
    assert (condition.type, condition.status) == (ConditionType.VALID, ConditionStatus.TRUE)
    written = stored(inventory().model_copy(update={"status": status}))
    assert status_of(written, known, after(60)) == written.status
    broken = written.model_copy(update={"spec": inventory(hosts=["x"], selector=None).spec})
    said = status_of(broken, known, after(60))
    assert said.hosts is None
    assert (said.conditions[0].status, said.conditions[0].reason) == (ConditionStatus.FALSE, "HostNotFound")
