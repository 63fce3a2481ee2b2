"""Objects of the cluster become Foreman's JSON (contract §2.1, §2.2, §3, §8)."""

import json
from typing import Any

import pytest

from rollcall.resources.targeting import Targeting
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.foreman import render, rerun, task_render
from rollcall_api.foreman.errors import ForemanError
from rollcall_api.foreman.host_routes import described
from rollcall_api.foreman.lists import envelope
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import Page
from rollcall_api.foreman.status import has_planned, job_status
from rollcall_api.jobs import Jobs, View
from rollcall_api.sequences import Sequences

BASE_KEYS = {
    "id", "description", "job_category", "targeting_id", "status", "start_at", "status_label", "ssh_user",
    "time_to_pickup", "dynflow_task", "succeeded", "failed", "pending", "total", "missing",
}  # fmt: skip
N_A = "N/A"
UID = "5c0e2f0a-0000-4000-8000-000000000001"


def an_invocation(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "job-41",
            "uid": UID,
            "resourceVersion": "100",
            "creationTimestamp": "2023-05-04T10:00:00Z",
            "labels": {"rollcall.dev/id": "41"},
        },
        "spec": {
            "templateRef": {"name": "run-command"},
            "inputs": {"command": "uptime"},
            "targeting": {"hosts": ["web1", "web2"]},
            "requestedBy": {"username": "alice"},
            **spec,
        },
        "status": status or {},
    }


def conditions(*types: str) -> list[dict[str, str]]:
    return [{"type": type_, "status": "True"} for type_ in types]


def a_view(
    invocation: dict[str, Any], states: list[str] | None = None, hosts: tuple[str, ...] = ("web1", "web2")
) -> View:
    cluster = Cluster()
    cache = Cache(cluster, "ns")
    numbers = {"web1": 9, "web2": 12}
    for name in hosts:
        labels = {"rollcall.dev/id": str(numbers[name])}
        cache.hosts.put({"metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": labels}})
    spec = {
        "displayName": "Run Command - Script Default",
        "category": "Commands",
        "descriptionFormat": "Run %{command}",
    }
    metadata = {"name": "run-command", "uid": "t", "resourceVersion": "1", "labels": {"rollcall.dev/id": "190"}}
    cache.templates.put({"metadata": metadata, "spec": {**spec, "inputs": [{"name": "command", "required": True}]}})
    if states is not None:
        results = [{"name": n, "state": s} for n, s in zip(("web1", "web2"), states, strict=True)]
        spec_ = {"invocationRef": {"name": "job-41"}, "index": 0, "hosts": ["web1", "web2"]}
        slice_metadata = {"name": "job-41-0", "uid": "s", "resourceVersion": "1"}
        cache.slices.put({"metadata": slice_metadata, "spec": spec_, "status": {"state": "Running", "hosts": results}})
    job = cache.jobs.put(invocation)
    assert job is not None
    return Jobs(cluster, cache, Sequences(cluster, "ns"), "ns").view(job)


def shown(view: View, host_status: bool = True, include_hosts: bool = True, may_view_hosts: bool = True) -> Any:
    return json.loads(
        render.show(
            view,
            [m for m in view.members if m.host and may_view_hosts] if include_hosts else None,
            host_status=host_status,
            shows_query=may_view_hosts,
        )
    )


