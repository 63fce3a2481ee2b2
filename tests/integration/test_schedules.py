"""Schedules on a real cluster: what they make, and what they do not."""

import itertools
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime

import pytest

from support.jobs import end_of
from support.kube import Kube, KubeError, Object, condition
from support.operator import Operator
from support.schedules import OWNER, permit, runs, schedule, soon, status

POLICIES = ("Allow", "Forbid", "Replace")
RULE = "DTSTART;TZID=Europe/London:20300101T020000 RRULE:FREQ=DAILY;INTERVAL=1"


@pytest.fixture(scope="module")
def permitted(kube: Kube, namespace: str, operator: Operator) -> Iterator[str]:
    permit(kube, namespace)
    operator.wait_until_leading(kube)
    return namespace


def made(kube: Kube, namespace: str, name: str, count: int, timeout: float = 60) -> list[Object]:
    """The runs of a schedule, once there are so many and its status tells of the last."""

    def enough() -> list[Object]:
        found = runs(kube, namespace, name)
        told = status(kube, namespace, name).get("lastRun", {}).get("name")
        return found if len(found) >= count and told in {run["metadata"]["name"] for run in found} else []

    return kube.wait(f"{count} runs of {name}", enough, timeout)


def until_state(kube: Kube, namespace: str, name: str, state: str) -> Object:
    """The status, once it is in a state."""
    kube.wait(f"{name} to be {state}", lambda: status(kube, namespace, name).get("state") == state)
    return status(kube, namespace, name)


def events_of(kube: Kube, namespace: str, name: str) -> set[str]:
    found = kube.list("events", namespace, fieldSelector=f"involvedObject.name={name}")
    return {event["reason"] for event in found}


def test_one_moment_makes_one_run_and_ends_the_schedule(kube: Kube, permitted: str) -> None:
    moment = soon(5)
    kube.create(schedule(permitted, "once", at=moment))
    told = until_state(kube, permitted, "once", "Active")
    assert told["nextTimes"] == [moment]
    (run,) = made(kube, permitted, "once", 1)
    assert run["metadata"]["annotations"]["rollcall.dev/planned"] == moment
    assert run["metadata"]["ownerReferences"][0]["name"] == "once"
    assert run["spec"]["requestedBy"] == {"username": f"system:serviceaccount:{permitted}:{OWNER}"}
    ended = until_state(kube, permitted, "once", "Finished")
    assert ended["iteration"] == 1
    assert ended["nextTimes"] == []
    assert (condition(kube.get("schedules", permitted, "once"), "Active") or {})["reason"] == "Finished"
    assert (ended["lastRun"]["time"], ended["lastRun"]["name"]) == (moment, run["metadata"]["name"])
    assert ended["lastRun"]["latenessSeconds"] <= 2
    assert condition(end_of(kube, permitted, run["metadata"]["name"]), "Complete")
    kube.wait("nothing active", lambda: not status(kube, permitted, "once")["active"])
    assert {"RunStarted", "Finished"} <= events_of(kube, permitted, "once")


def test_a_grid_makes_a_run_at_each_point_up_to_its_iterations(kube: Kube, permitted: str) -> None:
    kube.create(schedule(permitted, "grid", every={"seconds": 3, "anchor": soon(2)}, maxIterations=3,
                         successfulJobsHistoryLimit=10))  # fmt: skip
    found = made(kube, permitted, "grid", 3)
    planned = [datetime.fromisoformat(run["metadata"]["annotations"]["rollcall.dev/planned"]) for run in found]
    assert [(later - first).total_seconds() for first, later in itertools.pairwise(planned)] == [3, 3]
    assert until_state(kube, permitted, "grid", "Finished")["iteration"] == 3


def table(kube: Kube, namespace: str, *arguments: str) -> dict[str, dict[str, str]]:
    """What `kubectl get rsched` prints: the rows by their names, and of each the cells by the columns' heads."""
    command = ["kubectl", "--kubeconfig", str(kube.kubeconfig), "-n", namespace, "get", "rsched", *arguments]
    head, *rows = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", head)]
    columns = [slice(start, end) for start, end in itertools.zip_longest(starts, starts[1:])]
    cells = [{head[column].strip(): row[column].strip() for column in columns} for row in rows]
    return {row["NAME"]: row for row in cells}


