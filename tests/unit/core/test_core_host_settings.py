"""What a host has from inventory, ConfigMap and itself reaches scripts and playbooks; a cordoned one gets none."""

from typing import Any

import pytest

from rollcall.hostfacts import FactsMap, with_facts
from rollcall.names import Reason
from rollcall.plan.hosts import examine_host
from rollcall.plan.invocation import reconcile
from rollcall.plan.observed import Observed, Origin
from rollcall.plan.prepare import Prepared, prepare
from rollcall.plan.slices import Slices
from rollcall.resources.host import Host
from rollcall.resources.inventory import Inventory
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.work import Work
from unit.core.objects import KEY_SECRET, NOW, host, hosts, invocation, resolved, slice_, template

INVENTORY = Inventory.model_validate({
    "metadata": {"name": "shop", "namespace": "fleet"},
    "spec": {
        "selector": {},
        "variables": {"dns": ["192.0.2.1", "192.0.2.2"], "port": 80},
        "groups": {"prod": {"children": ["web"], "variables": {"port": 443, "tls": {"on": True}}}},
    },
})  # fmt: skip


def prepared(declared: JobTemplate, *known: Host, inventory: Inventory | str | None = INVENTORY) -> Prepared:
    """The work of these hosts, which an inventory has chosen."""
    named = {found.metadata.name: found for found in known}
    job = invocation(*named, status={"inventory": "shop"})
    inventories = {} if inventory is None else {"shop": inventory}
    secrets = {KEY_SECRET: {"ssh-privatekey": b"key"}}
    return prepare(job, slice_(0, *named), declared, named, secrets, 1_000, inventories=inventories)


def scripts(found: Prepared) -> tuple[str, ...]:
    assert found.failures == {}
    assert found.work is not None
    return Work.load(found.work).scripts


def test_a_script_reads_the_variables_of_inventory_group_and_host() -> None:
    text = "{{ host.variables.dns[1] }} {{ host.variables.port }} {{ host.variables.tls.on }} {{ host.variables.own }}"
    made = scripts(
        prepared(template(text), host("a", groups=["web"], variables={"own": "it's mine"}),
                 host("b", groups=["web"], variables={"own": 1, "port": 8080}))
    )  # fmt: skip
    assert made == ("192.0.2.2 443 true 'it'\"'\"'s mine'", "192.0.2.2 8080 true 1")


def test_an_input_reads_them_too() -> None:
    declared = template("{{ inputs.port }}", [{"name": "port", "type": "Integer", "valueFrom": {"variable": "port"}}])
    assert scripts(prepared(declared, host("a", groups=["web"]), host("b"))) == ("443", "80")


def test_a_playbook_has_all_groups_and_variables() -> None:
    declared = template(provider="Ansible", ssh=None, ansible={"playbook": "- hosts: all\n"})
    found = prepared(declared, host("a", groups=["web"]))
    assert found.work is not None
    playbook = Work.load(found.work).playbook
    assert playbook is not None
    assert playbook.hosts["a"].groups == ("prod", "web")
    assert playbook.hosts["a"].variables == {
        "dns": ["192.0.2.1", "192.0.2.2"], "port": 443, "tls": {"on": True},
    }  # fmt: skip


def test_an_inventory_that_is_gone_fails_its_hosts() -> None:
    failures = prepared(template("true"), host("a"), inventory=None).failures
    assert failures["a"].reason is Reason.INVENTORY_NOT_FOUND
    assert failures["a"].message.startswith("there is no Inventory shop in this namespace: ")


def test_a_host_that_takes_no_work_fails_and_says_what_to_do_and_the_others_run() -> None:
    found = prepared(template("true"), host("a", unschedulable=True), host("b"))
    assert found.work is not None
    assert found.failures.keys() == {"a"}
    assert found.failures["a"].reason is Reason.HOST_UNSCHEDULABLE
    assert "set it to false" in found.failures["a"].message


def test_too_many_variables_of_its_own_fail_a_host_and_those_of_the_inventory_are_not_counted() -> None:
    large = host("a", variables={"x": "y" * 33_000})
    assert examine_host(large) == "spec.variables has 33008 bytes as JSON, more than 32768"
    found = prepared(template("true"), large, host("b", variables={"x": "y" * 32_000}))
    assert found.failures.keys() == {"a"}
    assert found.failures["a"].message == "Host a: spec.variables has 33008 bytes as JSON, more than 32768"


