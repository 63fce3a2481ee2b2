"""Each example of Foreman's published documentation: asked as it is there, answered key by key as it is there."""

from typing import Any

import httpx
import pytest

from integration.api.facade_world import World

ROOT = "/api/job_invocations"
LISTED = {
    "id": int, "description": str, "job_category": str, "targeting_id": int, "status": int, "start_at": str,
    "status_label": str, "ssh_user": type(None), "time_to_pickup": type(None), "dynflow_task": dict,
    "succeeded": (int, str), "failed": (int, str), "pending": (int, str), "total": (int, str), "missing": int,
}  # fmt: skip
RERUN = {
    "id": int, "targeting_id": int, "job_category": str, "task_id": str, "task_group_id": int, "triggering_id": int,
    "description": str, "concurrency_level": type(None), "time_span": type(None),
    "execution_timeout_interval": type(None), "password": type(None), "key_passphrase": type(None),
    "remote_execution_feature_id": type(None), "effective_user_password": type(None), "ssh_user": type(None),
    "time_to_pickup": type(None),
}  # fmt: skip


def has(body: dict[str, Any], types: dict[str, Any]) -> bool:
    return all(isinstance(body[key], type_) for key, type_ in types.items())


def ended_early(world: World, client: httpx.Client) -> int:
    """A job that ended before any host was dealt with."""
    id_: int = world.create()["id"]
    world.settle(id_, "Complete", total=0)
    world.wait(client, f"{ROOT}/{id_}", "the end", lambda body: body["task"]["state"] == "stopped")
    return id_


def test_list(world: World) -> None:
    world.create()
    with world.facade.client() as client:
        body = client.get(ROOT).json()
    assert list(body) == ["total", "subtotal", "page", "per_page", "search", "sort", "results"]
    assert body["sort"] == {"by": None, "order": None}
    assert (body["page"], body["per_page"], body["search"]) == (1, 20, None)
    assert has(body["results"][0], LISTED)
    assert set(body["results"][0]["dynflow_task"]) == {"id", "state"}


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "answer"),
    [
        ("GET", "/987654", None, 404, {"error": {"message": "Resource job_invocation not found by id '987654'"}}),
        ("GET", "/987654/hosts/109", None, 404, {"message": "Job invocation not found by id '987654'"}),
        (
            "POST",
            "",
            {
                "job_category": "Job name 237",
                "name": "RandomName",
                "job_template_id": 11,
                "targeting_type": "static_query",
                "search_query": "foobar",
                "recurrence": {"cron_line": "foo"},
            },
            500,
            {"error": {"message": "Validation failed: Triggering: Cronline foo is not valid format of cron line"}},
        ),
    ],
)
def test_refusals(world: World, method: str, path: str, sent: Any, status: int, answer: Any) -> None:
    body = None if sent is None else {"job_invocation": sent}
    with world.facade.client() as client:
        found = client.request(method, ROOT + path, json=body, headers={"Content-Type": "application/json"})
    assert (found.status_code, found.json()) == (status, answer)


def test_raw_output_and_outputs_of_a_host_that_was_never_run(world: World) -> None:
    with world.facade.client() as client:
        id_ = ended_early(world, client)
        raw = client.get(f"{ROOT}/{id_}/hosts/1/raw")
        assert (raw.status_code, raw.json()) == (200, {"complete": True, "refresh": False, "output": None})
        outputs = client.post(f"{ROOT}/{id_}/outputs", json={"search_query": "id = 1", "job_invocation": {}})
    expected = {"outputs": [{"complete": True, "refresh": False, "output": [], "host_id": 1}]}
    assert (outputs.status_code, outputs.json()) == (200, expected)


def test_cancel(world: World) -> None:
    with world.facade.client() as client:
        id_ = ended_early(world, client)
        answer = client.post(f"{ROOT}/{id_}/cancel", json={"job_invocation": {}})
    assert (answer.status_code, answer.json()) == (422, {"message": "The job could not be cancelled."})


def test_rerun(world: World) -> None:
    id_ = world.create()["id"]
    with world.facade.client() as client:
        answer = client.post(f"{ROOT}/{id_}/rerun", json={"failed_only": True, "job_invocation": {}})
    assert answer.status_code == 201
    assert list(answer.json()) == list(RERUN)
    assert has(answer.json(), RERUN)
