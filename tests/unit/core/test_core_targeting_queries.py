"""Queries, inventories and their limits select hosts, and say what is wrong with them."""

import re
from typing import Any

import pytest

from rollcall.names import Reason
from rollcall.query.hostrows import HostRow
from rollcall.query.index import Index
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall.resources.targeting import Targeting
from rollcall.targeting import Fleet, TargetingError, members, resolve
from unit.core.objects import NOW, host

DEBIAN = {"os": {"family": "Debian"}}
TREE = {"prod": {"children": ["web", "db"]}, "site": {"children": ["prod"]}, "empty": {}}


def inventory(**spec: Any) -> Inventory:
    return Inventory.model_validate({"metadata": {"name": "inv", "namespace": "fleet"}, "spec": spec})


def fleet(inventories: dict[str, Inventory | str] | None = None, *more: Host) -> Fleet:
    """web1 to web3 and db1, of which web3 takes no work."""
    made = [
        host("web1", {"tier": "front"}, groups=["web"], variables={"a": 1}, facts=DEBIAN | {"cpus": 8}),
        host("web2", {"tier": "front"}, groups=["web"], facts={"os": {"family": "RedHat"}, "cpus": 4}, location="Ulm"),
        host("web3", {"tier": "front"}, groups=["web"], facts=DEBIAN, unschedulable=True),
        host("db1", {"environment": "test"}, groups=["db"], facts=DEBIAN | {"cpus": 16}, organization="Acme"),
        *more,
    ]  # fmt: skip
    hosts = {found.metadata.name: found for found in made}
    noted = {"example.com/rack": "r7", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    hosts["web2"] = made[1].model_copy(update={"metadata": made[1].metadata.model_copy(update={"annotations": noted})})
    rows = {name: HostRow(found) for name, found in hosts.items() if not found.spec.unschedulable}
    return Fleet(hosts, Index(rows), inventories or {})


def chosen(targeting: dict[str, Any], known: Fleet | None = None) -> list[str]:
    return list(resolve(Targeting.model_validate(targeting), known or fleet(), NOW))


def query(language: str, text: str) -> dict[str, Any]:
    return {"query": {"language": language, "text": text}}


def refusal(targeting: dict[str, Any], known: Fleet | None = None) -> TargetingError:
    with pytest.raises(TargetingError) as raised:
        chosen(targeting, known)
    return raised.value


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("Foreman", "facts.os::family = Debian", ["db1", "web1"]),
        ("Foreman", "hostgroup = web", ["web1", "web2"]),
        ("Foreman", "location = Ulm or organization = Acme", ["db1", "web2"]),
        ("Foreman", "params.a = 1", ["web1"]),
        ("Foreman", "not name ~ web", ["db1"]),
        ("Foreman", "managed", ["db1", "web1", "web2"]),
        ("Foreman", "not managed", []),
        ("Foreman", "build", []),
        ("Foreman", "managed = true and build = false and name ~ db", ["db1"]),
        ("Ansible", "web:!web1", ["web2"]),
        ("Ansible", "all", ["db1", "web1", "web2"]),
        ("Ansible", "web[0]", ["web1"]),
        ("PQL", 'inventory { facts.os.family = "Debian" and facts.cpus > 8 }', ["db1"]),
        ("PQL", "inventory { order by facts.cpus desc limit 2 }", ["db1", "web1"]),
        ("PQL", 'inventory { trusted.certname = "db1" }', ["db1"]),
        ("PQL", "nodes { deactivated is null }", ["db1", "web1", "web2"]),
        ("PQL", 'inventory { trusted.extensions.tier = "front" }', ["web1", "web2"]),
        ("PQL", 'inventory { trusted.extensions."example.com/rack" ~ "^r" }', ["web2"]),
        ("PQL", "inventory { trusted.extensions.tier is null }", ["db1"]),
        ("PQL", 'inventory { environment = "test" }', ["db1"]),
        ("PQL", 'nodes { facts_environment != "test" }', ["web1", "web2"]),
    ],
)
def test_a_query_selects_hosts_that_take_work(language: str, text: str, expected: list[str]) -> None:
    assert chosen(query(language, text)) == expected


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("Foreman", "colour = red", r"^the Foreman query cannot be read: .*'colour'.* at character 1"),
        ("Foreman", "name = web1 and job_invocation.id = 3", "job_invocation.id"),
        ("Foreman", "id > x", "the Foreman query cannot be read: "),
        ("Ansible", "web:[a", r"a bracket is not closed: '\[' at character 5: expected pairs of \[ and \]$"),
        ("PQL", "inventory { certname = }", r"^the PQL query cannot be read: .* at character 24: expected "),
        ("PQL", "reports {}", "the PQL query cannot be read: "),
        ("PQL", f'inventory {{ certname ~ "web.*{"b" * 8_000}" }}', "pattern too large"),
        ("Ansible", f"~web.*{'b' * 8_000}", "pattern too large"),
    ],
)
def test_an_unreadable_query_says_where_and_what_was_expected(language: str, text: str, said: str) -> None:
    error = refusal(query(language, text))
    assert (error.reason, error.may_heal) == (Reason.INVALID_QUERY, False)
    assert re.search(said, str(error))


