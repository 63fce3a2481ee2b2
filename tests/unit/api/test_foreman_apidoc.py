"""The description of the dialect, and what guards all that it describes: asked of the facade, without a cluster."""

import ast
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apypie
import httpx
import pytest
from fastapi.routing import APIRoute

from rollcall_api import documentation, foreman
from rollcall_api.app import Facade, Settings
from rollcall_api.foreman import apidoc
from rollcall_api.foreman.description import Action, Param
from support.foreman_actions import ACTIONS

FACADE = Facade(Settings(namespace="default", ids_namespace="default"))
ROUTES = [route for route in FACADE.dialect.router.routes if isinstance(route, APIRoute)]
GUARDED = [
    (method, route.path) for route in ROUTES for method in sorted(route.methods) if not route.path.startswith("/apidoc")
]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(FACADE), base_url="http://facade") as client:
        yield client


@pytest.fixture
async def described(client: httpx.AsyncClient) -> dict[str, Any]:
    document: dict[str, Any] = (await client.get("/apidoc/v2.json")).json()
    return document


def every_param(params: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*params, *(inner for param in params for inner in every_param(param.get("params", [])))]


@pytest.mark.parametrize("path", ["/apidoc/v2", "/apidoc/v2.json", "/apidoc/v2.de.json", "/apidoc/v2/"])
async def test_everybody_may_read_the_description(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert set(answer.json()["docs"]["resources"]) >= set(ACTIONS)


async def test_the_checksum_names_the_description_on_every_answer(client: httpx.AsyncClient) -> None:
    said = (await client.get("/apidoc/apipie_checksum")).json()["checksum"]
    for path in ("/apidoc/v2.json", "/api/job_invocations", "/foreman_tasks/api/tasks", "/api/no/such/route"):
        assert (await client.get(path)).headers["apipie-checksum"] == said
    assert "apipie-checksum" not in (await client.get("/healthz")).headers


def test_another_description_has_another_checksum() -> None:
    action = Action("hosts", "index", "GET", "/api/hosts", "List all hosts")
    more = Action("hosts", "index", "GET", "/api/hosts", "List all hosts", (Param("search", "filter results"),))
    first, second = (apidoc.checksum(apidoc.document([one])) for one in (action, more))
    assert first != second
    assert first == apidoc.checksum(apidoc.document([action]))


def test_all_resources_and_actions_are_found_by_apypie(described: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "default.json").write_text(json.dumps(described))
    api = apypie.ForemanApi(uri="http://facade", apidoc_cache_dir=str(tmp_path))
    found = {name: set(api.resource(name).actions) for name in ACTIONS}
    assert {name: found[name] & actions for name, actions in ACTIONS.items()} == ACTIONS
    create = api.resource("job_invocations").action("create")
    nested = {"job_template_id": 1, "targeting_type": "static_query", "ssh": {"effective_user": "ops"}}
    create.validate({"job_invocation": nested})
    with pytest.raises(apypie.exceptions.MissingArgumentsError):
        create.validate({"job_invocation": {"job_template_id": 1}})


def test_what_is_described_is_routed_and_what_is_routed_is_described(described: dict[str, Any]) -> None:
    apis = {
        (api["http_method"], api["api_url"])
        for resource in described["docs"]["resources"].values()
        for method in resource["methods"]
        for api in method["apis"]
    }
    routed = {(method, path.replace("{", ":").replace("}", "")) for method, path in GUARDED}
    assert apis <= routed
    assert routed - apis == {("POST", "/api/job_invocations/:id/outputs")}


def test_every_parameter_has_what_clients_need(described: dict[str, Any]) -> None:
    for resource in described["docs"]["resources"].values():
        for method in resource["methods"]:
            for param in every_param(method["params"]):
                assert isinstance(param["description"], str)
                assert param["description"]
                assert param["expected_type"] in {"string", "numeric", "boolean", "hash", "array", "any_type"}
            names = [param["full_name"] for param in every_param(method["params"])]
            assert len(names) == len(set(names)), (resource["name"], method["name"])


PARAM = {
    "name": str, "full_name": str, "description": str, "required": bool, "allow_nil": bool, "allow_blank": bool,
    "validator": str, "expected_type": str, "metadata": type(None), "show": bool, "validations": list,
    "deprecated": bool,
}  # fmt: skip
METHOD = {
    "name", "doc_url", "apis", "formats", "full_description", "errors", "params", "examples", "metadata", "see",
    "headers", "show",
}  # fmt: skip


def test_the_description_has_the_form_that_clients_read(described: dict[str, Any]) -> None:
    docs = described["docs"]
    assert docs.keys() == {"name", "info", "copyright", "doc_url", "api_url", "resources"}
    resources = docs["resources"]
    assert "subscriptions" not in resources, "the collection takes a server that has them for a Katello"
    assert {method["name"] for method in resources["hosts"]["methods"]} >= {"index", "show", "update"}
    for resource in resources.values():
        assert resource.keys() >= {"doc_url", "api_url", "name", "short_description", "version", "methods"}
        for method in resource["methods"]:
            assert method.keys() == METHOD
            for api in method["apis"]:
                assert api.keys() == {"api_url", "http_method", "short_description", "deprecated"}
            for param in every_param(method["params"]):
                assert param.keys() - {"params"} == PARAM.keys()
                assert all(isinstance(param[key], type_) for key, type_ in PARAM.items()), param
                assert param["expected_type"] in ("hash", "array") or "params" not in param


LISTED = {"search", "order", "page", "per_page", "location_id", "organization_id"}
JOB = {
    "job_template_id", "targeting_type", "randomized_ordering", "inputs", "ssh", "ssh[effective_user]",
    "ssh[effective_user_password]", "ssh_user", "password", "key_passphrase", "recurrence", "recurrence[cron_line]",
    "recurrence[max_iteration]", "recurrence[end_time]", "recurrence[purpose]", "scheduling", "scheduling[start_at]",
    "scheduling[start_before]", "concurrency_control", "concurrency_control[time_span]",
    "concurrency_control[concurrency_level]", "bookmark_id", "search_query", "description_format",
    "execution_timeout_interval", "feature", "time_to_pickup",
}  # fmt: skip
CONTEXT = {"location_id", "organization_id"}
PUBLISHED = {
    "index": LISTED,
    "show": {*CONTEXT, "id", "host_status"},
    "create": {
        *CONTEXT,
        "job_invocation",
        *(f"job_invocation[{head}]{bracket}{rest}" for head, bracket, rest in (name.partition("[") for name in JOB)),
    },
    "output": {*CONTEXT, "id", "host_id", "since"},
    "raw_output": {*CONTEXT, "id", "host_id"},
    "cancel": {*CONTEXT, "id", "force"},
    "rerun": {*CONTEXT, "id", "failed_only"},
    "outputs": {*CONTEXT, "id", "since", "raw", "search_query"},
}
"""The parameters of job invocations in the published documentation of Foreman (contract §2)."""
UNDOCUMENTED = {
    "root_name": "the name of the list in its answer; apypie and the collection rely on the one that there is",
    "recurring_logic": "documented where it is read, by its entries",
}


@pytest.mark.parametrize("action", PUBLISHED)
def test_jobs_take_what_the_published_documentation_says(described: dict[str, Any], action: str) -> None:
    methods = described["docs"]["resources"]["job_invocations"]["methods"]
    method = next(method for method in methods if method["name"] == action)
    assert {param["full_name"] for param in every_param(method["params"])} >= PUBLISHED[action]


def test_every_list_and_the_create_name_what_they_read_beside(described: dict[str, Any]) -> None:
    def names(resource: str, action: str) -> set[str]:
        methods = described["docs"]["resources"][resource]["methods"]
        method = next(method for method in methods if method["name"] == action)
        return {param["name"] for param in method["params"]}

    for resource, actions in ACTIONS.items():
        if "index" in actions and resource != "home":
            assert names(resource, "index") >= {"search", "order", "page", "per_page", "include_permissions"}, resource
    assert "include_hosts" in names("job_invocations", "create") & names("job_invocations", "show")
    assert "include_permissions" in names("job_invocations", "show") & names("job_invocations", "hosts")


def keys_read(source: str) -> set[str]:
    """The parameters that a module reads: what is written as `bag.get("x")`, `bag["x"]` or `boolean(bag, "x")`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="bag"), attr="get"), args=[ast.Constant(str(key)), *_]):
                found.add(key)
            case ast.Subscript(value=ast.Name(id="bag"), slice=ast.Constant(str(key))):
                found.add(key)
            case ast.Call(args=[ast.Name(id="bag"), ast.Constant(str(key)), *_]):
                found.add(key)
    return found


def test_what_handlers_read_is_documented(described: dict[str, Any]) -> None:
    methods = [method for resource in described["docs"]["resources"].values() for method in resource["methods"]]
    documented = {param["name"] for method in methods for param in every_param(method["params"])}
    read = {path.name: keys_read(path.read_text()) for path in Path(foreman.__path__[0]).glob("*.py")}
    assert read["job_routes.py"] >= {"include_hosts", "include_permissions", "host_status"}
    unknown = {name: keys - documented - set(UNDOCUMENTED) for name, keys in read.items()}
    assert {name: keys for name, keys in unknown.items() if keys} == {}


@pytest.mark.parametrize(("method", "path"), GUARDED, ids=[" ".join(pair) for pair in GUARDED])
async def test_no_route_answers_without_a_login(client: httpx.AsyncClient, method: str, path: str) -> None:
    concrete = path.replace("{", "").replace("}", "")
    for prefixed in (concrete, concrete.replace("/api/", "/api/v2/"), f"{concrete}.json", f"{concrete}/"):
        answer = await client.request(method, prefixed)
        assert (answer.status_code, answer.json()) == (401, {"error": {"message": "Unable to authenticate user "}})
        assert "www-authenticate" not in answer.headers
        assert answer.headers["foreman_api_version"] == "2"
        refused = await client.request(method, prefixed, headers={"Authorization": "Basic bm90IGEgbG9naW4="})
        assert refused.status_code == 401


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/api", "/api/", "/", "/apidocs", "/apidocx/v2"])
async def test_nothing_else_is_public(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize(("method", "path"), GUARDED, ids=[" ".join(pair) for pair in GUARDED])
def test_every_route_says_what_it_answers(method: str, path: str) -> None:
    document = FACADE.api.openapi()
    answers = document["paths"][path][method.lower()]["responses"]
    assert len([status for status in answers if status.startswith("2")]) == 1
    for status, answer in answers.items():
        schema = answer["content"]["application/json"]["schema"]
        assert schema
        if not status.startswith("2"):
            for option in schema.get("anyOf", [schema]):
                assert option["$ref"].removeprefix("#/components/schemas/") in document["components"]["schemas"]


def test_the_page_shows_answers_and_errors() -> None:
    page = documentation.page(FACADE.api.openapi())
    assert "<td><code>422</code><td>What is there, or what is given, does not allow it<td>" in page
    assert "outputs: [{complete: boolean, refresh: boolean, output: [{output_type: stdout | stderr | debug" in page
    assert "<td><code>Message</code><td><code>{message: string}</code>" in page
