"""What is of another namespace, organization or person is not seen: asked of every route that there is.

The routes come from the dialect itself, so that one that is added later is asked too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from integration.api.facade_world import VIEW, World, service_account
from rollcall_api.app import Facade, Settings
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.tasks import host_task_id
from rollcall_api.parsing import parse_job
from support.kube import Kube

VERSION = "rollcall.dev/v1alpha1"
CANARY = "canary"
"""In the name of everything that is not to be seen."""
REQUEST = [
    {"apiGroups": ["rollcall.dev"], "resources": ["hosts", "inventories", "jobtemplates"], "verbs": ["get", "list"]},
    {"apiGroups": ["rollcall.dev"], "resources": ["jobinvocations"], "verbs": ["create"]},
    {"apiGroups": ["rollcall.dev"], "resources": ["jobinvocations/own"], "verbs": ["get", "list", "cancel"]},
    {"apiGroups": ["rollcall.dev"], "resources": ["joboutputs/own"], "verbs": ["get"]},
]
"""As the chart's role `requester`."""
EDIT = [
    *VIEW,
    {
        "apiGroups": ["rollcall.dev"],
        "resources": ["jobinvocations", "hosts", "inventories", "jobtemplates", "schedules"],
        "verbs": ["create", "update", "patch", "delete"],
    },
]
FOR_ANYBODY = {
    "/api",
    "/api/status",
    "/api/statuses",
    "/api/ping",
    "/api/current_user",
    "/api/users",
    "/api/users/{id}",
}
ROOT = "/api/job_invocations"


def routes() -> Iterator[tuple[str, str]]:
    facade = Facade(Settings(namespace="ns", ids_namespace="ns"))
    for route in facade.dialect.router.routes:
        if isinstance(route, APIRoute) and not route.path.startswith("/apidoc"):
            yield from ((method, route.path) for method in sorted(route.methods))


ROUTES = sorted(routes())


@dataclass(frozen=True)
class Objects:
    """The ids of one of each thing, which all have the canary in their names."""

    job: int
    task: str
    host_task: str
    host: int
    template: int
    inventory: int
    schedule: int

    def fill(self, path: str) -> str:
        """The path with what it names filled in. A resource that is new has to be added here."""
        within = {
            f"{ROOT}/": self.job,
            "/foreman_tasks/api/tasks/": self.task,
            "/foreman_tasks/api/recurring_logics/": self.schedule,
            "/api/job_templates/": self.template,
            "/api/templates/": self.template,
            "/api/remote_execution_features/": f"{CANARY}_feature",
            "/api/bookmarks/": self.inventory,
            "/api/hosts/": self.host,
            "/api/organizations/": f"{CANARY}-organization",
            "/api/locations/": f"{CANARY}-location",
            "/api/settings/": f"{CANARY}",
            "/api/users/": f"{CANARY}",
        }
        if "{" not in path:
            return path
        id_ = next((value for prefix, value in within.items() if path.startswith(prefix)), None)
        assert id_ is not None, f"{path} names something that this test does not know"
        inner = path.replace("{host_id}", str(self.host)).replace("{template_id}", str(self.template))
        filled = inner.replace("{id}", str(number_of("x")) if "{template_id}" in path else str(id_))
        assert "{" not in filled, f"{path} has a parameter that this test does not know"
        return filled

    @property
    def body(self) -> dict[str, Any]:
        """A body that names them in every way in which one can."""
        wish = {"job_template_id": self.template, "targeting_type": "static_query", "host_ids": [self.host]}
        return {
            "job_invocation": {**wish, "inputs": {"command": "id"}},
            "task_ids": [self.task, self.host_task],
            "remote_execution_feature": {"job_template_id": self.template},
        }


def answers(client: httpx.Client, objects: Objects, **query: str) -> Iterator[tuple[str, str, httpx.Response]]:
    for method, path in ROUTES:
        json = objects.body if method in ("POST", "PUT") else None
        yield method, path, client.request(method, objects.fill(path), params=query, json=json)


@pytest.fixture(scope="module")
def people(kube: Kube, namespace: str, world: World) -> World:
    for name, rules in (("requester", REQUEST), ("editor", EDIT)):
        world.facade.tokens[name] = service_account(kube, namespace, name, rules)
    return world


