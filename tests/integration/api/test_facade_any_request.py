"""Whatever is sent to a route that the OpenAPI document describes, the answer is one that is described there.

schemathesis makes the requests, right ones and wrong ones, always the same; a facade of the test's own answers them,
with some of everything in its namespace.
"""

import copy
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from integration.api.facade_process import running_facade
from integration.api.facade_world import RUN, FacadeProcess, World, service_account
from integration.api.route_table import ROUTES, names
from rollcall.names import HostState
from rollcall.outputs import Event, Exit, Stream
from support.kube import Kube, Object

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))
"""Requests of each kind to each route."""
AUTHOR = [
    *RUN,
    {
        "apiGroups": ["rollcall.dev"],
        "resources": ["jobtemplates", "inventories", "schedules", "hosts"],
        "verbs": ["get", "list", "create", "update", "delete"],
    },
]
VALIDATION: Final = (
    "Validation failed: ",
    "Only one of feature or job_template_id can be specified",
    "ERF42-",
)
DEMANDED: Final = {
    ("POST", "/api/job_invocations"): VALIDATION,  # §1.6 E1, §2.3: every validation failure of a create
    ("POST", "/api/job_invocations/{id}/rerun"): VALIDATION,  # §2.7: a rerun is a create
}
"""The 500s that the contract demands, by how their messages begin."""
ALWAYS_THE_SAME: Final = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
SHAPES: Final = ({"error"}, {"message"}, {"status", "error"})
"""§1.6: E1 and E3 to E6, E2, and malformed JSON."""


@pytest.fixture(scope="module")
def facade(
    kube: Kube, crds: None, make_namespace: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FacadeProcess]:
    namespace = make_namespace("any")
    with running_facade(kube, namespace, tmp_path_factory.mktemp("any")) as running:
        running.tokens["author"] = service_account(kube, namespace, "author", AUTHOR)
        fill(World(kube, namespace, running))
        yield running
        assert "in a request" not in running.log.read_text()  # no defect was logged


def fill(world: World) -> None:
    """Some of everything: jobs that wait, run and have ended, with output; a series, a bookmark, templates."""

    def known() -> bool:
        with world.facade.client("author") as client:
            return client.post("/api/job_invocations", json=world.order(search_query="nonsense = 1")).status_code == 400

    world.kube.wait("the template in the facade's cache", known)
    ended, running, _ = (world.create("author")["id"] for _ in range(3))
    assert (ended, running) == (1, 2)
    done: Object = {"state": "Succeeded", "exitCode": 0}
    world.deal(ended, {"web1": done, "web2": {"state": "Failed", "exitCode": 3}}, "Done")
    said = Event("web1", 0, 1_700_000_000.0, Stream.STDOUT, b"up 3 days \xff\n")
    world.store(ended, 0, [said, Event("web1", 1, 1_700_000_001.0, Stream.EXIT, Exit(HostState.SUCCEEDED, 0))])
    world.settle(ended, "Failed", total=2, succeeded=1, failed=1)
    world.deal(running, {"web1": {"state": "Running"}, "web2": {"state": "Pending"}})
    world.settle(running, None, total=2, running=1, pending=1)
    world.create("author", scheduling={"start_at": "2999-01-01 10:00"})
    world.create("author", recurrence={"cron_line": "5 * * * *", "purpose": "nightly"})
    with world.facade.client("author") as client:
        bookmark = {"name": "web", "controller": "hosts", "query": "name ~ web"}
        client.post("/api/bookmarks", json={"bookmark": bookmark}).raise_for_status()
        world.wait(client, f"/api/job_invocations/{ended}", "the end", lambda body: body["status"] == 1)


@pytest.fixture(scope="module")
def document(facade: FacadeProcess) -> dict[str, Any]:
    """The OpenAPI document, which also tells of some ids that there are."""
    with facade.client("author") as client:
        tasks = [task["id"] for task in client.get("/foreman_tasks/api/tasks").json()["results"]]
        document: dict[str, Any] = client.get("/openapi.json").json()
    found = copy.deepcopy(document)
    ids = ["1", "2", "3", "11", "web1", "run_script", *tasks[:2]]
    for methods in found["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["schema"] = {"anyOf": [{"enum": ids}, parameter["schema"]]}
    return found


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=names(ROUTES))
def test_a_route_answers_whatever_is_sent_as_the_contract_says(
    facade: FacadeProcess, document: dict[str, Any], method: str, path: str
) -> None:
    operation = schemathesis.openapi.from_dict(document)[path][method]
    token = {"Authorization": f"Bearer {facade.tokens['author']}"}

    def send(case: schemathesis.Case) -> None:
        answer = case.call(base_url=facade.url, headers=token)
        examine(method, path, answer.status_code, answer.headers["content-type"][0], answer.content)
        case.validate_response(answer, checks=[status_code_conformance, response_schema_conformance])

    for mode in modes(document["paths"][path][method.lower()]):
        cases = given(case=operation.as_strategy(generation_mode=mode))
        ALWAYS_THE_SAME(cases(send))()


def modes(operation: dict[str, Any]) -> list[GenerationMode]:
    """Right requests, and wrong ones where there is something to get wrong: a path may have anything in it."""
    wrong = "requestBody" in operation or any(given["in"] == "query" for given in operation.get("parameters", ()))
    return [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if wrong else [])]


def examine(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    """Asserts that an answer is one of the contract's."""
    assert content_type == "application/json; charset=utf-8"
    document = httpx.Response(status, content=body).json()
    assert status not in (401, 403, 405)
    if status < 400:
        return
    assert set(document) in SHAPES, document
    if status >= 500:
        message = document["error"]["message"]
        assert message.startswith(DEMANDED.get((method, path), ())), (status, message)
