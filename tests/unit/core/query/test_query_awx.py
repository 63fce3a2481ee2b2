"""The filters of AWX's lists (contracts/awx.md §5)."""

from datetime import UTC, datetime

import pytest

from rollcall.query.ast import EVERYTHING, Statement
from rollcall.query.awx import JOB, ForbiddenFieldError, parse, parse_order, render
from rollcall.query.errors import QueryError
from rollcall.query.index import Index
from unit.core.query.selecting import index, selected

CREATED = datetime(2024, 1, 1, 12, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def jobs() -> Index:
    return index(
        {
            "id": 1,
            "name": "Deploy web",
            "description": "to production",
            "type": "job",
            "status": "failed",
            "failed": True,
            "elapsed": 1.5,
            "created": CREATED,
            "finished": CREATED + 60,
            "job_template": {"id": 7, "name": "Deploy", "description": "", "inventory": {"id": 2, "name": "Prod"}},
            "created_by": {"id": 3, "username": "ada"},
            "labels": [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}],
            "hosts": [{"id": 1, "name": "web1"}, {"id": 2, "name": "web2"}],
            "job_host_summaries": [
                {"host_name": "web1", "failed": True, "ok": 1},
                {"host_name": "web2", "failed": False, "ok": 2},
            ],
            "host_status_counts_text": '{"ok": 1}',
            "organization": {"id": 9, "name": "Ops"},
            "schedule": {"id": 4, "name": "nightly"},
            "instance_group": {"id": 1, "name": "default"},
            "job_events": [{"id": 1, "event": "runner_on_ok"}],
            "inventory": {"id": 2, "name": "Prod", "hosts": [{"id": 1, "name": "web1"}]},
        },
        {
            "id": 2,
            "name": "Ping",
            "description": "",
            "type": "job",
            "status": "successful",
            "failed": False,
            "created": CREATED + 1,
            "labels": [],
            "hosts": [],
            "job_host_summaries": [],
        },
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("status=failed", [1]),
        ("status__exact=failed", [1]),
        ("status=failed&status=error", []),
        ("status__in=failed,successful", [1, 2]),
        ("status__in=failed,", [1]),
        ("description__in=nope,", [2]),
        ("description__in=nope", []),
        ("status=bogus", []),
        ("type=job,workflow_job", [1, 2]),
        ("type=foo", []),
        ("or__status=failed&or__status=successful", [1, 2]),
        ("or__status=failed&or__name=Ping&failed=false", [2]),
        ("or__not__status=failed&or__id=1", [1, 2]),
        ("not__status=failed", [2]),
        ("name__iexact=PING", [2]),
        ("name__contains=web", [1]),
        ("name__contains=WEB", []),
        ("name__icontains=WEB", [1]),
        ("name__startswith=Dep", [1]),
        ("name__istartswith=dep", [1]),
        ("name__endswith=web", [1]),
        ("name__iendswith=WEB", [1]),
        ("name__regex=^P", [2]),
        ("name__iregex=^p", [2]),
        ("id=1", [1]),
        ("pk=2", [2]),
        ("id__gt=1", [2]),
        ("id__lte=1", [1]),
        ("id__in=1,2", [1, 2]),
        ("id__int=1", [1]),
        ("id=99999999999999999999", []),
        ("elapsed__gte=1.5", [1]),
        ("failed=true", [1]),
        ("failed=T", [1]),
        ("failed=0", [2]),
        ("created__gt=2024-01-01T12:00:00Z", [2]),
        ("created__lt=2024-01-02", [1, 2]),
        ("created__gte=2024-01-01T14:00:01+02:00", [2]),
        ("created__gte=2024-01-01 12:00:01", [2]),
        ("organization__name=Ops", [1]),
        ("schedule=4", [1]),
        ("schedule=none", [2]),
        ("instance_group__name=default", [1]),
        ("job_events__event=runner_on_ok", [1]),
        ("inventory__name=Prod", [1]),
        ("inventory__hosts__name=web1", [1]),
        ("finished__isnull=true", [2]),
        ("finished__isnull=f", [1]),
        ("job_template=7", [1]),
        ("job_template__id=7", [1]),
        ("job_template__name=Deploy", [1]),
        ("job_template__inventory__name__icontains=prod", [1]),
        ("unified_job_template=none", [1, 2]),
        ("job_template=null", [2]),
        ("created_by__username=ada", [1]),
        ("labels__name=red", [1]),
        ("labels__name__in=red,green", [1]),
        ("not__labels__name=red", [2]),
        ("labels=2", [1]),
        ("labels__isnull=true", [2]),
        ("hosts__name=web2", [1]),
        ("job_host_summaries__failed=true", [1]),
        ("job_host_summaries__failed=true&job_host_summaries__host_name=web2", []),
        ("job_host_summaries__failed=true&job_host_summaries__host_name=web1", [1]),
        ("chain__job_host_summaries__failed=true&chain__job_host_summaries__host_name=web2", [1]),
        ("host_status_counts__contains=ok", [1]),
        ("search=web production", [1]),
        ("search=WEB,deploy", [1]),
        ('search="deploy web"', [1]),
        ('search="web deploy"', []),
        ("search=", [1, 2]),
        ("job_template__search=depl", [1]),
        ("labels__search=blu", [1]),
        ("labels__search=blu,re", []),
        ("labels__search=blu&labels__search=nope", [1]),
        ("created_by__search=AD", [1]),
        ("page=2&page_size=1&order_by=bogus", [1, 2]),
        ("", [1, 2]),
    ],
)
def test_what_parameters_select(jobs: Index, parameters: str, expected: list[int]) -> None:
    pairs = [tuple(pair.split("=", 1)) for pair in parameters.split("&") if pair]
    found = selected(parse(pairs, JOB), jobs)  # type: ignore[arg-type] # each has a =
    assert sorted(jobs.row(name)["id"] for name in found) == expected  # type: ignore[index] # it was found


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bogus", "1", "Job has no field named 'bogus'"),
        ("bogus__name", "1", "Job has no field named 'bogus'"),
        ("launched_by", "x", "Job has no field named 'launched_by'"),
        ("url", "x", "Job has no field named 'url'"),
        ("related", "1", "Job has no field named 'related'"),
        ("name__bogus", "1", "No related model for field bogus."),
        ("id", "abc", '["“abc” value must be an integer."]'),
        ("elapsed__gte", "abc", '["“abc” value must be a decimal number."]'),
        (
            "created__gt",
            "garbage",
            '["“garbage” value has an invalid format. It must be in YYYY-MM-DD HH:MM[:ss[.uuuuuu]][TZ] format."]',
        ),
        ("inventory", "abc", "Invalid inventory id: abc"),
        ("failed", "maybe", 'Unable to convert "maybe" to boolean'),
        ("finished__isnull", "maybe", 'Unable to convert "maybe" to boolean'),
        ("status__in", "", "cannot provide empty value for __in"),
        ("id__iexact", "1", "id is not a text field and cannot be filtered by case-insensitive search"),
        ("job_template__inventory__job_template", "1", "Loops not allowed in filters, detected on field job_template."),
        ("job_template__inventory__bogus", "1", "Inventory has no field named 'bogus'"),
        ("inventory__hosts__inventory", "1", "Loops not allowed in filters, detected on field inventory."),
        ("__".join(["inventory", "hosts"] * 5), "1", "the path has more than 8 steps"),
    ],
)
def test_errors_in_awxs_words(key: str, value: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse([(key, value)], JOB)
    assert caught.value.message == message
    assert caught.value.expected


@pytest.mark.parametrize(
    ("key", "value", "position"),
    [
        ("bogus", "1", 0),
        ("inventory__bogus", "1", 11),
        ("or__not__inventory__bogus__in", "1", 20),
        ("job_template__inventory__job_template", "1", 25),
        ("name__bogus", "1", 6),
        ("id", "abc", 3),
        ("status__in", "", 11),
        ("name__regex", "[", 12),
        ("inventory__bogus__search", "x", 11),
    ],
)
def test_errors_name_the_place(key: str, value: str, position: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse([("name", "a"), (key, value)], JOB)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "key", ["extra_vars", "job_env", "job_args", "start_args", "created_by__password", "not__extra_vars__contains"]
)
def test_nobody_filters_by_secrets(key: str) -> None:
    with pytest.raises(ForbiddenFieldError, match=f"Filtering on {key.split('__')[1] if '__' in key else key} is not"):
        parse([(key, "x")], JOB)


def test_regular_expressions_that_cannot_be_read() -> None:
    with pytest.raises(QueryError, match="missing"):
        parse([("name__regex", "[")], JOB)


@pytest.mark.parametrize(
    ("order", "ids"),
    [("id", [1, 2]), ("-id", [2, 1]), ("-finished", [2, 1]), ("finished", [1, 2]), ("failed,-id", [2, 1]), ("", [1, 2]),
     ("job_template__name", [1, 2]), ("-job_template", [2, 1])],
)  # fmt: skip
def test_order(jobs: Index, order: str, ids: list[int]) -> None:
    found = selected(Statement(EVERYTHING, parse_order(order, JOB)), jobs)
    assert [jobs.row(name)["id"] for name in found] == ids  # type: ignore[index] # it was found


def test_only_fields_order() -> None:
    with pytest.raises(QueryError, match="Job has no field named 'bogus'"):
        parse_order("-bogus", JOB)


def test_what_is_rendered_can_be_read() -> None:
    parameters = [
        ("status__in", "failed,error"),
        ("not__name__icontains", "x"),
        ("or__failed", "true"),
        ("or__not__job_template__name", "a"),
        ("job_host_summaries__failed", "true"),
        ("job_host_summaries__ok__gt", "1"),
        ("chain__labels__name", "a"),
        ("chain__labels__name", "b"),
        ("created__gte", "2024-01-01"),
        ("finished__isnull", "true"),
    ]
    query = parse(parameters, JOB)
    assert parse(render(query, JOB), JOB) == query
