"""Any text, however odd, gives a query or an error with its place; what is rendered is read as the same query."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from rollcall.query import awx, cdrouter, foreman, pql
from rollcall.query.errors import QueryError, UnspeakableError
from unit.core.query.selecting import assert_placed

NOW = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)

foreman_words = st.sampled_from(
    [
        "name",
        "id",
        "comment",
        "facts.a::b",
        "facts.cpus",
        "params.role",
        "managed",
        "created_at",
        "hostgroup",
        "and",
        "or",
        "not",
        "has",
        "null?",
        "set?",
        "=",
        "!=",
        "~",
        "!~",
        "^",
        "!^",
        "<",
        ">",
        "<=",
        ">=",
        "(",
        ")",
        ",",
        "&",
        "|",
        "!",
        "-",
        '"a',
        'b"',
        '"x\\"y"',
        "today",
        '"2',
        "hours",
        'ago"',
        "2024-01-01",
        "1",
        "-1",
        "2.5",
        "a",
        "a*",
        "%b",
        "bogus",
        '"',
        "\\",
        "before",
    ]
)
foreman_texts = st.lists(foreman_words, max_size=12).map(" ".join) | st.text(max_size=40)


@given(foreman_texts, st.sampled_from([foreman.HOSTS, foreman.JOBS, foreman.TASKS]))
@example('created_at = today or not name ^ (a, "b c") facts.a = true', foreman.HOSTS)
def test_scoped_search(text: str, subject: foreman.Subject) -> None:
    try:
        query = foreman.parse(text, subject, NOW)
    except QueryError as error:
        assert_placed(error, text)
        return
    try:
        rendered = foreman.render(query, subject)
    except UnspeakableError:
        return
    assert foreman.parse(rendered, subject, NOW) == query


pql_words = st.sampled_from(
    [
        "inventory",
        "nodes",
        "facts",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "certname",
        "facts.a",
        "facts.b.c[0]",
        'facts."x',
        'y"',
        "trusted.z",
        "timestamp",
        "environment",
        "value",
        "name",
        "and",
        "or",
        "!",
        "not",
        "is",
        "in",
        "null",
        "true",
        "false",
        "=",
        "!=",
        "~",
        "!~",
        ">",
        "<",
        ">=",
        "<=",
        ",",
        "1",
        "-2.5",
        "1e3",
        '"a"',
        "'b'",
        '"2024-01-01"',
        '"["',
        "limit",
        "offset",
        "order",
        "by",
        "asc",
        "desc",
    ]
)
conditions = st.lists(pql_words, max_size=10).map(" ".join)
pql_texts = st.one_of(
    conditions.map("inventory {{ {} }}".format),
    conditions.map("nodes[certname] {{ {} }}".format),
    conditions,
    st.text(max_size=40),
)


@given(pql_texts)
@example('inventory { !(facts.a = 1 or facts.b.c[0] is null) and facts { name ~ "x" and value in [1, true] } }')
@example('inventory { timestamp > "2024-01-01" order by facts."x y" desc, certname limit 3 offset 1 }')
def test_pql(text: str) -> None:
    try:
        statement = pql.parse(text)
    except QueryError as error:
        assert_placed(error, text)
        return
    try:
        rendered = pql.render(statement)
    except UnspeakableError:
        return
    assert pql.parse(rendered) == statement


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["from", "inventory", "nodes", "and", "or", "not", "=", "~", "in", "array", "facts.a", "certname",
                       "extract", "limit", "offset", "order_by", "null?", "fact", "subquery", "facts"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)  # fmt: skip


@given(json_values | json_values.map(lambda drawn: ["from", "inventory", drawn]))
def test_arrays(document: Any) -> None:
    try:
        statement = pql.parse_arrays(document)
    except QueryError:
        return
    try:
        rendered = pql.render(statement)
    except UnspeakableError:
        return
    assert pql.parse(rendered) == statement


names = st.sampled_from([*cdrouter.JOBS, "bogus", "Id", ""])
operators = st.sampled_from(["=", "!=", ">", ">=", "<", "<=", "~", "!~", "~*", "!~*", "@>", "<@", "&&", ""])
operands = st.sampled_from(["1", "true", "2024-01-01", "2024-01-01T00:00:00Z", "{a,b}", '{"a,b"}', "{}", "[", "a*b"])
filters = st.tuples(names, operators, operands | st.text(max_size=6)).map("".join) | st.text(max_size=30)


@given(st.lists(filters, max_size=3))
def test_cdrouter(texts: list[str]) -> None:
    try:
        query = cdrouter.parse(texts, cdrouter.JOBS)
    except QueryError as error:
        assert_placed(error, next(text for text in texts if text == error.subject))
        return
    try:
        rendered = cdrouter.render(query, cdrouter.JOBS)
    except UnspeakableError:
        return
    assert cdrouter.parse(rendered, cdrouter.JOBS) == query


steps = st.sampled_from(
    [
        "id",
        "pk",
        "name",
        "status",
        "failed",
        "elapsed",
        "created",
        "job_template",
        "inventory",
        "hosts",
        "groups",
        "labels",
        "job_host_summaries",
        "created_by",
        "organization",
        "bogus",
        "extra_vars",
        "password",
    ]
)
lookups = st.sampled_from(
    [f"__{name}" for name in ["exact", "iexact", "contains", "in", "gt", "isnull", "regex", "search", "int", "bogus"]]
    + [""]
)
keys = st.tuples(
    st.sampled_from(["", "", "or__", "chain__"]),
    st.sampled_from(["", "", "not__"]),
    st.lists(steps, min_size=1, max_size=4).map("__".join),
    lookups,
).map("".join)
parameters = st.tuples(
    keys | st.text(max_size=12), st.sampled_from(["1", "a", "a,b", "true", "2024-01-01", "", "[", "null"])
)


@given(st.lists(parameters, max_size=4))
@example([("chain__hosts__name", "a"), ("hosts__name", "b"), ("hosts__groups__name", "c")])
def test_awx(pairs: list[tuple[str, str]]) -> None:
    try:
        query = awx.parse(pairs, awx.JOB)
    except QueryError:
        return
    try:
        rendered = awx.render(query, awx.JOB)
    except UnspeakableError:
        return
    assert awx.parse(rendered, awx.JOB) == query
