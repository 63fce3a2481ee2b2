"""The API server refuses a template, or an invocation of one, that could never be carried out."""

from collections.abc import Callable
from typing import Any

import pytest

from support.jobs import invocation, template
from support.kube import Kube, KubeError

INPUTS: list[tuple[dict[str, Any], str | None]] = [
    ({"type": "Choice"}, "a Choice needs options"),
    ({"type": "Choice", "options": []}, "a Choice needs options"),
    ({"type": "Choice", "options": ["a"], "default": "b"}, "the default must be one of the options"),
    ({"type": "Choice", "options": ["a"], "default": "a"}, None),
    ({"options": ["a"]}, "options are for the type Choice"),
    ({"type": "Integer", "default": "x"}, "the default must be a whole number"),
    ({"type": "Integer", "default": "-5"}, None),
    ({"type": "Number", "default": "1e"}, "the default must be a number"),
    ({"type": "Number", "default": ".5"}, None),
    ({"type": "Boolean", "default": "maybe"}, "the default must be true or false"),
    ({"type": "Boolean", "default": "Yes"}, None),
    ({"type": "Secret", "default": "x"}, "a Secret has neither default nor valueFrom"),
    ({"type": "Secret", "valueFrom": {"fact": "a"}}, "a Secret has neither default nor valueFrom"),
    ({"type": "Secret", "required": True, "pattern": "[a-z]+"}, None),
    ({"valueFrom": {}}, "name either a fact or a variable"),
    ({"valueFrom": {"fact": "a", "variable": "b"}}, "name either a fact or a variable"),
    ({"valueFrom": {"fact": "a..b"}}, "should match"),
    ({"valueFrom": {"fact": "a.b.0"}, "default": "1"}, None),
    ({"valueFrom": {"variable": "b"}, "required": True}, "it cannot be required of an invocation"),
    ({"pattern": "("}, "pattern is no regular expression"),
    ({"pattern": "(?=a)"}, "pattern is no regular expression"),
    ({"pattern": "\\pL+"}, None),
    ({"type": "Integer", "pattern": "a"}, "a pattern is for the types String and Secret"),
    ({"minimum": 1}, "minimum and maximum are for the types Integer and Number"),
    ({"type": "Integer", "minimum": 3, "maximum": 2}, "minimum is greater than maximum"),
    ({"type": "Number", "minimum": 0.5, "maximum": 0.5}, None),
]
USERS: list[tuple[dict[str, Any], str | None]] = [
    ({}, "name a user, or let invocations do"),
    ({"overridable": True}, None),
    ({"name": "root", "method": "Dzdo"}, None),
    ({"name": "DOMAIN\\user"}, None),
    ({"name": "root", "method": "Pray"}, "Unsupported value"),
    ({"name": "-u"}, "should match"),
    ({"name": "a b"}, "should match"),
]
STEP = {"name": "build", "script": "make"}
SCRIPTS: list[tuple[dict[str, Any], str | None]] = [
    ({"script": "id"}, None),
    ({"steps": [STEP, {"name": "test.2", "script": "id", "timeoutSeconds": 5, "onFailure": "Continue"}]}, None),
    ({}, "give either a script or steps"),
    ({"script": "id", "steps": [STEP]}, "give either a script or steps"),
    ({"steps": []}, "should have at least 1 items"),
    ({"steps": [STEP, STEP]}, "Duplicate value"),
    ({"steps": [{"name": "a b", "script": "id"}]}, "should match"),
    ({"steps": [{"name": "a"}]}, "script: Required value"),
    ({"steps": [STEP | {"onFailure": "Retry"}]}, "Unsupported value"),
    ({"steps": [{"name": f"s{number}", "script": "id"} for number in range(33)]}, "must have at most 32 items"),
]
INVOCATIONS: list[tuple[dict[str, Any], str | None]] = [
    ({"steps": {"from": "build", "to": "test", "skip": ["a", "b"]}}, None),
    ({"steps": {"skip": ["a", "a"]}}, "Duplicate value"),
    ({"steps": {"from": "a b"}}, "should match"),
    ({"feature": "x"}, "name either a templateRef or a feature"),
    ({"templateRef": None}, "name either a templateRef or a feature"),
    ({"templateRef": None, "feature": "x"}, None),
    ({"effectiveUser": {}}, "give a name, a passwordRef or both"),
    ({"effectiveUser": {"passwordRef": {"name": "x"}}}, None),
    ({"inputsFrom": [{}]}, "secretRef"),
    ({"inputsFrom": [{"secretRef": {"name": "x"}}]}, None),
]


@pytest.fixture(scope="module")
def namespace(crds: None, make_namespace: Callable[[str], str]) -> str:
    return make_namespace("rules")


def check(kube: Kube, manifest: dict[str, Any], said: str | None) -> None:
    refusal = refused(kube, manifest)
    assert (refusal is None) == (said is None), refusal
    assert said is None or said in str(refusal)


def refused(kube: Kube, manifest: dict[str, Any]) -> str | None:
    path = kube.path(f"{manifest['kind'].lower()}s", manifest["metadata"]["namespace"])
    try:
        kube.request("POST", path, json=manifest, params={"dryRun": "All"})
    except KubeError as error:
        return error.body
    return None


@pytest.mark.parametrize(("entry", "said"), INPUTS)
def test_an_input_makes_sense(kube: Kube, namespace: str, entry: dict[str, Any], said: str | None) -> None:
    check(kube, template(namespace, inputs=[{"name": "x", **entry}]), said)