def test_the_table_tells_what_runs_next_and_when_and_what_needs_somebody(kube: Kube, permitted: str) -> None:
    twice, lines = ["30 2 * * *", "@noon"], "30 2 * * * | @noon"
    feature = {"spec": {"feature": "run_script", "targeting": {"hosts": ["host-0"]}}}
    kube.create(schedule(permitted, "well", cron=twice, timeZone="Europe/Berlin"))
    kube.create(schedule(permitted, "featured", cron=twice, invocationTemplate=feature))
    kube.create(schedule(permitted, "halted", cron=twice, suspend=True))
    kube.create(schedule(permitted, "broken", cron=twice, timeZone="Mars/Olympus"))
    hourly, mallory = {"seconds": 3600, "anchor": soon(2)}, {"username": "mallory"}
    kube.create(schedule(permitted, "refused", every=hourly, requestedBy=mallory))
    kube.wait("the refusal", lambda: status(kube, permitted, "refused").get("lastRun", {}).get("error"))
    states = {"well": "Active", "featured": "Active", "halted": "Suspended", "broken": "Invalid", "refused": "Active"}
    told = {name: until_state(kube, permitted, name, state) for name, state in states.items()}
    assert len(told["well"]["nextTimes"]) == 5
    following = {name: told[name]["nextTimes"][0] for name in ("well", "featured", "refused")}

    rows = table(kube, permitted)
    assert [*rows["well"]] == ["NAME", "STATE", "TIMES", "TEMPLATE", "NEXT", "LAST", "AGE"]
    glance = {name: [rows[name][head] for head in ("STATE", "TIMES", "TEMPLATE", "NEXT", "LAST")] for name in states}
    last = glance["refused"].pop()
    assert re.fullmatch(r"\d+s", last)
    assert glance == {
        "well": ["Active", f"{lines} (Europe/Berlin)", "run-command", following["well"], ""],
        "featured": ["Active", f"{lines} (UTC)", "feature: run_script", following["featured"], ""],
        "halted": ["Suspended", f"{lines} (UTC)", "run-command", "", ""],
        "broken": ["Invalid", f"{lines} (Mars/Olympus)", "run-command", "", ""],
        "refused": ["Active", "every 3600 s", "run-command", following["refused"]],
    }

    rows = table(kube, permitted, "-o", "wide")
    problems = {name: [rows[name][head] for head in ("PROBLEM", "ERROR", "ITERATION", "MISSED")] for name in states}
    error = problems["refused"].pop(1)
    assert problems == {
        "well": ["", "", "0", "0"], "featured": ["", "", "0", "0"], "halted": ["", "", "0", "0"],
        "broken": ["InvalidSpec", "", "0", "0"], "refused": ["", "0", "0"],
    }  # fmt: skip
    assert error.endswith(f"was not made: mallory may not create jobinvocations in {permitted}")
    kube.delete("schedules", permitted, "refused")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "exactly one of cron, every, at and rrule"),
        ({"cron": ["@daily"], "at": "2030-01-01T00:00:00Z"}, "exactly one of cron, every, at and rrule"),
        ({"rrule": RULE, "every": {"seconds": 60}}, "exactly one of cron, every, at and rrule"),
        ({"rrule": RULE, "timeZone": "Europe/London"}, "and a rrule has its own"),
        ({"at": "2030-01-01T00:00:00Z", "timeZone": "UTC"}, "timeZone belongs to cron"),
        ({"cron": ["@daily"], "startAt": "2030-01-02T00:00:00Z", "endAt": "2030-01-01T00:00:00Z"}, "endAt must not be"),
        ({"cron": ["@daily"], "requestedBy": {"username": "system:admin"}}, "a person or a ServiceAccount"),
        ({"cron": ["@daily"], "requestedBy": {"username": "eve", "groups": ["system:masters"]}}, "a person or a"),
        ({"cron": ["@daily"], "requestedBy": None}, "requestedBy: Required"),
    ],
)
def test_the_api_server_refuses_what_does_not_fit_together(kube: Kube, permitted: str, spec: Object, said: str) -> None:
    with pytest.raises(KubeError, match=said):
        kube.create(schedule(permitted, "wrong", **spec))


