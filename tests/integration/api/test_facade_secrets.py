"""What was given in confidence is in no answer, log, metric or object but the Secrets it was given for."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from integration.api.facade_world import World
from integration.api.route_table import READS, filled

ROOT = "/api/job_invocations"
SECRETS = {
    "password": "canary-password-51c",
    "key_passphrase": "canary-phrase-52d",
    "effective_user_password": "canary-sudo-53e",
    "token": "canary-token-54f",
    "pin": "canary-pin-55a",
    "refused": "canary-refused-56b",
}


@pytest.fixture(scope="module")
def jobs(world: World) -> list[dict[str, Any]]:
    """What was said when jobs with secrets were made, run again, scheduled and refused."""
    world.template(
        "confidential",
        12,
        {
            "displayName": "Confidential",
            "descriptionFormat": "With %{token} and %{pin}",
            "inputs": [{"name": "token", "type": "Secret"}, {"name": "pin", "hidden": True}],
            "ssh": {"script": "id", "effectiveUser": {"name": "root", "overridable": True}},
        },
    )
    inputs = {"token": SECRETS["token"], "pin": SECRETS["pin"]}
    given = {"job_template_id": 12, "inputs": inputs, "ssh": {"effective_user": "root"}}
    given["ssh"]["effective_user_password"] = SECRETS["effective_user_password"]
    given |= {name: SECRETS[name] for name in ("password", "key_passphrase")}
    with world.facade.client() as client:
        path = "/api/job_templates/12"
        world.wait(client, path, "the template in the facade's cache", lambda body: body.get("id") == 12)
        orders = [
            world.order(**given),
            world.order(**given, scheduling={"start_at": "2999-01-01 10:00"}),
            world.order(**given, recurrence={"cron_line": "5 * * * *"}),
            world.order(**given | {"inputs": {**inputs, "wrong": SECRETS["refused"]}}),
            world.order(**given | {"password": {"a": SECRETS["refused"]}}),
            world.order(**given | {"targeting_type": "bogus"}),
        ]
        said = [client.post(ROOT, json=order) for order in orders]
        first = said[0].json()
        assert said[0].status_code == said[1].status_code == 201, said[0].text
        said.append(client.post(f"{ROOT}/{first['id']}/rerun", json={}))
        said.append(client.post(ROOT, content=f'{{"password": "{SECRETS["refused"]}" x', headers=JSON))
    return [{"id": first["id"], "task": first["task"]["id"]}, *({"text": answer.text} for answer in said)]


JSON = {"Content-Type": "application/json"}


def spellings() -> Iterator[str]:
    for secret in SECRETS.values():
        yield secret
        yield base64.b64encode(secret.encode()).decode()


def found(text: str) -> list[str]:
    return [spelling for spelling in spellings() if spelling in text]


def test_answers_to_writes_have_none(jobs: list[dict[str, Any]]) -> None:
    for said in jobs[1:]:
        assert found(said["text"]) == []


@pytest.mark.parametrize("path", READS)
def test_a_route_that_reads_has_none(world: World, jobs: list[dict[str, Any]], path: str) -> None:
    with world.facade.client() as client:
        for id_ in (jobs[0]["id"], jobs[0]["task"], 12, 1):
            sent = filled(path, id=id_, host_id=1, template_id=12)
            for query in ({}, {"per_page": "all", "host_status": "true", "include_permissions": "true"}):
                assert found(client.get(sent, params=query).text) == []


def test_logs_metrics_and_objects_have_none(world: World, jobs: list[dict[str, Any]]) -> None:
    metrics = httpx.get(f"http://127.0.0.1:{world.facade.metrics_port}/metrics", trust_env=False)
    assert found(metrics.raise_for_status().text) == []
    assert found(world.facade.log.read_text()) == []
    for plural in ("jobinvocations", "schedules", "jobtemplates", "configmaps", "events"):
        assert found(json.dumps(world.kube.list(plural, world.namespace))) == []
    kept = json.dumps(world.kube.list("secrets", world.namespace))
    assert base64.b64encode(SECRETS["password"].encode()).decode() in kept  # the search does find what is there
