"""Series that clients pause, resume and end (contract §4.5, §7.7; docs/adr/0022), against a real API server."""

from collections.abc import Iterator

import httpx
import pytest

from integration.api.facade_world import RUN, World, grant, service_account
from support.kube import Kube, Object

ROOT = "/api/job_invocations"
LOGICS = "/foreman_tasks/api/recurring_logics"
AUTHOR = [*RUN, {"apiGroups": ["rollcall.dev"], "resources": ["schedules"], "verbs": ["get", "update"]}]


@pytest.fixture(scope="module")
def author(kube: Kube, world: World) -> str:
    world.facade.tokens["series-author"] = service_account(kube, world.namespace, "series-author", AUTHOR)
    return "series-author"


@pytest.fixture
def client(world: World, author: str) -> Iterator[httpx.Client]:
    with world.facade.client(author) as client:
        yield client


def run_of(world: World, body: Object) -> Object:
    """The JobInvocation of a job, whatever its name."""
    found = world.kube.list("jobinvocations", world.namespace, labelSelector=f"rollcall.dev/id={body['id']}")
    assert len(found) == 1
    return found[0]


def runs_of(world: World, body: Object) -> list[Object]:
    """The JobInvocations of the series of a job."""
    name = f"series-{body['recurrence']['id']}"
    return world.kube.list("jobinvocations", world.namespace, labelSelector=f"rollcall.dev/schedule={name}")


def waits(world: World, body: Object) -> bool:
    """Whether a run waits for its Schedule to let it go, and nobody has cancelled it."""
    run = run_of(world, body)
    assert run["spec"]["suspend"] is False
    return "rollcall.dev/made-ahead" in run["metadata"]["annotations"] and "cancellation" not in run["spec"]


def test_a_series_that_is_paused_keeps_its_queued_run_and_goes_on_with_it(world: World, client: httpx.Client) -> None:
    body = world.create(recurrence={"cron_line": "9 4 * * *"})
    path = f"{LOGICS}/{body['recurrence']['id']}"
    paused = client.put(path, json={"enabled": False}).json()
    assert (paused["state"], paused["next_occurence"]) == ("disabled", None)
    assert waits(world, body)
    shown = client.get(f"{ROOT}/{body['id']}").json()
    assert (shown["status_label"], shown["start_at"]) == ("queued", body["start_at"])
    resumed = client.put(path, json={"enabled": True}).json()
    assert (resumed["state"], resumed["next_occurence"]) == ("active", body["start_at"])
    assert waits(world, body)
    assert len(runs_of(world, body)) == 1


def test_a_run_that_was_taken_back_is_queued_as_it_is_to_be_now(world: World, client: httpx.Client) -> None:
    body = world.create(recurrence={"cron_line": "9 5 * * *"})
    before, path = run_of(world, body), f"{LOGICS}/{body['recurrence']['id']}"
    name = f"series-{body['recurrence']['id']}"
    # As somebody edits it with kubectl, and the operator sees that.
    world.kube.patch("schedules", world.namespace, name, {"spec": {"cron": ["19 5 * * *"]}})
    world.kube.delete("jobinvocations", world.namespace, before["metadata"]["name"])
    world.kube.wait("another run", lambda: [run["metadata"]["name"] for run in runs_of(world, body)] not in (
        [], [before["metadata"]["name"]]))  # fmt: skip
    (queued,) = runs_of(world, body)
    assert queued["spec"]["startAt"][13:] == ":19:00Z"
    assert queued["metadata"]["annotations"]["rollcall.dev/made-ahead"]
    world.wait(client, path, "its next time", lambda shown: ":19:" in (shown["next_occurence"] or ""))


def test_a_series_that_is_ended_cancels_its_queued_run_and_frees_its_purpose(
    world: World, client: httpx.Client
) -> None:
    order = {"cron_line": "11 4 * * *", "purpose": "once at a time"}
    body = world.create(recurrence=order)
    taken = client.post(ROOT, json=world.order(recurrence=order))
    assert taken.status_code == 500
    assert client.post(f"{LOGICS}/{body['recurrence']['id']}/cancel", json={}).json()["state"] == "cancelled"
    assert run_of(world, body)["spec"]["cancellation"]
    again = client.post(ROOT, json=world.order(recurrence=order))
    assert (again.status_code, again.json()["recurrence"]["purpose"]) == (201, "once at a time")


def test_a_run_that_could_not_be_queued_is_tried_again(world: World, client: httpx.Client) -> None:
    service_account(world.kube, world.namespace, "later", [])
    spec = {
        "cron": ["30 2 * * *"],
        "requestedBy": {"username": f"system:serviceaccount:{world.namespace}:later"},
        "invocationTemplate": {
            "metadata": {"annotations": {"series.rollcall.dev/queues-next": "true"}},
            "spec": {"templateRef": {"name": "run-command"}, "targeting": {"hosts": ["web1"]}},
        },
    }
    metadata = {"name": "no-rights-yet", "labels": {"rollcall.dev/id": "900111"}}
    api = "rollcall.dev/v1alpha1"
    world.kube.create({"apiVersion": api, "kind": "Schedule", "metadata": metadata, "spec": spec}, world.namespace)
    refused = "the next run of no-rights-yet cannot be queued: Forbidden"
    world.kube.wait("the refusal", lambda: refused in world.facade.log.read_text())
    subject = {"kind": "ServiceAccount", "name": "later", "namespace": world.namespace}
    grant(world.kube, world.namespace, "later", RUN, subject)

    def queued() -> list[Object]:
        selector = "rollcall.dev/schedule=no-rights-yet"
        return world.kube.list("jobinvocations", world.namespace, labelSelector=selector)

    world.kube.wait("the run", queued)
    assert len(queued()) == 1