@pytest.fixture(scope="module")
def elsewhere(kube: Kube, make_namespace: Any) -> Objects:
    """One of each in a namespace that the facade does not show."""
    other = make_namespace("elsewhere")

    def make(kind: str, id_: int, spec: dict[str, Any]) -> dict[str, Any]:
        labels = {"rollcall.dev/id": str(id_)}
        metadata = {"name": f"{CANARY}-{kind.lower()}", "labels": labels}
        return kube.create(
            {"apiVersion": "rollcall.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}, other
        )

    make("Host", 900_001, {"organization": f"{CANARY}-organization", "location": f"{CANARY}-location"})
    make("JobTemplate", 900_002, {"ssh": {"script": "id"}, "features": [f"{CANARY}_feature"]})
    make("Inventory", 900_003, {"query": {"language": "Foreman", "text": "name = x"}})
    job_spec = {"templateRef": {"name": f"{CANARY}-jobtemplate"}, "targeting": {"hosts": [f"{CANARY}-host"]}}
    requester = {"username": "alice"}
    make("Schedule", 900_004, {
        "cron": ["0 0 1 1 *"], "requestedBy": requester, "suspend": True, "invocationTemplate": {"spec": job_spec},
    })  # fmt: skip
    job = make("JobInvocation", 900_005, job_spec)
    return objects_of(job, 900_001, 900_002, 900_003, 900_004)


def objects_of(raw: dict[str, Any], host: int, template: int = 0, inventory: int = 0, schedule: int = 0) -> Objects:
    job = parse_job(raw)
    task = host_task_id(job, f"{CANARY}-host")
    return Objects(job.id or 0, job.uid, task, host, template, inventory, schedule)


def test_nothing_of_another_namespace_is_there(people: World, elsewhere: Objects) -> None:
    with people.facade.client("editor") as client:
        for method, path, answer in answers(client, elsewhere):
            what = f"{method} {path}: {answer.status_code} {answer.text}"
            echoed = answer.text.replace(f"not found by id '{CANARY}", "").replace(f"id '{CANARY}", "")
            assert CANARY not in echoed, what
            if "{" in path:
                assert answer.status_code in (404, 405), what
            else:
                assert answer.status_code in (200, 400, 404, 422), what


def test_who_may_nothing_gets_nothing(people: World, elsewhere: Objects) -> None:
    with people.facade.client("nobody") as client:
        for method, path, answer in answers(client, elsewhere):
            what = f"{method} {path}: {answer.status_code} {answer.text}"
            if path in FOR_ANYBODY:
                assert answer.status_code in (200, 404), what
            else:
                assert answer.status_code == 403, what
                assert answer.json()["error"]["missing_permissions"], what


@pytest.fixture(scope="module")
def of_another(people: World) -> Objects:
    """A job that somebody else asked for, at work on a host of another organization."""
    kube, namespace = people.kube, people.namespace
    labels = {"rollcall.dev/id": "7001"}
    host = {
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "Host",
        "metadata": {"name": f"{CANARY}-host", "labels": labels},
    }
    kube.apply(host | {"spec": {"organization": "Theirs", "location": "There"}}, namespace)
    # An organization without any host of the job.
    kube.apply(
        {
            "apiVersion": VERSION,
            "kind": "Host",
            "metadata": {"name": "ours", "labels": {"rollcall.dev/id": "7002"}},
            "spec": {"organization": "Ours", "location": "Here"},
        },
        namespace,
    )
    with people.facade.client("editor") as client:
        for name in ("Ours", "Theirs"):
            people.wait(client, f"/api/organizations/{name}", f"the organization {name}", lambda body: "id" in body)
        order = people.order(search_query="organization = Theirs")
        id_ = client.post(ROOT, json=order).raise_for_status().json()["id"]
    people.deal(id_, {f"{CANARY}-host": {"state": "Running"}})
    with people.facade.client("editor") as client:
        path = f"{ROOT}/{id_}/template_invocations"
        people.wait(client, path, "the slice in the facade's cache", lambda body: body["total"] == 1)
    return objects_of(people.invocation(id_), host=7_001)


def test_no_host_of_another_organization_is_there(people: World, of_another: Objects) -> None:
    with people.facade.client("editor") as client:
        for query in ({"organization_id": "Ours"}, {"location_id": "Here"}):
            for method, path, answer in answers(client, of_another, **query):
                if path.endswith("/cancel") or path == "/foreman_tasks/api/tasks/bulk_cancel" or method == "DELETE":
                    continue  # of jobs, which belong to no organization, and of templates
                what = f"{method} {path} in {query}: {answer.status_code} {answer.text}"
                assert f"{CANARY}-host" not in answer.text, what
                assert answer.status_code < 500 or "Validation failed" in answer.text, what
            host = f"{ROOT}/{of_another.job}/hosts/7001"
            for path in (host, f"{host}/raw", "/api/hosts/7001", f"/foreman_tasks/api/tasks/{of_another.host_task}"):
                assert client.get(path, params=query).status_code == 404, path
            order = people.order(search_query="", host_ids=[7_001])
            assert client.post(ROOT, params=query, json=order).status_code == 422
            order = people.order(search_query="id > 0")
            created = client.post(ROOT, params=query, json=order).raise_for_status().json()
            assert [host["name"] for host in created["targeting"]["hosts"]] == ["ours"]
        for path in ("/api/hosts", f"{ROOT}/{of_another.job}", f"{ROOT}/{of_another.job}/hosts"):
            assert f"{CANARY}-host" in client.get(path, params={"organization_id": "Theirs"}).text, path


def test_no_query_names_a_host_of_another_organization(people: World, of_another: Objects) -> None:
    wishes = (
        {"search_query": "", "host_ids": [7_001, 1]},
        {"search_query": f"name = web1 or name = {CANARY}-host"},
        {"search_query": f"name={CANARY.upper()}-HOST", "targeting_type": "dynamic_query"},
    )
    with people.facade.client("editor") as client:
        ids = [client.post(ROOT, json=people.order(**wish)).raise_for_status().json()["id"] for wish in wishes]
        # Its hosts are ours, and its query is that of the first.
        again = client.post(f"{ROOT}/{ids[0]}/rerun", params={"organization_id": 1}, json={})
        ids.append(again.raise_for_status().json()["id"])
        for id_ in ids:
            for query in ({"organization_id": "Ours"}, {"location_id": "Here"}, {"organization_id": "1"}):
                answer = client.get(f"{ROOT}/{id_}", params=query).raise_for_status()
                assert answer.json()["targeting"]["search_query"] is None
                assert CANARY not in answer.text.lower()
            assert f"{CANARY}-host" in client.get(f"{ROOT}/{id_}").json()["targeting"]["search_query"].lower()
        ours = client.post(ROOT, json=people.order(search_query="", host_ids=[7_002])).raise_for_status().json()
        shown = client.get(f"{ROOT}/{ours['id']}", params={"organization_id": "Ours"}).json()
        assert shown["targeting"]["search_query"] == "name ^ (ours)"


def test_a_host_of_another_organization_is_not_changed(people: World, of_another: Objects) -> None:
    path, before = f"/api/hosts/{of_another.host}", people.kube.get("hosts", people.namespace, f"{CANARY}-host")
    with people.facade.client("editor") as client:
        for query in ({"organization_id": "Ours"}, {"location_id": "Here"}):
            answer = client.put(path, params=query, json={"host": {"ip": "192.0.2.1", "enabled": False}})
            message = f"Resource host not found by id '{of_another.host}'"
            assert (answer.status_code, answer.json()) == (404, {"error": {"message": message}})
    assert people.kube.get("hosts", people.namespace, f"{CANARY}-host") == before


def test_a_dynamic_job_stays_in_the_organization_that_it_was_made_in(people: World, of_another: Objects) -> None:
    order = people.order(search_query="name ~ o or name ~ a", targeting_type="dynamic_query")
    with people.facade.client("editor") as client:
        ours = client.post(ROOT, params={"organization_id": "Ours"}, json=order).raise_for_status().json()
        default = client.post(ROOT, params={"location_id": 2}, json=order).raise_for_status().json()
    assert ours["targeting"]["search_query"] == "name ~ o or name ~ a"
    texts = [people.invocation(body["id"])["spec"]["targeting"]["query"]["text"] for body in (ours, default)]
    assert texts == [
        "(name ~ o or name ~ a) and organization = Ours",
        '(name ~ o or name ~ a) and (location = "Default Location" or null? location)',
    ]
    assert of_another.job


def test_a_host_that_moves_to_another_organization_is_found_there_at_once(people: World, of_another: Objects) -> None:
    kube, namespace = people.kube, people.namespace
    assert of_another.host == 7_001
    with people.facade.client("editor") as client:
        kube.patch("hosts", namespace, "ours", {"spec": {"organization": "Moved"}})
        people.wait(
            client, "/api/organizations/Moved", "the new organization", lambda body: body.get("name") == "Moved"
        )
        assert client.get("/api/organizations/Ours").status_code == 404
        kube.patch("hosts", namespace, "ours", {"spec": {"organization": "Ours"}})
        people.wait(client, "/api/organizations/Ours", "the organization again", lambda body: "id" in body)


def test_of_other_peoples_jobs_a_requester_sees_none(people: World, of_another: Objects) -> None:
    with people.facade.client("editor") as client:
        before = client.get(f"{ROOT}/{of_another.job}").json()
    with people.facade.client("requester") as client:
        for method, path, answer in answers(client, of_another):
            what = f"{method} {path}: {answer.status_code} {answer.text}"
            assert of_another.task not in answer.text.replace(f"id '{of_another.task}'", ""), what
            if re.match(rf"{ROOT}/|/foreman_tasks/api/tasks/", path):
                assert answer.status_code == 404, what
        listed = client.get(ROOT).json()
        assert of_another.job not in {item["id"] for item in listed["results"]}
        searched = client.get(ROOT, params={"search": f"id = {of_another.job}"}).json()
        assert (searched["subtotal"], searched["results"]) == (0, [])
        found = client.get("/api/hosts", params={"search": f"job_invocation.id = {of_another.job}"}).json()
        assert found["results"] == []
    with people.facade.client("editor") as client:
        assert client.get(f"{ROOT}/{of_another.job}").json() == before


def test_a_requester_sees_runs_and_stops_their_own_jobs(people: World) -> None:
    with people.facade.client("requester") as client:
        total = client.get(ROOT).json()["total"]
        id_ = client.post(ROOT, json=people.order()).raise_for_status().json()["id"]
        people.deal(id_, {"web1": {"state": "Running"}, "web2": {"state": "Pending"}})
        path = f"{ROOT}/{id_}/template_invocations"
        people.wait(client, path, "the slice in the facade's cache", lambda body: body["total"] == 2)
        assert client.get(ROOT).json()["total"] == total + 1
        shown = client.get(f"{ROOT}/{id_}").raise_for_status().json()
        assert client.get(ROOT, params={"search": "user = current_user"}).json()["results"][0]["id"] == id_
        for path in (f"{ROOT}/{id_}/hosts", f"{ROOT}/{id_}/hosts/1", f"{ROOT}/{id_}/outputs"):
            assert client.get(path).status_code == 200, path
        task = client.get(f"/foreman_tasks/api/tasks/{shown['task']['id']}").raise_for_status().json()
        assert client.get(f"/foreman_tasks/api/tasks/{task['id']}/sub_tasks").json()["total"] == 2
        assert client.post(f"{ROOT}/{id_}/rerun", json={}).status_code == 201
        assert client.post(f"{ROOT}/{id_}/cancel", json={}).json() == {"cancelled": True, "id": id_}
    assert people.invocation(id_)["spec"]["cancellation"]["policy"] == "Graceful"
    account = f"system:serviceaccount:{people.namespace}:requester"
    assert people.invocation(id_)["spec"]["requestedBy"]["username"] == account


def test_who_may_see_no_hosts_is_told_no_query_that_names_them(people: World, of_another: Objects) -> None:
    with people.facade.client("editor") as client:
        id_ = client.post(ROOT, json=people.order(search_query="", host_ids=[7_001])).raise_for_status().json()["id"]
    with people.facade.client("blind") as client:
        answer = client.get(f"{ROOT}/{id_}").raise_for_status()
    assert answer.json()["targeting"]["search_query"] is None
    assert CANARY not in answer.text
    assert of_another.job != id_


def test_a_long_query_comes_back_as_it_was_given(people: World) -> None:
    query = " or ".join(f"name = host-{number:05}.example.com" for number in range(450))
    assert 12_000 < len(query) < 16_384
    with people.facade.client("editor") as client:
        id_ = client.post(ROOT, json=people.order(search_query=query)).raise_for_status().json()["id"]
        assert client.get(f"{ROOT}/{id_}").json()["targeting"]["search_query"] == query


def test_many_tasks_are_not_cancelled_by_one_request(people: World) -> None:
    path = "/foreman_tasks/api/tasks/bulk_cancel"
    with people.facade.client("editor") as client:
        id_ = client.post(ROOT, json=people.order()).raise_for_status().json()["id"]
        uid = people.invocation(id_)["metadata"]["uid"]
        answer = client.post(path, json={"task_ids": [uid] * 101})
        assert (answer.status_code, "at most 100" in answer.text) == (400, True)
        assert client.post(path, json={"task_ids": [uid, "nonsense"]}).status_code == 404
        assert "cancellation" not in people.invocation(id_)["spec"]
        answer = client.post(path, json={"task_ids": [uid]}).raise_for_status()
        assert [task["id"] for task in answer.json()["cancelled"]] == [uid]


def test_an_answer_tells_how_old_it_may_be(people: World) -> None:
    with people.facade.client("editor") as client:
        people.wait(client, ROOT, "the first answer", lambda body: "total" in body)
        assert client.get(ROOT).headers["Age"] == "0"
        people.facade.relay.cut()
        try:
            people.kube.wait("an answer of some age", lambda: int(client.get(ROOT).headers["Age"]) >= 2, timeout=15)
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 200
        finally:
            people.facade.relay.join()
        people.kube.wait("a young answer", lambda: client.get(ROOT).headers["Age"] == "0", timeout=40)
