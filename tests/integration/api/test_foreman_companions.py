"""What Foreman's clients ask beside jobs (contract §7), against a real API server."""

import base64
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from integration.api.facade_world import RUN, FacadeProcess, World, service_account
from support.kube import Kube, Object

AUTHOR = [
    *RUN,
    {
        "apiGroups": ["rollcall.dev"],
        "resources": ["jobtemplates", "inventories", "schedules", "hosts"],
        "verbs": ["get", "list", "create", "update", "delete"],
    },
]
ENVELOPE = {"total", "subtotal", "page", "per_page", "search", "sort", "results"}
LISTS = [
    "/api/hosts",
    "/api/job_templates",
    "/api/bookmarks",
    "/api/remote_execution_features",
    "/api/organizations",
    "/api/locations",
    "/api/settings",
    "/api/users",
    "/foreman_tasks/api/tasks",
    "/foreman_tasks/api/recurring_logics",
]
MISSING = [
    ("/api/hosts/nobody.example.com", "host"),
    ("/api/job_templates/4711", "job_template"),
    ("/api/templates/4711/template_inputs", "job_template"),
    ("/api/bookmarks/4711", "bookmark"),
    ("/api/remote_execution_features/nothing", "remote_execution_feature"),
    ("/api/organizations/4711", "organization"),
    ("/api/locations/4711", "location"),
    ("/api/settings/nothing", "setting"),
    ("/api/users/somebody-else", "user"),
    ("/foreman_tasks/api/tasks/00000000-0000-4000-8000-000000000000", "task"),
    ("/foreman_tasks/api/recurring_logics/4711", "recurring_logic"),
]


def e1(message: str) -> Object:
    return {"error": {"message": message}}


@pytest.fixture(scope="module")
def author(kube: Kube, namespace: str, facade: FacadeProcess) -> str:
    facade.tokens["author"] = service_account(kube, namespace, "author", AUTHOR)
    return "author"


@pytest.fixture
def client(world: World, author: str) -> Iterator[httpx.Client]:
    with world.facade.client(author) as client:
        yield client


@pytest.fixture
def soon(kube: Kube) -> Callable[..., Object]:
    """A body of the facade once it satisfies a probe: what others write comes to it by a watch."""

    def get(client: httpx.Client, path: str, probe: Callable[[Object], Any], **params: Any) -> Object:
        def look() -> Object | None:
            body: Object = client.get(path, params=params).json()
            return body if probe(body) else None

        return kube.wait(f"GET {path}", look)

    return get


@pytest.mark.parametrize("path", LISTS)
def test_every_list_has_the_envelope(client: httpx.Client, path: str) -> None:
    for url in (path, path.replace("/api/", "/api/v2/"), f"{path}.json", f"{path}/"):
        answer = client.get(url, params={"search": "", "page": "", "per_page": "4294967296"})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == ENVELOPE
        assert answer.headers["foreman_version"] == "3.6.0"
    assert client.get(path, params={"root_name": "rows"}).json().keys() == ENVELOPE - {"results"} | {"rows"}
    beyond = client.get(path, params={"page": 999, "search": "id = 987654321"})
    if path not in ("/api/remote_execution_features", "/foreman_tasks/api/tasks"):
        assert (beyond.status_code, beyond.json()["results"], beyond.json()["subtotal"]) == (200, [], 0)


@pytest.mark.parametrize("path", [*LISTS, "/api/job_invocations"])
def test_a_list_tells_what_may_be_made_and_changed(world: World, client: httpx.Client, path: str) -> None:
    asked = client.get(path, params={"include_permissions": "true"}).json()
    assert {type(asked[key]) for key in ("can_create", "can_edit")} == {bool}
    for value in ("false", "0", ""):
        assert client.get(path, params={"include_permissions": value}).json().keys() & {"can_create"} == set()
    assert client.get(path, params={"include_permissions": "maybe"}).status_code == 400
    with world.facade.client("viewer") as viewer:
        shown = viewer.get(path, params={"include_permissions": "true"}).json()
        assert (shown["can_create"], shown["can_edit"]) == (False, False)


