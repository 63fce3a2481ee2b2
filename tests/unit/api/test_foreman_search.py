"""The search language that is understood so far."""

import pytest

from rollcall_api import records
from rollcall_api.cache import Table
from rollcall_api.foreman import search
from rollcall_api.foreman.errors import ForemanError
from rollcall_api.records import Host


@pytest.fixture
def hosts() -> Table[Host]:
    table = Table(records.parse_host)
    for number, name in enumerate(("web2", "web1", "db.example.com"), 1):
        metadata = {
            "name": name,
            "uid": name,
            "resourceVersion": str(number),
            "labels": {"rollcall.dev/id": str(number)},
        }
        table.put({"metadata": metadata})
    return table


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name = web1", ["web1"]),
        ("name=web1", ["web1"]),
        ('name = "web1"', ["web1"]),
        ("  name  =  db.example.com  ", ["db.example.com"]),
        ("name ^ (web1, web2)", ["web1", "web2"]),
        ("name ^ (web2 web1 absent)", ["web1", "web2"]),
        ("name^(web1,web1)", ["web1"]),
        ("name ^ ()", []),
        ("id = 3", ["db.example.com"]),
        ("id ^ (1,2,99)", ["web1", "web2"]),
        ("", ["db.example.com", "web1", "web2"]),
        ("   ", ["db.example.com", "web1", "web2"]),
    ],
)
def test_a_query_selects_hosts_by_name(hosts: Table[Host], query: str, names: list[str]) -> None:
    assert [host.name for host in search.target_hosts(query, hosts)] == names


@pytest.mark.parametrize(
    "query",
    [
        "web",
        "name ~ web",
        "name != web1",
        "name!=web1",
        "name =",
        "name = a b",
        "name = a and name = b",
        "name ^ a,b",
        "name ^ (a",
        "name ^ ((a))",
        "not name = a",
        "os = Debian",
        "id = web1",
        "id ^ (1, x)",
        'name = "a',
        "id = " + "9" * 30,
    ],
)
def test_anything_else_is_refused_and_says_what_is_understood(hosts: Table[Host], query: str) -> None:
    with pytest.raises(ForemanError) as refusal:
        search.target_hosts(query, hosts)
    assert refusal.value.status == 400
    message = refusal.value.body["error"]["message"]
    assert search.HOST_QUERIES in message or "is not valid for field 'id'" in message


@pytest.mark.parametrize(
    ("query", "ids"), [("id = 2", [2]), ("id ^ (3, 1, 9)", [1, 3]), ("", [1, 2, 3]), ("id ^ ()", [])]
)
def test_a_query_selects_jobs_by_id(query: str, ids: list[int]) -> None:
    assert list(search.select_jobs(query, [1, 2, 3])) == ids


@pytest.mark.parametrize(("names", "query"), [(["a"], "name = a"), (["a", "b"], "name ^ (a, b)"), ([], "name ^ ()")])
def test_names_are_quoted_as_a_query_that_finds_them(names: list[str], query: str) -> None:
    assert search.quoted(names) == query
    condition = search.parse(query, ("name",), "")
    assert condition is not None
    assert list(condition.values) == names


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
    order = search.job_order(text)
    assert (order.by, order.direction, order.descending) == (by, direction, descending)
