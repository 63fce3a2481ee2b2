"""When jobs run: what clients write, and what becomes of it (contract §4.5)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.foreman import triggering
from rollcall_api.foreman.errors import ForemanError
from rollcall_api.records import parse_job, parse_schedule
from rollcall_api.recurring import next_slot

NOW = datetime(2024, 5, 4, 10, 30, tzinfo=UTC)
SPEC = {"templateRef": {"name": "run"}, "targeting": {"hosts": []}}


def read(**given: Any) -> triggering.Timing:
    return triggering.read(given, Cache(Cluster(), "ns"), NOW)


@pytest.mark.parametrize("given", [{}, {"scheduling": {}}, {"scheduling": None, "recurrence": {"cron_line": ""}}])
def test_nothing_said_is_at_once(given: dict[str, Any]) -> None:
    assert read(**given) == triggering.Timing()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-04 11:00", datetime(2024, 5, 4, 11, tzinfo=UTC)),
        ("2024-05-04 11:00:20 UTC", datetime(2024, 5, 4, 11, 0, 20, tzinfo=UTC)),
        ("2024-05-04T11:00:00Z", datetime(2024, 5, 4, 11, tzinfo=UTC)),
        ("2024-05-04T13:00:00+02:00", datetime(2024, 5, 4, 11, tzinfo=UTC)),
        ("2024-05-04 13:00:00 +0200", datetime(2024, 5, 4, 11, tzinfo=UTC)),
        ("2024-05-05", datetime(2024, 5, 5, tzinfo=UTC)),
    ],
)
def test_times_are_in_utc_unless_they_say_otherwise(text: str, moment: datetime) -> None:
    assert read(scheduling={"start_at": text}).start_at == moment


@pytest.mark.parametrize(
    ("line", "cron", "time_zone"),
    [
        ("5 * * * *", "5 * * * *", None),
        ("@daily", "@daily", None),
        ("@noon Europe/Berlin", "@noon", "Europe/Berlin"),
        ("0 0 last * *", "0 0 L * *", None),
        ("0 0 * * fri#-1 Asia/Tokyo", "0 0 * * fri#-1", "Asia/Tokyo"),
        ("0 0 * * fri#last", "0 0 * * fri#-1", None),
        ("*/15 8-18 * jan-mar mon,wed", "*/15 8-18 * jan-mar mon,wed", None),
    ],
)
def test_cron_lines_become_those_of_schedules(line: str, cron: str, time_zone: str | None) -> None:
    recurrence = read(recurrence={"cron_line": line}).recurrence
    assert recurrence is not None
    assert (recurrence.cron, recurrence.time_zone) == (cron, time_zone)


@pytest.mark.parametrize("line", ["foo", "", "* * * *", "61 * * * *", "0 0 30 2 *", "* * * * * Nowhere/City", "@never"])
def test_what_is_no_cron_line_is_refused_with_it(line: str) -> None:
    with pytest.raises(ForemanError) as refusal:
        read(recurrence={"cron_line": line, "purpose": "p"})
    message = f"Validation failed: Triggering: Cronline {line} is not valid format of cron line"
    assert (refusal.value.status, refusal.value.body["error"]["message"]) == (500, message)


@pytest.mark.parametrize(
    "given",
    [
        {"max_iteration": 0},
        {"max_iteration": -1},
        {"max_iteration": "many"},
        {"end_time": "2024-05-04 10:00"},
        {"end_time": "2024-05-04 10:45"},
    ],
)
def test_a_series_of_no_runs_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ForemanError) as refusal:
        read(recurrence={"cron_line": "0 * * * *", **given})
    message = "Validation failed: Triggering: Input type No task could be started"
    assert refusal.value.body["error"]["message"] == message


def a_series(status: dict[str, Any] | None = None, **spec: Any) -> Any:
    document = {
        "metadata": {
            "name": "series-1",
            "uid": "u",
            "resourceVersion": "1",
            "creationTimestamp": "2024-05-04T10:00:00Z",
        },
        "spec": {"cron": ["0 * * * *"], "requestedBy": {"username": "a"}, "invocationTemplate": {"spec": SPEC}, **spec},
        "status": status or {},
    }
    return parse_schedule(document).resource


def a_run(planned: str) -> Any:
    metadata = {
        "name": f"run-{planned[11:13]}",
        "uid": planned,
        "resourceVersion": "1",
        "creationTimestamp": "2024-05-04T10:00:00Z",
        "annotations": {"rollcall.dev/planned": planned},
    }
    return parse_job({"metadata": metadata, "spec": SPEC})


NEXT = datetime(2024, 5, 4, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "planned", "slot"),
    [
        ({}, [], NEXT),
        ({}, ["2024-05-04T11:00:00Z"], NEXT + timedelta(hours=1)),
        ({"startAt": "2024-05-04T15:00:00Z"}, [], NEXT + timedelta(hours=4)),
        ({"skipTimes": ["2024-05-04T11:00:00Z"]}, [], NEXT + timedelta(hours=1)),
        ({"endAt": "2024-05-04T11:00:00Z"}, [], NEXT),
        ({"endAt": "2024-05-04T11:00:00Z"}, ["2024-05-04T11:00:00Z"], None),
        ({"maxIterations": 1}, ["2024-05-04T10:00:00Z"], None),
        ({"maxIterations": 2}, ["2024-05-04T10:00:00Z"], NEXT),
        ({"suspend": True}, [], None),
    ],
)
def test_the_next_run_is_the_first_that_nobody_has_made(
    spec: dict[str, Any], planned: list[str], slot: datetime | None
) -> None:
    assert next_slot(a_series(**spec), [a_run(moment) for moment in planned], NOW) == slot


def test_runs_that_were_deleted_count_as_made() -> None:
    assert next_slot(a_series({"iteration": 3}, maxIterations=3), [], NOW) is None


@pytest.mark.parametrize(
    "given",
    [
        {"scheduling": {"start_at": "x" + " " * 1_000_000 + "x"}},
        {"recurrence": {"cron_line": ",".join(["1"] * 500_000) + " * * * *"}},
    ],
)
def test_what_is_too_long_is_refused_unread(given: dict[str, Any]) -> None:
    with pytest.raises(ForemanError) as refused:
        read(**given)
    assert refused.value.status == 500
    assert len(str(refused.value.body)) < 1_000
