"""Two facades side by side."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from integration.api.facade_world import FacadeProcess, World, free_port, is_ready, launch
from support.kube import Kube, Object

ROOT = "/api/job_invocations"


@pytest.fixture(scope="module")
def second(kube: Kube, world: World) -> Iterator[FacadeProcess]:
    """Another facade of the same namespace, for the same people."""
    folder, port = world.facade.log.parent, free_port()
    log = folder / "second.log"
    process = launch(world.namespace, folder / "kubeconfig", folder / "users", log, port)
    facade = FacadeProcess(f"http://127.0.0.1:{port}", log, world.facade.relay, process, world.facade.tokens)
    try:
        kube.wait("readiness of the second", lambda: is_ready(facade), timeout=120)
        yield facade
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait(30)


def test_a_write_on_one_is_seen_on_the_other_within_a_second(world: World, second: FacadeProcess) -> None:
    with world.facade.client() as here, second.client() as there:
        for _ in range(10):
            id_ = here.post(ROOT, json=world.order(password="canary-replica")).json()["id"]
            written = time.monotonic()
            world.wait(there, f"{ROOT}/{id_}", "the job", lambda body: "id" in body)
            assert time.monotonic() - written < 1
            assert there.get(ROOT).json()["results"][0]["id"] == id_


def test_what_two_cancel_at_once_is_all_cancelled(world: World, second: FacadeProcess) -> None:
    with world.facade.client() as here, second.client() as there, ThreadPoolExecutor(3) as pool:
        for _ in range(10):
            id_ = world.create(search_query="name ^ (web1, web2, web3)")["id"]
            path = f"{ROOT}/{id_}"
            world.wait(there, path, "the job", lambda body: "id" in body)

            def cancel(client: Any, name: str, path: str = path) -> int:
                status: int = client.post(f"{path}/cancel", json={"search": f"name = {name}"}).status_code
                return status

            orders = zip((here, there, here), ("web1", "web2", "web3"), strict=True)
            assert set(pool.map(lambda order: cancel(*order), orders)) == {200}
            hosts = world.invocation(id_)["spec"]["cancellation"]["hosts"]
            assert sorted(hosts) == ["web1", "web2", "web3"]


def runs(world: World, series: int) -> list[Object]:
    selector = f"rollcall.dev/schedule=series-{series}"
    return world.kube.list("jobinvocations", world.namespace, labelSelector=selector)


def test_two_that_look_after_a_series_queue_its_next_run_once(world: World, second: FacadeProcess) -> None:
    made = [world.create(recurrence={"cron_line": f"{minute} 3 * * *"}) for minute in range(10)]
    with second.client() as there:
        for body in made:
            world.wait(there, f"{ROOT}/{body['id']}", "the first run", lambda shown: "id" in shown)
    condition = {"type": "Cancelled", "status": "True", "reason": "Test", "message": ""}
    condition["lastTransitionTime"] = "2024-05-04T10:00:00Z"
    for body in made:
        (first,) = runs(world, body["recurrence"]["id"])
        name = first["metadata"]["name"]
        world.kube.patch("jobinvocations", world.namespace, name, {"spec": {"cancellation": {}}})
        world.kube.patch("jobinvocations", world.namespace, name, {"status": {"conditions": [condition]}}, "status")
    for body in made:
        series = body["recurrence"]["id"]
        world.kube.wait("the next run", lambda series=series: len(runs(world, series)) > 1)
    # Whoever is slower has tried by now: both facades have seen the job that was made after all this.
    last = world.create()["id"]
    with second.client() as there:
        world.wait(there, f"{ROOT}/{last}", "a later job", lambda shown: "id" in shown)
    assert [len(runs(world, body["recurrence"]["id"])) for body in made] == [2] * len(made)