def test_jobs_tell_who_may_do_what(world: World) -> None:
    id_ = world.create()["id"]
    asked = {"include_permissions": "1", "search": f"id = {id_}"}
    for user, may in (("runner", (True, True)), ("executor", (True, False)), ("viewer", (False, False))):
        with world.facade.client(user) as client:
            listed = client.get("/api/job_invocations", params=asked).json()
            assert (listed["can_create"], listed["can_edit"]) == may
            wanted = {"edit_job_templates": False, "view_foreman_tasks": True, "edit_recurring_logics": False}
            path = f"/api/job_invocations/{id_}"
            assert listed["results"][0]["permissions"] == wanted
            assert client.get(path, params={"include_permissions": "yes"}).json()["permissions"] == wanted
            assert "permissions" not in client.get(path, params={"include_permissions": "no"}).json()
            host = client.get(f"{path}/hosts", params={"include_permissions": "true"}).json()["results"][0]
            assert host["permissions"] == {
                "view_foreman_tasks": True, "cancel_job_invocations": may[1], "execute_jobs": may[0],
            }  # fmt: skip


def test_hosts_that_wait_for_their_turn(world: World, client: httpx.Client) -> None:
    id_ = world.create()["id"]
    path = f"/api/job_invocations/{id_}/hosts"
    waiting = client.get(path, params={"awaiting": "true", "per_page": 1, "page": 2}).json()
    assert ([host["name"] for host in waiting["results"]], waiting["subtotal"]) == (["web2"], 2)
    world.deal(id_, {"web1": {"state": "Running"}})
    names = lambda **params: [host["name"] for host in client.get(path, params=params).json()["results"]]  # noqa: E731
    world.kube.wait("the slice", lambda: names(awaiting="1") == ["web2"])
    assert names(awaiting="false") == names() == ["web1", "web2"]


def test_tasks_are_cancelled_by_a_search_and_what_has_ended_is_skipped(world: World, client: httpx.Client) -> None:
    path = "/foreman_tasks/api/tasks/bulk_cancel"
    ids = [world.create()["id"] for _ in range(2)]
    world.settle(ids[0], "Complete", total=2, succeeded=2)
    world.wait(client, f"/api/job_invocations/{ids[0]}", "the end", lambda body: body["status"] == 0)
    uids = [world.invocation(id_)["metadata"]["uid"] for id_ in ids]
    with world.facade.client("runner") as runner:
        search = f"resource_type = JobInvocation and resource_id ^ ({ids[0]}, {ids[1]})"
        answer = runner.post(path, json={"search": search}).raise_for_status().json()
        assert answer["total"] == 2
        assert [[task["id"] for task in answer[key]] for key in ("cancelled", "skipped")] == [[uids[1]], [uids[0]]]
        for nothing in ({}, {"task_ids": [], "search": ""}, {"task_ids": None}):
            refused = runner.post(path, json=nothing)
            message = "Please provide at least one of search or task_ids parameters in the request"
            assert (refused.status_code, refused.json()) == (400, e1(message))
    assert world.invocation(ids[1])["spec"]["cancellation"] == {"policy": "Graceful"}
    assert "cancellation" not in world.invocation(ids[0])["spec"]


@pytest.mark.parametrize("path", LISTS)
def test_what_a_list_refuses(client: httpx.Client, path: str) -> None:
    unknown = client.get(path, params={"search": "colour = red"})
    message = "Field 'colour' not recognized for searching!"
    expected = {"error": {"message": message, "class": "ScopedSearch::QueryNotSupported"}}
    assert (unknown.status_code, unknown.json()) == (400, expected)
    order = client.get(path, params={"order": "colour DESC"}).json()["error"]
    assert order["message"] == "the field 'colour' in the order statement is not valid field for search"
    assert client.get(path, params={"organization_id": 4711}).json() == {
        "message": "Organization with id 4711 not found"
    }
    if path != "/api/remote_execution_features":
        assert client.get(path, params={"page": "0"}).status_code == 400
        assert client.get(path, params={"per_page": "-3"}).status_code == 400


@pytest.mark.parametrize(("path", "resource"), MISSING)
def test_what_is_not_there(client: httpx.Client, path: str, resource: str) -> None:
    answer = client.get(path)
    given = path.removesuffix("/template_inputs").rpartition("/")[2]
    assert (answer.status_code, answer.json()) == (404, e1(f"Resource {resource} not found by id '{given}'"))