def test_a_place_that_is_not_there_may_be_filled_later() -> None:
    error = refusal(query("Ansible", "web[7]"))
    assert (error.reason, error.may_heal) == (Reason.INVALID_QUERY, True)
    assert "there are 2, and none of them is at place 7" in str(error)


@pytest.mark.parametrize(
    "text",
    ["name = $(reboot)", 'name = "\'; rm -rf /"', 'name = "{{ inputs.command }}"'],
)
def test_a_query_is_only_ever_a_query(text: str) -> None:
    assert chosen(query("Foreman", text)) == []


def test_hosts_without_work_are_left_out_of_what_selects_and_kept_where_they_are_named() -> None:
    known = fleet({"all": inventory(hosts=["web3", "web1"]), "front": inventory(selector={})})
    assert chosen({"selector": {"matchLabels": {"tier": "front"}}}, known) == ["web1", "web2"]
    assert chosen({"inventoryRef": {"name": "all"}}, known) == ["web1"]
    assert chosen({"inventoryRef": {"name": "front"}}, known) == ["db1", "web1", "web2"]
    assert chosen({"hosts": ["web3", "web1"]}, known) == ["web3", "web1"]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, ["web2", "web1", "db1"]),
        ("prod", ["web2", "web1", "db1"]),
        ("site:!db", ["web2", "web1"]),
        ("prod:&web:!web1", ["web2"]),
        ("empty", []),
        ("other", []),
        ("~web[0-9]", ["web2", "web1"]),
        ("web[0]", ["web1"]),
    ],
)
def test_a_limit_knows_the_groups_of_the_inventory(limit: str | None, expected: list[str]) -> None:
    known = fleet({"inv": inventory(hosts=["web2", "web1", "db1"], groups=TREE)}, host("other", groups=["prod"]))
    assert chosen({"inventoryRef": {"name": "inv"} | ({"limit": limit} if limit else {})}, known) == expected


def test_a_query_of_an_inventory_knows_its_groups_and_one_outside_does_not() -> None:
    asked = query("Foreman", "hostgroup = site")
    known = fleet({"inv": inventory(**asked, groups=TREE)})
    assert chosen({"inventoryRef": {"name": "inv"}}, known) == ["db1", "web1", "web2"]
    assert chosen(asked, known) == []


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"hosts": ["web1", "gone", "lost"]}, Reason.HOST_NOT_FOUND, "no Host named gone, lost in this namespace"),
        (query("PQL", "nodes {"), Reason.INVALID_QUERY, "the PQL query cannot be read: "),
        (
            {"selector": {}, "groups": {"a": {"children": ["b"]}, "b": {"children": ["a"]}}},
            Reason.INVALID_SPEC,
            "spec.groups leads in a circle: a -> b -> a; take one of them out",
        ),
        (
            {"selector": {}, "groups": {"web": {"variables": {"big": "x" * 33_000}}}},
            Reason.INVALID_SPEC,
            "spec.groups.web.variables has 33010 bytes as JSON, more than 32768",
        ),
    ],
)
def test_an_inventory_that_cannot_be_used_says_so_to_itself_and_to_the_job(
    spec: dict[str, Any], reason: Reason, said: str
) -> None:
    with pytest.raises(TargetingError) as raised:
        members(inventory(**spec), fleet(), NOW)
    assert (raised.value.reason, str(raised.value)[: len(said)]) == (reason, said)
    error = refusal({"inventoryRef": {"name": "inv"}}, fleet({"inv": inventory(**spec)}))
    assert (error.reason, str(error)) == (reason, f"the Inventory inv: {raised.value}")
    assert error.may_heal, "an Inventory can be edited"