def test_too_many_variables_of_the_inventory_fail_only_those_hosts_that_have_them() -> None:
    groups = {f"g{number}": {"variables": {f"x{number}": "y" * 30_000}} for number in range(3)}
    document = {"metadata": {"name": "shop", "namespace": "fleet"}, "spec": {"selector": {}, "groups": groups}}
    large = Inventory.model_validate(document)
    found = prepared(template("true"), host("a", groups=list(groups)), host("b", groups=["g1"]), inventory=large)
    assert found.work is not None
    assert found.failures.keys() == {"a"}
    assert found.failures["a"].message.startswith("Host a: the Inventory shop gives it variables of 90025 bytes")


def test_what_looks_like_a_template_in_a_variable_is_text() -> None:
    text = "{{ inputs.x }}$(reboot)'; rm -rf /"
    made = scripts(prepared(template("echo {{ host.variables.x }}"), host("a", variables={"x": text})))
    assert made == ("echo '{{ inputs.x }}$(reboot)'\"'\"'; rm -rf /'",)


def targeted(**spec: Any) -> JobInvocation:
    return invocation(targeting={"inventoryRef": {"name": "shop"}}, **spec)


def test_the_inventory_is_written_down_with_the_choice() -> None:
    secrets = {KEY_SECRET: frozenset({"ssh-privatekey"})}
    observed = Observed(
        targeted(), hosts=hosts("a"), template=template(), secrets=secrets, inventories={"shop": INVENTORY}
    )
    status = reconcile(observed, NOW).status
    assert status is not None
    assert status.inventory == "shop"


def test_a_rerun_has_the_inventory_of_the_earlier_run() -> None:
    before = resolved(slice_(0, "a"), started=1)
    before = before.model_copy(update={"status": before.status.model_copy(update={"inventory": "shop"})})
    again = invocation(name="again", targeting=None, rerunOf={"name": "job"})
    observed = Observed(
        again, hosts=hosts("a"), template=template(), secrets={KEY_SECRET: frozenset({"ssh-privatekey"})},
        inventories={"shop": INVENTORY}, origin=Origin(before, Slices([slice_(0, "a")])),
    )  # fmt: skip
    status = reconcile(observed, NOW).status
    assert status is not None
    assert status.inventory == "shop"


FROM = {"configMapKeyRef": {"name": "facts", "key": "a"}}


def test_own_facts_are_laid_over_those_of_the_config_map() -> None:
    declared = host("a", factsFrom=FROM, facts={"os": {"family": "Suse"}})
    found, problem = with_facts(declared, FactsMap({"a": '{"os": {"name": "Debian"}, "cpus": 4}'}))
    assert (found.spec.facts, problem) == ({"os": {"family": "Suse"}, "cpus": 4}, None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "there is no ConfigMap facts with the label rollcall.dev/facts"),
        ({"b": "{}"}, "the ConfigMap facts has no key a"),
        ({"a": "{"}, "the key a of the ConfigMap facts is not JSON: "),
        ({"a": '{"x": NaN}'}, "the key a of the ConfigMap facts is not JSON: NaN is no number in JSON"),
        ({"a": "[" * 20_000}, "the key a of the ConfigMap facts is not JSON: "),
        ({"a": '{"x": 1e999}'}, "the key a of the ConfigMap facts is not JSON: Out of range float values"),
        ({"a": '{"x": "\\ud800"}'}, "the key a of the ConfigMap facts is not JSON: 'utf-8' codec can't encode"),
        ({"a": '{"x":' * 65 + "0" + "}" * 65}, "the key a of the ConfigMap facts is nested more than 64 levels deep"),
        ({"a": "[]"}, "the key a of the ConfigMap facts is no JSON object"),
        ({"a": "{}" + " " * 70_000}, "the key a of the ConfigMap facts has 70002 bytes, more than facts can have"),
    ],
)
def test_facts_that_cannot_be_read_leave_the_host_its_own(data: dict[str, str] | None, said: str) -> None:
    declared = host("a", factsFrom=FROM, facts={"x": 1})
    found, problem = with_facts(declared, None if data is None else FactsMap(data))
    assert found == declared
    assert problem is not None
    assert problem.startswith(f"spec.factsFrom: {said}")


def test_facts_are_measured_together() -> None:
    declared = host("a", factsFrom=FROM, facts={"x": "y" * 20_000})
    found, problem = with_facts(declared, FactsMap({"a": '{"z": "%s"}' % ("y" * 20_000)}))
    assert problem is None
    assert examine_host(found) == "spec.factsFrom and spec.facts have 40015 bytes as JSON, more than 32768"