def test_who_may_nothing_sees_nothing(world: World, author: str) -> None:
    with world.facade.client("nobody") as nobody:
        for path in LISTS:
            if path != "/api/users":
                answer = nobody.get(path)
                assert (answer.status_code, answer.json()["error"]["message"]) == (403, "Access denied"), path
        assert nobody.get("/api/status").status_code == 200
        assert nobody.get("/api/current_user").json()["login"].endswith(":nobody")


def test_who_only_views_changes_nothing(world: World) -> None:
    with world.facade.client("viewer") as viewer:
        for method, path, permission in (
            ("POST", "/api/job_templates", "create_job_templates"),
            ("PUT", "/api/job_templates/11", "edit_job_templates"),
            ("DELETE", "/api/job_templates/11", "destroy_job_templates"),
            ("PUT", "/api/remote_execution_features/run_script", "edit_remote_execution_features"),
            ("PUT", "/api/hosts/web1", "edit_hosts"),
        ):
            answer = viewer.request(method, path, json={})
            assert (answer.status_code, answer.json()["error"]["missing_permissions"]) == (403, [permission])


def test_the_status(client: httpx.Client) -> None:
    answer = client.get("/api/status")
    assert answer.json() == {"result": "ok", "status": 200, "version": "3.6.0", "api_version": 2}
    for accept in ("application/json", "application/json;version=2", "application/json,version=2", "*/*"):
        assert client.get("/api/v2/status", headers={"Accept": accept}).status_code == 200
    assert client.head("/api/status").status_code == 200
    assert client.head("/api/status").content == b""


def test_what_receptor_asks_when_it_starts(client: httpx.Client) -> None:
    found = client.get("/api/settings", params={"search": "name = instance_id"}).json()["results"]
    assert uuid.UUID(found[0]["value"])
    proxies = client.get("/api/statuses").json()["results"]["foreman"]["smart_proxies"]
    assert [proxy["status"] for proxy in proxies if "ansible" in proxy["features"]] == ["ok"]


def test_hosts_are_found_and_shown(kube: Kube, world: World, client: httpx.Client, soon: Any) -> None:
    spec = {
        "address": "192.0.2.9",
        "organization": "Höhere Wesen",
        "location": "Cellar",
        "groups": ["web"],
        "facts": {"os": {"name": "Debian", "distro": {"description": "Debian 12"}}},
        "variables": {"role": "front"},
    }
    metadata = {"name": "shop.example.com", "labels": {"rollcall.dev/id": "77"}}
    api = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "Host"}
    kube.apply({**api, "metadata": metadata, "spec": spec}, world.namespace)
    soon(client, "/api/hosts", lambda body: body["subtotal"] == 1, search='name = "shop.example.com"')
    shown = client.get("/api/hosts/shop.example.com").json()
    assert client.get("/api/hosts/77").json() == shown
    assert client.get("/api/hosts/77-shop.json").json() == shown
    wanted = {
        "id": 77,
        "name": "shop.example.com",
        "ip": "192.0.2.9",
        "operatingsystem_name": "Debian 12",
        "managed": True,
    }
    assert wanted.items() <= shown.items()
    assert shown["hostgroup_name"] == "web"
    for search in (
        "hostgroup = web",
        "params.role = front",
        "facts.os::name = Debian and not name ~ web",
        "os = Debian",
        "ip = 192.0.2.9",
        f"organization_id = {shown['organization_id']}",
        'organization = "Höhere Wesen"',
        "location = Cellar",
        "shop",
    ):
        body = client.get("/api/hosts", params={"search": search, "per_page": 1000, "page": 1, "thin": "true"}).json()
        assert body["results"] == [{"id": 77, "name": "shop.example.com"}], search
        assert body["search"] == search
    organizations = client.get("/api/organizations", params={"search": 'name="Höhere Wesen"'}).json()["results"]
    assert [entry["id"] for entry in organizations] == [shown["organization_id"]]
    assert client.get(f"/api/locations/{shown['location_id']}").json()["title"] == "Cellar"
    narrowed = client.get("/api/hosts", params={"organization_id": shown["organization_id"]})
    assert [host["id"] for host in narrowed.json()["results"]] == [77]
    header = narrowed.headers["foreman_current_organization"]
    assert header == f"{shown['organization_id']}; Höhere Wesen"
    assert narrowed.headers["foreman_current_location"] == "; ANY"
    others = client.get("/api/hosts", params={"location_id": "Default Location", "order": "name DESC"})
    names = [host["name"] for host in others.json()["results"]]
    assert names == sorted(names, reverse=True)
    assert "shop.example.com" not in names
    assert others.json()["sort"] == {"by": "name", "order": "DESC"}
    kube.delete("hosts", world.namespace, "shop.example.com")


