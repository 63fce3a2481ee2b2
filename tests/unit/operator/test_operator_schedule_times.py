"""When the operator looks at schedules, as an API server hears that fails at everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from rollcall_operator.schedules import RETRY_SECONDS, Schedules
from rollcall_operator.store import Store
from support.answering import answering

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
REVIEW, STATUS = "POST localsubjectaccessreviews", "PATCH status"
"""What is asked before a run is made, and what is written after a look."""


class Wire:
    """Schedules at work on a clock that somebody sets, and what the API server is asked for."""

    def __init__(self) -> None:
        self.now = NOON
        self.asked: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.schedules: Schedules

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.put_nowait((f"{request.method} {request.path.rpartition('/')[2]}", await request.json()))
        return web.json_response({}, status=500)

    def know(self, name: str, **status: Any) -> None:
        """Let the operator find an hourly schedule whose status is settled."""
        told = {"state": "Active", "observedGeneration": 1, "decidedUntil": "2026-05-06T12:00:00Z"} | status
        found = {
            "metadata": {"name": name, "namespace": "jobs", "uid": f"uid-{name}", "resourceVersion": "1",
                         "creationTimestamp": "2026-05-06T11:00:00Z", "generation": 1},
            "spec": {"every": {"seconds": 3600}, "requestedBy": {"username": name},
                     "invocationTemplate": {"spec": {"templateRef": {"name": "t"}}}},
            "status": told,
        }  # fmt: skip
        self.schedules.take_list("schedules", None, [found], "1")

    async def heard(self, wanted: str) -> dict[str, Any]:
        """The body of the next request of a kind."""
        while True:
            asked, body = await self.asked.get()
            if asked == wanted:
                return body

    async def silent(self) -> bool:
        """Whether nothing is asked for while the clock stands."""
        await asyncio.sleep(0.1)
        return self.asked.empty()

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        async with answering(self._answer) as cluster, asyncio.timeout(30):
            self.schedules = Schedules(cluster, Store(), "me", self._take, lambda: self.now, 0.02)
            work = asyncio.create_task(self.schedules.run())
            yield
            work.cancel()

    async def _take(self, _: int) -> range:
        raise AssertionError("no run is made here")


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    found = Wire()
    async with found.told():
        yield found


async def test_a_clock_that_is_set_forward_by_an_hour_is_noticed(wire: Wire) -> None:
    wire.know("alice", nextTimes=["2026-05-06T13:00:00Z"])
    assert await wire.silent(), "nobody looks before its time"
    wire.now += HOUR
    assert (await wire.heard(REVIEW))["spec"]["user"] == "alice"


async def test_a_clock_that_is_set_back_by_an_hour_starts_nothing_until_it_has_come_there_again(wire: Wire) -> None:
    wire.now = NOON + timedelta(minutes=5)
    wire.know("alice", nextTimes=["2026-05-06T13:00:00Z"])
    assert await wire.silent()
    wire.now -= HOUR
    assert await wire.silent()
    wire.now = NOON
    assert await wire.silent(), "12:00 is settled"
    wire.now += HOUR
    assert await wire.heard(REVIEW)


async def test_a_failure_is_tried_again_later_and_later(wire: Wire) -> None:
    wire.know("alice", nextTimes=["2026-05-06T13:00:00Z"])
    wire.now += HOUR
    await wire.heard(REVIEW)
    for seconds in (*RETRY_SECONDS, RETRY_SECONDS[-1]):
        while not await wire.silent():
            while not wire.asked.empty():
                wire.asked.get_nowait()
        wire.now += timedelta(seconds=seconds) - timedelta(milliseconds=50)
        assert await wire.silent(), "not yet"
        wire.now += timedelta(milliseconds=50)
        await wire.heard(REVIEW)


async def test_a_fault_in_one_schedule_is_told_on_it_and_stops_no_other(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = wire.schedules._runs
    look = runs.look

    async def faulty(key: tuple[str, str], children: Any) -> datetime | None:
        if key[1] == "alice":
            raise RuntimeError("nobody has thought of this")
        return await look(key, children)

    monkeypatch.setattr(runs, "look", faulty)
    wire.know("alice", state="Finished")
    told = (await wire.heard(STATUS))["status"]
    (valid,) = [found for found in told["conditions"] if found["type"] == "Valid"]
    assert (told["state"], valid["status"], valid["reason"]) == ("Invalid", "False", "InternalError")
    assert "RuntimeError" in valid["message"]
    assert "nobody has thought" not in valid["message"], "what an exception says may be secret"
    wire.schedules.take_event("schedules", {"type": "ADDED", "object": _other()})
    wire.now += HOUR
    while (await wire.heard(REVIEW))["spec"]["user"] != "bob":
        pass


def _other() -> dict[str, Any]:
    return {
        "metadata": {"name": "bob", "namespace": "jobs", "uid": "uid-bob", "resourceVersion": "2",
                     "creationTimestamp": "2026-05-06T11:00:00Z", "generation": 1},
        "spec": {"every": {"seconds": 3600}, "requestedBy": {"username": "bob"},
                 "invocationTemplate": {"spec": {"templateRef": {"name": "t"}}}},
        "status": {},
    }  # fmt: skip
