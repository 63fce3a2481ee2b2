"""The acceptance table of the contract (§8), by its numbers; what other tests here show is not repeated."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integration.api.facade_world import OPS_PASSWORD, World

ROOT = "/api/job_invocations"
N_A = "N/A"
FLAT = {
    "id", "targeting_id", "job_category", "task_id", "task_group_id", "triggering_id", "description",
    "concurrency_level", "time_span", "execution_timeout_interval", "password", "key_passphrase",
    "remote_execution_feature_id", "effective_user_password", "ssh_user", "time_to_pickup",
}  # fmt: skip


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with world.facade.client() as client:
        yield client


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")


def finished(world: World, client: httpx.Client, *states: str) -> int:
    """A job on web1 and web2 that has ended with these states."""
    id_ = world.create()["id"]
    world.deal(id_, {f"web{n}": {"state": state} for n, state in enumerate(states, 1)}, state="Done")
    failed = sum(state != "Succeeded" for state in states)
    world.settle(id_, "Failed" if failed else "Complete", total=2, succeeded=2 - failed, failed=failed)
    world.wait(client, f"{ROOT}/{id_}", "the end of the job", lambda body: body["task"]["state"] == "stopped")
    return int(id_)


def spec_of(world: World, id_: int) -> dict[str, Any]:
    spec: dict[str, Any] = world.invocation(id_)["spec"]
    return spec


def test_1_3_4_a_list_and_what_can_be_left_out_of_a_job(world: World, client: httpx.Client) -> None:
    id_ = world.create()["id"]
    listed = client.get(ROOT).json()
    assert listed.keys() >= {"total", "subtotal", "page", "per_page", "search", "sort", "results"}
    assert listed["sort"] == {"by": None, "order": None}
    for parameters in ({"include_hosts": "false"}, {"include_hosts": "false", "host_status": "true"}):
        body = client.get(f"{ROOT}/{id_}", params=parameters).json()
        assert "hosts" not in body["targeting"]
        assert "template_invocations" not in body


@pytest.mark.parametrize("value", ["true", "1", "True"])
def test_6_host_status_in_any_spelling(world: World, client: httpx.Client, value: str) -> None:
    id_ = world.create()["id"]
    hosts = client.get(f"{ROOT}/{id_}", params={"host_status": value}).json()["targeting"]["hosts"]
    assert [host["job_status"] for host in hosts] == [N_A, N_A]


def test_9_a_description_of_ones_own(world: World) -> None:
    assert world.create(description_format="format")["description"] == "format"


def test_10_a_recurring_job_is_queued_and_has_its_series(world: World, client: httpx.Client) -> None:
    body = world.create(recurrence={"cron_line": "5 * * * *", "max_iteration": 3, "purpose": "p10"})
    assert (body["mode"], body["status"], body["status_label"]) == ("recurring", 2, "queued")
    assert body["task"]["state"] == "scheduled"
    assert [body[key] for key in ("succeeded", "failed", "pending", "total")] == [N_A] * 4
    found = body["recurrence"]
    assert (found["cron_line"], found["max_iteration"], found["purpose"]) == ("5 * * * *", 3, "p10")
    assert (found["state"], found["next_occurence"], found["iteration"]) == ("active", body["start_at"], 1)
    searched = client.get(ROOT, params={"search": f"recurring_logic.id = {found['id']}"}).json()
    assert [item["id"] for item in searched["results"]] == [body["id"]]
    again = client.post(ROOT, json=world.order(recurrence={"cron_line": "6 * * * *", "purpose": "p10"}))
    message = "Triggering: Purpose Active or disabled recurring logic with purpose p10 already exists"
    assert again.json() == {"error": {"message": f"Validation failed: {message}"}}


def test_10_a_queued_run_is_the_one_that_its_schedule_will_find(world: World) -> None:
    body = world.create(recurrence={"cron_line": "0 0 last * * Europe/Berlin"}, password="canary")
    schedule = world.kube.get("schedules", world.namespace, f"series-{body['recurrence']['id']}")
    assert (schedule["spec"]["cron"], schedule["spec"]["timeZone"]) == (["0 0 L * *"], "Europe/Berlin")
    jobs = world.kube.list("jobinvocations", world.namespace)
    job = next(job for job in jobs if job["metadata"].get("labels", {}).get("rollcall.dev/id") == str(body["id"]))
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("Schedule", schedule["metadata"]["uid"])
    assert job["metadata"]["annotations"]["rollcall.dev/planned"] == job["spec"]["startAt"]
    assert job["spec"]["credentialsRef"] == {"name": f"{schedule['metadata']['name']}-credentials"}
    secret = world.kube.get("secrets", world.namespace, f"{schedule['metadata']['name']}-credentials")
    assert secret["metadata"]["ownerReferences"][0]["uid"] == schedule["metadata"]["uid"]
    assert "canary" not in str(body) + str(job) + str(schedule)


def test_10_when_the_queued_run_is_cancelled_the_one_after_is_queued(world: World, client: httpx.Client) -> None:
    body = world.create(recurrence={"cron_line": "7 3 * * *"})
    assert client.post(f"{ROOT}/{body['id']}/cancel", json={}).status_code == 200
    jobs = world.kube.list("jobinvocations", world.namespace)
    name = next(
        j["metadata"]["name"] for j in jobs if j["metadata"].get("labels", {}).get("rollcall.dev/id") == str(body["id"])
    )
    condition = {"type": "Cancelled", "status": "True", "reason": "Test", "message": ""}
    condition["lastTransitionTime"] = "2024-05-04T10:00:00Z"
    world.kube.patch("jobinvocations", world.namespace, name, {"status": {"conditions": [condition]}}, "status")
    search = f"{ROOT}?search=recurring_logic.id%20%3D%20{body['recurrence']['id']}"
    found = world.wait(client, search, "the run after", lambda answer: answer["subtotal"] == 2)
    after, before = found["results"]
    assert (after["status_label"], before["status_label"]) == ("queued", "cancelled")
    assert after["start_at"] > before["start_at"]


def test_12_20_26_a_job_that_waits_for_its_time(world: World, client: httpx.Client) -> None:
    start = in_an_hour()
    body = world.create(scheduling={"start_at": start})
    assert (body["mode"], body["status_label"], body["start_at"]) == ("future", "queued", f"{start} UTC")
    assert body["scheduling"] == {"start_at": f"{start} UTC", "start_before": None}
    assert [body[key] for key in ("succeeded", "failed", "pending", "total")] == [N_A] * 4
    moment = start.replace(" ", "T") + ".000Z"
    delayed = {"complete": False, "refresh": True, "output": [], "delayed": True, "start_at": moment}
    assert client.get(f"{ROOT}/{body['id']}/hosts/1").json() == delayed
    assert client.get(f"{ROOT}/{body['id']}/hosts/1/raw").json() == delayed | {"output": None}
    outputs = client.get(f"{ROOT}/{body['id']}/outputs").json()["outputs"]
    assert outputs == [{"complete": False, "refresh": True, "output": [], "host_id": id_} for id_ in (1, 2)]
    assert "startAt" in spec_of(world, body["id"])


def test_13_a_recurring_job_that_starts_later(world: World) -> None:
    body = world.create(scheduling={"start_at": in_an_hour()}, recurrence={"cron_line": "5 * * * *"})
    assert body["mode"] == "recurring"
    assert body["start_at"] >= in_an_hour()[:13]


@pytest.mark.parametrize(("host_ids", "hosts"), [(["web2"], [2]), ([1, 2], [1, 2]), ("name = web1", [1])])
def test_14_a_feature_on_host_ids(world: World, host_ids: Any, hosts: list[int]) -> None:
    body = world.create(
        job_template_id=None, feature="run_script", search_query=None, targeting_type=None, host_ids=host_ids
    )
    assert body["targeting"]["targeting_type"] == "static_query"
    assert [host["id"] for host in body["targeting"]["hosts"]] == hosts


def test_a_dynamic_job_is_resolved_when_it_starts(world: World) -> None:
    body = world.create(targeting_type="dynamic_query", search_query="name ~ web", randomized_ordering=True)
    assert spec_of(world, body["id"])["targeting"] == {
        "query": {"language": "Foreman", "text": "name ~ web"},
        "resolve": "AtStart",
        "order": "Shuffled",
        "whenEmpty": "Complete",
    }
    targeting = body["targeting"]
    assert (targeting["targeting_type"], targeting["search_query"]) == ("dynamic_query", "name ~ web")
    assert targeting["hosts"] == []
    assert body["total"] == N_A


@pytest.mark.parametrize("type_", ["static_query", "dynamic_query"])
def test_a_bookmark_stands_for_its_query(world: World, client: httpx.Client, type_: str) -> None:
    world.kube.apply(
        {
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "Inventory",
            "metadata": {"name": "webs", "labels": {"rollcall.dev/id": "31"}},
            "spec": {"query": {"language": "Foreman", "text": "name ~ web"}},
        },
        world.namespace,
    )
    order = world.order(search_query=None, bookmark_id=31, targeting_type=type_)

    def created() -> Any:
        answer = client.post(ROOT, json=order)
        return answer.json() if answer.status_code == 201 else None

    targeting = world.kube.wait("the bookmark in the cache", created)["targeting"]
    assert (targeting["bookmark_id"], targeting["bookmark_name"]) == (31, "webs")
    assert targeting["search_query"] == "name ~ web"


def test_21_25_27_output_of_hosts(world: World, client: httpx.Client) -> None:
    id_ = world.create()["id"]
    path = f"{ROOT}/{id_}"
    nothing = {"complete": False, "refresh": True, "output": []}
    assert client.get(f"{path}/hosts/1").json() == nothing
    assert client.get(f"{path}/hosts/1/raw").json() == nothing | {"output": None}
    world.deal(id_, {"web1": {"state": "Running"}, "web2": {"state": "Pending"}})
    for search, ids in (("id = 1", [1]), ("name ~ web", [1, 2]), ("name = other", [])):
        for answer in (
            client.get(f"{path}/outputs", params={"search_query": search}),
            client.post(f"{path}/outputs", json={"search_query": search}),
        ):
            assert [entry["host_id"] for entry in answer.json()["outputs"]] == ids


def test_28_36_cancel_a_running_job(world: World, client: httpx.Client) -> None:
    id_ = world.create()["id"]
    empty = client.post(f"{ROOT}/{id_}/cancel", headers={"Content-Type": "application/json"})
    assert (empty.status_code, empty.json()) == (200, {"cancelled": True, "id": id_})
    assert spec_of(world, id_)["cancellation"] == {"policy": "Graceful"}
    forced = client.post(f"{ROOT}/{id_}/cancel", json={"force": True})
    assert (forced.status_code, forced.json()) == (200, {"cancelled": True, "id": id_})
    assert spec_of(world, id_)["cancellation"] == {"policy": "Force"}


def test_28_force_false_is_not_force(world: World, client: httpx.Client) -> None:
    id_ = world.create()["id"]
    assert client.post(f"{ROOT}/{id_}/cancel?force=false", json={}).status_code == 200
    assert spec_of(world, id_)["cancellation"] == {"policy": "Graceful"}


def test_cancel_only_some_hosts(world: World, client: httpx.Client) -> None:
    id_ = world.create()["id"]
    answer = client.post(f"{ROOT}/{id_}/cancel", json={"search": "name = web2"})
    assert answer.status_code == 200
    assert (answer.json()["total"], len(answer.json()["cancelled"]), answer.json()["skipped"]) == (1, 1, [])
    assert spec_of(world, id_)["cancellation"] == {"policy": "Graceful", "hosts": ["web2"]}
    bad = client.post(f"{ROOT}/{id_}/cancel", json={"search": "nonsense = 1"})
    message = "Failed to cancel tasks on hosts: Field 'nonsense' not recognized for searching!"
    assert (bad.status_code, bad.json()) == (422, {"error": {"message": message}})


@pytest.mark.parametrize(
    ("orders", "policy", "said"),
    [
        ([{}], "Graceful", "Task cancelled"),
        ([{}, {}], "Force", "Cancel enforced: the task might be still running on the proxy"),
        ([{"force": True}], "Force", "Task aborted: the task might be still running on the proxy"),
        ([{}, {"force": True}, {}], "Force", "Task aborted: the task might be still running on the proxy"),
        ([{}, {}, {"force": 1}], "Force", "Task aborted: the task might be still running on the proxy"),
    ],
    ids=["plain", "twice", "force", "then force", "twice, then force"],
)
@pytest.mark.parametrize("search", [None, "name = web1"])
def test_28_a_cancelled_host_says_how_hard_it_was_cancelled(
    world: World, client: httpx.Client, orders: list[dict[str, Any]], policy: str, said: str, search: str | None
) -> None:
    id_ = world.create()["id"]
    world.deal(id_, {"web1": {"state": "Running"}, "web2": {"state": "Pending"}})
    path = f"{ROOT}/{id_}"
    world.wait(client, f"{path}/template_invocations", "the slice", lambda body: body["total"] == 2)
    for order in orders:
        wish = order if search is None else {**order, "search": search}
        answer = client.post(f"{path}/cancel", json=wish).raise_for_status().json()
        assert answer == {"cancelled": True, "id": id_} or len(answer["cancelled"]) == 1
    hosts = {} if search is None else {"hosts": ["web1"]}
    assert spec_of(world, id_)["cancellation"] == {"policy": policy, **hosts}
    began = {"startTime": "2024-05-04T10:00:00Z", "completionTime": "2024-05-04T10:00:05Z"}
    ended = {"state": "Cancelled", "reason": "Cancelled"}
    world.deal(id_, {"web1": {**ended, **began}, "web2": ended}, state="Done")
    world.settle(id_, "Cancelled", total=2, cancelled=2)
    body = world.wait(client, f"{path}/hosts/1", "the end", lambda shown: shown["complete"])
    assert (body["output"][0]["output_type"], body["output"][0]["output"]) == ("debug", said)
    assert client.get(f"{path}/hosts/1/raw").json()["output"] == f"{said}Exit status: EXCEPTION"
    listed = client.get(f"{path}/outputs").json()["outputs"]
    assert [next(chunk["output"] for chunk in host["output"]) for host in listed] == [said, "Task cancelled"]
    task = client.get(path).json()["task"]["id"]
    tasks = client.get(f"/foreman_tasks/api/tasks/{task}/sub_tasks").json()["results"]
    errors = {task["input"]["host"]["name"]: task["humanized"]["errors"] for task in tasks}
    assert errors == {"web1": [said], "web2": ["Task cancelled"]}


def test_a_second_cancel_of_one_of_several_hosts_does_not_hasten_the_others(world: World, client: httpx.Client) -> None:
    id_ = world.create()["id"]
    for search in ("name ~ web", "name = web1", "name = web1"):
        assert client.post(f"{ROOT}/{id_}/cancel", json={"search": search}).status_code == 200
        assert spec_of(world, id_)["cancellation"]["policy"] == "Graceful"
    assert client.post(f"{ROOT}/{id_}/cancel", json={"search": "name ^ (web1, web2)"}).status_code == 200
    assert spec_of(world, id_)["cancellation"]["policy"] == "Force"


def test_29_a_finished_job_cannot_be_cancelled(world: World, client: httpx.Client) -> None:
    id_ = finished(world, client, "Succeeded", "Succeeded")
    answer = client.post(f"{ROOT}/{id_}/cancel", json={})
    assert (answer.status_code, answer.json()) == (422, {"message": "The job could not be cancelled."})


def test_30_36_rerun(world: World, client: httpx.Client) -> None:
    given = world.create(ssh_user="admin", password="canary", time_to_pickup=9, concurrency_control={"time_span": 60})
    with world.facade.anonymous(auth=("ops", OPS_PASSWORD)) as other:
        answer = other.post(f"{ROOT}/{given['id']}/rerun", headers={"Content-Type": "application/json"})
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == FLAT
    assert (body["ssh_user"], body["time_to_pickup"], body["time_span"]) == ("admin", 9, 60)
    assert body["password"] is body["key_passphrase"] is body["effective_user_password"] is None
    spec = spec_of(world, body["id"])
    assert "credentialsRef" not in spec
    assert spec["inputs"]["command"] == "uptime"
    assert spec["rerunOf"]["hosts"] == "Listed"
    assert spec["requestedBy"] == {"username": "ops@example.com"}
    shown = client.get(f"{ROOT}/{body['id']}").json()
    assert shown["targeting"]["search_query"] == "name ^ (web1, web2)"
    assert [host["name"] for host in shown["targeting"]["hosts"]] == ["web1", "web2"]


def test_31_32_rerun_what_failed(world: World, client: httpx.Client) -> None:
    id_ = finished(world, client, "Succeeded", "Failed")
    for parameters, query, hosts in (
        ({"failed_only": True, "job_invocation": {}}, "name ^ (web2)", ["web2"]),
        ({"succeeded_only": 1}, "name ^ (web1)", ["web1"]),
        ({"host_ids": [2]}, "name ^ (web2)", ["web2"]),
    ):
        answer = client.post(f"{ROOT}/{id_}/rerun", json=parameters)
        assert answer.status_code == 201
        targeting = client.get(f"{ROOT}/{answer.json()['id']}").json()["targeting"]
        assert targeting["search_query"] == query
        assert [host["name"] for host in targeting["hosts"]] == hosts
        assert spec_of(world, answer.json()["id"])["targeting"]["hosts"] == hosts
    for parameters, hosts in (
        ("host_ids[]=2", ["web2"]),
        ("host_ids%5B%5D=2&host_ids%5B%5D=1", ["web2", "web1"]),
        ("host_ids=1&host_ids=2", ["web2"]),
    ):
        answer = client.post(f"{ROOT}/{id_}/rerun?{parameters}", json={})
        assert answer.status_code == 201
        assert spec_of(world, answer.json()["id"])["targeting"]["hosts"] == hosts, parameters
    well = finished(world, client, "Succeeded", "Succeeded")
    answer = client.post(f"{ROOT}/{well}/rerun", json={"failed_only": True})
    targeting = client.get(f"{ROOT}/{answer.json()['id']}").json()["targeting"]
    assert (targeting["search_query"], targeting["hosts"]) == ("name ^ ()", [])


def test_33_a_rerun_without_its_template(world: World, client: httpx.Client) -> None:
    world.template("doomed", 66, {"category": "Doomed", "ssh": {"script": "true"}})
    order = world.order(job_template_id=66, inputs={})

    def created() -> Any:
        answer = client.post(ROOT, json=order)
        return answer.json() if answer.status_code == 201 else None

    id_ = world.kube.wait("the template in the cache", created)["id"]
    world.kube.delete("jobtemplates", world.namespace, "doomed")
    error = {"error": f"Could not rerun job {id_} because its template could not be found"}

    def refused() -> Any:
        answer = client.post(f"{ROOT}/{id_}/rerun", json={})
        return answer if answer.status_code != 201 else None

    answer = world.kube.wait("the template's end in the cache", refused)
    assert (answer.status_code, answer.json()) == (404, error)


def test_35_hosts_are_paged_with_their_right_status(world: World, client: httpx.Client) -> None:
    id_ = world.create(search_query="name ^ (web1, web2, web3)")["id"]
    states = {"web1": {"state": "Succeeded"}, "web2": {"state": "Failed"}, "web3": {"state": "Running"}}
    world.deal(id_, states)
    world.settle(id_, None, total=3, succeeded=1, failed=1, running=1)
    world.wait(client, f"{ROOT}/{id_}", "the results", lambda body: body["succeeded"] == 1)
    page = client.get(f"{ROOT}/{id_}/hosts", params={"page": 2, "per_page": 1}).json()
    assert (page["total"], page["subtotal"], len(page["results"])) == (3, 3, 1)
    assert (page["results"][0]["name"], page["results"][0]["job_status"]) == ("web2", "error")
    assert "task" not in page["results"][0]
    more = client.get(f"{ROOT}/{id_}/hosts", params={"include_permissions": "true", "order": "name DESC"}).json()
    assert [host["name"] for host in more["results"]] == ["web3", "web2", "web1"]
    assert [host["task"]["cancellable"] for host in more["results"]] == [True, False, False]
    planned = client.get(f"{ROOT}/{id_}/template_invocations").json()["results"]
    assert [entry["host_name"] for entry in planned] == ["web1", "web2", "web3"]


def test_37_a_search_that_is_not_understood(client: httpx.Client) -> None:
    answer = client.get(f"{ROOT}?search=id%20%3E%20abc")
    error = {"message": "Value 'abc' is not valid for field 'id'", "class": "ScopedSearch::QueryNotSupported"}
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_jobs_are_searched_by_what_clients_ask_for(world: World, client: httpx.Client) -> None:
    id_ = finished(world, client, "Succeeded", "Failed")
    for query in ("status = failed", "user = current_user", "host = web1", "targeted_host_id = 2", "Commands"):
        found = client.get(ROOT, params={"search": f"{query} and id = {id_}"}).json()
        assert [item["id"] for item in found["results"]] == [id_], query
        assert found["subtotal"] == 1
        assert found["search"] == f"{query} and id = {id_}"


def test_who_may_not_make_schedules_makes_no_series(world: World) -> None:
    before = len(world.kube.list("schedules", world.namespace))
    with world.facade.client("executor") as executor:
        answer = executor.post(ROOT, json=world.order(recurrence={"cron_line": "5 * * * *"}))
        assert executor.post(ROOT, json=world.order()).status_code == 201
    assert answer.status_code == 403
    assert answer.json()["error"]["missing_permissions"] == ["create_recurring_logics"]
    assert len(world.kube.list("schedules", world.namespace)) == before


def test_15_a_feature_with_a_query(world: World) -> None:
    body = world.create(job_template_id=None, feature="run_script", search_query="name ~ web and id < 3")
    assert [host["id"] for host in body["targeting"]["hosts"]] == [1, 2]


@pytest.mark.parametrize("action", ["cancel", "rerun"])
def test_who_may_only_look_cannot_give_orders(world: World, action: str) -> None:
    id_ = world.create()["id"]
    with world.facade.client("viewer") as viewer:
        answer = viewer.post(f"{ROOT}/{id_}/{action}", json={})
    permission = {"cancel": "cancel_job_invocations", "rerun": "create_job_invocations"}[action]
    assert answer.status_code == 403
    assert answer.json()["error"]["missing_permissions"] == [permission]


def test_5_who_may_not_see_hosts_sees_jobs_without_them(world: World) -> None:
    id_ = world.create()["id"]
    with world.facade.client("blind") as blind:
        assert blind.get(f"{ROOT}/{id_}").json()["targeting"]["hosts"] == []
        assert blind.get(f"{ROOT}/{id_}/hosts").json()["results"] == []
        assert blind.get(f"{ROOT}/{id_}/outputs").json() == {"outputs": []}
        assert blind.get(f"{ROOT}/{id_}/hosts/1/raw").status_code == 404


def test_a_job_whose_end_is_known_before_that_of_its_hosts_shows_none_as_cancelled(
    world: World, client: httpx.Client
) -> None:
    id_ = world.create()["id"]
    world.deal(id_, {"web1": {"state": "Running"}, "web2": {"state": "Pending"}})
    world.settle(id_, "Cancelled", total=2, succeeded=1, failed=1)
    path = f"{ROOT}/{id_}?host_status=true"
    body = world.wait(client, path, "the job's end", lambda shown: shown["task"]["state"] == "stopped")
    world.wait(client, path, "the slice", lambda shown: shown["targeting"]["hosts"][0]["job_status"] == "running")
    shown = client.get(path).json()["targeting"]["hosts"]
    assert [host["job_status"] for host in shown] == ["running", "planned"]
    tasks = client.get(f"/foreman_tasks/api/tasks/{body['task']['id']}/sub_tasks").json()["results"]
    assert {(task["state"], task["result"]) for task in tasks} == {("running", "pending"), ("planned", "pending")}
    with ThreadPoolExecutor(1) as pool:
        rerun = pool.submit(lambda: client.post(f"{ROOT}/{id_}/rerun", json={"failed_only": True}))
        world.deal(id_, {"web1": {"state": "Succeeded"}, "web2": {"state": "Failed"}}, state="Done")
        answer = rerun.result(30)
    assert answer.status_code == 201
    assert spec_of(world, answer.json()["id"])["targeting"]["hosts"] == ["web2"]
    shown = client.get(path).json()["targeting"]["hosts"]
    assert [host["job_status"] for host in shown] == ["success", "error"]


def test_a_full_rerun_of_a_dynamic_job_chooses_its_hosts_anew(world: World, client: httpx.Client) -> None:
    query = {"targeting_type": "dynamic_query", "search_query": "name ~ web"}
    id_ = world.create(**query)["id"]
    world.deal(id_, {"web1": {"state": "Succeeded"}, "web2": {"state": "Failed"}}, state="Done")
    world.settle(id_, "Failed", total=2, succeeded=1, failed=1)
    world.wait(client, f"{ROOT}/{id_}", "the end", lambda body: body["status"] == 1)
    again = client.post(f"{ROOT}/{id_}/rerun", json={}).json()["id"]
    spec = spec_of(world, again)
    assert spec["targeting"] == spec_of(world, id_)["targeting"]
    assert spec["targeting"]["resolve"] == "AtStart"
    assert "hosts" not in spec["targeting"]
    assert "rerunOf" not in spec
    shown = client.get(f"{ROOT}/{again}").json()
    assert {key: shown["targeting"][key] for key in (*query, "hosts")} == {**query, "hosts": []}
    failed = client.post(f"{ROOT}/{id_}/rerun", json={"failed_only": True}).json()["id"]
    assert spec_of(world, failed)["targeting"]["hosts"] == ["web2"]