def test_a_host_is_changed(kube: Kube, world: World, client: httpx.Client) -> None:
    wanted = {"ip": "192.0.2.3", "enabled": False, "location_id": 2}
    changed = client.put("/api/hosts/web3", json={"host": wanted})
    assert (changed.status_code, changed.json()["ip"], changed.json()["enabled"]) == (200, "192.0.2.3", False)
    spec = kube.get("hosts", world.namespace, "web3")["spec"]
    assert (spec["address"], spec["unschedulable"], spec["location"]) == ("192.0.2.3", True, "Default Location")
    assert client.put("/api/hosts/web3", json={"host": {"name": "other"}}).status_code == 422
    client.put("/api/hosts/web3", json={"host": {"enabled": True}})


def test_templates_are_found_by_id_and_name(world: World, client: httpx.Client) -> None:
    name = "Run Command - Script Default"
    body = client.get("/api/v2/job_templates", params={"search": f'name="{name}"', "per_page": 4294967296}).json()
    assert body["results"] == [
        {
            "id": 11,
            "name": name,
            "job_category": "Commands",
            "provider_type": "script",
            "snippet": False,
            "description_format": "Run %{command}",
            "created_at": body["results"][0]["created_at"],
            "updated_at": body["results"][0]["updated_at"],
        }
    ]
    assert body["results"][0]["created_at"].endswith(" UTC")
    shown = [
        client.get(f"/api/job_templates/{given}").json() for given in ("11", "11-run-command", name, "run-command")
    ]
    assert shown[1:] == shown[:-1]
    assert shown[0]["template"] == "{{ inputs.command | raw }}"
    assert [entry["name"] for entry in shown[0]["template_inputs"]] == ["command", "retries", "mode"]
    assert shown[0]["template_inputs"][2]["options"] == "fast\nslow"
    for search in ("feature.label = run_script", "job_category = Commands", "snippet = false", "Script Default"):
        found = client.get("/api/job_templates", params={"search": search}).json()["results"]
        assert 11 in [entry["id"] for entry in found], search


def test_a_template_lives_by_rest(kube: Kube, world: World, client: httpx.Client) -> None:
    text = "<%#\nname: Restart\n%>\nsystemctl restart <%= input('unit') %>\n"
    wish = {"name": "Restart a unit", "job_category": "Services", "provider_type": "SSH", "template": text}
    made = client.post("/api/job_templates", json={"job_template": wish})
    assert made.status_code == 201, made.text
    id_ = made.json()["id"]
    assert (made.json()["template"], made.json()["provider_type"]) == (text, "SSH")
    entry = {"name": "unit", "input_type": "user", "required": True}
    added = client.post(f"/api/templates/{id_}/template_inputs", json={"template_input": entry})
    assert (added.status_code, added.json()["required"]) == (201, True)
    stored = kube.list("jobtemplates", world.namespace, labelSelector=f"rollcall.dev/id={id_}")[0]
    assert stored["metadata"]["name"] == f"restart-a-unit-{id_}"
    assert stored["spec"]["ssh"]["script"] == "systemctl restart {{ inputs.unit | raw }}\n"
    assert stored["spec"]["inputs"] == [{"name": "unit", "required": True, **_defaults(stored["spec"]["inputs"][0])}]
    job = world.create("author", job_template_id=id_, inputs={"unit": "cron"})
    assert job["job_category"] == "Services"
    changed = client.put(f"/api/job_templates/{id_}", json={"job_template": {"job_category": "Other"}})
    assert (changed.json()["job_category"], changed.json()["template"]) == ("Other", text)
    unit = added.json()["id"]
    path = f"/api/templates/{id_}/template_inputs/{unit}"
    assert client.put(path, json={"template_input": {"default": "ssh"}}).json()["default"] == "ssh"
    assert client.delete(path).status_code == 200
    assert client.get(f"/api/templates/{id_}/template_inputs").json()["results"] == []
    assert client.delete(f"/api/job_templates/{id_}").json()["id"] == id_
    assert kube.list("jobtemplates", world.namespace, labelSelector=f"rollcall.dev/id={id_}") == []


