"""Runs that were made ahead of their time, as the REST facade makes them (docs/adr/0022)."""

from datetime import UTC, datetime

import pytest

from support.jobs import end_of
from support.kube import Kube, Object, condition
from support.operator import Operator
from support.schedules import MADE_AHEAD, make_ahead, permit, runs, schedule, soon, status


@pytest.fixture
def kube_with_rights(kube: Kube, namespace: str, operator: Operator) -> Kube:
    permit(kube, namespace)
    operator.wait_until_leading(kube)
    return kube


def wait_for_state(kube: Kube, namespace: str, name: str, state: str) -> Object:
    kube.wait(f"{name} to be {state}", lambda: status(kube, namespace, name).get("state") == state)
    return status(kube, namespace, name)


def test_a_run_made_ahead_starts_at_its_moment_and_is_told_of_only_then(kube_with_rights: Kube, namespace: str) -> None:
    kube, moment = kube_with_rights, soon(8)
    name = make_ahead(kube, namespace, kube.create(schedule(namespace, "ahead", at=moment)), moment)
    told = wait_for_state(kube, namespace, "ahead", "Active")
    kube.wait("the run to be seen", lambda: kube.get("jobinvocations", namespace, name).get("status", {}).get("state"))
    told = status(kube, namespace, "ahead")
    assert (told["nextTimes"], told["iteration"], "lastRun" in told, told["active"]) == ([moment], 0, False, [])
    assert datetime.now(UTC) < datetime.fromisoformat(moment)
    assert condition(end_of(kube, namespace, name), "Complete")
    ended = kube.get("jobinvocations", namespace, name)
    assert ended["status"]["startTime"] >= moment
    assert MADE_AHEAD not in ended["metadata"]["annotations"]
    told = wait_for_state(kube, namespace, "ahead", "Finished")
    assert (told["iteration"], told["lastRun"]["name"]) == (1, name)
    assert [found["metadata"]["name"] for found in runs(kube, namespace, "ahead")] == [name]


def test_whoever_loses_the_right_starts_nothing_that_waited(kube_with_rights: Kube, namespace: str) -> None:
    kube, moment = kube_with_rights, soon(6)
    permit(kube, namespace, "leaver")
    leaver = {"username": f"system:serviceaccount:{namespace}:leaver"}
    stored = kube.create(schedule(namespace, "no-right", at=moment, requestedBy=leaver))
    name = make_ahead(kube, namespace, stored, moment)
    kube.delete("rolebindings", namespace, "leaver")
    assert condition(end_of(kube, namespace, name), "Cancelled")
    assert "startTime" not in kube.get("jobinvocations", namespace, name)["status"]
    told = wait_for_state(kube, namespace, "no-right", "Finished")
    assert (told["iteration"], told["lastRun"]["reason"]) == (0, "PermissionDenied")


def test_an_edit_of_the_times_takes_the_run_back_that_waits(kube_with_rights: Kube, namespace: str) -> None:
    kube, moment = kube_with_rights, soon(3600)
    name = make_ahead(kube, namespace, kube.create(schedule(namespace, "times", at=moment)), moment)
    wait_for_state(kube, namespace, "times", "Active")
    sooner = soon(4)
    kube.patch("schedules", namespace, "times", {"spec": {"at": sooner}})
    kube.wait("another run", lambda: [found["metadata"]["name"] for found in runs(kube, namespace, "times")] != [name])
    told = wait_for_state(kube, namespace, "times", "Finished")
    (made,) = runs(kube, namespace, "times")
    assert (told["iteration"], told["lastRun"]["name"]) == (1, made["metadata"]["name"])
    assert made["metadata"]["annotations"]["rollcall.dev/planned"] == sooner


def test_an_edit_of_what_is_run_reaches_the_run_that_waits(kube_with_rights: Kube, namespace: str) -> None:
    kube, moment = kube_with_rights, soon(8)
    before = schedule(namespace, "edited", "echo before", at=moment)
    name = make_ahead(kube, namespace, kube.create(before), moment)
    template = schedule(namespace, "edited", "echo after")["spec"]["invocationTemplate"]
    kube.patch("schedules", namespace, "edited", {"spec": {"invocationTemplate": template}})
    kube.wait("the run to be taken back", lambda: not runs(kube, namespace, "edited"))
    wait_for_state(kube, namespace, "edited", "Finished")
    (made,) = runs(kube, namespace, "edited")
    assert (made["metadata"]["name"], made["spec"]["inputs"]) == (name, {"command": "echo after"})


def test_what_falls_into_a_pause_is_cancelled_when_the_schedule_goes_on(kube_with_rights: Kube, namespace: str) -> None:
    kube, moment = kube_with_rights, soon(3)
    name = make_ahead(kube, namespace, kube.create(schedule(namespace, "paused", at=moment, suspend=True)), moment)
    kube.wait("its moment", lambda: datetime.now(UTC) > datetime.fromisoformat(moment))
    waiting = kube.get("jobinvocations", namespace, name)
    assert MADE_AHEAD in waiting["metadata"]["annotations"]
    assert "cancellation" not in waiting["spec"]
    kube.patch("schedules", namespace, "paused", {"spec": {"suspend": False}})
    assert condition(end_of(kube, namespace, name), "Cancelled")
    assert wait_for_state(kube, namespace, "paused", "Finished")["iteration"] == 0


def test_a_run_that_is_cancelled_before_its_time_is_skipped(kube_with_rights: Kube, namespace: str) -> None:
    kube = kube_with_rights
    stored = kube.create(schedule(namespace, "skipped", every={"seconds": 3600}))
    kube.wait("its times", lambda: status(kube, namespace, "skipped").get("nextTimes"))
    first, second, *_ = status(kube, namespace, "skipped")["nextTimes"]
    name = make_ahead(kube, namespace, stored, first)
    kube.patch("jobinvocations", namespace, name, {"spec": {"cancellation": {}}})
    kube.wait("the next", lambda: status(kube, namespace, "skipped")["nextTimes"][0] == second)
    told = status(kube, namespace, "skipped")
    assert (told["iteration"], "lastRun" in told) == (1, False)
    events = kube.list("events", namespace)
    assert [e["note"] if "note" in e else e["message"] for e in events if e["reason"] == "RunSkipped"] == [
        f"{name} ended before its time came"
    ]
