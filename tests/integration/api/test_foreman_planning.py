"""Jobs that have not begun: nothing is planned on their hosts, which the operator knows already (§2.2, §3.5)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from integration.api.facade_world import NOW, World

ROOT = "/api/job_invocations"
HOST = {
    "name", "operatingsystem_id", "operatingsystem_name", "hostgroup_id", "hostgroup_name", "id", "job_status",
    "smart_proxy_id", "smart_proxy_name",
}  # fmt: skip
PLANNED = {
    "id", "template_id", "job_invocation_id", "effective_user", "host_id", "run_host_job_task_id", "host_name",
}  # fmt: skip


@pytest.fixture
def client(world: World) -> Iterator[httpx.Client]:
    with world.facade.client() as client:
        yield client


def test_a_job_that_has_not_begun_has_planned_nothing_on_its_hosts(world: World, client: httpx.Client) -> None:
    start = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
    id_ = world.create(scheduling={"start_at": start})["id"]
    path, hosts = f"{ROOT}/{id_}", {"web1": {"state": "Pending"}, "web2": {"state": "Pending"}}

    def nothing_is_planned(word: str) -> None:
        # Slices come in the order in which they are written: whoever sees the later job's sees this one's.
        later = world.create()["id"]
        world.deal(later, hosts)
        found = f"{ROOT}/{later}/template_invocations"
        planned = world.wait(client, found, "a later slice", lambda body: body["total"] == 2)["results"]
        assert planned[0].keys() == PLANNED
        shown = client.get(path, params={"host_status": "true"}).json()
        assert shown["template_invocations"] == []
        assert [host["job_status"] for host in shown["targeting"]["hosts"]] == [word, word]
        assert client.get(f"{path}/template_invocations").json()["total"] == 0
        tasks = client.get(f"/foreman_tasks/api/tasks/{shown['task']['id']}/sub_tasks").json()
        assert (tasks["total"], tasks["results"]) == (0, [])
        listed = client.get(f"{path}/hosts", params={"include_permissions": "true"}).json()["results"]
        assert [(host["job_status"], host["task"]) for host in listed] == [(word, None)] * 2
        assert listed[0].keys() == HOST | {"task", "permissions"}
        assert client.get(f"{path}/hosts").json()["results"][0].keys() == HOST
        assert client.get(ROOT, params={"search": f"host = web1 and id = {id_}"}).json()["subtotal"] == 0
        assert client.get("/api/hosts", params={"search": f"job_invocation.id = {id_}"}).json()["subtotal"] == 0
        outputs = client.get(f"{path}/outputs").json()["outputs"]
        assert [(host["complete"], host["output"]) for host in outputs] == [(word == "cancelled", [])] * 2
        raw = client.get(f"{path}/outputs", params={"raw": "true"}).json()["outputs"]
        assert [host["output"] for host in raw] == ["", ""]

    world.deal(id_, hosts)
    nothing_is_planned("N/A")
    assert client.post(f"{path}/cancel", json={}).status_code == 200
    world.deal(id_, {name: {"state": "Cancelled", "reason": "Cancelled"} for name in hosts}, state="Done")
    condition = {"type": "Cancelled", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": NOW}
    status = {"conditions": [condition], "slices": 1}
    world.kube.patch("jobinvocations", world.namespace, f"job-{id_}", {"status": status}, "status")
    world.wait(client, path, "the end", lambda body: body["status_label"] == "cancelled")
    nothing_is_planned("cancelled")
    answer = client.post(f"{path}/cancel", json={"search": "name ~ web"})
    assert answer.json() == {"total": 2, "cancelled": [], "skipped": [None, None]}
