"""What the facade refuses, with the status and body of the contract (§1.4, §1.6, §2.3, §8)."""

from typing import Any

import httpx
import pytest

from integration.api.facade_world import OPS_PASSWORD, World

ROOT = "/api/job_invocations"
PATHS = [
    ("GET", ROOT),
    ("POST", ROOT),
    ("GET", f"{ROOT}/1"),
    ("GET", f"{ROOT}/1/hosts/1"),
    ("POST", f"{ROOT}/1/outputs"),
    ("GET", "/api/v2/job_invocations/1/outputs"),
    ("DELETE", f"{ROOT}/1"),
    ("GET", "/no/such/path"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
]


def e1(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


def validation(*messages: str) -> dict[str, Any]:
    return e1(f"Validation failed: {', '.join(messages)}")


def e5(permission: str) -> dict[str, Any]:
    details = f"Missing one of the required permissions: {permission}"
    return {"error": {"message": "Access denied", "details": details, "missing_permissions": [permission]}}


NO_QUERY = "Must select a bookmark or enter a search query"
CREATES: list[tuple[str, dict[str, Any], int, Any]] = [
    (
        "an invalid cron line",
        {"recurrence": {"cron_line": "foo"}},
        500,
        validation("Triggering: Cronline foo is not valid format of cron line"),
    ),
    (
        "a missing cron line",
        {"recurrence": {"max_iteration": 3}},
        500,
        validation("Triggering: Cronline  is not valid format of cron line"),
    ),
    (
        "a cron line of a day that never comes",
        {"recurrence": {"cron_line": "0 0 30 2 *"}},
        500,
        validation("Triggering: Cronline 0 0 30 2 * is not valid format of cron line"),
    ),
    (
        "no iterations",
        {"recurrence": {"cron_line": "5 * * * *", "max_iteration": 0}},
        500,
        validation("Triggering: Input type No task could be started"),
    ),
    (
        "a recurrence that has ended",
        {"recurrence": {"cron_line": "5 * * * *", "end_time": "2020-01-01 10:00"}},
        500,
        validation("Triggering: Input type No task could be started"),
    ),
    (
        "a start in the past",
        {"scheduling": {"start_at": "2020-01-01 10:00"}},
        500,
        validation("Triggering: Start at is in the past"),
    ),
    (
        "a start that is no time",
        {"scheduling": {"start_at": "soon"}},
        500,
        validation("Triggering: Start at is not a time, as 2030-11-23 10:00:00 UTC is"),
    ),
    (
        "the end of a window only",
        {"scheduling": {"start_before": "2999-01-01 10:00"}},
        500,
        validation("Triggering: Start at must be set"),
    ),
    (
        "a window that ends before it begins",
        {"scheduling": {"start_at": "2999-01-01 10:00", "start_before": "2998-01-01 10:00"}},
        500,
        validation("Triggering: Start before raw The task could not be started"),
    ),
    (
        "a time span of nothing",
        {"concurrency_control": {"time_span": 0}},
        500,
        validation("Time span: must be greater than 0"),
    ),
    (
        "a bookmark that is none",
        {"search_query": "", "bookmark_id": 4711},
        500,
        validation(f"Targeting: Bookmark {NO_QUERY}", f"Search query {NO_QUERY}"),
    ),
    (
        "feature and template",
        {"feature": "run_script"},
        500,
        e1("Only one of feature or job_template_id can be specified"),
    ),
    ("an unknown template", {"job_template_id": 4711}, 404, e1("Template with id '4711' was not found")),
    ("a template by name", {"job_template_id": "run-command"}, 404, e1("Template with id 'run-command' was not found")),
    ("no template", {"job_template_id": None}, 404, e1("Template with id '' was not found")),
    ("an unknown feature", {"job_template_id": None, "feature": "x"}, 404, e1("Template with id '' was not found")),
    (
        "bookmark and query",
        {"bookmark_id": 1},
        500,
        e1("ERF42-9522 [Foreman::Exception]: Cannot specify both bookmark_id and search_query"),
    ),
    (
        "no query",
        {"search_query": ""},
        500,
        validation(f"Targeting: Bookmark {NO_QUERY}", f"Search query {NO_QUERY}"),
    ),
    (
        "an unknown targeting type",
        {"targeting_type": "bogus"},
        500,
        validation("Targeting: Targeting type is not included in the list"),
    ),
    (
        "no targeting type",
        {"targeting_type": None},
        500,
        validation("Targeting: Targeting type can't be blank", "Targeting type is not included in the list"),
    ),
    (
        "a missing input",
        {"inputs": {}},
        500,
        validation(
            "Template Run command - script default: Not all required inputs have values. Missing inputs: command"
        ),
    ),
    (
        "a blank input",
        {"inputs": {"command": " "}},
        500,
        validation("Template Run command - script default: Input command: Value can't be blank"),
    ),
    (
        "a choice that is none",
        {"inputs": {"command": "x", "mode": "wrong"}},
        500,
        validation("Template Run command - script default: Input mode: Value is not included in the list"),
    ),
    (
        "an integer that is none",
        {"inputs": {"command": "x", "retries": "many"}},
        500,
        validation("Template Run command - script default: input retries must be of type Integer, not 'many'"),
    ),
    (
        "several mistakes, in their order",
        {"targeting_type": "bogus", "concurrency_control": {"concurrency_level": 0}, "inputs": {}},
        500,
        validation(
            "Targeting: Targeting type is not included in the list",
            "Concurrency level: must be greater than 0",
            "Template Run command - script default: Not all required inputs have values. Missing inputs: command",
        ),
    ),
    (
        "a timeout of nothing",
        {"execution_timeout_interval": -5},
        500,
        validation("Execution timeout interval: must be greater than 0"),
    ),
    ("inputs that are a list", {"inputs": ["a"]}, 500, validation("Inputs must be a hash")),
    ("an unknown host", {"search_query": None, "host_ids": [1, "nope"]}, 422, e1("Host with id 'nope' was not found")),
]


@pytest.mark.parametrize(("given", "status", "body"), [row[1:] for row in CREATES], ids=[row[0] for row in CREATES])
def test_a_create_with(world: World, given: dict[str, Any], status: int, body: Any) -> None:
    before = len(world.kube.list("jobinvocations", world.namespace))
    with world.facade.client() as client:
        answer = client.post(ROOT, json=world.order(**given))
    assert (answer.status_code, answer.json()) == (status, body)
    assert len(world.kube.list("jobinvocations", world.namespace)) == before


def test_a_create_with_an_unknown_input(world: World) -> None:
    with world.facade.client() as client:
        answer = client.post(ROOT, json=world.order(inputs={"command": "x", "extra": 1}))
    assert answer.status_code == 500
    message = answer.json()["error"]["message"]
    assert message.startswith("ERF42-")
    assert message.endswith(" [Foreman::Exception]: Unknown input extra for template Run Command - Script Default")


@pytest.mark.parametrize("query", ["nonsense = 1", "id > abc", "id ~ 1", "id > -1", "name!=web1"])
def test_a_query_that_is_not_understood(world: World, query: str) -> None:
    id_ = world.create()["id"]
    with world.facade.client() as client:
        answers = [
            client.post(ROOT, json=world.order(search_query=query)),
            client.get(ROOT, params={"search": query}),
            client.get(f"{ROOT}/{id_}/outputs", params={"search_query": query}),
        ]
    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["error"]["class"] == "ScopedSearch::QueryNotSupported"


def test_an_order_by_an_unknown_field(world: World) -> None:
    with world.facade.client() as client:
        answer = client.get(ROOT, params={"order": "color DESC"})
    message = "the field 'color' in the order statement is not valid field for search"
    assert answer.status_code == 400
    assert answer.json() == {"error": {"message": message, "class": "ScopedSearch::QueryNotSupported"}}


@pytest.mark.parametrize("parameters", [{"page": 0}, {"page": "abc"}, {"per_page": 0}, {"per_page": -1}])
def test_a_page_that_is_none(world: World, parameters: dict[str, Any]) -> None:
    with world.facade.client() as client:
        answer = client.get(ROOT, params=parameters)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


MISSING = "Resource job_invocation not found by id '{}'"
LOOKUPS: list[tuple[str, str, int, Any]] = [
    ("GET", f"{ROOT}/777777", 404, e1(MISSING.format(777777))),
    ("GET", "/api/v2/job_invocations/777777.json", 404, e1(MISSING.format(777777))),
    ("GET", f"{ROOT}/12abc", 404, e1(MISSING.format("12abc"))),
    ("GET", f"{ROOT}/{'9' * 5000}", 404, e1(MISSING.format("9" * 5000))),
    ("GET", f"{ROOT}/777777/outputs", 404, e1(MISSING.format(777777))),
    ("POST", f"{ROOT}/777777/outputs", 404, e1(MISSING.format(777777))),
    ("POST", f"{ROOT}/777777/cancel", 404, e1(MISSING.format(777777))),
    ("POST", f"{ROOT}/777777/rerun", 404, e1(MISSING.format(777777))),
    ("GET", f"{ROOT}/777777/hosts", 404, e1(MISSING.format(777777))),
    ("GET", f"{ROOT}/777777/template_invocations", 404, e1(MISSING.format(777777))),
    ("GET", f"{ROOT}/777777/hosts/1/raw", 404, {"message": "Job invocation not found by id '777777'"}),
    ("GET", f"{ROOT}/JOB/hosts/3/raw", 404, e1("Host with id '3' was not found")),
    ("GET", f"{ROOT}/777777/hosts/1", 404, {"message": "Job invocation not found by id '777777'"}),
    ("GET", f"{ROOT}/abc/hosts/1", 404, {"message": "Job invocation not found by id 'abc'"}),
    ("GET", f"{ROOT}/JOB/hosts/3", 404, e1("Host with id '3' was not found")),
    ("GET", f"{ROOT}/JOB/hosts/web1", 404, e1("Host with id 'web1' was not found")),
    ("GET", f"{ROOT}?organization_id=7", 404, {"message": "Organization with id 7 not found"}),
    ("GET", f"{ROOT}?location_id=7", 404, {"message": "Location with id 7 not found"}),
    ("PUT", f"{ROOT}/JOB", 404, e1(f'No route matches [PUT] "{ROOT}/JOB"')),
    ("DELETE", f"{ROOT}/JOB", 404, e1(f'No route matches [DELETE] "{ROOT}/JOB"')),
    ("GET", "/api/unknown", 404, e1('No route matches [GET] "/api/unknown"')),
]


@pytest.mark.parametrize(("method", "path", "status", "body"), LOOKUPS, ids=[f"{r[0]} {r[1][:50]}" for r in LOOKUPS])
def test_a_lookup_of_what_is_not_there(world: World, method: str, path: str, status: int, body: Any) -> None:
    id_ = world.create()["id"]
    with world.facade.client() as client:
        answer = client.request(method, path.replace("JOB", str(id_)), headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.text.replace(f"/{id_}", "/JOB") == httpx.Response(200, json=body).text


def test_taxonomies_that_exist_change_nothing(world: World) -> None:
    id_ = world.create()["id"]
    with world.facade.client() as client:
        for path in (f"{ROOT}/{id_}", f"{ROOT}/{id_}/hosts/1", f"{ROOT}/{id_}/outputs"):
            assert client.get(path, params={"organization_id": 1, "location_id": "2"}).status_code == 200


def test_media_types_and_json_are_checked(world: World) -> None:
    unsupported = (
        "Media type in 'Content-Type: {}' is unsupported in API v2 for POST and PUT requests. "
        "Please use 'Content-Type: application/json'."
    )
    with world.facade.client() as client:
        answer = client.post(ROOT, content=b"x=1", headers={"Content-Type": "text/plain"})
        assert (answer.status_code, answer.json()) == (415, e1(unsupported.format("text/plain")))
        answer = client.post(ROOT)
        assert (answer.status_code, answer.json()) == (415, e1(unsupported.format("")))
        answer = client.post(ROOT, content=b"{nope", headers={"Content-Type": "application/json; charset=utf-8"})
        assert answer.status_code == 400
        assert answer.json()["status"] == 400
        assert answer.json()["error"].startswith("There was a problem in the JSON you submitted: ")
        answer = client.post(ROOT, content=b" " * 1_100_000, headers={"Content-Type": "application/json"})
        assert (answer.status_code, set(answer.json())) == (413, {"error"})


def test_every_answer_has_foremans_headers(world: World) -> None:
    with world.facade.client() as client:
        answers = [client.get(ROOT), client.get(f"{ROOT}/777777"), client.get("/nowhere"), client.head(ROOT)]
    answers.append(httpx.get(world.facade.url + ROOT, trust_env=False))
    for answer in answers:
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["foreman_version"] == "3.6.0"
        assert answer.headers["foreman_api_version"] == "2"
        assert answer.headers["foreman_current_organization"] == "; ANY"
        assert answer.headers["foreman_current_location"] == "; ANY"
        assert "www-authenticate" not in answer.headers
        assert "server" not in answer.headers


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer"},
        {"X-Auth-Token": "nonsense"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Digest x"},
    ],
)
def test_no_route_answers_without_credentials(world: World, method: str, path: str, headers: dict[str, str]) -> None:
    with world.facade.anonymous(headers) as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.json()) == (401, e1("Unable to authenticate user "))


def test_probes_are_open(world: World) -> None:
    with world.facade.anonymous() as client:
        assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_the_documentation_has_every_route(world: World) -> None:
    with world.facade.client("nobody") as client:
        paths = client.get("/openapi.json").json()["paths"]
    of_jobs = {path: operations for path, operations in paths.items() if path.startswith(ROOT)}
    assert {(path, method) for path, operations in of_jobs.items() for method in operations} == {
        (ROOT, "get"),
        (ROOT, "post"),
        (f"{ROOT}/{{id}}", "get"),
        (f"{ROOT}/{{id}}/cancel", "post"),
        (f"{ROOT}/{{id}}/rerun", "post"),
        (f"{ROOT}/{{id}}/hosts", "get"),
        (f"{ROOT}/{{id}}/template_invocations", "get"),
        (f"{ROOT}/{{id}}/hosts/{{host_id}}", "get"),
        (f"{ROOT}/{{id}}/hosts/{{host_id}}/raw", "get"),
        (f"{ROOT}/{{id}}/outputs", "get"),
        (f"{ROOT}/{{id}}/outputs", "post"),
    }


def test_x_auth_token_is_as_good_as_bearer(world: World) -> None:
    with world.facade.anonymous({"X-Auth-Token": world.facade.tokens["viewer"]}) as client:
        assert client.get(ROOT).status_code == 200


def test_basic_users_act_as_their_kubernetes_user(world: World) -> None:
    with world.facade.anonymous(auth=("ops", OPS_PASSWORD)) as client:
        body = client.post(ROOT, json=world.order()).json()
    assert world.invocation(body["id"])["spec"]["requestedBy"] == {"username": "ops@example.com"}


@pytest.mark.parametrize(
    ("login", "password", "message"),
    [
        ("ops", "wrong", "Unable to authenticate user ops"),
        ("nobody", OPS_PASSWORD, "Unable to authenticate user nobody"),
        ("former", "wrong", "Unable to authenticate user former"),
        ("former", OPS_PASSWORD, "User account is disabled, please contact your administrator"),
    ],
)
def test_basic_users_who_are_refused(world: World, login: str, password: str, message: str) -> None:
    with world.facade.anonymous(auth=(login, password)) as client:
        answer = client.get(ROOT)
    assert (answer.status_code, answer.json()) == (401, e1(message))


def test_after_thirty_wrong_passwords_no_more_are_tried(world: World) -> None:
    with world.facade.anonymous() as client:
        for number in range(30):
            answer = client.get(ROOT, auth=("victim", f"guess {number}"))
            assert answer.json() == e1("Unable to authenticate user victim")
        answer = client.get(ROOT, auth=("victim", "another"))
        assert (answer.status_code, answer.json()) == (
            401,
            e1("Too many tries, please try again in a few minutes."),
        )
        assert client.get(ROOT, auth=("ops", OPS_PASSWORD)).status_code == 200


def test_what_a_user_may_not_do_is_denied_before_anything_is_looked_up(world: World) -> None:
    with world.facade.client("viewer") as client:
        answer = client.post(ROOT, content=b"x", headers={"Content-Type": "text/plain"})
        assert (answer.status_code, answer.json()) == (403, e5("create_job_invocations"))
        assert client.get(ROOT).status_code == 200
    with world.facade.client("nobody") as client:
        for path in (ROOT, f"{ROOT}/777777", f"{ROOT}/777777/hosts/1", f"{ROOT}/777777/outputs"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()) == (403, e5("view_job_invocations"))


def test_hosts_that_a_user_may_not_see_are_left_out(world: World) -> None:
    id_ = world.create()["id"]
    with world.facade.client("blind") as client:
        assert client.get(f"{ROOT}/{id_}").json()["targeting"]["hosts"] == []
        assert client.get(f"{ROOT}/{id_}/outputs").json() == {"outputs": []}
        answer = client.get(f"{ROOT}/{id_}/hosts/1")
        assert (answer.status_code, answer.json()) == (404, e1("Host with id '1' was not found"))


def test_while_the_api_server_is_away_reads_go_on_and_writes_leave_nothing(world: World) -> None:
    id_ = world.create()["id"]
    before = {item["metadata"]["name"] for item in world.kube.list("jobinvocations", world.namespace)}
    with world.facade.client() as client:
        shown = client.get(f"{ROOT}/{id_}").json()
        client.get(ROOT)
        world.facade.relay.cut()
        try:
            assert client.get(f"{ROOT}/{id_}").json() == shown
            assert client.get(ROOT).status_code == 200
            answer = client.post(ROOT, json=world.order(password="canary-away"))
            assert (answer.status_code, set(answer.json())) == (503, {"message"})
            assert client.get("/healthz").status_code == 200
        finally:
            world.facade.relay.join()
        after = {item["metadata"]["name"] for item in world.kube.list("jobinvocations", world.namespace)}
        assert after == before
        world.settle(id_, "Complete", total=2, succeeded=2)
        world.wait(client, f"{ROOT}/{id_}", "news after the break", lambda b: b["status"] == 0)
        assert client.post(ROOT, json=world.order()).status_code == 201
    assert "canary-away" not in world.facade.log.read_text()
