"""What the chart's roles let people do through the facade, and the facade itself with Secrets."""

import base64
import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from integration.api.facade_world import World, service_account
from support.kube import Kube, Object

CHART = Path(__file__).parents[3] / "charts" / "rollcall"
ROOT = "/api/job_invocations"


def render(namespace: str) -> list[Object]:
    """The chart's objects, of a release named `r` in that namespace."""
    command = ["helm", "template", "r", str(CHART), "--kube-version", "1.34.0", "--namespace", namespace]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [document for document in yaml.safe_load_all(made) if document]


def one(documents: list[Object], kind: str, name: str) -> Object:
    (found,) = (each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def test_who_runs_jobs_also_makes_and_ends_series(kube: Kube, world: World) -> None:
    rules = one(render(world.namespace), "ClusterRole", "r-rollcall-runner")["rules"]
    world.facade.tokens["chart-runner"] = service_account(kube, world.namespace, "chart-runner", rules)
    body = world.create("chart-runner", recurrence={"cron_line": "3 2 * * *"})
    logic = f"/foreman_tasks/api/recurring_logics/{body['recurrence']['id']}"
    with world.facade.client("chart-runner") as client:
        assert client.put(logic, json={"enabled": False}).json()["state"] == "disabled"
        assert client.post(f"{logic}/cancel", json={}).json()["state"] == "cancelled"
        assert client.put("/api/job_templates/11", json={"job_category": "Mine"}).status_code == 403


@pytest.fixture
def release(kube: Kube, make_namespace: Callable[[str], str]) -> Iterator[tuple[str, httpx.Client]]:
    """A namespace with the chart's rights and policy for the facade, and the API server as that facade."""
    namespace = make_namespace("rights")
    documents = render(namespace)
    rules = one(documents, "Role", "r-rollcall-api")["rules"]
    token = service_account(kube, namespace, "r-rollcall-api", rules)
    policy = one(documents, "ValidatingAdmissionPolicy", "r-rollcall-facade-secrets")
    binding = one(documents, "ValidatingAdmissionPolicyBinding", "r-rollcall-facade-secrets")
    policy["metadata"]["name"] = binding["metadata"]["name"] = binding["spec"]["policyName"] = namespace
    plurals = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    for plural, document in zip(plurals, (policy, binding), strict=True):
        kube.request("POST", kube.path(plural), json=document)
    headers = {"Authorization": f"Bearer {token}"}
    cluster = yaml.safe_load(kube.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)  # without the certificate by which tests are administrators
    with httpx.Client(base_url=kube.server, verify=tls, headers=headers, timeout=60, trust_env=False) as facade:
        yield namespace, facade
    for plural in plurals:
        kube.delete(plural, None, namespace)


def secret(name: str, keeper: str, owner: str) -> Object:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": owner}
    labels = {"app.kubernetes.io/managed-by": keeper}
    metadata = {"name": name, "labels": labels, "ownerReferences": [reference]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"token": "Y2FuYXJ5"}}


def test_the_facade_can_only_add_owners_and_only_to_secrets_that_it_made(
    kube: Kube, release: tuple[str, httpx.Client]
) -> None:
    namespace, facade = release
    owner = kube.wait("an owner", lambda: kube.find("configmaps", namespace, "kube-root-ca.crt"))["metadata"]["uid"]
    for name, keeper in (("made", "rollcall-api"), ("others", "somebody")):
        kube.create(secret(name, keeper, owner), namespace)

    def amend(name: str, *steps: Object) -> int:
        headers = {"Content-Type": "application/json-patch+json"}
        path = kube.path("secrets", namespace, name)
        answer = facade.patch(path, headers=headers, content=json.dumps(steps))
        assert answer.is_success or "Y2FuYXJ5" not in answer.text
        return answer.status_code

    note = {"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}
    kube.wait("the policy in force", lambda: amend("others", note) == 403)
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "another", "uid": owner[::-1]}
    more = {"op": "add", "path": "/metadata/ownerReferences/-", "value": reference}
    assert amend("others", more) == 403
    assert amend("others", {"op": "test", "path": "/kind", "value": "Secret"}) == 403
    assert amend("made", {"op": "replace", "path": "/data/token", "value": "ZXZpbA=="}) == 403
    assert amend("made", {"op": "remove", "path": "/metadata/ownerReferences/0"}) == 403
    assert amend("made", {"op": "remove", "path": "/metadata/labels"}) == 403
    assert amend("made", more) == 200
    assert facade.get(kube.path("secrets", namespace, "made")).status_code == 403


