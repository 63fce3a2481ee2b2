"""When the next run of a series is queued again: not for ever, and not again and again."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from rollcall_api import series as module
from rollcall_api.cache import Cache
from rollcall_api.cluster import Cluster
from rollcall_api.series import Series


class Jobs:
    """Takes down which runs are to be queued."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.slots: list[datetime] = []
        self.problem = problem

    async def create_run(self, _series: Any, slot: datetime) -> None:
        self.slots.append(slot)
        if self.problem is not None:
            raise self.problem


def a_series(version: int) -> dict[str, Any]:
    begun = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    marks = {"series.rollcall.dev/queues-next": "true"}
    return {
        "metadata": {"name": "s", "uid": "u", "resourceVersion": str(version), "creationTimestamp": begun},
        "spec": {
            "cron": ["0 0 1 1 *"],
            "requestedBy": {"username": "a"},
            "invocationTemplate": {
                "metadata": {"annotations": marks},
                "spec": {"templateRef": {"name": "t"}, "targeting": {"hosts": ["a"]}},
            },
        },
    }


async def kept(jobs: Jobs, steps: Any) -> None:
    cache = Cache(Cluster(), "ns")
    cache._synced = True
    series: Any = Series(jobs, SimpleNamespace(), cache)  # type: ignore[arg-type]
    task = asyncio.create_task(series.run())
    try:
        await steps(cache, series)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_run_that_was_taken_back_is_queued_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.2)
    jobs = Jobs()

    async def steps(cache: Cache, _series: Series) -> None:
        for version in range(1, 6):
            cache.schedules.put(a_series(version))
            await asyncio.sleep(0.01)
        assert len(jobs.slots) == 1
        await asyncio.sleep(0.4)

    await kept(jobs, steps)
    assert len(jobs.slots) == 2
    assert len(set(jobs.slots)) == 1


async def test_a_series_that_is_gone_is_tried_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    jobs = Jobs(ValueError("no"))

    async def steps(cache: Cache, series: Series) -> None:
        cache.schedules.put(a_series(1))
        await asyncio.sleep(0.1)
        assert len(jobs.slots) > 1
        cache.schedules.drop("s", 2)
        made = len(jobs.slots)
        await asyncio.sleep(0.1)
        assert len(jobs.slots) == made
        assert series._retry_at == {}, "nothing wakes it for ever"

    await kept(jobs, steps)
