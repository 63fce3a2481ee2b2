"""CDRouter's filters (contracts/cdrouter.md §4.3)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rollcall.query.cdrouter import JOBS, PACKAGES, parse, render
from rollcall.query.errors import QueryError
from unit.core.query.selecting import index, selected

CREATED = datetime(2024, 1, 1, 12, tzinfo=UTC).timestamp()
JOB: dict[str, Any] = {
    "name": "12",
    "id": 12,
    "status": "running",
    "package_name": "smoke = all",
    "active": True,
    "created": CREATED,
    "options": {"tags": ["ipv4", "a,b"], "begin_at": "x"},
    "interface_names": ["wan", "lan"],
}


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ("id=12", True),
        ("id!=12", False),
        ("id>11", True),
        ("id>=12", True),
        ("id<12", False),
        ("id<=12", True),
        ("status=running", True),
        ("status=Running", False),
        ("status>=run", True),
        ("status<a", False),
        ("status~^run", True),
        ("status~RUN", False),
        ("status~*RUN", True),
        ("status!~run", False),
        ("status!~*^FAIL", True),
        ("package_name=smoke = all", True),
        ("package_name~= a", True),
        ("active=true", True),
        ("active=false", False),
        ("active!=false", True),
        ("created=2024-01-01T12:00:00Z", True),
        ("created>2024-01-01", True),
        ("created<2024-01-01T13:00:00+01:00", False),
        ("created<=2024-01-01T13:00:00+01:00", True),
        ("options.tags@>{ipv4}", True),
        ('options.tags@>{ipv4,"a,b"}', True),
        ("options.tags@>{ipv4,ipv6}", False),
        ("options.tags@>{}", True),
        ("options.skip_tests@>{}", True),
        ("interface_names<@{wan,lan,dmz}", True),
        ("interface_names<@{wan}", False),
        ("interface_names&&{dmz,lan}", True),
        ("interface_names&&{}", False),
        ("options.begin_at=x", True),
        ("result_id=3", False),
        ("result_id>0", False),
        ("result_id!=3", True),
    ],
)
def test_what_filters_select(filter_: str, found: bool) -> None:
    assert bool(selected(parse([filter_], JOBS), index(JOB))) is found


def test_all_filters_must_hold() -> None:
    assert selected(parse(["id=12", "status=running"], JOBS), index(JOB)) == ["12"]
    assert selected(parse(["id=12", "status=failed"], JOBS), index(JOB)) == []
    assert selected(parse([], JOBS), index(JOB)) == ["12"]


@pytest.mark.parametrize(
    ("filter_", "position"),
    [
        ("bogus=1", 0),
        ("id", 2),
        ("=3", 0),
        ("Id=3", 0),
        ("id = 3", 2),
        ("id=abc", 3),
        ("id~1", 2),
        ("active=yes", 7),
        ("active>true", 6),
        ("created=garbage", 8),
        ("status~[", 7),
        ("status@>{a}", 6),
        ("options.tags=a", 12),
        ("options.tags@>a", 14),
        ('options.tags@>{"a}', 14),
    ],
)
def test_errors_name_the_place_and_quote_the_filter(filter_: str, position: int) -> None:
    with pytest.raises(QueryError) as caught:
        parse(["id=1", filter_], JOBS)
    assert (caught.value.position, caught.value.subject) == (position, filter_)


def test_packages_have_fields_of_their_own() -> None:
    package = {"name": "p", "tags": ["x"], "schedule": {"enabled": True}, "test_count": 3}
    filters = ["tags&&{x}", "schedule.enabled=true", "test_count<4"]
    assert selected(parse(filters, PACKAGES), index(package)) == ["p"]


def test_what_is_rendered_can_be_read() -> None:
    filters = ["id!=3", "status~*^r", 'options.tags<@{a,"b,\\"c"}', "created>=2024-01-01", "active=true"]
    query = parse(filters, JOBS)
    assert parse(render(query, JOBS), JOBS) == query
