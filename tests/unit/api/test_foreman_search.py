"""What searches for hosts and for jobs find."""

import dataclasses
import json
import re
from typing import Any

import pytest

from rollcall_api.access import Reach
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.foreman import search
from rollcall_api.foreman.errors import ForemanError, of_problem
from rollcall_api.foreman.job_fields import JOBS, TASKS
from rollcall_api.foreman.lists import envelope
from rollcall_api.foreman.numbers import number_of
from rollcall_api.foreman.requests import Page
from rollcall_api.foreman.search import HostSearch
from rollcall_api.foreman.tasks import host_task_id, job_of_host_task
from rollcall_api.foreman.taxonomies import Context, Taxonomies
from rollcall_api.job_search import JobSearch
from rollcall_api.jobs import Jobs
from rollcall_api.pace import Pace
from rollcall_api.problems import BadSearch
from rollcall_api.sequences import Sequences
from rollcall_api.visibility import Searcher

ALICE = Searcher("alice", True)
BLIND = Searcher("alice", False)
OLDEST_FIRST = JOBS.order("id")


def metadata(name: str, id_: int, **more: Any) -> dict[str, Any]:
    labels = {"rollcall.dev/id": str(id_)}
    return {"name": name, "uid": f"uid-{name}", "resourceVersion": str(id_), "labels": labels, **more}


@pytest.fixture
def cache() -> Cache:
    cache = Cache(Cluster(), "ns")
    for number, name in enumerate(("web2", "web1", "db.example.com"), 1):
        spec = {"groups": ["web" if name.startswith("web") else "db"], "variables": {"tier": number}}
        cache.hosts.put({"metadata": metadata(name, number), "spec": spec})
    cache.hosts.put({"metadata": metadata("web9", 9), "spec": {"unschedulable": True, "groups": ["web"]}})
    cache.templates.put({"metadata": metadata("run", 11), "spec": {"category": "Commands", "displayName": "Run it"}})
    for number, (user, conditions, hosts) in enumerate(
        (("alice", ["Complete"], ["web1"]), ("bob", ["Failed"], ["web2"]), ("alice", [], ["web1", "web2"])), 1
    ):
        status = {"conditions": [{"type": type_, "status": "True"} for type_ in conditions]}
        spec = {"templateRef": {"name": "run"}, "targeting": {"hosts": hosts}, "requestedBy": {"username": user}}
        more = {"creationTimestamp": f"2024-05-0{number}T10:00:00Z"}
        cache.jobs.put({"metadata": metadata(f"job-{number}", number, **more), "spec": spec, "status": status})
    later = {"startAt": "2200-01-01T00:00:00Z", "templateRef": {"name": "run"}, "targeting": {"hosts": ["web2"]}}
    more = {"creationTimestamp": "2024-06-01T10:00:00Z"}
    cache.jobs.put({"metadata": metadata("job-4", 4, **more), "spec": later})
    results = {"state": "Done", "hosts": [{"name": "web1", "state": "Succeeded"}]}
    slice_ = {"invocationRef": {"name": "job-1"}, "index": 0, "hosts": ["web1"]}
    cache.slices.put({"metadata": metadata("job-1-0", 1), "spec": slice_, "status": results})
    return cache


@pytest.fixture
def jobs(cache: Cache) -> JobSearch:
    return JobSearch(Jobs(Cluster(), cache, Sequences(Cluster(), "ns"), "ns"), Pace(), JOBS)


async def targets(cache: Cache, query: str, sees: Any = lambda _: True) -> list[str]:
    taxonomies = Taxonomies(cache.hosts)
    found = await HostSearch(cache, taxonomies, Pace()).targets(query, Context(taxonomies), sees)
    return [host.name for host in found]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name = web1", ["web1"]),
        ("name=web1", ["web1"]),
        ('name = "web1"', ["web1"]),
        ("  name  =  db.example.com  ", ["db.example.com"]),
        ("name ^ (web1, web2)", ["web1", "web2"]),
        ("name ^ (web2 web1 absent)", ["web1", "web2"]),
        ("name ^ ()", []),
        ("id ^ (1,2,99)", ["web1", "web2"]),
        ("web", ["web1", "web2"]),
        ("name ~ EXAMPLE", ["db.example.com"]),
        ("hostgroup = web and not name = web1", ["web2"]),
        ("params.tier > 1", ["db.example.com", "web1"]),
        ("managed = true and name = web1", ["web1"]),
        (f"hostgroup_id = {number_of('web')}", ["web1", "web2"]),
        (f"hostgroup_id ^ ({number_of('db')}, 7)", ["db.example.com"]),
        ("hostgroup_id = 7", []),
        ("comment ~ x", []),
        ("null? comment and name = web1", ["web1"]),
        ("build = true", []),
        ("job_invocation.id = 1", ["web1"]),
        ("job_invocation.id = 1 and job_invocation.result = success", ["web1"]),
        ("job_invocation.id = 1 and job_invocation.result = failed", []),
        ("not job_invocation.id = 1 and hostgroup = web", ["web2"]),
        ("execution_status = ok", ["web1"]),
        ("execution_status = error", []),
        ("name = web1 or hostgroup = db", ["db.example.com", "web1"]),
        ("", ["db.example.com", "web1", "web2"]),
        ("   ", ["db.example.com", "web1", "web2"]),
    ],
)
async def test_a_query_selects_hosts_that_take_work(cache: Cache, query: str, names: list[str]) -> None:
    assert await targets(cache, query) == names


