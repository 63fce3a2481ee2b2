"""A client of Foreman creates, lists and watches jobs."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from integration.api.facade_world import World
from rollcall.names import HostState, Reason
from rollcall.outputs import Event, Exit, Stream

ROOT = "/api/job_invocations"


def test_an_immediate_job_is_running_and_lists_its_hosts(world: World) -> None:
    body = world.create()
    assert (body["status"], body["status_label"]) == (3, "running")
    assert body["description"] == "Run uptime"
    assert body["job_category"] == "Commands"
    assert [body[key] for key in ("succeeded", "failed", "pending", "total", "missing")] == ["N/A"] * 3 + [2, 0]
    assert body["targeting"] | {"user_id": 0} == {
        "bookmark_id": None,
        "bookmark_name": None,
        "search_query": "name ^ (web1, web2)",
        "targeting_type": "static_query",
        "user_id": 0,
        "randomized_ordering": None,
        "hosts": [{"name": name, "id": id_, "display_name": name} for id_, name in enumerate(("web1", "web2"), 1)],
    }
    assert body["targeting"]["user_id"] > 0
    assert body["targeting_id"] == body["id"]
    assert body["dynflow_task"] == {"id": body["task"]["id"], "state": "planned"}
    assert (body["task"]["state"], body["task"]["cancellable"]) == ("planned", True)
    assert body["template_invocations"] == []
    assert body["pattern_template_invocations"][0]["template_invocation_input_values"][0]["value"] == "uptime"
    assert "mode" not in body


def test_the_invocation_says_what_was_asked_for_and_by_whom(world: World) -> None:
    body = world.create(
        inputs={"command": "id", "mode": "slow"},
        ssh_user="admin",
        concurrency_control={"concurrency_level": 7},
        execution_timeout_interval="60",
        description_format="just %{mode}",
        time_to_pickup=5,
        randomized_ordering=True,
    )
    stored = world.invocation(body["id"])
    user = f"system:serviceaccount:{world.namespace}:runner"
    assert stored["metadata"]["labels"] == {"rollcall.dev/id": str(body["id"]), "rollcall.dev/template": "run-command"}
    assert sorted(stored["spec"].pop("targeting")["hosts"]) == ["web1", "web2"]
    rollout = stored["spec"].pop("rollout")
    assert (rollout["concurrency"], rollout["hostsPerSlice"]) == (7, "auto")
    assert stored["spec"] == {
        "suspend": False,
        "templateRef": {"name": "run-command"},
        "inputs": {"command": "id", "retries": "3", "mode": "slow"},
        "user": "admin",
        "executionTimeoutSeconds": 60,
        "descriptionFormat": "just %{mode}",
        "requestedBy": {"username": user},
    }
    assert (body["description"], body["ssh_user"], body["time_to_pickup"]) == ("just slow", "admin", 5)
    assert body["targeting"]["targeting_type"] == "static_query"
    assert body["targeting"]["randomized_ordering"] is True


def test_what_was_just_created_is_shown_and_listed_at_once(world: World) -> None:
    with world.facade.client() as client:
        for _ in range(20):
            id_ = client.post(ROOT, json=world.order()).json()["id"]
            assert client.get(f"{ROOT}/{id_}").json()["id"] == id_
            assert client.get(ROOT).json()["results"][0]["id"] == id_


def test_many_creates_at_once_get_different_ids(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: world.create()["id"], range(40)))
    assert len(set(ids)) == 40


def test_a_name_that_is_taken_costs_an_id_and_nothing_else(world: World) -> None:
    last = world.create()["id"]
    spec = {"templateRef": {"name": "run-command"}, "targeting": {"hosts": ["web1"]}, "inputs": {"command": "x"}}
    squatter = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation", "spec": spec}
    world.kube.create({**squatter, "metadata": {"name": f"job-{last + 1}"}}, world.namespace)
    assert world.create()["id"] == last + 2


def test_a_job_is_followed_from_running_to_failed(world: World) -> None:
    id_ = world.create()["id"]
    world.deal(id_, {"web1": {"state": "Running"}, "web2": {"state": "Pending"}})
    world.settle(id_, None, total=2, running=1, pending=1)
    with world.facade.client() as client:
        path = f"{ROOT}/{id_}?host_status=True"
        body = world.wait(client, path, "resolved job", lambda b: b["task"]["state"] == "running")
        assert [host["job_status"] for host in body["targeting"]["hosts"]] == ["running", "planned"]
        assert [body[key] for key in ("status", "succeeded", "failed", "pending", "total")] == [3, 0, 0, 2, 2]
        assert [entry["host_id"] for entry in body["template_invocations"]] == [1, 2]
        world.deal(id_, {"web1": {"state": "Succeeded"}, "web2": {"state": "Cancelled"}}, state="Done")
        world.settle(id_, "Failed", total=2, succeeded=1, cancelled=1)
        body = world.wait(client, path, "failed job", lambda b: b["status"] == 1)
        assert [host["job_status"] for host in body["targeting"]["hosts"]] == ["success", "cancelled"]
        assert [body[key] for key in ("succeeded", "failed", "cancelled", "pending", "total")] == [1, 1, 1, 0, 2]
        assert body["task"]["state"] == "stopped"
        listed = client.get(f"{ROOT}?search=id%20%3D%20{id_}").json()["results"]
        assert [(item["status_label"], item["failed"]) for item in listed] == [("failed", 1)]


def test_a_deleted_host_is_missing_and_no_longer_listed(world: World) -> None:
    world.host("doomed", 99)
    with world.facade.client() as client:
        order = world.order(search_query="name ^ (doomed, web1)")
        body = world.kube.wait("host in the cache", lambda: _created_with(client, order, 2))
        world.settle(body["id"], None, total=2, pending=2)
        world.kube.delete("hosts", world.namespace, "doomed")
        path = f"{ROOT}/{body['id']}"
        shown = world.wait(client, path, "missing host", lambda b: b["missing"] == 1)
        assert shown["total"] == 2
        assert shown["targeting"]["hosts"] == [{"name": "web1", "id": 1, "display_name": "web1"}]


def _created_with(client: Any, order: dict[str, Any], hosts: int) -> dict[str, Any] | None:
    body: dict[str, Any] = client.post(ROOT, json=order).json()
    return body if body["total"] == hosts else None


def test_a_query_that_matches_nothing_makes_a_job_without_hosts(world: World) -> None:
    body = world.create(search_query="name ^ ()")
    assert (body["total"], body["targeting"]["hosts"], body["targeting"]["search_query"]) == (0, [], "name ^ ()")


@pytest.mark.parametrize("host_ids", [["web1"], [1], ["1", "web1"], "name = web1"])
def test_a_feature_runs_on_host_ids(world: World, host_ids: Any) -> None:
    order = {"job_invocation": {"feature": "run_script", "host_ids": host_ids, "inputs": {"command": "id"}}}
    with world.facade.client() as client:
        body = client.post("/api/v2/job_invocations", json=order).json()
    assert body["targeting"]["targeting_type"] == "static_query"
    assert body["targeting"]["search_query"] == ("name = web1" if host_ids == "name = web1" else "name ^ (web1)")


def test_credentials_are_only_in_a_secret_that_the_job_owns(world: World) -> None:
    canary, phrase = "canary-7f3e9a", "canary-passphrase-1b"
    body = world.create(password=canary, key_passphrase=phrase)
    stored = world.invocation(body["id"])
    secret = world.kube.get("secrets", world.namespace, stored["spec"]["credentialsRef"]["name"])
    assert secret["metadata"]["name"] == f"job-{body['id']}-credentials"
    decoded = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert decoded == {"password": canary, "passphrase": phrase}
    assert secret["metadata"]["ownerReferences"][0]["uid"] == stored["metadata"]["uid"]
    with world.facade.client() as client:
        shown = client.get(f"{ROOT}/{body['id']}").text + client.get(ROOT).text
    elsewhere = [json.dumps(body), shown, json.dumps(stored), world.facade.log.read_text()]
    for plural in ("jobinvocations", "configmaps", "events"):
        elsewhere.append(json.dumps(world.kube.list(plural, world.namespace)))
    assert all(secret not in text for text in elsewhere for secret in (canary, phrase))


def test_credentials_that_cannot_be_stored_leave_no_job(world: World) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-secrets"}}
    world.kube.create({**quota, "spec": {"hard": {"count/secrets": "0"}}}, world.namespace)
    world.kube.wait(
        "quota in force",
        lambda: "hard" in world.kube.get("resourcequotas", world.namespace, "no-secrets").get("status", {}),
    )
    try:
        before = {item["metadata"]["name"] for item in world.kube.list("jobinvocations", world.namespace)}
        with world.facade.client() as client:
            answer = client.post(ROOT, json=world.order(password="canary-quota"))
        assert answer.status_code == 503
        after = {item["metadata"]["name"] for item in world.kube.list("jobinvocations", world.namespace)}
        assert after == before
    finally:
        world.kube.delete("resourcequotas", world.namespace, "no-secrets")


def test_list_is_paged_from_the_newest(world: World) -> None:
    ids = [world.create()["id"] for _ in range(5)]
    with world.facade.client() as client:
        first = client.get(ROOT, params={"per_page": 2}).json()
        assert [item["id"] for item in first["results"]] == [ids[4], ids[3]]
        assert first["sort"] == {"by": None, "order": None}
        assert first["search"] is None
        second = client.get("/api/v2/job_invocations.json", params={"per_page": "2", "page": "2"}).json()
        assert [item["id"] for item in second["results"]] == [ids[2], ids[1]]
        every = client.get(ROOT, params={"per_page": "all", "order": "id ASC"}).json()
        assert every["per_page"] == every["total"] == every["subtotal"] == len(every["results"])
        assert [item["id"] for item in every["results"]][-5:] == ids
        assert every["sort"] == {"by": "id", "order": "ASC"}
        beyond = client.get(ROOT, params={"page": 4000, "per_page": 4294967296}).json()
        assert (beyond["results"], beyond["per_page"]) == ([], 4294967296)


def test_list_takes_its_parameters_from_a_json_body_too(world: World) -> None:
    ids = sorted((world.create()["id"] for _ in range(3)), reverse=True)
    body = {"search": f"id ^ ({ids[0]}, {ids[2]})", "per_page": 1}
    with world.facade.client() as client:
        answer = client.request("GET", ROOT, json=body).json()
        assert [item["id"] for item in answer["results"]] == [ids[0]]
        assert (answer["subtotal"], answer["search"]) == (2, body["search"])
        answer = client.request("GET", f"{ROOT}?per_page=2", json=body).json()
        assert [item["id"] for item in answer["results"]] == [ids[0], ids[2]]


@pytest.mark.parametrize("order", ["job_category DESC", "description asc", "started_at", "start_at DESC"])
def test_list_is_ordered_by_other_fields(world: World, order: str) -> None:
    mine = ", ".join(str(world.create()["id"]) for _ in range(3))
    with world.facade.client() as client:
        answer = client.get(ROOT, params={"order": order, "search": f"id ^ ({mine})"}).json()
    assert answer["subtotal"] == 3
    by, _, direction = order.partition(" ")
    field = {"started_at": "start_at"}.get(by, by)
    values = [item[field] for item in answer["results"]]
    assert values == sorted(values, reverse=direction == "DESC")


def test_hosts_can_be_left_out(world: World) -> None:
    id_ = world.create()["id"]
    with world.facade.client() as client:
        body = client.get(f"{ROOT}/{id_}?include_hosts=false&host_status=true").json()
    assert "hosts" not in body["targeting"]
    assert "template_invocations" not in body


def test_a_job_made_by_kubectl_gets_listed_with_its_id(world: World) -> None:
    spec = {"templateRef": {"name": "gone"}, "targeting": {"selector": {"matchLabels": {"a": "b"}}}}
    made = {"apiVersion": "rollcall.dev/v1alpha1", "kind": "JobInvocation", "spec": spec}
    labels = {"rollcall.dev/id": "900001"}
    world.kube.create({**made, "metadata": {"name": "by-hand", "labels": labels}}, world.namespace)
    with world.facade.client() as client:
        body = world.wait(client, f"{ROOT}/900001", "job by hand", lambda b: "id" in b)
        world.kube.delete("jobinvocations", world.namespace, "by-hand")
        world.wait(client, f"{ROOT}/900001", "no job by hand", lambda b: "error" in b)
    assert [body[key] for key in ("succeeded", "failed", "pending", "total", "missing")] == ["N/A"] * 4 + [0]
    assert body["targeting"]["search_query"] is None
    assert body["targeting"]["hosts"] == []


def said(host: str, seq: int, text: str | bytes, stream: Stream = Stream.STDOUT, time: float = 1000.0) -> Event:
    return Event(host, seq, time, stream, text.encode() if isinstance(text, str) else text)


def ended(host: str, seq: int, code: int, time: float = 1000.0) -> Event:
    state = HostState.FAILED if code else HostState.SUCCEEDED
    return Event(host, seq, time, Stream.EXIT, Exit(state, code, Reason.EXIT_CODE if code else None, start_time=999.0))


def test_output_is_shown_while_it_grows_and_after(world: World) -> None:
    id_ = world.create()["id"]
    path = f"{ROOT}/{id_}/hosts/1"
    with world.facade.client() as client:
        assert client.get(path).json() == {"complete": False, "refresh": True, "output": []}
        world.deal(id_, {"web1": {"state": "Running"}, "web2": {"state": "Running"}})
        world.settle(id_, None, total=2, running=2)
        world.store(id_, 0, [said("web1", 0, "one\n"), said("web1", 1, "two\n"), said("web2", 0, "other\n")])
        body = world.wait(client, path, "first chunk", lambda b: b["output"])
        assert not body["complete"]
        assert [chunk["output"] for chunk in body["output"]] == ["one\n", "two\n"]
        last = body["output"][-1]["timestamp"]
        world.store(
            id_, 1, [said("web1", 2, b"\xff!", Stream.STDERR), ended("web1", 3, 2), ended("web2", 1, 0, 1000.5)]
        )
        world.deal(id_, {"web1": {"state": "Failed", "exitCode": 2}, "web2": {"state": "Succeeded"}}, state="Done")
        world.settle(id_, "Failed", total=2, failed=1, succeeded=1)
        body = world.wait(client, f"{path}?since={last}", "end", lambda b: b["complete"])
        assert [(chunk["output_type"], chunk["output"]) for chunk in body["output"]] == [
            ("stderr", "\ufffd!"),
            ("debug", "StandardError: Job execution failed"),
            ("stdout", "Exit status: 2"),
        ]
        whole = client.get(path).json()
        assert client.get(path).json() == whole
        text = "one\ntwo\n\ufffd!StandardError: Job execution failedExit status: 2"
        assert client.get(f"{path}/raw").json() == {"complete": True, "refresh": False, "output": text}
        times = [chunk["timestamp"] for chunk in whole["output"]]
        assert times == sorted(set(times))
        since, later = {"since": repr(times[1])}, whole["output"][2:]
        assert client.get(path, params=since).json()["output"] == later
        assert client.get(f"{path}/raw", params=since).json()["output"] == text  # it takes no `since`
        for raw, shown in (("false", later), ("true", "".join(chunk["output"] for chunk in later))):
            wish = {"search_query": "id = 1", "raw": raw}
            for answer in (
                client.get(f"{ROOT}/{id_}/outputs", params={**wish, **since}),
                client.post(f"{ROOT}/{id_}/outputs", params=since, json={**wish, "since": "0", "id": 1}),
            ):
                assert answer.json()["outputs"][0]["output"] == shown
        # What the path says counts, whatever else is said.
        assert client.get(path, params={"id": "1", "host_id": "2"}).json() == whole
        assert client.get(path, params={"since": repr(times[-1])}).json() == {
            "complete": True,
            "refresh": False,
            "output": [],
        }
        raw = client.post(f"{ROOT}/{id_}/outputs", json={"raw": "true", "search_query": "id = 2"}).json()
        assert raw == {
            "outputs": [{"complete": True, "refresh": False, "output": "other\nExit status: 0", "host_id": 2}]
        }


def test_outputs_has_every_host_in_the_order_of_the_targeting(world: World) -> None:
    id_ = world.create(host_ids=["web3", "web1", "web2"], search_query=None)["id"]
    path = f"{ROOT}/{id_}/outputs"
    with world.facade.client() as client:
        body = client.get(path).json()
        assert body["outputs"][0] == {"complete": False, "refresh": True, "output": [], "host_id": 1}
        assert [entry["host_id"] for entry in body["outputs"]] == [1, 2, 3]
        assert client.get(f"{path}?search_query=name%20=%20nothing").json() == {"outputs": []}
        body = client.request("POST", f"{path}?since=5", json={"search_query": "id ^ (3,2)"}).json()
        assert [entry["host_id"] for entry in body["outputs"]] == [2, 3]


def test_holes_and_cuts_are_shown(world: World) -> None:
    id_ = world.create(search_query="name = web1")["id"]
    world.deal(id_, {"web1": {"state": "Running"}})
    cut = Event("web1", 4, 1001.0, Stream.CUT, 12345)
    world.store(id_, 0, [said("web1", 0, "a"), said("web1", 3, "b"), cut, ended("web1", 5, 0)])
    path = f"{ROOT}/{id_}/hosts/1"
    with world.facade.client() as client:
        body = world.wait(client, path, "output before the hole", lambda b: b["output"])
        assert [chunk["output"] for chunk in body["output"]] == ["a"]
        world.deal(id_, {"web1": {"state": "Succeeded", "exitCode": 0}}, state="Done")
        body = world.wait(client, path, "end", lambda b: b["complete"])
    assert [(chunk["output_type"], chunk["output"]) for chunk in body["output"]] == [
        ("stdout", "a"),
        ("debug", "[2 events of output are missing here]\n"),
        ("stdout", "b"),
        ("debug", "[12345 bytes of output were cut here]\n"),
        ("stdout", "Exit status: 0"),
    ]


def test_a_runner_that_was_lost_leaves_its_reason(world: World) -> None:
    id_ = world.create(search_query="name = web1")["id"]
    lost = {"state": "Failed", "reason": "Evicted", "message": "The node was low on memory.", "startTime": NOW_TIME}
    world.deal(id_, {"web1": {**lost, "completionTime": NOW_TIME}}, state="Done")
    with world.facade.client() as client:
        body = world.wait(client, f"{ROOT}/{id_}/hosts/1", "end", lambda b: b["complete"])
    assert [chunk["output"] for chunk in body["output"]] == [
        "Evicted: The node was low on memory.",
        "Exit status: EXCEPTION",
    ]


NOW_TIME = "2024-05-04T10:00:00Z"
