"""What Prometheus hears from a facade in front of a real API server."""

import httpx

from integration.api.facade_world import FacadeProcess, World
from support.exposition import Scrape, scrape
from support.kube import Kube

INDEX = {"dialect": "foreman", "route": "/api/job_invocations", "method": "GET", "code": "200"}
SHOW = INDEX | {"route": "/api/job_invocations/{id}"}


def grown(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    return (after.value(name, **labels) or 0) - (before.value(name, **labels) or 0)


def test_requests_are_counted_by_route_and_what_the_facade_asks_by_verb(world: World, facade: FacadeProcess) -> None:
    before = scrape(facade.metrics_port)
    made = world.create()
    with facade.client() as client:
        client.get("/api/job_invocations").raise_for_status()
        for _ in range(3):
            client.get(f"/api/job_invocations/{made['id']}").raise_for_status()
    after = scrape(facade.metrics_port)
    assert grown(before, after, "rollcall_http_requests_total", **INDEX) == 1
    assert grown(before, after, "rollcall_http_requests_total", **SHOW) == 3
    assert grown(before, after, "rollcall_http_requests_total", **INDEX | {"method": "POST", "code": "201"}) == 1
    created = {"verb": "create", "resource": "jobinvocations", "code": "201"}
    assert grown(before, after, "rollcall_kubernetes_requests_total", **created) == 1
    assert after.by("rollcall_kubernetes_requests_total", "verb").keys() >= {"list", "watch", "create", "update"}


def test_the_cache_tells_what_it_holds_and_how_fresh_it_is(kube: Kube, world: World, facade: FacadeProcess) -> None:
    told = scrape(facade.metrics_port)
    assert told.value("rollcall_cache_objects", resource="hosts") == len(kube.list("hosts", world.namespace))
    ages = told.by("rollcall_watch_age_seconds", "resource")
    assert ages.keys() == {
        "hosts", "inventories", "jobtemplates", "jobinvocations", "jobslices", "schedules",
    }  # fmt: skip
    assert all(0 <= age < 180 for age in ages.values())
    assert all(family.documentation and family.type != "unknown" for family in told.families.values())


def test_metrics_need_no_login_and_are_not_at_the_facades_own_port(facade: FacadeProcess) -> None:
    with facade.anonymous() as client:
        assert client.get("/metrics").status_code == 401
    with facade.client() as client:
        assert client.get("/metrics").status_code == 404
    elsewhere = f"http://127.0.0.1:{facade.metrics_port}/api/job_invocations"
    assert httpx.get(elsewhere, trust_env=False).status_code == 404
