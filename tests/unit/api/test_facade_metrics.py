"""What Prometheus is told of the facade: which requests it answered, and what it asked of the API server."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from rollcall_api import metrics
from rollcall_api.app import Facade, Settings
from rollcall_api.traffic import Traffic
from support.operator import free_port

LOGIN = ("ops", "secret")
INDEX = {"dialect": "foreman", "route": "/api/job_invocations", "method": "GET"}
SHOW = INDEX | {"route": "/api/job_invocations/{id}"}
OTHER = {"dialect": "other", "route": "other", "method": "other"}


@pytest.fixture
def facade(tmp_path: Path) -> Facade:
    """A facade without a cluster, and with one person who may log in."""
    digest = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("secret")
    (tmp_path / "ops.json").write_text(json.dumps({"passwordHash": digest, "username": "ops@example.com"}))
    return Facade(Settings(namespace="fleet", ids_namespace="fleet", users_dir=tmp_path))


def client(facade: Facade) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(facade), base_url="http://facade")


def registry(facade: Facade) -> CollectorRegistry:
    found = CollectorRegistry()
    found.register(facade.traffic)
    found.register(facade.cache)
    return found


async def test_requests_are_counted_by_route_and_not_by_what_they_ask_for(facade: Facade) -> None:
    async with client(facade) as http:
        for path in ("", "?page=2", "/7", "/8", "/9.json"):
            await http.get(f"/api/job_invocations{path}", auth=LOGIN)
    told = registry(facade)
    assert told.get_sample_value("rollcall_http_requests_total", INDEX | {"code": "503"}) == 2
    assert told.get_sample_value("rollcall_http_requests_total", SHOW | {"code": "503"}) == 3
    assert told.get_sample_value("rollcall_http_request_seconds_count", SHOW) == 3
    assert told.get_sample_value("rollcall_http_request_seconds_bucket", SHOW | {"le": "+Inf"}) == 3


async def test_what_no_route_has_is_counted_together(facade: Facade) -> None:
    async with client(facade) as http:
        assert (await http.get("/api/job_invocations")).status_code == 401
        assert (await http.get("/api/job_invocations", auth=("ops", "wrong"))).status_code == 401
        assert (await http.get("/any/thing/4711", auth=LOGIN)).status_code == 404
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.request("BREW", "/any", auth=LOGIN)).status_code == 404
    told = registry(facade)
    found = {code: told.get_sample_value("rollcall_http_requests_total", OTHER | {"code": code}) for code in CODES}
    assert found == {"200": 1, "401": 2, "404": 2}
    assert told.get_sample_value("rollcall_http_request_seconds_count", OTHER) == 3, "without those that were refused"


CODES = ("200", "401", "404")


async def test_a_head_request_counts_as_the_get_that_it_is_routed_as(facade: Facade) -> None:
    async with client(facade) as http:
        await http.head("/api/job_invocations", auth=LOGIN)
    assert registry(facade).get_sample_value("rollcall_http_requests_total", INDEX | {"code": "503"}) == 1


async def test_metrics_are_answered_at_their_own_port_only(facade: Facade) -> None:
    port = free_port()
    async with metrics.serving(("127.0.0.1", port), facade.traffic, facade.cache), client(facade) as http:
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", auth=LOGIN)).status_code == 404
        answer = await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/metrics", trust_env=False)
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["rollcall_http_requests"].type == "counter"
    assert families["rollcall_http_request_seconds"].type == "histogram"
    assert {sample.labels["resource"] for sample in families["rollcall_cache_objects"].samples} == {
        "hosts", "inventories", "jobtemplates", "jobinvocations", "jobslices", "schedules",
    }  # fmt: skip
    assert all(sample.value < 60 for sample in families["rollcall_watch_age_seconds"].samples)
    with pytest.raises(httpx.TransportError):
        await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert b"rollcall_cache_objects" not in generate_latest(metrics.REGISTRY), "a facade that ended is not told of"


def test_a_request_is_in_the_bucket_of_its_time_and_in_all_above() -> None:
    traffic = Traffic()
    count = traffic.route("foreman", "/x", "GET")
    for seconds in (0.0004, 0.001, 0.0011, 99.0):
        count.add(200, seconds)
    told: dict[str, Metric] = {family.name: family for family in traffic.collect()}
    buckets = {
        s.labels["le"]: s.value for s in told["rollcall_http_request_seconds"].samples if s.name.endswith("_bucket")
    }
    assert (buckets["0.001"], buckets["0.0025"], buckets["10.0"], buckets["+Inf"]) == (2, 3, 3, 4)


CUSTOM = "/apis/rollcall.dev/v1alpha1/namespaces/fleet/"


@pytest.mark.parametrize(
    ("method", "path", "query", "verb", "resource"),
    [
        ("GET", f"{CUSTOM}jobinvocations", {"limit": 500}, "list", "jobinvocations"),
        ("GET", f"{CUSTOM}jobinvocations", {"watch": "true"}, "watch", "jobinvocations"),
        ("GET", f"{CUSTOM}jobinvocations/job-1", {}, "get", "jobinvocations"),
        ("POST", f"{CUSTOM}jobinvocations", {}, "create", "jobinvocations"),
        ("DELETE", f"{CUSTOM}jobinvocations/job-1", {}, "delete", "jobinvocations"),
        ("PUT", "/api/v1/namespaces/fleet/configmaps/rollcall-ids", {}, "update", "configmaps"),
        ("GET", "/api/v1/namespaces/fleet/pods/job-1-0/log", {"container": "runner"}, "get", "pods/log"),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {}, "create", "tokenreviews"),
    ],
)
def test_a_request_to_the_api_server_is_counted_under_the_words_of_rbac(
    method: str, path: str, query: dict[str, str | int], verb: str, resource: str
) -> None:
    def value(code: str) -> float:
        labels = {"verb": verb, "resource": resource, "code": code}
        return metrics.REGISTRY.get_sample_value("rollcall_kubernetes_requests_total", labels) or 0

    answered, unanswered = value("418"), value("none")
    with metrics.counted(method, path, query) as answer:
        answer.code = 418
    with pytest.raises(OSError), metrics.counted(method, path, query):
        raise OSError
    assert (value("418"), value("none")) == (answered + 1, unanswered + 1)
