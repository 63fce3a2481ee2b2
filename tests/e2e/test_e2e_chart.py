"""The chart's manifests: what the API server says of them, and what rights they give."""

import subprocess

import pytest
import yaml

from e2e.release import CHART, ROOT, Person, Release, kubectl, run, template

VARIANTS = {
    "as it is": (),
    "one namespace": ("operator.namespaces={default}", "api.namespace=default"),
    "everything set": (
        "operator.replicas=2",
        "operator.verbose=true",
        "operator.nodeSelector.disk=ssd",
        "operator.tolerations[0].operator=Exists",
        "operator.priorityClassName=system-cluster-critical",
        "runner.image=example.org/runner:1",
        "runner.ansible.image=example.org/playbooks:1",
        "runner.networkPolicy.ports={22,2222}",
        "runner.networkPolicy.cidrs={10.0.0.0/8,fd00::/8}",
        "runner.networkPolicy.except={10.96.0.0/16}",
        "api.users=people",
        "api.impersonation.users={*}",
        "api.impersonation.groups={operators}",
        "api.service.type=LoadBalancer",
        "imagePullSecrets[0].name=registry",
    ),
    "only the operator": ("api.enabled=false", "userRoles.create=false", "admissionPolicy.enabled=false"),
}


def test_helm_finds_nothing_to_complain_of() -> None:
    assert "0 chart(s) failed" in run("helm", "lint", "--strict", "--kube-version=v1.34.0", CHART)


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_api_server_takes_the_manifests(values: tuple[str, ...]) -> None:
    manifests = template(*values, name="dry-run")
    assert kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifests)


def test_the_definitions_are_those_of_the_models() -> None:
    rendered = {crd["metadata"]["name"]: crd for crd in yaml.safe_load_all(template()) if _is_definition(crd)}
    for path in (ROOT / "crds").glob("*.yaml"):
        generated = yaml.safe_load(path.read_text())
        installed = rendered.pop(generated["metadata"]["name"])
        assert installed["spec"] == generated["spec"]
        assert installed["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not rendered
    assert not any(_is_definition(found) for found in yaml.safe_load_all(template("crds.enabled=false")))


@pytest.mark.parametrize("value", ["replicas=2", "api.impersonation.groups={system:masters}", "operator.replicas=two"])
def test_a_value_that_means_nothing_is_refused(value: str) -> None:
    command = ["helm", "template", "rollcall", str(CHART), "--kube-version=v1.34.0", f"--set={value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "schema" in done.stderr


def may(release: Release, component: str, verb: str, resource: str, namespace: str) -> bool:
    """Whether the component's service account has the right."""
    who = f"--as=system:serviceaccount:{release.namespace}:{release.name}-rollcall-{component}"
    command = ["kubectl", "auth", "can-i", verb, resource, "-n", namespace, who]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_programs_have_the_rights_that_they_need_and_no_more(release: Release, alice: Person) -> None:
    jobs, system = release.jobs, release.namespace
    needed = [
        ("operator", "create", "pods", jobs),
        ("operator", "create", "jobinvocations.rollcall.dev", jobs),
        ("operator", "get", "configmaps/rollcall-ids", system),
        ("operator", "get", "configmaps/plays", jobs),
        ("operator", "list", "configmaps", jobs),
        ("operator", "watch", "inventories.rollcall.dev", jobs),
        ("api", "create", "secrets", jobs),
        ("api", "impersonate", f"users/{alice.username}", jobs),
        ("api", "impersonate", "serviceaccounts", jobs),
    ]
    excess = [
        ("operator", "list", "secrets", jobs),
        ("operator", "create", "pods", system),
        ("operator", "create", "pods", "kube-system"),
        ("operator", "get", "secrets", "kube-system"),
        ("operator", "get", "configmaps/other", system),
        ("operator", "create", "serviceaccounts", jobs),
        ("api", "create", "jobinvocations.rollcall.dev", jobs),
        ("api", "get", "secrets", jobs),
        ("api", "get", "secrets", system),
        ("api", "create", "pods", jobs),
        ("api", "list", "hosts.rollcall.dev", "kube-system"),
        ("api", "impersonate", "users/kubernetes-admin", jobs),
        ("api", "impersonate", "groups/system:masters", jobs),
        ("api", "impersonate", "serviceaccounts", "kube-system"),
    ]
    assert [right for right in needed if not may(release, *right)] == []
    assert [right for right in excess if may(release, *right)] == []


def _is_definition(found: dict[str, str] | None) -> bool:
    return bool(found) and found["kind"] == "CustomResourceDefinition"  # type: ignore[index]