def test_a_template_that_is_sent_back_as_it_was_read_stays_as_it_is(
    kube: Kube, world: World, client: httpx.Client, soon: Any
) -> None:
    inputs = [
        {"name": "count", "type": "Integer", "default": "3", "minimum": 1, "maximum": 9},
        {"name": "mode", "type": "Choice", "options": ["fast", "slow"]},
        {"name": "token", "type": "Secret", "required": True},
        {"name": "os", "valueFrom": {"fact": "os.family"}},
    ]
    steps = [{"name": "one", "script": "true"}, {"name": "two", "script": "false"}]
    ssh = {"steps": steps, "effectiveUser": {"name": "root", "method": "Doas", "overridable": True}}
    world.template("typed", 81, {"displayName": "Typed", "inputs": inputs, "backoffLimit": 2, "ssh": ssh})
    path = "/api/job_templates/81"
    shown = soon(client, path, lambda body: body.get("id") == 81)
    before = kube.get("jobtemplates", world.namespace, "typed")["spec"]
    answer = client.put(path, json={"job_template": shown})
    assert (answer.status_code, answer.json()) == (200, shown)
    assert kube.get("jobtemplates", world.namespace, "typed")["spec"] == before
    count = shown["template_inputs"][0]["id"]
    changed = client.put(f"/api/templates/81/template_inputs/{count}", json={"template_input": {"default": "5"}})
    assert (changed.status_code, changed.json()["default"]) == (200, "5")
    before["inputs"][0]["default"] = "5"
    assert kube.get("jobtemplates", world.namespace, "typed")["spec"] == before
    kube.delete("jobtemplates", world.namespace, "typed")


def _defaults(stored: Object) -> Object:
    return {key: value for key, value in stored.items() if key not in ("name", "required")}


@pytest.mark.parametrize(
    ("given", "attribute"),
    [
        ({}, "name"),
        ({"name": "x"}, "template"),
        ({"name": "x", "template": "<% system('id') %>"}, "template"),
        ({"name": "x", "template": "true", "provider_type": "Ansible"}, "provider_type"),
        ({"name": "x", "template": "true", "snippet": True}, "snippet"),
        ({"name": "Run Command - Script Default", "template": "true"}, "name"),
        ({"name": "x", "template": "true", "job_category": "c" * 300}, "base"),
        ({"name": "x", "template": "true", "template_inputs_attributes": [{"name": "a-b"}]}, "name"),
        ({"name": "x", "template": "true", "template_inputs_attributes": "x"}, "template_inputs_attributes"),
    ],
)
def test_a_template_that_is_refused(client: httpx.Client, given: Object, attribute: str) -> None:
    before = client.get("/api/job_templates").json()["total"]
    answer = client.post("/api/job_templates", json={"job_template": given})
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert (error["id"], attribute in error["errors"]) == (None, True)
    assert len(error["full_messages"]) >= 1
    assert client.get("/api/job_templates").json()["total"] == before


def test_a_feature_is_mapped_to_another_template(kube: Kube, world: World, client: httpx.Client, soon: Any) -> None:
    world.template("second", 12, {"displayName": "Second", "features": ["swap"], "ssh": {"script": "true"}})
    world.template("third", 13, {"displayName": "Third", "ssh": {"script": "true"}})
    path = "/api/remote_execution_features/swap"
    shown = soon(client, path, lambda body: body.get("job_template_id") == 12)
    soon(client, "/api/job_templates/13", lambda body: body.get("id") == 13)
    assert client.get(f"/api/remote_execution_features/{shown['id']}").json() == shown
    swapped = client.put(path, json={"remote_execution_feature": {"job_template_id": 13}})
    assert (swapped.status_code, swapped.json()["job_template_name"]) == (200, "Third")
    features = {
        name: kube.get("jobtemplates", world.namespace, name)["spec"].get("features") for name in ("second", "third")
    }
    assert features == {"second": [], "third": ["swap"]}
    assert client.put(path, json={"job_template_id": 4711}).status_code == 422
    whole = client.get("/api/remote_execution_features", params={"per_page": 1, "page": 2}).json()
    assert len(whole["results"]) == whole["total"] >= 4
    for name in ("second", "third"):
        kube.delete("jobtemplates", world.namespace, name)


