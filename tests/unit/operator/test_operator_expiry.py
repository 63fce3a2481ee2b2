"""When the operator asks for the deletion of finished invocations, on a wire that is really there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from rollcall_operator.expiry import Expiry
from rollcall_operator.store import Store
from support.answering import answering
from unit.core.objects import NAMESPACE, NOW, after, invocation

KEY = (NAMESPACE, "job")
MOMENT = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
FINISHED = {
    "completionTime": MOMENT,
    "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": MOMENT, "reason": "AllSucceeded"}],
}


class Clock:
    """A clock that somebody sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Story:
    """An expiry at work whose deletions are answered with the given codes, then with 200."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.clock = Clock(NOW)
        self.store = Store()
        self.expiry: Expiry

    def know(self, version: int, seconds: int | None, **metadata: Any) -> None:
        """Let the operator know the invocation, with so many seconds to live after its end."""
        made = invocation(
            status=FINISHED,
            metadata={"resourceVersion": str(version), "uid": "uid", **metadata},
            ttlSecondsAfterFinished=seconds,
        )
        self.store.put("jobinvocations", made.wire())
        self.expiry.notice(KEY)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.put_nowait(f"{request.method} {request.match_info['path'].rpartition('/')[2]}")
        return web.json_response({}, status=self.codes.pop(0) if self.codes else 200)

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        async with answering(self._answer) as cluster, asyncio.timeout(10):
            self.expiry = Expiry(cluster, self.store, self.clock, longest_wait_seconds=0.02)
            work = asyncio.create_task(self.expiry.run())
            yield
            work.cancel()


async def test_a_clock_that_is_set_forward_is_noticed() -> None:
    story = Story()
    async with story.told():
        story.know(1, 3600)
        await asyncio.sleep(0.05)  # it has begun to wait
        assert story.asked.empty()
        story.clock.now += timedelta(hours=1)
        assert await story.asked.get() == "DELETE job"


async def test_each_event_of_a_finished_invocation_takes_no_more_room_and_deletes_it_once() -> None:
    story = Story()
    async with story.told():
        for version in range(1, 500):
            story.know(version, 60)
        assert len(story.expiry.timetable) == 1
        story.clock.now = after(60)
        assert await story.asked.get() == "DELETE job"
        story.know(500, 60, deletionTimestamp=MOMENT, finalizers=["example.com/kept"])
        await asyncio.sleep(0.1)
        assert story.asked.empty(), "what is being deleted is left alone"


@pytest.mark.parametrize("seconds", [None, 7200])
async def test_an_invocation_that_is_to_be_kept_longer_is(seconds: int | None) -> None:
    story = Story()
    async with story.told():
        story.know(1, 60)
        story.know(2, seconds)
        story.clock.now = after(3600)
        await asyncio.sleep(0.1)
        assert story.asked.empty()


async def test_one_that_is_gone_is_forgotten() -> None:
    story = Story()
    async with story.told():
        story.know(1, 60)
        story.store.forget("jobinvocations", *KEY)
        story.expiry.notice(KEY)
        story.clock.now = after(3600)
        await asyncio.sleep(0.1)
        assert story.asked.empty()
        assert story.expiry.timetable.first is None


async def test_a_deletion_that_the_api_server_fails_at_is_asked_for_again() -> None:
    story = Story(500)
    async with story.told():
        story.know(1, 60)
        story.clock.now = after(60)
        assert await story.asked.get() == "DELETE job"
        await asyncio.sleep(0.05)
        assert story.asked.empty(), "not at once"
        story.clock.now = after(66)
        assert await story.asked.get() == "DELETE job"
