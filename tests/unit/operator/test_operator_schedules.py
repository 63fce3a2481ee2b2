"""What the operator knows of schedules when its watch has not told it everything, and of their runs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from kubernetes.aio.client import Configuration

from rollcall_operator.cluster import Cluster
from rollcall_operator.schedules import Schedules
from rollcall_operator.store import Key, Store


def document(name: str, version: int, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "jobs", "uid": f"uid-{name}", "resourceVersion": str(version),
                     "creationTimestamp": "2026-05-06T12:00:00Z", "generation": 1} | metadata,
        "spec": {"at": "2030-01-01T00:00:00Z", "requestedBy": {"username": "alice"},
                 "invocationTemplate": {"spec": {"templateRef": {"name": "t"}}}},
    }  # fmt: skip


def run_of(uid: str, planned: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "run", "namespace": "jobs", "uid": "uid-run", "resourceVersion": "2", "generation": 1,
                     "annotations": {"rollcall.dev/planned": planned},
                     "ownerReferences": [{"apiVersion": "rollcall.dev/v1alpha1", "kind": "Schedule", "name": "a",
                                          "uid": uid, "controller": True}]},
        "spec": {"templateRef": {"name": "t"}},
    }  # fmt: skip


class Lists:
    """Full lists, one after the other, the last of them again and again; and how many were asked for."""

    def __init__(self, *lists: dict[str, int]) -> None:
        self._lists = [{("jobs", name): version for name, version in found.items()} for found in lists]
        self.asked = 0

    async def __call__(self) -> Mapping[Key, int]:
        self.asked += 1
        return self._lists[min(self.asked, len(self._lists)) - 1]


async def no_ids(_: int) -> range:
    raise AssertionError("no run is made here")


@pytest.fixture
async def schedules() -> AsyncIterator[Schedules]:
    """Two of them, and nobody who looks."""
    async with Cluster(Configuration()) as cluster:
        found = Schedules(cluster, Store(), "me", no_ids)
        found.take_list("schedules", None, [document("a", 1), document("b", 2)], "2")
        yield found


async def test_a_deletion_that_the_watch_has_lost_is_healed(schedules: Schedules) -> None:
    lists = Lists({"a": 1})
    assert await schedules.compare(lists, 0)
    assert lists.asked == 2
    assert await schedules.compare(lists, 0)
    assert lists.asked == 3, "there is no difference any more"


async def test_a_schedule_that_was_made_between_two_lists_is_not_forgotten(schedules: Schedules) -> None:
    assert await schedules.compare(Lists({"a": 1}, {"a": 1, "b": 2}), 0)
    there = Lists({"a": 1, "b": 2})
    assert await schedules.compare(there, 0)
    assert there.asked == 1


@pytest.mark.parametrize(
    ("lists", "well"),
    [
        (Lists({"a": 1, "b": 3}), False),
        (Lists({"a": 1, "b": 2, "c": 3}), False),
        (Lists({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}), True),
    ],
    ids=["a change", "a new one", "one that has gone since"],
)
async def test_a_watch_that_does_not_tell_is_found_out(schedules: Schedules, lists: Lists, well: bool) -> None:
    assert await schedules.compare(lists, 0) is well


async def test_what_the_watch_tells_meanwhile_is_no_trouble(schedules: Schedules) -> None:
    class Late(Lists):
        async def __call__(self) -> Mapping[Key, int]:
            found = await super().__call__()
            if self.asked == 2:
                schedules.take_event("schedules", {"type": "MODIFIED", "object": document("b", 3)})
            return found

    assert await schedules.compare(Late({"a": 1, "b": 3}), 0)


async def test_a_run_does_not_wait_for_a_schedule_that_is_being_deleted() -> None:
    """Deleted in the foreground: it goes after its runs, and no status will tell of them."""
    store = Store()
    store.put("jobinvocations", run_of("uid-a", "2026-05-06T13:00:00Z"))
    going = document("a", 3, deletionTimestamp="2026-05-06T13:00:01Z", finalizers=["foregroundDeletion"])
    async with Cluster(Configuration()) as cluster:
        found = Schedules(cluster, store, "me", no_ids)
        found.restore()
        found.take_list("schedules", None, [document("a", 1)], "1")
        waiting = asyncio.create_task(found.until_told(("jobs", "run"), lambda: False))
        await asyncio.sleep(0)
        assert not waiting.done(), "its schedule has yet to tell of it"
        found.take_event("schedules", {"type": "MODIFIED", "object": going})
        working = asyncio.create_task(found.run())
        await asyncio.wait_for(waiting, 5)
        working.cancel()