def hidden(world: World) -> int:
    """The id of a template with a hidden input."""
    inputs = [{"name": "token", "type": "Secret"}]
    world.template("concealing", 71, {"displayName": "Concealing", "inputs": inputs, "ssh": {"script": "true"}})
    with world.facade.client() as client:
        world.wait(client, "/api/job_templates/71", "the template", lambda body: body.get("id") == 71)
    return 71


def owners(world: World, name: str) -> set[str] | None:
    found = world.kube.find("secrets", world.namespace, name)
    return None if found is None else {owner["name"] for owner in found["metadata"]["ownerReferences"]}


def test_hidden_inputs_outlive_the_job_in_those_that_run_it_again(world: World) -> None:
    first = world.create(job_template_id=hidden(world), inputs={"token": "canary-again"}, password="canary-pass")
    inputs, credentials = f"job-{first['id']}-inputs", f"job-{first['id']}-credentials"
    # What the operator does when a job has ended.
    selector = f"rollcall.dev/invocation=job-{first['id']},app.kubernetes.io/managed-by=rollcall"
    world.kube.request("DELETE", world.kube.path("secrets", world.namespace), params={"labelSelector": selector})
    assert (owners(world, inputs), owners(world, credentials)) == ({f"job-{first['id']}"}, None)
    with world.facade.client() as client:
        answers = [client.post(f"{ROOT}/{first['id']}/rerun", json={}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        again, last = (f"job-{answer.json()['id']}" for answer in answers)
        assert owners(world, inputs) == {f"job-{first['id']}", again, last}
        spec = world.kube.get("jobinvocations", world.namespace, again)["spec"]
        assert (spec["inputsFrom"], spec["suspend"]) == ([{"secretRef": {"name": inputs}}], False)
        assert "credentialsRef" not in spec
        shown = client.get(f"{ROOT}/{answers[0].json()['id']}").text
        assert "*****" in shown
        assert "canary" not in shown + "".join(answer.text for answer in answers)
        for name in (f"job-{first['id']}", again):
            world.kube.delete("jobinvocations", world.namespace, name)
        world.kube.wait("the first owners' end", lambda: owners(world, inputs) == {last})
        world.kube.delete("jobinvocations", world.namespace, last)
        world.kube.wait("the end of the Secret", lambda: owners(world, inputs) is None)


def test_a_rerun_whose_hidden_inputs_are_gone_says_so_and_makes_nothing(world: World) -> None:
    first = world.create(job_template_id=hidden(world), inputs={"token": "canary-gone"})
    inputs = f"job-{first['id']}-inputs"
    world.kube.delete("secrets", world.namespace, inputs)
    before = {each["metadata"]["name"] for each in world.kube.list("jobinvocations", world.namespace)}
    with world.facade.client() as client:
        answer = client.post(f"{ROOT}/{first['id']}/rerun", json={})
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == (
        f"Validation failed: the Secret {inputs} with hidden inputs of the earlier job is gone: make a new job"
    )
    assert {each["metadata"]["name"] for each in world.kube.list("jobinvocations", world.namespace)} == before


def test_a_secret_that_people_made_lives_as_they_say(world: World) -> None:
    hidden(world)
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "peoples-own"}, "data": {"token": "Y2FuYXJ5"}}
    world.kube.create(body, world.namespace)
    spec = {
        "templateRef": {"name": "concealing"},
        "targeting": {"hosts": ["web1"]},
        "inputsFrom": [{"secretRef": {"name": "peoples-own"}}],
    }
    made = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation", "spec": spec}
    labels = {"rollcall.dev/id": "900301"}
    world.kube.create({**made, "metadata": {"name": "with-own-secret", "labels": labels}}, world.namespace)
    with world.facade.client() as client:
        world.wait(client, f"{ROOT}/900301", "the job", lambda shown: "id" in shown)
        answer = client.post(f"{ROOT}/900301/rerun", json={})
    assert answer.status_code == 201, answer.text
    assert "ownerReferences" not in world.kube.get("secrets", world.namespace, "peoples-own")["metadata"]