def test_the_contracts_own_example() -> None:
    status = {
        "description": "Run uptime",
        "conditions": conditions("Resolved", "Failed"),
        "hosts": {"total": 2, "succeeded": 1, "failed": 1},
    }
    body = shown(a_view(an_invocation(status), ["Succeeded", "Failed"]))
    values = [{"template_input_name": "command", "template_input_id": 0, "value": "uptime"}]
    for entry in body["template_invocations"]:
        assert entry["template_invocation_input_values"][0].pop("template_input_id") > 0
        entry["template_invocation_input_values"][0]["template_input_id"] = 0
    expected = {
        "id": 41,
        "description": "Run uptime",
        "job_category": "Commands",
        "targeting_id": 41,
        "status": 1,
        "start_at": "2023-05-04 10:00:00 UTC",
        "status_label": "failed",
        "ssh_user": None,
        "time_to_pickup": None,
        "succeeded": 1,
        "failed": 1,
        "pending": 0,
        "total": 2,
        "missing": 0,
        "dynflow_task": {"id": UID, "state": "stopped"},
        "task": {
            "id": UID,
            "state": "stopped",
            "cancellable": False,
            "started_at": "2023-05-04 10:00:00 UTC",
        },
        "template_invocations": [
            {
                "template_id": 190,
                "template_name": "Run Command - Script Default",
                "host_id": number,
                "template_invocation_input_values": values,
            }
            for number in (9, 12)
        ],
    }
    assert {key: body[key] for key in expected} == expected
    assert body["targeting"]["hosts"] == [
        {"name": "web1", "id": 9, "display_name": "web1", "job_status": "success"},
        {"name": "web2", "id": 12, "display_name": "web2", "job_status": "error"},
    ]
    assert set(body["targeting"]) >= {"bookmark_id", "search_query", "targeting_type", "user_id", "randomized_ordering"}
    assert not {"mode", "recurrence", "scheduling", "action", "state", "started_at"} & set(body)


COUNTS: list[tuple[str, dict[str, Any], tuple[int, str, str], list[Any]]] = [
    ("nothing known yet", {}, (3, "running", "planned"), [N_A, N_A, N_A, 2]),
    (
        "resolved",
        {"conditions": conditions("Resolved"), "hosts": {"total": 2, "pending": 1, "running": 1}},
        (3, "running", "running"),
        [0, 0, 2, 2],
    ),
    (
        "complete",
        {"conditions": conditions("Resolved", "Complete"), "hosts": {"total": 2, "succeeded": 2}},
        (0, "succeeded", "stopped"),
        [2, 0, 0, 2],
    ),
    (
        "cancelled while running ends failed, and its hosts count as failed",
        {"conditions": conditions("Resolved", "Failed"), "hosts": {"total": 2, "succeeded": 1, "cancelled": 1}},
        (1, "failed", "stopped"),
        [1, 1, 0, 2],
    ),
    (
        "cancelled at work, so that it ends as failed",
        {
            "startTime": "2023-05-04T10:00:00Z",
            "conditions": conditions("Resolved", "Cancelled"),
            "hosts": {"total": 2, "succeeded": 1, "cancelled": 1},
        },
        (1, "failed", "stopped"),
        [1, 1, 0, 2],
    ),
    (
        "cancelled before it began",
        {"conditions": conditions("Resolved", "Cancelled"), "hosts": {"total": 2, "cancelled": 2}},
        (4, "cancelled", "stopped"),
        [0, 2, 0, 2],
    ),
    (
        "failed before it was resolved",
        {"conditions": conditions("Failed")},
        (1, "failed", "stopped"),
        [N_A, N_A, N_A, 2],
    ),
    (
        "no hosts",
        {"conditions": conditions("Resolved", "Complete"), "hosts": {"total": 0}},
        (0, "succeeded", "stopped"),
        [0, 0, 0, 0],
    ),
]


@pytest.mark.parametrize(("status", "expected", "counts"), [row[1:] for row in COUNTS], ids=[row[0] for row in COUNTS])
def test_status_and_counts(status: dict[str, Any], expected: tuple[int, str, str], counts: list[Any]) -> None:
    body = json.loads(render.item(a_view(an_invocation(status))))
    assert set(body) >= BASE_KEYS
    assert (body["status"], body["status_label"], body["dynflow_task"]["state"]) == expected
    assert [body[key] for key in ("succeeded", "failed", "pending", "total")] == counts


WINDOW = {"startAt": "2023-05-04T10:00:00Z", "startBefore": "2023-05-04T11:00:00Z"}
MISSED = {"type": "Failed", "status": "True", "reason": "StartWindowMissed"}


