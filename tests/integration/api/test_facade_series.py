"""Series that clients pause, resume and end (contract §4.5, §7.7; docs/adr/0022), against a real API server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

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


def asked_of(world: World, body: Object) -> Any:
    """What the run's spec says by now, of what can change."""
    spec = run_of(world, body)["spec"]
    return spec["suspend"], "cancellation" in spec


def test_a_series_that_is_paused_keeps_its_queued_run_and_goes_on_with_it(world: World, client: httpx.Client) -> None:
    body = world.create(recurrence={"cron_line": "9 4 * * *"})
    path = f"{LOGICS}/{body['recurrence']['id']}"
    paused = client.put(path, json={"enabled": False}).json()
    assert (paused["state"], paused["next_occurence"]) == ("disabled", None)
    assert asked_of(world, body) == (True, False)
    shown = client.get(f"{ROOT}/{body['id']}").json()
    assert (shown["status_label"], shown["start_at"]) == ("queued", body["start_at"])
    resumed = client.put(path, json={"enabled": True}).json()
    assert (resumed["state"], resumed["next_occurence"]) == ("active", body["start_at"])
    assert asked_of(world, body) == (False, False)
    assert len(runs_of(world, body)) == 1


def test_a_schedule_that_is_suspended_by_kubectl_holds_its_queued_run_too(world: World, client: httpx.Client) -> None:
    body = world.create(recurrence={"cron_line": "9 5 * * *"})
    name = f"series-{body['recurrence']['id']}"
    world.kube.patch("schedules", world.namespace, name, {"spec": {"suspend": True}})
    world.kube.wait("the queued run to be held", lambda: asked_of(world, body) == (True, False))
    shown = client.get(f"{ROOT}/{body['id']}").json()["recurrence"]
    assert (shown["state"], shown["next_occurence"]) == ("disabled", None)
    world.kube.patch("schedules", world.namespace, name, {"spec": {"suspend": False}})
    world.kube.wait("the queued run to go on", lambda: asked_of(world, body) == (False, False))


def test_a_run_that_somebody_suspended_by_hand_stays_so(world: World, client: httpx.Client) -> None:
    body = world.create(recurrence={"cron_line": "9 6 * * *"})
    name = run_of(world, body)["metadata"]["name"]
    world.kube.patch("jobinvocations", world.namespace, name, {"spec": {"suspend": True}})
    path = f"{LOGICS}/{body['recurrence']['id']}"
    with world.facade.client() as viewer:
        world.wait(viewer, f"{ROOT}/{body['id']}", "the job", lambda shown: shown["status_label"] == "queued")
    # Whoever suspends for the series says so with an annotation; this run has none, and is not resumed.
    assert "rollcall.dev/paused" not in run_of(world, body)["metadata"]["annotations"]
    assert client.put(path, json={"enabled": True}).status_code == 200
    assert asked_of(world, body) == (True, False)


def test_a_run_whose_time_came_while_its_series_was_paused_is_given_up(world: World, client: httpx.Client) -> None:
    name = "late-series"
    moment = (datetime.now(UTC) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    spec = {
        "at": moment,
        "suspend": True,
        "requestedBy": {"username": f"system:serviceaccount:{world.namespace}:runner"},
        "invocationTemplate": {
            "metadata": {"annotations": {"series.rollcall.dev/queues-next": "true"}},
            "spec": {"templateRef": {"name": "run-command"}, "targeting": {"hosts": ["web1"]}},
        },
    }
    api = "rollcall.dev/v1alpha1"
    metadata = {"name": name, "labels": {"rollcall.dev/id": "900101"}}
    schedule = world.kube.create(
        {"apiVersion": api, "kind": "Schedule", "metadata": metadata, "spec": spec}, world.namespace
    )
    owner = {"apiVersion": api, "kind": "Schedule", "name": name, "uid": schedule["metadata"]["uid"]}
    invocation = {
        "apiVersion": api,
        "kind": "JobInvocation",
        "metadata": {
            "name": f"{name}-run",
            "labels": {"rollcall.dev/id": "900102"},
            "annotations": {"rollcall.dev/planned": moment},
            "ownerReferences": [owner],
        },
        "spec": {**spec["invocationTemplate"]["spec"], "startAt": moment},
    }
    world.kube.create(invocation, world.namespace)
    body = {"id": 900102}
    world.kube.wait("the run to be held", lambda: asked_of(world, body) == (True, False))
    world.kube.wait("its moment", lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") > moment)
    assert client.put(f"{LOGICS}/900101", json={"enabled": True}).status_code == 200
    assert asked_of(world, body) == (True, True)


def test_a_series_that_is_ended_cancels_its_queued_run_and_frees_its_purpose(
    world: World, client: httpx.Client
) -> None:
    order = {"cron_line": "11 4 * * *", "purpose": "once at a time"}
    body = world.create(recurrence=order)
    taken = client.post(ROOT, json=world.order(recurrence=order))
    assert taken.status_code == 500
    assert client.post(f"{LOGICS}/{body['recurrence']['id']}/cancel", json={}).json()["state"] == "cancelled"
    assert asked_of(world, body)[1]
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
