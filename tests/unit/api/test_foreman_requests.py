"""Parameters in their many spellings."""

from typing import Any

import pytest

from rollcall_api.foreman import requests
from rollcall_api.foreman.cron import is_cron_line
from rollcall_api.foreman.errors import ForemanError
from rollcall_api.foreman.requests import Page
from rollcall_api.foreman.routing import canonical


@pytest.mark.parametrize("value", [True, 1, "1", "true", "True", "t", "yes", "Y", "on"])
def test_true(value: Any) -> None:
    assert requests.boolean({"raw": value}, "raw")


@pytest.mark.parametrize("value", [False, 0, "0", "false", "f", "no", "n", "OFF", "", None])
def test_false(value: Any) -> None:
    assert not requests.boolean({"raw": value}, "raw", default=True)


def test_neither_true_nor_false() -> None:
    with pytest.raises(ForemanError) as refusal:
        requests.boolean({"raw": "maybe"}, "raw")
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("value", "since"),
    [
        (None, None),
        ("", None),
        ("1683194401.512843", 1683194401.512843),
        (5, 5.0),
        (" 7 apples", 7.0),
        ("2024-05-04 10:00", 2024.0),
        ("yesterday", 0.0),
        ("1e3", 1000.0),
    ],
)
def test_since_is_the_leading_number(value: Any, since: float | None) -> None:
    assert requests.since({"since": value}) == since


@pytest.mark.parametrize(
    ("given", "page"),
    [
        ({}, Page(1, 20)),
        ({"page": "", "per_page": ""}, Page(1, 20)),
        ({"page": "3", "per_page": 7}, Page(3, 7)),
        ({"per_page": "all"}, Page(1, None)),
        ({"per_page": 4294967296}, Page(1, 4294967296)),
    ],
)
def test_pages(given: dict[str, Any], page: Page) -> None:
    assert Page.parse(given) == page


@pytest.mark.parametrize("given", [{"page": 0}, {"page": "-1"}, {"page": True}, {"per_page": "1.5"}, {"page": "all"}])
def test_pages_that_are_none(given: dict[str, Any]) -> None:
    with pytest.raises(ForemanError) as refusal:
        Page.parse(given)
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("path", "routed"),
    [
        ("/api/job_invocations", "/api/job_invocations"),
        ("/api/v2/job_invocations", "/api/job_invocations"),
        ("/api/v2/job_invocations.json", "/api/job_invocations"),
        ("/api/job_invocations/5.json", "/api/job_invocations/5"),
        ("/api/job_invocations/5/", "/api/job_invocations/5"),
        ("/api/v2/job_invocations/5/hosts/7.json", "/api/job_invocations/5/hosts/7"),
        ("/api/v2/hosts/web1.example.com/", "/api/hosts/web1.example.com"),
        ("/foreman_tasks/api/v2/tasks.json", "/foreman_tasks/api/tasks"),
        ("/api/v2", "/api"),
        ("/apidoc/v2.json", "/apidoc/v2"),
        ("/other/v2/jobs/5/", "/other/v2/jobs/5/"),
    ],
)
def test_a_path_is_routed_in_one_form(path: str, routed: str) -> None:
    assert canonical(path) == routed


@pytest.mark.parametrize(
    "line",
    [
        "5 * * * *",
        "*/10 0-6/2 1,15 jan-mar mon",
        "0 12 last * *",
        "0 9 * * fri#2",
        "0 9 * * fri#-1",
        "0 9 * * 1-5 Europe/Berlin",
        "@daily",
        "@hourly",
        "30 2 L * sunday",
    ],
)
def test_cron_lines(line: str) -> None:
    assert is_cron_line(line)


@pytest.mark.parametrize(
    "line",
    ["", "foo", "* * * *", "60 * * * *", "* * 32 * *", "*/0 * * * *", "* * * 13 *", "* * * * * Nowhere/City",
     "@never", "a b c d e", "5 * * * * *", "1- * * * *", "*-5 * * * *", "* * * * mon#9"],
)  # fmt: skip
def test_no_cron_lines(line: str) -> None:
    assert not is_cron_line(line)