@pytest.mark.parametrize(
    ("conditions_", "hosts", "counts"),
    [
        ([MISSED], {"total": 0}, [N_A, N_A, N_A, 2]),
        ([*conditions("Resolved"), MISSED], {"total": 2, "cancelled": 2}, [0, 2, 0, 2]),
    ],
)
def test_a_missed_start_is_a_failed_job_whose_task_says_why(
    conditions_: list[dict[str, str]], hosts: dict[str, int], counts: list[Any]
) -> None:
    view = a_view(an_invocation({"conditions": conditions_, "hosts": hosts}, **WINDOW))
    body = json.loads(render.item(view))
    assert (body["status"], body["status_label"], body["dynflow_task"]["state"]) == (1, "failed", "stopped")
    assert [body[key] for key in ("succeeded", "failed", "pending", "total")] == counts
    task = task_render.job_task(view)
    assert (task["state"], task["result"]) == ("stopped", "warning")
    message = "Execution plan could not be started before set time (2023-05-04 11:00:00 UTC)"
    assert task["humanized"]["errors"] == [message]


def test_a_job_that_failed_within_its_window_does_not_say_that_it_missed_it() -> None:
    status = {"conditions": conditions("Resolved", "Failed"), "hosts": {"total": 2, "failed": 2}}
    task = task_render.job_task(a_view(an_invocation(status, **WINDOW)))
    assert task["humanized"]["errors"] == ["A sub task failed"]


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (None, ["N/A", "N/A"]),
        (["Pending", "Running"], ["planned", "running"]),
        (["Succeeded", "Cancelled"], ["success", "cancelled"]),
        (["Failed", "Succeeded"], ["error", "success"]),
    ],
)
def test_the_word_for_each_host(states: list[str] | None, words: list[str]) -> None:
    body = shown(a_view(an_invocation(), states))
    assert [host["job_status"] for host in body["targeting"]["hosts"]] == words
    assert len(body["template_invocations"]) == (0 if states is None else 2)


@pytest.mark.parametrize(
    ("facts", "system"),
    [
        ({"os": {"name": "Debian", "distro": {"description": "Debian 12"}}}, "Debian 12"),
        ({"os": {"name": "Debian"}}, "Debian"),
        ({"os": "Debian"}, None),
        ({}, None),
    ],
)
def test_a_host_has_an_operating_system_and_a_group_with_their_ids(facts: dict[str, Any], system: str | None) -> None:
    cache = Cache(Cluster(), "ns")
    spec = {"facts": facts, "groups": ["web", "all"]}
    host = cache.hosts.put({"metadata": {"name": "web1", "uid": "u", "resourceVersion": "1"}, "spec": spec})
    assert host is not None
    assert described(host) == {
        "operatingsystem_id": None if system is None else number_of(system),
        "operatingsystem_name": system,
        "hostgroup_id": number_of("web"),
        "hostgroup_name": "web",
    }


LATER = {"startAt": "2999-01-01T10:00:00Z"}
BEGUN = {"startTime": "2023-05-04T10:00:00Z"}


@pytest.mark.parametrize(
    ("status", "spec", "states", "words"),
    [
        ({}, LATER, ["Pending", "Pending"], ["N/A", "N/A"]),
        ({"conditions": conditions("Cancelled"), "slices": 1}, LATER, ["Cancelled", "Pending"], ["cancelled"] * 2),
        ({"conditions": conditions("Cancelled")}, {}, ["Cancelled", "Cancelled"], ["cancelled"] * 2),
        ({"conditions": [MISSED], "slices": 1}, WINDOW, ["NotStarted", "Cancelled"], ["N/A", "N/A"]),
        (BEGUN, LATER, ["Running", "Pending"], ["running", "planned"]),
        (BEGUN | {"conditions": conditions("Cancelled")}, {}, ["Succeeded", "Cancelled"], ["success", "cancelled"]),
    ],
    ids=["waits", "cancelled while it waited", "cancelled at once", "missed its start", "begun", "cancelled at work"],
)
def test_hosts_on_which_nothing_was_planned_have_no_word_of_their_own(
    status: dict[str, Any], spec: dict[str, Any], states: list[str], words: list[str]
) -> None:
    view = a_view(an_invocation(status, **spec), states)
    assert [job_status(member, view.job) for member in view.members] == words
    assert has_planned(view.job) is ("startTime" in status)