def test_a_bookmark_lives_by_rest(kube: Kube, world: World, client: httpx.Client) -> None:
    wish = {"name": "Web hosts", "controller": "hosts", "query": "name ~ web", "public": True}
    made = client.post("/api/bookmarks", json={"bookmark": wish})
    assert made.status_code == 201, made.text
    assert wish.items() <= made.json().items()
    id_ = made.json()["id"]
    assert client.post("/api/bookmarks", json={"bookmark": wish}).json()["error"]["errors"] == {
        "name": ["has already been taken"]
    }
    found = client.get("/api/bookmarks", params={"search": 'name="Web hosts",controller="hosts"'}).json()["results"]
    assert found == [made.json()]
    assert client.get(f"/api/bookmarks/{id_}").json() == made.json()
    stored = kube.list("inventories", world.namespace, labelSelector=f"rollcall.dev/id={id_}")[0]
    assert stored["spec"] == {"query": {"language": "Foreman", "text": "name ~ web"}}
    assert client.put(f"/api/bookmarks/{id_}", json={"query": "name = web1"}).json()["query"] == "name = web1"
    assert client.delete(f"/api/bookmarks/{id_}").status_code == 200
    assert client.get(f"/api/bookmarks/{id_}").status_code == 404
    seeded = client.get("/api/bookmarks", params={"search": "controller = job_invocations"}).json()["results"]
    assert {entry["name"] for entry in seeded} == {"failed", "succeeded", "running", "pending", "recurring", "recent"}
    assert client.delete(f"/api/bookmarks/{seeded[0]['id']}").status_code == 422


def test_the_task_of_a_job(world: World, client: httpx.Client, soon: Any) -> None:
    job = world.create("author")
    uuid_ = job["dynflow_task"]["id"]
    task = client.get(f"/foreman_tasks/api/tasks/{uuid_}").json()
    assert (task["label"], task["pending"], task["result"]) == (
        "Actions::RemoteExecution::RunHostsJob",
        True,
        "pending",
    )
    world.deal(job["id"], {"web1": {"state": "Succeeded"}, "web2": {"state": "Failed", "reason": "ExitCode"}}, "Done")
    world.settle(job["id"], "Failed", total=2, succeeded=1, failed=1)
    path = f"/foreman_tasks/api/tasks/{uuid_}"
    ended = soon(client, path, lambda body: body["state"] == "stopped")
    assert (ended["result"], ended["progress"]) == ("warning", 1)
    assert ended["humanized"]["output"] == "2 task(s), 1 success, 1 fail"
    assert ended["humanized"]["errors"] == ["A sub task failed"]
    found = client.get(
        "/foreman_tasks/api/tasks", params={"search": f"resource_type = JobInvocation and resource_id = {job['id']}"}
    )
    assert [entry["id"] for entry in found.json()["results"]] == [uuid_]
    # Jobs and slices come by watches of their own.
    results = ["error", "success"]
    seen = soon(client, f"{path}/sub_tasks", lambda body: sorted(each["result"] for each in body["results"]) == results)
    below = seen["results"]
    assert seen["total"] == 2
    for entry in below:
        assert client.get(f"/foreman_tasks/api/tasks/{entry['id']}").json() == entry
    with world.facade.client("blind") as blind:
        assert blind.get(f"{path}/sub_tasks").json()["results"] == []
        assert blind.get(f"/foreman_tasks/api/tasks/{below[0]['id']}").status_code == 404