async def test_what_jobs_did_is_told_to_those_who_see_the_jobs(cache: Cache) -> None:
    for query in ("job_invocation.id = 1", "job_invocation.result = success", "execution_status = ok"):
        assert await targets(cache, query, lambda _: False) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("name!=web1", "Field 'name!' not recognized for searching!"),
        ("nonsense = 1", "Field 'nonsense' not recognized for searching!"),
        ("id = web1", "Value 'web1' is not valid for field 'id'"),
        ("id ~ 1", "the operator 'like' is not supported for field type 'integer'"),
        ("id > -1", "Value expected but found :not"),
    ],
)
async def test_what_is_not_understood_is_refused_in_foremans_words(cache: Cache, query: str, message: str) -> None:
    with pytest.raises(BadSearch) as refusal:
        await targets(cache, query)
    error, answer = {"message": message, "class": "ScopedSearch::QueryNotSupported"}, of_problem(refusal.value)
    assert (answer.status, answer.body) == (400, {"error": error})


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [1, 2, 3, 4]),
        ("id = 2", [2]),
        ("id ^ (3, 1, 9)", [1, 3]),
        ("id > 1 and id < 4", [2, 3]),
        ("status = succeeded", [1]),
        ("status = failed", [2]),
        ("status = queued", [4]),
        ("status = running", [3, 4]),
        ("status != succeeded", [2, 3, 4]),
        ("status = nonsense", []),
        ("user = current_user", [1, 3]),
        ("owner = bob", [2]),
        ("host = web1", [1]),
        ("targeted_host_id = 1", [2, 3, 4]),
        ('pattern_template_name = "Run it"', [1, 2, 3, 4]),
        ("job_category = Commands", [1, 2, 3, 4]),
        ("commands", [1, 2, 3, 4]),
        ("started_at > 2024-05-02", [3]),
        ("started_at = 2024-05-02", [2]),
        ("recurring = true", []),
        ("id = 2 or status = succeeded", [1, 2]),
        ("not id = 2", [1, 3, 4]),
    ],
)
async def test_a_query_selects_jobs(jobs: JobSearch, query: str, ids: list[int]) -> None:
    assert list(await jobs.find(query, OLDEST_FIRST, ALICE)) == ids


async def test_who_may_not_see_hosts_finds_no_job_by_one(jobs: JobSearch) -> None:
    assert list(await jobs.find("host = web1", OLDEST_FIRST, BLIND)) == []
    assert list(await jobs.find("targeted_host_id = 1", OLDEST_FIRST, BLIND)) == []
    assert list(await jobs.find("web1", OLDEST_FIRST, ALICE)) == [1]
    assert list(await jobs.find("web1", OLDEST_FIRST, BLIND)) == []


async def test_what_was_found_is_looked_for_again_after_a_change(jobs: JobSearch, cache: Cache) -> None:
    assert list(await jobs.find("status = failed", OLDEST_FIRST, ALICE)) == [2]
    cache.jobs.drop("job-2", 99)
    assert list(await jobs.find("status = failed", OLDEST_FIRST, ALICE)) == []


@pytest.mark.parametrize("query", ["id > abc", "nonsense = 1", "started_at > someday"])
async def test_a_search_for_jobs_that_is_not_understood_is_refused(jobs: JobSearch, query: str) -> None:
    with pytest.raises(BadSearch) as refusal:
        await jobs.find(query, OLDEST_FIRST, ALICE)
    assert of_problem(refusal.value).status == 400


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("started_at", [4, 1, 2, 3]),
        ("started_at DESC", [3, 2, 1, 4]),
        ("id", [1, 2, 3, 4]),
        ("user DESC", [2, 1, 3, 4]),
    ],
)
async def test_jobs_without_a_value_stand_first_or_last(jobs: JobSearch, order: str, ids: list[int]) -> None:
    assert list(await jobs.find("", JOBS.order(order), ALICE)) == ids