def test_what_only_the_operator_can_see_is_told(kube: Kube, permitted: str) -> None:
    kube.create(schedule(permitted, "no-zone", cron=["@daily"], timeZone="Mars/Olympus"))
    until_state(kube, permitted, "no-zone", "Invalid")
    found = condition(kube.get("schedules", permitted, "no-zone"), "Valid") or {}
    assert (found["status"], found["reason"]) == ("False", "InvalidSpec")
    assert "there is no time zone 'Mars/Olympus'" in found["message"]
    kube.patch("schedules", permitted, "no-zone", {"spec": {"timeZone": "Europe/Berlin"}})
    assert until_state(kube, permitted, "no-zone", "Active")["nextTimes"]


def test_a_recurrence_rule_makes_its_runs_and_ends_the_schedule(kube: Kube, permitted: str) -> None:
    begin = datetime.fromisoformat(soon(4))
    rule = f"DTSTART:{begin:%Y%m%dT%H%M%SZ} RRULE:FREQ=MINUTELY;INTERVAL=1;COUNT=4;BYSECOND={_seconds(begin, 0, 2)}"
    excepted = f"EXRULE:FREQ=MINUTELY;BYSECOND={_seconds(begin, 0)};COUNT=1"
    kube.create(schedule(permitted, "rule", rrule=f"{rule} {excepted}"))
    first, *_ = made(kube, permitted, "rule", 1)
    planned = datetime.fromisoformat(first["metadata"]["annotations"]["rollcall.dev/planned"])
    assert (planned - begin).total_seconds() == 2, "its first time is excepted"
    told = until_state(kube, permitted, "rule", "Active")
    assert len(told["nextTimes"]) == 2
    assert told["summary"].startswith("DTSTART:")
    kube.patch("schedules", permitted, "rule", {"spec": {"rrule": rule.replace("COUNT=4", "COUNT=2")}})
    until_state(kube, permitted, "rule", "Finished")
    kube.patch("schedules", permitted, "rule", {"spec": {"rrule": "RRULE:FREQ=SECONDLY"}})
    until_state(kube, permitted, "rule", "Invalid")
    found = condition(kube.get("schedules", permitted, "rule"), "Valid") or {}
    assert "give one DTSTART" in found["message"]


def _seconds(begin: datetime, *later: int) -> str:
    return ",".join(str((begin.second + seconds) % 60) for seconds in later)


def test_resuming_and_editing_make_no_run_of_the_past(kube: Kube, permitted: str) -> None:
    kube.create(schedule(permitted, "paused", every={"seconds": 1}, suspend=True))
    until_state(kube, permitted, "paused", "Suspended")
    created = datetime.fromisoformat(kube.get("schedules", permitted, "paused")["metadata"]["creationTimestamp"])
    kube.wait("five seconds", lambda: _age(created) > 5)
    kube.patch("schedules", permitted, "paused", {"spec": {"suspend": False, "maxIterations": 2}})
    found = made(kube, permitted, "paused", 2)
    told = until_state(kube, permitted, "paused", "Finished")
    assert (told["iteration"], told["missed"]) == (2, 0)
    first = datetime.fromisoformat(found[0]["metadata"]["annotations"]["rollcall.dev/planned"])
    assert (first - created).total_seconds() >= 5
    kube.patch("schedules", permitted, "paused", {"spec": {"every": {"seconds": 3600}, "maxIterations": 5}})
    told = until_state(kube, permitted, "paused", "Active")
    assert (told["iteration"], len(runs(kube, permitted, "paused"))) == (2, 2)


def _age(moment: datetime) -> float:
    return (datetime.now(moment.tzinfo) - moment).total_seconds()


@pytest.fixture(scope="module")
def overlapping(kube: Kube, permitted: str) -> None:
    """A schedule of each policy whose jobs outlast its period, all at work at the same time."""
    for policy in POLICIES:
        work = "sleep 12" if policy == "Forbid" else "sleep 180"
        kube.create(schedule(permitted, f"overlap-{policy.lower()}", work, maxIterations=2 if policy == "Forbid" else 3,
                             every={"seconds": 3, "anchor": soon(2)}, concurrencyPolicy=policy,
                             failedJobsHistoryLimit=10))  # fmt: skip


