"""What scripts and browsers get wrong, on every route there is (contract §1.1, §1.2, §1.4, §1.6)."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from integration.api.facade_world import RUN, FacadeProcess, World, service_account
from integration.api.route_table import GUARDED, READS, ROUTES, WRITES, filled, names
from support.kube import Kube

ROOT = "/api/job_invocations"
JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024
CHANGE = ["get", "list", "create", "update", "delete"]
RESOURCES = ["jobtemplates", "inventories", "schedules", "hosts"]
UNROUTED = [
    (method, path)
    for path in dict.fromkeys(path for _, path in GUARDED)
    for method in ("OPTIONS", "PATCH", "PUT", "DELETE", "POST")
    if (method, path) not in ROUTES
]


def e1(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


def as_sent(path: str) -> str:
    """A path to something that is there, or not."""
    return filled(path, id=1, host_id=1, template_id=11, uuid="none")


@pytest.fixture(scope="module")
def client(kube: Kube, world: World, namespace: str, facade: FacadeProcess) -> Iterator[httpx.Client]:
    rules = [*RUN, {"apiGroups": ["rollcall.dev"], "resources": RESOURCES, "verbs": CHANGE}]
    facade.tokens["clumsy"] = service_account(kube, namespace, "clumsy", rules)
    with facade.client("clumsy") as client:
        yield client


@pytest.mark.parametrize(("method", "path"), GUARDED, ids=names(GUARDED))
def test_a_route_opens_to_no_bad_token(world: World, method: str, path: str) -> None:
    wrong = [{"Authorization": "Bearer no.such.token"}, {"X-Auth-Token": "no.such.token"}, {"Authorization": "Bearer"}]
    with world.facade.anonymous() as stranger:
        for headers in (*wrong, {}):
            answer = stranger.request(method, as_sent(path), headers=headers)
            assert (answer.status_code, answer.json()) == (401, e1("Unable to authenticate user "))
            assert answer.headers["foreman_api_version"] == "2"
            assert stranger.head(as_sent(path), headers=headers).status_code == 401


@pytest.mark.parametrize(("method", "path"), WRITES, ids=names(WRITES))
def test_a_write_takes_json_only(client: httpx.Client, method: str, path: str) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = client.request(method, as_sent(path), content=b"a=1", headers={"Content-Type": content_type})
        message = (
            f"Media type in 'Content-Type: {content_type}' is unsupported in API v2 for POST and PUT requests. "
            "Please use 'Content-Type: application/json'."
        )
        assert (answer.status_code, answer.json()) == (415, e1(message))


@pytest.mark.parametrize(("method", "path"), WRITES, ids=names(WRITES))
def test_a_write_with_broken_json(client: httpx.Client, method: str, path: str) -> None:
    for content in (b"{", b'{"a": }', b"\xff\xfe", b"[" * 100_000):
        answer = client.request(method, as_sent(path), content=content, headers=JSON)
        assert (answer.status_code, set(answer.json())) == (400, {"status", "error"})
        assert answer.json()["error"].startswith("There was a problem in the JSON you submitted: ")


@pytest.mark.parametrize(("method", "path"), WRITES, ids=names(WRITES))
def test_a_write_of_more_than_a_mebibyte(client: httpx.Client, method: str, path: str) -> None:
    def in_chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * (MIB // 16)

    for content in (b" " * (MIB + 1), in_chunks()):
        answer = client.request(method, as_sent(path), content=content, headers=JSON)
        assert (answer.status_code, set(answer.json())) == (413, {"error"})
    assert client.get("/api/status").status_code == 200


def test_a_body_that_never_ends_is_not_waited_for(facade: FacadeProcess) -> None:
    head = f"POST {ROOT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {facade.tokens['runner']}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(facade.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(head.encode())
        for _ in range(17):
            connection.sendall(b"%x\r\n%s\r\n" % (MIB // 16, b" " * (MIB // 16)))
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_what_is_not_ascii_in_an_address_is_refused_and_never_misread(
    client: httpx.Client, facade: FacadeProcess
) -> None:
    head = f"GET {ROOT}?search=Zürich HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {facade.tokens['runner']}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(facade.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert client.get(f"{ROOT}?search=Z%C3%BCrich").json()["search"] == "Zürich"


@pytest.mark.parametrize("path", READS)
def test_a_read_is_the_same_however_it_is_written(client: httpx.Client, path: str) -> None:
    sent = as_sent(path)
    answer = client.get(sent)
    for form in (
        f"{sent}/",
        f"{sent}.json",
        sent.replace("/api", "/api/v2", 1),
        f"{sent}?no_such_key=1&utf8=%E2%9C%93",
    ):
        same = client.get(form)
        assert same.status_code == answer.status_code, form
        assert same.json().keys() == answer.json().keys()
    head = client.head(sent)
    assert (head.status_code, head.content) == (answer.status_code, b"")
    assert head.headers["content-type"] == answer.headers["content-type"]


@pytest.mark.parametrize(("method", "path"), UNROUTED, ids=names(UNROUTED))
def test_what_is_not_routed_is_not_there(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, as_sent(path), headers=JSON)
    assert (answer.status_code, answer.json()) == (404, e1(f'No route matches [{method}] "{as_sent(path)}"'))


def test_ids_and_switches_may_be_strings(world: World, client: httpx.Client) -> None:
    order = world.order(job_template_id="11", search_query=None, host_ids=["1", "2"], randomized_ordering="false")
    order |= {"organization_id": "1", "location_id": "2", "no_such_key": {"deep": [1]}}
    order["job_invocation"] |= {"no_such_key": 1, "concurrency_control": {"concurrency_level": "3"}}
    answer = client.post(ROOT, json=order)
    assert answer.status_code == 201, answer.text
    assert [host["name"] for host in answer.json()["targeting"]["hosts"]] == ["web1", "web2"]
    id_ = answer.json()["id"]
    assert world.invocation(id_)["spec"]["rollout"]["concurrency"] == 3
    for switch in ("1", "True", "yes"):
        shown = client.get(f"{ROOT}/{id_}", params={"host_status": switch}).json()
        assert all("job_status" in host for host in shown["targeting"]["hosts"])
    page = client.get(ROOT, params={"page": "1", "per_page": "2"}).json()
    assert (page["page"], page["per_page"]) == (1, 2)
    outputs = client.post(f"{ROOT}/{id_}/outputs", json={"raw": "true", "since": "0", "search_query": "id = 1"})
    assert [item["host_id"] for item in outputs.json()["outputs"]] == [1]


def test_what_is_wrong_is_told_in_the_order_of_the_contract(world: World, client: httpx.Client) -> None:
    path, text = f"{ROOT}/987654/rerun", {"Content-Type": "text/plain"}
    wrong, none = {"organization_id": "4711"}, {"organization_id": " ", "location_id": ""}
    with world.facade.anonymous() as stranger:
        assert stranger.post(path, params=wrong, content=b"x", headers=text).status_code == 401
    with world.facade.client("viewer") as viewer:
        assert viewer.post(path, params=wrong, content=b"x", headers=text).status_code == 403
    answer = client.post(path, params=wrong, content=b"x", headers=text)
    assert (answer.status_code, answer.json()) == (404, {"message": "Organization with id 4711 not found"})
    assert client.post(path, params=none, content=b"x", headers=text).status_code == 415
    answer = client.post(path, params=none, content=b"", headers=JSON)
    assert (answer.status_code, answer.json()) == (404, e1("Resource job_invocation not found by id '987654'"))


def test_a_create_without_the_outer_hash_is_a_create(world: World, client: httpx.Client) -> None:
    flat = world.order()["job_invocation"]
    assert client.post(ROOT, json=flat).status_code == 201


@pytest.mark.parametrize("content", [b"", b" ", b"{}", b"null", b"[]", b'"text"', b"1"])
def test_a_body_without_anything_in_it(world: World, client: httpx.Client, content: bytes) -> None:
    answer = client.post(ROOT, content=content, headers=JSON)
    assert (answer.status_code, answer.json()) == (404, e1("Template with id '' was not found"))
    id_ = world.create()["id"]
    assert client.post(f"{ROOT}/{id_}/outputs", content=content, headers=JSON).status_code == 200
    assert client.post(f"{ROOT}/{id_}/cancel", content=content, headers=JSON).json() == {"cancelled": True, "id": id_}
