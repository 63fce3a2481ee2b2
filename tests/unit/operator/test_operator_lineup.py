"""In which order schedules are looked at, and requests are sent."""

import asyncio

import pytest

from rollcall_operator.lineup import Lineup, Rank
from rollcall_operator.slots import Slots

A, B, C = (("jobs", name) for name in "abc")


async def test_who_is_due_comes_first() -> None:
    lineup = Lineup()
    for key, rank in ((A, Rank.SETTLE), (B, Rank.DUE), (C, Rank.SETTLE), (C, Rank.DUE), (A, Rank.SETTLE)):
        lineup.add(key, rank)
    assert [await lineup.next() for _ in range(3)] == [(B, Rank.DUE), (C, Rank.DUE), (A, Rank.SETTLE)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lineup.next(), 0)


async def test_who_is_being_looked_at_comes_again_after_that() -> None:
    lineup = Lineup()
    lineup.add(A, Rank.DUE)
    assert await lineup.next() == (A, Rank.DUE)
    lineup.add(A, Rank.SETTLE)
    lineup.add(A, Rank.DUE)
    lineup.add(B, Rank.SETTLE)
    assert await lineup.next() == (B, Rank.SETTLE)
    lineup.done(A)
    assert await lineup.next() == (A, Rank.DUE)


async def test_what_is_urgent_waits_behind_no_other() -> None:
    slots, order = Slots(1), []

    async def ask(name: str, *, urgent: bool = False) -> None:
        async with slots.slot(urgent=urgent):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(ask(name))
        group.create_task(ask("urgent", urgent=True))
    assert order == ["first", "urgent", "second", "third"]


async def test_a_slot_that_nobody_waits_for_any_more_is_not_lost() -> None:
    slots = Slots(1)

    async def take() -> None:
        async with slots.slot():
            pass

    async with slots.slot():
        waiting, given = asyncio.create_task(take()), asyncio.create_task(take())
        await asyncio.sleep(0)
        waiting.cancel()
    given.cancel()  # in the moment in which it has been given the slot
    await asyncio.gather(waiting, given, return_exceptions=True)
    async with asyncio.timeout(1), slots.slot():
        pass