def test_a_recurring_logic_is_paused_gone_on_with_and_ended(
    kube: Kube, world: World, client: httpx.Client, soon: Any
) -> None:
    spec = {
        "cron": ["30 2 * * *"],
        "purpose": "nightly",
        "requestedBy": {"username": "alice"},
        "invocationTemplate": {"spec": {"templateRef": {"name": "run-command"}, "targeting": {"hosts": ["web1"]}}},
    }
    metadata = {"name": "nightly", "labels": {"rollcall.dev/id": "900005"}}
    api = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "Schedule"}
    kube.apply({**api, "metadata": metadata, "spec": spec}, world.namespace)
    path = "/foreman_tasks/api/recurring_logics/900005"
    shown = soon(client, path, lambda body: body.get("id") == 900005)
    assert set(shown) == {
        "id", "cron_line", "end_time", "iteration", "task_group_id", "state", "max_iteration", "purpose", "task_count",
        "action", "last_occurence", "next_occurence",
    }  # fmt: skip
    assert (shown["cron_line"], shown["state"], shown["purpose"]) == ("30 2 * * *", "active", "nightly")
    assert client.put(path, json={"enabled": False}).json()["state"] == "disabled"
    assert kube.get("schedules", world.namespace, "nightly")["spec"]["suspend"] is True
    assert client.put(path, json={"recurring_logic": {"enabled": "true"}}).json()["state"] == "active"
    found = client.get("/foreman_tasks/api/recurring_logics", params={"search": "purpose = nightly"}).json()["results"]
    assert [entry["id"] for entry in found] == [900005]
    assert client.post(f"{path}/cancel", json={}).json()["state"] == "cancelled"
    assert kube.get("schedules", world.namespace, "nightly")["spec"]["endAt"]
    assert client.put(path, json={"enabled": True}).status_code == 422
    kube.delete("schedules", world.namespace, "nightly")


def test_mistakes_of_scripts(client: httpx.Client) -> None:
    form = client.post("/api/job_templates", data={"job_template[name]": "x"})
    assert form.status_code == 415
    assert "application/x-www-form-urlencoded" in form.json()["error"]["message"]
    json_type = {"Content-Type": "application/json"}
    broken = client.put("/api/job_templates/11", content=b"{", headers=json_type)
    assert (broken.status_code, broken.json()["status"]) == (400, 400)
    large = client.post("/api/bookmarks", content=b" " * (1024 * 1024 + 1), headers=json_type)
    assert (large.status_code, set(large.json())) == (413, {"error"})
    for method, path in (("PATCH", "/api/hosts/web1"), ("OPTIONS", "/api/hosts"), ("DELETE", "/api/hosts/web1")):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()) == (404, e1(f'No route matches [{method}] "{path}"'))
    in_body = client.request("GET", "/api/hosts", json={"search": "name = web1", "per_page": 1})
    assert [host["name"] for host in in_body.json()["results"]] == ["web1"]
    taxonomy = client.request("GET", "/api/hosts", json={"organization_id": 1})
    assert taxonomy.headers["foreman_current_organization"] == "1; Default Organization"


def test_a_bad_token_opens_no_route(world: World) -> None:
    with world.facade.anonymous({"Authorization": f"Bearer {os.urandom(16).hex()}"}) as stranger:
        for path in (*LISTS, "/api/status", "/api/current_user", "/docs", "/openapi.json", "/no/such/path"):
            answer = stranger.get(path)
            assert (answer.status_code, answer.json()) == (401, e1("Unable to authenticate user ")), path


def test_the_documentation_is_for_who_is_let_in_and_loads_nothing(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "GET /api/job_templates/{id}" in page.text
    assert "http" not in page.text.replace('href="/openapi.json"', "")
    assert "src=" not in page.text
    assert "/api/bookmarks/{id}" in client.get("/openapi.json").json()["paths"]


def test_a_login_that_fails_too_often_is_slowed_down_for_that_name_only(world: World) -> None:
    def login(name: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:guess".encode()).decode()}

    name = f"guessed-{uuid.uuid4().hex[:8]}"
    with world.facade.anonymous() as stranger:
        said = [stranger.get("/api/status", headers=login(name)).json()["error"]["message"] for _ in range(31)]
        assert said[:30] == [f"Unable to authenticate user {name}"] * 30
        assert said[30] == "Too many tries, please try again in a few minutes."
        other = stranger.get("/api/status", headers=login(f"{name}-2")).json()["error"]["message"]
        assert other == f"Unable to authenticate user {name}-2"
        # What a stranger claims about where it comes from is not believed.
        headers = {**login(name), "X-Forwarded-For": "192.0.2.77"}
        assert "Too many tries" in stranger.get("/api/status", headers=headers).json()["error"]["message"]
