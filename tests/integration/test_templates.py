"""What templates can say, on real hosts: secrets, facts, other users, features."""

import json
from typing import Any

import pytest

from support.jobs import events, invocation, output, results, run, slices, template
from support.kube import Kube, condition
from support.operator import Operator
from support.sshhosts import SshHost

CANARY = "canary-5f2b71c9"
SCRIPT = """echo "as $(id -un)"
echo token: {{ inputs.token }}
echo {{ inputs.os }} {{ host.variables.port }} {{ host.name }} {{ inputs.text }}
"""
INPUTS = [
    {"name": "token", "type": "Secret", "required": True, "pattern": "canary-.*"},
    {"name": "os", "valueFrom": {"fact": "os.family"}},
    {"name": "text", "default": "a  b; 'c'"},
]


@pytest.fixture(scope="module", autouse=True)
def furniture(kube: Kube, namespace: str, operator: Operator) -> None:
    ssh = {"script": SCRIPT, "effectiveUser": {"overridable": True}}
    kube.apply(template(namespace, "facts", inputs=INPUTS, ssh=ssh, features=["facts"], descriptionFormat="%{token}"))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": namespace}}
    kube.create({**secret, "stringData": {"token": CANARY, "unrelated": "x"}})
    kube.create(
        {**secret, "metadata": {"name": "wrong", "namespace": namespace}, "stringData": {"token": "xyz" + CANARY}}
    )
    known = {"facts": {"os": {"family": "Debian"}}, "variables": {"port": "80 81"}}
    kube.patch("hosts", namespace, "host-1", {"spec": known})


def job(namespace: str, name: str, *hosts: str, **spec: Any) -> dict[str, Any]:
    manifest = invocation(namespace, name, None, list(hosts), **spec)
    manifest["spec"] = {key: value for key, value in manifest["spec"].items() if value is not None}
    return manifest


def from_secret(name: str) -> list[dict[str, Any]]:
    return [{"secretRef": {"name": name}}]


def everything(kube: Kube, namespace: str) -> str:
    """All that a person who may not read Secrets can see."""
    plurals = ("jobinvocations", "jobslices", "joboutputs", "events", "pods", "configmaps")
    return json.dumps([kube.list(plural, namespace) for plural in plurals])


def test_a_script_reads_secrets_and_facts_and_a_feature_finds_it(
    kube: Kube, namespace: str, operator: Operator, hosts: list[SshHost]
) -> None:
    asked = {"templateRef": None, "feature": "facts", "inputsFrom": from_secret("token")}
    ended = run(kube, job(namespace, "factual", "host-1", **asked))
    assert condition(ended, "Complete")
    found = kube.get("jobtemplates", namespace, "facts")["metadata"]
    assert ended["status"]["template"] == {"name": "facts", "uid": found["uid"], "generation": found["generation"]}
    assert ended["status"]["description"] == "***"
    said = output(events(kube, namespace, "factual")["host-1"]).decode()
    assert "token: ****" in said
    assert "Debian 80 81 host-1 a  b; 'c'\n" in said
    assert CANARY not in said + everything(kube, namespace) + operator.said()
    assert not [s for s in kube.list("secrets", namespace) if s["metadata"]["name"].startswith("factual")]


def test_a_host_without_the_fact_fails_by_itself(kube: Kube, namespace: str, operator: Operator) -> None:
    asked = {"templateRef": {"name": "facts"}, "inputsFrom": from_secret("token")}
    run(kube, job(namespace, "partly", "host-1", "host-2", **asked))
    found = results(kube, namespace, "partly")
    assert found["host-1"]["state"] == "Succeeded"
    assert (found["host-2"]["state"], found["host-2"]["reason"]) == ("Failed", "InvalidInput")
    assert "no spec.facts.os.family" in found["host-2"]["message"]


def test_a_secret_that_does_not_fit_fails_the_hosts_unsaid(kube: Kube, namespace: str, operator: Operator) -> None:
    asked = {"templateRef": {"name": "facts"}, "inputsFrom": from_secret("wrong")}
    run(kube, job(namespace, "misfit", "host-1", **asked))
    assert results(kube, namespace, "misfit")["host-1"]["reason"] == "InvalidInput"
    assert CANARY not in everything(kube, namespace) + operator.said()


@pytest.mark.parametrize(
    ("name", "changes", "reason", "said"),
    [
        ("no-token", {}, "InvalidInput", "spec.inputsFrom must have: token"),
        ("no-such-secret", {"inputsFrom": from_secret("nope")}, "SecretNotFound", "there is no Secret nope"),
        ("no-such-feature", {"templateRef": None, "feature": "nope"}, "TemplateNotFound", "with the feature nope"),
        (
            "no-override",
            {"templateRef": {"name": "run-command"}, "inputs": {"command": "id"}, "effectiveUser": {"name": "nobody"}},
            "InvalidInput",
            "does not let an invocation name the effective user",
        ),
    ],
)
def test_what_a_template_does_not_allow_is_said_before_anything_runs(
    kube: Kube, namespace: str, operator: Operator, name: str, changes: dict[str, Any], reason: str, said: str
) -> None:
    ended = run(kube, job(namespace, name, "host-1", **{"templateRef": {"name": "facts"}, **changes}))
    found = condition(ended, "Failed")
    assert found is not None
    assert found["reason"] == reason
    assert said in found["message"]
    assert slices(kube, namespace, name) == []


def test_two_templates_with_one_feature_are_told_apart_by_a_person(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    for name in ("first", "second"):
        kube.apply(template(namespace, name, features=["shared"], displayName=name))
    ended = run(kube, job(namespace, "ambiguous", "host-1", templateRef=None, feature="shared"))
    found = condition(ended, "Failed")
    assert found is not None
    assert "several JobTemplates list the feature shared: first, second" in found["message"]