@pytest.mark.parametrize(("policy", "said"), USERS)
def test_an_effective_user_is_one(kube: Kube, namespace: str, policy: dict[str, Any], said: str | None) -> None:
    check(kube, template(namespace, ssh={"script": "id", "effectiveUser": policy}), said)


@pytest.mark.parametrize(("ssh", "said"), SCRIPTS)
def test_a_template_has_a_script_or_steps(kube: Kube, namespace: str, ssh: dict[str, Any], said: str | None) -> None:
    check(kube, template(namespace, ssh=ssh), said)


IN_POD = {"image": "tools:1", "script": "id"}
PODS: list[tuple[dict[str, Any], str | None]] = [
    ({"pod": {"image": "tools:1", "script": "id"}}, None),
    ({"pod": {"image": "tools:1", "steps": [STEP]}}, None),
    ({"pod": {"image": "tools:1", "steps": [STEP], "script": "id"}}, "give either a script or steps"),
    ({"pod": {"script": "id"}}, "image: Required value"),
    ({"pod": {"image": "a b", "script": "id"}}, "should match"),
    ({}, "provider Pod needs spec.pod"),
    ({"ssh": {"script": "id"}}, "provider Pod needs spec.pod"),
]
PROVIDERS: list[tuple[dict[str, Any], str | None]] = [
    ({"provider": "SSH", "ssh": {"script": "id"}}, None),
    ({"ssh": {"script": "id"}}, None),
    ({"provider": "Pod", "pod": IN_POD}, None),
    ({"provider": "Ansible", "ansible": {"playbook": "[]"}}, None),
    ({"provider": "Pod", "pod": IN_POD, "ssh": {"script": "id"}}, "spec.ssh is for provider SSH"),
    ({"provider": "SSH", "pod": IN_POD, "ssh": {"script": "id"}}, "spec.pod is for provider Pod"),
    ({"provider": "Pod", "pod": IN_POD, "ansible": {"playbook": "[]"}}, "spec.ansible is for provider Ansible"),
    ({"provider": "Ansible", "pod": IN_POD}, "provider Ansible needs spec.ansible"),
]
SHAPES: list[tuple[dict[str, Any], str | None]] = [
    ({"resources": {"requests": {"cpu": 1, "memory": "64Mi"}, "limits": {"memory": "64Mi"}}}, None),
    ({"nodeSelector": {"zone": "a"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "low"}, None),
    ({"tolerations": [{"operator": "Perhaps"}]}, "Unsupported value"),
    ({"resources": {"limits": {"memory": [1]}}}, "must be of type"),
]


@pytest.mark.parametrize(("spec", "said"), PODS)
def test_a_template_for_pods_has_an_image(kube: Kube, namespace: str, spec: dict[str, Any], said: str | None) -> None:
    manifest = template(namespace, provider="Pod")
    del manifest["spec"]["ssh"]
    manifest["spec"] |= spec
    check(kube, manifest, said)


@pytest.mark.parametrize(("spec", "said"), PROVIDERS)
def test_a_template_says_only_what_its_provider_runs(
    kube: Kube, namespace: str, spec: dict[str, Any], said: str | None
) -> None:
    manifest = template(namespace)
    del manifest["spec"]["ssh"], manifest["spec"]["provider"]
    manifest["spec"] |= spec
    check(kube, manifest, said)


@pytest.mark.parametrize(("shape", "said"), SHAPES)
def test_the_shape_of_runner_pods_makes_sense(
    kube: Kube, namespace: str, shape: dict[str, Any], said: str | None
) -> None:
    check(kube, template(namespace, runner=shape), said)


@pytest.mark.parametrize(("changes", "said"), INVOCATIONS)
def test_an_invocation_names_what_it_needs(
    kube: Kube, namespace: str, changes: dict[str, Any], said: str | None
) -> None:
    manifest = invocation(namespace, "rules", None, None, **changes)
    manifest["spec"] = {key: value for key, value in manifest["spec"].items() if value is not None}
    check(kube, manifest, said)


@pytest.mark.parametrize(
    "changes",
    [
        {"feature": "y"},
        {"inputsFrom": [{"secretRef": {"name": "other"}}]},
        {"effectiveUser": {"name": "other"}},
        {"effectiveUser": None},
        {"steps": {"from": "build"}},
    ],
)
def test_what_runs_cannot_be_changed(kube: Kube, namespace: str, changes: dict[str, Any]) -> None:
    spec: dict[str, Any] = {"feature": "x", "inputsFrom": [], "effectiveUser": {"name": "a"}}
    manifest = invocation(namespace, "fixed", None, None, **spec)
    del manifest["spec"]["templateRef"]
    if kube.find("jobinvocations", namespace, "fixed") is None:
        kube.create(manifest)
    with pytest.raises(KubeError, match="of an invocation can change|can change"):
        kube.patch("jobinvocations", namespace, "fixed", {"spec": changes})


def test_facts_are_kept_as_they_are(kube: Kube, namespace: str) -> None:
    facts = {"os": {"family": "Debian", "none": None}, "list": [1, {"a": [True]}], "b": 1.5}
    spec = {"facts": facts, "variables": {"http-port": "80"}, "exclusive": "Slice"}
    metadata = {"name": "factual", "namespace": namespace}
    made = kube.create({"apiVersion": "rollcall.dev/v1alpha1", "kind": "Host", "metadata": metadata, "spec": spec})
    assert {key: made["spec"][key] for key in spec} == spec