def _running(invocation: Object) -> int:
    """On how many hosts it is at work; it may not have been looked at yet."""
    return int(invocation.get("status", {}).get("hosts", {}).get("running", 0))


def test_beside_jobs_that_outlast_the_period_others_are_allowed(kube: Kube, permitted: str, overlapping: None) -> None:
    made(kube, permitted, "overlap-allow", 3)
    until_state(kube, permitted, "overlap-allow", "Finished")
    kube.wait("three runs at work", lambda: [*map(_running, runs(kube, permitted, "overlap-allow"))] == [1, 1, 1])


def test_jobs_that_outlast_the_period_are_replaced(kube: Kube, permitted: str, overlapping: None) -> None:
    made(kube, permitted, "overlap-replace", 3)
    until_state(kube, permitted, "overlap-replace", "Finished")
    first, second, third = (run["metadata"]["name"] for run in runs(kube, permitted, "overlap-replace"))
    for replaced in (first, second):
        assert (condition(end_of(kube, permitted, replaced), "Cancelled") or {})["status"] == "True"
    kube.wait("the last to be at work", lambda: _running(kube.get("jobinvocations", permitted, third)) == 1)
    assert "cancellation" not in kube.get("jobinvocations", permitted, third)["spec"]
    kube.wait("one active run", lambda: status(kube, permitted, "overlap-replace")["active"] == [third])


def test_while_a_job_outlasts_the_period_others_are_forbidden_and_follow_when_it_has_ended(
    kube: Kube, permitted: str, overlapping: None
) -> None:
    name = "overlap-forbid"
    first, second = (run["metadata"] for run in made(kube, permitted, name, 2))
    ended = end_of(kube, permitted, first["name"])
    assert condition(ended, "Complete")
    assert second["creationTimestamp"] >= ended["status"]["completionTime"]
    told = until_state(kube, permitted, name, "Finished")
    apart = [datetime.fromisoformat(run["annotations"]["rollcall.dev/planned"]) for run in (first, second)]
    left_out = (apart[1] - apart[0]).total_seconds() / 3 - 1
    assert left_out >= 3
    assert (told["iteration"], told["missed"], told["lastRun"]["name"]) == (2, left_out, second["name"])
    assert "RunSkipped" in events_of(kube, permitted, name)


def test_runs_go_with_their_schedule(kube: Kube, permitted: str, overlapping: None) -> None:
    names = [f"overlap-{policy.lower()}" for policy in POLICIES]
    assert all(runs(kube, permitted, name) for name in names)
    for name in names:
        kube.delete("schedules", permitted, name)
    kube.wait("all runs to go", lambda: not any(runs(kube, permitted, name) for name in names), 120)


def test_of_one_purpose_only_the_oldest_runs(kube: Kube, permitted: str) -> None:
    kube.create(schedule(permitted, "first", at=soon(5), purpose="patching"))
    until_state(kube, permitted, "first", "Active")
    kube.create(schedule(permitted, "second", every={"seconds": 2}, purpose="patching"))
    until_state(kube, permitted, "second", "Invalid")
    found = condition(kube.get("schedules", permitted, "second"), "Valid") or {}
    assert (found["reason"], "schedule first has the same purpose" in found["message"]) == ("PurposeTaken", True)
    made(kube, permitted, "first", 1)
    assert runs(kube, permitted, "second") == []
    until_state(kube, permitted, "first", "Finished")
    assert made(kube, permitted, "second", 1)
    kube.delete("schedules", permitted, "second")


