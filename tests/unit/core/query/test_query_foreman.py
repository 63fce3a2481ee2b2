"""Foreman's search language, by the tables of its contract (§6)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rollcall.query.ast import EVERYTHING, NOTHING, And, Has, Or, Statement
from rollcall.query.errors import MAX_DEPTH, MAX_LENGTH, QueryError
from rollcall.query.foreman import HOSTS, JOBS, TASKS, Subject, parse, parse_order, render
from rollcall.query.index import Index
from rollcall.query.predicates import Equals
from unit.core.query.selecting import index, selected

NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def letters() -> Index:
    """Hosts named by the letters in their comment: a query of letters shows how it is grouped."""
    names = ["", "a", "b", "c", "ab", "ac", "bc", "abc"]
    return index(*({"name": f"x{name}"} for name in names))


def those(*conditions: str) -> list[str]:
    names = ["", "a", "b", "c", "ab", "ac", "bc", "abc"]
    return sorted(f"x{n}" for n in names if any(all(letter in n for letter in letters) for letters in conditions))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a and b or c", those("ab", "ac")),
        ("a or b and c", those("a", "bc")),
        ("a or b c", those("ac", "bc")),
        ("a b or c", those("ab", "ac")),
        ("a, b", those("ab")),
        ("a,b", those("ab")),
        ("a & b | c", those("ab", "ac")),
        ("a && b || c", those("ab", "ac")),
        ("a AND b Or c", those("ab", "ac")),
        ("(a or b) and c", those("ac", "bc")),
        ("(a or b) c", those("ac", "bc")),
        ("((a", those("a")),
        ("a)) b", those("ab")),
        ("not a and b", ["xb", "xbc"]),
        ("!a b", ["xb", "xbc"]),
        ("-a b", ["xb", "xbc"]),
        ("not (a or b)", ["x", "xc"]),
        ("not not a", those("a")),
        ("name = xa or name = xb", ["xa", "xb"]),
        ("name = XA", []),
        ("name == xa", ["xa"]),
        ("name at xa", ["xa"]),
        ("name AT xa OR name=xb", ["xa", "xb"]),
        ("name=xab,a", ["xab"]),
        ('name = "or" or name = xa', ["xa"]),
        ('"not" a', []),
        ('name = "\\xa"', ["xa"]),
        ("name ~ XA", those("a")),
        ("name ~ xa*", ["xa", "xab", "xabc", "xac"]),
        ("name ~ x%c", ["xabc", "xac", "xbc", "xc"]),
        ("name ~ *a", ["xa"]),
        ("name !~ a", ["x", "xb", "xbc", "xc"]),
        ("name != xa", ["x", "xab", "xabc", "xac", "xb", "xbc", "xc"]),
        ("name <> xa", ["x", "xab", "xabc", "xac", "xb", "xbc", "xc"]),
        ("name ^ (xa, xb)", ["xa", "xb"]),
        ("name ^ (xa xb)", ["xa", "xb"]),
        ("name ^ xa,b", []),
        ("name ^ xab,b", ["xab"]),
        ("name !^ (xa, xb)", ["x", "xab", "xabc", "xac", "xbc", "xc"]),
        ('name = "xa"', ["xa"]),
        ('"a b"', []),
        ("'a'", []),
        ("= xa", ["xa"]),
        ("!= xa", ["x", "xab", "xabc", "xac", "xb", "xbc", "xc"]),
        ("null? comment", ["x", "xa", "xab", "xabc", "xac", "xb", "xbc", "xc"]),
        ("set? comment", []),
        ("has name and a", those("a")),
        ("a and", those("a")),
        ("a or (", those("a")),
        ("", ["x", "xa", "xab", "xabc", "xac", "xb", "xbc", "xc"]),
        ("   ", ["x", "xa", "xab", "xabc", "xac", "xb", "xbc", "xc"]),
        ("()", ["x", "xa", "xab", "xabc", "xac", "xb", "xbc", "xc"]),
    ],
)
def test_operators_group_and_compare_as_the_contract_says(letters: Index, query: str, expected: list[str]) -> None:
    assert selected(parse(query, HOSTS, NOW), letters) == expected


def test_what_has_nothing_to_work_on_at_the_end_counts_for_nothing() -> None:
    assert parse("name =", HOSTS, NOW) == parse("name", HOSTS, NOW)
    assert parse("name ^ ()", HOSTS, NOW) == parse("name", HOSTS, NOW)
    assert parse("name ^ ()", HOSTS, NOW, targeting=True) == NOTHING
    assert parse("", HOSTS, NOW, targeting=True) == EVERYTHING


HOST: dict[str, Any] = {
    "name": "web-01.example.com",
    "id": 7,
    "domain": "example.com",
    "address": "192.0.2.10",
    "groups": ["web", "prod"],
    "organization": "ACME",
    "organizationId": 3,
    "facts": {
        "os": {
            "name": "CentOS",
            "release": {"major": "8", "minor": "4"},
            "architecture": "x86_64",
            "distro": {"description": "CentOS Linux 8"},
        },
        "networking": {"mac": "52:54:00:12:34:56"},
        "processors": {"count": 4},
        "virtual": True,
    },
    "variables": {"role": "web"},
    "variableNames": ["role"],
    "uid": "9f5bdcd1",
    "managed": True,
    "created": at("2024-01-01T10:20:30"),
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("web-01", True),
        ("name = web-01.example.com", True),
        ("id = 7", True),
        ("id ^ (1, 7)", True),
        ("id > 7", False),
        ("id >= 7", True),
        ("hostgroup = web", True),
        ("hostgroup_title ~ PRO", True),
        ("hostgroup != web", False),
        ("params.role = web and os ~ centos", True),
        ("params.role = db", False),
        ("os_major = 8", True),
        ("os_minor = 4", True),
        ('os_title = "CentOS Linux 8"', True),
        ("os_description ~ linux", True),
        ("architecture = x86_64", True),
        ("mac = 52:54:00:12:34:56", True),
        ("uuid = 9f5bdcd1", True),
        ("params_name = role", True),
        ("params_name = rack", False),
        ("parent_hostgroup = prod", True),
        ("facts.processors::count = 4", True),
        ("facts.processors.count > 3", True),
        ("facts.processors::count > 4", False),
        ("facts.virtual = true", True),
        ("facts.absent = 1", False),
        ("facts.absent != 1", True),
        ("not facts.absent = 1", True),
        ("null? facts.absent", True),
        ("organization = ACME and organization_id = 3", True),
        ("managed", True),
        ("managed = false", False),
        ("managed != false", True),
        ("ip = 192.0.2.10", True),
        ("domain = example.com, hostgroup = prod", True),
        ("created_at = 2024-01-01", True),
        ('created_at = "2024-01-01 10"', True),
        ('created_at = "2024-01-01 10:20"', True),
        ('created_at = "2024-01-01 10:21"', False),
        ("created_at > 2024-01-01", False),
        ("created_at >= 2024-01-01", True),
        ("created_at <= 2024-01-01", True),
        ("created_at < 2024-01-01", False),
        ("created_at before today", True),
        ('created_at after "1000 days ago"', False),
        ('created_at < "1 minute ago"', True),
        ("created_at before yesterday", True),
        ("created_at > tomorrow", False),
        ('created_at > "3 years ago"', True),
        ('created_at > "20 months ago"', False),
        ("created_at at 2024-01-01", True),
        ('created_at < "3 weeks from now"', True),
        ("created_at != 2024-01-01", False),
    ],
)
def test_fields_of_hosts(query: str, found: bool) -> None:
    assert bool(selected(parse(query, HOSTS, NOW), index(HOST))) is found


@pytest.mark.parametrize(
    ("query", "message", "position"),
    [
        ("id > -1", "Value expected but found :not", 5),
        ("name!=foo", "Field 'name!' not recognized for searching!", 0),
        ("bogus = 1", "Field 'bogus' not recognized for searching!", 0),
        ("a and bogus = 1", "Field 'bogus' not recognized for searching!", 6),
        ("has bogus", "Field 'bogus' not recognized for searching!", 4),
        ("id = abc", "Value 'abc' is not valid for field 'id'", 5),
        ("id ^ (1, x)", "Value 'x' is not valid for field 'id'", 9),
        ("id ~ 1", "the operator 'like' is not supported for field type 'integer'", 0),
        ("managed = x", "'managed' should be one of 'true, false', but the query was 'x'", 10),
        ("created_at > garbage", "Value 'garbage' is not valid for field 'created_at'", 13),
        ("a and or b", "Value expected but found :or", 6),
        ("name = = x", "Value expected but found :eq", 7),
    ],
)
def test_errors_name_the_place_in_upstreams_words(query: str, message: str, position: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query, HOSTS, NOW)
    assert (caught.value.message, caught.value.position) == (message, position)


JOB: dict[str, Any] = {
    "id": 12,
    "name": "12",
    "category": "Commands",
    "description": "Run uptime",
    "hosts": ["a.example.com", "b.example.com"],
    "hostIds": [1, 2],
    "user": "admin",
    "statuses": ["running", "queued"],
    "template": "Run Command",
    "started": at("2026-11-22T12:00:00"),
    "recurring": False,
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status = running", True),
        ("status = queued", True),
        ("status = failed", False),
        ("status != failed", True),
        ("status = nonsense", False),
        ("uptime", True),
        ("12", True),
        ("13", False),
        ("a.example", True),
        ("2026-11-22", True),
        ("host = b.example.com", True),
        ("host ~ EXAMPLE", True),
        ("host = c", False),
        ("targeted_host_id = 2", True),
        ("user = admin", True),
        ('pattern_template_name = "Run Command"', True),
        ("recurring = false", True),
        ("not recurring", True),
        ("null? recurring_logic.id", True),
        ('started_at > "2 hours ago"', True),
        ("id ^ (11, 12)", True),
    ],
)
def test_fields_of_jobs(query: str, found: bool) -> None:
    assert bool(selected(parse(query, JOBS, NOW), index(JOB))) is found


def test_fields_that_only_equality_suits_and_tasks() -> None:
    with pytest.raises(QueryError, match="operator 'like' is not supported"):
        parse("status ~ run", JOBS, NOW)
    for query in ("targeted_host_id != 2", "targeted_host_id > 1", "pattern_template_name != x", "status ^ (failed)"):
        with pytest.raises(QueryError, match="is not supported for field type"):
            parse(query, JOBS, NOW)
    assert selected(parse("user ~ ad and owner ^ (adam, eve)", JOBS, NOW), index({"name": "j", "user": "adam"})) == [
        "j"
    ]
    task = {"name": "t", "resource_type": "JobInvocation", "resourceId": 4, "state": "stopped"}
    assert selected(parse("resource_type = JobInvocation and resource_id = 4", TASKS, NOW), index(task)) == ["t"]


def test_bounds() -> None:
    deepest = "(" * MAX_DEPTH + "a"
    assert selected(parse(deepest, HOSTS, NOW), index({"name": "a"})) == ["a"]
    for query in ("(" + deepest, "not " * (MAX_DEPTH + 2) + "a", "a" * (MAX_LENGTH + 1)):
        with pytest.raises(QueryError):
            parse(query, HOSTS, NOW)


@pytest.mark.parametrize(
    ("subject", "text", "names"),
    [
        (HOSTS, "name", ["a", "b", "c"]),
        (HOSTS, "name DESC", ["c", "b", "a"]),
        (HOSTS, "name Desc", ["c", "b", "a"]),
        (HOSTS, "name sideways", ["a", "b", "c"]),
        (HOSTS, "id", ["c", "b", "a"]),
        (HOSTS, "id desc", ["a", "b", "c"]),
        (HOSTS, "", ["a", "b", "c"]),
    ],
)
def test_order(subject: Subject, text: str, names: list[str]) -> None:
    hosts = index({"name": "a", "id": 3}, {"name": "b", "id": 2}, {"name": "c"})
    assert selected(Statement(EVERYTHING, parse_order(text, subject)), hosts) == names


def test_only_fields_order() -> None:
    with pytest.raises(QueryError, match="the field 'x' in the order statement is not valid field for search"):
        parse_order("x desc", HOSTS)


def test_what_is_rendered_can_be_read() -> None:
    query = parse('name = "and" or (facts.a::b = 1 and created_at = today) not name ~ "a b"', HOSTS, NOW)
    assert parse(render(query, HOSTS), HOSTS, NOW) == query


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("a " * 33, "more than 32 words are looked for without a field"),
        ("name = a or id = 1 and " * 40 + "id = 1", "'and' and 'or' take turns more than 64 times"),
    ],
)
def test_a_query_that_asks_too_much_is_refused(query: str, message: str) -> None:
    with pytest.raises(QueryError) as refusal:
        parse(query, HOSTS, NOW)
    assert refusal.value.message == message


@pytest.mark.parametrize("word", ["and", "or"])
def test_many_alternatives_make_one_flat_node(word: str) -> None:
    query = parse(f" {word} ".join(f"id = {number}" for number in range(1_000)), HOSTS, NOW)
    assert isinstance(query, And | Or)
    assert len(query.parts) == 1_000


def test_numbers_in_a_list_are_one_test() -> None:
    assert parse("id ^ (1, 2, 1)", HOSTS, NOW) == Has(("id",), Equals((1, 2)))