def test_a_job_belongs_to_no_organization_and_no_location() -> None:
    body = shown(a_view(an_invocation()))
    assert (body["job_organization"], body["job_location"]) == (None, None)


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        ({"host_ids": [9], "failed_only": True}, []),
        ({"host_ids": ["9", "web2"], "failed_only": "true"}, ["web2"]),
        ({"host_ids": [12], "succeeded_only": True}, []),
        ({"host_ids": [12], "failed_only": False}, ["web2"]),
        ({"failed_only": True}, ["web2"]),
    ],
)
def test_a_rerun_of_some_hosts_that_failed_is_of_those_that_are_both(wish: dict[str, Any], names: list[str]) -> None:
    status = {"conditions": conditions("Resolved", "Failed"), "hosts": {"total": 2, "succeeded": 1, "failed": 1}}
    view = a_view(an_invocation(status, descriptionFormat="mine"), ["Succeeded", "Failed"])
    request = rerun.parse(wish, view.job, view.template, view.members)
    assert request.targeting == Targeting(hosts=(*names,))
    # An override of the description is for one run only (§4.8).
    assert (view.job.description_format, request.description_format) == ("mine", None)


def test_a_template_in_another_category_is_another_one() -> None:
    invocation = an_invocation({"conditions": conditions("Resolved", "Complete")})
    invocation["metadata"]["annotations"] = {"foreman.rollcall.dev/category": "Puppet"}
    view = a_view(invocation, ["Succeeded", "Succeeded"])
    with pytest.raises(ForemanError) as refusal:
        rerun.parse({}, view.job, view.template, view.members)
    message = "Could not rerun job 41 because its template could not be found"
    assert (refusal.value.status, refusal.value.body) == (404, {"error": message})


def test_deleted_hosts_are_missing_once_resolved() -> None:
    status = {"conditions": conditions("Resolved"), "hosts": {"total": 2, "pending": 2}}
    body = shown(a_view(an_invocation(status), hosts=("web2",)))
    assert (body["missing"], body["total"]) == (1, 2)
    assert [host["id"] for host in body["targeting"]["hosts"]] == [12]


def test_hosts_that_may_not_be_seen_and_hosts_left_out() -> None:
    view = a_view(an_invocation(), ["Running", "Running"])
    assert shown(view, may_view_hosts=False)["targeting"]["hosts"] == []
    body = shown(view, include_hosts=False)
    assert "hosts" not in body["targeting"]
    assert "template_invocations" not in body


def test_a_selector_has_no_query_and_no_total_before_it_is_resolved() -> None:
    body = shown(a_view(an_invocation(targeting={"selector": {}})))
    assert body["targeting"]["search_query"] is None
    assert (body["total"], body["targeting"]["hosts"]) == (N_A, [])


@pytest.mark.parametrize("key", ["targeting-type", "randomized-ordering", "time-to-pickup"])
@pytest.mark.parametrize("value", ["", "nonsense", "-1", "9" * 50, "{}"])
def test_an_annotation_edited_into_nonsense_is_as_good_as_none(key: str, value: str) -> None:
    invocation = an_invocation()
    invocation["metadata"]["annotations"] = {f"foreman.rollcall.dev/{key}": value}
    assert shown(a_view(invocation)) == shown(a_view(an_invocation()))


def test_user_ids_are_stable_positive_and_31_bits() -> None:
    assert number_of("alice") == number_of("alice")
    assert all(0 < number_of(str(number)) < 2**31 for number in range(2000))


def test_the_envelope_of_a_list() -> None:
    body = json.loads(envelope([b'{"id":2}'], 3, 1, Page(1, None), {"search": "id = 2", "order": "id"}))
    assert body == {
        "total": 3,
        "subtotal": 1,
        "page": 1,
        "per_page": 3,
        "search": "id = 2",
        "sort": {"by": "id", "order": "ASC"},
        "results": [{"id": 2}],
    }
    empty = json.loads(envelope([], 0, 0, Page(), {}))
    assert (empty["sort"], empty["results"], empty["per_page"]) == ({"by": None, "order": None}, [], 20)