@pytest.mark.parametrize(
    ("text", "bag"),
    [
        ("host_ids[]=2&host_ids[]=3", {"host_ids": ["2", "3"]}),
        ("host_ids%5B%5D=2&host_ids%5b%5d=3", {"host_ids": ["2", "3"]}),
        ("host_ids=2&host_ids=3", {"host_ids": "3"}),
        ("a[b]=1&a[c]=2", {"a": {"b": "1", "c": "2"}}),
        ("a[b]=1&a[b]=2", {"a": {"b": "2"}}),
        (
            "job_invocation[ssh][effective_user]=x&job_invocation[feature]=y",
            {"job_invocation": {"ssh": {"effective_user": "x"}, "feature": "y"}},
        ),
        ("a[][b]=1&a[][c]=2&a[][b]=3", {"a": [{"b": "1", "c": "2"}, {"b": "3"}]}),
        ("a[b][]=1&a[b][]=2", {"a": {"b": ["1", "2"]}}),
        ("a[][b][c]=1&a[][b][d]=2&a[][b][c]=3", {"a": [{"b": {"c": "1", "d": "2"}}, {"b": {"c": "3"}}]}),
        ("a[]=&b[]=1", {"a": [""], "b": ["1"]}),
        ("a[]=1&a=2", {"a": "2"}),
        ("a[b=1&b]=2&[]=3", {"a[b": "1", "b]": "2", "[]": "3"}),
        ("search=name+^+(a,+b)&since", {"search": "name ^ (a, b)", "since": ""}),
        ("search=name+%7E+%5Bx%5D", {"search": "name ~ [x]"}),
        ("description=Z%C3%BCrich", {"description": "Zürich"}),
        ("description=Zürich", {"description": "Zürich"}),
    ],
)
def test_a_query_string_is_read_as_rails_reads_it(text: str, bag: dict[str, Any]) -> None:
    assert requests.parse_query(text.encode()) == bag


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert requests.parse_query(b"search=\xff%ff!") == {"search": "\ufffd\ufffd!"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=1&a[]=2", "a[] is a list, and was a single value before"),
        ("a[b]=1&a[]=2", "a[] is a list, and was a hash before"),
        ("a[]=1&a[b]=2", "a[b] is a hash, and was a list before"),
        ("a[][]=1", "a[][] is a list in a list"),
        ("a" + "[b]" * 9 + "=1", "is nested too deeply"),
        ("a" + "[b]" * 30_000 + "=1", "is nested too deeply"),
        ("a[]=1&" * 4_096 + "a[]=1", "more than 4096 parameters"),
    ],
)
def test_a_query_string_that_contradicts_itself_or_is_too_much(text: str, said: str) -> None:
    with pytest.raises(ForemanError) as refusal:
        requests.parse_query(text.encode())
    assert refusal.value.status == 400
    message = refusal.value.body["error"]["message"]
    assert said in message
    assert len(message) < 300


def test_what_is_done_to_parameters_reaches_no_other_request() -> None:
    text = b"host_ids[]=2"
    requests.parse_query(text)["host_ids"].append("3")
    assert requests.parse_query(text) == {"host_ids": ["2"]}


@pytest.mark.parametrize(
    ("page", "count", "bounds"),
    [
        (Page(1, 4_294_967_296), 50_000, (0, 10_000)),
        (Page(3, 4_294_967_296), 50_000, (20_000, 30_000)),
        (Page(1, None), 50_000, (0, 10_000)),
        (Page(1, None), 3, (0, 3)),
        (Page(2, 20), 50_000, (20, 40)),
        (Page(10**17, 10**17), 50_000, ((10**17 - 1) * 10_000, 10**17 * 10_000)),
    ],
)
def test_no_page_has_more_than_ten_thousand_entries(page: Page, count: int, bounds: tuple[int, int]) -> None:
    assert page.bounds(count) == bounds
