"""The chart's admission policy: nobody lets a schedule run something in the name of another."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from e2e.release import kubectl, template
from support.kube import Kube, KubeError, Object
from support.schedules import schedule

ALICE, BOB = "alice@example.com", "bob@example.com"
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def place(kube: Kube, crds: None, make_namespace: Callable[..., str]) -> Iterator[str]:
    """A namespace with the policy, in which alice and bob may write schedules, and bob be one ServiceAccount."""
    namespace = make_namespace("admission")
    rendered = template(f"operator.namespaces={{{namespace}}}", name=f"policy-{secrets.token_hex(3)}")
    documents = [found for found in yaml.safe_load_all(rendered) if found]
    policies = yaml.safe_dump_all(found for found in documents if "AdmissionPolicy" in found["kind"])
    rules = [
        {"apiGroups": ["rollcall.dev"], "resources": ["schedules"], "verbs": ["create", "patch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"], "resourceNames": ["robot"]},
    ]
    for name, given, people in (("writers", rules[:1], (ALICE, BOB)), ("robots", rules[1:], (BOB,))):
        meta = {"name": name, "namespace": namespace}
        kube.create({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": given})
        kube.create({
            "apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": person} for person in people],
        })  # fmt: skip
    kubectl("apply", "-f", "-", stdin=policies)
    kube.wait("the policy to hold", lambda: refusal(kube, namespace, ALICE, named("probe", BOB, namespace)))
    yield namespace
    kubectl("delete", "-f", "-", stdin=policies)


def named(name: str, username: str, namespace: str, *groups: str) -> Object:
    """A schedule that runs for somebody."""
    requester = {"username": username, "groups": list(groups)}
    return schedule(namespace, name, at="2099-01-01T00:00:00Z", requestedBy=requester)


def create(kube: Kube, namespace: str, person: str, document: Object, *groups: str) -> None:
    headers = [("Impersonate-User", person), *(("Impersonate-Group", group) for group in groups)]
    kube.request("POST", kube.path("schedules", namespace), json=document, headers=headers)


def refusal(kube: Kube, namespace: str, person: str, document: Object, *groups: str) -> str:
    """What admission says to a new schedule of somebody; nothing when it takes it. Nothing is kept."""
    path = kube.path("schedules", namespace) + "?dryRun=All"
    headers = [("Impersonate-User", person), *(("Impersonate-Group", group) for group in groups)]
    try:
        kube.request("POST", path, json=document, headers=headers)
    except KubeError as error:
        if error.status != 403:
            raise
        return error.body
    return ""


def change(kube: Kube, namespace: str, person: str, name: str, **spec: Any) -> None:
    """Change a schedule as somebody."""
    headers = {"Impersonate-User": person, "Content-Type": "application/merge-patch+json"}
    kube.request("PATCH", kube.path("schedules", namespace, name), json={"spec": spec}, headers=headers)


def test_a_new_schedule_runs_for_whoever_makes_it(kube: Kube, place: str) -> None:
    assert not refusal(kube, place, ALICE, named("hers", ALICE, place))
    said = refusal(kube, place, ALICE, named("his", BOB, place))
    assert f"spec.requestedBy must name you, {ALICE}" in said


def test_groups_have_to_be_ones_own(kube: Kube, place: str) -> None:
    assert "with groups of yours" in refusal(kube, place, ALICE, named("hers", ALICE, place, "ops"))
    assert not refusal(kube, place, ALICE, named("hers", ALICE, place, "ops"), "ops", "others")


def test_a_service_account_has_to_be_one_that_one_may_be(kube: Kube, place: str) -> None:
    robot, other = (f"system:serviceaccount:{place}:{name}" for name in ("robot", "other"))
    assert not refusal(kube, place, BOB, named("robots", robot, place))
    assert "may impersonate" in refusal(kube, place, BOB, named("others", other, place))
    assert "may impersonate" in refusal(kube, place, ALICE, named("robots", robot, place))


def test_who_edits_what_a_schedule_runs_takes_it_over(kube: Kube, place: str) -> None:
    create(kube, place, ALICE, named("edited", ALICE, place))
    evil = {"spec": {"inputs": {"command": "id"}}}
    for spec in (
        {"invocationTemplate": evil},
        {"invocationTemplate": {"metadata": {"labels": {"team": "his"}}}},
        {"invocationTemplate": evil, "suspend": True},
        {"requestedBy": {"username": ALICE, "groups": ["ops"]}},
    ):
        with pytest.raises(KubeError, match="spec.requestedBy must name you") as refused:
            change(kube, place, BOB, "edited", **spec)
        assert refused.value.status == 403
    found = kube.get("schedules", place, "edited")
    assert found["spec"]["requestedBy"]["username"] == ALICE
    assert found["spec"]["invocationTemplate"]["spec"]["inputs"] == {"command": "true"}
    change(kube, place, BOB, "edited", invocationTemplate=evil, requestedBy={"username": BOB})
    found = kube.get("schedules", place, "edited")
    assert found["spec"]["requestedBy"]["username"] == BOB
    with pytest.raises(KubeError, match="spec.requestedBy must name you"):
        change(kube, place, BOB, "edited", requestedBy={"username": ALICE})


def test_when_it_runs_is_changed_by_all_who_may_change_schedules(kube: Kube, place: str) -> None:
    create(kube, place, ALICE, named("timed", ALICE, place))
    change(kube, place, BOB, "timed", at="2098-01-01T00:00:00Z", suspend=True)
    found = kube.get("schedules", place, "timed")["spec"]
    assert (found["at"], found["requestedBy"]["username"]) == ("2098-01-01T00:00:00Z", ALICE)
