"""What the cache says of itself while the API server cannot be reached."""

import asyncio
import time
from collections.abc import Callable

import pytest

from rollcall_api import feed
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.feed import SILENT_SECONDS, Feed


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a clock is waited for, which tells nobody
            await asyncio.sleep(0)


async def test_a_cache_lives_on_without_an_api_server_and_is_not_ready() -> None:
    cache = Cache(Cluster(), "ns")
    cache.start()
    await until(lambda: cache.age > 0.01)
    assert cache.alive
    assert not cache.synced
    await cache.stop()
    assert not cache.alive


def test_an_answer_grows_old_from_the_moment_at_which_the_watch_breaks_or_falls_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    watched = Feed(Cluster(), "/apis/x/jobs", Cache(Cluster(), "ns").jobs)
    now += 5
    assert watched.age(now) == 5, "nothing has been read yet"
    watched._take("BOOKMARK", {"metadata": {"resourceVersion": "7"}})
    now += SILENT_SECONDS
    assert watched.age(now) == 0
    now += 1
    assert watched.age(now) == SILENT_SECONDS + 1, "the API server sends a bookmark before that"


async def test_a_watch_that_breaks_makes_the_answer_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_RETRY_SECONDS", (0.01, 0.01))
    watched = Feed(Cluster(), "/apis/x/jobs", Cache(Cluster(), "ns").jobs)
    watched._take("BOOKMARK", {"metadata": {"resourceVersion": "7"}})
    assert watched.age(time.monotonic()) == 0
    task = asyncio.create_task(watched.run())  # there is no connection, so that it fails at once
    await until(lambda: watched.age(time.monotonic()) >= 0.03)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