def test_a_run_by_hand(kube: Kube, permitted: str) -> None:
    kube.create(schedule(permitted, "rarely", cron=["0 0 1 1 *"]))
    until_state(kube, permitted, "rarely", "Active")

    def ask() -> None:
        kube.patch("schedules", permitted, "rarely", {"metadata": {"annotations": {"rollcall.dev/run-now": "yes"}}})
        kube.wait("the request to be met", lambda: "rollcall.dev/run-now" not in (
            kube.get("schedules", permitted, "rarely")["metadata"].get("annotations") or {}))  # fmt: skip

    for count in (1, 2):
        ask()
        found = runs(kube, permitted, "rarely")
        assert [run["metadata"]["annotations"]["rollcall.dev/planned"] for run in found] == ["Manual"] * count
    told = status(kube, permitted, "rarely")
    assert (told["lastRun"]["manual"], told["iteration"], told["state"]) == (True, 0, "Active")


def test_who_has_lost_the_right_starts_nothing(kube: Kube, permitted: str) -> None:
    eve = {"username": "eve", "groups": ["ops"]}
    kube.create(schedule(permitted, "eves", every={"seconds": 2}, requestedBy=eve))
    kube.wait("refusal", lambda: status(kube, permitted, "eves").get("lastRun", {}).get("error"))
    told = status(kube, permitted, "eves")
    assert "eve may not create jobinvocations" in told["lastRun"]["error"]
    assert (told["iteration"], told["state"]) == (0, "Active")
    assert runs(kube, permitted, "eves") == []
    kube.wait("an Event", lambda: "PermissionDenied" in events_of(kube, permitted, "eves"))
    kube.apply({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "ops", "namespace": permitted},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OWNER},
        "subjects": [{"kind": "Group", "name": "ops", "apiGroup": "rbac.authorization.k8s.io"}],
    })  # fmt: skip
    assert made(kube, permitted, "eves", 1)
    kube.wait("no word of the refusal", lambda: "error" not in status(kube, permitted, "eves")["lastRun"])
    kube.delete("rolebindings", permitted, "ops")
    kube.wait("refusal again", lambda: status(kube, permitted, "eves")["lastRun"].get("error"))
    kube.delete("schedules", permitted, "eves")


def test_a_mark_that_somebody_made_up_is_replaced(kube: Kube, permitted: str) -> None:
    forged = {"rollcall.dev/run-now": "taken-0001-01-01T00:00:00.000000+00:00"}
    asked = schedule(permitted, "forged", cron=["0 0 1 1 *"])
    kube.create(asked | {"metadata": asked["metadata"] | {"annotations": forged}})
    (run,) = made(kube, permitted, "forged", 1)
    kube.wait("the request to be met", lambda: "rollcall.dev/run-now" not in (
        kube.get("schedules", permitted, "forged")["metadata"].get("annotations") or {}))  # fmt: skip
    told = status(kube, permitted, "forged")
    created = datetime.fromisoformat(kube.get("schedules", permitted, "forged")["metadata"]["creationTimestamp"])
    assert (told["lastRun"]["name"], told["lastRun"]["manual"]) == (run["metadata"]["name"], True)
    assert datetime.fromisoformat(told["lastRun"]["time"]).year == created.year
    assert len(runs(kube, permitted, "forged")) == 1


def test_what_cannot_be_read_is_told(kube: Kube, permitted: str) -> None:
    """The API server takes the year 0, and Python does not."""
    kube.create(schedule(permitted, "ancient", at="0000-01-01T00:00:00Z"))
    until_state(kube, permitted, "ancient", "Invalid")
    found = condition(kube.get("schedules", permitted, "ancient"), "Valid") or {}
    assert (found["status"], found["reason"]) == ("False", "InvalidSpec")
    assert "spec.at" in found["message"]
    kube.wait("an Event", lambda: "InvalidSpec" in events_of(kube, permitted, "ancient"))
    kube.patch("schedules", permitted, "ancient", {"spec": {"at": "2099-01-01T00:00:00Z"}})
    until_state(kube, permitted, "ancient", "Active")


def test_only_so_many_runs_are_kept(kube: Kube, permitted: str) -> None:
    kube.create(schedule(permitted, "kept", every={"seconds": 2, "anchor": soon(1)}, maxIterations=3,
                         successfulJobsHistoryLimit=1))  # fmt: skip
    until_state(kube, permitted, "kept", "Finished")
    kube.wait("one run to be left", lambda: (
        len(found := runs(kube, permitted, "kept")) == 1 and condition(found[0], "Complete")), 180)  # fmt: skip
