"""Who has one right over all jobs and another over their own only, has what needs both for their own only."""

from typing import Any

import pytest

from integration.api.facade_world import World, service_account
from rollcall.outputs import Event, Stream
from support.kube import Kube

ROOT = "/api/job_invocations"
CANARY = "canary-of-another"
OWN_OUTPUT = (("jobinvocations", ["create", "get", "list"]), ("joboutputs/own", ["get"]))
OWN_JOBS = (("jobinvocations", ["create"]), ("jobinvocations/own", ["get", "list"]), ("joboutputs", ["get"]))
OWN_CANCEL = (("jobinvocations", ["create", "get", "list"]), ("jobinvocations/own", ["cancel"]))


def rules(rights: tuple[tuple[str, list[str]], ...]) -> list[dict[str, Any]]:
    common = {"apiGroups": ["rollcall.dev"], "resources": ["hosts", "jobtemplates"], "verbs": ["get", "list"]}
    return [common, *({"apiGroups": ["rollcall.dev"], "resources": [one], "verbs": verbs} for one, verbs in rights)]


@pytest.fixture(scope="module")
def people(kube: Kube, namespace: str, world: World) -> World:
    for name, rights in (("own-output", OWN_OUTPUT), ("own-jobs", OWN_JOBS), ("own-cancel", OWN_CANCEL)):
        world.facade.tokens[name] = service_account(kube, namespace, name, rules(rights))
    return world


def job_that_said(world: World, user: str, text: str) -> int:
    """A job that the user asked for, with a host at work that has said something."""
    id_: int = world.create(user, search_query="name = web1")["id"]
    world.deal(id_, {"web1": {"state": "Running"}})
    world.store(id_, 0, [Event("web1", 0, 1_700_000_000.0, Stream.STDOUT, text.encode())])
    with world.facade.client() as client:
        world.wait(client, f"{ROOT}/{id_}/hosts/1", "the output", lambda body: body["output"])
    return id_


def routes_of_output(id_: int) -> list[tuple[str, str]]:
    path = f"{ROOT}/{id_}"
    return [
        ("GET", f"{path}/hosts/1"),
        ("GET", f"{path}/hosts/1/raw"),
        ("GET", f"{path}/outputs"),
        ("POST", f"{path}/outputs"),
    ]


@pytest.mark.parametrize(("user", "sees_job"), [("own-output", 200), ("own-jobs", 404)])
def test_output_is_shown_as_far_as_job_and_output_may_be_read(people: World, user: str, sees_job: int) -> None:
    others, mine = job_that_said(people, "runner", CANARY), job_that_said(people, user, "mine")
    with people.facade.client(user) as client:
        assert client.get(f"{ROOT}/{others}").status_code == sees_job
        for method, path in routes_of_output(others):
            answer = client.request(method, path, json={} if method == "POST" else None)
            assert (answer.status_code, CANARY in answer.text) == (404, False), f"{method} {path}: {answer.text}"
        for method, path in routes_of_output(mine):
            answer = client.request(method, path, json={} if method == "POST" else None)
            assert (answer.status_code, "mine" in answer.text) == (200, True), f"{method} {path}: {answer.text}"


def test_who_sees_all_jobs_and_cancels_their_own_cancels_no_other(people: World) -> None:
    others, mine = job_that_said(people, "runner", CANARY), job_that_said(people, "own-cancel", "mine")
    with people.facade.client("own-cancel") as client:
        assert client.get(f"{ROOT}/{others}").status_code == 200
        assert client.post(f"{ROOT}/{others}/cancel", json={}).status_code == 404
        uid = people.invocation(others)["metadata"]["uid"]
        bulk = client.post("/foreman_tasks/api/tasks/bulk_cancel", json={"task_ids": [uid]})
        assert bulk.status_code == 404
        assert client.post(f"{ROOT}/{mine}/cancel", json={}).json() == {"cancelled": True, "id": mine}
    assert "cancellation" not in people.invocation(others)["spec"]
    assert people.invocation(mine)["spec"]["cancellation"]["policy"] == "Graceful"
