"""Which hosts a job gets that is created through Foreman's API (contract §4.4)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rollcall_api.cache import Cache
from rollcall_api.foreman import creation, echo
from rollcall_api.foreman.errors import ForemanError
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import MAX_BODY_BYTES
from rollcall_api.foreman.search import HostSearch, quoted
from rollcall_api.foreman.targeting import Scope
from rollcall_api.foreman.taxonomies import Context, Taxonomies
from rollcall_api.job_manifests import JobRequest, invocation
from rollcall_api.pace import Pace
from rollcall_api.parsing import parse_job
from rollcall_api.records import Job
from rollcall_api.users import Identity
from support.crowded import crowded_cache, host, host_name, template

NOW = datetime(2024, 5, 4, 10, tzinfo=UTC)
HOSTS = 10_000


@pytest.fixture(scope="module")
def cache() -> Cache:
    return crowded_cache(0, hosts=HOSTS)


async def parsed(cache: Cache, given: dict[str, Any], organization: str = "") -> JobRequest:
    taxonomies = Taxonomies(cache.hosts)
    context = Context(taxonomies)
    context.choose({"organization_id": organization})
    scope = Scope(HostSearch(cache, taxonomies, Pace()), taxonomies, context, lambda _: True, may_view_hosts=True)
    bag = {"job_template_id": 1, "targeting_type": "static_query", "inputs": {"command": "id"}, **given}
    return await creation.parse({"job_invocation": bag}, cache, creation.Sight(True, True, True), scope, NOW)


def stored(request: JobRequest) -> Job:
    body = invocation(request, 7, Identity("alice"))
    made = {"uid": "u", "resourceVersion": "9", "creationTimestamp": "2024-05-04T10:00:00Z"}
    return parse_job({**body, "metadata": {**body["metadata"], **made}})


@pytest.mark.parametrize("by", ["id", "name"])
async def test_ten_thousand_hosts_can_be_named_one_by_one(cache: Cache, by: str) -> None:
    given = list(range(1, HOSTS + 1)) if by == "id" else [host_name(number) for number in range(HOSTS)]
    assert len(repr(given)) < MAX_BODY_BYTES
    request = await parsed(cache, {"host_ids": given})
    assert request.targeting.hosts == tuple(host_name(number) for number in range(HOSTS))
    # Too long to be kept beside them: it is made of the hosts again.
    assert echo.query(stored(request)) is None


async def test_a_few_hosts_come_back_as_a_query(cache: Cache) -> None:
    request = await parsed(cache, {"host_ids": [2, host_name(0), 2]})
    assert echo.query(stored(request)) == quoted([host_name(0), host_name(1)])


async def test_a_feature_may_be_given_by_its_id(cache: Cache) -> None:
    body = template()
    body["metadata"]["resourceVersion"] = "1000001"
    cache.templates.put({**body, "spec": {**body["spec"], "features": ["run_script"]}})
    for id_ in (number_of("feature/run_script"), str(number_of("feature/run_script"))):
        given = {"job_template_id": None, "remote_execution_feature_id": id_, "host_ids": [1]}
        job = stored(await parsed(cache, given))
        assert (echo.feature(job), job.late) == ("run_script", False)
    with pytest.raises(ForemanError) as refusal:
        await parsed(cache, {"job_template_id": None, "remote_execution_feature_id": 7, "host_ids": [1]})
    assert refusal.value.status == 404


@pytest.mark.parametrize("key", ["tags", "skip_tags"])
async def test_what_would_change_what_is_run_is_not_ignored(cache: Cache, key: str) -> None:
    assert await parsed(cache, {"ansible": {key: ""}, "host_ids": [1]})
    with pytest.raises(ForemanError) as refusal:
        await parsed(cache, {"ansible": {key: "deploy"}, "host_ids": [1]})
    assert "they are in the template (deploy)" in refusal.value.body["error"]["message"]


@pytest.mark.parametrize("length", [10, 4_096, 4_097, 16_384])
async def test_a_query_comes_back_as_it_was_given_however_long(cache: Cache, length: int) -> None:
    query = ("name = x" + " or name = y" * length)[:length].ljust(length, "z")
    job = stored(await parsed(cache, {"search_query": query}))
    assert echo.query(job) == query
    assert all(len(value) <= 4_096 for value in job.echo.values())


async def test_a_longer_query_is_refused_and_says_what_to_do(cache: Cache) -> None:
    with pytest.raises(ForemanError) as refusal:
        await parsed(cache, {"search_query": "x" * 16_385})
    assert "host_ids" in refusal.value.body["error"]["message"]


async def test_only_hosts_of_the_organization_are_taken(cache: Cache) -> None:
    moved = host(HOSTS + 5)
    moved["spec"]["organization"] = "Elsewhere"
    cache.hosts.put(moved)
    name = moved["metadata"]["name"]
    try:
        assert (await parsed(cache, {"search_query": "id > 0"}, "Elsewhere")).targeting.hosts == (name,)
        for asked in ({"host_ids": [name]}, {"host_ids": [HOSTS + 6]}):
            with pytest.raises(ForemanError) as refusal:
                await parsed(cache, asked, "Default Organization")
            assert refusal.value.status == 422
        everywhere = await parsed(cache, {"search_query": "organization_id = 1"})
        assert len(everywhere.targeting.hosts or ()) == HOSTS
    finally:
        cache.hosts.drop(name, 1_000_000)


async def test_a_host_that_changes_its_organization_takes_it_along(cache: Cache) -> None:
    taxonomies = Taxonomies(cache.hosts)
    for version, organization in ((20_000, "One"), (20_001, "Two")):
        changed = host(0)
        changed["spec"]["organization"] = organization
        changed["metadata"]["resourceVersion"] = str(version)
        cache.hosts.put(changed)
        assert list(taxonomies.organizations) == ["Default Organization", organization]
