"""Targeting selects hosts as the API server's own label selectors do, in a stated order."""

from typing import Any

import pytest

from rollcall.resources.meta import LabelSelector
from rollcall.resources.targeting import Targeting
from rollcall.targeting import Fleet, UnknownHostsError, matches, resolve
from unit.core.objects import NOW, host, hosts

LABELS = {"env": "prod", "tier": "web", "blank": ""}


def requirement(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, True),
        ({"matchLabels": {"env": "prod"}}, True),
        ({"matchLabels": {"env": "test"}}, False),
        ({"matchLabels": {"env": "prod", "tier": "db"}}, False),
        ({"matchLabels": {"absent": ""}}, False),
        ({"matchLabels": {"blank": ""}}, True),
        (requirement("In", "env", "test", "prod"), True),
        (requirement("In", "env", "test"), False),
        (requirement("In", "absent", "x"), False),
        (requirement("In", "blank", ""), True),
        (requirement("NotIn", "env", "test"), True),
        (requirement("NotIn", "env", "prod"), False),
        (requirement("NotIn", "absent", "x"), True),
        (requirement("Exists", "env"), True),
        (requirement("Exists", "blank"), True),
        (requirement("Exists", "absent"), False),
        (requirement("DoesNotExist", "env"), False),
        (requirement("DoesNotExist", "absent"), True),
        ({"matchLabels": {"env": "prod"}} | requirement("Exists", "tier"), True),
        ({"matchLabels": {"env": "prod"}} | requirement("Exists", "absent"), False),
    ],
)
def test_a_selector_selects_as_in_kubernetes(selector: dict[str, Any], selected: bool) -> None:
    assert matches(LabelSelector.model_validate(selector), LABELS) is selected


def names(targeting: dict[str, Any], *known: str) -> list[str]:
    return list(resolve(Targeting.model_validate(targeting), Fleet(hosts(*known)), NOW))


def test_named_hosts_come_in_the_order_given_and_once() -> None:
    assert names({"hosts": ["c", "a", "b", "a"]}, "a", "b", "c", "d") == ["c", "a", "b"]


def test_selected_hosts_come_in_the_order_of_their_names() -> None:
    known = {name: host(name, {"web": "yes"} if name != "b" else {}) for name in ("c", "a", "b", "a10", "a9")}
    targeting = Targeting.model_validate({"selector": {"matchLabels": {"web": "yes"}}})
    assert list(resolve(targeting, Fleet(known), NOW)) == ["a", "a10", "a9", "c"]


def test_an_empty_selector_selects_all_hosts_and_none_when_there_are_none() -> None:
    assert names({"selector": {}}, "b", "a") == ["a", "b"]
    assert names({"selector": {}}) == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["x"], "no Host named x in this namespace"),
        (["a", "y", "x"], "no Host named y, x in this namespace"),
        (list("12345"), "no Host named 1, 2, 3, 4, 5 in this namespace"),
        (list("1234567"), "no Host named 1, 2, 3, 4, 5 and 2 more in this namespace"),
    ],
)
def test_unknown_hosts_are_named(wanted: list[str], message: str) -> None:
    with pytest.raises(UnknownHostsError) as refused:
        names({"hosts": wanted}, "a")
    assert str(refused.value) == message