@pytest.mark.parametrize(("names", "query"), [(["a"], "name ^ (a)"), (["a", "b"], "name ^ (a, b)"), ([], "name ^ ()")])
def test_names_are_quoted_as_a_query_that_finds_them(names: list[str], query: str) -> None:
    assert search.quoted(names) == query


@pytest.mark.parametrize(
    ("text", "by", "direction", "descending"),
    [
        ("", None, None, True),
        ("id", "id", "ASC", False),
        ("id desc", "id", "desc", True),
        ("start_at DESC", "start_at", "DESC", True),
        ("description sideways", "description", "sideways", False),
    ],
)
def test_an_order_is_echoed_as_given(text: str, by: str | None, direction: str | None, descending: bool) -> None:
    assert JOBS.order(text).descending == descending
    assert json.loads(envelope([], 0, 0, Page(), {"order": text}))["sort"] == {"by": by, "order": direction}


def test_an_order_by_an_unknown_field_is_refused() -> None:
    with pytest.raises(ForemanError) as refusal:
        JOBS.order("nonsense")
    message = "the field 'nonsense' in the order statement is not valid field for search"
    assert refusal.value.body["error"]["message"] == message


async def test_who_sees_own_jobs_only_finds_no_others(jobs: JobSearch) -> None:
    own = Searcher("alice", True, Reach.OWN)
    assert list(await jobs.find("", OLDEST_FIRST, own)) == [1, 3]
    assert list(await jobs.find("", JOBS.order(""), own)) == [3, 1]
    assert list(await jobs.find("id ^ (1, 2)", OLDEST_FIRST, own)) == [1]
    assert list(await jobs.find("id > 0", OLDEST_FIRST, own)) == [1, 3]
    assert list(await jobs.find("", OLDEST_FIRST, Searcher("alice", True, Reach.NONE))) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (" or ".join(["description ~ x"] * 257), "it has 257 conditions, and may have 256"),
        (" or ".join(["host ~ x"] * 17), "it has 17 conditions on hosts or words, and may have 16"),
        ("a " * 17, "it has 17 conditions on hosts or words, and may have 16"),
    ],
)
async def test_a_search_for_jobs_that_asks_too_much_is_refused(jobs: JobSearch, query: str, message: str) -> None:
    with pytest.raises(BadSearch, match=re.escape(f"The search asks too much: {message}")):
        await jobs.find(query, OLDEST_FIRST, ALICE)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (" or ".join(["execution_status = ok"] * 5), "it has 5 conditions on jobs, and may have 4"),
        (" or ".join(["name ~ x"] * 65), "it has 65 tests other than equality, and may have 64"),
    ],
)
async def test_a_search_for_hosts_that_asks_too_much_is_refused(cache: Cache, query: str, message: str) -> None:
    with pytest.raises(BadSearch, match=re.escape(f"The search asks too much: {message}")):
        await targets(cache, query)


@pytest.mark.parametrize("query", ["id ^ (1, 2)", "id = 1 or id = 2", "id = 1 and status = succeeded"])
async def test_a_search_by_id_looks_at_no_other_job(
    jobs: JobSearch, cache: Cache, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    numbered = cache.jobs.numbered
    monkeypatch.setattr(cache.jobs, "numbered", lambda id_: looked_at.append(id_) or numbered(id_))
    assert 1 in await jobs.find(query, OLDEST_FIRST, ALICE)
    assert set(looked_at) <= {1, 2}


async def test_tasks_are_found_by_what_their_jobs_are(cache: Cache) -> None:
    found = JobSearch(Jobs(Cluster(), cache, Sequences(Cluster(), "ns"), "ns"), Pace(), TASKS)
    for query, ids in (
        ("resource_type = JobInvocation and resource_id = 2", [2]),
        ("id = uid-job-3", [3]),
        ("state = stopped", [2, 1]),
        ("result = success", [1]),
        ("owner.login = bob", [2]),
        ("label = Actions::RemoteExecution::RunHostsJob", [4, 3, 2, 1]),
        ("parent_task_id = x", []),
        ("", [4, 3, 2, 1]),
    ):
        assert list(await found.find(query, TASKS.order(""), ALICE)) == ids, query


@pytest.mark.parametrize("number", [1, 4_095, 4_096, 10**18 - 1])
def test_the_id_of_a_hosts_task_leads_to_its_job(cache: Cache, number: int) -> None:
    known = cache.jobs.numbered(1)
    assert known is not None
    job = dataclasses.replace(known, id=number)
    one, other = host_task_id(job, "a"), host_task_id(job, "b")
    assert one != other
    assert [job_of_host_task(task) for task in (one, other, job.uid, "nonsense")] == [number, number, None, None]