def test_an_inventory_that_is_not_there_or_cannot_be_read_may_turn_up_or_change() -> None:
    error = refusal({"inventoryRef": {"name": "inv"}})
    assert (error.reason, error.may_heal) == (Reason.INVENTORY_NOT_FOUND, True)
    broken = refusal({"inventoryRef": {"name": "inv"}}, fleet({"inv": "spec: bad"}))
    assert (broken.reason, broken.may_heal) == (Reason.INVALID_SPEC, True)


def test_a_limit_that_cannot_be_read_says_where() -> None:
    error = refusal({"inventoryRef": {"name": "inv", "limit": "web["}}, fleet({"inv": inventory(selector={})}))
    assert (error.reason, error.may_heal) == (Reason.INVALID_QUERY, False)
    assert str(error).startswith("the limit cannot be read: a bracket is not closed: '[' at character 4")


BLANKS = [" ", "\u00a0", "\u3000 ", ",", ":", ", ,", "!", "&,", " : !"]


@pytest.mark.parametrize("text", BLANKS)
def test_what_names_nothing_does_not_select_all(text: str) -> None:
    for language in ("Ansible", "Foreman", "PQL"):
        error = refusal(query(language, text))
        assert (error.reason, error.may_heal) == (Reason.INVALID_QUERY, False)
        assert str(error) == f"the {language} query cannot be read: it is blank at character 1: expected what to select"
    limited = {"inventoryRef": {"name": "inv", "limit": text}}
    assert str(refusal(limited, fleet({"inv": inventory(selector={})}))).startswith("the limit cannot be read: it is")


@pytest.mark.parametrize("text", ["and", "()", "not", "() or name = web1", "not ()"])
def test_a_search_without_a_condition_does_not_select_all(text: str) -> None:
    assert "there is no condition, or none in a pair of parentheses" in str(refusal(query("Foreman", text)))


MANY = [f"n{number}" for number in range(2_000)]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("Ansible", ",".join([*MANY, "web1"])),
        ("Ansible", f"{':'.join(MANY)}:web"),
        ("Ansible", f"web1,!{',!'.join(MANY)}"),
        ("Foreman", f"name ^ ({', '.join(MANY[:1500])}, web1)"),
        ("Foreman", " or ".join(f"name = {name}" for name in ["web1", *MANY[:900]])),
        ("Foreman", " and ".join(f"facts.os::family != {name}" for name in MANY[:400])),
        ("PQL", "inventory { certname in [" + ", ".join(f'"{name}"' for name in [*MANY[:1500], "web1"]) + "] }"),
        ("PQL", 'facts { name = "cpus" and value = 8 }'),
    ],
)
def test_a_query_may_name_thousands(language: str, text: str) -> None:
    assert "web1" in chosen(query(language, text))


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("Ansible", ",".join(f"*{k}x" for k in range(65)), "it has 65 tests other than equality, and may have 64"),
        ("Ansible", ",".join(f"~.*{k}x" for k in range(65)), "65 tests other than equality"),
        ("Ansible", ",".join(f"all[{k}]" for k in range(65)), "65 tests other than equality"),
        ("Foreman", " or ".join(f"name ~ {k}x" for k in range(65)), "65 tests other than equality"),
        (
            "Foreman",
            " or ".join(f"facts.p{k} = 1" for k in range(33)),
            "33 different fields and facts, and may have 32",
        ),
        (
            "PQL",
            "facts { " + " or ".join(f'value = "{k}"' for k in range(80)) + " }",
            "81 tests of the entries or items of one fact",
        ),
    ],
)
def test_a_query_that_would_take_too_long_says_what_it_has_too_much_of(language: str, text: str, said: str) -> None:
    error = refusal(query(language, text))
    assert (error.reason, error.may_heal) == (Reason.INVALID_QUERY, False)
    assert str(error).startswith(f"the {language} query asks too much: ")
    assert said in str(error)


def test_a_query_about_any_fact_is_measured_by_the_facts_that_there_are() -> None:
    asked = query("PQL", 'facts { value = "x" }')
    for number in (128, 129):
        known = Fleet({}, Index({"a": {"name": "a", "facts": {f"f{k}": "x" for k in range(number)}}}))
        if number == 128:
            assert chosen(asked, known) == ["a"]
        else:
            assert "it has 129 facts at once, and may have 128" in str(refusal(asked, known))


def test_messages_are_no_longer_than_a_condition_can_hold() -> None:
    assert len(str(refusal(query("PQL", 'inventory { name ~ "' + "(" * 16_000 + '" }')))) <= 32_768
    assert len(str(TargetingError(Reason.INVALID_QUERY, "x" * 40_000))) == 32_768
