"""Each way to say which hosts, on a real cluster: what is chosen, and when; what is said when it cannot be."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.jobs import API_VERSION, end_of, events, invocation, output, results, run, slices, template
from support.kube import Kube, KubeError, Object, condition
from support.operator import Operator
from support.sshhosts import SshHost

GROUPS = {"host-0": ["web"], "host-1": ["web"], "host-2": ["web"], "host-3": ["db"]}
TREE = {
    "prod": {"children": ["web", "db"], "variables": {"env": "prod", "port": 443}},
    "web": {"variables": {"port": 8443}},
}


@pytest.fixture(scope="module", autouse=True)
def fleet(kube: Kube, namespace: str, operator: Operator) -> None:
    """Four of the ten hosts are in groups and have facts; an inventory has a tree over them."""
    for number, (name, groups) in enumerate(GROUPS.items()):
        facts = {"os": {"family": ("Debian", "RedHat")[number % 2]}, "cpus": number + 1}
        kube.patch("hosts", namespace, name, {
            "metadata": {"labels": {"group": groups[0]}}, "spec": {"groups": groups, "facts": facts},
        })  # fmt: skip
    variables = {"env": "none", "dns": ["192.0.2.1", "192.0.2.2"]}
    query = {"language": "Ansible", "text": "prod"}
    kube.create(inventory(namespace, "shop", query=query, variables=variables, groups=TREE))


def inventory(namespace: str, name: str, **spec: Any) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "Inventory", "metadata": metadata, "spec": spec}


def query(language: str, text: str) -> Object:
    return {"query": {"language": language, "text": text}}


def job(namespace: str, name: str, targeting: Object, command: str = "true", **spec: Any) -> Object:
    return invocation(namespace, name, command, None, targeting=targeting, **spec)


def waiting(kube: Kube, namespace: str, name: str, reason: str, type_: str = "Waiting") -> Object:
    """The invocation, once it waits for that."""

    def found() -> Object | None:
        current = kube.get("jobinvocations", namespace, name)
        said = condition(current, type_) or {}
        return current if (said.get("status"), said.get("reason")) == ("True", reason) else None

    return kube.wait(f"{name} to wait for {reason}", found)


def wait_for_choice(kube: Kube, namespace: str, name: str) -> None:
    """Until the hosts are chosen for good; before that, slices that exist may still be discarded."""
    kube.wait("choice", lambda: condition(kube.get("jobinvocations", namespace, name), "Resolved"))


def judged(kube: Kube, plural: str, namespace: str, name: str, **expected: Any) -> Object:
    """The status, once its condition Valid is as expected."""

    def found() -> Object | None:
        current = kube.get(plural, namespace, name)
        valid = condition(current, "Valid") or {}
        current_enough = valid.get("observedGeneration") == current["metadata"]["generation"]
        return current if current_enough and all(valid.get(key) == value for key, value in expected.items()) else None

    return kube.wait(f"{plural}/{name} to be {expected}", found)["status"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "targeting", "expected"),
    [
        ("by-name", {"hosts": ["host-5", "host-2"]}, ["host-5", "host-2"]),
        ("by-label", {"selector": {"matchLabels": {"group": "web"}}}, ["host-0", "host-1", "host-2"]),
        ("by-foreman", query("Foreman", "hostgroup = web and facts.os::family = Debian"), ["host-0", "host-2"]),
        ("by-ansible", query("Ansible", "web:db:!host-1"), ["host-0", "host-2", "host-3"]),
        (
            "by-pql",
            query("PQL", "inventory { facts.cpus >= 2 order by facts.cpus desc limit 2 }"),
            ["host-3", "host-2"],
        ),
        ("by-inventory", {"inventoryRef": {"name": "shop"}}, ["host-0", "host-1", "host-2", "host-3"]),
        ("by-limit", {"inventoryRef": {"name": "shop", "limit": "prod:!web"}}, ["host-3"]),
    ],
)
def test_each_form_selects_its_hosts(
    kube: Kube, namespace: str, name: str, targeting: Object, expected: list[str]
) -> None:
    ended = run(kube, job(namespace, name, targeting))
    assert condition(ended, "Complete"), ended["status"]
    assert [host for slice_ in slices(kube, namespace, name) for host in slice_["spec"]["hosts"]] == expected


def test_variables_of_inventory_groups_and_host_reach_the_script(kube: Kube, namespace: str) -> None:
    kube.patch("hosts", namespace, "host-0", {"spec": {"variables": {"port": 80, "said": "it's $(id) {{ x }}"}}})
    script = (
        "echo {{ host.variables.env }} {{ host.variables.port }} {{ host.variables.dns[1] }}"
        " {{ host.variables.said | default('-') }}\n"
    )
    kube.create(template(namespace, "variables", inputs=[], ssh={"script": script}))
    manifest = job(namespace, "variables", {"inventoryRef": {"name": "shop"}})
    manifest["spec"] |= {"templateRef": {"name": "variables"}, "inputs": {}}
    assert condition(run(kube, manifest), "Complete")
    again = invocation(namespace, "variables-again", None, None, rerunOf={"name": "variables"})
    del again["spec"]["targeting"]
    again["spec"]["templateRef"] = {"name": "variables"}
    assert condition(run(kube, again), "Complete")
    for name in ("variables", "variables-again"):
        said = {host: output(found).decode() for host, found in events(kube, namespace, name).items()}
        assert said == {
            "host-0": "prod 80 192.0.2.2 it's $(id) {{ x }}\n",
            "host-1": "prod 8443 192.0.2.2 -\n",
            "host-2": "prod 8443 192.0.2.2 -\n",
            "host-3": "prod 443 192.0.2.2 -\n",
        }, name
    kube.patch("hosts", namespace, "host-0", {"spec": {"variables": None}})


def test_a_dynamic_invocation_resolves_at_its_start_and_not_before(
    kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]
) -> None:
    """A host that is added in between is in; the operator dies in between, too."""
    targeting = {"inventoryRef": {"name": "late"}, "resolve": "AtStart"}
    kube.create(inventory(namespace, "late", **query("Foreman", "hostgroup = late")))
    kube.patch("hosts", namespace, "host-4", {"spec": {"groups": ["late"]}})
    kube.create(job(namespace, "at-start", targeting, suspend=True))
    kube.create(job(namespace, "at-creation", targeting | {"resolve": "AtCreation"}, suspend=True))
    held = waiting(kube, namespace, "at-start", "Suspended", "Suspended")
    assert ("slices" in held["status"], condition(held, "Resolved")) == (False, None)
    assert held["status"]["state"] == "Suspended"
    wait_for_choice(kube, namespace, "at-creation")
    operator.kill()
    added = hosts[5].manifest(namespace, "ops-key", groups=["late"])
    kube.create(added | {"metadata": {"name": "added", "namespace": namespace}})
    operator.start()
    judged(kube, "inventories", namespace, "late", status="True")
    kube.wait("count of two", lambda: kube.get("inventories", namespace, "late")["status"]["hosts"] == 2)
    assert slices(kube, namespace, "at-start") == []
    for name in ("at-start", "at-creation"):
        kube.patch("jobinvocations", namespace, name, {"spec": {"suspend": False}})
        assert condition(end_of(kube, namespace, name), "Complete")
    assert set(results(kube, namespace, "at-start")) == {"host-4", "added"}
    assert set(results(kube, namespace, "at-creation")) == {"host-4"}
    kube.delete("hosts", namespace, "added")


def test_a_time_to_start_is_the_time_to_resolve(kube: Kube, namespace: str) -> None:
    due = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    targeting = query("Ansible", "timed") | {"resolve": "AtStart", "whenEmpty": "Fail"}
    kube.create(job(namespace, "timed", targeting, startAt=due))
    waiting(kube, namespace, "timed", "NotYetDue")
    kube.patch("hosts", namespace, "host-6", {"spec": {"groups": ["timed"]}})
    assert condition(end_of(kube, namespace, "timed"), "Complete")
    assert set(results(kube, namespace, "timed")) == {"host-6"}


def test_hosts_are_chosen_when_the_turn_has_come(kube: Kube, namespace: str) -> None:
    kube.create(template(namespace, "one-at-a-time", concurrencyPolicy="Forbid"))
    first = invocation(namespace, "turn-1", "sleep 4", ["host-7"], templateRef={"name": "one-at-a-time"})
    kube.create(first)
    kube.wait("first start", lambda: kube.get("jobinvocations", namespace, "turn-1").get("status", {}).get("startTime"))
    targeting = query("Ansible", "turn") | {"resolve": "AtStart"}
    kube.create(job(namespace, "turn-2", targeting, templateRef={"name": "one-at-a-time"}))
    held = waiting(kube, namespace, "turn-2", "TemplateBusy")
    assert "slices" not in held["status"]
    kube.patch("hosts", namespace, "host-8", {"spec": {"groups": ["turn"]}})
    assert condition(end_of(kube, namespace, "turn-2"), "Complete")
    assert set(results(kube, namespace, "turn-2")) == {"host-8"}


def test_nobody_comes_between_the_choice_and_the_start(kube: Kube, namespace: str, operator: Operator) -> None:
    """The host is busy when the turn has come, and the operator dies meanwhile."""
    kube.create(template(namespace, "alone", exclusive="Slice"))
    kube.create(template(namespace, "in-turn", exclusive="Slice", concurrencyPolicy="Forbid"))
    kube.create(invocation(namespace, "between-1", "sleep 15", ["host-7"], templateRef={"name": "alone"}))
    kube.wait("start", lambda: kube.get("jobinvocations", namespace, "between-1").get("status", {}).get("startTime"))
    targeting = {"hosts": ["host-7"], "resolve": "AtStart"}
    kube.create(job(namespace, "between-2", targeting, templateRef={"name": "in-turn"}))
    waiting(kube, namespace, "between-2", "HostsBusy")
    operator.kill()
    operator.start()
    kube.create(invocation(namespace, "between-3", "true", ["host-8"], templateRef={"name": "in-turn"}))
    held = waiting(kube, namespace, "between-3", "TemplateBusy")
    assert "waiting for between-2" in (condition(held, "Waiting") or {})["message"]
    for name in ("between-1", "between-2", "between-3"):
        assert condition(end_of(kube, namespace, name), "Complete")


def test_a_host_that_is_deleted_before_its_start_is_missing(kube: Kube, namespace: str, hosts: list[SshHost]) -> None:
    doomed = hosts[9].manifest(namespace, "ops-key", groups=["doomed"])
    kube.create(doomed | {"metadata": {"name": "doomed", "namespace": namespace}})
    kube.create(job(namespace, "missing", query("Foreman", "name ^ (doomed, host-9)"), suspend=True))
    wait_for_choice(kube, namespace, "missing")
    kube.delete("hosts", namespace, "doomed")
    kube.patch("jobinvocations", namespace, "missing", {"spec": {"suspend": False}})
    ended = end_of(kube, namespace, "missing")
    assert (ended["status"]["hosts"]["succeeded"], ended["status"]["hosts"]["failed"]) == (1, 1)
    gone = results(kube, namespace, "missing")["doomed"]
    assert (gone["state"], gone["reason"]) == ("Failed", "HostNotFound")
    assert gone["message"] == "the Host doomed was deleted before its turn came"


@pytest.mark.parametrize(
    ("name", "targeting", "reason", "said"),
    [
        ("bad-foreman", query("Foreman", "colour = red"), "InvalidQuery", "the Foreman query cannot be read: "),
        ("bad-pql", query("PQL", "inventory { certname = }"), "InvalidQuery", "at character 24: expected "),
        ("bad-ansible", query("Ansible", "a[") | {"resolve": "AtStart"}, "InvalidQuery", "a bracket is not closed"),
        ("no-inventory", {"inventoryRef": {"name": "none"}}, "InventoryNotFound", "there is no Inventory none"),
        ("bad-limit", {"inventoryRef": {"name": "shop", "limit": "~("}}, "InvalidQuery", "the limit cannot be read: "),
        ("nobody", query("Ansible", "nobody") | {"whenEmpty": "Fail"}, "NoHostsMatched", "selects no host"),
    ],
)
def test_what_cannot_be_resolved_fails_and_says_why(
    kube: Kube, namespace: str, name: str, targeting: Object, reason: str, said: str
) -> None:
    suspended = targeting.get("resolve") == "AtStart"
    failed = condition(run(kube, job(namespace, name, targeting, suspend=suspended)), "Failed") or {}
    assert failed.get("reason") == reason
    assert said in failed["message"]


def test_an_inventory_says_what_is_wrong_with_it_and_heals(kube: Kube, namespace: str) -> None:
    assert judged(kube, "inventories", namespace, "shop", status="True")["hosts"] == 4
    kube.create(inventory(namespace, "ill", hosts=["host-1", "ghost"]))
    status = judged(kube, "inventories", namespace, "ill", status="False", reason="HostNotFound")
    assert "hosts" not in status
    assert "no Host named ghost" in (condition({"status": status}, "Valid") or {})["message"]
    circle = {"a": {"children": ["b"]}, "b": {"children": ["a"]}}
    kube.patch("inventories", namespace, "ill", {"spec": {"hosts": ["host-1"], "groups": circle}})
    status = judged(kube, "inventories", namespace, "ill", status="False", reason="InvalidSpec")
    assert "a -> b -> a" in (condition({"status": status}, "Valid") or {})["message"]
    kube.patch("inventories", namespace, "ill", {"spec": {"hosts": None, "groups": None, **query("PQL", "nodes {")}})
    judged(kube, "inventories", namespace, "ill", status="False", reason="InvalidQuery")
    kube.patch("inventories", namespace, "ill", {"spec": {"query": None, "hosts": ["host-1"]}})
    assert judged(kube, "inventories", namespace, "ill", status="True")["hosts"] == 1


def test_many_hosts_that_change_at_once_cost_an_inventory_few_writes(kube: Kube, namespace: str) -> None:
    kube.create(inventory(namespace, "many", selector={"matchLabels": {"many": "yes"}}))
    judged(kube, "inventories", namespace, "many", status="True")
    version = kube.request("GET", kube.path("inventories", namespace)).json()["metadata"]["resourceVersion"]
    for number in range(60):
        metadata = {"name": f"many-{number}", "namespace": namespace, "labels": {"many": "yes"}}
        kube.create({"apiVersion": API_VERSION, "kind": "Host", "metadata": metadata})
    counts = []
    for event in kube.watch("inventories", namespace, resourceVersion=version):
        if event["object"]["metadata"]["name"] == "many":
            counts.append(event["object"]["status"]["hosts"])
            if counts[-1] == 60:
                break
    assert len(counts) <= 10, counts
    for number in range(60):
        kube.delete("hosts", namespace, f"many-{number}")


def test_a_host_that_takes_no_work_is_left_out_or_fails(kube: Kube, namespace: str) -> None:
    kube.create(job(namespace, "cordoned-later", query("Ansible", "db"), suspend=True))
    wait_for_choice(kube, namespace, "cordoned-later")
    kube.patch("hosts", namespace, "host-3", {"spec": {"unschedulable": True}})
    kube.wait("count", lambda: kube.get("inventories", namespace, "shop")["status"]["hosts"] == 3)
    named = run(kube, invocation(namespace, "cordoned-named", "true", ["host-3", "host-1"]))
    assert (named["status"]["hosts"]["succeeded"], named["status"]["hosts"]["failed"]) == (1, 1)
    result = results(kube, namespace, "cordoned-named")["host-3"]
    assert result["reason"] == "HostUnschedulable"
    assert "set it to false" in result["message"]
    ended = run(kube, job(namespace, "cordoned-left-out", {"inventoryRef": {"name": "shop"}}))
    assert condition(ended, "Complete")
    assert set(results(kube, namespace, "cordoned-left-out")) == {"host-0", "host-1", "host-2"}
    kube.patch("jobinvocations", namespace, "cordoned-later", {"spec": {"suspend": False}})
    assert condition(end_of(kube, namespace, "cordoned-later"), "Failed")
    assert results(kube, namespace, "cordoned-later")["host-3"]["reason"] == "HostUnschedulable"
    kube.patch("hosts", namespace, "host-3", {"spec": {"unschedulable": False}})


def test_the_last_contact_is_written_after_a_job(kube: Kube, namespace: str, hosts: list[SshHost]) -> None:
    made = hosts[9].manifest(namespace, "ops-key")
    kube.create(made | {"metadata": {"name": "new", "namespace": namespace}})
    text = 'inventory { timestamp > "2026-01-01T00:00:00Z" and certname = "new" }'
    unseen = run(kube, job(namespace, "unseen", query("PQL", text)))
    assert unseen["status"]["hosts"]["total"] == 0
    run(kube, invocation(namespace, "contact", "true", ["new"]))
    kube.wait("contact", lambda: kube.get("hosts", namespace, "new").get("status", {}).get("lastContactTime"))
    run(kube, job(namespace, "seen", query("PQL", text)))
    assert set(results(kube, namespace, "seen")) == {"new"}
    kube.delete("hosts", namespace, "new")


def test_facts_come_from_a_config_map_with_the_label(kube: Kube, namespace: str) -> None:
    source = {"configMapKeyRef": {"name": "facts", "key": "host-9.json"}}
    kube.patch("hosts", namespace, "host-9", {"spec": {"factsFrom": source, "facts": {"rack": "b"}}})
    judged(kube, "hosts", namespace, "host-9", status="False")
    data = {"host-9.json": json.dumps({"rack": "a", "room": {"number": 7}})}
    metadata: Object = {"name": "facts", "namespace": namespace}
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    kube.patch("configmaps", namespace, "facts", {"metadata": {"labels": {"rollcall.dev/facts": ""}}})
    judged(kube, "hosts", namespace, "host-9", status="True")
    kube.create(template(namespace, "facts", inputs=[], ssh={"script": "echo {{ host.facts.rack }}"
                                                             " {{ host.facts.room.number }}\n"}))  # fmt: skip
    manifest = job(namespace, "facts", query("PQL", "inventory { facts.room.number = 7 }"))
    manifest["spec"] |= {"templateRef": {"name": "facts"}, "inputs": {}}
    assert condition(run(kube, manifest), "Complete")
    assert output(events(kube, namespace, "facts")["host-9"]) == b"b 7\n"
    kube.patch("configmaps", namespace, "facts", {"data": {"host-9.json": "{"}})
    status = judged(kube, "hosts", namespace, "host-9", status="False")
    assert "is not JSON" in (condition({"status": status}, "Valid") or {})["message"]
    kube.patch("hosts", namespace, "host-9", {"spec": {"factsFrom": None}})
    judged(kube, "hosts", namespace, "host-9", status="True")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("Foreman", 'name = "$(touch /tmp/owned)"'),
        ("Foreman", "name = \"'; touch /tmp/owned; '\""),
        ("Ansible", "$(touch,/tmp/owned),;,{{ inputs.command }}"),
        ("PQL", 'nodes { certname = "\\"} or nodes {certname ~ \\".*" }'),
    ],
)
def test_what_looks_like_an_attack_is_only_text(kube: Kube, namespace: str, language: str, text: str) -> None:
    name = f"attack-{abs(hash((language, text))) % 10**9}"
    ended = run(kube, job(namespace, name, query(language, text)))
    assert (condition(ended, "Complete") or {}).get("reason") == "NoHostsMatched"


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (job("", "x", {}), "give exactly one of hosts, selector, inventoryRef and query"),
        (job("", "x", {"hosts": ["a"]} | query("PQL", "nodes {}")), "give exactly one of"),
        (job("", "x", query("Foreman", " \n")), "text is blank; to select all hosts, give selector: {}"),
        (job("", "x", query("Latin", "omnes")), "supported values"),
        (job("", "x", query("PQL", "x" * 17_000)), "may not be more than 16384"),
        (job("", "x", {"inventoryRef": {"name": "a", "limit": ""}}), "should be at least 1 chars long"),
        (job("", "x", {"selector": {}, "resolve": "Later"}), "supported values"),
        (inventory("", "x"), "give exactly one of hosts, selector and query"),
        (inventory("", "x", hosts=["a"], selector={}), "give exactly one of hosts, selector and query"),
        (inventory("", "x", selector={}, groups={"a": {"children": ["no group"]}}), "children[0]"),
    ],
)
def test_the_api_server_refuses_what_makes_no_sense(kube: Kube, namespace: str, manifest: Object, said: str) -> None:
    manifest = manifest | {"metadata": {"name": "refused", "namespace": namespace}}
    with pytest.raises(KubeError) as refused:
        kube.create(manifest)
    assert said in str(json.loads(refused.value.body)["message"])
