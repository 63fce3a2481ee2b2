"""When jobs run: what clients write, and what becomes of it (contract §4.5)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.foreman import times, triggering
from rollcall_api.foreman.errors import ForemanError
from rollcall_api.parsing import parse_job, parse_schedule
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


TEN = "2030-11-23T10:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030/11/23 10:00", TEN),
        ("2030-11-23 10:00:00.000", TEN),
        ("2030-11-23 1:00", "2030-11-23T01:00:00+00:00"),
        ("2030-1-2 03:04:05.678", "2030-01-02T03:04:05.678000+00:00"),
        ("2030.11.23 10:00", TEN),
        ("23.11.2030 10:00", TEN),
        ("23/11/2030 10:00", TEN),
        ("2/1/2030 10:00", "2030-01-02T10:00:00+00:00"),  # the day first
        ("30-11-23 10:00", TEN),
        ("20301123", "2030-11-23T00:00:00+00:00"),
        ("20301123100000", TEN),
        ("20301123T100000Z", TEN),
        ("23 Nov 2030 10:00", TEN),
        ("23rd november 2030, 10:00", TEN),
        ("23-Nov-2030 10:00", TEN),
        ("2030-Nov-23 10:00", TEN),
        ("Nov 23, 2030 10:00 AM", TEN),
        ("November 23 2030 at 10am", TEN),
        ("10:00 23 Nov 2030", TEN),
        ("Sat, 23 Nov 2030 10:00:00 +0000", TEN),
        ("Sat, 23 Nov 2030 05:00:00 EST", TEN),
        ("Saturday, 23 November 2030 11:00:00 +0100 (CET)", TEN),
        ("Sat Nov 23 10:00:00 2030", TEN),
        ("Sat Nov 23 10:00:00 UTC 2030", TEN),
        ("23/Nov/2030:10:00:00 +0000", TEN),
        ("2030-11-23 11:00 CET", TEN),
        ("2030-11-23 11:00:00 cet", TEN),
        ("2030-11-23 11:00 Europe/Berlin", TEN),
        ("2030-11-23 13:00 UTC+3", TEN),
        ("2030-11-23 06:00 -4", TEN),
        ("2030-11-23T10:00:00 Z", TEN),
        ("2030-11-23 12:30 am", "2030-11-23T00:30:00+00:00"),
        ("2030-11-23 12:30 p.m.", "2030-11-23T12:30:00+00:00"),
        ("2030-11-23 24:00", "2030-11-24T00:00:00+00:00"),
        ("23:30", "2024-05-04T23:30:00+00:00"),  # today
        ("23 Nov 10:00", "2024-11-23T10:00:00+00:00"),  # this year
        ("2030-06-01 12:00 Europe/Berlin", "2030-06-01T10:00:00+00:00"),
    ],
)
def test_times_are_read_in_whatever_form_upstream_reads(text: str, moment: str) -> None:
    assert times.parse(text, NOW) == datetime.fromisoformat(moment)
    if "Europe" not in text:
        assert times.parse(f"  {text.upper()}  ", NOW) == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "tomorrow", "10", "1700000000", "11/23/2030 10:00", "2030-13-01", "2030-02-30 10:00",
        "2030-11-23 25:00",
        "2030-11-23 24:01", "2030-11-23 10:60", "2030-11-23 13:00 pm", "2030-11-23 0:30 am", "2030-11-23 10:00 XYZ",
        "2030-11-23 10:00 Nowhere/City", "2030-11-23 10:00 +99:00", "2030-11-23 2030-11-24", "23 Nov 2030 10:00 11:00",
        "0000-01-01", "0001-01-01 00:00 +0500", "Nov 2030", "{'a': 1}", "2030-11-23 10:00; reboot", "9" * 64,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ForemanError) as refusal:
        read(scheduling={"start_at": text, "start_before": "2031-01-01"})
    message = "Triggering: Start at must be set" if not text.strip() else "is not a time, as 2030-11-23 10:00:00 UTC is"
    assert message in refusal.value.body["error"]["message"]


@given(st.text(alphabet="0123456789:-/.,+ TZaApPmMnovecsut()_", max_size=80))
def test_any_text_is_a_time_or_is_none(text: str) -> None:
    try:
        moment = times.parse(text, NOW)
    except (ValueError, OverflowError):
        return
    assert moment.utcoffset() == timedelta()


@given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9998, 1, 1)), st.sampled_from([
    "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S UTC", "%d.%m.%Y %H:%M:%S", "%a, %d %b %Y %H:%M:%S GMT", "%c",
    "%H:%M:%S %d %B %Y",
    "%B %d, %Y %I:%M:%S %p", "%d/%b/%Y:%H:%M:%S +0000", "%Y%m%d%H%M%S",
]))  # fmt: skip
def test_every_moment_is_read_as_it_was_written(moment: datetime, form: str) -> None:
    assert times.parse(moment.strftime(form), NOW) == moment.replace(microsecond=0, tzinfo=UTC)


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


def a_run(planned: str, end: str | None = None) -> Any:
    metadata = {
        "name": f"run-{planned[11:13]}",
        "uid": planned,
        "resourceVersion": "1",
        "creationTimestamp": "2024-05-04T10:00:00Z",
        "annotations": {"rollcall.dev/planned": planned},
    }
    said = {"type": end, "status": "True", "reason": "x", "lastTransitionTime": "2024-05-04T10:00:00Z"}
    return parse_job({"metadata": metadata, "spec": SPEC, "status": {"conditions": [said]} if end else {}})


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


@pytest.mark.parametrize(
    ("end", "planned", "slot"),
    [
        ("Cancelled", "2024-05-04T11:00:00Z", NEXT + timedelta(hours=1)),
        ("Failed", "2024-05-04T10:00:00Z", NEXT),
        ("Failed", "2024-05-04T11:00:00Z", None),
        ("Complete", "2024-05-04T11:00:00Z", None),
    ],
)
def test_after_a_run_that_ended_by_itself_before_its_time_none_is_queued(
    end: str, planned: str, slot: datetime | None
) -> None:
    assert next_slot(a_series(), [a_run(planned, end)], NOW) == slot


def test_the_next_run_is_none_that_is_settled_already() -> None:
    settled = {"decidedUntil": "2024-05-04T12:00:00Z"}
    assert next_slot(a_series(settled), [], NOW) == NEXT + timedelta(hours=2)


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
